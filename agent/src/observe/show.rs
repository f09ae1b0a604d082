//! Status, cases and lists as text for a terminal.

use std::io::{self, Write};

use causeway_proto::time::Timestamp;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::status::Status;
use crate::restore::Home;
use crate::restore::rows::Mismatch;
use crate::spool::erasure::Erasure;
use crate::spool::view::{Case, Held, StudyLine};

/// Writes the status as text.
///
/// # Errors
/// As the output says.
pub fn status(out: &mut impl Write, status: &Status) -> io::Result<()> {
    let running = if status.running {
        "running"
    } else {
        "not running; this is how it left its rows"
    };
    writeln!(out, "{}: {running}", status.software)?;
    for alarm in &status.alarms {
        writeln!(
            out,
            "ALARM    {}: {} object(s) of this {} study are withheld; decide on the site page",
            alarm.case, alarm.count, alarm.priority
        )?;
    }
    told(out, status)?;
    writeln!(out, "link     {}", link(status))?;
    if let Some(admission) = &status.admission {
        writeln!(out, "disk     {admission}")?;
    }
    if let Some(until) = status.certificate_until {
        writeln!(out, "identity certificate until {until}")?;
    }
    writeln!(out, "audit    {}", status.audit_head)?;
    for doubt in &status.audit_doubts {
        writeln!(out, "audit    DOUBT: {doubt}")?;
    }
    let queue = &status.queue;
    writeln!(
        out,
        "queue    {} instance(s), {} to send; {} correction(s) and {} conflict(s) kept aside",
        queue.instances,
        size(queue.bytes),
        queue.corrections,
        queue.conflicts
    )?;
    if queue.unentered > 0 {
        writeln!(
            out,
            "REFUSED  {} received object(s) have no row: kept, and tried again; see `held`",
            queue.unentered
        )?;
    }
    for study in &queue.studies {
        writeln!(out, "  {}", study_line(study))?;
    }
    if status.unanswered > 0 {
        writeln!(
            out,
            "letters  {} of readers that nobody has read or answered: see the site page",
            status.unanswered
        )?;
    }
    writeln!(out, "reports")?;
    for line in &status.deliveries {
        let next = line
            .next_try
            .map(|at| format!("; tried next {}", ago(status.at, at)))
            .unwrap_or_default();
        writeln!(
            out,
            "  {} {} to {} ({}): {}, {}{next}",
            line.case, line.status, line.destination, line.form, line.state, line.sentence
        )?;
    }
    if let Some(error) = &status.last_error {
        writeln!(out, "last error: {error}")?;
    }
    Ok(())
}

/// Alarms that were told and stand, and channels that do not take them.
fn told(out: &mut impl Write, status: &Status) -> io::Result<()> {
    for alarm in &status.told {
        let known = alarm.acknowledged.as_ref();
        let known = known.map_or_else(
            || "nobody has acknowledged it".to_owned(),
            |by| format!("acknowledged {} by {}", by.at, by.by),
        );
        writeln!(
            out,
            "TOLD     {} {}: {}; since {}, {}, {known}",
            alarm.rule,
            alarm.about,
            alarm.sentence,
            alarm.since,
            alarm.telling()
        )?;
    }
    for channel in &status.channels {
        if !channel.remark.is_empty() {
            writeln!(
                out,
                "CHANNEL  {} ({}) took the last alarm, but not for {}",
                channel.name, channel.kind, channel.remark
            )?;
        }
        let Some(since) = channel.failing_since else {
            continue;
        };
        writeln!(
            out,
            "CHANNEL  {} ({}) takes no alarms since {since}: {}; {} wait, {} given up",
            channel.name, channel.kind, channel.failure, channel.waiting, channel.given_up
        )?;
    }
    Ok(())
}

/// Draws a bar for each study that is not handed off.
pub fn bars(status: &Status) {
    let Ok(style) = ProgressStyle::with_template("  {msg:<32} [{bar:30}] {pos}/{len}") else {
        return;
    };
    let all = MultiProgress::new();
    for study in &status.queue.studies {
        if study.state == "handed-off" {
            continue;
        }
        let bar = all.add(ProgressBar::new(study.at_site));
        bar.set_style(style.clone().progress_chars("=> "));
        bar.set_message(format!(
            "{} {} {}",
            study.case, study.modalities, study.state
        ));
        bar.set_position(study.receipted);
        bar.abandon();
    }
}

fn link(status: &Status) -> String {
    let Some(link) = &status.link else {
        return "unknown: no process".to_owned();
    };
    let text = |key: &str| link.get(key).and_then(|v| v.as_str()).unwrap_or_default();
    let time = |key: &str| {
        let at = link.get(key).and_then(serde_json::Value::as_i64);
        at.map_or_else(String::new, |at| ago(status.at, Timestamp(at)))
    };
    match text("state") {
        "up" => format!(
            "up since {} to {} ({}); {}",
            time("since"),
            text("address"),
            text("gateway"),
            traffic(link.get("traffic"))
        ),
        "down" => format!(
            "down since {}: {}; tried next {}",
            time("since"),
            text("sentence"),
            time("next_try")
        ),
        _ => "connecting".to_owned(),
    }
}

