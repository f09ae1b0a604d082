//! What the headers of the sample study say: an invented patient whose name and ID say TEST.

use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use super::volume::{SPACING, STEP, height};
use super::{SIDE, SLICES};

/// Who and which study the phantom plays.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Root of all UIDs of the study: a UUID-derived `2.25.…` number with room for two components.
    pub root: String,
    /// Seed of the noise.
    pub seed: u64,
    /// (0010,0010).
    pub patient_name: String,
    /// (0010,0020).
    pub patient_id: String,
    /// (0008,0050).
    pub accession: String,
    /// (0008,0020), `YYYYMMDD`.
    pub date: String,
    /// (0008,0030), `HHMMSS`.
    pub time: String,
}

impl Identity {
    /// The study that the demo sends: new UIDs for each `root`.
    #[must_use]
    pub fn sample(root: &str, date: &str, time: &str) -> Self {
        Self {
            root: root.to_owned(),
            seed: 2026,
            patient_name: "TEST^PHANTOM".to_owned(),
            patient_id: "PHANTOM-0001".to_owned(),
            accession: "TEST-ACC-1".to_owned(),
            date: date.to_owned(),
            time: time.to_owned(),
        }
    }

    /// (0020,000D).
    #[must_use]
    pub fn study(&self) -> String {
        format!("{}.1", self.root)
    }

    /// (0020,000E).
    #[must_use]
    pub fn series(&self) -> String {
        format!("{}.2", self.root)
    }

    /// (0008,0018) of a slice.
    #[must_use]
    pub fn instance(&self, slice: u16) -> String {
        format!("{}.3.{}", self.root, slice + 1)
    }
}

/// Every element of a slice but the pixels.
pub(super) fn elements(identity: &Identity, slice: u16) -> Vec<InMemElement> {
    let mut all = general(identity, slice);
    all.extend(geometry(slice));
    all.extend(image());
    all.push(DataElement::new(
        tags::PROCEDURE_CODE_SEQUENCE,
        VR::SQ,
        dicom_core::value::DataSetSequence::from(vec![InMemDicomObject::from_element_iter([
            text(tags::CODE_VALUE, VR::SH, "30799-1"),
            text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, "LN"),
            text(tags::CODE_MEANING, VR::LO, "CT Head W/O contrast"),
        ])]),
    ));
    all
}

