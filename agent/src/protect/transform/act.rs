//! What is done to an element: taken out, replaced, emptied, or kept and cleaned.

use std::io::{Read, Seek};

use causeway_proto::dataset::{Dataset, Value};
use causeway_proto::element::{Encoding, Header, PIXEL_DATA, implicit_vr};
use dicom_core::{Tag, VR};

use super::super::clean::{self, Class, Cleaned};
use super::super::documents::{self, Concept};
use super::super::frames;
use super::super::identifiers::hidden_sequence;
use super::super::profile::UidRule;
use super::super::source::{Kind, Unreadable};
use super::element::{plain_syntax, vr_of};
use super::level::Items;
use super::{Level, Stop, Transform, write};

/// Texts are looked through up to this length; longer ones go.
const TEXT: u64 = 1 << 20;
/// Bytes of unknown meaning are.
const BYTES: u64 = 16 << 20;

impl<S: Read + Seek> Transform<'_, '_, S> {
    /// Takes an element out and keeps it among the originals.
    pub(super) fn remove(
        &mut self,
        start: u64,
        header: &Header,
        level: &Level,
        originals: &mut Dataset,
    ) -> Result<(), Stop> {
        let kind = self.source.kind(header, level.encoding, level.limit)?;
        self.source.pass(kind, level.limit, level.depth)?;
        let end = self.source.at();
        self.hold(usize::try_from(end - start).unwrap_or(usize::MAX))?;
        let bytes = self.source.read(start..end)?;
        let element = Dataset::read(&bytes, &plain_syntax(level.encoding)?)
            .ok()
            .and_then(|mut read| read.remove(header.tag))
            .ok_or(Unreadable::Malformed)?;
        originals.put(header.tag, element.vr, element.value);
        Ok(())
    }

    /// Puts a value in the place of another.
    pub(super) fn replace(
        &mut self,
        start: u64,
        header: &Header,
        level: &Level,
        value: &[u8],
        originals: &mut Dataset,
    ) -> Result<(), Stop> {
        self.remove(start, header, level, originals)?;
        let vr = match implicit_vr(header.tag) {
            VR::UN => header.vr,
            known => known,
        };
        let element = write::element(header.tag, vr, value, level.encoding);
        self.out.bytes(&element);
        Ok(())
    }

    pub(super) fn empty(
        &mut self,
        start: u64,
        header: &Header,
        level: &Level,
        originals: &mut Dataset,
    ) -> Result<(), Stop> {
        let kind = match header.tag {
            _ if header.length == Some(0) => {
                self.out.source(start..self.source.at());
                return Ok(());
            }
            Tag(0x0008, 0x0050) => "accession",
            Tag(0x0020, 0x0010) => "study",
            Tag(0x0040, 0x2016) => "placer",
            Tag(0x0040, 0x2017) => "filler",
            _ => return self.replace(start, header, level, &[], originals),
        };
        let token = self.token(kind, header, level)?;
        self.replace(start, header, level, token.as_bytes(), originals)
    }

    /// What stands for an identifier.
    fn token(&mut self, kind: &str, header: &Header, level: &Level) -> Result<String, Stop> {
        let found = self.source.kind(header, level.encoding, level.limit)?;
        let Kind::Value(end) = found else {
            return Ok(String::new());
        };
        if end - self.source.at() > 256 {
            return Ok(String::new());
        }
        let value = self.source.read(self.source.at()..end)?;
        let text = level.set.decode(&value);
        let text = text.trim_matches([' ', '\0']);
        Ok(match kind {
            _ if text.is_empty() => String::new(),
            "accession" if text == self.ids.accession.reveal() => self.stand.accession.clone(),
            "patient" if text == self.ids.patient_id.reveal() => self.stand.patient_id.clone(),
            kind => (self.stand.token)(kind, text),
        })
    }

    pub(super) fn dummy(
        &mut self,
        start: u64,
        header: &Header,
        level: &Level,
        originals: &mut Dataset,
    ) -> Result<(), Stop> {
        let value = self.source.at();
        match self.source.kind(header, level.encoding, level.limit)? {
            Kind::Value(end) if end == value => {
                self.out.source(start..end);
                Ok(())
            }
            Kind::Items(end, inside) => {
                let items = Items {
                    end,
                    inside,
                    dummy: true,
                };
                self.items(start, header, items, level, originals)
            }
            _ if hidden_sequence(header, level.encoding) => {
                self.remove(start, header, level, originals)
            }
            Kind::Value(end)
                if end - value <= TEXT && self.is_replaced(header.tag, Class::Text) =>
            {
                self.rename(start, header, level, end, originals)
            }
            Kind::Value(end) if end - value <= TEXT => {
                let bytes = if header.tag == Tag(0x0010, 0x0020) {
                    self.token("patient", header, level)?.into_bytes()
                } else {
                    clean::dummy(vr_of(header), &self.source.read(value..end)?)
                };
                self.replace(start, header, level, &bytes, originals)
            }
            _ => self.replace(start, header, level, &[], originals),
        }
    }

