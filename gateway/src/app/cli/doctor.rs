//! `doctor`: looks at what a gateway stands on, one line for each thing, and ends with 6 when one is not right.

use std::time::Duration;

use anyhow::anyhow;
use causeway_certs::identity::validity_of;
use causeway_observe::Telling;
use causeway_proto::time::Timestamp;

use super::super::{Failure, Opened, backup, open, ready, system_clock, system_random};
use super::Out;
use crate::archive::floor::{Floor, Level};
use crate::archive::{fault, scrub};
use crate::config::Config;
use crate::parts::Parts;
use crate::report::elsewhere;
use crate::{alarm, audit, deletion, directory};

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
    say("clock", ready::is_sane(now, None).map(|()| now.to_string()))?;
    say("data", folder(config).await)?;
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

/// Sends a message through each channel of alarms and prints what each made of it; ends with 5 when one did not take it.
pub(super) async fn test_alarm(config: &Config, out: &Out) -> Result<(), Failure> {
    let source = alarm::source(&config.http.public_url);
    let telling = Telling::test(source, system_clock().now());
    let found = causeway_observe::test(&config.alarms, &telling).await;
    if found.is_empty() {
        return Err(Failure::config(anyhow!(
            "alarms has no channel: nothing leaves this machine; see [alarms] in the configuration"
        )));
    }
    let mut faults = 0_u32;
    for one in found {
        let channel = format!("{} ({})", one.name, one.kind);
        let problem = match (one.failure, one.remark) {
            (None, None) => {
                out.line(&format!("ok       {channel} took it"))?;
                continue;
            }
            (None, Some(but)) => format!("PROBLEM  {channel} took it, but not for {but}"),
            (Some(why), _) => format!("PROBLEM  {channel}: {why}"),
        };
        faults = faults.saturating_add(1);
        out.line(&problem)?;
    }
    match faults {
        0 => Ok(()),
        _ => Err(Failure::elsewhere(anyhow!(
            "channels that did not take it: {faults}"
        ))),
    }
}

async fn folder(config: &Config) -> Result<String, String> {
    let floor = Floor::new(&config.data, config.archive.disk.clone());
    let path = config.data.display();
    let (level, sentence) = floor.told().map_err(|error| ready::of(&error))?;
    if level != Level::Room {
        return Err(format!("{path}: {sentence}"));
    }
    let written = floor.try_to_write().await;
    written.map_err(|error| ready::of(&error))?;
    Ok(format!("{path}, {sentence}"))
}

async fn looked(opened: &Opened, now: Timestamp) -> Vec<(&'static str, Result<String, String>)> {
    let parts = &opened.parts;
    let authority = |what, der| {
        let end = validity_of(der).map(|validity| validity.not_after.to_string());
        ready::holds(what, der, now).map(|()| format!("until {}", end.unwrap_or_default()))
    };
    let (link, signer) = (&parts.link_authority, &parts.signer_authority);
    let mut found = vec![
        (
            "link authority",
            authority("the link authority", link.certificate()),
        ),
        (
            "signer authority",
            authority("the signer authority", signer.certificate()),
        ),
        ("last record", last_record(parts, now).await),
        ("room for rows", reserve(opened)),
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
    found.push(("blobs", blobs(parts).await));
    found.push(("last backup", last_backup(parts, now).await));
    found.push(("since the restore", since_restore(parts).await));
    found
}

fn reserve(opened: &Opened) -> Result<String, String> {
    match opened.parts.rows.reserve() {
        None => Ok("none is to be held".to_owned()),
        Some(reserve) if reserve.is_held() => Ok("held".to_owned()),
        Some(_) if opened.archive.floor.level() == Level::Room => {
            Ok("not held: no gateway serves from here yet".to_owned())
        }
        Some(_) => Err("given back to them: nothing else was left on the disk".to_owned()),
    }
}

/// So old a backup may be.
const OLD: Duration = Duration::from_secs(2 * 24 * 3600);

async fn last_backup(parts: &Parts, now: Timestamp) -> Result<String, String> {
    let last = backup::last(&parts.rows).await;
    match last.map_err(|error| ready::of(&error))? {
        None => Ok("none was made: `backup FOLDER` makes one while the gateway serves".to_owned()),
        Some(at) if now.since(at) > OLD => Err(format!(
            "of {at}: what agents keep no longer than 72 hours is all that can come back beyond it"
        )),
        Some(at) => Ok(format!("of {at}")),
    }
}

async fn blobs(parts: &Parts) -> Result<String, String> {
    let told = |error: sqlx::Error| ready::of(&error);
    let (damaged, gone) = fault::standing(&parts.rows).await.map_err(told)?;
    if damaged > 0 {
        return Err(ready::told(damaged, gone));
    }
    let unread = scrub::unread(&parts.rows).await.map_err(told)?;
    if unread > 0 {
        return Err(format!(
            "of those that are read again {unread} could not be read or judged: look at the disk, and into the log"
        ));
    }
    let last = scrub::last_pass(&parts.rows).await.map_err(told)?;
    Ok(last.map_or_else(
        || "none is known to be damaged; not all of them have been read again yet".to_owned(),
        |at| format!("none is damaged; all of them were read again by {at}"),
    ))
}

async fn since_restore(parts: &Parts) -> Result<String, String> {
    let told = |error: sqlx::Error| ready::of(&error);
    let restored = directory::last_restore(&parts.rows).await.map_err(told)?;
    let Some((at, taken)) = restored else {
        return Ok("there was none".to_owned());
    };
    let open = elsewhere::open(&parts.rows).await.map_err(told)?.len();
    let waiting = elsewhere::waiting(&parts.rows).await.map_err(told)?.len();
    let kept = deletion::strays_kept(&parts.rows).await.map_err(told)?;
    let mut said = format!("{at}, to a backup of {taken}");
    if kept > 0 {
        said.push_str(&format!(
            "; blobs from between the two that no row names, and that are kept: {kept}"
        ));
    }
    if open + waiting == 0 {
        return Ok(said);
    }
    Err(format!(
        "{said}: sites that were not heard of all their studies: {waiting}; signed reports that only their site has: {open} (`restored list`)"
    ))
}

async fn last_record(parts: &Parts, now: Timestamp) -> Result<String, String> {
    let last = audit::last_at(parts.rows.read()).await;
    let last = last.map_err(|error| ready::of(&error))?;
    ready::is_sane(now, last)?;
    Ok(last.map_or_else(|| "none yet".to_owned(), |last| format!("of {last}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_test_alarm_ends_as_its_worst_channel() {
        let mut config = crate::config::parse("gateway.toml", "data = \"/nowhere\"").unwrap();
        let mut ends = async |programs: &[&str]| {
            let one = |path: &&str| serde_json::json!({ "name": path.replace('/', "-"), "program": path });
            let all: Vec<_> = programs.iter().map(one).collect();
            config.alarms = serde_json::from_value(serde_json::json!({ "command": all })).unwrap();
            test_alarm(&config, &Out)
                .await
                .map_err(|failure| failure.code())
        };
        assert_eq!(ends(&[]).await, Err(3));
        assert_eq!(ends(&["/bin/true"]).await, Ok(()));
        assert_eq!(ends(&["/bin/true", "/bin/false"]).await, Err(5));
    }
}
