//! The profile "reading": Basic Profile with the options that reading needs (PS3.15 Annex E), as one action per attribute.

use dicom_core::{Tag, VR};
use serde::{Deserialize, Serialize};

use super::masked::Masked;
use super::overlays::Kept;
use super::table::{self, Basic};

/// Version of the profile, its tables and its transform: a change of what leaves raises it.
pub const PROFILE: u32 = 2;

/// What an agreement chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Dates are shifted by a constant of the patient (113107): [`super::Stand::shift`].
    pub modified_dates: bool,
    /// Serial numbers and other names of devices stay (113109).
    pub retain_device: bool,
    /// Name and address of the institution stay (113112).
    pub retain_institution: bool,
    /// Encapsulated documents leave as they are.
    pub encapsulated_documents: bool,
    /// What happens to an object with a UID that holds an identifier of the patient.
    pub uids: UidRule,
    /// Images that show a face leave.
    pub headshots: bool,
    /// A person at the site has looked at this object and releases its pixels, its document and its UIDs.
    pub released: bool,
    /// A person has drawn what is to be masked in this object.
    #[serde(skip)]
    pub drawn: bool,
    /// What was masked in this object.
    #[serde(skip)]
    pub masked: Option<Masked>,
    /// The overlay groups that stay (P25), by what a person has drawn for the device.
    #[serde(skip)]
    pub(super) overlays: Kept,
}

/// What happens to an object with a UID that holds an identifier of the patient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UidRule {
    /// It stays at the site.
    #[default]
    Withhold,
    /// It leaves, with a remark.
    Accept,
    /// No UID of the site leaves at all: another one does, of every object.
    Replace,
}

/// What is done to an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It stays; identifiers of this patient in it do not.
    Keep,
    /// It is taken out.
    Remove,
    /// It stays without a value.
    Empty,
    /// It gets a value that says nothing; in a sequence the texts of its items do.
    Dummy,
}

/// What is done to a standard attribute that stands in the dataset or in an item of it.
pub(super) fn action(tag: Tag, vr: VR, options: &Options) -> Action {
    if let Some(action) = own_rule(tag, options) {
        return action;
    }
    let Some(row) = table::row(tag) else {
        // dictionaries do not know what this is, and nobody who reads images would
        return if vr == VR::PN {
            Action::Empty
        } else {
            Action::Keep
        };
    };
    if row.options.chars().any(|letter| chosen(letter, options)) {
        // names of persons are not descriptions: cleaning one leaves nothing
        return if vr == VR::PN {
            Action::Empty
        } else {
            Action::Keep
        };
    }
    match row.basic {
        Basic::X => Action::Remove,
        Basic::Z | Basic::Xz => Action::Empty,
        Basic::D | Basic::Xd | Basic::Xzd | Basic::Zd => Action::Dummy,
        // Retain UIDs (113110), or another UID where the value is written
        Basic::U | Basic::Xzu => Action::Keep,
    }
}

/// Options that are always on: dates, full or modified, patient characteristics, clean descriptors, structured content and graphics.
fn chosen(letter: char, options: &Options) -> bool {
    match letter.to_ascii_lowercase() {
        'u' => options.uids != UidRule::Replace,
        't' | 'p' | 'e' | 's' | 'g' => true,
        'd' => options.retain_device,
        'i' => options.retain_institution,
        _ => false,
    }
}

/// Attributes that no row names, and that must not leave.
fn own_rule(tag: Tag, options: &Options) -> Option<Action> {
    match tag {
        // group lengths: retired, and wrong once a value has changed (PS3.5 7.2)
        Tag(_, 0x0000) => Some(Action::Remove),
        // command, file meta: no part of a dataset
        Tag(0x0000 | 0x0002, _) => Some(Action::Remove),
        // what somebody else sealed, and for whom, is not known here
        Tag(0x0400, 0x0500) => Some(Action::Remove),
        // dates of birth and death in other calendars, and which: birth dates like (0010,0030)
        Tag(0x0010, 0x0033..=0x0035) => Some(Action::Remove),
        // verifying observers, and persons who are identified: the structure stays, the persons do not
        Tag(0x0040, 0xA073 | 0x1101) => Some(Action::Dummy),
        // who issued a number, and which service asked: the house by name, though no row says so
        Tag(0x0008, 0x0051)
        | Tag(0x0010, 0x0024)
        | Tag(0x0032, 0x1033 | 0x1034)
        | Tag(0x0040, 0x0026 | 0x0027 | 0x0036 | 0x0039)
            if !options.retain_institution =>
        {
            Some(Action::Remove)
        }
        _ => None,
    }
}

const FULL_DATES: (&str, &str) = (
    "113106",
    "Retain Longitudinal Temporal Information Full Dates Option",
);
const MODIFIED_DATES: (&str, &str) = (
    "113107",
    "Retain Longitudinal Temporal Information Modified Dates Option",
);

/// (0012,0064): CID 7050 codes of what was done, with their meanings.
pub(super) fn methods(options: &Options) -> Vec<(&'static str, &'static str)> {
    let mut methods = vec![("113100", "Basic Application Confidentiality Profile")];
    if options.masked.is_some() {
        methods.push(("113101", "Clean Pixel Data Option"));
    }
    methods.extend([
        ("113103", "Clean Graphics Option"),
        ("113104", "Clean Structured Content Option"),
        ("113105", "Clean Descriptors Option"),
        if options.modified_dates {
            MODIFIED_DATES
        } else {
            FULL_DATES
        },
        ("113108", "Retain Patient Characteristics Option"),
    ]);
    if options.retain_device {
        methods.push(("113109", "Retain Device Identity Option"));
    }
    if options.uids != UidRule::Replace {
        methods.push(("113110", "Retain UIDs Option"));
    }
    methods.push(("113111", "Retain Safe Private Option"));
    if options.retain_institution {
        methods.push(("113112", "Retain Institution Identity Option"));
    }
    methods
}
