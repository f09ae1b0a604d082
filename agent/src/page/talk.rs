//! What the reader should know of a case, and letters with its readers: typed here, shown as it leaves, sent when a person has seen what
//! was taken out.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use causeway_proto::digest::Digest;
use causeway_proto::ids::CaseCode;
use causeway_proto::link::message::Facts;
use maud::{Markup, html};

use super::Page;
use super::answer::Refusal;
use super::case::parsed;
use super::guard::Posted;
use super::session::Person;
use super::shell::{self, code, level, name, time, token};
use super::work::link;
use crate::protect::typed::REMOVED;
use crate::talk::{Line, Question, Removal, Said, Standing, Talk};

/// Every field of a context: its name, its word, and what may stand there.
const FIELDS: [(&str, &str, &str); 9] = [
    ("question", "Clinical question", ""),
    ("contrast", "Contrast", "none, or which and how much"),
    ("allergy", "Allergy", "none known"),
    ("renal", "eGFR or creatinine", "with its unit"),
    ("renal_date", "Measured on", "date"),
    ("pregnancy", "Pregnancy", "no, yes, not known"),
    ("weight_kg", "Weight in kg", ""),
    ("call_role", "Whom to call (role)", "ward, emergency doctor"),
    ("call_number", "Number", "it is sent as it stands"),
];

fn word(field: &str) -> &'static str {
    let found = FIELDS.iter().find(|(name, ..)| *name == field);
    found.map_or("Message", |(_, word, _)| *word)
}

fn value<'a>(facts: &'a Facts, field: &str) -> &'a str {
    let found = facts.fields().into_iter().find(|(name, _)| *name == field);
    found.map_or("", |(_, text)| text)
}

fn fields(facts: &Facts, locked: bool) -> Markup {
    html! {
        @for (id, word, hint) in FIELDS {
            @if id == "question" {
                div.wide {
                    label for=(id) { (word) }
                    textarea id=(id) name=(id) rows="3" maxlength="2000" dir="auto" readonly[locked] { (facts.question) }
                }
            } @else {
                div {
                    label for=(id) { (word) }
                    input id=(id) name=(id) value=(value(facts, id)) maxlength="200" dir="auto" autocomplete="off" placeholder=(hint) readonly[locked];
                }
            }
        }
    }
}

/// The part of the case page where the context is typed, with a scanned request beside it where there may be one.
pub(super) fn context(
    person: &Person,
    case: &CaseCode,
    said: Option<&Said>,
    recalled: bool,
    scan: Option<&Markup>,
) -> Markup {
    let empty = Facts::default();
    let typed = said.map_or(&empty, |said| &said.typed);
    let locked = !person.decides() || recalled;
    html! {
        section id="context" aria-labelledby="context-title" {
            h2 id="context-title" { "What the reader should know" }
            @match said {
                Some(said) => { (standing(said)) (as_it_leaves(said)) },
                None => p.dim { "No clinical question supplied, and the reader is told so." },
            }
            div.beside[scan.is_some()] {
                @if let Some(scan) = scan { (scan) }
                form.context method="post" action={ "/case/" (case) "/context" } {
                    (token(person))
                    (fields(typed, locked))
                    @if recalled { p.wide.dim { "The study was recalled: nothing more is said about it." } }
                    @else if person.decides() {
                        div.wide.buttons {
                            span.dim { "Names and numbers of this patient are taken out before it leaves; you see it first." }
                            button { "Send to the reader" }
                        }
                    } @else { p.wide.dim { "A radiographer fills this in." } }
                }
            }
        }
    }
}

fn standing(said: &Said) -> Markup {
    let by = html! { "Typed by " (said.who) ", " (time(said.at)) ". " };
    match said.standing {
        Standing::Held(at) => html! { p { (by) "At the reader's side since " (time(at)) "." } },
        Standing::Going => {
            html! { p.warn { (by) "On its way: the gateway has not confirmed it yet." } }
        }
        Standing::NoAgreement => {
            html! { p.warn { (by) "It waits: no agreement is in force for this study." } }
        }
    }
}

/// What the reader sees, where it is not what was typed.
fn as_it_leaves(said: &Said) -> Markup {
    if said.typed == said.leaves {
        return html! {};
    }
    html! {
        details {
            summary { "What the reader sees of it" }
            dl.leaves { @for (field, text) in said.leaves.fields() { @if !text.is_empty() {
                dt { (word(field)) } dd dir="auto" { (marked(text)) }
            } } }
        }
    }
}

