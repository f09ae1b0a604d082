//! UIDs that stay at the site: which studies leave under others, and what was said in the place of each, durable before it leaves.

use std::collections::{BTreeMap, HashMap};

use causeway_proto::ids::{AgreementId, CaseCode, SopInstanceUid, StudyUid};
use causeway_proto::link::message::terms::REPLACE_UIDS;
use sqlx::SqliteConnection;

use super::{Spool, SpoolError, refused_row};
use crate::keys::{KeysError, UidPurpose};

/// The standard's own: SOP classes, transfer syntaxes, code systems, well-known frames of reference. They name nobody's objects.
const STANDARD: &str = "1.2.840.10008.";

/// Decides, once and for good, of studies whose agreement is known by now: what has begun to leave goes on as it began. `ours` is what
/// the site itself asks for.
pub(super) async fn decide(
    tx: &mut SqliteConnection,
    ours: &super::choice::Config,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE study SET uids = CASE WHEN a.identity = 'pseudonymous' AND ($1 = 1 OR (' ' || a.options || ' ') LIKE '% ' || $2 || ' %') \
         THEN 'replaced' ELSE 'kept' END FROM agreement a WHERE a.id = study.agreement AND a.in_force = 1 AND study.uids = ''",
    )
    .bind(i64::from(ours.requires(REPLACE_UIDS)))
    .bind(REPLACE_UIDS)
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes down what stands for what, in the caller's transaction.
pub(super) async fn note(
    tx: &mut SqliteConnection,
    agreement: &AgreementId,
    pairs: &BTreeMap<String, String>,
) -> Result<(), sqlx::Error> {
    if pairs.is_empty() {
        return Ok(());
    }
    let list = serde_json::to_string(pairs).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(
        "INSERT INTO uid (agreement, said, home) SELECT $1, j.value, j.key FROM json_each($2) j WHERE true \
         ON CONFLICT (agreement, said) DO NOTHING",
    )
    .bind(agreement.as_str())
    .bind(list)
    .execute(tx)
    .await?;
    Ok(())
}

impl Spool {
    /// What leaves in the place of a UID under an agreement that replaces them: always the same; the standard's own stay.
    ///
    /// # Errors
    /// When the agreement's key cannot be used.
    pub fn said_for(&self, agreement: &AgreementId, home: &str) -> Result<String, KeysError> {
        if home.starts_with(STANDARD) {
            return Ok(home.to_owned());
        }
        self.keys().uid(agreement, UidPurpose::Leaves, home)
    }

    /// Whether a study leaves under other UIDs; none when it is not known here, or not decided.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn replaces(
        &self,
        agreement: &AgreementId,
        study: &StudyUid,
    ) -> Result<Option<bool>, SpoolError> {
        let word: Option<String> =
            sqlx::query_scalar("SELECT uids FROM study WHERE agreement = $1 AND study_uid = $2")
                .bind(agreement.as_str())
                .bind(study.as_str())
                .fetch_optional(self.rows().read())
                .await
                .map_err(refused_row("looking for a study's UIDs"))?;
        Ok(word.and_then(|word| replaced(&word)))
    }

    /// The same for the studies of instances; one that is not among the answers is not known here.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn replaces_instances(
        &self,
        agreement: &AgreementId,
        instances: &[&SopInstanceUid],
    ) -> Result<HashMap<String, bool>, SpoolError> {
        let list: Vec<&str> = instances.iter().map(|it| it.as_str()).collect();
        let found: Vec<(String, String)> = sqlx::query_as(
            "SELECT i.sop_uid, s.uids FROM instance i JOIN study s ON s.id = i.study_id \
             WHERE i.agreement = $1 AND i.sop_uid IN (SELECT value FROM json_each($2))",
        )
        .bind(agreement.as_str())
        .bind(serde_json::json!(list).to_string())
        .fetch_all(self.rows().read())
        .await
        .map_err(refused_row("looking for the UIDs of instances"))?;
        let known = |(uid, word): (String, String)| replaced(&word).map(|it| (uid, it));
        Ok(found.into_iter().filter_map(known).collect())
    }

    /// The same for the study of a case.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn replaces_case(
        &self,
        agreement: &AgreementId,
        case: &CaseCode,
    ) -> Result<Option<bool>, SpoolError> {
        let word: Option<String> =
            sqlx::query_scalar("SELECT uids FROM study WHERE agreement = $1 AND case_code = $2")
                .bind(agreement.as_str())
                .bind(case.as_str())
                .fetch_optional(self.rows().read())
                .await
                .map_err(refused_row("looking for the UIDs of a case"))?;
        Ok(word.and_then(|word| replaced(&word)))
    }

    /// Writes down what stands for what. Durable when this returns.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn note_uids(
        &self,
        agreement: &AgreementId,
        pairs: &BTreeMap<String, String>,
    ) -> Result<(), SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            note(&mut tx, agreement, pairs).await?;
            tx.commit().await
        };
        work.await.map_err(refused_row("naming UIDs"))
    }

    /// The UIDs of the site in the place of which these were said; one that is not among the answers stands for none.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn homes_of(
        &self,
        agreement: &AgreementId,
        said: &[&str],
    ) -> Result<HashMap<String, String>, SpoolError> {
        self.pairs(
            agreement,
            said,
            "SELECT said, home FROM uid WHERE agreement = $1 AND said IN (SELECT value FROM json_each($2))",
        )
        .await
    }

    /// Of these UIDs of the site those in the place of which others were said, and these.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn said_of(
        &self,
        agreement: &AgreementId,
        homes: &[&str],
    ) -> Result<HashMap<String, String>, SpoolError> {
        self.pairs(
            agreement,
            homes,
            "SELECT home, said FROM uid WHERE agreement = $1 AND home IN (SELECT value FROM json_each($2))",
        )
        .await
    }

    async fn pairs(
        &self,
        agreement: &AgreementId,
        of: &[&str],
        statement: &'static str,
    ) -> Result<HashMap<String, String>, SpoolError> {
        if of.is_empty() {
            return Ok(HashMap::new());
        }
        let found: Vec<(String, String)> = sqlx::query_as(statement)
            .bind(agreement.as_str())
            .bind(serde_json::json!(of).to_string())
            .fetch_all(self.rows().read())
            .await
            .map_err(refused_row("looking for what stands for UIDs"))?;
        Ok(found.into_iter().collect())
    }
}

fn replaced(word: &str) -> Option<bool> {
    match word {
        "replaced" => Some(true),
        "kept" => Some(false),
        _ => None,
    }
}
