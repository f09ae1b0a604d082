//! A returned report as text, for the screen and for paper: every item of the document in its order, whoever made it.

use axum::extract::{Path, State};
use causeway_proto::report::outline::{Line, outline};
use maud::{Markup, html};

use super::Page;
use super::answer::Refusal;
use super::session::Person;
use super::shell::{self, code, name, time};
use crate::delivery::view;
use crate::observe::status;
use crate::spool::decision::{By, Noted};

/// A report that is longer is not shown here, in bytes.
const LONGEST: u64 = 16 << 20;

/// The page.
pub(super) async fn show(
    State(page): State<Page>,
    Path(id): Path<i64>,
    person: Person,
) -> Result<Markup, Refusal> {
    let rows = page.desk.spool.rows();
    let Some(report) = view::report(rows, id).await? else {
        return Err(Refusal::none("There is no such report."));
    };
    let (handle, length, syntax) = &report.bytes;
    if *length > LONGEST {
        return Err(Refusal::wrong(
            "The report is too long to be shown here. Look at it in the PACS.",
        ));
    }
    let whole = usize::try_from(*length).unwrap_or(usize::MAX);
    let bytes = page.desk.spool.read(handle, 0, whole).await?;
    let lines = outline(&bytes, syntax).ok();
    let found = status::find(rows, report.case.as_str()).await?;
    let case = found
        .into_iter()
        .find(|one| one.case == report.case.as_str());
    let by = By {
        who: &person.name,
        reason: "",
    };
    page.desk.spool.note(&report.case, Noted::Print, by).await?;
    tracing::info!(case = %report.case, who = %person.name, what = "print", "a report was opened on the site page");
    let body = html! {
        div.tools {
            a href={ "/case/" (report.case) } { "Back to the case" }
            button type="button" data-act="print" hidden { "Print" }
        }
        article.paper {
            header {
                @if let Some(case) = &case {
                    p.who { (name(&case.patient_name)) }
                    p { "ID " (case.patient_id) @if !case.accession.is_empty() { " · accession " (case.accession) } }
                    p { (case.description) }
                }
                p { "Case " (code(&report.case)) " · " strong { (report.status) } " · signed by " (report.signer) ", " (time(report.signed)) }
            }
            @if report.status != "final" { p.first-line { "PRELIMINARY" } }
            @match &lines {
                Some(lines) => @for line in lines { (text(line)) },
                None => p.warn { "The report cannot be read here. It is kept as it was signed; look at it in the PACS." },
            }
            footer { "Printed from the site page. The signed document in the PACS is the one that counts." }
        }
    };
    let title = format!("Report of {}", report.case);
    Ok(shell::page(Some(&person), "", &title, &body))
}

/// One line, indented by its class: nothing inline.
pub(super) fn text(line: &Line) -> Markup {
    let class = match line.depth {
        0 => "depth-0",
        1 => "depth-1",
        2 => "depth-2",
        _ => "depth-3",
    };
    html! { p class=(class) { (line.text) } }
}
