//! One case: whose it is, what is withheld of it, what has happened, what the reader is told, its reports, and what may be done.

use axum::extract::{Path, Query, State};
use causeway_proto::ids::CaseCode;
use maud::{Markup, html};
use serde::Deserialize;

use super::answer::Refusal;
use super::session::Person;
use super::shell::{self, bytes, code, level, name, said, time, token};
use super::work::Done;
use super::{Page, help, record, scan, talk, withdrawn};
use crate::delivery::view::{self as reports, Kept, Line, Open};
use crate::observe::status;
use crate::spool::leaving::{self, Leaving};
use crate::spool::view::Case;
use crate::spool::withheld::{self, Blocked, Facts, Object};
use crate::talk::{self as words, Said};

/// Everything that the page shows.
struct Seen {
    case: CaseCode,
    of: Case,
    block: Option<Blocked>,
    objects: Vec<(Object, Facts)>,
    context: Option<Said>,
    letters: Vec<words::Line>,
    reports: Vec<Kept>,
    lines: Vec<Line>,
    withdrawals: Vec<Open>,
    leaving: Leaving,
}

/// Headers are read for so many objects; the others are listed without.
const LOOKED_AT: usize = 40;

/// The case of a code in an address.
pub(super) fn parsed(text: &str) -> Result<CaseCode, Refusal> {
    match text.to_uppercase().parse() {
        Ok(case) => Ok(case),
        Err(_) => Err(Refusal::none("This is no case code.")),
    }
}

/// Which withheld object stands beside the form of the context.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    beside: Option<i64>,
}

/// The page.
pub(super) async fn show(
    State(page): State<Page>,
    Path(code): Path<String>,
    Query(done): Query<Done>,
    Query(asked): Query<Asked>,
    person: Person,
) -> Result<Markup, Refusal> {
    let seen = seen(&page, parsed(&code)?).await?;
    let of = &seen.of;
    let recalled = of.state == "recalled";
    let objects = seen.objects.iter().map(|(object, _)| object);
    let scan = scan::beside(&seen.case, objects.filter(|_| !recalled), asked.beside);
    let context = |scan| talk::context(&person, &seen.case, seen.context.as_ref(), recalled, scan);
    let body = html! {
        (banner(&seen))
        (said(&done))
        @if !of.waits_for.is_empty() { p.note { "Waits for " (of.waits_for) "." } }
        (withdrawn::section(&person, &seen.withdrawals))
        @if let Some(block) = &seen.block { (blocked(&person, &seen.case, block)) }
        // as wide as the page, so that what is beside it can be read
        @if scan.is_some() { div.columns.whole { (context(scan.as_ref())) } }
        div.columns {
            div {
                @if !seen.objects.is_empty() { (withheld_objects(&person, &seen)) }
                (talk::letters(&person, &seen.case, &seen.letters, recalled))
                @if scan.is_none() { (context(None)) }
                (what_left(&seen.leaving, of.erasure.is_some()))
            }
            div {
                (record::section(of))
                (reports_of(&person, &seen))
                (acts(&person, &seen))
                (timeline(of))
            }
        }
    };
    let title = format!("Case {}", seen.case);
    Ok(shell::page(Some(&person), "", &title, &body))
}

async fn seen(page: &Page, case: CaseCode) -> Result<Seen, Refusal> {
    let rows = page.desk.spool.rows();
    let found = status::find(rows, case.as_str()).await?;
    let of = found.into_iter().find(|one| one.case == case.as_str());
    let Some(of) = of else {
        return Err(Refusal::none("There is no case of this code at this site."));
    };
    let mut objects = Vec::new();
    for object in withheld::objects(rows, &case).await? {
        let facts = match objects.len() < LOOKED_AT {
            true => page.desk.spool.facts(&object).await,
            false => Facts::default(),
        };
        objects.push((object, facts));
    }
    let blocked = withheld::blocked(rows).await?;
    let lines = reports::standing(rows).await?;
    Ok(Seen {
        block: blocked.into_iter().find(|one| one.case == case),
        objects,
        context: words::context(rows, &case).await?,
        letters: words::letters(rows, &case).await?,
        reports: reports::reports(rows, &of.study).await?,
        leaving: leaving::of(rows, &case).await?,
        withdrawals: reports::withdrawals(rows)
            .await?
            .into_iter()
            .filter(|one| one.case == case)
            .collect(),
        lines: lines
            .into_iter()
            .filter(|line| line.case == case.as_str())
            .collect(),
        case,
        of,
    })
}

