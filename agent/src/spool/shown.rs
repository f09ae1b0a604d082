//! One withheld object as a person is shown it: where its bytes lie, which device made it, and what is drawn for it already.

use causeway_proto::ids::{CaseCode, StudyUid};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::disk::Handle;
use super::entry::Kept;
use super::masks::{self, Met};
use super::withheld::{self, Object};
use super::{SpoolError, masks::rectangles, parsed, refused_row};
use crate::mask::{Family, Rectangle};
use crate::rows::{Rows, from_row};

/// One withheld object.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What its row says.
    pub object: Object,
    /// Its study.
    pub study: StudyUid,
    /// The study was taken back: nothing of it leaves any more.
    pub recalled: bool,
    /// Its bytes; none when their time is over.
    pub kept: Option<Kept>,
    /// The device whose rule decides about its pictures; none when only this object can be drawn on.
    pub device: Option<Met>,
    /// What a person has drawn for it alone.
    pub drawn: Vec<Rectangle>,
}

/// A withheld object of a case.
///
/// # Errors
/// When the rows refuse.
pub async fn shown(
    rows: &Rows,
    case: &CaseCode,
    instance: i64,
) -> Result<Option<Shown>, SpoolError> {
    let row = sqlx::query(
        "SELECT i.id, i.sop_class, i.modality, i.reason, i.length, i.received_us, i.handle, i.syntax, d.what, d.who, s.study_uid, \
         s.state = 'recalled', i.source_digest, i.device_id, COALESCE(i.mask, '[]') FROM instance i \
         JOIN study s ON s.id = i.study_id LEFT JOIN decision d ON d.id = (SELECT MAX(id) FROM decision WHERE instance_id = i.id) \
         WHERE s.case_code = $1 AND i.id = $2 AND i.state = 'withheld'",
    )
    .bind(case.as_str())
    .bind(instance)
    .fetch_optional(rows.read())
    .await
    .map_err(refused_row("looking for a withheld object"))?;
    let Some(row) = row else { return Ok(None) };
    let reading = refused_row("reading a withheld object");
    let (mut shown, device) = read(&row).map_err(reading)?;
    if let Some(device) = device {
        let met = masks::met(rows).await?;
        // a rule for overlays says nothing about the pixels below them
        shown.device = met
            .into_iter()
            .find(|met| met.id == device && met.device.family != Family::Overlay);
    }
    Ok(Some(shown))
}

fn read(row: &SqliteRow) -> Result<(Shown, Option<i64>), sqlx::Error> {
    let handle: Option<String> = row.try_get(6)?;
    let kept = match handle {
        None => None,
        Some(handle) => Some(Kept {
            handle: Handle::from_row(handle),
            syntax: parsed(row, 7, "a transfer syntax")?,
            length: from_row(row.try_get(4)?),
            digest: super::outgoing::digest(row, 12)?,
        }),
    };
    let shown = Shown {
        object: withheld::object(row)?,
        study: parsed(row, 10, "a study UID")?,
        recalled: row.try_get::<i64, _>(11)? != 0,
        kept,
        device: None,
        drawn: rectangles(row, 14)?,
    };
    Ok((shown, row.try_get(13)?))
}
