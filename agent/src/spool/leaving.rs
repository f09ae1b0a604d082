//! What went out of a study, under which agreement and profile, and what did not: the record that a data protection officer asks for.

use causeway_proto::ids::CaseCode;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{SpoolError, refused_row};
use crate::rows::{Rows, from_row};

/// What left of one study.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// The agreement's identifier; empty when none is known yet.
    pub agreement: String,
    /// With whom.
    pub organisation: String,
    /// `pseudonymous` or `identified`.
    pub identity: String,
    /// The agreement's profile.
    pub profile: String,
    /// Its options, words between spaces.
    pub options: String,
    /// What stands for the patient at the gateway.
    pub pseudonym: Option<String>,
    /// By version of the protection.
    pub forms: Vec<Form>,
    /// What was withheld, by kind.
    pub withheld: Vec<Kind>,
    /// What the reader is told of the protection, each with the number of objects.
    pub remarks: Vec<(String, u64)>,
}

/// Objects that one version of the protection has made a form of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The version; 0: as received.
    pub version: u32,
    /// At the gateway, with a receipt.
    pub sent: u64,
    /// Still to go.
    pub waiting: u64,
    /// Of these, released by a person.
    pub released: u64,
}

/// Withheld objects of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// (0008,0016).
    pub class: String,
    /// (0008,0060).
    pub modality: String,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// What left of a case.
///
/// # Errors
/// When the rows refuse.
pub async fn of(rows: &Rows, case: &CaseCode) -> Result<Leaving, SpoolError> {
    let mut leaving = terms(rows, case)
        .await
        .map_err(refused_row("looking for the terms of a case"))?;
    let forms = sqlx::query(
        "SELECT i.profile, SUM(i.state = 'receipted'), SUM(i.state = 'waiting'), SUM(i.released <> '') FROM instance i \
         JOIN study s ON s.id = i.study_id WHERE s.case_code = $1 AND i.state <> 'withheld' AND i.sent_digest IS NOT NULL \
         GROUP BY i.profile ORDER BY i.profile",
    );
    let withheld = sqlx::query(
        "SELECT i.sop_class, i.modality, i.reason, COUNT(*) FROM instance i JOIN study s ON s.id = i.study_id \
         WHERE s.case_code = $1 AND i.state = 'withheld' GROUP BY i.sop_class, i.modality, i.reason ORDER BY 1, 2, 3",
    );
    let remarks = sqlx::query(
        "SELECT i.remarks, COUNT(*) FROM instance i JOIN study s ON s.id = i.study_id \
         WHERE s.case_code = $1 AND i.state <> 'withheld' AND i.remarks <> '' GROUP BY i.remarks",
    );
    let work = async {
        let found = forms.bind(case.as_str()).fetch_all(rows.read()).await?;
        leaving.forms = found.iter().map(form).collect::<Result<_, _>>()?;
        let found = withheld.bind(case.as_str()).fetch_all(rows.read()).await?;
        leaving.withheld = found.iter().map(kind).collect::<Result<_, _>>()?;
        let found = remarks.bind(case.as_str()).fetch_all(rows.read()).await?;
        leaving.remarks = counted(&found)?;
        Ok(())
    };
    work.await.map_err(refused_row("counting what left"))?;
    Ok(leaving)
}

async fn terms(rows: &Rows, case: &CaseCode) -> Result<Leaving, sqlx::Error> {
    let row = sqlx::query(
        "SELECT s.agreement, COALESCE(a.organisation, ''), COALESCE(a.identity, ''), COALESCE(a.profile, ''), COALESCE(a.options, ''), \
         t.pseudonym FROM study s LEFT JOIN agreement a ON a.id = s.agreement LEFT JOIN sealed_set t ON t.study_id = s.id \
         WHERE s.case_code = $1",
    )
    .bind(case.as_str())
    .fetch_optional(rows.read())
    .await?;
    let Some(row) = row else {
        return Ok(Leaving::default());
    };
    Ok(Leaving {
        agreement: row.try_get(0)?,
        organisation: row.try_get(1)?,
        identity: row.try_get(2)?,
        profile: row.try_get(3)?,
        options: row.try_get(4)?,
        pseudonym: row.try_get(5)?,
        ..Leaving::default()
    })
}

fn form(row: &SqliteRow) -> Result<Form, sqlx::Error> {
    Ok(Form {
        version: u32::try_from(row.try_get::<i64, _>(0)?).unwrap_or(u32::MAX),
        sent: from_row(row.try_get(1)?),
        waiting: from_row(row.try_get(2)?),
        released: from_row(row.try_get(3)?),
    })
}

fn kind(row: &SqliteRow) -> Result<Kind, sqlx::Error> {
    Ok(Kind {
        class: row.try_get(0)?,
        modality: row.try_get(1)?,
        reason: row.try_get(2)?,
        count: from_row(row.try_get(3)?),
    })
}

/// Each remark with the number of objects that carry it; a row holds one on each line.
fn counted(rows: &[SqliteRow]) -> Result<Vec<(String, u64)>, sqlx::Error> {
    let mut all = std::collections::BTreeMap::<String, u64>::new();
    for row in rows {
        let lines: String = row.try_get(0)?;
        let count = from_row(row.try_get(1)?);
        for line in lines.lines().filter(|line| !line.is_empty()) {
            let so_far = all.entry(line.to_owned()).or_default();
            *so_far = so_far.saturating_add(count);
        }
    }
    Ok(all.into_iter().collect())
}
