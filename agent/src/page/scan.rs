//! A scanned request among what is withheld: its picture beside the form in which it is typed off (P9).

use causeway_proto::ids::CaseCode;
use dicom_dictionary_std::uids;
use maud::{Markup, html};

use super::shell;
use crate::spool::withheld::Object;

/// Whether a person may have scanned or photographed a request into it.
fn may_be_scanned(object: &Object) -> bool {
    matches!(
        object.class.as_str(),
        uids::SECONDARY_CAPTURE_IMAGE_STORAGE
            | uids::MULTI_FRAME_SINGLE_BIT_SECONDARY_CAPTURE_IMAGE_STORAGE
            | uids::MULTI_FRAME_GRAYSCALE_BYTE_SECONDARY_CAPTURE_IMAGE_STORAGE
            | uids::MULTI_FRAME_GRAYSCALE_WORD_SECONDARY_CAPTURE_IMAGE_STORAGE
            | uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE
            | uids::VL_PHOTOGRAPHIC_IMAGE_STORAGE
            | uids::ENCAPSULATED_PDF_STORAGE
    )
}

/// The one of `objects` that stands beside the form, `asked` for or the first; nothing where none can be a request.
pub(super) fn beside<'a>(
    case: &CaseCode,
    objects: impl Iterator<Item = &'a Object>,
    asked: Option<i64>,
) -> Option<Markup> {
    let all: Vec<&Object> = objects.filter(|one| may_be_scanned(one)).collect();
    let shown = all.iter().find(|one| Some(one.id) == asked);
    let shown = *shown.or_else(|| all.first())?;
    let to = format!("/case/{case}/object/{}", shown.id);
    let document = shown.class == uids::ENCAPSULATED_PDF_STORAGE;
    Some(html! {
        div.scan {
            p.dim {
                "Withheld here, and perhaps the request: type off what the reader should know. "
                a href=(to) { "Look at it in full" }
            }
            @if all.len() > 1 {
                nav.buttons.left aria-label="Which one" {
                    @for (at, one) in all.iter().enumerate() {
                        a.button href={ "/case/" (case) "?beside=" (one.id) "#context" } aria-current=[(one.id == shown.id).then_some("true")] {
                            (at + 1) span.unseen { " " (shell::class(&one.class)) }
                        }
                    }
                }
            }
            @if document { p { "A PDF document: it is not opened on this page. Look at it in your PACS." } } @else {
                img src={ (to) "/picture" } alt={ "The " (shell::class(&shown.class)) ", which cannot be shown" } loading="lazy";
            }
        }
    })
}
