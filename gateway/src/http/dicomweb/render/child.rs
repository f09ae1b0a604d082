//! What the child does: takes limits upon itself, reads a job and a file, writes one image.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::ExitCode;

use dicom_core::{DataElement, VR};
use dicom_dictionary_std::tags;
use dicom_encoding::{Codec, TransferSyntaxIndex};
use dicom_object::{DefaultDicomObject, OpenFileOptions};
use dicom_pixeldata::image::{
    DynamicImage, ImageFormat, codecs::jpeg::JpegEncoder, imageops::FilterType,
};
use dicom_pixeldata::{ConvertOptions, PixelDecoder, VoiLutOption, WindowLevel};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Form, Job};

/// The child's exit codes.
pub(super) const UNSUPPORTED: u8 = 3;
pub(super) const INVALID: u8 = 4;
/// All the memory that the child may use, in bytes. A buffer that grows is in memory twice.
const MEMORY: u64 = 768 << 20;
/// All the processor time, in seconds.
const CPU_S: u64 = 10;
/// No decoded frame is larger, in bytes.
const MOST_FRAME: u64 = 192 << 20;
const JPEG_QUALITY: u8 = 85;

/// The child process: limits, then [`render_frame`] from standard input to standard output. To be called before anything else
/// of the program has begun.
#[must_use]
pub fn render_child() -> ExitCode {
    for (resource, most) in [
        (Resource::As, MEMORY),
        (Resource::Cpu, CPU_S),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Nofile, 8),
    ] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        if setrlimit(resource, limit).is_err() {
            return ExitCode::from(INVALID);
        }
    }
    match render_frame(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => ExitCode::from(code),
    }
}

/// Reads a job and a file, writes the image.
///
/// # Errors
/// The exit code: 3 when there is no decoder, 4 when the pixel data do not hold together.
pub fn render_frame(input: impl Read, mut output: impl Write) -> Result<(), u8> {
    let mut input = BufReader::new(input);
    let mut line = String::new();
    let job: Option<Job> = input
        .by_ref()
        .take(4096)
        .read_line(&mut line)
        .ok()
        .and_then(|_| serde_json::from_str(&line).ok());
    let job = job.ok_or(INVALID)?;
    let mut object = OpenFileOptions::new()
        .from_reader(input)
        .ok()
        .ok_or(INVALID)?;
    decodable(&object)?;
    bounded(&object)?;
    let mut frame = u32::try_from(job.frame.saturating_sub(1)).unwrap_or(u32::MAX);
    if job.alone {
        only(&mut object, frame);
        frame = 0;
    }
    let pixels = object.decode_pixel_data_frame(frame).ok().ok_or(INVALID)?;
    if job.form == Form::Samples {
        return output.write_all(pixels.data()).ok().ok_or(INVALID);
    }
    let mut options = ConvertOptions::new().force_8bit();
    if let Some((center, width)) = job.window {
        options = options.with_voi_lut(VoiLutOption::Custom(WindowLevel { center, width }));
    }
    let image = pixels
        .to_dynamic_image_with_options(0, &options)
        .or_else(|_| {
            let plain = ConvertOptions::new()
                .force_8bit()
                .with_voi_lut(VoiLutOption::Normalize);
            pixels.to_dynamic_image_with_options(0, &plain)
        })
        .ok()
        .ok_or(INVALID)?;
    write(&fitted(image, &job), job.form, output)
}

/// The pixel data are of one frame: what is said of each frame is cut down to what is said of this one.
fn only(object: &mut DefaultDicomObject, frame: u32) {
    object.put(DataElement::new(tags::NUMBER_OF_FRAMES, VR::IS, "1"));
    let at = usize::try_from(frame).unwrap_or(usize::MAX);
    object.update_value(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, |groups| {
        if let Some(items) = groups.items_mut().filter(|items| at < items.len()) {
            items.swap(0, at);
            items.truncate(1);
        }
    });
}

fn write(image: &DynamicImage, form: Form, mut output: impl Write) -> Result<(), u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    let image = match image {
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageRgb8(_) => image.clone(),
        other if other.color().has_color() => other.to_rgb8().into(),
        other => other.to_luma8().into(),
    };
    let written = match form {
        Form::Png => image.write_to(&mut out, ImageFormat::Png),
        _ => image.write_with_encoder(JpegEncoder::new_with_quality(&mut out, JPEG_QUALITY)),
    };
    written.ok().ok_or(INVALID)?;
    output.write_all(out.get_ref()).ok().ok_or(INVALID)
}

/// Smaller if need be, never larger, in its own proportions.
fn fitted(image: DynamicImage, job: &Job) -> DynamicImage {
    let (Some(width), Some(height)) = (job.width, job.height) else {
        return image;
    };
    if image.width() <= width && image.height() <= height {
        return image;
    }
    image.resize(width, height, FilterType::Triangle)
}

fn decodable(object: &DefaultDicomObject) -> Result<(), u8> {
    let syntax = TransferSyntaxRegistry.get(object.meta().transfer_syntax());
    match syntax.map(|syntax| syntax.codec()) {
        Some(Codec::None | Codec::EncapsulatedPixelData(Some(_), _)) => Ok(()),
        _ => Err(UNSUPPORTED),
    }
}

/// The frame is as large as its description says before anybody allocates it.
fn bounded(object: &DefaultDicomObject) -> Result<(), u8> {
    let number = |tag| {
        object
            .element_opt(tag)
            .ok()
            .flatten()
            .and_then(|element| element.to_int::<u64>().ok())
    };
    let bytes = [
        tags::ROWS,
        tags::COLUMNS,
        tags::SAMPLES_PER_PIXEL,
        tags::BITS_ALLOCATED,
    ]
    .into_iter()
    .map(|tag| number(tag).unwrap_or(1))
    .try_fold(1_u64, u64::checked_mul)
    .map(|bits| bits / 8);
    match bytes {
        Some(bytes) if bytes <= MOST_FRAME && number(tags::ROWS).is_some_and(|rows| rows > 0) => {
            Ok(())
        }
        _ => Err(INVALID),
    }
}