/// A text with what stands for the removed parts made visible.
fn marked(text: &str) -> Markup {
    let parts: Vec<&str> = text.split(REMOVED).collect();
    html! {
        @for (at, part) in parts.iter().enumerate() {
            @if at > 0 { mark.removed { (REMOVED) } }
            (part)
        }
    }
}

/// The letters of a case, and a form for the next one.
pub(super) fn letters(person: &Person, case: &CaseCode, lines: &[Line], recalled: bool) -> Markup {
    let unread = lines
        .iter()
        .any(|line| !line.from_site && line.read.is_none());
    html! {
        section id="letters" aria-labelledby="letters-title" {
            h2 id="letters-title" { "Messages with the reader" }
            @if lines.is_empty() { p.dim { "Nothing has been written yet. The reader answers by the case code." } }
            ol.letters { @for line in lines { (letter(line)) } }
            @if recalled { p.dim { "The study was recalled: nothing more is said about it." } }
            @else if person.decides() {
                form method="post" action={ "/case/" (case) "/letter" } {
                    (token(person))
                    label for="text" { @if unread { "Answer" } @else { "Write to the reader" } }
                    textarea id="text" name="text" rows="3" maxlength="2000" dir="auto" required {}
                    div.buttons {
                        span.dim { "No names: say " (code(case)) "." }
                        button { "Send" }
                    }
                }
            } @else { p.dim { "A radiographer answers." } }
            @if unread && person.decides() {
                form method="post" action={ "/case/" (case) "/letters-read" } { (token(person)) button.quiet { "Read; it needs no answer" } }
            }
        }
    }
}

fn letter(line: &Line) -> Markup {
    let unread = !line.from_site && line.read.is_none();
    html! {
        li.ours[line.from_site].unread[unread] {
            p.by {
                strong { @if line.from_site { (line.who) } @else { "Reader: " bdi { (line.who) } } } " " (time(line.written)) " "
                (step(line))
            }
            p.text dir="auto" { (line.text.reveal()) }
            @if let Some(leaves) = &line.leaves { p.dim dir="auto" { "The reader sees: " (marked(leaves.reveal())) } }
        }
    }
}

fn step(line: &Line) -> Markup {
    match (line.from_site, line.heard, line.read) {
        (true, _, Some(at)) => html! { span.dim { "read " (time(at)) } },
        (true, Some(_), None) => html! { span.dim { "at the reader's side" } },
        (true, None, None) => html! { span.warn { "on its way" } },
        (false, _, Some(_)) => html! { span.dim { "read by " (line.read_by) } },
        (false, _, None) => html! { span.state { "new" } },
    }
}

/// The list of what readers ask, for the work list.
pub(super) fn questions(all: &[Question]) -> Markup {
    if all.is_empty() {
        return html! {};
    }
    html! {
        section aria-labelledby="questions" {
            h2 id="questions" { "Questions from readers" }
            div.scroll { table {
                thead { tr { th scope="col" { "Case" } th scope="col" { "Patient" } th scope="col" { "Message" } th scope="col" { "Since" } th scope="col" { span.unseen { "Answer" } } } }
                tbody { @for one in all {
                    tr.urgent[one.priority == "urgent"].stat[one.priority == "stat"] {
                        td { (link(&one.case)) @if matches!(one.priority.as_str(), "stat" | "urgent") { " " (level(&one.priority)) } }
                        td { (name(one.patient.reveal())) }
                        td {
                            div.excerpt dir="auto" { (excerpt(one.text.reveal())) }
                            div.dim { bdi { (one.who) } @if one.count > 1 { ", " (one.count) " messages" } }
                        }
                        td.when { (time(one.came)) }
                        td.act { a.button href={ "/case/" (one.case) "#letters" } { "Answer" } }
                    }
                } }
            } }
        }
    }
}

