//! `where` for people: one field for a case code, an accession number, a patient ID or a pseudonym. Sent as a form, so that no number
//! of a patient stands in an address.

use axum::extract::State;
use maud::{Markup, html};

use super::Page;
use super::answer::Refusal;
use super::guard::Posted;
use super::session::Person;
use super::shell::{self, level, name, time, token};
use super::work::link;
use crate::observe::status;
use crate::spool::view::{self, Case, Lately};

/// The longest thing to look for, in characters.
const LONGEST: usize = 128;

/// The empty field, and what came last.
pub(super) async fn form(State(page): State<Page>, person: Person) -> Result<Markup, Refusal> {
    let lately = view::lately(page.desk.spool.rows(), 30).await?;
    let body = html! {
        (field(&person, ""))
        section aria-labelledby="lately" {
            h2 id="lately" { "Received last" }
            @if lately.is_empty() {
                p.dim { "Nothing has been received here yet." }
            } @else { (table(&lately)) }
        }
    };
    Ok(shell::page(Some(&person), "/find", "Find", &body))
}

/// What was found.
pub(super) async fn show(State(page): State<Page>, posted: Posted) -> Result<Markup, Refusal> {
    let what: String = posted.get("what").chars().take(LONGEST).collect();
    let cases = match what.is_empty() {
        true => Vec::new(),
        false => status::find(page.desk.spool.rows(), &spoken(&what)).await?,
    };
    let body = html! {
        (field(&posted.person, &what))
        @if what.is_empty() {
            p.dim { "Type a case code, an accession number, a patient ID or a pseudonym." }
        } @else if cases.is_empty() {
            div.empty {
                strong { "Nothing found" }
                "Nothing here has this case code, accession number, patient ID or pseudonym. Type it whole; a case code has eight characters."
            }
        } @else {
            section aria-labelledby="found" {
                h2 id="found" { (cases.len()) @if cases.len() == 1 { " case" } @else { " cases" } }
                ol.found { @for case in &cases { (one(case)) } }
            }
        }
    };
    Ok(shell::page(Some(&posted.person), "/find", "Find", &body))
}

/// A case code is shown, and typed, in two halves.
fn spoken(what: &str) -> String {
    let joined: String = what.split_whitespace().collect::<String>().to_uppercase();
    match joined.parse::<causeway_proto::ids::CaseCode>() {
        Ok(code) => code.to_string(),
        Err(_) => what.to_owned(),
    }
}

fn field(person: &Person, what: &str) -> Markup {
    html! {
        h1 { "Find" }
        form.find method="post" action="/find" role="search" {
            (token(person))
            label for="what" { "Case code, accession number, patient ID or pseudonym" }
            div.row {
                input id="what" name="what" value=(what) autocomplete="off" spellcheck="false" autofocus;
                button.primary { "Find" }
            }
        }
    }
}

fn one(case: &Case) -> Markup {
    let last = case.events.last();
    html! {
        li.card {
            div.head {
                @match case.case.parse() { Ok(code) => { (link(&code)) } Err(_) => { (case.case) } }
                (level(&case.priority)) span.state { (case.state) }
            }
            p.who { (name(&case.patient_name)) span.dim { " ID " (case.patient_id) } }
            p { (case.description) @if !case.accession.is_empty() { span.dim { " accession " (case.accession) } } }
            @if !case.waits_for.is_empty() { p.warn { "waits for " (case.waits_for) } }
            @if let Some(last) = last { p.dim { (time(last.at)) " " (last.what) } }
        }
    }
}

/// Cases as a table.
pub(super) fn table(cases: &[Lately]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { "Case" } th scope="col" { "Patient" } th scope="col" { "ID" } th scope="col" { "Study" }
                th scope="col" { "Level" } th scope="col" { "State" } th scope="col" { "Received" }
            } }
            tbody { @for case in cases {
                tr {
                    td { (link(&case.case)) }
                    td { (name(case.patient_name.reveal())) }
                    td { (case.patient_id.reveal()) }
                    td { (case.description.reveal()) }
                    td { (level(&case.priority)) }
                    td { span.state { (case.state) } }
                    td.when { (time(case.first_received)) }
                }
            } }
        } }
    }
}
