//! What a person draws on a withheld picture: rectangles for this object alone, or once for every picture of its device (P6).

use std::iter::zip;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use causeway_proto::ids::CaseCode;
use maud::{Markup, html};

use super::Page;
use super::answer::Refusal;
use super::case::parsed;
use super::decide::reason;
use super::guard::Posted;
use super::object::{self, Asked, content, found};
use super::session::Person;
use super::shell::{self, code, token};
use crate::mask::Rectangle;
use crate::mask::native::RECTANGLES;
use crate::protect::preview::{Content, Size};
use crate::spool::decision::By;
use crate::spool::masks::{Drawn, Met};
use crate::spool::shown::Shown;

/// The fields of a rectangle, in their order, with their words.
const EDGES: [(&str, &str); 4] = [
    ("left", "Left"),
    ("top", "Top"),
    ("right", "Right"),
    ("bottom", "Bottom"),
];

/// The form beside the picture. Its fields are the rectangles; a script mirrors them on the picture and back.
pub(super) fn form(person: &Person, case: &CaseCode, of: &Shown, size: &Size) -> Markup {
    let device = of.device.as_ref();
    let rule = device.and_then(|met| met.rule.as_ref());
    let begun = match (of.drawn.as_slice(), rule) {
        ([], Some(rule)) => rule.rectangles.as_slice(),
        (drawn, _) => drawn,
    };
    html! {
        section aria-labelledby="mask" {
            h2 id="mask" { "Mask" }
            p.dim {
                "Drag over what names somebody, or type where it is: in pixels of " (size.columns) " × " (size.rows)
                " from the upper left corner. Never over what was scanned, a side mark, a scale or results."
            }
            form id="draw" method="post" action={ "/case/" (case) "/object/" (of.object.id) "/mask" }
                data-rows=(size.rows) data-columns=(size.columns) {
                (token(person))
                ol.rectangles id="rectangles" {
                    @for one in begun { (row(Some(one), size)) }
                    @if begun.is_empty() { (row(None, size)) }
                }
                template id="rectangle" { (row(None, size)) }
                div.buttons.left { button type="button" id="another" hidden { "Another rectangle" } }
                @match device { Some(met) => (scopes(met)), None => input type="hidden" name="scope" value="object"; }
                label for="reason" { "Why" }
                input id="reason" name="reason" maxlength="300" required autocomplete="off" placeholder="for example: name banner at the top";
                div.buttons {
                    @if device.is_some() { button name="act" value="nothing" { "Nothing is burned in on this device" } }
                    button.primary name="act" value="mask" { "Mask it" }
                }
            }
        }
    }
}

fn row(one: Option<&Rectangle>, size: &Size) -> Markup {
    let value = |edge: &str| one.map(|one| edge_of(one, edge));
    html! {
        li { fieldset.rectangle {
            legend.unseen { "A black rectangle" }
            @for (edge, word) in EDGES {
                label {
                    (word)
                    input name=(edge) type="number" inputmode="numeric" min="0" step="1" value=[value(edge)]
                        max=(if matches!(edge, "left" | "right") { size.columns } else { size.rows });
                }
            }
            button.quiet type="button" data-remove hidden { "Remove" }
        } }
    }
}

fn edge_of(one: &Rectangle, edge: &str) -> u32 {
    match edge {
        "left" => one.left,
        "top" => one.top,
        "right" => one.right,
        _ => one.bottom,
    }
}

fn scopes(met: &Met) -> Markup {
    html! {
        fieldset.scopes {
            legend { "Where it holds" }
            label.tick {
                input type="radio" name="scope" value="device" checked;
                span {
                    "On every picture of this device: " strong { (met.device) }
                    span.dim { ", now and from now on; " (met.waiting) @if met.waiting == 1 { " object waits" } @else { " objects wait" } " for it" }
                }
            }
            label.tick { input type="radio" name="scope" value="object"; span { "On this object only" } }
        }
    }
}

