//! Frames that the gateway codes for a reader's line, decoded by DCMTK: every sample of the public images comes back.

use std::path::Path;

use causeway_gateway::archive::jpegls;
use causeway_tests::{shared, tools};
use dicom_core::value::PixelFragmentSequence;
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, InMemDicomObject, open_file};

const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";
/// The syntaxes in which samples stand plainly.
const PLAIN: [&str; 2] = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"];

#[tokio::test]
async fn what_the_gateway_codes_comes_back_from_dcmtk() -> anyhow::Result<()> {
    let (Some(studies), Some(syntaxes)) = (shared::dicom("studies"), shared::dicom("syntaxes"))
    else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let (mut images, mut raw, mut small) = (0, 0, 0);
    for path in [studies, syntaxes]
        .iter()
        .flat_map(|one| shared::files(one))
    {
        let Ok(object) = open_file(&path) else {
            continue;
        };
        let Some((samples, coded)) = coded(&object) else {
            continue;
        };
        (raw, small) = (raw + samples.len(), small + coded.len());
        let mut back = decoded(folder.path(), &object, coded).await?;
        // values have an even length (PS3.5 7.1.1)
        back.truncate(samples.len());
        assert!(back == samples, "{} comes back otherwise", path.display());
        images += 1;
        // hundreds of slices of one series prove the same
        if images == 150 {
            break;
        }
    }
    println!("{images} images, {raw} bytes as {small}");
    assert!(images > 20, "only {images} images");
    Ok(())
}

/// The first frame as it stands and as the gateway codes it; none for what it does not code.
fn coded(object: &DefaultDicomObject) -> Option<(Vec<u8>, Vec<u8>)> {
    let number = |tag: Tag| object.element(tag).ok()?.to_int::<u16>().ok();
    let syntax = object.meta().transfer_syntax().trim_end_matches('\0');
    let (rows, columns) = (number(tags::ROWS)?, number(tags::COLUMNS)?);
    let bytes = usize::from(number(tags::BITS_ALLOCATED)?) / 8;
    if !PLAIN.contains(&syntax) || number(tags::SAMPLES_PER_PIXEL)? != 1 {
        return None;
    }
    let all = object.element(tags::PIXEL_DATA).ok()?.to_bytes().ok()?;
    let frame = all.get(..usize::from(rows) * usize::from(columns) * bytes)?;
    let coded = jpegls::encode(frame, columns, rows, bytes)?;
    Some((frame.to_vec(), coded))
}

async fn decoded(
    folder: &Path,
    object: &DefaultDicomObject,
    mut coded: Vec<u8>,
) -> anyhow::Result<Vec<u8>> {
    coded.resize(coded.len().next_multiple_of(2), 0);
    let mut carrier: InMemDicomObject = object.clone().into_inner();
    carrier.remove_element(tags::NUMBER_OF_FRAMES);
    carrier.put(DataElement::new(
        tags::PIXEL_DATA,
        VR::OB,
        PixelFragmentSequence::new(vec![0], vec![coded]),
    ));
    let meta = object.meta().clone();
    let mut carrier = carrier.with_exact_meta(meta);
    carrier.update_meta(|meta| meta.transfer_syntax = JPEG_LS.to_owned());
    let (from, to) = (folder.join("coded.dcm"), folder.join("plain.dcm"));
    carrier.write_to_file(&from)?;
    let arguments = [from.display().to_string(), to.display().to_string()];
    let said = tools::run("dcmdjpls", &arguments.each_ref().map(String::as_str)).await?;
    anyhow::ensure!(said.code == Some(0), "dcmdjpls: {}", said.text);
    let plain = open_file(&to)?;
    Ok(plain.element(tags::PIXEL_DATA)?.to_bytes()?.into_owned())
}
