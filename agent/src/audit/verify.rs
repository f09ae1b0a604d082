//! Reads the rows back for `proto::audit::Verifier`: nothing here is shared with what writes them.

use causeway_proto::audit::{Break, Head, Record, Stored, Verifier};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::{AuditError, HEAD};

/// So many rows are read at once.
const PAGE: i64 = 1000;

/// Walks the trail from its first row. `heads` are what witnesses remember. The inner error names the first bad record.
///
/// # Errors
/// When the database refuses.
pub async fn verify(
    connection: &mut SqliteConnection,
    heads: &[Head],
) -> Result<Result<Head, Break>, AuditError> {
    let mut verifier = Verifier::new(heads);
    // what stands before the first number is found as well
    let mut after = i64::MIN;
    loop {
        let rows = sqlx::query(
            "SELECT seq, at_us, event, actor, subject, detail, previous, chain FROM audit_event WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(after)
        .bind(PAGE)
        .fetch_all(&mut *connection)
        .await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => {
                return Ok(Err(verifier.unreadable()));
            }
            Err(error) => return Err(error.into()),
        };
        for row in &rows {
            let Ok(stored) = stored(row) else {
                return Ok(Err(verifier.unreadable()));
            };
            after = stored.record.seq;
            if let Err(found) = verifier.take(&stored) {
                return Ok(Err(found));
            }
        }
        if !rows.is_empty() {
            continue;
        }
        let head: Option<(String,)> =
            sqlx::query_as("SELECT value FROM agent_fact WHERE name = $1")
                .bind(HEAD)
                .fetch_optional(&mut *connection)
                .await?;
        let head = head.map(|(head,)| head);
        let fits = head.as_deref().is_none_or(|head| verifier.ends_at(head));
        let (more,): (i64,) = sqlx::query_as("SELECT count(*) FROM audit_event WHERE seq > $1")
            .bind(after)
            .fetch_one(&mut *connection)
            .await?;
        // more: written since the page was read
        if fits || more == 0 {
            return Ok(verifier.end(head.as_deref()));
        }
    }
}

fn stored(row: &SqliteRow) -> Result<Stored, sqlx::Error> {
    Ok(Stored {
        record: Record {
            seq: row.try_get(0)?,
            at_us: row.try_get(1)?,
            event: row.try_get(2)?,
            actor: row.try_get(3)?,
            site: String::new(),
            subject: row.try_get(4)?,
            detail: row.try_get(5)?,
        },
        previous: row.try_get(6)?,
        chain: row.try_get(7)?,
    })
}
