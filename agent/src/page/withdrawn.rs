//! Reports that their reader has withdrawn (P17): shown before everything else until a person here says that he has seen it.

use axum::extract::{Path, State};
use axum::response::Redirect;
use maud::{Markup, html};

use super::Page;
use super::answer::Refusal;
use super::guard::Posted;
use super::session::Person;
use super::shell::{time, token};
use super::work::link;
use crate::delivery::view::{self, Open};
use crate::spool::decision::{By, Noted};

/// The section of withdrawals that nobody has seen; nothing where there are none.
pub(super) fn section(person: &Person, open: &[Open]) -> Markup {
    html! {
        @if !open.is_empty() {
            section.alert id="withdrawn" aria-labelledby="withdrawn-title" {
                h2 id="withdrawn-title" { "Withdrawn: do not use these reports" }
                p { "Tell whoever treats the patient. The reader sees it as open until somebody here has said that it was seen." }
                @for one in open { (card(person, one)) }
            }
        }
    }
}

fn card(person: &Person, one: &Open) -> Markup {
    html! {
        article.card {
            div.head { (link(&one.case)) span { "withdrawn by " (one.signer) ", " (time(one.signed)) } }
            p {
                @if one.was_delivered { "The report before it had reached your systems: it is still there, beside the withdrawal." }
                @else { "The report before it had reached none of your systems, and is not delivered any more." }
            }
            p { a href={ "/report/" (one.report) } { "Read why" } }
            @if person.decides() {
                form method="post" action={ "/report/" (one.report) "/acknowledge" } {
                    (token(person))
                    div.buttons { button { "Seen, and passed on" } }
                }
            } @else { p.dim { "A radiographer acknowledges this." } }
        }
    }
}

/// A person's word about one withdrawal.
pub(super) async fn acknowledge(
    State(page): State<Page>,
    Path(report): Path<i64>,
    posted: Posted,
) -> Result<Redirect, Refusal> {
    posted.person.must_decide()?;
    let rows = page.desk.spool.rows();
    let Some(kept) = view::report(rows, report).await? else {
        return Err(Refusal::none("There is no such report."));
    };
    if !page
        .desk
        .deliveries
        .acknowledge(report, &posted.person.name)
        .await?
    {
        return Err(Refusal::changed(
            "Nothing was changed: somebody has acknowledged it before you, or it is no withdrawal.",
        ));
    }
    let by = By {
        who: &posted.person.name,
        reason: "",
    };
    let noted = Noted::Acknowledge;
    page.desk.spool.note(&kept.case, noted, by).await?;
    tracing::info!(case = %kept.case, who = %posted.person.name, what = "acknowledge", "decided on the site page");
    Ok(Redirect::to("/work?said=acknowledged"))
}
