//! What the words on these pages mean, for somebody who meets them at night.

use maud::{Markup, html};

use super::session::Person;
use super::shell;

/// Where withheld objects are explained.
pub(super) const WITHHELD: &str = "withheld";

/// The page.
pub(super) async fn show(person: Person) -> Markup {
    let body = html! {
        h1 { "Help" }
        dl.help {
            dt { "Case code" }
            dd { "Eight characters without look-alikes. Say it on the telephone: the reader sees the same code and no name. Type it under Find to see whose it is." }
            dt id=(WITHHELD) { "Withheld" }
            dd {
                "An object that may show who the patient is, most often a screen picture or a dose page with the name in the pixels, or one that "
                "could not be checked. It stays here. The study goes without it and can be read and signed; the reader sees that it exists and why "
                "it was withheld."
            }
            dt { "Look" }
            dd { "Shows one frame of what is withheld, with your name on record. What is faint or dark can be made visible: look at it so once before you release it." }
            dt { "Mask" }
            dd {
                "Drag over what names somebody. Where the picture says which device made it, the mask holds for every picture of that device and size, "
                "those that wait and those that will come; the list stands under Masks. A page that was captured or scanned is masked by itself. What was "
                "scanned, the side, the scale and results stay visible: if a mask would cover the scan area, you are asked once more."
            }
            dt { "Release" }
            dd { "You have looked at it and say that its pixels show no identity. Names and numbers in its header are taken out as in every other object. It reaches the reader as a late image." }
            dt { "Keep back for good" }
            dd { "It stays here and nobody is asked again. The reader still sees that it exists." }
            dt { "Blocked" }
            dd { "The sender changed whose images these are, or two patients are mixed in one study. Nobody can sign before you have decided." }
            dt { "Recall" }
            dd { "Takes a study back: wrong patient, wrong study, an objection. The gateway deletes it and confirms; the case shows when it has." }
            dt { "STAT, urgent" }
            dd { "You may make a case more urgent at any time. The reader's list follows as soon as the link has said so." }
            dt { "A report that has not arrived" }
            dd { "It is here, signed and verified, but the hospital's system has not taken it. It is tried again by itself while it says waiting; held and not-taken need your hand." }
            dt { "Keys" }
            dd { "Tab goes from field to field, Enter does what the marked button says. / goes to Find." }
        }
    };
    shell::page(Some(&person), "/help", "Help", &body)
}
