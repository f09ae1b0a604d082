//! `doctor`: every part is looked at and said to be good, worth a remark, or at fault, each in one line; what is not good says what
//! to do.

mod home;

use std::fmt::Display;
use std::io::{self, Write};

use causeway_certs::enrol::{Credentials, Renewal};
use causeway_observe::Telling;
use causeway_proto::time::Timestamp;

use super::{clock, keys, look, open_spool, random, system};
use crate::audit;
use crate::config::Config;
use crate::link::enrol::enrolled_at;
use crate::link::firewall::Request;
use crate::observe::control::{self, Answer, Ask, ControlError};
use crate::observe::watch;
use crate::spool::{Admission, Spool};

/// Writes the findings; answers whether there was no fault.
struct Chart<'a, W> {
    out: &'a mut W,
    healthy: bool,
}

impl<W: Write> Chart<'_, W> {
    fn good(&mut self, what: impl Display) -> io::Result<()> {
        writeln!(self.out, "good    {what}")
    }

    fn remark(&mut self, what: impl Display) -> io::Result<()> {
        writeln!(self.out, "remark  {what}")
    }

    fn fault(&mut self, what: impl Display) -> io::Result<()> {
        self.healthy = false;
        writeln!(self.out, "FAULT   {what}")
    }
}

/// Examines everything. Answers whether no fault was found.
///
/// # Errors
/// When nothing can be written.
pub async fn examine(config: &Config, out: &mut impl Write) -> anyhow::Result<bool> {
    let mut chart = Chart { out, healthy: true };
    for remark in config.remarks() {
        chart.remark(remark)?;
    }
    match system::unsafe_file_system(&config.spool) {
        Some(kind) => chart.fault(format!(
            "the spool lies on {kind}, where a power cut loses what was promised: move it to a disk of this machine"
        ))?,
        None => chart.good(format!("the spool lies in {}", config.spool.display()))?,
    }
    certificate(config, clock().now(), &mut chart)?;
    match control::ask(&config.spool, &Ask::Status).await {
        Ok(Answer::Status(status)) => {
            running(&status, &mut chart)?;
        }
        Ok(_) => chart.fault("the running agent gave no status")?,
        Err(ControlError::NotRunning) => {
            chart.remark(
                "the agent is not running, so the link was not tried: start it with `run`",
            )?;
            match open_spool(config).await {
                Ok(spool) => {
                    stopped(&spool, &mut chart)?;
                    spool.close().await;
                }
                Err(error) => chart.fault(format!("the spool does not open: {error:#}"))?,
            }
        }
        Err(error) => chart.fault(format!("the running agent does not answer: {error}"))?,
    }
    trail(config, &mut chart).await?;
    home::exported(config, &mut chart).await?;
    home::pacs(config, &mut chart).await?;
    home::destinations(config, &mut chart).await?;
    home::fonts(config, &mut chart)?;
    Ok(chart.healthy)
}

/// Writes what the network team has to let through, and what passes now. Answers whether the link can come up.
///
/// # Errors
/// When nothing can be written.
pub async fn firewall(config: &Config, out: &mut impl Write) -> anyhow::Result<bool> {
    let enrolment = enrolled_at(&keys(&config.spool));
    let enrolment = enrolment.as_deref().unwrap_or(&config.gateway.address);
    let request = Request::look(&config.gateway, enrolment, &random()).await;
    write!(out, "{request}")?;
    Ok(request.passes())
}

/// Sends a message through each channel of alarms and writes what each made of it. Answers whether all of them took it.
///
/// # Errors
/// When nothing can be written.
pub async fn test_alarm(config: &Config, out: &mut impl Write) -> anyhow::Result<bool> {
    let mut chart = Chart { out, healthy: true };
    let site = Credentials::load(&keys(&config.spool));
    let site = site.map_or_else(|_| "-".to_owned(), |it| it.site().to_string());
    let telling = Telling::test(watch::source(&site), clock().now());
    let found = causeway_observe::test(&config.alarms, &telling).await;
    if found.is_empty() {
        chart.fault(
            "alarms has no channel: nothing leaves this machine; see [alarms] in the configuration",
        )?;
    }
    for one in found {
        let channel = format!("{} ({})", one.name, one.kind);
        match (one.failure, one.remark) {
            (None, None) => chart.good(format!("{channel} took it"))?,
            (None, Some(but)) => chart.fault(format!("{channel} took it, but not for {but}"))?,
            (Some(why), _) => chart.fault(format!("{channel}: {why}"))?,
        }
    }
    Ok(chart.healthy)
}