fn banner(seen: &Seen) -> Markup {
    let of = &seen.of;
    html! {
        div.banner {
            h1 { span.unseen { "Case " } (code(&seen.case)) }
            div {
                p.who { (name(&of.patient_name)) }
                p.dim { "ID " (of.patient_id) @if !of.accession.is_empty() { " · accession " (of.accession) } }
            }
            div {
                p { @if of.description.is_empty() { span.dim { "no study description" } } @else { (of.description) } }
                p { (level(&of.priority)) " " span.state { (of.state) } }
            }
        }
    }
}

fn blocked(person: &Person, case: &CaseCode, block: &Blocked) -> Markup {
    html! {
        section.alert id="block" aria-labelledby="block-title" {
            h2 id="block-title" { "Blocked: nobody can sign this case" }
            p { (block.sentence) }
            @if block.kept { p.dim { "Somebody has decided that it stays so." } }
            @if person.decides() {
                form method="post" action={ "/case/" (case) "/block" } {
                    (token(person))
                    label for="block-reason" { "Why" }
                    input id="block-reason" name="reason" maxlength="300" required autocomplete="off";
                    div.buttons {
                        button name="act" value="lift" { "It is right: allow signing" }
                        button name="act" value="keep" { "Keep it blocked" }
                    }
                }
                p.dim { "If the study went out under the wrong patient, recall it: see " a href="#recall" { "below" } "." }
            } @else { p.dim { "A radiographer decides this." } }
        }
    }
}

fn withheld_objects(person: &Person, seen: &Seen) -> Markup {
    let recalled = seen.of.state == "recalled";
    html! {
        section id="withheld" aria-labelledby="withheld-title" {
            h2 id="withheld-title" { "Withheld here: " (seen.objects.len()) @if seen.objects.len() == 1 { " object" } @else { " objects" } }
            p.dim {
                "Look at each before you decide. A picture is masked where you look at it. "
                a href={ "/help#" (help::WITHHELD) } { "What this means" }
            }
            form method="post" action={ "/case/" (seen.case) "/withheld" } {
                (token(person))
                ul.objects { @for (object, facts) in &seen.objects { li { (one_object(person, object, facts)) (look(&seen.case, object)) } } }
                @if recalled { p.dim { "The study was recalled: nothing of it leaves." } }
                @else if person.decides() {
                    label for="reason" { "Why" }
                    input id="reason" name="reason" maxlength="300" required autocomplete="off" placeholder="for example: looked at, no name in the picture";
                    div.buttons {
                        button name="act" value="release" { "Release what is ticked" }
                        button name="act" value="keep" { "Keep it back for good" }
                    }
                } @else { p.dim { "A radiographer decides this." } }
            }
        }
    }
}

fn one_object(person: &Person, object: &Object, facts: &Facts) -> Markup {
    let kept = object.decided.as_ref().filter(|(what, _)| what == "keep");
    html! {
        label.object {
            @if person.decides() { input type="checkbox" name="object" value=(object.id) checked[kept.is_none()]; }
            span {
                span { strong { (shell::class(&object.class)) } @if !object.modality.is_empty() { " " (object.modality) } }
                span.facts {
                    @if let Some((rows, columns)) = facts.size { (columns) " × " (rows) " pixels, " }
                    @if let Some(frames) = &facts.frames { (frames) " frames, " }
                    (bytes(object.length))
                    @if !facts.series.reveal().is_empty() { ", series “" (facts.series.reveal()) "”" }
                    @if !facts.device.is_empty() { ", " (facts.device) }
                    @if let Some(word) = &facts.burned_in { ", names burned in: the sender says " (word) }
                }
                span.reason { (object.reason) }
                @match &object.decided {
                    Some((what, who)) if what == "keep" => span.dim { "kept back for good by " (who) },
                    Some((what, who)) if what == "mask" => span.dim { "masked by " (who) ", and withheld again" },
                    Some((what, who)) if what == "release" => span.warn { "withheld again after " (who) " had released it" },
                    _ => {},
                }
            }
        }
    }
}

/// The way to what it shows; whoever goes there is on record.
fn look(case: &CaseCode, object: &Object) -> Markup {
    html! { a.button href={ "/case/" (case) "/object/" (object.id) } { "Look" span.unseen { " at this " (shell::class(&object.class)) } } }
}