fn excerpt(text: &str) -> String {
    const LONGEST: usize = 160;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

/// Names exactly what a person has seen.
fn seen(leaves: &str) -> String {
    Digest::of(leaves.as_bytes()).to_string()
}

fn noted(posted: &Posted, case: &CaseCode, what: &'static str) {
    tracing::info!(%case, who = %posted.person.name, what, "said on the site page");
}

fn back(case: &CaseCode, said: &str, part: &str) -> Response {
    Redirect::to(&format!("/case/{case}?said={said}#{part}")).into_response()
}

/// Sends what the reader should know, once the person has seen what is taken out.
pub(super) async fn send_context(
    State(page): State<Page>,
    Path(code): Path<String>,
    posted: Posted,
) -> Result<Response, Refusal> {
    let case = parsed(&code)?;
    posted.person.must_decide()?;
    let facts = Facts::default().map(|field, _| posted.get(field).to_owned());
    let talk = Talk::new(page.desk.spool.clone());
    let checked = talk.check_context(&case, &facts).await?;
    let leaves: Vec<&str> = checked.leaves.fields().map(|(_, text)| text).to_vec();
    let seal = seen(&leaves.join("\n"));
    if !checked.removed.is_empty() && posted.get("seen") != seal {
        let again = html! { div.context { (fields(&checked.typed, false)) } };
        let hidden: Vec<(&str, &str)> = checked.typed.fields().to_vec();
        let form = Review {
            person: &posted.person,
            case: &case,
            to: "context",
            seal: &seal,
        };
        return Ok(form.page(&checked.removed, &hidden, &again).into_response());
    }
    talk.describe(&case, &checked, &posted.person.name).await?;
    noted(&posted, &case, "context");
    Ok(back(&case, "context", "context"))
}

/// Sends a letter, once the person has seen what is taken out.
pub(super) async fn send_letter(
    State(page): State<Page>,
    Path(code): Path<String>,
    posted: Posted,
) -> Result<Response, Refusal> {
    let case = parsed(&code)?;
    posted.person.must_decide()?;
    let talk = Talk::new(page.desk.spool.clone());
    let checked = talk.check_letter(&case, posted.get("text")).await?;
    let seal = seen(&checked.leaves);
    if !checked.removed.is_empty() && posted.get("seen") != seal {
        let again = html! {
            label for="text" { "Message" }
            textarea id="text" name="text" rows="4" maxlength="2000" dir="auto" required { (checked.typed) }
        };
        let form = Review {
            person: &posted.person,
            case: &case,
            to: "letter",
            seal: &seal,
        };
        let hidden = [("text", checked.typed.as_str())];
        return Ok(form.page(&checked.removed, &hidden, &again).into_response());
    }
    let writer = (posted.person.name.as_str(), "radiographer");
    talk.write(&case, &checked, writer).await?;
    noted(&posted, &case, "letter");
    Ok(back(&case, "letter", "letters"))
}

/// What readers have written needs no answer.
pub(super) async fn mark_read(
    State(page): State<Page>,
    Path(code): Path<String>,
    posted: Posted,
) -> Result<Response, Refusal> {
    let case = parsed(&code)?;
    posted.person.must_decide()?;
    let talk = Talk::new(page.desk.spool.clone());
    if talk.mark_read(&case, &posted.person.name).await? == 0 {
        return Err(Refusal::changed(
            "Everything about this case was read already.",
        ));
    }
    noted(&posted, &case, "letters-read");
    Ok(back(&case, "letters-read", "letters"))
}

/// The page that shows what would be taken out, before anything is sent.
struct Review<'a> {
    person: &'a Person,
    case: &'a CaseCode,
    to: &'a str,
    seal: &'a str,
}

impl Review<'_> {
    fn page(&self, removed: &[Removal], hidden: &[(&str, &str)], again: &Markup) -> Markup {
        let to = format!("/case/{}/{}", self.case, self.to);
        let body = html! {
            h1 { "Not sent yet: this names the patient" }
            p { "Case " (code(self.case)) ". What is marked is taken out before it leaves; the rest goes as it stands." }
            section aria-labelledby="removed-title" {
                h2 id="removed-title" { "As the reader would see it" }
                dl.leaves { @for one in removed {
                    dt { (word(one.field)) }
                    dd {
                        p.text dir="auto" { (marked(&one.left)) }
                        p.dim { "taken out: " @for (at, piece) in one.pieces.iter().enumerate() { @if at > 0 { ", " } q dir="auto" { (piece) } } }
                    }
                } }
                form method="post" action=(to) {
                    (token(self.person))
                    input type="hidden" name="seen" value=(self.seal);
                    @for (field, text) in hidden { input type="hidden" name=(field) value=(text); }
                    div.buttons { a.button href={ "/case/" (self.case) } { "Send nothing" } button { "Send it like this" } }
                }
            }
            section aria-labelledby="again-title" {
                h2 id="again-title" { "Or word it anew" }
                form method="post" action=(to) {
                    (token(self.person))
                    (again)
                    div.buttons { button { "Check and send" } }
                }
            }
        };
        shell::page(Some(self.person), "", "Not sent yet", &body)
    }
}
