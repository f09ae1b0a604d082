//! Pixels on their way through: what they may give away is decided before they are walked, and what was masked stands in their place.

use std::io::{Read, Seek};

use causeway_proto::dataset::Dataset;
use causeway_proto::element::{Header, PIXEL_DATA};
use causeway_proto::ids::TransferSyntaxUid;
use dicom_core::Tag;

use super::super::masked::Masked;
use super::super::picture::{Place, Shown};
use super::super::pixels::{self, Judged};
use super::super::source::Kind;
use super::{Level, Stop, Transform};

/// Extended Offset Table, and its lengths: they name fragments that were replaced.
const OFFSETS: [Tag; 2] = [Tag(0x7FE0, 0x0001), Tag(0x7FE0, 0x0002)];

impl<S: Read + Seek> Transform<'_, '_, S> {
    /// What was masked in the object.
    pub(super) fn masked(&self) -> Option<&Masked> {
        self.options.masked.as_ref()
    }

    /// The syntax in which the object leaves.
    pub(super) fn syntax(&self, received: &TransferSyntaxUid) -> TransferSyntaxUid {
        let masked = self.masked().and_then(|masked| masked.syntax.as_ref());
        masked.unwrap_or(received).clone()
    }

    /// An element of the group of pixels whose header was taken. Answers whether it is done.
    pub(super) fn pixels(
        &mut self,
        start: u64,
        header: &Header,
        level: &Level,
    ) -> Result<bool, Stop> {
        let replaced = self.masked().is_some_and(|it| !it.pixels.is_empty());
        if OFFSETS.contains(&header.tag) && replaced {
            // they are none of the originals: what they point at does not come back
            self.remove(start, header, level, &mut Dataset::new())?;
            return Ok(true);
        }
        let float = matches!(header.tag, Tag(0x7FE0, 0x0008 | 0x0009));
        if header.tag != PIXEL_DATA && !float {
            return Ok(false);
        }
        let value = self.source.at();
        let kind = self.source.kind(header, level.encoding, level.limit)?;
        self.look.pixels = true;
        self.look.place = Place {
            start,
            value: match kind {
                Kind::Value(end) => value..end,
                Kind::Items(..) | Kind::Fragments => value..value,
            },
            coded: kind == Kind::Fragments,
        };
        self.judge()?;
        let Some(masked) = self.masked().filter(|_| replaced).cloned() else {
            return Ok(false);
        };
        if float {
            return Err(Stop::disorder());
        }
        self.source.pass(kind, level.limit, level.depth)?;
        for piece in masked.pixels {
            self.out.piece(piece);
        }
        Ok(true)
    }

    /// What the object may give away holds it up, unless a person has released it, or it was masked.
    pub(super) fn judge(&mut self) -> Result<(), Stop> {
        self.look.overlay_in_pixels = self.overlays.iter().any(|it| it.length.is_none());
        if self.options.released {
            return Ok(());
        }
        let judged = match pixels::judge(&self.look, self.options) {
            Judged::Silent if self.options.drawn && self.look.pixels => {
                Judged::Shows("a person has drawn what it shows".to_owned(), None)
            }
            judged => judged,
        };
        match judged {
            Judged::Silent => Ok(()),
            Judged::Shows(..) if self.masked().is_some() => Ok(()),
            Judged::Stays(reason) => Err(Stop::Withheld(reason)),
            Judged::Shows(reason, family) => Err(Stop::Shows(Box::new(Shown {
                reason,
                family,
                header: self.look.header.clone(),
                place: self.look.place.clone(),
            }))),
        }
    }
}
