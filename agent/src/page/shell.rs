//! What every page looks like: head, navigation, and the small things that all of them show in the same way.

use causeway_proto::ids::CaseCode;
use causeway_proto::time::Timestamp;
use dicom_dictionary_std::uids;
use maud::{DOCTYPE, Markup, html};

use super::accounts::Role;
use super::guard::FORM;
use super::session::Person;
use super::work::Done;

/// The whole page. `here` is the path of the navigation's entry that it belongs to.
pub(super) fn page(person: Option<&Person>, here: &str, title: &str, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="dark light";
                title { (title) " · Causeway at this site" }
                link rel="icon" type="image/svg+xml" href="/web/mark.svg";
                link rel="stylesheet" href="/web/site.css";
                script src="/web/theme.js" {}
                script src="/web/site.js" defer {}
            }
            body {
                a.skip href="#main" { "Go to the page" }
                header.top {
                    a.brand href="/work" { img src="/web/mark.svg" alt="" width="26" height="26"; "Causeway" span.dim { "at this site" } }
                    @if let Some(person) = person { (navigation(person, here)) }
                }
                main id="main" tabindex="-1" { (main) }
                footer { "Patient names on these pages stay in this hospital. Not a medical device." }
            }
        }
    }
}

fn navigation(person: &Person, here: &str) -> Markup {
    let mut entries = vec![
        ("/work", "Work"),
        ("/find", "Find"),
        ("/masks", "Masks"),
        ("/status", "Status"),
    ];
    if person.role == Role::Administrator {
        entries.push(("/accounts", "Accounts"));
    }
    entries.push(("/help", "Help"));
    html! {
        nav aria-label="Pages" {
            @for (path, word) in entries {
                a href=(path) aria-current=[(path == here).then_some("page")] { (word) }
            }
        }
        div.corner {
            span.me { (person.name) span.dim { " · " (person.role) } }
            button.quiet type="button" data-act="theme" hidden { "Light or dark" }
            form method="post" action="/sign-out" {
                (token(person))
                button.quiet { "Sign out" }
            }
        }
    }
}

/// The field that shows that a form is of this session.
pub(super) fn token(person: &Person) -> Markup {
    html! { input type="hidden" name=(FORM) value=(person.form); }
}

/// The word for a case, as it is said.
pub(super) fn code(case: &CaseCode) -> Markup {
    let (first, last) = case
        .as_str()
        .split_at_checked(4)
        .unwrap_or((case.as_str(), ""));
    html! { span.code { span { (first) } span { (last) } } }
}

/// A point in time: UTC as sent, the browser's own time where scripts run.
pub(super) fn time(at: Timestamp) -> Markup {
    let shown = at.calendar().strftime("%Y-%m-%d %H:%M UTC").to_string();
    html! { time datetime=(at) { (shown) } }
}

/// (0010,0010) as people write it: the first of its groups, family name first.
pub(super) fn name(raw: &str) -> String {
    let group = raw
        .split('=')
        .find(|group| !group.is_empty())
        .unwrap_or_default();
    let mut parts = group
        .split('^')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let family = parts.next().unwrap_or("no name").to_owned();
    let given = parts.collect::<Vec<_>>().join(" ");
    if given.is_empty() {
        family
    } else {
        format!("{family}, {given}")
    }
}

/// How urgent; quiet when it is not.
pub(super) fn level(priority: &str) -> Markup {
    match priority {
        "stat" => html! { span.level.stat { "STAT" } },
        "urgent" => html! { span.level.urgent { "urgent" } },
        "unstated" => html! { span.level { "not stated" } },
        other => html! { span.level { (other) } },
    }
}