    pub(super) fn keep(
        &mut self,
        start: u64,
        header: &Header,
        level: &Level,
        originals: &mut Dataset,
    ) -> Result<(), Stop> {
        let value = self.source.at();
        let kind = self.source.kind(header, level.encoding, level.limit)?;
        match kind {
            Kind::Items(end, inside) => {
                let items = Items {
                    end,
                    inside,
                    dummy: level.dummy,
                };
                self.items(start, header, items, level, originals)
            }
            Kind::Value(end) if hidden_sequence(header, level.encoding) && end > value => {
                self.hidden(start, header, level, end, originals)
            }
            Kind::Value(end) if header.tag != PIXEL_DATA && end > value => {
                self.value(start, header, level, end, originals)
            }
            Kind::Fragments => self.fragments(start, level),
            kind => {
                self.source.pass(kind, level.limit, level.depth)?;
                self.out.source(start..self.source.at());
                Ok(())
            }
        }
    }

    /// Coded frames stay as they are, unless their own comments name the patient.
    fn fragments(&mut self, start: u64, level: &Level) -> Result<(), Stop> {
        while let Some(fragment) = self.source.fragment(level.limit)? {
            let Some(comments) = frames::comments(&mut self.source, &fragment)? else {
                let reason = "the head of a coded frame cannot be read";
                return Err(Stop::Withheld(reason.to_owned()));
            };
            if !self.ids.in_bytes(&comments).is_empty() {
                let reason = "a comment in a coded frame holds an identifier of the patient";
                return Err(Stop::Withheld(reason.to_owned()));
            }
            self.no_uid_in(&comments)?;
            self.source.go(fragment.end);
        }
        self.out.source(start..self.source.at());
        Ok(())
    }

    /// A sequence that its writer stored as UN with a length. One that does not read as a sequence is removed.
    fn hidden(
        &mut self,
        start: u64,
        header: &Header,
        level: &Level,
        end: u64,
        originals: &mut Dataset,
    ) -> Result<(), Stop> {
        let value = self.source.at();
        let mark = self.out.mark();
        let mut inner = Dataset::new();
        let items = Items {
            end: Some(end),
            inside: Encoding::ImplicitLittle,
            dummy: level.dummy,
        };
        match self.items(start, header, items, level, &mut inner) {
            Ok(()) if inner.is_empty() => Ok(()),
            Ok(()) => {
                // as a whole: what was received is a value, what leaves is a sequence
                self.hold(usize::try_from(end - start).unwrap_or(usize::MAX))?;
                let bytes = self.source.read(value..end)?;
                originals.put(header.tag, VR::UN, Value::Bytes(bytes));
                Ok(())
            }
            Err(Stop::Unreadable(Unreadable::Malformed)) => {
                self.out.reset(&mark);
                self.source.go(value);
                self.counts.unknown += 1;
                self.remove(start, header, level, originals)
            }
            Err(stop) => Err(stop),
        }
    }

    fn value(
        &mut self,
        start: u64,
        header: &Header,
        level: &Level,
        end: u64,
        originals: &mut Dataset,
    ) -> Result<(), Stop> {
        let at = self.source.at();
        let vr = self.vr(header, level);
        let class = clean::class_of(vr, implicit_vr(header.tag));
        let longest = if class == Class::Bytes { BYTES } else { TEXT };
        let silent = level.dummy && matches!(class, Class::Text | Class::Bytes);
        if class != Class::Binary && end - at > longest {
            self.counts.undecodable += 1;
            return self.replace(start, header, level, &[], originals);
        }
        if silent || self.is_identity(header.tag, level) {
            let bytes = clean::dummy(vr, &self.source.read(at..end)?);
            return self.replace(start, header, level, &bytes, originals);
        }
        if let Some(shift) = self.shift().filter(|_| class == Class::Date) {
            return self.dates(start, header, level, (end, shift), originals);
        }
        if self.is_replaced(header.tag, class) {
            return self.rename(start, header, level, end, originals);
        }
        let cleaned = if class == Class::Binary {
            Cleaned::Same
        } else {
            let bytes = self.source.read(at..end)?;
            let cleaned = clean::clean(&bytes, class, vr, &level.set, self.sought(header.tag));
            self.without_uids(cleaned, bytes, (class, vr), level)?
        };
        match cleaned {
            Cleaned::Changed(bytes) => {
                self.counts.cleaned += 1;
                self.replace(start, header, level, &bytes, originals)
            }
            Cleaned::Undecodable => {
                self.counts.undecodable += 1;
                self.replace(start, header, level, &[], originals)
            }
            Cleaned::Identifying if self.options.uids != UidRule::Accept => {
                Err(Stop::Withheld(self.why_uid(at..end)?.to_owned()))
            }
            same => {
                self.counts.uids += u32::from(same == Cleaned::Identifying);
                self.source.go(end);
                self.out.source(start..end);
                Ok(())
            }
        }
    }

    fn is_identity(&self, tag: Tag, level: &Level) -> bool {
        documents::is_value(tag)
            && match level.content {
                Concept::Plain => false,
                Concept::Identity => true,
                Concept::Device => !self.options.retain_device,
            }
    }
}
