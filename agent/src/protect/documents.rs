//! Content items of structured reports (PS3.3 C.17.3): some concepts are identity by what they ask, whatever is answered.

use causeway_proto::dataset::Dataset;
use dicom_core::Tag;

/// What the concept of a content item says about its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Concept {
    /// Nothing: it is cleaned as any text.
    #[default]
    Plain,
    /// A name or number of a person, an order or a place.
    Identity,
    /// The same of a device.
    Device,
}

/// DCM codes of identity: TID 1003 to 1010 and 4019 (observers, procedure and subject context).
const IDENTITY: &[&str] = &[
    "121008", "121009", "121010", "121020", "121021", "121022", "121029", "121030", "121031",
    "121036", "113870", "113871", "128774", "128775", "121114",
];
/// Names, serial numbers and places of devices.
const DEVICE: &[&str] = &["121013", "121016", "121017", "113877"];

/// The concept that a Concept Name Code Sequence (0040,A043) names.
pub(super) fn concept(name: &Dataset) -> Concept {
    let Some(item) = name.items(Tag(0x0040, 0xA043)).first() else {
        return Concept::Plain;
    };
    let code = item.code(Tag(0x0008, 0x0100));
    if item.code(Tag(0x0008, 0x0102)) != "DCM" {
        return Concept::Plain;
    }
    if IDENTITY.contains(&code.as_str()) {
        Concept::Identity
    } else if DEVICE.contains(&code.as_str()) {
        Concept::Device
    } else {
        Concept::Plain
    }
}

/// The attributes that hold the value of a content item and may hold identity in words or dates.
pub(super) fn is_value(tag: Tag) -> bool {
    matches!(tag, Tag(0x0040, 0xA120 | 0xA121 | 0xA122 | 0xA123 | 0xA160))
}
