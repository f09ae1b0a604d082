//! Alarms as both programs' rows hold them: the same table `alarm`, the same statements.

use causeway_proto::time::Timestamp;

use crate::book::{Acknowledged, Entry};
use crate::rule::About;

/// The columns of [`STANDING`]: rule, about, sentence, since, raised, told, taken by a channel, times, weight, since when a person knows, and
/// who. Times in microseconds since 1970.
pub type Row = (
    String,
    String,
    String,
    i64,
    i64,
    i64,
    Option<i64>,
    i64,
    i64,
    Option<i64>,
    String,
);

/// The alarms that stand, the oldest first.
pub const STANDING: &str = "SELECT rule, about, sentence, since_us, raised_us, told_us, sent_us, times, weight, acknowledged_us, acknowledged_by \
     FROM alarm ORDER BY raised_us, rule, about";

/// Writes an alarm that was told: the first nine columns of [`Row`]. A person's word that came meanwhile stays, unless the alarm has
/// doubled, or is another one than that of the row, which was over before that could be written.
pub const KEEP: &str = "INSERT INTO alarm (rule, about, sentence, since_us, raised_us, told_us, sent_us, times, weight) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (rule, about) DO UPDATE SET sentence = excluded.sentence, \
     since_us = excluded.since_us, raised_us = excluded.raised_us, told_us = excluded.told_us, sent_us = excluded.sent_us, times = excluded.times, \
     acknowledged_us = CASE WHEN excluded.raised_us <> alarm.raised_us OR (excluded.weight > alarm.weight AND excluded.weight / 2 >= alarm.weight) \
     THEN NULL ELSE alarm.acknowledged_us END, weight = excluded.weight";

/// Takes the alarm of a rule `$1` about `$2` away: it is over.
pub const GONE: &str = "DELETE FROM alarm WHERE rule = $1 AND about = $2";

/// Writes down that since `$1` the person `$2` knows of the alarms of rule `$3` about `$4`, of all of them where one of the two is empty.
/// Answers rule and subject of each of which that is new.
pub const KNOWN: &str = "UPDATE alarm SET acknowledged_us = $1, acknowledged_by = $2 WHERE acknowledged_us IS NULL \
     AND ($3 = '' OR rule = $3) AND ($4 = '' OR about = $4) RETURNING rule, about";

impl From<Row> for Entry {
    fn from(row: Row) -> Self {
        let (rule, about, sentence, since, raised, told, sent, times, weight, at, by) = row;
        let count = |value: i64| u64::try_from(value).unwrap_or(0);
        Self {
            rule,
            about: About::kept(about),
            sentence,
            since: Timestamp(since),
            raised: Timestamp(raised),
            told: Timestamp(told),
            sent: sent.map(Timestamp),
            times: count(times),
            weight: count(weight),
            acknowledged: at.map(|at| Acknowledged {
                at: Timestamp(at),
                by,
            }),
        }
    }
}

impl From<&Entry> for Row {
    fn from(entry: &Entry) -> Self {
        let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let known = entry.acknowledged.as_ref();
        (
            entry.rule.clone(),
            entry.about.as_str().to_owned(),
            entry.sentence.clone(),
            entry.since.0,
            entry.raised.0,
            entry.told.0,
            entry.sent.map(|at| at.0),
            count(entry.times),
            count(entry.weight),
            known.map(|by| by.at.0),
            known.map_or_else(String::new, |by| by.by.clone()),
        )
    }
}
