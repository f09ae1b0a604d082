//! The dose page of the sample study: a picture that a scanner draws, of which only its modality tells that it is no slice.

use std::path::Path;

use anyhow::Context as _;
use causeway_proto::dataset::{Dataset, Value as Bytes};
use dicom_core::{Tag, VR};

use super::Identity;
use crate::sender::file;

/// Its SOP class: secondary capture.
pub const DOSE_PAGE: &str = "1.2.840.10008.5.1.4.1.1.7";

/// The page that a scanner draws at the end of an examination, as one more series of its study.
///
/// # Errors
/// When the file cannot be written.
pub fn write_dose_page(path: &Path, of: &Identity) -> anyhow::Result<()> {
    let instance = format!("{}.8.1", of.root);
    let mut it = Dataset::new();
    for (tag, vr, text) in [
        ((0x0008, 0x0005), VR::CS, "ISO_IR 192"),
        ((0x0008, 0x0008), VR::CS, "DERIVED\\SECONDARY\\OTHER"),
        ((0x0008, 0x0016), VR::UI, DOSE_PAGE),
        ((0x0008, 0x0018), VR::UI, &instance),
        ((0x0008, 0x0020), VR::DA, &of.date),
        ((0x0008, 0x0030), VR::TM, &of.time),
        ((0x0008, 0x0050), VR::SH, &of.accession),
        ((0x0008, 0x0060), VR::CS, "CT"),
        ((0x0008, 0x0064), VR::CS, "WSD"),
        ((0x0008, 0x0070), VR::LO, "Causeway TEST phantom"),
        ((0x0008, 0x103E), VR::LO, "Dose report"),
        ((0x0010, 0x0010), VR::PN, &of.patient_name),
        ((0x0010, 0x0020), VR::LO, &of.patient_id),
        ((0x0010, 0x0030), VR::DA, "19550617"),
        ((0x0010, 0x0040), VR::CS, "F"),
        ((0x0020, 0x000D), VR::UI, &of.study()),
        ((0x0020, 0x000E), VR::UI, &format!("{}.8", of.root)),
        ((0x0020, 0x0011), VR::IS, "999"),
        ((0x0020, 0x0013), VR::IS, "1"),
        ((0x0028, 0x0004), VR::CS, "MONOCHROME2"),
    ] {
        it.put_text(Tag(tag.0, tag.1), vr, text);
    }
    for (element, number) in [
        (0x0002, 1_u16),
        (0x0010, 64),
        (0x0011, 64),
        (0x0100, 8),
        (0x0101, 8),
        (0x0102, 7),
        (0x0103, 0),
    ] {
        let number = Bytes::Bytes(number.to_le_bytes().to_vec());
        it.put(Tag(0x0028, element), VR::US, number);
    }
    it.put(Tag(0x7FE0, 0x0010), VR::OB, Bytes::Bytes(vec![200; 4096]));
    let syntax = "1.2.840.10008.1.2.1";
    let whole = file::part10(DOSE_PAGE, &instance, syntax, &it.write())?;
    std::fs::write(path, whole).context("writing the dose page")
}
