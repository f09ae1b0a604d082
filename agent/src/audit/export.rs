//! The trail in the forms of others, a record on each line.

use std::io::{self, Write};

use causeway_proto::audit::{Record, Teller, dicom, fhir};
use sqlx::{Row as _, SqlitePool};

use super::AuditError;

/// So many rows are read at once.
const PAGE: i64 = 500;

/// Writes the records from number `from` on: as FHIR AuditEvents when `as_fhir`, else as audit messages of DICOM PS3.15 A.5. Answers
/// how many.
///
/// # Errors
/// When the database refuses or the output fails.
pub async fn export(
    pool: &SqlitePool,
    from: i64,
    as_fhir: bool,
    teller: &Teller,
    out: &mut impl Write,
) -> Result<Result<u64, io::Error>, AuditError> {
    let (mut next, mut count) = (from, 0_u64);
    loop {
        let rows = sqlx::query(
            "SELECT seq, at_us, event, actor, subject, detail FROM audit_event WHERE seq >= $1 ORDER BY seq LIMIT $2",
        )
        .bind(next)
        .bind(PAGE)
        .fetch_all(pool)
        .await?;
        if rows.is_empty() {
            return Ok(Ok(count));
        }
        for row in rows {
            let record = Record {
                seq: row.try_get(0)?,
                at_us: row.try_get(1)?,
                event: row.try_get(2)?,
                actor: row.try_get(3)?,
                site: String::new(),
                subject: row.try_get(4)?,
                detail: row.try_get(5)?,
            };
            let line = if as_fhir {
                fhir(&record, teller).to_string()
            } else {
                dicom(&record, teller)
            };
            if let Err(error) = writeln!(out, "{line}") {
                return Ok(Err(error));
            }
            next = record.seq.saturating_add(1);
            count = count.saturating_add(1);
        }
    }
}
