//! What became of a study that was taken back, or whose time at the gateway is over: on the case page, and as a record for paper.

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::Page;
use super::answer::Refusal;
use super::case::parsed;
use super::session::Person;
use super::shell::{self, bytes, code, name, time};
use crate::observe::status;
use crate::spool::erasure::{Erasure, Opened};
use crate::spool::view::Case;

/// What stands on the case page; nothing while everything is where it was.
pub(super) fn section(of: &Case) -> Markup {
    let recalled = of.state == "recalled";
    if !recalled && of.erasure.is_none() {
        return html! {};
    }
    html! {
        section id="gone" aria-labelledby="gone-title" {
            h2 id="gone-title" { @if recalled { "Taken back" } @else { "At the gateway" } }
            (gone(of))
            @if recalled { div.buttons.left { a.button href={ "/case/" (of.case) "/record" } { "Record for printing" } } }
        }
    }
}

fn gone(of: &Case) -> Markup {
    let recalled = of.state == "recalled";
    html! {
        @match &of.erasure {
            Some(erasure) if erasure.recalled == recalled => { (receipt(erasure)) @if recalled { (who(erasure)) } },
            _ if recalled && of.waits_for.is_empty() => p { "Nothing of it had left this site." },
            _ => p.warn { "Not confirmed yet. It waits for " (of.waits_for) "." },
        }
    }
}

fn receipt(erasure: &Erasure) -> Markup {
    html! {
        p {
            "The gateway has deleted " strong { (erasure.objects) @if erasure.objects == 1 { " object" } @else { " objects" } }
            @if erasure.parts > 0 { " and " (erasure.parts) " that had arrived only in part" }
            ", " (bytes(erasure.bytes)) ", " (time(erasure.at)) "."
            @if !erasure.recalled { " Their time under the agreement was over." }
        }
        @if erasure.reports > 0 {
            p.warn {
                (erasure.reports) @if erasure.reports == 1 { " signed report stays" } @else { " signed reports stay" }
                ": what is signed is never deleted. "
                @if erasure.recalled { "The reader is asked to withdraw it; until then say where your systems hold it that it must not be used." }
                @else { "If it must not be used, say so where your systems hold it." }
            }
        }
    }
}

fn who(erasure: &Erasure) -> Markup {
    html! {
        h3 { "Who had opened it" }
        @if erasure.opened.is_empty() { p { "Nobody." } } @else {
            div.scroll { table {
                thead { tr { th { "Person" } th { "Organisation" } th { "What" } th { "First" } th { "Last" } } }
                tbody { @for one in &erasure.opened { (row(one)) } }
            } }
            @if erasure.more > 0 { p.warn { "And " (erasure.more) " more: ask the gateway’s operator for the whole list." } }
            p.dim { "From the audit trail of the gateway, by its clock." }
        }
    }
}

fn row(one: &Opened) -> Markup {
    html! {
        tr {
            td { (one.name) " " span.dim { (one.account) } }
            td { (one.organisation) }
            td { (words(one)) }
            td { (time(one.first)) }
            td { (time(one.last)) }
        }
    }
}

/// What was opened, in a person's words.
pub(super) fn words(one: &Opened) -> String {
    let words: Vec<&str> = one
        .what
        .iter()
        .map(|word| match word.as_str() {
            "case" => "the case and its data",
            "images" => "images",
            "download" => "whole objects, which can be kept",
            "report" => "the report",
            other => other,
        })
        .collect();
    words.join(", ")
}

/// The record for the file of a breach (P17), with the patient's name: it is the hospital's own.
pub(super) async fn show(
    State(page): State<Page>,
    Path(address): Path<String>,
    person: Person,
) -> Result<Markup, Refusal> {
    let case = parsed(&address)?;
    let found = status::find(page.desk.spool.rows(), case.as_str()).await?;
    let of = found.into_iter().find(|one| one.case == case.as_str());
    let Some(of) = of.filter(|of| of.state == "recalled") else {
        return Err(Refusal::none("No study of this case code was taken back."));
    };
    let body = html! {
        div.tools {
            a href={ "/case/" (case) } { "Back to the case" }
            button type="button" data-act="print" hidden { "Print" }
        }
        article.paper {
            header {
                p.who { (name(&of.patient_name)) }
                p { "ID " (of.patient_id) @if !of.accession.is_empty() { " · accession " (of.accession) } }
                p { (of.description) }
                p { "Case " (code(&case)) " · study " (of.study) }
            }
            p.first-line { "TAKEN BACK" }
            (gone(&of))
            h3 { "What has happened" }
            ol.timeline { @for event in &of.events { li { (time(event.at)) span { (event.what) } } } }
            footer { "Printed from the site page by " (person.name) ". The audit trails of the site and of the gateway hold the same." }
        }
    };
    let title = format!("Record of {case}");
    Ok(shell::page(Some(&person), "", &title, &body))
}
