//! What a person at the site says about a case before orders exist (P9): typed on the site page, kept here. Nothing of it leaves yet.

use causeway_proto::ids::CaseCode;
use causeway_proto::time::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::decision::By;
use super::{Spool, SpoolError, refused_row};
use crate::rows::Rows;

/// The longest clinical question, in characters.
const QUESTION: usize = 2000;

/// The longest of the other fields, in characters.
const FIELD: usize = 200;

/// The context of a case. Everything is as typed; empty where nothing was said. It is about a patient: Debug shows nothing of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// What the clinician wants to know.
    pub question: String,
    /// Which contrast medium was given, if any.
    pub contrast: String,
    /// eGFR or creatinine, with its unit.
    pub renal: String,
    /// When that was measured.
    pub renal_date: String,
    /// Known allergies.
    pub allergy: String,
    /// Pregnant, not pregnant, not known.
    pub pregnancy: String,
    /// In kilograms.
    pub weight_kg: String,
    /// Whom to call: a role, not a name.
    pub call_role: String,
    /// Under which number.
    pub call_number: String,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}

impl Context {
    /// Blanks around each field removed, and each cut to its length.
    #[must_use]
    pub fn trimmed(&self) -> Self {
        let cut = |text: &str, most: usize| text.trim().chars().take(most).collect::<String>();
        Self {
            question: cut(&self.question, QUESTION),
            contrast: cut(&self.contrast, FIELD),
            renal: cut(&self.renal, FIELD),
            renal_date: cut(&self.renal_date, FIELD),
            allergy: cut(&self.allergy, FIELD),
            pregnancy: cut(&self.pregnancy, FIELD),
            weight_kg: cut(&self.weight_kg, FIELD),
            call_role: cut(&self.call_role, FIELD),
            call_number: cut(&self.call_number, FIELD),
        }
    }
}

/// A context that was typed, by whom and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// What.
    pub context: Context,
    /// The account.
    pub who: String,
    /// When.
    pub at: Timestamp,
}

impl Spool {
    /// Keeps what was typed about a case; what was typed before stays as it was. Answers whether there is such a case.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn describe(
        &self,
        case: &CaseCode,
        context: &Context,
        who: &str,
    ) -> Result<bool, SpoolError> {
        let context = context.trimmed();
        let mut tx = self.begin_rows().await?;
        let work = async {
            let study: Option<i64> =
                sqlx::query_scalar("SELECT id FROM study WHERE case_code = $1")
                    .bind(case.as_str())
                    .fetch_optional(&mut *tx)
                    .await?;
            let Some(study) = study else { return Ok(false) };
            sqlx::query(
                "INSERT INTO case_context (study_id, question, contrast, renal, renal_date, allergy, pregnancy, weight_kg, \
                 call_role, call_number, who, at_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            )
            .bind(study)
            .bind(&context.question)
            .bind(&context.contrast)
            .bind(&context.renal)
            .bind(&context.renal_date)
            .bind(&context.allergy)
            .bind(&context.pregnancy)
            .bind(&context.weight_kg)
            .bind(&context.call_role)
            .bind(&context.call_number)
            .bind(who)
            .bind(self.inner.clock.now().0)
            .execute(&mut *tx)
            .await?;
            let by = By { who, reason: "" };
            self.decide(&mut tx, study, None, "context", by).await?;
            tx.commit().await?;
            Ok(true)
        };
        work.await
            .map_err(refused_row("keeping what is said about a case"))
    }
}

/// The newest context of a case.
///
/// # Errors
/// When the rows refuse.
pub async fn of(rows: &Rows, case: &CaseCode) -> Result<Option<Typed>, SpoolError> {
    let row = sqlx::query(
        "SELECT c.question, c.contrast, c.renal, c.renal_date, c.allergy, c.pregnancy, c.weight_kg, c.call_role, c.call_number, \
         c.who, c.at_us FROM case_context c JOIN study s ON s.id = c.study_id WHERE s.case_code = $1 ORDER BY c.id DESC LIMIT 1",
    )
    .bind(case.as_str())
    .fetch_optional(rows.read())
    .await
    .map_err(refused_row("looking for what is said about a case"))?;
    row.as_ref()
        .map(typed)
        .transpose()
        .map_err(refused_row("reading what is said about a case"))
}

fn typed(row: &SqliteRow) -> Result<Typed, sqlx::Error> {
    Ok(Typed {
        context: Context {
            question: row.try_get(0)?,
            contrast: row.try_get(1)?,
            renal: row.try_get(2)?,
            renal_date: row.try_get(3)?,
            allergy: row.try_get(4)?,
            pregnancy: row.try_get(5)?,
            weight_kg: row.try_get(6)?,
            call_role: row.try_get(7)?,
            call_number: row.try_get(8)?,
        },
        who: row.try_get(9)?,
        at: Timestamp(row.try_get(10)?),
    })
}