/// What the line is like and what has gone over it.
fn traffic(traffic: Option<&serde_json::Value>) -> String {
    let number = |key: &str| {
        let value = traffic.and_then(|traffic| traffic.get(key));
        value.and_then(serde_json::Value::as_u64).unwrap_or(0)
    };
    format!(
        "round trip {} ms, up to {} kbit/s lately, {} MB sent of which {} kB twice",
        number("round_trip_us") / 1000,
        number("kbit_s"),
        number("sent_bytes") / 1_000_000,
        number("lost_bytes") / 1000
    )
}

fn study_line(study: &StudyLine) -> String {
    let mut line = format!(
        "{} {} {} {}, {}: {} at the site, {} at the gateway",
        study.case,
        study.modalities,
        study.purpose,
        study.priority,
        study.state,
        study.at_site,
        study.receipted
    );
    if study.withheld > 0 {
        line.push_str(&format!(", {} withheld", study.withheld));
    }
    line
}

/// Writes the cases that `where` found. Names appear here and nowhere else.
///
/// # Errors
/// As the output says.
pub fn cases(out: &mut impl Write, cases: &[Case]) -> io::Result<()> {
    for case in cases {
        writeln!(
            out,
            "{}  {}  patient ID {}  accession {}  {}",
            case.case,
            clean(&case.patient_name),
            clean(&case.patient_id),
            clean(&case.accession),
            clean(&case.description)
        )?;
        for event in &case.events {
            writeln!(out, "  {}  {}", event.at, clean(&event.what))?;
        }
        if !case.waits_for.is_empty() {
            writeln!(out, "  waits for {}", case.waits_for)?;
        }
        if let Some(erasure) = &case.erasure {
            gone(out, erasure)?;
        }
    }
    Ok(())
}

/// Writes what the gateway has deleted of a study, and who had opened it (P17).
fn gone(out: &mut impl Write, erasure: &Erasure) -> io::Result<()> {
    writeln!(
        out,
        "  deleted at the gateway {}: {} object(s), {} in part, {} bytes; {} signed document(s) stay",
        erasure.at, erasure.objects, erasure.parts, erasure.bytes, erasure.reports
    )?;
    if !erasure.recalled {
        return Ok(());
    }
    if erasure.opened.is_empty() {
        writeln!(out, "  nobody had opened it")?;
    }
    for one in &erasure.opened {
        writeln!(
            out,
            "  opened by {} ({}, {}): {}, first {}, last {}",
            clean(&one.name),
            clean(&one.account),
            clean(&one.organisation),
            clean(&one.what.join(", ")),
            one.first,
            one.last
        )?;
    }
    if erasure.more > 0 {
        writeln!(out, "  and by {} more", erasure.more)?;
    }
    Ok(())
}

/// Writes what a person may have to decide.
///
/// # Errors
/// As the output says.
pub fn held(out: &mut impl Write, held: &[Held]) -> io::Result<()> {
    for line in held {
        writeln!(out, "{}  {}  {}", line.case, line.count, clean(&line.why))?;
    }
    Ok(())
}

/// Writes the reports whose patient is in question, both sets one under the other. Names appear here and nowhere else.
///
/// # Errors
/// As the output says.
pub fn mismatches(out: &mut impl Write, reports: &[Mismatch]) -> io::Result<()> {
    for report in reports {
        writeln!(
            out,
            "{}  report {}: {}, {}",
            report.case, report.report, report.state, report.sentence
        )?;
        if !report.names.is_empty() {
            writeln!(out, "  its own words hold the patient's {}", report.names)?;
        }
        if report.state == "done" {
            continue;
        }
        if let Some(ours) = &report.ours {
            home(out, "ours", ours)?;
        }
        for (number, theirs) in (1..).zip(&report.theirs) {
            home(out, &format!("pacs-{number}"), theirs)?;
        }
    }
    Ok(())
}

fn home(out: &mut impl Write, whose: &str, home: &Home) -> io::Result<()> {
    let accessions: Vec<String> = home
        .accessions
        .iter()
        .map(|one| clean(one.reveal()))
        .collect();
    writeln!(
        out,
        "  {whose:<7} patient ID {}  issuer {}  {}  born {}  sex {}  accession {}",
        clean(home.id.reveal()),
        clean(home.issuer.reveal()),
        clean(home.name.reveal()),
        clean(home.birth_date.reveal()),
        clean(home.sex.reveal()),
        accessions.join(", ")
    )
}

/// Text of a header may hold anything; a terminal must not obey it.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

fn ago(now: Timestamp, at: Timestamp) -> String {
    let (past, future) = (now.since(at), at.since(now));
    if at > now {
        format!("in {} s", future.as_secs())
    } else {
        format!("{at} ({} s ago)", past.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_cannot_command_the_terminal() {
        let case = Case {
            case: "X".to_owned(),
            patient_name: "A\u{1b}[2J\r\nB".to_owned(),
            patient_id: String::new(),
            accession: String::new(),
            description: String::new(),
            study: String::new(),
            priority: String::new(),
            state: String::new(),
            waits_for: String::new(),
            events: vec![],
            erasure: None,
        };
        let mut out = Vec::new();
        cases(&mut out, &[case]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            !text.contains('\u{1b}') && text.lines().count() == 1,
            "{text:?}"
        );
    }
}
