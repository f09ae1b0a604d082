//! The devices whose pictures may carry a banner: what is black on each, who said so, and how much waits for that (P6).

use axum::extract::{Path, Query, State};
use axum::response::Redirect;
use maud::{Markup, html};

use super::Page;
use super::answer::Refusal;
use super::decide::reason;
use super::guard::Posted;
use super::session::Person;
use super::shell::{self, said, time, token};
use super::work::Done;
use crate::mask::Family;
use crate::spool::decision::By;
use crate::spool::masks::{self, Met, Rule};

/// The page.
pub(super) async fn show(
    State(page): State<Page>,
    Query(done): Query<Done>,
    person: Person,
) -> Result<Markup, Refusal> {
    let met = masks::met(page.desk.spool.rows()).await?;
    let body = html! {
        h1 { "Masks" }
        (said(&done))
        p.dim {
            "Pictures of these devices may carry a name. What somebody has drawn once is black on every picture of that device from then on; "
            "until then they wait here."
        }
        @if met.is_empty() {
            div.empty { strong { "No such device was met yet" } "The first ultrasound picture brings the first one." }
        } @else {
            div.found { @for one in &met { (device(&person, one)) } }
        }
    };
    Ok(shell::page(Some(&person), "/masks", "Masks", &body))
}

fn device(person: &Person, met: &Met) -> Markup {
    html! {
        article.card id={ "device-" (met.id) } {
            div.head {
                strong { (met.device) }
                @if met.waiting > 0 { span.state.warn { (met.waiting) @if met.waiting == 1 { " object waits" } @else { " objects wait" } } }
            }
            @match &met.rule {
                Some(rule) => (black(rule)),
                None => p { "No mask yet." },
            }
            @if met.device.family == Family::Overlay {
                // no picture waits for it: there is none to be drawn on
                p.dim { "Overlays of its films leave with a mask only; without one they are removed and named. It is set on the command line." }
            }
            div.buttons.left {
                @if let Some((case, object)) = &met.example {
                    a.button href={ "/case/" (case) "/object/" (object) } { @if person.decides() { "Look and draw" } @else { "Look" } }
                }
                @if met.rule.is_some() && person.decides() { (take_away(person, met)) }
            }
        }
    }
}

fn black(rule: &Rule) -> Markup {
    html! {
        p {
            @if rule.rectangles.is_empty() { "Nothing is burned in" } @else {
                "Black: "
                @for (at, one) in rule.rectangles.iter().enumerate() {
                    @if at > 0 { "; " }
                    "columns " (one.left) " to " (one.right.saturating_sub(1)) " of rows " (one.top) " to " (one.bottom.saturating_sub(1))
                }
            }
            ", says " (rule.who) ", " (time(rule.at)) ": " (rule.reason)
        }
        @if rule.covers { p.warn { "It hides a part of the declared scan area; " (rule.who) " has confirmed that." } }
    }
}

fn take_away(person: &Person, met: &Met) -> Markup {
    let id = format!("why-{}", met.id);
    html! {
        details {
            summary { "Take the mask away" }
            form method="post" action={ "/masks/" (met.id) "/drop" } {
                (token(person))
                p.dim { "What has not left waits again; what has left stays as it is." }
                label for=(id) { "Why" }
                input id=(id) name="reason" maxlength="300" required autocomplete="off" placeholder="for example: the banner has moved";
                div.buttons { button.danger { "Take it away" } }
            }
        }
    }
}

/// Takes the mask of a device away.
pub(super) async fn remove(
    State(page): State<Page>,
    Path(device): Path<i64>,
    posted: Posted,
) -> Result<Redirect, Refusal> {
    posted.person.must_decide()?;
    let reason = reason(&posted)?;
    let by = By {
        who: &posted.person.name,
        reason: &reason,
    };
    if !page.desk.spool.drop_mask(device, by).await? {
        return Err(Refusal::changed("This device has no mask any more."));
    }
    tracing::info!(device, who = %posted.person.name, what = "mask-dropped", "decided on the site page");
    Ok(Redirect::to("/masks?said=mask-dropped"))
}
