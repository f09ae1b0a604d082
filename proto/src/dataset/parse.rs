//! From bytes that passed the prescan to the tree. Recursive, as deep as the prescan let through.

use dicom_core::{Tag, VR};

use super::{Dataset, Element, Value};
use crate::element::{
    Encoding, Header, ITEM, ITEM_END, PIXEL_DATA, SEQUENCE_END, encoding_inside_unknown,
    implicit_vr,
};

/// What is left of the bytes.
struct Cursor<'a> {
    rest: &'a [u8],
}

/// The whole dataset; `None` when it is malformed.
pub(super) fn parse(bytes: &[u8], encoding: Encoding, depth: usize) -> Option<Dataset> {
    let mut cursor = Cursor { rest: bytes };
    let dataset = cursor.elements(encoding, depth, false)?;
    cursor.rest.is_empty().then_some(dataset)
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn header(&mut self, encoding: Encoding) -> Option<Header> {
        let header = Header::read(self.rest, encoding)?;
        self.take(usize::from(header.size))?;
        Some(header)
    }

    /// Elements up to the end of the bytes, or up to the delimiter when `delimited`.
    fn elements(&mut self, encoding: Encoding, depth: usize, delimited: bool) -> Option<Dataset> {
        let mut dataset = Dataset::new();
        while !self.rest.is_empty() {
            let header = self.header(encoding)?;
            if header.tag == ITEM_END {
                return delimited.then_some(dataset);
            }
            let element = self.element(&header, encoding, depth)?;
            dataset.put(header.tag, element.vr, element.value);
        }
        (!delimited).then_some(dataset)
    }

    fn element(&mut self, header: &Header, encoding: Encoding, depth: usize) -> Option<Element> {
        match header.length {
            None if header.tag == PIXEL_DATA => Some(Element {
                vr: VR::OB,
                value: Value::Fragments(self.fragments(encoding)?),
            }),
            Some(length) if header.vr != VR::SQ => {
                let bytes = self.take(usize::try_from(length).ok()?)?;
                Some(primitive(header, bytes, encoding))
            }
            length => {
                let inside = if header.vr == VR::UN && encoding != Encoding::ImplicitLittle {
                    encoding_inside_unknown(self.rest)
                } else {
                    encoding
                };
                Some(Element {
                    vr: VR::SQ,
                    value: Value::Items(self.sequence(length, inside, depth.checked_sub(1)?)?),
                })
            }
        }
    }

    fn sequence(
        &mut self,
        length: Option<u32>,
        encoding: Encoding,
        depth: usize,
    ) -> Option<Vec<Dataset>> {
        let Some(length) = length else {
            return self.items(encoding, depth, true);
        };
        let mut inner = Cursor {
            rest: self.take(usize::try_from(length).ok()?)?,
        };
        inner.items(encoding, depth, false)
    }

    fn items(&mut self, encoding: Encoding, depth: usize, delimited: bool) -> Option<Vec<Dataset>> {
        let mut items = Vec::new();
        while !self.rest.is_empty() {
            let header = self.header(encoding)?;
            match (header.tag, header.length) {
                (SEQUENCE_END, _) => return delimited.then_some(items),
                (ITEM, None) => items.push(self.elements(encoding, depth, true)?),
                (ITEM, Some(length)) => {
                    let mut inner = Cursor {
                        rest: self.take(usize::try_from(length).ok()?)?,
                    };
                    items.push(inner.elements(encoding, depth, false)?);
                }
                _ => return None,
            }
        }
        (!delimited).then_some(items)
    }

    fn fragments(&mut self, encoding: Encoding) -> Option<Vec<Vec<u8>>> {
        let mut fragments = Vec::new();
        loop {
            let header = self.header(encoding)?;
            if header.tag == SEQUENCE_END {
                return Some(fragments);
            }
            let length = header.length.filter(|_| header.tag == ITEM)?;
            fragments.push(self.take(usize::try_from(length).ok()?)?.to_vec());
        }
    }
}

/// A value that is no sequence. A peer that did not know a standard attribute may have stored it as UN: it gets its VR back
/// (PS3.5 6.2.2 note 3).
fn primitive(header: &Header, bytes: &[u8], encoding: Encoding) -> Element {
    let mut bytes = bytes.to_vec();
    let vr = known_vr(header.tag, header.vr);
    if encoding == Encoding::ExplicitBig && header.vr != VR::UN {
        for number in bytes.chunks_exact_mut(width(vr)) {
            number.reverse();
        }
    }
    Element {
        vr,
        value: Value::Bytes(bytes),
    }
}

fn known_vr(tag: Tag, vr: VR) -> VR {
    if vr != VR::UN {
        return vr;
    }
    match implicit_vr(tag) {
        VR::SQ => VR::UN,
        known => known,
    }
}

/// The bytes of one number of a VR; 1 for what byte order does not touch (PS3.5 7.3).
fn width(vr: VR) -> usize {
    match vr {
        VR::US | VR::SS | VR::OW | VR::AT => 2,
        VR::UL | VR::SL | VR::FL | VR::OL | VR::OF => 4,
        VR::FD | VR::OD | VR::UV | VR::SV | VR::OV => 8,
        _ => 1,
    }
}
