//! What the agent holds and for how long, in the text form of Prometheus, without identifiers. What the gateway has under the same name
//! means the same there.

use super::control::Desk;
use super::queue;
use crate::link;
use crate::spool::Admission;

/// Name, help, and the rows behind it: a label (or nothing) and a count.
const COUNTS: &[(&str, &str, &str, &str)] = &[
    (
        "causeway_studies",
        "studies received, by state",
        "state",
        "SELECT state, COUNT(*) FROM study GROUP BY state ORDER BY state",
    ),
    (
        "causeway_instances_waiting",
        "instances without a receipt that may be sent",
        "",
        "SELECT '', COUNT(*) FROM instance WHERE state = 'waiting' AND lost = 0",
    ),
    (
        "causeway_instances_lost",
        "instances whose bytes are missing or damaged",
        "",
        "SELECT '', COUNT(*) FROM instance WHERE state = 'waiting' AND lost = 1",
    ),
    (
        "causeway_rows_refused",
        "received objects that are refused their rows",
        "",
        "SELECT '', COUNT(*) FROM unentered",
    ),
    (
        "causeway_deliveries",
        "reports towards destinations, by state",
        "state",
        "SELECT state, COUNT(*) FROM delivery WHERE destination <> 'site' GROUP BY state ORDER BY state",
    ),
    (
        "causeway_alarms",
        "alarms that were told and stand",
        "rule",
        "SELECT rule, COUNT(*) FROM alarm GROUP BY rule ORDER BY rule",
    ),
];

/// Everything, as text.
///
/// # Errors
/// When the rows refuse.
pub(super) async fn metrics(desk: &Desk, ready: bool) -> Result<String, sqlx::Error> {
    let mut out = String::new();
    let head = |out: &mut String, name, help| {
        out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
    };
    let up = matches!(*desk.link.borrow(), link::State::Up { .. });
    let taking = match desk.spool.admission() {
        Admission::Open => 2,
        Admission::Congested => 1,
        Admission::Full => 0,
    };
    for (name, help, value) in [
        ("causeway_up", "the process answers", 1),
        ("causeway_ready", "what /readyz says", u64::from(ready)),
        (
            "causeway_link_up",
            "whether the gateway is connected",
            u64::from(up),
        ),
        (
            "causeway_taking",
            "2: everything is received, 1: below the soft floor, 0: nothing is",
            taking,
        ),
    ] {
        head(&mut out, name, help);
        out.push_str(&format!("{name} {value}\n"));
    }
    let rows = desk.spool.rows();
    for &(name, help, label, sql) in COUNTS {
        let found: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(rows.read()).await?;
        head(&mut out, name, help);
        for (value, count) in found {
            let labels = if label.is_empty() {
                String::new()
            } else {
                format!("{{{label}=\"{value}\"}}")
            };
            out.push_str(&format!("{name}{labels} {count}\n"));
        }
    }
    let name = "causeway_queue_oldest_seconds";
    let help = "for how long the oldest of each queue has been waiting; 0 where nothing waits";
    head(&mut out, name, help);
    for (queue, age) in queue::ages(rows, desk.clock.now()).await? {
        let age = age.as_secs();
        out.push_str(&format!("{name}{{queue=\"{queue}\"}} {age}\n"));
    }
    Ok(out)
}
