//! What the kept values of a scan say: identifiers and text.

use dicom_core::Tag;

use super::{PrescanError, Remark, Scan};
use crate::text::CharacterSet;

/// The UIDs by which an instance is filed.
const IDENTIFIERS: [Tag; 4] = [
    Tag(0x0008, 0x0016),
    Tag(0x0008, 0x0018),
    Tag(0x0020, 0x000D),
    Tag(0x0020, 0x000E),
];

/// Turns the kept values into identifiers and text.
pub(super) fn name(scan: &mut Scan, named: &[(Tag, Vec<u8>)]) -> Result<(), PrescanError> {
    let value = |wanted: Tag| {
        named
            .iter()
            .find(|(tag, _)| *tag == wanted)
            .map_or(&[][..], |(_, value)| value.as_slice())
    };
    let character_set = CharacterSet::parse(value(Tag(0x0008, 0x0005)));
    scan.class = uid(value(Tag(0x0008, 0x0016)), "SOP Class UID")?;
    scan.instance = uid(value(Tag(0x0008, 0x0018)), "SOP Instance UID")?;
    scan.study = uid(value(Tag(0x0020, 0x000D)), "Study Instance UID")?;
    scan.series = uid(value(Tag(0x0020, 0x000E)), "Series Instance UID")?;
    if IDENTIFIERS.iter().any(|tag| has_leading_zero(value(*tag))) {
        scan.remark(Remark::LeadingZeros);
    }
    scan.modality = CharacterSet::default()
        .decode(value(Tag(0x0008, 0x0060)))
        .trim()
        .to_owned();
    let text = |tag| {
        character_set
            .decode(value(tag))
            .trim_matches([' ', '\0'])
            .to_owned()
    };
    scan.patient_id = text(Tag(0x0010, 0x0020)).into();
    scan.issuer = text(Tag(0x0010, 0x0021)).into();
    scan.patient_name = text(Tag(0x0010, 0x0010)).into();
    scan.accession = text(Tag(0x0008, 0x0050)).into();
    scan.description = text(Tag(0x0008, 0x1030)).into();
    scan.number = text(Tag(0x0020, 0x0013)).trim().parse().ok();
    // PS3.3 C.7.6.1.1.2: what describes the examination begins with the third value
    let image_type = text(Tag(0x0008, 0x0008));
    let mut words = image_type.split('\\').skip(2).map(str::trim);
    scan.localizer = words.any(|word| word == "LOCALIZER");
    scan.character_set = CharacterSet::default()
        .decode(value(Tag(0x0008, 0x0005)))
        .trim()
        .to_owned();
    Ok(())
}

fn uid<T: std::str::FromStr>(value: &[u8], name: &'static str) -> Result<Option<T>, PrescanError> {
    let Ok(text) = std::str::from_utf8(value) else {
        return Err(PrescanError::Uid(name));
    };
    let text = text.trim_matches(['\0', ' ']);
    if text.is_empty() {
        return Ok(None);
    }
    let uid = text.parse().ok().ok_or(PrescanError::Uid(name))?;
    Ok(Some(uid))
}

fn has_leading_zero(uid: &[u8]) -> bool {
    let mut components = uid.split(|byte| *byte == b'.');
    components.any(|digits| matches!(digits, [b'0', b'0'..=b'9', ..]))
}
