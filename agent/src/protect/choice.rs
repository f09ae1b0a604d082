//! What is to be black in an image: what a person drew for it alone, else what was drawn once for its device (P6).

use super::masked::Masked;
use super::picture::Shown;
use super::prepare::PrepareError;
use crate::mask::Rectangle;
use crate::spool::masks::{Rules, hides};
use crate::spool::{Looked, MaskedPixels, Unprotected};

const BY_RULE: &str = "banner masked at the site";
const BY_HAND: &str = "masked by hand at the site";

/// What is to be black, and why.
pub(super) struct Choice {
    pub(super) rectangles: Vec<Rectangle>,
    pub(super) looked: Option<Looked>,
    remark: &'static str,
}

/// How that is brought about.
pub(super) enum Chosen {
    /// So; and whether with pixels that were coded anew.
    Masked(Masked, bool),
    /// The pixels have to be coded anew first.
    Coded,
    /// Not at all.
    No(&'static str),
}

/// Chooses for an image that shows something.
pub(super) fn choose(
    instance: &Unprotected,
    rules: &Rules,
    shown: &Shown,
) -> Result<Choice, PrepareError> {
    if let Some(drawn) = &instance.mask {
        return Ok(Choice {
            rectangles: drawn.clone(),
            looked: None,
            remark: BY_HAND,
        });
    }
    let Some(device) = shown.device() else {
        return Err(PrepareError::Withheld(shown.reason.clone()));
    };
    let rule = rules.of(&device);
    let looked = Looked {
        device,
        regions: shown.regions(),
        rule: rule.map(|rule| rule.id),
    };
    let unmasked = |why: &str| {
        let reason = format!("{}, {why}", shown.reason);
        Err(PrepareError::Unmasked(reason, Box::new(looked.clone())))
    };
    let Some(rule) = rule else {
        return unmasked("of an unknown device: a person at the site draws the rectangle once");
    };
    if hides(&rule.rectangles, &looked.regions) && !rule.covers {
        return unmasked(
            "and the mask of its device would hide scan area: a person at the site confirms it",
        );
    }
    Ok(Choice {
        rectangles: rule.rectangles.clone(),
        looked: Some(looked),
        remark: BY_RULE,
    })
}

impl Choice {
    /// How it is brought about; `pixels` are those that were coded anew.
    pub(super) fn masked(&self, shown: &Shown, pixels: Option<&MaskedPixels>) -> Chosen {
        if self.rectangles.is_empty() {
            return Chosen::Masked(Masked::nothing(), false);
        }
        if !shown.place.coded {
            return match Masked::native(shown, &self.rectangles, self.remark) {
                Some(masked) => Chosen::Masked(masked, false),
                None => Chosen::No(
                    "could not be masked: where its pixels lie is not said, or not understood",
                ),
            };
        }
        let anew =
            pixels.and_then(|it| Masked::anew(&it.made, it.length, &self.rectangles, self.remark));
        match anew {
            Some(masked) => Chosen::Masked(masked, true),
            None => Chosen::Coded,
        }
    }
}
