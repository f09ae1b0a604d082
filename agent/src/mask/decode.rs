//! The child's side of decoding: this program, started again as `decode`, takes limits upon itself, reads one job from standard input
//! and writes one answer. It opens no file, no socket and no spool; whatever its input does to it harms nothing else.

use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::process::ExitCode;

use image::ImageFormat;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::coded::{self, LONGEST_FRAME};
use super::native::Layout;
use super::shade::{self, Picture};

/// The hidden word on the command line.
pub const VERB: &str = "decode";

/// All the memory that the child may use, in bytes: a frame of the greatest length, its samples, and a segment of run lengths, whose buffer
/// grows and is then in memory twice.
const MEMORY: u64 = 896 << 20;
/// All the processor time, in seconds.
const CPU_S: u64 = 20;
/// The line that says what is to be done, in bytes.
const LONGEST_LINE: u64 = 4096;
/// Red, green and blue of 65536 entries.
const LONGEST_PALETTE: u64 = 3 << 16;

/// What the child is to do; travels as one line of JSON before a palette, if there is one, and the frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Job {
    /// (0002,0010).
    pub(super) syntax: String,
    /// Of the object.
    pub(super) layout: Layout,
    /// How long the palette is, in bytes.
    pub(super) palette: u64,
    /// How long the frame is, in bytes: its buffer is made once, as one that grows is in memory twice.
    pub(super) length: u64,
    /// A picture for a person; none: native samples.
    pub(super) view: Option<View>,
}

/// How a frame is shown to a person.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Centre and width of the window; none: the whole range.
    pub window: Option<[f64; 2]>,
    /// (0028,1053).
    pub slope: f64,
    /// (0028,1052).
    pub intercept: f64,
    /// What is faint or dark is to be seen, whatever becomes of the rest.
    pub faint: bool,
    /// The longest edge, in pixels.
    pub longest: u32,
    /// Native samples are big endian.
    pub big: bool,
    /// Bits before the frame in its first byte, of single bits.
    pub skip: u8,
    /// The value that the palette begins with.
    pub first: i32,
}

impl Default for View {
    fn default() -> Self {
        Self {
            window: None,
            slope: 1.0,
            intercept: 0.0,
            faint: false,
            longest: 1200,
            big: false,
            skip: 0,
            first: 0,
        }
    }
}

/// Why a frame was not decoded, as the exit code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no decoder.
    Unsupported,
    /// It does not hold together.
    Invalid,
}

impl Refusal {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Unsupported => 3,
            Self::Invalid => 4,
        }
    }
}

/// The child process. To be called before anything else of the program has begun.
#[must_use]
pub fn child() -> ExitCode {
    for (resource, most) in [
        (Resource::As, MEMORY),
        (Resource::Cpu, CPU_S),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Nofile, 3),
    ] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        if setrlimit(resource, limit).is_err() {
            return ExitCode::from(Refusal::Invalid.code());
        }
    }
    match answer(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => ExitCode::from(refusal.code()),
    }
}

/// Reads a job and writes what it asks for.
pub(crate) fn answer(input: impl Read, mut output: impl Write) -> Result<(), Refusal> {
    let mut input = BufReader::new(input);
    let mut line = String::new();
    let read = input.by_ref().take(LONGEST_LINE).read_line(&mut line);
    let job: Option<Job> = read.ok().and_then(|_| serde_json::from_str(&line).ok());
    let job = job
        .filter(|job| job.palette <= LONGEST_PALETTE && job.length <= LONGEST_FRAME)
        .ok_or(Refusal::Invalid)?;
    let palette = exactly(&mut input, job.palette)?;
    let frame = exactly(&mut input, job.length)?;
    let (layout, samples) = match coded::is_native(&job.syntax) {
        true => (job.layout, frame),
        false => {
            let samples = coded::decode(&job.syntax, &job.layout, &frame)?;
            // a picture of it has its room
            drop(frame);
            (coded::decoded(&job.syntax, &job.layout), samples)
        }
    };
    let made = match &job.view {
        None => samples,
        Some(view) => png(&shade::draw(&layout, view, &palette, &samples)?)?,
    };
    output.write_all(&made).or(Err(Refusal::Invalid))
}

/// So many bytes.
fn exactly(input: &mut impl Read, length: u64) -> Result<Vec<u8>, Refusal> {
    let length = usize::try_from(length).or(Err(Refusal::Invalid))?;
    let mut bytes = Vec::new();
    let room = bytes.try_reserve_exact(length);
    room.or(Err(Refusal::Invalid))?;
    bytes.resize(length, 0);
    let whole = input.read_exact(&mut bytes);
    whole.map(|()| bytes).or(Err(Refusal::Invalid))
}

fn png(picture: &Picture) -> Result<Vec<u8>, Refusal> {
    let mut out = Cursor::new(Vec::new());
    let written = match picture {
        Picture::Grey(grey) => grey.write_to(&mut out, ImageFormat::Png),
        Picture::Colour(colour) => colour.write_to(&mut out, ImageFormat::Png),
    };
    written.or(Err(Refusal::Invalid))?;
    Ok(out.into_inner())
}

#[cfg(test)]
mod tests;
