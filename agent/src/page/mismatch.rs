//! Reports whose patient is in question: what the site knows and what the PACS says, side by side, and a person's word (P3, P33).

use axum::extract::{Path, State};
use axum::response::Redirect;
use maud::{Markup, html};

use super::Page;
use super::answer::Refusal;
use super::decide::reason;
use super::guard::Posted;
use super::session::Person;
use super::shell::{name, token};
use super::work::link;
use crate::delivery::{Ruling, view};
use crate::restore::Home;
use crate::restore::rows::Mismatch;
use crate::spool::decision::{By, Noted};

/// The section of reports that wait for a decision; nothing where there are none.
pub(super) fn section(person: &Person, reports: &[Mismatch]) -> Markup {
    html! {
        @if !reports.is_empty() {
            section aria-labelledby="mismatches" {
                h2 id="mismatches" { "Reports whose patient is in question" }
                p.dim { "Compare both sides. A report goes into the PACS only under a name that somebody here stands for." }
                @for report in reports { (one(person, report)) }
            }
        }
    }
}

fn one(person: &Person, report: &Mismatch) -> Markup {
    let open = matches!(report.state.as_str(), "held" | "due");
    html! {
        article.card id={ "report-" (report.report) } {
            div.head {
                @match report.case.parse() { Ok(case) => { (link(&case)) } Err(_) => { (report.case) } }
                span.state { (report.state) } span { (report.sentence) }
            }
            @if !report.names.is_empty() {
                p.warn { "The reader's own words hold the patient's " (report.names) ". They are signed and are not changed: tell the reader, who can write a correction." }
            }
            @if report.state != "done" { (sides(report)) }
            p { a href={ "/report/" (report.report) } { "Read the report" } }
            @if open && person.decides() { (choices(person, report)) }
            @if open && !person.decides() { p.dim { "A radiographer decides this." } }
        }
    }
}

/// One column for what the site knows, and one for each answer of the PACS; what differs is marked.
fn sides(report: &Mismatch) -> Markup {
    let ours = report.ours.as_ref();
    let columns: Vec<&Home> = ours.into_iter().chain(&report.theirs).collect();
    let line = |word: &str, of: &dyn Fn(&Home) -> String| {
        let values: Vec<String> = columns.iter().map(|home| of(home)).collect();
        let differs = values.windows(2).any(|pair| pair.first() != pair.last());
        html! {
            tr.differs[differs] {
                th scope="row" { (word) @if differs { span.unseen { " (differs)" } } }
                @for value in &values { td { @if value.is_empty() { span.dim { "not said" } } @else { (value) } } }
            }
        }
    };
    let accessions = |home: &Home| {
        let all: Vec<&str> = home.accessions.iter().map(|one| one.reveal()).collect();
        all.join(", ")
    };
    html! {
        div.scroll { table.sides {
            thead { tr {
                th scope="col" { span.unseen { "What" } }
                @if ours.is_some() { th scope="col" { "As received here" } }
                @for number in 1..=report.theirs.len() { th scope="col" { "The PACS says" @if report.theirs.len() > 1 { " (" (number) ")" } } }
            } }
            tbody {
                (line("Name", &|home| name(home.name.reveal())))
                (line("Patient ID", &|home| home.id.reveal().to_owned()))
                (line("Issuer", &|home| home.issuer.reveal().to_owned()))
                (line("Born", &|home| date(home.birth_date.reveal())))
                (line("Sex", &|home| home.sex.reveal().to_owned()))
                (line("Accession", &accessions))
                (line("Study date", &|home| date(home.study_date.reveal())))
                (line("Study", &|home| home.description.reveal().to_owned()))
            }
        } }
        @if report.theirs.is_empty() { p.dim { "The PACS knows no such study, or was not asked." } }
    }
}

fn choices(person: &Person, report: &Mismatch) -> Markup {
    let id = format!("why-{}", report.report);
    html! {
        form method="post" action={ "/report/" (report.report) "/file" } {
            (token(person))
            label for=(id) { "Why" }
            input id=(id) name="reason" maxlength="300" required autocomplete="off" placeholder="for example: merged yesterday, same person";
            div.buttons {
                @if report.ours.is_some() { button name="act" value="ours" { "File as received here" } }
                @for number in 0..report.theirs.len() {
                    button name="act" value={ "pacs-" (number) } { "File as the PACS says" @if report.theirs.len() > 1 { " (" (number + 1) ")" } }
                }
                button.danger name="act" value="refuse" { "Never file it" }
            }
        }
    }
}

/// DA as people here read it; anything else as it stands.
fn date(raw: &str) -> String {
    let digits = raw.len() == 8 && raw.bytes().all(|b| b.is_ascii_digit());
    match (digits, raw.get(..4), raw.get(4..6), raw.get(6..8)) {
        (true, Some(year), Some(month), Some(day)) => format!("{year}-{month}-{day}"),
        _ => raw.to_owned(),
    }
}

/// A person's word about one report.
pub(super) async fn file(
    State(page): State<Page>,
    Path(report): Path<i64>,
    posted: Posted,
) -> Result<Redirect, Refusal> {
    posted.person.must_decide()?;
    let reason = reason(&posted)?;
    let (ruling, noted) = match posted.get("act") {
        "ours" => (Ruling::Ours, Noted::FileOurs),
        "refuse" => (Ruling::Refuse, Noted::Refuse),
        other => match other.strip_prefix("pacs-").map(str::parse) {
            Some(Ok(number)) => (Ruling::Pacs(number), Noted::FilePacs),
            _ => {
                return Err(Refusal::wrong(
                    "Choose under which name the report is filed.",
                ));
            }
        },
    };
    let rows = page.desk.spool.rows();
    let Some(kept) = view::report(rows, report).await? else {
        return Err(Refusal::none("There is no such report."));
    };
    let who = posted.person.name.as_str();
    if page.desk.deliveries.rule(report, ruling, who).await? == 0 {
        return Err(Refusal::changed(
            "Nothing was changed: somebody has decided before you, or the answer of the PACS is another now. Load the page again.",
        ));
    }
    let by = By {
        who: &posted.person.name,
        reason: &reason,
    };
    page.desk.spool.note(&kept.case, noted, by).await?;
    tracing::info!(case = %kept.case, who = %posted.person.name, what = "file", "decided on the site page");
    Ok(Redirect::to("/work?said=filed"))
}
