//! One withheld object: what it is, a frame of it as a picture, and what may be done with it. Whoever looks is on record before the
//! first byte is answered.

use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use causeway_proto::ids::CaseCode;
use causeway_proto::report::outline::Line;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::answer::Refusal;
use super::case::parsed;
use super::session::Person;
use super::shell::{self, code, name, said, token};
use super::work::Done;
use super::{Page, draw, report};
use crate::audit::Look as Looked;
use crate::mask::Rectangle;
use crate::observe::status;
use crate::protect::preview::{Content, Look, Size};
use crate::spool::shown::{self, Shown};
use crate::spool::withheld::Facts;

/// Which frame, and how it is looked at.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Asked {
    frame: Option<u64>,
    look: Option<Word>,
}

/// A word in an address.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Plain,
    Faint,
}

impl Asked {
    fn frame(self) -> u64 {
        self.frame.unwrap_or(1)
    }

    fn look(self) -> Look {
        match self.look {
            Some(Word::Faint) => Look::Faint,
            Some(Word::Plain) | None => Look::Plain,
        }
    }
}

/// A withheld object of a case, in an address.
pub(super) async fn found(page: &Page, case: &CaseCode, id: i64) -> Result<Shown, Refusal> {
    let found = shown::shown(page.desk.spool.rows(), case, id).await?;
    found.ok_or_else(|| Refusal::none("This object is not withheld, or not of this case."))
}

/// Writes down that somebody looks at withheld objects of a study.
async fn looked(page: &Page, person: &Person, case: &CaseCode, of: &Shown) -> Result<(), Refusal> {
    let look = Looked {
        event: "withheld-viewed",
        actor: person.name.clone().into(),
        subject: of.study.as_str().to_owned(),
        detail: json!({ "case": case.as_str() }),
    };
    let written = page.trail.looked(page.clock.now(), look).await;
    written.map_err(|error| Refusal::Broken("the audit trail", error.into()))
}

/// What an object is; a sentence where that cannot be told.
pub(super) async fn content(page: &Page, of: &Shown) -> Content {
    let Some(kept) = &of.kept else {
        let gone = "Its bytes are not kept at this site any more.";
        return Content::Nothing(gone.to_owned());
    };
    let read = page.previews.content(kept, &of.object.class).await;
    read.unwrap_or_else(|error| Content::Nothing(format!("It cannot be shown: {error}.")))
}

/// One frame as a picture.
pub(super) async fn picture(
    State(page): State<Page>,
    Path((address, id)): Path<(String, i64)>,
    Query(asked): Query<Asked>,
    person: Person,
) -> Result<Response, Refusal> {
    let case = parsed(&address)?;
    let of = found(&page, &case, id).await?;
    let Some(kept) = &of.kept else {
        return Err(Refusal::none(
            "Its bytes are not kept at this site any more.",
        ));
    };
    looked(&page, &person, &case, &of).await?;
    let made = page.previews.picture(kept, asked.frame(), asked.look());
    match made.await {
        Ok(png) => Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response()),
        Err(error) => Err(Refusal::unshown(&error)),
    }
}

/// The page.
pub(super) async fn show(
    State(page): State<Page>,
    Path((address, id)): Path<(String, i64)>,
    Query(asked): Query<Asked>,
    Query(done): Query<Done>,
    person: Person,
) -> Result<Markup, Refusal> {
    let case = parsed(&address)?;
    let of = found(&page, &case, id).await?;
    looked(&page, &person, &case, &of).await?;
    let content = content(&page, &of).await;
    let facts = page.desk.spool.facts(&of.object).await;
    let cases = status::find(page.desk.spool.rows(), case.as_str()).await?;
    let patient = cases
        .into_iter()
        .find(|one| one.case == case.as_str())
        .map(|one| one.patient_name);
    let body = html! {
        div.tools.wide { a href={ "/case/" (case) "#withheld" } { "Back to the case" } }
        (said(&done))
        div.banner {
            h1 { span.unseen { "Withheld object of case " } (code(&case)) }
            div { p.who { (name(patient.as_deref().unwrap_or_default())) } (about(&of, &facts)) }
        }
        div.columns.look {
            section aria-labelledby="what" {
                h2 id="what" { (shell::class(&of.object.class)) }
                (shown_content(&case, &of, asked, &content))
            }
            div { (choices(&person, &case, &of, &content)) }
        }
        script src="/web/draw.js" defer {}
    };
    let title = format!("Withheld object of {case}");
    Ok(shell::page(Some(&person), "", &title, &body))
}

fn about(of: &Shown, facts: &Facts) -> Markup {
    html! {
        p.dim {
            (shell::class(&of.object.class))
            @if !of.object.modality.is_empty() { " " (of.object.modality) }
            @if !facts.series.reveal().is_empty() { ", series “" (facts.series.reveal()) "”" }
            @if !facts.device.is_empty() { ", " (facts.device) }
            @if let Some(word) = &facts.burned_in { ", names burned in: the sender says " (word) }
        }
        p.warn { "Withheld: " (of.object.reason) }
        @match &of.object.decided {
            Some((what, who)) if what == "keep" => p.dim { "kept back for good by " (who) },
            Some((what, who)) if what == "mask" => p.dim { "masked before by " (who) ", and withheld again" },
            Some((what, who)) if what == "release" => p.warn { "withheld again after " (who) " had released it" },
            _ => {},
        }
    }
}

