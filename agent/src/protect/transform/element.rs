//! One element: which of the rules is for it.

use std::io::{Read, Seek};

use causeway_proto::dataset::Dataset;
use causeway_proto::element::{Encoding, Header, implicit_vr};
use causeway_proto::ids::TransferSyntaxUid;
use causeway_proto::text::CharacterSet;
use dicom_core::{Tag, VR};

use super::super::documents::{self, Concept};
use super::super::overlays::Plane;
use super::super::pieces::Piece;
use super::super::pixels::LOOKED_AT;
use super::super::profile::{self, Action};
use super::super::source::{Kind, Unreadable};
use super::super::{overlays, private, table};
use super::{Level, Stop, Transform};

impl<S: Read + Seek> Transform<'_, '_, S> {
    /// Walks an element whose header was taken and stands at `start`.
    pub(super) fn element(
        &mut self,
        start: u64,
        header: &Header,
        level: &mut Level,
        originals: &mut Dataset,
    ) -> Result<(), Stop> {
        let tag = header.tag;
        let action = if tag.0 % 2 == 1 {
            self.private(header, level)?
        } else if matches!(tag.0 >> 8, 0x50 | 0x60) {
            self.graphics(start, header, level)?
        } else if tag.0 == 0x7FE0 && !level.top() {
            // what it shows is judged by nobody: that is done with the pixels of the object alone
            self.counts.inner += u32::from(is_picture(tag));
            Action::Remove
        } else if is_strange(header) {
            self.counts.unknown += 1;
            Action::Remove
        } else {
            self.look(start, header, level)?;
            profile::action(tag, vr_of(header), self.options)
        };
        match action {
            Action::Remove => {
                self.counts.icons += u32::from(tag == Tag(0x0088, 0x0200));
                self.remove(start, header, level, originals)
            }
            Action::Empty => self.empty(start, header, level, originals),
            Action::Dummy => self.dummy(start, header, level, originals),
            Action::Keep if tag.0 >> 8 == 0x60 && tag.1 == overlays::DATA => {
                self.plane(start, header, level, originals)
            }
            Action::Keep => self.keep(start, header, level, originals),
        }
    }

    /// Notes what other decisions need of an element.
    fn look(&mut self, start: u64, header: &Header, level: &mut Level) -> Result<(), Stop> {
        let tag = header.tag;
        if level.top()
            && LOOKED_AT.contains(&tag)
            && let Some(mut read) = self.peek(start, header, level)?
            && let Some(element) = read.remove(tag)
        {
            self.look.header.put(tag, element.vr, element.value);
        }
        if tag == Tag(0x0008, 0x0005) {
            self.character_set(header, level)?;
        }
        if tag == Tag(0x0040, 0xA043) && !level.top() {
            let read = self.peek(start, header, level)?;
            level.content = read.map_or(Concept::Plain, |read| documents::concept(&read));
        }
        Ok(())
    }

    /// PS3.5 7.8.1: blocks of private elements by creator. Only the safe ones stay (PS3.15 E.3.10).
    fn private(&mut self, header: &Header, level: &mut Level) -> Result<Action, Stop> {
        let Tag(group, element) = header.tag;
        let [block, low] = element.to_be_bytes();
        if block == 0 && low >= 0x10 {
            let kind = self.source.kind(header, level.encoding, level.limit)?;
            if let Kind::Value(end) = kind
                && end - self.source.at() <= 64
            {
                let value = self.source.read(self.source.at()..end)?;
                let creator = CharacterSet::default().decode(&value);
                let creator = creator.trim_matches([' ', '\0']).to_owned();
                let known = private::known(&creator, group);
                level.blocks.reserve(group, low, creator);
                if known {
                    return Ok(Action::Keep);
                }
            }
            return Ok(Action::Remove);
        }
        let creator = level.blocks.creator(group, block);
        let safe = creator.is_some_and(|creator| private::safe(creator, group, low));
        Ok(if safe && !level.dummy {
            Action::Keep
        } else {
            Action::Remove
        })
    }