fn certificate<W: Write>(
    config: &Config,
    now: Timestamp,
    chart: &mut Chart<'_, W>,
) -> io::Result<()> {
    let credentials = match Credentials::load(&keys(&config.spool)) {
        Ok(credentials) => credentials,
        Err(error) => return chart.fault(error),
    };
    let validity = credentials.validity();
    if now < validity.not_before {
        return chart.fault(format!(
            "the clock says {now}, but the certificate is valid from {}: set the clock",
            validity.not_before
        ));
    }
    let said = format!(
        "site {}, certificate until {}",
        credentials.site(),
        validity.not_after
    );
    match credentials.renewal(now) {
        Renewal::NotYet => chart.good(said),
        Renewal::Due => chart.remark(format!("{said}: its renewal is due")),
        Renewal::Only => chart.fault(format!("{said}: it has ended and can only be renewed")),
        Renewal::TooLate => {
            chart.fault(format!("{said}: it has ended; enrol again with a new code"))
        }
    }
}

fn running<W: Write>(
    status: &crate::observe::status::Status,
    chart: &mut Chart<'_, W>,
) -> io::Result<()> {
    match status.admission.as_deref() {
        Some("open") => chart.good("the disk has room")?,
        Some("congested") => {
            chart.remark("the disk is below its soft floor: new associations are turned away until there is room; make some")?
        }
        _ => chart.fault(
            "nothing is received: the disk is below its hard floor (make room), or promised bytes are missing (see `held`)",
        )?,
    }
    let state = status.link.as_ref().and_then(|l| l.get("state"));
    match state.and_then(|s| s.as_str()) {
        Some("up") => {
            let remark = status.link.as_ref().and_then(|l| l.get("remark"));
            match remark.and_then(|r| r.as_str()) {
                Some(remark) => chart.remark(format!("the link is up: {remark}"))?,
                None => chart.good("the link is up")?,
            }
        }
        Some(other) => chart.fault(format!(
            "the link is {other}: {}",
            status
                .last_error
                .as_deref()
                .unwrap_or("it has not come up yet")
        ))?,
        None => chart.fault("the link says nothing of itself")?,
    }
    if status.queue.lost > 0 {
        chart.fault(format!(
            "{} instance(s) whose bytes are missing or damaged: have the PACS send them again, or put the disk back; see `held`",
            status.queue.lost
        ))?;
    }
    if status.queue.unentered > 0 {
        chart.fault(format!(
            "{} received object(s) are refused their rows; see `held`",
            status.queue.unentered
        ))?;
    }
    if status.queue.conflicts > 0 {
        chart.remark(format!(
            "{} conflict(s) kept aside; see `held`",
            status.queue.conflicts
        ))?;
    }
    Ok(())
}

fn stopped<W: Write>(spool: &Spool, chart: &mut Chart<'_, W>) -> io::Result<()> {
    let recovery = spool.recovery();
    if recovery.lost > 0 {
        chart.fault(format!(
            "{} instance(s) whose bytes are missing: safe mode, nothing is received; see `held` and `accept-loss`",
            recovery.lost
        ))?;
    }
    if recovery.lost_reports > 0 {
        chart.fault(format!(
            "{} report(s) whose bytes are missing: the gateway sends them again once the agent runs",
            recovery.lost_reports
        ))?;
    }
    if recovery.orphans > 0 {
        chart.remark(format!(
            "{} file(s) without a row, from a crash before success was said; removed after an hour of running",
            recovery.orphans
        ))?;
    }
    match spool.admission() {
        Admission::Open => chart.good("the spool opens, and the disk has room"),
        Admission::Congested => chart.remark(
            "the disk is below its soft floor, of bytes or of files: make room, or new associations are turned away",
        ),
        Admission::Full => {
            chart.fault("nothing would be received: make room on the disk of the spool")
        }
    }
}

/// Reads the audit trail back, and says what is in doubt.
async fn trail<W: Write>(config: &Config, chart: &mut Chart<'_, W>) -> io::Result<()> {
    let looked = async {
        let rows = look(config).await?;
        let found = audit::verify(&mut *rows.read().acquire().await?, &[]).await?;
        let doubts = audit::witness::standing(&rows).await?;
        rows.close().await;
        anyhow::Ok((found, doubts))
    };
    let (found, doubts) = match looked.await {
        Ok(looked) => looked,
        Err(error) => return chart.fault(format!("the audit trail cannot be read: {error:#}")),
    };
    match found {
        Ok(head) => chart.good(format!("the audit trail is whole: {head}"))?,
        Err(broken) => chart.fault(broken)?,
    }
    doubts.into_iter().try_for_each(|doubt| chart.fault(doubt))
}
