//! What the site can vouch for of instances that it was sent (P14): that the gateway has receipted them, and still holds them.
//!
//! Whoever hears that an instance is safe may delete it. Where anything speaks against it, in whatever row, it is not safe.

use causeway_proto::ids::{SopClassUid, SopInstanceUid};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Spool, SpoolError, greet, refused_row};
use crate::rows::from_row;

/// What is known of an instance; the greater counts when its UID was received under several agreements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vouched {
    /// Nothing was received under its UID.
    Unknown,
    /// The gateway that is there now has receipted it.
    Held,
    /// It is here and not at the gateway yet.
    Waiting,
    /// The gateway had it and has deleted or lost it.
    Gone,
    /// It does not leave the site, was taken back, or is in doubt; a word for the audit trail.
    Stays(&'static str),
    /// It was received under another SOP class.
    OtherClass,
}

/// Each row that speaks of one of the instances $1, pairs of class and UID. A receipt of another epoch than the one that the fact $2 names
/// is from before a restore: whether the gateway still holds that is not known.
const ROWS: &str = "WITH asked AS (SELECT key AS place, value ->> 0 AS class, value ->> 1 AS uid FROM json_each($1)) \
     SELECT a.place, CASE WHEN i.sop_class <> a.class THEN 'other-class' \
       WHEN s.state = 'recalled' THEN 'recalled' WHEN i.state = 'withheld' THEN 'withheld' \
       WHEN EXISTS (SELECT 1 FROM aside x WHERE x.instance_id = i.id) THEN 'other-content' \
       WHEN i.state = 'receipted' AND i.quarantined <> 0 THEN 'quarantined' \
       WHEN i.state = 'receipted' AND EXISTS (SELECT 1 FROM erasure e WHERE e.study_id = s.id AND i.receipt_us <= e.heard_us) THEN 'gone' \
       WHEN i.state = 'receipted' AND i.receipt_epoch = 0 THEN 'gone' \
       WHEN i.state = 'receipted' AND i.receipt_epoch = (SELECT CAST(value AS INTEGER) FROM agent_fact WHERE name = $2) THEN 'held' \
       WHEN i.state = 'receipted' THEN 'gateway-restored' WHEN i.lost <> 0 THEN 'lost' ELSE 'waiting' END \
     FROM asked a JOIN instance i ON i.sop_uid = a.uid JOIN study s ON s.id = i.study_id \
     UNION ALL SELECT a.place, 'waiting' FROM asked a JOIN unentered u ON u.sop_uid = a.uid";

fn of(word: &str) -> Vouched {
    match word {
        "held" => Vouched::Held,
        "waiting" => Vouched::Waiting,
        "gone" => Vouched::Gone,
        "other-class" => Vouched::OtherClass,
        "recalled" => Vouched::Stays("recalled"),
        "withheld" => Vouched::Stays("withheld"),
        "other-content" => Vouched::Stays("other-content"),
        "quarantined" => Vouched::Stays("quarantined"),
        "gateway-restored" => Vouched::Stays("gateway-restored"),
        _ => Vouched::Stays("lost"),
    }
}

impl Spool {
    /// What is known of each of `instances`, in their order. Of those that were acknowledged when this was asked, all is.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn vouched(
        &self,
        instances: &[(SopClassUid, SopInstanceUid)],
    ) -> Result<Vec<Vouched>, SpoolError> {
        let mut known = self.vouched_by_rows(instances).await?;
        if known.iter().any(|one| *one != Vouched::Waiting) {
            // what came first, or came again, may not be in its row yet
            self.settle().await?;
            known = self.vouched_by_rows(instances).await?;
        }
        Ok(known)
    }

    async fn vouched_by_rows(
        &self,
        instances: &[(SopClassUid, SopInstanceUid)],
    ) -> Result<Vec<Vouched>, SpoolError> {
        let pairs = instances
            .iter()
            .map(|(class, uid)| [class.as_str(), uid.as_str()]);
        let asked = serde_json::Value::from_iter(pairs).to_string();
        let rows = sqlx::query(ROWS)
            .bind(asked)
            .bind(greet::EPOCH)
            .fetch_all(self.inner.rows.read())
            .await
            .map_err(refused_row("looking what the gateway holds"))?;
        let mut known = vec![Vouched::Unknown; instances.len()];
        for row in &rows {
            let (place, says) = read(row).map_err(refused_row("reading what the gateway holds"))?;
            if let Some(known) = usize::try_from(place).ok().and_then(|at| known.get_mut(at)) {
                *known = (*known).max(says);
            }
        }
        Ok(known)
    }
}

fn read(row: &SqliteRow) -> Result<(u64, Vouched), sqlx::Error> {
    Ok((from_row(row.try_get(0)?), of(row.try_get(1)?)))
}