    /// Curves go, and overlays but those that stay by the rule of their device; how many there were is told.
    fn graphics(&mut self, start: u64, header: &Header, level: &Level) -> Result<Action, Stop> {
        let Tag(group, element) = header.tag;
        let plane = element == overlays::DATA;
        if group >> 8 == 0x50 {
            self.counts.curves += u32::from(plane);
            return Ok(Action::Remove);
        }
        if !level.top() {
            self.counts.overlays += u32::from(plane);
            return Ok(Action::Remove);
        }
        if self.overlays.last().is_none_or(|last| last.group != group) {
            self.overlays.push(Plane::new(group));
        }
        let length = header.length.map(u64::from).filter(|_| plane);
        let read = match overlays::LOOKED_AT.contains(&element) {
            true => self.peek(start, header, level)?,
            false => None,
        };
        if let Some(last) = self.overlays.last_mut() {
            last.length = last.length.or(length);
            if let Some(read) = read.and_then(|mut read| read.remove(header.tag)) {
                last.header.put(header.tag, read.vr, read.value);
            }
        }
        let kept = self.options.overlays.contains_key(&group) && overlays::stays(element);
        Ok(if kept { Action::Keep } else { Action::Remove })
    }

    /// The plane of an overlay that stays: masked, and then whole among the originals.
    fn plane(
        &mut self,
        start: u64,
        header: &Header,
        level: &Level,
        originals: &mut Dataset,
    ) -> Result<(), Stop> {
        let value = self.source.at();
        let kind = self.source.kind(header, level.encoding, level.limit)?;
        let black = self.options.overlays.get(&header.tag.0).cloned();
        let (Kind::Value(end), Some(black)) = (kind, black) else {
            return Err(Unreadable::Malformed.into());
        };
        if black.hides() {
            self.remove(start, header, level, originals)?;
            self.out.source(start..value);
            self.out.piece(Piece::Blacked(value..end, black));
        } else {
            self.source.go(end);
            self.out.source(start..end);
        }
        Ok(())
    }

    /// An element alone, when it is short.
    fn peek(
        &mut self,
        start: u64,
        header: &Header,
        level: &Level,
    ) -> Result<Option<Dataset>, Stop> {
        let value = self.source.at();
        let kind = self.source.kind(header, level.encoding, level.limit)?;
        self.source.pass(kind, level.limit, level.depth)?;
        let end = self.source.at();
        self.source.go(value);
        if end - start > 64 << 10 {
            return Ok(None);
        }
        let bytes = self.source.read(start..end)?;
        Ok(Dataset::read(&bytes, &plain_syntax(level.encoding)?).ok())
    }

    fn character_set(&mut self, header: &Header, level: &mut Level) -> Result<(), Stop> {
        let kind = self.source.kind(header, level.encoding, level.limit)?;
        let Kind::Value(end) = kind else {
            return Err(Unreadable::Malformed.into());
        };
        if end - self.source.at() > 1024 {
            return Err(Unreadable::TooLong.into());
        }
        let value = self.source.read(self.source.at()..end)?;
        if !CharacterSet::understood(&value) {
            return Err(Stop::Withheld("its character set is not known".to_owned()));
        }
        level.set = CharacterSet::parse(&value);
        Ok(())
    }
}

/// What no dictionary knows, or is a value where items belong: nobody reads it, and what it says cannot be told.
fn is_strange(header: &Header) -> bool {
    let Header { tag, vr, .. } = *header;
    let dictionary = implicit_vr(tag);
    let unknown = table::row(tag).is_none() && dictionary == VR::UN && tag.1 != 0;
    unknown || (dictionary == VR::SQ && header.length.is_some() && !matches!(vr, VR::SQ | VR::UN))
}

/// Pixel Data, Float Pixel Data, Double Float Pixel Data.
fn is_picture(tag: Tag) -> bool {
    matches!(tag, Tag(0x7FE0, 0x0008 | 0x0009 | 0x0010))
}

/// The VR by which a value is understood: UN of a standard element is what the dictionary says (PS3.5 6.2.2).
pub(super) fn vr_of(header: &Header) -> VR {
    match header.vr {
        VR::UN => implicit_vr(header.tag),
        vr => vr,
    }
}

/// The syntax in which an element alone is read.
pub(super) fn plain_syntax(encoding: Encoding) -> Result<TransferSyntaxUid, Stop> {
    let uid = match encoding {
        Encoding::ImplicitLittle => "1.2.840.10008.1.2",
        Encoding::ExplicitLittle => "1.2.840.10008.1.2.1",
        Encoding::ExplicitBig => return Err(Unreadable::Syntax.into()),
    };
    uid.parse().ok().ok_or_else(|| Unreadable::Syntax.into())
}