fn shown_content(case: &CaseCode, of: &Shown, asked: Asked, content: &Content) -> Markup {
    match content {
        Content::Picture(size) => html! {
            (frames(asked, size))
            (stage(case, of, asked, size, &[]))
            (legend(of))
        },
        Content::Report(lines) => words(lines),
        Content::Document {
            kind,
            title,
            format,
        } => html! {
            p {
                "A " (kind)
                @if !title.reveal().is_empty() { ", called “" bdi { (title.reveal()) } "”" }
                @if !format.is_empty() { " (" (format) ")" }
                "."
            }
            p.dim { "Documents are not opened on this page. Look at it in your PACS before you release it." }
        },
        Content::Nothing(sentence) => html! { p { (sentence) } },
    }
}

fn words(lines: &[Line]) -> Markup {
    html! {
        p.dim { "What it says, as it was received:" }
        div.words { @for line in lines { (report::text(line)) } }
    }
}

/// Which frame, and whether what is faint is made visible: links, which a script changes in place.
fn frames(asked: Asked, size: &Size) -> Markup {
    let frame = asked.frame();
    let faint = asked.look() == Look::Faint;
    html! {
        form.frames method="get" {
            @if size.frames > 1 {
                label for="frame" { "Frame" }
                input id="frame" name="frame" type="number" min="1" max=(size.frames) value=(frame) required;
                span.dim { "of " (size.frames) }
            } @else { input type="hidden" name="frame" value="1"; }
            label.tick { input type="checkbox" id="faint" name="look" value="faint" checked[faint]; "Make what is faint or dark visible" }
            button { "Show" }
        }
    }
}

/// The picture with rectangles over it: what a rule blacks, what was scanned, and what `drawn` says.
pub(super) fn stage(
    case: &CaseCode,
    of: &Shown,
    asked: Asked,
    size: &Size,
    drawn: &[Rectangle],
) -> Markup {
    let id = of.object.id;
    let (rows, columns, frame) = (size.rows, size.columns, asked.frame());
    let look = if asked.look() == Look::Faint {
        "&look=faint"
    } else {
        ""
    };
    let device = of.device.as_ref();
    let rule = device.and_then(|met| met.rule.as_ref());
    html! {
        div.stage.small[rows.max(columns) <= 400] id="stage" {
            img src={ "/case/" (case) "/object/" (id) "/picture?frame=" (frame) (look) } width=(columns) height=(rows)
                alt={ "Frame " (frame) " of " (size.frames) ": cannot be shown" };
            svg viewBox={ "0 0 " (columns) " " (rows) } preserveAspectRatio="none" aria-hidden="true" {
                @for region in device.map(|met| met.regions.as_slice()).unwrap_or_default() { (rect("region", region)) }
                @for black in rule.map(|rule| rule.rectangles.as_slice()).unwrap_or_default() { (rect("rule", black)) }
                @for black in drawn { (rect("drawn", black)) }
            }
        }
        p.alert.trouble hidden role="alert" {}
    }
}

fn rect(class: &str, one: &Rectangle) -> Markup {
    let (width, height) = (
        one.right.saturating_sub(one.left),
        one.bottom.saturating_sub(one.top),
    );
    html! { rect class=(class) x=(one.left) y=(one.top) width=(width) height=(height) {} }
}

fn legend(of: &Shown) -> Markup {
    let Some(met) = &of.device else {
        return html! {};
    };
    html! {
        @if !met.regions.is_empty() { p.dim { span.swatch.region {} " what the device declares as scan area" } }
        @if let Some(rule) = &met.rule {
            p.dim {
                span.swatch.rule {}
                @if rule.rectangles.is_empty() { " nothing is burned in on this device, says " } @else { " black on every picture of this device, says " }
                (rule.who) ": " (rule.reason)
            }
        }
    }
}

fn choices(person: &Person, case: &CaseCode, of: &Shown, content: &Content) -> Markup {
    if of.recalled {
        return html! { section { p.dim { "The study was recalled: nothing of it leaves." } } };
    }
    if !person.decides() {
        return html! { section { p.dim { "A radiographer decides this." } } };
    }
    html! {
        @if let Content::Picture(size) = content { (draw::form(person, case, of, size)) }
        section aria-labelledby="without" {
            h2 id="without" { @if matches!(content, Content::Picture(_)) { "Or without a mask" } @else { "Decide" } }
            form method="post" action={ "/case/" (case) "/withheld" } {
                (token(person))
                input type="hidden" name="object" value=(of.object.id);
                label for="whole-reason" { "Why" }
                input id="whole-reason" name="reason" maxlength="300" required autocomplete="off" placeholder="for example: looked at, it names nobody";
                div.buttons {
                    button name="act" value="release" { "Release it as it is" }
                    button name="act" value="keep" { "Keep it back for good" }
                }
            }
        }
    }
}
