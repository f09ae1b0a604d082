//! Where an object of a SOP class can be seen (P18): in the viewer, as text here, or nowhere yet, and what it is called. One table.

/// Where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The viewer displays it.
    Viewer,
    /// This reading room renders it as text.
    Readable,
    /// Neither; the reason is in the name.
    Nowhere,
}

impl Shown {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Readable => "readable",
            Self::Nowhere => "not-shown",
        }
    }
}

use Shown::{Nowhere, Readable, Viewer};

const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";

/// The part of the class after [`STORAGE`], or its beginning when it ends in a dot. The first that fits counts.
const TABLE: [(&str, Shown, &str); 63] = [
    ("1", Viewer, "computed radiography image"),
    ("1.1", Viewer, "digital X-ray image"),
    ("1.1.1", Viewer, "digital X-ray image, for processing"),
    ("1.2", Viewer, "mammography image"),
    ("1.2.1", Viewer, "mammography image, for processing"),
    ("1.3", Viewer, "intra-oral X-ray image"),
    ("1.3.1", Viewer, "intra-oral X-ray image, for processing"),
    ("2", Viewer, "CT image"),
    ("2.1", Viewer, "enhanced CT image"),
    ("2.2", Viewer, "legacy converted enhanced CT image"),
    ("3", Viewer, "ultrasound loop"),
    ("3.1", Viewer, "ultrasound loop"),
    ("4", Viewer, "MR image"),
    ("4.1", Viewer, "enhanced MR image"),
    ("4.2", Nowhere, "MR spectroscopy"),
    ("4.3", Viewer, "enhanced MR colour image"),
    ("4.4", Viewer, "legacy converted enhanced MR image"),
    ("6", Viewer, "ultrasound image"),
    ("6.1", Viewer, "ultrasound image"),
    ("6.2", Viewer, "enhanced ultrasound volume"),
    ("7", Viewer, "secondary capture"),
    ("7.1", Viewer, "secondary capture, 1 bit"),
    ("7.2", Viewer, "secondary capture, 8 bit"),
    ("7.3", Viewer, "secondary capture, 16 bit"),
    ("7.4", Viewer, "secondary capture, colour"),
    ("9.", Nowhere, "waveform"),
    ("11.", Nowhere, "presentation state"),
    ("12.1", Viewer, "angiography image"),
    ("12.1.1", Viewer, "enhanced angiography image"),
    ("12.2", Viewer, "fluoroscopy image"),
    ("12.2.1", Viewer, "enhanced fluoroscopy image"),
    ("13.1.1", Viewer, "3D angiography volume"),
    ("13.1.2", Viewer, "3D dental volume"),
    ("13.1.3", Viewer, "breast tomosynthesis"),
    ("13.1.4", Viewer, "breast projection image"),
    ("13.1.5", Viewer, "breast projection image, for processing"),
    ("14.", Viewer, "intravascular tomography"),
    ("20", Viewer, "nuclear medicine image"),
    ("30", Nowhere, "parametric map"),
    ("66", Nowhere, "raw data"),
    ("66.1", Nowhere, "spatial registration"),
    ("66.2", Nowhere, "spatial fiducials"),
    ("66.3", Nowhere, "deformable registration"),
    ("66.4", Nowhere, "segmentation"),
    ("66.", Nowhere, "derived object"),
    ("67", Nowhere, "real-world value mapping"),
    ("68.", Nowhere, "surface scan"),
    ("77.1.1", Viewer, "endoscopy image"),
    ("77.1.2", Viewer, "microscopy image"),
    ("77.1.4", Viewer, "photograph"),
    ("77.1.5.1", Viewer, "eye photograph, 8 bit"),
    ("77.1.5.2", Viewer, "eye photograph, 16 bit"),
    (
        "77.1.5.4",
        Viewer,
        "optical coherence tomography of the eye",
    ),
    ("77.1.6", Nowhere, "whole slide image"),
    ("77.", Nowhere, "visible light object"),
    ("88.59", Readable, "key object selection"),
    ("88.", Readable, "structured report"),
    ("104.1", Nowhere, "PDF document"),
    ("104.", Nowhere, "encapsulated document"),
    ("128", Viewer, "PET image"),
    ("128.1", Viewer, "legacy converted enhanced PET image"),
    ("130", Viewer, "enhanced PET image"),
    ("481.", Nowhere, "radiotherapy object"),
];

/// Where objects of this class are seen, and what they are called.
pub(super) fn shown(class: &str) -> (Shown, &'static str) {
    let Some(rest) = class.strip_prefix(STORAGE) else {
        return (Nowhere, "object of a private or unknown kind");
    };
    TABLE
        .iter()
        .find(|(key, ..)| *key == rest || (key.ends_with('.') && rest.starts_with(key)))
        .map_or(
            (Nowhere, "object of an unknown kind"),
            |(_, where_, name)| (*where_, *name),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(class: &str, expect: Shown) {
        assert_eq!(shown(class).0, expect, "{class}");
    }

    #[test]
    fn classes_are_seen_where_the_table_says() {
        check("1.2.840.10008.5.1.4.1.1.2", Viewer);
        check("1.2.840.10008.5.1.4.1.1.88.22", Readable);
        check("1.2.840.10008.5.1.4.1.1.88.59", Readable);
        check("1.2.840.10008.5.1.4.1.1.11.1", Nowhere);
        check("1.2.840.10008.5.1.4.1.1.104.1", Nowhere);
        check("1.2.840.10008.5.1.4.1.1.9.1.1", Nowhere);
        check("1.2.840.10008.5.1.4.1.1.66.7", Nowhere);
        check("1.3.46.670589.11.0.0.12.1", Nowhere);
    }
}
