//! Where in a stored dataset the frames of an image lie, as found once at ingest and kept beside the instance's row.

use std::fmt;
use std::str::FromStr;

/// A stretch of the dataset: offset and length in bytes, counted in the inflated dataset when the syntax is deflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

/// Where the frames lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Frames {
    /// There is no pixel data.
    #[default]
    Without,
    /// Frames of equal size one after the other (PS3.5 8.1.1); a frame of a 1-bit image may begin inside a byte.
    Native {
        /// Pixel Data's value.
        value: Stretch,
        /// Size of a frame in bits.
        frame_bits: u64,
        /// How many whole frames there are.
        count: u64,
        /// Bytes of a word, for big endian.
        word: u8,
    },
    /// Each frame is one fragment or several (PS3.5 A.4).
    Fragments(Vec<Vec<Stretch>>),
    /// A stream of video, or fragments that cannot be told apart: served as a whole only.
    Whole(Vec<Stretch>),
    /// Pixel data whose description does not hold together.
    Invalid,
}

impl Frames {
    /// How many frames can be served one by one.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::Native { count, .. } => *count,
            Self::Fragments(frames) => u64::try_from(frames.len()).unwrap_or(0),
            Self::Without | Self::Whole(_) | Self::Invalid => 0,
        }
    }
}

/// As stored: `""`, `native OFFSET LENGTH BITS COUNT WORD`, `frames O+L,O+L;O+L`, `whole O+L,O+L`, `invalid`.
impl fmt::Display for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Without => Ok(()),
            Self::Native {
                value,
                frame_bits,
                count,
                word,
            } => write!(
                f,
                "native {} {} {frame_bits} {count} {word}",
                value.offset, value.length
            ),
            Self::Fragments(frames) => {
                f.write_str("frames ")?;
                for (index, frame) in frames.iter().enumerate() {
                    if index > 0 {
                        f.write_str(";")?;
                    }
                    stretches(f, frame)?;
                }
                Ok(())
            }
            Self::Whole(all) => {
                f.write_str("whole ")?;
                stretches(f, all)
            }
            Self::Invalid => f.write_str("invalid"),
        }
    }
}

fn stretches(f: &mut fmt::Formatter<'_>, all: &[Stretch]) -> fmt::Result {
    for (index, one) in all.iter().enumerate() {
        if index > 0 {
            f.write_str(",")?;
        }
        write!(f, "{}+{}", one.offset, one.length)?;
    }
    Ok(())
}

/// A row says something about frames that is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row says something about frames that is not understood")]
pub struct FramesError;

impl FromStr for Frames {
    type Err = FramesError;

    fn from_str(text: &str) -> Result<Self, FramesError> {
        let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
        match kind {
            "" => Ok(Self::Without),
            "invalid" => Ok(Self::Invalid),
            "whole" => Ok(Self::Whole(read_stretches(rest)?)),
            "frames" => Ok(Self::Fragments(
                rest.split(';')
                    .map(read_stretches)
                    .collect::<Result<_, _>>()?,
            )),
            "native" => {
                let mut numbers = rest.split(' ').map(number);
                let mut next = || numbers.next().unwrap_or(Err(FramesError));
                Ok(Self::Native {
                    value: Stretch {
                        offset: next()?,
                        length: next()?,
                    },
                    frame_bits: next()?,
                    count: next()?,
                    word: u8::try_from(next()?).unwrap_or(1),
                })
            }
            _ => Err(FramesError),
        }
    }
}

fn number(text: &str) -> Result<u64, FramesError> {
    text.parse().ok().ok_or(FramesError)
}

fn read_stretches(text: &str) -> Result<Vec<Stretch>, FramesError> {
    text.split(',')
        .filter(|one| !one.is_empty())
        .map(|one| {
            let (offset, length) = one.split_once('+').ok_or(FramesError)?;
            Ok(Stretch {
                offset: number(offset)?,
                length: number(length)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back() {
        let one = Stretch {
            offset: 10,
            length: 20,
        };
        for frames in [
            Frames::Without,
            Frames::Invalid,
            Frames::Whole(vec![one, one]),
            Frames::Whole(vec![]),
            Frames::Fragments(vec![vec![one], vec![one, one], vec![]]),
            Frames::Native {
                value: one,
                frame_bits: 1,
                count: 7,
                word: 2,
            },
        ] {
            assert_eq!(frames.to_string().parse(), Ok(frames));
        }
        assert_eq!("native 1 2".parse::<Frames>(), Err(FramesError));
        assert_eq!("frames 1-2".parse::<Frames>(), Err(FramesError));
    }
}
