//! What of some words may leave: everything under an identified agreement, else all that does not name the patient.

use causeway_proto::ids::{CaseCode, TransferSyntaxUid};
use causeway_proto::link::message::Facts;
use causeway_proto::link::talk::plain;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{LONG, SHORT, Study, Talk, TalkError, refused};
use crate::protect::typed::{Known, Named};
use crate::spool::{Handle, Kept, Private};

/// So many objects are asked for names: two of each series, corrections first.
const OBJECTS: i64 = 48;

/// Words, and what of them may leave. Debug shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Checked<T> {
    /// As typed.
    pub typed: T,
    /// As they leave.
    pub leaves: T,
    /// What was taken out; nothing under an identified agreement.
    pub removed: Vec<Removal>,
}

/// What was taken out of one field.
#[derive(Clone, PartialEq, Eq)]
pub struct Removal {
    /// The field's name; `text` for a letter.
    pub field: &'static str,
    /// The pieces, as typed.
    pub pieces: Vec<String>,
    /// What is left of the field.
    pub left: String,
}

impl<T> std::fmt::Debug for Checked<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Checked({} removed)", self.removed.len())
    }
}

impl std::fmt::Debug for Removal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Removal({})", self.field)
    }
}

impl Talk {
    /// What of a context may leave.
    ///
    /// # Errors
    /// When there is no such case, it was recalled, or nothing can be checked.
    pub async fn check_context(
        &self,
        case: &CaseCode,
        facts: &Facts,
    ) -> Result<Checked<Facts>, TalkError> {
        let typed = facts.map(|field, text| match field {
            "question" => plain(text, true, LONG),
            _ => plain(text, false, SHORT),
        });
        let study = self.study(case).await?;
        let Some(named) = self.named(&study).await? else {
            return Ok(Checked::whole(typed));
        };
        let shifted = self.shift(study.id).await?.is_some();
        let undated = shifted.then(|| named.undated());
        let mut removed = Vec::new();
        let leaves = typed.map(|field, text| {
            // this one is shifted when it leaves
            let undated = undated.as_ref().filter(|_| field != "renal_date");
            cut(undated.unwrap_or(&named), field, text, &mut removed)
        });
        Ok(Checked {
            typed,
            leaves,
            removed,
        })
    }

    /// What of a letter may leave.
    ///
    /// # Errors
    /// When it is empty, there is no such case, it was recalled, or nothing can be checked.
    pub async fn check_letter(
        &self,
        case: &CaseCode,
        text: &str,
    ) -> Result<Checked<String>, TalkError> {
        let typed = plain(text, true, LONG);
        if typed.is_empty() {
            return Err(TalkError::Empty);
        }
        let study = self.study(case).await?;
        let Some(named) = self.named(&study).await? else {
            return Ok(Checked::whole(typed));
        };
        let shifted = self.shift(study.id).await?.is_some();
        let undated = shifted.then(|| named.undated());
        let mut removed = Vec::new();
        let named = undated.as_ref().unwrap_or(&named);
        let leaves = cut(named, "text", &typed, &mut removed);
        Ok(Checked {
            typed,
            leaves,
            removed,
        })
    }

    /// What names the patient of a study; none under an identified agreement.
    async fn named(&self, study: &Study) -> Result<Option<Named>, TalkError> {
        if study.identified {
            return Ok(None);
        }
        let known = self.known(study.id).await;
        let known = known.map_err(refused("looking for what names a patient"))?;
        let named = self.protector.named(known).await?;
        named.map(Some).ok_or(TalkError::Unchecked)
    }

    async fn known(&self, study: i64) -> Result<Known, sqlx::Error> {
        let rows = self.spool.rows().read();
        let objects = sqlx::query(
            "SELECT handle, syntax, length, source_digest FROM (\
             SELECT handle, syntax, length, source_digest, seen_us AS at, 0 AS first FROM (SELECT *, ROW_NUMBER() \
               OVER (PARTITION BY series_uid ORDER BY id DESC) AS place FROM instance \
               WHERE study_id = $1 AND handle IS NOT NULL AND lost = 0) WHERE place <= 2 \
             UNION ALL SELECT a.handle, a.syntax, a.length, a.source_digest, a.seen_us, 1 FROM aside a \
               JOIN instance i ON i.id = a.instance_id WHERE i.study_id = $1 AND a.handle IS NOT NULL AND a.kind = 'correction') \
             ORDER BY first DESC, at DESC LIMIT $2",
        )
        .bind(study)
        .bind(OBJECTS)
        .fetch_all(rows)
        .await?;
        let sealed = sqlx::query_scalar("SELECT sealed FROM sealed_set WHERE study_id = $1")
            .bind(study)
            .fetch_optional(rows)
            .await?;
        let said: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT patient_name, patient_id, accession FROM study WHERE id = $1 \
             UNION SELECT a.patient_name, a.patient_id, a.accession FROM aside a JOIN instance i ON i.id = a.instance_id \
             WHERE i.study_id = $1",
        )
        .bind(study)
        .fetch_all(rows)
        .await?;
        let mut known = Known {
            objects: objects.iter().map(kept).collect::<Result<_, _>>()?,
            sealed,
            ..Known::default()
        };
        for (name, id, accession) in said {
            known.names.push(Private::new(name));
            known.numbers.push(Private::new(id));
            known.numbers.push(Private::new(accession));
        }
        Ok(known)
    }
}

impl<T: Clone> Checked<T> {
    /// Everything leaves.
    fn whole(typed: T) -> Self {
        Self {
            leaves: typed.clone(),
            typed,
            removed: Vec::new(),
        }
    }
}

fn cut(named: &Named, field: &'static str, text: &str, removed: &mut Vec<Removal>) -> String {
    let cut = named.cut(text);
    if !cut.removed.is_empty() {
        removed.push(Removal {
            field,
            pieces: cut.removed,
            left: cut.text.clone(),
        });
    }
    cut.text
}

fn kept(row: &SqliteRow) -> Result<Kept, sqlx::Error> {
    let syntax: TransferSyntaxUid = super::parsed(&row.try_get::<String, _>(1)?)?;
    Ok(Kept {
        handle: Handle::from_row(row.try_get(0)?),
        syntax,
        length: crate::rows::from_row(row.try_get(2)?),
        digest: match row.try_get::<Option<String>, _>(3)? {
            Some(digest) => Some(super::parsed(&digest)?),
            None => None,
        },
    })
}
