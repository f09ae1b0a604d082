//! What waits for a person: blocked cases, withheld objects, reports on their way that need a hand.

use axum::extract::{Query, State};
use causeway_proto::ids::CaseCode;
use maud::{Markup, html};
use serde::Deserialize;

use super::answer::Refusal;
use super::session::Person;
use super::shell::{self, code, level, name, said, time};
use super::{Page, find, mismatch, talk, withdrawn};
use crate::delivery::view::{self as reports, Line};
use crate::observe::alarm::{self, Alarm};
use crate::spool::view::{self, Held};
use crate::spool::withheld::{self, Blocked, Group};
use crate::talk as words;

/// What was just done.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Done {
    pub(super) said: Option<String>,
    /// To how many objects.
    pub(super) count: Option<u64>,
}

/// The page.
pub(super) async fn show(
    State(page): State<Page>,
    Query(done): Query<Done>,
    person: Person,
) -> Result<Markup, Refusal> {
    let rows = page.desk.spool.rows();
    let blocked = withheld::blocked(rows).await?;
    let groups = withheld::undecided(rows).await?;
    let mismatches = reports::mismatches(rows).await?;
    let taken_back = reports::withdrawals(rows).await?;
    let stuck: Vec<Line> = reports::standing(rows)
        .await?
        .into_iter()
        .filter(|line| {
            matches!(
                line.state.as_str(),
                "waiting" | "unknown" | "held" | "not-taken" | "rejected"
            )
        })
        .collect();
    let others: Vec<Held> = view::held(rows)
        .await?
        .into_iter()
        .filter(|held| !held.why.starts_with("withheld: "))
        .collect();
    let questions = words::questions(rows).await?;
    let nothing = blocked.is_empty()
        && taken_back.is_empty()
        && questions.is_empty()
        && mismatches.is_empty()
        && groups.is_empty()
        && stuck.is_empty()
        && others.is_empty();
    let lately = view::lately(rows, 8).await?;
    let body = html! {
        h1 { "Work" }
        (said(&done))
        div data-refresh="15" {
            (alarmed(&alarm::of(&groups)))
            @if nothing {
                div.empty { strong { "Nothing waits for a person" } "What needs you appears here by itself." }
            }
            (withdrawn::section(&person, &taken_back))
            (talk::questions(&questions))
            @if !blocked.is_empty() { (blocks(&blocked)) }
            (mismatch::section(&person, &mismatches))
            @if !groups.is_empty() { (objects(&groups)) }
            @if !stuck.is_empty() { (deliveries(&stuck)) }
            @if !others.is_empty() { (held(&others)) }
            section aria-labelledby="lately" {
                h2 id="lately" { "Received last" }
                @if lately.is_empty() {
                    p.dim { "Nothing has been received here yet." }
                } @else { (find::table(&lately)) }
            }
        }
    };
    Ok(shell::page(Some(&person), "/work", "Work", &body))
}

fn alarmed(alarms: &[Alarm]) -> Markup {
    html! {
        @if !alarms.is_empty() {
            div.alert role="alert" {
                strong { "Urgent, and not all of it has left" }
                ul.plain { @for one in alarms {
                    li {
                        (link(&one.case)) " " (level(&one.priority)) " " (one.count) @if one.count == 1 { " object is withheld: " } @else { " objects are withheld: " }
                        (one.reason) ". " a href={ "/case/" (one.case) "#withheld" } { "Decide" }
                    }
                } }
            }
        }
    }
}

fn blocks(blocked: &[Blocked]) -> Markup {
    html! {
        section aria-labelledby="blocked" {
            h2 id="blocked" { "Blocked: nobody can sign these" }
            div.scroll { table {
                thead { tr { th scope="col" { "Case" } th scope="col" { "Patient" } th scope="col" { "Why" } th scope="col" { span.unseen { "Decide" } } } }
                tbody { @for one in blocked {
                    tr {
                        td { (link(&one.case)) }
                        td { (name(one.patient.reveal())) div.dim { (one.patient_id.reveal()) } }
                        td { (one.sentence) @if one.kept { div.dim { "decided: it stays so" } } }
                        td.act { a.button href={ "/case/" (one.case) "#block" } { @if one.kept { "Look" } @else { "Decide" } } }
                    }
                } }
            } }
        }
    }
}

fn objects(groups: &[Group]) -> Markup {
    html! {
        section aria-labelledby="withheld" {
            h2 id="withheld" { "Withheld: these objects stay here until you decide" }
            p.dim { "Each study has gone without them; the reader sees that they exist." }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "Case" } th scope="col" { "Patient" } th scope="col" { "What" } th scope="col" { "Why" }
                    th scope="col" { "Since" } th scope="col" { span.unseen { "Decide" } }
                } }
                tbody { @for one in groups {
                    tr.urgent[one.priority == "urgent"].stat[one.priority == "stat"] {
                        td { (link(&one.case)) @if matches!(one.priority.as_str(), "stat" | "urgent") { " " (level(&one.priority)) } }
                        td { (name(one.patient.reveal())) }
                        td { (one.count) " × " (shell::class(&one.class)) @if !one.modality.is_empty() { span.dim { " " (one.modality) } } }
                        td {
                            (one.reason)
                            @if !one.released.is_empty() { div.warn { "withheld again after " (one.released) " had released it" } }
                        }
                        td.when { (time(one.since)) }
                        td.act { a.button href={ "/case/" (one.case) "#withheld" } { "Decide" } }
                    }
                } }
            } }
        }
    }
}

fn deliveries(stuck: &[Line]) -> Markup {
    html! {
        section aria-labelledby="deliveries" {
            h2 id="deliveries" { "Reports that have not arrived" }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "Case" } th scope="col" { "Report" } th scope="col" { "To" } th scope="col" { "State" }
                    th scope="col" { "Next try" } th scope="col" { span.unseen { "Decide" } }
                } }
                tbody { @for one in stuck {
                    tr {
                        td { @match one.case.parse() { Ok(case) => { (link(&case)) } Err(_) => { (one.case) } } }
                        td { (one.status) }
                        td { (one.destination) }
                        td { span.state { (one.state) } " " (one.sentence) }
                        td.when { @match one.next_try { Some(at) => { (time(at)) } None => { span.dim { "when a person says so" } } } }
                        td.act { a.button href={ "/case/" (one.case) "#reports" } { "Look" } }
                    }
                } }
            } }
        }
    }
}

fn held(others: &[Held]) -> Markup {
    html! {
        section aria-labelledby="held" {
            h2 id="held" { "Also held" }
            ul.plain { @for one in others {
                li { @match one.case.parse() { Ok(case) => { (link(&case)) } Err(_) => { (one.case) } } " " (one.count) " × " (one.why) }
            } }
        }
    }
}

/// The word for a case, leading to it.
pub(super) fn link(case: &CaseCode) -> Markup {
    html! { a.code-link href={ "/case/" (case) } { (code(case)) } }
}
