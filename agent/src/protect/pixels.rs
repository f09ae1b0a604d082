//! What pixels may give away (P1, P6): an object whose pixels may show who the patient is leaves masked, or stays.

use causeway_proto::dataset::Dataset;
use dicom_core::Tag;

use super::picture::Place;
use super::profile::Options;
use crate::mask::Family;

pub(super) const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";

/// Classes of measured images, into which no device burns names as a rule; by what follows [`STORAGE`].
const MEASURED: &[&str] = &[
    // CR, DX, MG, intra-oral
    "1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1", // CT, MR, NM, PT
    "2", "2.1", "2.2", "4", "4.1", "4.2", "4.3", "4.4", "5", "20", "128", "128.1", "130",
    // XA, RF, tomosynthesis, intravascular OCT
    "12.1", "12.1.1", "12.2", "12.2.1", "13.1.1", "13.1.2", "13.1.3", "13.1.4", "13.1.5", "14.1",
    "14.2",
    // what is computed of them: parametric maps, segmentations, RT images and doses
    "30", "66.4", "66.7", "481.1", "481.2",
];
/// Classes in which a slice has a place in the patient.
const SLICES: &[&str] = &["2", "4", "128"];
/// Coded over many frames at once: there is no frame to be masked alone.
const VIDEOS: &[&str] = &["77.1.1.1", "77.1.2.1", "77.1.4.1"];
/// Recordings of speech: whoever dictates says who the patient is.
const VOICES: &[&str] = &["9.4.1", "9.4.2"];
/// Words of (0008,0008) by which screen saves, dose pages and drawn reports call themselves.
const SCREENS: &[&str] = &[
    "SCREEN SAVE",
    "SCREENSAVE",
    "SCREEN_SAVE",
    "SCREEN SHOT",
    "SCREENSHOT",
    "SCREEN",
    "SCREEN CAP",
    "CAPTURE",
    "DOSE",
    "DOSE_INFO",
    "DOSE REPORT",
    "PROT",
    "PROTOCOL",
    "REPORT",
    "CSA REPORT",
    "TABLE",
    "GRAPH",
];

/// What decides, from the top level of the dataset.
#[derive(Default)]
pub(super) struct Look {
    /// Attributes of [`LOOKED_AT`], as they stand.
    pub(super) header: Dataset,
    /// Pixel Data, Float Pixel Data or Double Float Pixel Data stands in it.
    pub(super) pixels: bool,
    /// Where the pixel data stand.
    pub(super) place: Place,
    /// An overlay group without a plane of its own: its bits are in the pixels.
    pub(super) overlay_in_pixels: bool,
}

/// The attributes that decide, or say how to mask.
pub(super) const LOOKED_AT: [Tag; 26] = [
    Tag(0x0008, 0x0005),
    Tag(0x0008, 0x0008),
    Tag(0x0008, 0x0016),
    Tag(0x0008, 0x0060),
    Tag(0x0008, 0x0064),
    Tag(0x0008, 0x0070),
    Tag(0x0008, 0x1090),
    Tag(0x0018, 0x6011),
    Tag(0x0020, 0x0032),
    Tag(0x0028, 0x0002),
    Tag(0x0028, 0x0004),
    Tag(0x0028, 0x0006),
    Tag(0x0028, 0x0008),
    Tag(0x0028, 0x0010),
    Tag(0x0028, 0x0011),
    Tag(0x0028, 0x0100),
    Tag(0x0028, 0x0101),
    Tag(0x0028, 0x0102),
    Tag(0x0028, 0x0103),
    Tag(0x0028, 0x0301),
    Tag(0x0028, 0x0302),
    Tag(0x0028, 0x1101),
    Tag(0x0028, 0x1201),
    Tag(0x0028, 0x1202),
    Tag(0x0028, 0x1203),
    Tag(0x0028, 0x2110),
];

