//! Private elements that hold no identity and that reading needs (P25): a list by vendor.
//!
//! It begins with the elements that PS3.15 Table E.3.10-1 calls safe; to these come the headers of Siemens (CSA) and the scale
//! factors that measuring programs look for. What stays is still searched for identifiers of the patient.

use std::collections::BTreeMap;

use dicom_core::VR;

/// Creator, group, elements within the block.
const SAFE: &[(&str, u16, &[u8])] = &[
    // SUV and activity concentration factors
    ("Philips PET Private Group", 0x7053, &[0x00, 0x09]),
    ("SIEMENS MED PT", 0x0071, &[0x21, 0x22]),
    ("GEMS_PETD_01", 0x0009, &[0x0D]),
    // scale slope and intercept, diffusion
    ("Philips MR Imaging DD 001", 0x2005, &[0x0D, 0x0E]),
    ("Philips Imaging DD 001", 0x2001, &[0x03, 0x04]),
    ("SIEMENS MR HEADER", 0x0019, &[0x0C, 0x0D, 0x0E, 0x27]),
    (
        "SIEMENS CSA HEADER",
        0x0029,
        &[0x08, 0x09, 0x10, 0x18, 0x19, 0x20],
    ),
    ("GEMS_ACQU_01", 0x0019, &[0x23, 0x24, 0x27, 0x9E]),
    ("GEMS_SERS_01", 0x0025, &[0x07]),
    ("GEMS_PARM_01", 0x0043, &[0x27, 0x39, 0x6F]),
    ("GEMS_HELIOS_01", 0x0045, &[0x01, 0x02]),
    ("ELSCINT1", 0x00E1, &[0x21]),
    ("ELSCINT1", 0x01E1, &[0x26, 0x50]),
    ("ELSCINT1", 0x01F1, &[0x01, 0x07, 0x26, 0x27]),
    (
        "GEMS_SENO_02",
        0x0045,
        &[
            0x06, 0x1B, 0x20, 0x27, 0x29, 0x2A, 0x2B, 0x49, 0x58, 0x59, 0x60, 0x61, 0x64, 0x71,
            0x72, 0x90, 0xA0, 0xA1, 0xA2, 0xA4, 0xA7, 0xA8,
        ],
    ),
    ("GEIIS PACS", 0x0903, &[0x10, 0x11, 0x12]),
    (
        "HOLOGIC, Inc.",
        0x0019,
        &[
            0x06, 0x07, 0x08, 0x16, 0x25, 0x26, 0x27, 0x28, 0x29, 0x30, 0x31, 0x32, 0x33, 0x34,
            0x35, 0x37, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x50, 0x51, 0x52, 0x53, 0x60,
            0x61, 0x62, 0x70, 0x71, 0x80, 0x85, 0x87, 0x89, 0x8A, 0x90, 0x97, 0x98,
        ],
    ),
    ("HOLOGIC, Inc.", 0x7E01, &[0x01, 0x02, 0x10, 0x11, 0x12]),
    ("HOLOGIC, Inc.", 0x7F01, &[0x01, 0x02, 0x10, 0x11, 0x12]),
    (
        "LORAD Selenia",
        0x0019,
        &[
            0x06, 0x07, 0x08, 0x16, 0x26, 0x27, 0x28, 0x29, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35,
            0x37, 0x40, 0x41, 0x50, 0x51, 0x52, 0x53, 0x60, 0x70, 0x71, 0x80, 0x90,
        ],
    ),
];

/// Whether a creator has safe elements in a group: then its own element stays.
pub(super) fn known(creator: &str, group: u16) -> bool {
    SAFE.iter()
        .any(|(name, of, _)| *name == creator && *of == group)
}

/// Whether an element of a creator's block is safe.
pub(super) fn safe(creator: &str, group: u16, element: u8) -> bool {
    SAFE.iter()
        .any(|(name, of, elements)| *name == creator && *of == group && elements.contains(&element))
}

/// The VR of a safe element that holds a date, for one that is written as UN or without a VR.
pub(super) fn date(creator: &str, group: u16, element: u8) -> Option<VR> {
    // PET scan date and time
    (creator == "GEMS_PETD_01" && group == 0x0009 && element == 0x0D).then_some(VR::DT)
}

/// The creators of the group of a dataset that is being walked (PS3.5 7.8.1): groups stand in order, and no block reaches beyond its
/// group.
#[derive(Default)]
pub(super) struct Blocks {
    group: u16,
    creators: BTreeMap<u8, String>,
}

impl Blocks {
    /// Notes the creator of a block.
    pub(super) fn reserve(&mut self, group: u16, block: u8, creator: String) {
        if self.group != group {
            self.group = group;
            self.creators.clear();
        }
        self.creators.insert(block, creator);
    }

    /// Who reserved the block that an element stands in; none when nobody has.
    pub(super) fn creator(&self, group: u16, block: u8) -> Option<&str> {
        self.creators
            .get(&block)
            .filter(|_| self.group == group)
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_groups_that_are_past_are_forgotten() {
        let mut blocks = Blocks::default();
        for group in (0x0009..=0x3FFF).step_by(2) {
            for block in 0x10..=0x1F {
                blocks.reserve(group, block, format!("{group} {block}"));
            }
            assert_eq!(blocks.creators.len(), 16);
            let creator = blocks.creator(group, 0x12);
            assert_eq!(creator, Some(format!("{group} 18").as_str()));
            assert_eq!(blocks.creator(group - 2, 0x12), None);
        }
    }
}
