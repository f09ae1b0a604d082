//! What is sent twice when something happens to the line in the middle of a study, and how soon it is full again.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tokio::time::Instant;

use super::ends::{Ends, Study};
use super::line::{Cell, Line, SITE};
use crate::rig::{Report, Series};
use crate::say;

/// No loss by chance, so that everything sent twice is the event's.
const CELL: Cell = Cell::new(100, 80, 0.0);
/// What fits into the path: 100 Mbit/s for 80 ms.
const PATH_BYTES: f64 = 1e6;
const SLICES: u16 = 200;
const ROUNDS: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    None,
    Move,
    Outage,
}

/// What runs inside the centre.
pub(crate) async fn inside() -> anyhow::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let line = &Line::find()?;
    let title = format!("Events in the middle of a study, {}", CELL.name());
    let mut report = Report::new("events", &title);
    let mut calm = Series::new("nothing happens");
    let mut moved = Series::new("the site's address changes");
    let mut dead = Series::new("the line is dead for 60 s");
    let mut again = Series::new("until the line is full after the first answered dial");
    for round in 0..ROUNDS {
        let (base, _) = once(line, Event::None, round).await?;
        calm.values.push(base);
        let (sent, _) = once(line, Event::Move, round).await?;
        moved.values.push((sent - base) / PATH_BYTES);
        let (sent, full) = once(line, Event::Outage, round).await?;
        dead.values.push((sent - base) / PATH_BYTES);
        again.values.push(full.unwrap_or_default());
    }
    report.ratio(
        "address change: sent twice, in paths full",
        moved.median(),
        "≤ 2",
    );
    report.ratio(
        "60 s dead: sent twice, in paths full",
        dead.median(),
        "≤ 2, and 256 KiB for each open stream",
    );
    report.ratio(
        "60 s dead: round trips until the line is full again",
        again.median() / 0.080,
        "≤ 10",
    );
    report.part(
        "bytes sent, in paths full of 1 MB more than when nothing happens",
        [moved, dead],
    );
    report.part(
        "seconds from the first answered dial to a full line",
        [again],
    );
    report.close()
}

/// Bytes that the agent sent for one study, and after an outage the seconds until the line was full.
async fn once(line: &Line, event: Event, round: u32) -> anyhow::Result<(f64, Option<f64>)> {
    let ends = Ends::start(line, super::RAW).await?;
    let study = Study::write(1000 + round, SLICES)?;
    line.set(CELL).await?;
    // the line has become another one since the link began: that is not what is measured
    ends.carry(line, &Study::write(2000 + round, 60)?).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = sent(&ends).await?;
    ends.send(line, &study).await?;
    let mut full = None;
    // the study takes eight seconds and more: this is its middle
    tokio::time::sleep(Duration::from_secs(2)).await;
    match event {
        Event::None => {}
        Event::Move => {
            line.run(&["move", "10.77.0.9"]).await?;
        }
        Event::Outage => full = Some(outage(line, &ends).await?),
    }
    ends.reader
        .wait_ready(&study.uid, Duration::from_secs(240))
        .await?;
    // the counters are a few seconds old
    tokio::time::sleep(Duration::from_secs(3)).await;
    let bytes = sent(&ends).await? - before;
    say(&format!(
        "{event:?}: {bytes:.0} bytes sent, link {}",
        ends.link().await?
    ));
    if event == Event::Move {
        line.run(&["move", SITE]).await?;
    }
    ends.stop(line).await?;
    Ok((bytes, full))
}

async fn sent(ends: &Ends) -> anyhow::Result<f64> {
    let link = ends.link().await?;
    let bytes = link.pointer("/traffic/sent_bytes").and_then(Value::as_f64);
    bytes.context("the status names no traffic")
}

/// The line is dead for a minute; how long after the first datagram of the agent got through it was nine tenths full. A dial over TCP that
/// this gateway refuses is no answered one.
async fn outage(line: &Line, ends: &Ends) -> anyhow::Result<f64> {
    line.run(&["set", "loss=100"]).await?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    line.run(&["set", "loss=0"]).await?;
    let step = Duration::from_millis(40);
    let mut rates = String::new();
    let (mut first, mut last) = (None, received().await?);
    let datagrams = datagrams_received().await?;
    let limit = Instant::now() + Duration::from_secs(20);
    while Instant::now() < limit {
        let begun = Instant::now();
        tokio::time::sleep(step).await;
        let now = received().await?;
        let (bytes, seconds) = (now - last, begun.elapsed().as_secs_f64());
        last = now;
        if first.is_some() || datagrams_received().await? > datagrams {
            let first = *first.get_or_insert(begun);
            let (at, rate) = (
                begun.duration_since(first).as_millis(),
                bytes * 8e-6 / seconds,
            );
            rates.push_str(&format!(" {at}:{rate:.0}"));
            if bytes * 8.0 / seconds > 0.9 * 100e6 {
                say(&format!("ms:Mbit/s since the first packet came:{rates}"));
                return Ok(first.elapsed().as_secs_f64());
            }
        }
    }
    say(&format!(
        "the line was not full within 20 s: {}",
        ends.link().await?
    ));
    Ok(20.0)
}

/// Bytes that have come to the centre's end of the line.
async fn received() -> anyhow::Result<f64> {
    let text = tokio::fs::read_to_string("/proc/net/dev").await?;
    let row = text.lines().find_map(|row| row.trim().strip_prefix("wan:"));
    let bytes = row.and_then(|row| row.split_whitespace().next());
    bytes
        .and_then(|bytes| bytes.parse().ok())
        .context("the centre has no line")
}

/// UDP datagrams that programs in the centre were given.
async fn datagrams_received() -> anyhow::Result<u64> {
    let text = tokio::fs::read_to_string("/proc/net/snmp").await?;
    let row = text.lines().filter(|row| row.starts_with("Udp:")).nth(1);
    let count = row.and_then(|row| row.split_whitespace().nth(1));
    count
        .and_then(|count| count.parse().ok())
        .context("the centre does not count datagrams")
}