/// Bytes for people.
pub(super) fn bytes(count: u64) -> String {
    let units = [(30, "GB"), (20, "MB"), (10, "kB")];
    for (shift, unit) in units {
        if count >> shift > 0 {
            let tenths = (count >> (shift - 4)).saturating_mul(10) >> 4;
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{count} bytes")
}

/// What kind of object a SOP class is, in words; the UID where we have none.
pub(super) fn class(uid: &str) -> &str {
    match uid {
        uids::SECONDARY_CAPTURE_IMAGE_STORAGE
        | uids::MULTI_FRAME_GRAYSCALE_BYTE_SECONDARY_CAPTURE_IMAGE_STORAGE
        | uids::MULTI_FRAME_GRAYSCALE_WORD_SECONDARY_CAPTURE_IMAGE_STORAGE
        | uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE => "secondary capture",
        uids::CT_IMAGE_STORAGE | uids::ENHANCED_CT_IMAGE_STORAGE => "CT image",
        uids::MR_IMAGE_STORAGE | uids::ENHANCED_MR_IMAGE_STORAGE => "MR image",
        uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE => "CR image",
        uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION
        | uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PROCESSING => "X-ray image",
        uids::DIGITAL_MAMMOGRAPHY_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION
        | uids::DIGITAL_MAMMOGRAPHY_X_RAY_IMAGE_STORAGE_FOR_PROCESSING
        | uids::BREAST_TOMOSYNTHESIS_IMAGE_STORAGE => "mammography image",
        uids::ULTRASOUND_IMAGE_STORAGE => "ultrasound image",
        uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE => "ultrasound loop",
        uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE | uids::ENHANCED_XA_IMAGE_STORAGE => {
            "angiography run"
        }
        uids::X_RAY_RADIOFLUOROSCOPIC_IMAGE_STORAGE => "fluoroscopy run",
        uids::NUCLEAR_MEDICINE_IMAGE_STORAGE => "nuclear medicine image",
        uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE => "PET image",
        uids::X_RAY_RADIATION_DOSE_SR_STORAGE => "dose report",
        uids::BASIC_TEXT_SR_STORAGE
        | uids::ENHANCED_SR_STORAGE
        | uids::COMPREHENSIVE_SR_STORAGE => "structured report",
        uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE => "key images",
        uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE => "presentation state",
        uids::ENCAPSULATED_PDF_STORAGE => "PDF document",
        other => other,
    }
}

/// What was just done, said once.
pub(super) fn said(done: &Done) -> Markup {
    let sentence = match done.said.as_deref() {
        Some("released") => "Released: it is checked and sent now.",
        Some("masked") => "Masked: black where you have drawn.",
        Some("unmasked") => "Noted: nothing is burned in on this device.",
        Some("mask-dropped") => "The mask is taken away. What has not left is withheld again.",
        Some("kept") => "Kept back: it stays at this site, and the reader sees that it exists.",
        Some("unblocked") => "The reader may sign this case again.",
        Some("kept-blocked") => "The case stays blocked. Nobody is asked about it again.",
        Some("context") => "It goes to the reader now; below you see when it has arrived.",
        Some("letter") => "The message goes to the reader now; below you see when it has arrived.",
        Some("letters-read") => "Noted as read.",
        Some("raised") => {
            "The case is more urgent now, here and at the gateway as soon as the link has said so."
        }
        Some("sent-now") => "Nothing more is waited for: what has come is complete.",
        Some("recalled") => {
            "Taken back: nothing more is sent, and the gateway is told until it confirms."
        }
        Some("retried") => "Offered again, at once.",
        Some("acknowledged") => "Noted: the gateway and the reader hear that it was seen.",
        Some("alarm-known") => "Noted: it is told nobody again, unless it becomes more.",
        Some("filed") => "Decided. The case shows when the report has arrived.",
        Some("account-made") => "The account is made. Tell the person the password yourself.",
        Some("account-changed") => {
            "The password is changed, and that person is signed out everywhere."
        }
        Some("account-removed") => {
            "The account is removed, and that person is signed out everywhere."
        }
        _ => return html! {},
    };
    html! {
        p.said role="status" {
            (sentence)
            @match done.count {
                Some(1) => " 1 object is decided again now.",
                Some(count) => { " " (count) " objects are decided again now." },
                None => {},
            }
        }
    }
}