/// The record of what went out, under which agreement and profile.
fn what_left(of: &Leaving, gone: bool) -> Markup {
    html! {
        section id="left" aria-labelledby="left-title" {
            h2 id="left-title" { "What has left this site" }
            @if of.agreement.is_empty() { p.dim { "Nothing: the gateway has named no agreement for it yet." } } @else {
                p {
                    "Under the agreement " strong { (of.agreement) } " with " (of.organisation) ", " strong { (of.identity) }
                    @if !of.profile.is_empty() { ", profile " (of.profile) }
                    @if !of.options.is_empty() { ", options " (of.options) } "."
                }
                @if let Some(pseudonym) = &of.pseudonym { p { "The reader sees the pseudonym " span.code { (pseudonym) } "." } }
            }
            ul.plain {
                @for form in &of.forms {
                    li {
                        @if form.version == 0 { "as received: " } @else { "protected, version " (form.version) ": " }
                        (form.sent) @if gone { " were at the gateway" } @else { " at the gateway, " (form.waiting) " still to go" }
                        @if form.released > 0 { ", " (form.released) " of them released by a person" }
                    }
                }
                @for kind in &of.withheld { li { (kind.count) " × " (shell::class(&kind.class)) " " (kind.modality) " withheld: " (kind.reason) } }
                @for (remark, count) in &of.remarks { li.dim { (count) " × " (remark) } }
            }
        }
    }
}

fn reports_of(person: &Person, seen: &Seen) -> Markup {
    html! {
        section id="reports" aria-labelledby="reports-title" {
            h2 id="reports-title" { "Reports" }
            @if seen.reports.is_empty() && seen.lines.is_empty() { p.dim { "No report has come back yet." } }
            ul.plain {
                @for report in &seen.reports {
                    li {
                        a href={ "/report/" (report.id) } { (report.status) " report" }
                        " by " (report.signer) ", " (time(report.signed))
                    }
                }
                @for line in &seen.lines {
                    li {
                        (form(&line.form)) " to " (line.destination) ": " span.state { (line.state) } " " (line.sentence)
                        @if let Some(at) = line.next_try { span.dim { ", tried again " (time(at)) } }
                    }
                }
            }
            @if seen.lines.iter().any(|line| matches!(line.state.as_str(), "waiting" | "unknown" | "held" | "not-taken")) {
                form method="post" action={ "/case/" (seen.case) "/retry" } { (token(person)) button { "Offer again now" } }
            }
        }
    }
}

/// A form of a report in words.
fn form(form: &str) -> &str {
    match form {
        "sr" => "report",
        "image" => "page image",
        other => other,
    }
}

fn acts(person: &Person, seen: &Seen) -> Markup {
    let (of, case) = (&seen.of, &seen.case);
    if of.state == "recalled" {
        return html! {};
    }
    html! {
        section aria-labelledby="acts-title" {
            h2 id="acts-title" { "Do" }
            @if of.state == "arriving" {
                form method="post" action={ "/case/" (case) "/send-now" } {
                    (token(person)) button { "Everything has come: send now" }
                }
            }
            @if person.decides() && of.priority != "stat" {
                form.buttons.left method="post" action={ "/case/" (case) "/raise" } {
                    (token(person))
                    @if of.priority != "urgent" { button name="to" value="urgent" { "Make it urgent" } }
                    button name="to" value="stat" { "Make it STAT" }
                }
            }
            details id="recall" {
                summary { "Recall this study" }
                form method="post" action={ "/case/" (case) "/recall" } {
                    (token(person))
                    p { "Nothing more of it is sent. The gateway deletes what it has and the reader loses the images. This cannot be undone." }
                    label for="recall-reason" { "Why" }
                    input id="recall-reason" name="reason" maxlength="300" required autocomplete="off" placeholder="wrong patient, wrong study, objection";
                    p.dim { "The reason is sent to the gateway: name nobody in it." }
                    div.buttons { button.danger { "Recall " (case) } }
                }
            }
        }
    }
}

fn timeline(of: &Case) -> Markup {
    html! {
        section aria-labelledby="timeline-title" {
            h2 id="timeline-title" { "What has happened" }
            ol.timeline { @for event in &of.events { li { (time(event.at)) span { (event.what) } } } }
        }
    }
}