fn general(identity: &Identity, slice: u16) -> Vec<InMemElement> {
    let words = [
        (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
        (tags::IMAGE_TYPE, VR::CS, "DERIVED\\SECONDARY\\AXIAL"),
        (tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE),
        (tags::SOP_INSTANCE_UID, VR::UI, &identity.instance(slice)),
        (tags::STUDY_DATE, VR::DA, &identity.date),
        (tags::SERIES_DATE, VR::DA, &identity.date),
        (tags::CONTENT_DATE, VR::DA, &identity.date),
        (tags::STUDY_TIME, VR::TM, &identity.time),
        (tags::SERIES_TIME, VR::TM, &identity.time),
        (tags::CONTENT_TIME, VR::TM, &identity.time),
        (tags::ACCESSION_NUMBER, VR::SH, &identity.accession),
        (tags::MODALITY, VR::CS, "CT"),
        (tags::MANUFACTURER, VR::LO, "Causeway TEST phantom"),
        (tags::INSTITUTION_NAME, VR::LO, "TEST hospital"),
        // the word TEST as a name would be cut from the comments that say TEST
        (tags::REFERRING_PHYSICIAN_NAME, VR::PN, "Sample^Referrer"),
        (
            tags::STUDY_DESCRIPTION,
            VR::LO,
            "TEST CT head without contrast",
        ),
        (tags::SERIES_DESCRIPTION, VR::LO, "TEST axial 2.5 mm"),
        (
            tags::REASON_FOR_THE_REQUESTED_PROCEDURE,
            VR::LO,
            "Fall from standing height, headache, vomiting. Bleed?",
        ),
        (tags::PATIENT_NAME, VR::PN, &identity.patient_name),
        (tags::PATIENT_ID, VR::LO, &identity.patient_id),
        (tags::PATIENT_BIRTH_DATE, VR::DA, "19550617"),
        (tags::PATIENT_SEX, VR::CS, "F"),
        (tags::PATIENT_AGE, VR::AS, "071Y"),
        (
            tags::PATIENT_COMMENTS,
            VR::LT,
            "TEST: computed phantom, not a person",
        ),
        (tags::BODY_PART_EXAMINED, VR::CS, "HEAD"),
        (tags::KVP, VR::DS, "120"),
        (tags::CONVOLUTION_KERNEL, VR::SH, "TEST"),
        (tags::PATIENT_POSITION, VR::CS, "HFS"),
        (tags::STUDY_INSTANCE_UID, VR::UI, &identity.study()),
        (tags::SERIES_INSTANCE_UID, VR::UI, &identity.series()),
        (tags::STUDY_ID, VR::SH, "TEST1"),
        (tags::SERIES_NUMBER, VR::IS, "2"),
        (tags::ACQUISITION_NUMBER, VR::IS, "1"),
        (tags::INSTANCE_NUMBER, VR::IS, &(slice + 1).to_string()),
        (
            tags::FRAME_OF_REFERENCE_UID,
            VR::UI,
            &format!("{}.4", identity.root),
        ),
        (tags::POSITION_REFERENCE_INDICATOR, VR::LO, ""),
    ];
    words
        .into_iter()
        .map(|(tag, vr, value)| text(tag, vr, value))
        .collect()
}

/// Image Plane (PS3.3 C.7.6.2): axial slices from the neck upwards.
fn geometry(slice: u16) -> Vec<InMemElement> {
    let corner = -(f64::from(SIDE) / 2.0 - 0.5) * SPACING;
    let z = height(slice);
    vec![
        text(tags::SLICE_THICKNESS, VR::DS, &format!("{STEP}")),
        text(tags::SPACING_BETWEEN_SLICES, VR::DS, &format!("{STEP}")),
        text(
            tags::IMAGE_POSITION_PATIENT,
            VR::DS,
            &format!("{corner:.3}\\{corner:.3}\\{z:.3}"),
        ),
        text(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0"),
        text(tags::SLICE_LOCATION, VR::DS, &format!("{z:.3}")),
        text(tags::IMAGES_IN_ACQUISITION, VR::IS, &SLICES.to_string()),
        text(
            tags::PIXEL_SPACING,
            VR::DS,
            &format!("{SPACING}\\{SPACING}"),
        ),
    ]
}

fn image() -> Vec<InMemElement> {
    let number = |tag: Tag, value: u16| DataElement::new(tag, VR::US, dicom_value!(U16, [value]));
    vec![
        number(tags::SAMPLES_PER_PIXEL, 1),
        text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
        number(tags::ROWS, SIDE),
        number(tags::COLUMNS, SIDE),
        number(tags::BITS_ALLOCATED, 16),
        number(tags::BITS_STORED, 12),
        number(tags::HIGH_BIT, 11),
        number(tags::PIXEL_REPRESENTATION, 0),
        text(tags::BURNED_IN_ANNOTATION, VR::CS, "NO"),
        text(tags::WINDOW_CENTER, VR::DS, "40"),
        text(tags::WINDOW_WIDTH, VR::DS, "90"),
        text(tags::RESCALE_INTERCEPT, VR::DS, "-1024"),
        text(tags::RESCALE_SLOPE, VR::DS, "1"),
        text(tags::RESCALE_TYPE, VR::LO, "HU"),
    ]
}

fn text(tag: Tag, vr: VR, value: &str) -> InMemElement {
    let value = if value.contains('\\') {
        PrimitiveValue::Strs(value.split('\\').map(str::to_owned).collect())
    } else {
        PrimitiveValue::from(value)
    };
    DataElement::new(tag, vr, value)
}