/// What the pixels of an object may give away.
pub(super) enum Judged {
    /// Nothing.
    Silent,
    /// It stays for this reason, or a person releases it.
    Stays(String),
    /// It leaves when it was masked: by the rule of its device in this family, or by what a person draws for it alone.
    Shows(String, Option<Family>),
}

/// What the pixels or the document of an object may give away.
pub(super) fn judge(look: &Look, options: &Options) -> Judged {
    let class = look.header.code(Tag(0x0008, 0x0016));
    let Some(kind) = class.strip_prefix(STORAGE) else {
        return Judged::Stays("is of a kind that this profile does not know".to_owned());
    };
    if kind.split('.').next() == Some("104") {
        // what a document says of dates stays true
        if options.encapsulated_documents && !options.modified_dates {
            return Judged::Silent;
        }
        return Judged::Stays(may_show("an encapsulated document"));
    }
    if VOICES.contains(&kind) {
        return Judged::Stays("a voice recording may say who the patient is".to_owned());
    }
    if look.header.code(Tag(0x0028, 0x0302)) == "YES" && !options.headshots {
        return Judged::Stays(may_show("it shows a face"));
    }
    if !look.pixels {
        return Judged::Silent;
    }
    if look.overlay_in_pixels {
        return Judged::Stays(may_show("an overlay lies in its pixels"));
    }
    if VIDEOS.contains(&kind) {
        return Judged::Stays(may_show("a video"));
    }
    let screen = is_screen(&look.header, kind);
    let family = family(kind).filter(|_| !screen);
    if look.header.code(Tag(0x0028, 0x0301)) == "YES" {
        return Judged::Shows(may_show("it says that text is burned in"), family);
    }
    if !MEASURED.contains(&kind) {
        return Judged::Shows(may_show(name(kind)), family);
    }
    if screen {
        return Judged::Shows(may_show("a screen save or dose page"), None);
    }
    Judged::Silent
}

/// Of which pictures a device has a rule of its own.
pub(super) fn family(kind: &str) -> Option<Family> {
    let first = kind.split('.').next().unwrap_or_default();
    match first {
        "3" | "6" => Some(Family::Ultrasound),
        "1" => Some(Family::Radiograph),
        "12" | "13" | "14" => Some(Family::Angiography),
        "2" | "4" | "5" | "20" | "128" | "130" => Some(Family::Section),
        "77" if kind.starts_with("77.1.") => Some(Family::Photograph),
        _ => None,
    }
}

fn may_show(what: &str) -> String {
    format!("may show identity in its pixels: {what}")
}

/// What a class is called to the reader.
fn name(kind: &str) -> &'static str {
    match kind {
        "3" | "3.1" | "6" | "6.1" | "6.2" | "6.3" => "ultrasound",
        "7" | "7.1" | "7.2" | "7.3" | "7.4" => "a secondary capture",
        _ if kind.starts_with("77.") => "a photograph",
        _ => "an image of a kind that may carry text",
    }
}

/// A drawn page that was stored as if it were a slice: it says so, or it was captured, or it is in colour and nowhere in the
/// patient.
fn is_screen(header: &Dataset, kind: &str) -> bool {
    let image_type = header.code(Tag(0x0008, 0x0008)).to_uppercase();
    let words: Vec<&str> = image_type.split('\\').map(str::trim).collect();
    let said = words.iter().skip(2).any(|word| SCREENS.contains(word));
    let second_hand = words.first() == Some(&"DERIVED") && words.get(1) == Some(&"SECONDARY");
    let captured = !header.bytes(Tag(0x0008, 0x0064)).is_empty();
    let colour = !matches!(
        header.code(Tag(0x0028, 0x0004)).as_str(),
        "" | "MONOCHROME1" | "MONOCHROME2"
    );
    let nowhere = SLICES.contains(&kind) && header.bytes(Tag(0x0020, 0x0032)).is_empty();
    said || (second_hand && (captured || colour || nowhere))
}
