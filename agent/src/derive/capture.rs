//! One page as a Secondary Capture Image (PS3.3 A.8.1): 8 bit, MONOCHROME2, explicit VR little endian.

use causeway_proto::dataset::{Dataset, Value};
use causeway_proto::digest::Digest;
use causeway_proto::ids::SopInstanceUid;
use causeway_proto::report::closing::WITHDRAWN;
use causeway_proto::report::model::{Report, Standing};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::paper::{HEIGHT, WIDTH};
use super::{DeriveError, Page, Source, words};

/// Secondary Capture Image Storage.
pub const CLASS: &str = "1.2.840.10008.5.1.4.1.1.7";

/// Modules of the document that the image shares with it (PS3.3 C.7.1.1, C.7.2.1), and the character set they are in.
const SHARED: [(Tag, VR); 13] = [
    (tags::SPECIFIC_CHARACTER_SET, VR::CS),
    (tags::PATIENT_NAME, VR::PN),
    (tags::PATIENT_ID, VR::LO),
    (tags::ISSUER_OF_PATIENT_ID, VR::LO),
    (tags::PATIENT_BIRTH_DATE, VR::DA),
    (tags::PATIENT_SEX, VR::CS),
    (tags::STUDY_INSTANCE_UID, VR::UI),
    (tags::STUDY_DATE, VR::DA),
    (tags::STUDY_TIME, VR::TM),
    (tags::STUDY_ID, VR::SH),
    (tags::ACCESSION_NUMBER, VR::SH),
    (tags::REFERRING_PHYSICIAN_NAME, VR::PN),
    (tags::STUDY_DESCRIPTION, VR::LO),
];

/// The UID of a page of a document, from 1.
///
/// # Errors
/// [`DeriveError::Uid`], which does not happen.
pub fn instance(document: &SopInstanceUid, number: usize) -> Result<SopInstanceUid, DeriveError> {
    derived(document, &format!("page {number}"))
        .parse()
        .or(Err(DeriveError::Uid))
}

/// A UUID made of a name (RFC 9562 5.8) as a UID (PS3.5 B.2): the same for the same document and part.
fn derived(document: &SopInstanceUid, part: &str) -> String {
    let Digest(digest) = Digest::of(format!("causeway page image\n{document}\n{part}").as_bytes());
    let mut uuid = [0; 16];
    for (byte, from) in uuid.iter_mut().zip(digest) {
        *byte = from;
    }
    let version_8 = 0x8000_u128 << 64;
    let variant = 0x8000_u128 << 48;
    let number = u128::from_be_bytes(uuid);
    let number = number & !(0xF000_u128 << 64) & !(0xC000_u128 << 48) | version_8 | variant;
    format!("2.25.{number}")
}

/// One page, the `number`th of `count`.
pub(super) fn page(
    source: &Source<'_>,
    report: &Report,
    pixels: Vec<u8>,
    (number, count): (usize, usize),
) -> Result<Page, DeriveError> {
    let document = &report.document;
    let instance = instance(&document.instance, number)?;
    let mut out = Dataset::new();
    for (tag, vr) in SHARED {
        match source.document.get(tag) {
            Some(element) => out.put(tag, element.vr, element.value.clone()),
            // every module's attributes of type 2 stand there, empty
            None if tag == tags::ISSUER_OF_PATIENT_ID => {}
            None => out.put_text(tag, vr, ""),
        }
    }
    let mut text = |tag: Tag, vr: VR, text: &str| out.put_text(tag, vr, text);
    text(tags::SOP_CLASS_UID, VR::UI, CLASS);
    text(tags::SOP_INSTANCE_UID, VR::UI, instance.as_str());
    let series = derived(&document.instance, "series");
    text(tags::SERIES_INSTANCE_UID, VR::UI, &series);
    text(tags::MODALITY, VR::CS, "OT");
    // after the document's own series, which counts from 9001
    let series_number = document.series_number.saturating_add(500).to_string();
    text(tags::SERIES_NUMBER, VR::IS, &series_number);
    let (word, at) = match &report.standing {
        Standing::Preliminary => ("PRELIMINARY report", report.observed_at),
        Standing::Final(verification) if words::withdrawn(report).is_some() => {
            (WITHDRAWN, verification.at)
        }
        Standing::Final(verification) => ("Report", verification.at),
    };
    text(
        tags::SERIES_DESCRIPTION,
        VR::LO,
        &format!("{word}, as page images"),
    );
    text(tags::MANUFACTURER, VR::LO, "Causeway");
    text(tags::MANUFACTURER_MODEL_NAME, VR::LO, "Causeway agent");
    text(tags::SOFTWARE_VERSIONS, VR::LO, env!("CARGO_PKG_VERSION"));
    // PS3.3 C.8.6.1: made by a program, from no picture
    text(tags::CONVERSION_TYPE, VR::CS, "SYN");
    text(tags::IMAGE_TYPE, VR::CS, "DERIVED\\SECONDARY");
    text(tags::INSTANCE_NUMBER, VR::IS, &number.to_string());
    let (date, time) = at.date_and_time();
    text(tags::CONTENT_DATE, VR::DA, &date);
    text(tags::CONTENT_TIME, VR::TM, &time);
    text(tags::PATIENT_ORIENTATION, VR::CS, "");
    text(tags::LATERALITY, VR::CS, "");
    text(tags::BURNED_IN_ANNOTATION, VR::CS, "YES");
    text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00");
    let comments = format!(
        "Page {number} of {count} of the signed report {}, SHA-256 {}",
        document.instance, source.digest
    );
    text(tags::IMAGE_COMMENTS, VR::LT, &comments);
    out.put_items(tags::REFERENCED_INSTANCE_SEQUENCE, vec![shows(report)]);
    matrix(&mut out, pixels);
    Ok(Page {
        instance,
        dataset: out.write().into(),
    })
}

/// PS3.3 C.12.4: the document that the page shows.
fn shows(report: &Report) -> Dataset {
    let mut purpose = Dataset::new();
    purpose.put_text(tags::CODE_VALUE, VR::SH, "121335");
    purpose.put_text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, "DCM");
    purpose.put_text(tags::CODE_MEANING, VR::LO, "Source Document");
    let mut item = Dataset::new();
    let class = causeway_proto::report::sr::SOP_CLASS;
    item.put_text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, class);
    let instance = report.document.instance.as_str();
    item.put_text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, instance);
    item.put_items(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, vec![purpose]);
    item
}

/// PS3.3 C.7.6.3.
fn matrix(out: &mut Dataset, pixels: Vec<u8>) {
    let mut number = |tag: Tag, value: u16| {
        out.put(tag, VR::US, Value::Bytes(value.to_le_bytes().to_vec()));
    };
    number(tags::SAMPLES_PER_PIXEL, 1);
    number(tags::ROWS, HEIGHT);
    number(tags::COLUMNS, WIDTH);
    number(tags::BITS_ALLOCATED, 8);
    number(tags::BITS_STORED, 8);
    number(tags::HIGH_BIT, 7);
    number(tags::PIXEL_REPRESENTATION, 0);
    out.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    // the whole range, so that no viewer chooses another
    out.put_text(tags::WINDOW_CENTER, VR::DS, "128");
    out.put_text(tags::WINDOW_WIDTH, VR::DS, "256");
    out.put(tags::PIXEL_DATA, VR::OB, Value::Bytes(pixels));
}
