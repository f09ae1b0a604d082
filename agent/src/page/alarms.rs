//! Alarms that were told and stand, and a person's word that he knows: then they are told nobody again, unless they become more.

use axum::extract::State;
use axum::response::Redirect;
use causeway_observe::{ChannelState, Entry};
use maud::{Markup, html};

use super::Page;
use super::answer::Refusal;
use super::guard::Posted;
use super::session::Person;
use super::shell::{time, token};
use super::work::link;
use crate::observe::status::ViewError;
use crate::observe::watch;

/// The section; nothing where no alarm stands and every channel works.
pub(super) fn section(person: &Person, told: &[Entry], channels: &[ChannelState]) -> Markup {
    html! {
        @if !told.is_empty() {
            section.alert id="alarms" aria-labelledby="alarms-title" {
                h2 id="alarms-title" { "Alarms" }
                @for one in told { (card(person, one)) }
            }
        }
        @for one in channels {
            @if let Some(since) = one.failing_since {
                p.alert { "Alarms do not leave by " (one.name) " (" (one.kind) ") since " (time(since)) ": " (one.failure) }
            }
            @if !one.remark.is_empty() {
                p.alert { "The last alarm left by " (one.name) " (" (one.kind) "), but not to " (one.remark) }
            }
        }
    }
}

fn card(person: &Person, one: &Entry) -> Markup {
    html! {
        article.card {
            div.head {
                strong { (one.rule) }
                @match one.about.as_str().parse() { Ok(case) => (link(&case)), Err(_) => span { (one.about) } }
                span { "since " (time(one.since)) ", " (one.telling()) }
            }
            p { (one.sentence) }
            @match &one.acknowledged {
                Some(by) => p.dim { (by.by) " knows, " (time(by.at)) },
                None => form method="post" action="/alarms/acknowledge" {
                    (token(person))
                    input type="hidden" name="rule" value=(one.rule);
                    input type="hidden" name="about" value=(one.about);
                    div.buttons { button { "I know" } }
                },
            }
        }
    }
}

/// A person's word about one alarm. Whoever may sign in may say it: a disk is as much an administrator's as a withheld object is not.
pub(super) async fn acknowledge(
    State(page): State<Page>,
    posted: Posted,
) -> Result<Redirect, Refusal> {
    let (rows, now) = (page.desk.spool.rows(), page.desk.clock.now());
    let which = (Some(posted.get("rule")), Some(posted.get("about")));
    let known = watch::acknowledge(rows, now, which, &posted.person.name).await;
    if known.map_err(ViewError::from)? == 0 {
        return Err(Refusal::changed(
            "Nothing was changed: it is over, or somebody has said so before you.",
        ));
    }
    Ok(Redirect::to("/status?said=alarm-known"))
}