/// The rectangles of a form; fields that are all empty are none.
fn drawn(posted: &Posted, size: &Size) -> Result<Vec<Rectangle>, Refusal> {
    let edges = EDGES.map(|(edge, _)| posted.all(edge).collect::<Vec<_>>());
    let [left, top, right, bottom] = &edges;
    if edges.iter().any(|one| one.len() != left.len()) {
        return Err(Refusal::wrong("The form has lost a field: load it again."));
    }
    let mut all = Vec::new();
    for ((left, top), (right, bottom)) in zip(zip(left, top), zip(right, bottom)) {
        let four = [*left, *top, *right, *bottom].map(str::trim);
        if four.iter().all(|text| text.is_empty()) {
            continue;
        }
        let [left, top, right, bottom] = four.map(|text| text.parse::<u32>().ok());
        let one = match (left, top, right, bottom) {
            (Some(left), Some(top), Some(right), Some(bottom)) => Rectangle {
                left,
                top,
                right,
                bottom,
            },
            _ => return Err(Refusal::wrong("A rectangle has four whole numbers.")),
        };
        if one.is_empty() || one.within(size.rows, size.columns) != one {
            return Err(Refusal::wrong(format!(
                "The rectangle {one} does not lie in the picture, which has {} × {} pixels.",
                size.columns, size.rows
            )));
        }
        all.push(one);
    }
    if all.len() > RECTANGLES {
        return Err(Refusal::wrong(format!(
            "At most {RECTANGLES} rectangles can be black."
        )));
    }
    Ok(all)
}

/// Masks an object, or makes the rule of its device.
pub(super) async fn mask(
    State(page): State<Page>,
    Path((address, id)): Path<(String, i64)>,
    posted: Posted,
) -> Result<Response, Refusal> {
    let case = parsed(&address)?;
    posted.person.must_decide()?;
    let reason = reason(&posted)?;
    let of = found(&page, &case, id).await?;
    let Content::Picture(size) = content(&page, &of).await else {
        return Err(Refusal::wrong(
            "It has no picture that could be drawn on: release it or keep it back.",
        ));
    };
    let nothing = posted.get("act") == "nothing";
    let rectangles = match nothing {
        true => Vec::new(),
        false => drawn(&posted, &size)?,
    };
    if rectangles.is_empty() && !nothing {
        return Err(Refusal::wrong(
            "Nothing is drawn: drag over the picture, or type where the rectangle is.",
        ));
    }
    let by = By {
        who: &posted.person.name,
        reason: &reason,
    };
    let (device, scope) = (of.device.as_ref(), posted.get("scope"));
    let again = match device.filter(|_| nothing || scope == "device") {
        Some(met) => {
            let confirmed = posted.get("confirmed") == "yes";
            let spool = &page.desk.spool;
            match spool.draw_mask(met.id, &rectangles, confirmed, by).await? {
                Drawn::Made(again) => again,
                Drawn::Covers => {
                    let person = &posted.person;
                    let asked = covers(person, &case, &of, &size, &rectangles, &reason);
                    return Ok(asked.into_response());
                }
                Drawn::Nothing => return Err(gone()),
            }
        }
        None if scope == "object" && !nothing => {
            let masked = page.desk.spool.mask_object(&case, id, &rectangles, by);
            match masked.await? {
                true => 1,
                false => return Err(gone()),
            }
        }
        None => return Err(Refusal::wrong("Choose where the mask holds.")),
    };
    tracing::info!(%case, who = %posted.person.name, what = "mask", "decided on the site page");
    let said = if nothing { "unmasked" } else { "masked" };
    Ok(Redirect::to(&format!("/case/{case}?said={said}&count={again}")).into_response())
}

fn gone() -> Refusal {
    Refusal::changed(
        "Nothing was changed: somebody may have decided before you. Load the page again.",
    )
}

/// Asks once more: the rule would hide what the device declares as scan area.
fn covers(
    person: &Person,
    case: &CaseCode,
    of: &Shown,
    size: &Size,
    rectangles: &[Rectangle],
    reason: &str,
) -> Markup {
    let to = format!("/case/{case}/object/{}", of.object.id);
    let body = html! {
        h1 { "Not done yet: this would hide what was scanned" }
        p {
            "Case " (code(case)) ". The mask covers a part of what this device declares as its scan area. It would be black on every "
            "picture of this device, and the reader would not see what lies below it."
        }
        (object::stage(case, of, Asked::default(), size, rectangles))
        p.dim { span.swatch.region {} " what the device declares as scan area " span.swatch.drawn {} " what would be black" }
        form.narrow method="post" action={ (to) "/mask" } {
            (token(person))
            @for one in rectangles { @for (edge, _) in EDGES { input type="hidden" name=(edge) value=(edge_of(one, edge)); } }
            input type="hidden" name="scope" value="device";
            input type="hidden" name="act" value="mask";
            input type="hidden" name="confirmed" value="yes";
            input type="hidden" name="reason" value=(reason);
            div.buttons.left {
                a.button href=(to) { "Draw it anew" }
                button.danger { "Yes, hide it on every picture" }
            }
        }
        script src="/web/draw.js" defer {}
    };
    shell::page(Some(person), "", "Not done yet", &body)
}
