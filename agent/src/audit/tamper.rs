//! A thousand ways to tamper with a trail of two hundred records; each is found, with the right position. Prints its seed.

use causeway_proto::audit::{Head, Record, Stored, judge};
use causeway_proto::time::Timestamp;

use super::tests::{act, end};
use super::{HEAD, record, verify};
use crate::rows::{Rows, Write};

const LENGTH: i64 = 200;
/// Where a witness took heads: half-way, and at the end.
const MARKS: [i64; 2] = [100, LENGTH];
const SEED: u64 = 20_261_125;

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    /// From `low` to `high`, both included.
    fn within(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(high - low + 1)
    }
}

async fn run(tx: &mut Write, sql: &str, numbers: &[i64]) {
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()));
    for number in numbers {
        query = query.bind(*number);
    }
    query.execute(&mut **tx).await.unwrap();
}

async fn set_head(tx: &mut Write, head: &str) {
    sqlx::query("UPDATE agent_fact SET value = $1 WHERE name = $2")
        .bind(head)
        .bind(HEAD)
        .execute(&mut **tx)
        .await
        .unwrap();
}

async fn put(tx: &mut Write, row: &Stored) {
    let record = &row.record;
    sqlx::query(
        "INSERT INTO audit_event (seq, at_us, event, actor, subject, detail, previous, chain) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(record.seq)
    .bind(record.at_us)
    .bind(&record.event)
    .bind(&record.actor)
    .bind(&record.subject)
    .bind(&record.detail)
    .bind(&row.previous)
    .bind(&row.chain)
    .execute(&mut **tx)
    .await
    .unwrap();
}

/// A record of somebody who knows the form and chains it to `previous`.
fn forged(seq: i64, previous: &str) -> Stored {
    let record = Record {
        seq,
        at_us: 7,
        event: "images-sent".to_owned(),
        actor: "forger".to_owned(),
        site: String::new(),
        subject: "y".to_owned(),
        detail: "{}".to_owned(),
    };
    let chain = record.chain(previous).to_string();
    Stored {
        record,
        previous: previous.to_owned(),
        chain,
    }
}

async fn link(tx: &mut Write, seq: i64) -> String {
    if seq == 0 {
        return String::new();
    }
    let (chain,): (String,) = sqlx::query_as("SELECT chain FROM audit_event WHERE seq = $1")
        .bind(seq)
        .fetch_one(&mut **tx)
        .await
        .unwrap();
    chain
}

/// Makes room at `seq`.
async fn shift(tx: &mut Write, seq: i64) {
    run(
        tx,
        "UPDATE audit_event SET seq = -(seq + 1) WHERE seq >= $1",
        &[seq],
    )
    .await;
    run(tx, "UPDATE audit_event SET seq = -seq WHERE seq < 0", &[]).await;
}

const KINDS: i64 = 11;

/// Tampers in one way; answers where it must be found.
async fn tamper(tx: &mut Write, kind: i64, chance: &mut Chance) -> i64 {
    let k = chance.within(1, LENGTH);
    match kind {
        0 => {
            let columns = ["at_us", "event", "actor", "subject", "detail"];
            let links = ["previous", "chain"];
            let all: Vec<&str> = columns.into_iter().chain(links).collect();
            let column = all[usize::try_from(chance.below(7)).unwrap()];
            let to = match column {
                "at_us" => "at_us + 1".to_owned(),
                other => format!("{other} || 'x'"),
            };
            let sql = format!("UPDATE audit_event SET {column} = {to} WHERE seq = $1");
            run(tx, &sql, &[k]).await;
            k
        }
        1 => {
            run(tx, "DELETE FROM audit_event WHERE seq = $1", &[k]).await;
            k
        }
        2 => {
            // a copy of another record, as it stands
            let copied = link(tx, chance.within(1, LENGTH)).await;
            let before = link(tx, k - 1).await;
            shift(tx, k).await;
            let mut row = forged(k, &before);
            row.chain = copied;
            put(tx, &row).await;
            k
        }
        3 => {
            // a forged record that follows well: the one behind it does not follow any more; a witness of its number knows at once
            let before = link(tx, k - 1).await;
            shift(tx, k).await;
            put(tx, &forged(k, &before)).await;
            k + 1
        }
        4 => {
            let a = chance.within(1, LENGTH - 1);
            let b = chance.within(a + 1, LENGTH);
            for (from, to) in [(a, -1), (b, a), (-1, b)] {
                let sql = "UPDATE audit_event SET seq = $2 WHERE seq = $1";
                run(tx, sql, &[from, to]).await;
            }
            a
        }
        5 => {
            run(tx, "DELETE FROM audit_event WHERE seq >= $1", &[k]).await;
            k
        }
        6 => {
            // one more, well chained, but the stored head does not know it
            let before = link(tx, LENGTH).await;
            put(tx, &forged(LENGTH + 1, &before)).await;
            LENGTH + 1
        }
        other => by_whole(tx, other, k).await,
    }
}

/// What only a witness finds.
async fn by_whole(tx: &mut Write, kind: i64, k: i64) -> i64 {
    let before = link(tx, k - 1).await;
    let back = match k {
        1 => "0:".to_owned(),
        _ => format!("{}:{before}", k - 1),
    };
    let first_mark = MARKS.into_iter().find(|mark| *mark >= k).unwrap();
    match kind {
        7 => {
            // cut, and the stored head with it: an old copy of the database is put back
            run(tx, "DELETE FROM audit_event WHERE seq >= $1", &[k]).await;
            set_head(tx, &back).await;
            k
        }
        8 => {
            // put back, and the program goes on from there
            run(tx, "DELETE FROM audit_event WHERE seq >= $1", &[k]).await;
            set_head(tx, &back).await;
            for n in k..=LENGTH + 5 {
                let detail = serde_json::json!({ "again": n });
                record(tx, Timestamp(n), "images-sent", "gateway", "z", &detail)
                    .await
                    .unwrap();
            }
            first_mark
        }
        9 => {
            // one record changed and everything behind it chained anew
            let mut previous = before;
            run(tx, "DELETE FROM audit_event WHERE seq >= $1", &[k]).await;
            for seq in k..=LENGTH {
                let row = forged(seq, &previous);
                put(tx, &row).await;
                previous = row.chain;
            }
            set_head(tx, &format!("{LENGTH}:{previous}")).await;
            first_mark
        }
        _ => {
            run(tx, "DELETE FROM audit_event", &[]).await;
            run(tx, "DELETE FROM agent_fact WHERE name = 'audit-head'", &[]).await;
            1
        }
    }
}

async fn heads(rows: &Rows) -> Vec<Head> {
    let mut out = Vec::new();
    for mark in MARKS {
        let (chain,): (String,) = sqlx::query_as("SELECT chain FROM audit_event WHERE seq = $1")
            .bind(mark)
            .fetch_one(rows.read())
            .await
            .unwrap();
        out.push(format!("{mark}:{chain}").parse().unwrap());
    }
    out
}

/// What the other end finds when the tampered end says its head and shows what stands where the other end remembers it.
async fn other_end_doubts(tx: &mut Write, held: &Head) -> bool {
    let said = super::head(tx).await.unwrap();
    let seq = i64::try_from(held.sequence).unwrap();
    let own: Option<(String,)> = sqlx::query_as("SELECT chain FROM audit_event WHERE seq = $1")
        .bind(seq)
        .fetch_optional(&mut **tx)
        .await
        .unwrap();
    let again = own.map_or(said, |(chain,)| Head {
        sequence: held.sequence,
        digest: chain.parse().unwrap(),
    });
    let asked = (again.sequence == held.sequence).then_some(held);
    judge(Some(held), &said, asked, Some(&again)).is_err()
}

#[tokio::test]
async fn a_thousand_tampered_trails_are_found_with_their_position() {
    eprintln!("seed {SEED}");
    let folder = tempfile::tempdir().unwrap();
    {
        let rows = Rows::open(folder.path()).await.unwrap();
        for n in 1..=LENGTH {
            act(&rows, n, &format!("1.2.{}", n % 7)).await;
        }
        let marks = heads(&rows).await;
        assert_eq!(end(&rows).await, marks[1]);
        let mut chance = Chance(SEED);
        for trial in 0..1000 {
            let kind = trial % KINDS;
            let mut tx = rows.begin().await.unwrap();
            // whoever tampers takes the guards away first
            for guard in ["audit_event_stays", "audit_event_is_kept"] {
                run(&mut tx, &format!("DROP TRIGGER {guard}"), &[]).await;
            }
            let expected = tamper(&mut tx, kind, &mut chance).await;
            let mut first = u64::try_from(expected).unwrap();
            if kind == 3 && MARKS.contains(&(expected - 1)) {
                first -= 1;
            }
            let alone = verify(&mut tx, &[]).await.unwrap();
            let found = verify(&mut tx, &marks).await.unwrap();
            let position = found.map_err(|found| found.position).unwrap_err();
            assert_eq!(position, first, "seed {SEED} trial {trial} kind {kind}");
            let expected = u64::try_from(expected).unwrap();
            if kind < 7 {
                let position = alone.map_err(|found| found.position).unwrap_err();
                assert_eq!(position, expected, "seed {SEED} trial {trial} kind {kind}");
            } else {
                assert!(alone.is_ok(), "seed {SEED} trial {trial} kind {kind}");
                let doubts = other_end_doubts(&mut tx, &marks[1]).await;
                assert!(doubts, "seed {SEED} trial {trial} kind {kind}");
            }
            tx.rollback().await.unwrap();
        }
        let mut reading = rows.read().acquire().await.unwrap();
        assert_eq!(verify(&mut reading, &marks).await.unwrap(), Ok(marks[1]));
    }
}
