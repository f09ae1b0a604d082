//! What a site says of a study in OPEN beside the rest: a block, what it did to the images, whether it knows whose they are.

use causeway_proto::ids::StudyKey;
use causeway_proto::link::message::Open;
use sqlx::{Any, Transaction};

/// A sentence of a site is kept up to this length, in characters.
const LONGEST: usize = 500;

/// A site's words, as they are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Why nothing may be signed; empty when nothing stands against it.
    pub(crate) blocked: String,
    /// JSON list.
    pub(crate) remarks: String,
    /// `not-established` or empty.
    pub(crate) identity: String,
}

impl Said {
    pub(crate) fn of(open: &Open) -> Self {
        let remarks: Vec<String> = open
            .remarks
            .iter()
            .map(|remark| plain(remark))
            .filter(|remark| !remark.is_empty())
            .collect();
        Self {
            blocked: plain(open.blocked.as_deref().unwrap_or_default()),
            remarks: serde_json::json!(remarks).to_string(),
            identity: plain(open.identity.as_deref().unwrap_or_default()),
        }
    }
}

/// One line without control characters.
fn plain(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST)
        .collect();
    text.trim().to_owned()
}

/// Writes it. Says whether it is other than before.
pub(crate) async fn say(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    said: &Said,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE study SET blocked = $1, remarks = $2, identity = $3
         WHERE site_id = $4 AND agreement_id = $5 AND study_uid = $6 AND (blocked <> $1 OR remarks <> $2 OR identity <> $3)",
    )
    .bind(said.blocked.as_str())
    .bind(said.remarks.as_str())
    .bind(said.identity.as_str())
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}
