//! The sample study: a head-like CT volume computed from ellipsoids, with soft edges, noise, true geometry, and TEST in every slice.
//!
//! Nothing is loaded and nothing is random without a seed: the same seed gives the same bytes.

mod dose_page;
mod glyphs;
mod header;
mod volume;

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

pub use dose_page::{DOSE_PAGE, write_dose_page};
pub use header::Identity;

/// Slices in the sample study.
pub const SLICES: u16 = 72;
/// Pixels along each side of a slice.
pub const SIDE: u16 = 512;

/// Writes the whole study into `folder`, one file a slice, and returns the paths in slice order.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path, identity: &Identity) -> anyhow::Result<Vec<PathBuf>> {
    write_slices(folder, identity, 0..SLICES)
}

/// Writes only some slices of the study: enough where a test needs a study but not its size.
///
/// # Errors
/// When a file cannot be written.
pub fn write_slices(
    folder: &Path,
    identity: &Identity,
    slices: Range<u16>,
) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    slices
        .map(|slice| {
            let path = folder.join(format!("slice-{slice:03}.dcm"));
            write_slice(&path, identity, slice)
                .with_context(|| format!("writing slice {slice}"))?;
            Ok(path)
        })
        .collect()
}

/// Writes a study of any length: `count` slices whose headers are their own and whose pixels are the sample's, stretched.
///
/// # Errors
/// When a file cannot be written.
pub fn write_long(folder: &Path, identity: &Identity, count: u16) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let (mut last, mut pixels) = (u16::MAX, Vec::new());
    let mut files = Vec::new();
    for slice in 0..count {
        let shown = (u32::from(slice) * u32::from(SLICES) / u32::from(count.max(1))).try_into()?;
        let shown = if count == 1 { SLICES / 2 } else { shown };
        if shown != last {
            (last, pixels) = (shown, volume::slice(shown, identity.seed));
        }
        let path = folder.join(format!("slice-{slice:05}.dcm"));
        write_pixels(&path, identity, slice, pixels.clone())
            .with_context(|| format!("writing slice {slice}"))?;
        files.push(path);
    }
    Ok(files)
}

fn write_slice(path: &Path, identity: &Identity, slice: u16) -> anyhow::Result<()> {
    write_pixels(path, identity, slice, volume::slice(slice, identity.seed))
}

fn write_pixels(
    path: &Path,
    identity: &Identity,
    slice: u16,
    pixels: Vec<u16>,
) -> anyhow::Result<()> {
    let mut object = InMemDicomObject::from_element_iter(header::elements(identity, slice));
    object.put(DataElement::new(
        tags::PIXEL_DATA,
        VR::OW,
        PrimitiveValue::U16(pixels.into()),
    ));
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(uids::CT_IMAGE_STORAGE)
        .media_storage_sop_instance_uid(identity.instance(slice))
        .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    object.with_meta(meta)?.write_to_file(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_shows_air_brain_bone_and_the_word_test() {
        let pixels = volume::slice(SLICES / 2, 1);
        assert_eq!(pixels.len(), usize::from(SIDE) * usize::from(SIDE));
        let share = |low: i32, high: i32| {
            let n = pixels
                .iter()
                .filter(|p| (low..high).contains(&(i32::from(**p) - 1024)))
                .count();
            n as f64 / pixels.len() as f64
        };
        assert!(share(-1024, -900) > 0.3, "air around the head");
        assert!(share(0, 90) > 0.15, "brain");
        assert!(share(600, 2000) > 0.02, "bone");
        assert_eq!(
            pixels.iter().filter(|p| **p == glyphs::INK).count(),
            glyphs::ink_pixels()
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_slice() {
        assert_eq!(volume::slice(3, 9), volume::slice(3, 9));
        assert_ne!(volume::slice(3, 9), volume::slice(3, 10));
    }
}
