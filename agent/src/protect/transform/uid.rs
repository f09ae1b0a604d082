//! UIDs of the site, where none of them leaves: replaced where they are values, and taken out of texts and bytes.

use std::io::{Read, Seek};

use causeway_proto::dataset::Dataset;
use causeway_proto::element::{Header, implicit_vr};
use dicom_core::{Tag, VR};

use super::super::clean::{Class, Cleaned, REMOVED, longest};
use super::super::profile::UidRule;
use super::super::uids;
use super::{Level, Stop, Transform};

/// An object names at most so many.
const MOST: usize = 1 << 16;

impl<S: Read + Seek> Transform<'_, '_, S> {
    /// Whether the values of an element are UIDs of things, and leave as others.
    pub(super) fn is_replaced(&self, tag: Tag, class: Class) -> bool {
        self.options.uids == UidRule::Replace
            && (class == Class::Uid || implicit_vr(tag) == VR::UI)
            && !uids::is_kind(tag)
    }

    /// Other UIDs in the places of those of an element.
    pub(super) fn rename(
        &mut self,
        start: u64,
        header: &Header,
        level: &Level,
        end: u64,
        originals: &mut Dataset,
    ) -> Result<(), Stop> {
        let bytes = self.source.read(self.source.at()..end)?;
        match uids::replaced(&bytes, |uid| self.other(uid))? {
            Some(other) => self.replace(start, header, level, &other, originals),
            None => {
                self.source.go(end);
                self.out.source(start..end);
                Ok(())
            }
        }
    }

    /// What stands for a UID.
    fn other(&mut self, uid: &str) -> Result<String, Stop> {
        if let Some(known) = self.uids.get(uid) {
            return Ok(known.clone());
        }
        if self.uids.len() >= MOST {
            let reason = "names more UIDs than can be replaced";
            return Err(Stop::Withheld(reason.to_owned()));
        }
        let Some(other) = (self.stand.uid)(uid) else {
            let reason = "the keys of the site cannot be used";
            return Err(Stop::Withheld(reason.to_owned()));
        };
        self.uids.insert(uid.to_owned(), other.clone());
        Ok(other)
    }

    /// A value that is no UID, without those that it names.
    pub(super) fn without_uids(
        &mut self,
        cleaned: Cleaned,
        received: Vec<u8>,
        (class, vr): (Class, VR),
        level: &Level,
    ) -> Result<Cleaned, Stop> {
        if self.options.uids != UidRule::Replace {
            return Ok(cleaned);
        }
        let value = match &cleaned {
            Cleaned::Same => &received,
            Cleaned::Changed(changed) => changed,
            Cleaned::Undecodable | Cleaned::Identifying => return Ok(cleaned),
        };
        let changed = match class {
            Class::Text => self.text_without(value, vr, level)?,
            Class::Code | Class::Number => {
                let text = level.set.decode(value);
                (!uids::in_text(&text).is_empty()).then(Vec::new)
            }
            Class::Bytes => blacked(value),
            Class::Date | Class::Uid | Class::Binary => None,
        };
        Ok(changed.map_or(cleaned, Cleaned::Changed))
    }

    /// In a text another UID stands in the place of each, where that fits.
    fn text_without(
        &mut self,
        value: &[u8],
        vr: VR,
        level: &Level,
    ) -> Result<Option<Vec<u8>>, Stop> {
        let text = level.set.decode(value);
        let found = uids::in_text(&text);
        if found.is_empty() {
            // digits of two bytes each, which no character set has here
            let hidden = value.contains(&0) && blacked(value).is_some();
            return Ok(hidden.then(|| REMOVED.to_vec()));
        }
        if text.as_bytes() != value {
            return Ok(Some(REMOVED.to_vec()));
        }
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for range in found {
            out.push_str(text.get(at..range.start).unwrap_or_default());
            let uid = text.get(range.clone()).unwrap_or_default();
            out.push_str(&self.other(uid)?);
            at = range.end;
        }
        out.push_str(text.get(at..).unwrap_or_default());
        let fits = out
            .split('\\')
            .all(|part| part.chars().count() <= longest(vr));
        Ok(Some(if fits {
            out.into_bytes()
        } else {
            REMOVED.to_vec()
        }))
    }

    /// A coded frame cannot be changed: one whose comments name a UID stays.
    pub(super) fn no_uid_in(&self, comments: &[u8]) -> Result<(), Stop> {
        if self.options.uids == UidRule::Replace && blacked(comments).is_some() {
            let reason = "a comment in a coded frame holds a UID";
            return Err(Stop::Withheld(reason.to_owned()));
        }
        Ok(())
    }
}

/// Bytes with their UIDs overwritten: lengths and places inside stay what they are. None when there is none.
fn blacked(value: &[u8]) -> Option<Vec<u8>> {
    let found = uids::in_bytes(value);
    if found.is_empty() {
        return None;
    }
    let mut out = value.to_vec();
    for range in found {
        if let Some(bytes) = out.get_mut(range) {
            bytes.fill(b'X');
        }
    }
    Some(out)
}
