//! `doctor`: looks at what a gateway stands on, one line for each thing, and ends with 6 when one is not right.

use std::path::Path;

use anyhow::anyhow;
use causeway_certs::identity::validity_of;
use causeway_proto::time::Timestamp;

use super::super::{Failure, Opened, open, system_clock, system_random};
use super::Out;
use crate::config::Config;
use crate::{audit, directory};

/// Before this the clock has certainly not been set.
const BUILT: Timestamp = Timestamp(1_760_000_000_000_000);

pub(super) async fn run(config: &Config, out: &Out) -> Result<(), Failure> {
    let mut faults = 0_u32;
    let mut say = |what: &str, found: Result<String, String>| {
        let line = match found {
            Ok(said) => format!("ok       {what}: {said}"),
            Err(said) => {
                faults = faults.saturating_add(1);
                format!("PROBLEM  {what}: {said}")
            }
        };
        out.line(&line)
    };
    let clock = system_clock();
    let now = clock.now();
    say(
        "clock",
        if now > BUILT {
            Ok(now.to_string())
        } else {
            Err(format!("it says {now}: set it"))
        },
    )?;
    say("data", folder(&config.data))?;
    say(
        "time zones",
        jiff::tz::TimeZone::get("Europe/Athens")
            .map(|_| "known".to_owned())
            .map_err(|error| format!("{error}: install tzdata")),
    )?;
    match open(config, clock, system_random()).await {
        Err(failure) => say("rows and keys", Err(failure.to_string()))?,
        Ok(opened) => {
            say(
                "rows and keys",
                Ok("open, at this program's version".to_owned()),
            )?;
            for (what, found) in looked(&opened, now).await {
                say(what, found)?;
            }
            opened.parts.rows.close().await;
        }
    }
    match &config.http.viewer {
        Some(path) => say(
            "viewer",
            crate::http::Viewer::open(path)
                .map(|_| path.display().to_string())
                .map_err(|error| error.to_string()),
        )?,
        None => say(
            "viewer",
            Err("http.viewer is not set: cases show no images".to_owned()),
        )?,
    }
    if faults == 0 {
        Ok(())
    } else {
        Err(Failure::storage(anyhow!(
            "things that are not right: {faults}"
        )))
    }
}

fn folder(path: &Path) -> Result<String, String> {
    let found =
        rustix::fs::statvfs(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize) / 1_000_000_000;
    if free < 2 {
        return Err(format!(
            "{} has {free} GB free: studies will be refused",
            path.display()
        ));
    }
    Ok(format!("{}, {free} GB free", path.display()))
}

async fn looked(opened: &Opened, now: Timestamp) -> Vec<(&'static str, Result<String, String>)> {
    let parts = &opened.parts;
    let authority = |der| match validity_of(der) {
        Some(validity) if validity.holds(now) => Ok(format!("until {}", validity.not_after)),
        Some(validity) => Err(format!(
            "holds from {} to {} only",
            validity.not_before, validity.not_after
        )),
        None => Err("cannot be read".to_owned()),
    };
    let mut found = vec![
        (
            "link authority",
            authority(parts.link_authority.certificate()),
        ),
        (
            "signer authority",
            authority(parts.signer_authority.certificate()),
        ),
    ];
    let chain = match audit::first_break(parts.rows.read()).await {
        Ok(None) => Ok("whole".to_owned()),
        Ok(Some(seq)) => Err(format!("breaks at row {seq}")),
        Err(error) => Err(error.to_string()),
    };
    found.push(("audit chain", chain));
    let doubts = match audit::witness::standing(&parts.rows).await {
        Ok(doubts) if doubts.is_empty() => Ok("no doubt stands".to_owned()),
        Ok(doubts) => {
            let sentences: Vec<String> = doubts.into_iter().map(|doubt| doubt.sentence).collect();
            Err(sentences.join("; "))
        }
        Err(error) => Err(error.to_string()),
    };
    found.push(("audit witnesses", doubts));
    let sites = match directory::sites(&parts.rows).await {
        Ok(sites) if sites.is_empty() => Ok("none yet: `site add` makes one".to_owned()),
        Ok(sites) => Ok(sites.len().to_string()),
        Err(error) => Err(error.to_string()),
    };
    found.push(("sites", sites));
    found
}
