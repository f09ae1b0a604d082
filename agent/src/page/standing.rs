//! How the agent stands: the link, the queue, the disk, the certificate, and each study under way.

use std::time::Duration;

use axum::extract::{Query, State};
use causeway_proto::time::Timestamp;
use maud::{Markup, html};

use super::answer::Refusal;
use super::session::Person;
use super::shell::{self, bytes, level, said, time};
use super::work::{Done, link};
use super::{Page, alarms};
use crate::observe::status::Status;

/// A certificate that ends sooner is named in another colour.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// The page.
pub(super) async fn show(
    State(page): State<Page>,
    Query(done): Query<Done>,
    person: Person,
) -> Result<Markup, Refusal> {
    let status = page.desk.status().await?;
    let body = html! {
        h1 { "Status" }
        (said(&done))
        div data-refresh="5" {
            @if let Some(error) = &status.last_error { p.alert role="alert" { "Last trouble: " (error) } }
            (alarms::section(&person, &status.told, &status.channels))
            div.tiles { (tiles(&status)) }
            (studies(&status))
            p.dim { (status.software) ", as of " (time(status.at)) }
        }
    };
    Ok(shell::page(Some(&person), "/status", "Status", &body))
}

fn tiles(status: &Status) -> Markup {
    let queue = &status.queue;
    let (word, good, more) = line(status);
    html! {
        (tile("Link", &word, good, &more))
        (tile("To send", &format!("{} objects", queue.instances), true, &bytes(queue.bytes)))
        @match status.admission.as_deref() {
            Some("open") => (tile("Disk", "enough space", true, "everything is taken")),
            Some("congested") => (tile("Disk", "getting full", false, "urgent studies are taken, the PACS is asked to wait with the rest")),
            _ => (tile("Disk", "full", false, "nothing is taken: the PACS keeps it and tries again")),
        }
        @if let Some(until) = status.certificate_until { (certificate(until, status.at)) }
        @if queue.lost > 0 { (tile("Missing", &format!("{} objects", queue.lost), false, "their bytes are gone or damaged: have them sent again, or see the handbook, accept-loss")) }
        @if queue.unentered > 0 {
            (tile("Refused", &format!("{} objects", queue.unentered), false, "received and kept, but they go nowhere: ask who supports you"))
        }
        @if queue.without_agreement > 0 {
            (tile("Without agreement", &format!("{} objects", queue.without_agreement), false, "the gateway has named no agreement for them"))
        }
        @if queue.conflicts > 0 {
            (tile("Set aside", &format!("{} objects", queue.conflicts), false, "the same name with other pixels: ask the sender"))
        }
    }
}

/// What the link says of itself, in a word, whether that is good, and more.
fn line(status: &Status) -> (String, bool, String) {
    let link = status.link.as_ref();
    let text = |name: &str| {
        link.and_then(|link| link.get(name))
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    match text("state").as_str() {
        "up" => ("up".to_owned(), true, text("remark")),
        "connecting" => ("connecting".to_owned(), false, text("last_error")),
        "down" => ("down".to_owned(), false, text("sentence")),
        _ => ("not known".to_owned(), false, String::new()),
    }
}

fn certificate(until: Timestamp, now: Timestamp) -> Markup {
    let left = until.since(now);
    let days = left.as_secs() / (24 * 3600);
    tile(
        "Certificate of the link",
        &format!("{days} days left"),
        left > SOON,
        "renewed by itself while the link is up",
    )
}

fn tile(name: &str, word: &str, good: bool, more: &str) -> Markup {
    html! {
        div.tile data-good=(good) {
            h2 { (name) }
            p.word { (word) }
            @if !more.is_empty() { p.dim { (more) } }
        }
    }
}

fn studies(status: &Status) -> Markup {
    let studies = &status.queue.studies;
    html! {
        section aria-labelledby="studies" {
            h2 id="studies" { "Studies under way and of the last day" }
            @if studies.is_empty() { p.dim { "None." } } @else {
                div.scroll { table.counts {
                    thead { tr {
                        th scope="col" { "Case" } th scope="col" { "Level" } th scope="col" { "For" } th scope="col" { "Kind" } th scope="col" { "State" }
                        th.number scope="col" { "Received" } th.number scope="col" { "At the gateway" } th.number scope="col" { "Withheld" } th scope="col" { "Last" }
                    } }
                    tbody { @for one in studies.iter().rev() {
                        tr {
                            td { @match one.case.parse() { Ok(case) => { (link(&case)) } Err(_) => { (one.case) } } }
                            td { (level(&one.priority)) }
                            td { (one.purpose) }
                            td { (one.modalities) }
                            td { span.state { (one.state) } }
                            td.number { (one.at_site) }
                            td.number { (one.receipted) }
                            td.number { (one.withheld) }
                            td.when { (time(one.last_received)) }
                        }
                    } }
                } }
            }
        }
    }
}
