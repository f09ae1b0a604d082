//! Dates in what the site says, where dates leave shifted (P11): a day in its own field is shifted, one in a text is taken out.

use causeway_proto::dates::without;
use causeway_proto::ids::{AgreementId, StudyUid};
use causeway_proto::link::message::Facts;
use sqlx::FromRow;

use super::{Talk, TalkError, refused};
use crate::protect::Shift;
use crate::protect::typed::REMOVED;

#[derive(FromRow)]
struct Row {
    agreement: String,
    study_uid: String,
    options: String,
    bound_issuer: String,
    bound_id: String,
    date_shift: Option<i64>,
}

impl Talk {
    /// By how much the dates of a study leave shifted; none when they leave as they are. What was checked before the agreement asked
    /// for it is asked about again when it is said.
    pub(super) async fn shift(&self, study: i64) -> Result<Option<Shift>, TalkError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT s.agreement, s.study_uid, a.options, s.bound_issuer, s.bound_id, t.date_shift FROM study s \
             JOIN agreement a ON a.id = s.agreement LEFT JOIN sealed_set t ON t.study_id = s.id \
             WHERE s.id = $1 AND a.identity <> 'identified'",
        )
        .bind(study)
        .fetch_optional(self.spool.rows().read())
        .await
        .map_err(refused("looking for how dates leave"))?;
        let Some(row) = row else { return Ok(None) };
        let kept = row.date_shift.and_then(|days| u16::try_from(days).ok());
        if kept.is_none() && !self.spool.shifts_dates(&row.options) {
            return Ok(None);
        }
        let named = || -> Result<(AgreementId, StudyUid), sqlx::Error> {
            Ok((
                super::parsed(&row.agreement)?,
                super::parsed(&row.study_uid)?,
            ))
        };
        let (agreement, uid) = named().map_err(refused("reading how dates leave"))?;
        let patient = (row.bound_issuer.as_str(), row.bound_id.as_str());
        let shift = self.protector.shift_of(&agreement, &uid, patient, kept)?;
        Ok(Some(shift))
    }
}

/// A context as it leaves. A day that is none in the form of the page does not leave.
pub(super) fn shifted(facts: &Facts, shift: Shift) -> Facts {
    facts.map(|field, text| match field {
        "renal_date" => shift.day(text).unwrap_or_default(),
        _ => without(text, REMOVED),
    })
}
