//! A dataset as a tree of raw values, read from any syntax and written in explicit VR little endian.
//!
//! Values stay bytes: what was received in some character set is not decoded and encoded again, so that a digital signature
//! over it still holds. Reading is bounded by [`crate::prescan`], in depth, in counts and in bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use dicom_core::{Tag, VR};
use thiserror::Error;

use crate::element::Encoding;
use crate::ids::TransferSyntaxUid;
use crate::prescan::{Limits, PrescanError, prescan_encoded};
use crate::text::CharacterSet;

mod parse;
mod write;

pub use write::write_element;

/// Elements by tag.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Dataset(BTreeMap<Tag, Element>);

/// A VR and a value.
#[derive(Clone, PartialEq, Eq)]
pub struct Element {
    /// The VR; in implicit VR what the dictionary says.
    pub vr: VR,
    /// The value.
    pub value: Value,
}

/// A value as it stands in the dataset, little endian.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Anything but a sequence, with its padding.
    Bytes(Vec<u8>),
    /// The items of a sequence.
    Items(Vec<Dataset>),
    /// Encapsulated pixel data, the offset table first.
    Fragments(Vec<Vec<u8>>),
}

/// Why bytes are no dataset.
#[derive(Debug, Error)]
pub enum ReadError {
    /// More than [`MAX_BYTES`]: only documents are read whole.
    #[error("the dataset is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// The bounds or the framing are broken.
    #[error(transparent)]
    Prescan(#[from] PrescanError),
    /// Framing that the prescan passed and this reader does not: reported rather than guessed at.
    #[error("the dataset is malformed")]
    Malformed,
}

/// Datasets that are read whole are at most this long, inflated.
pub const MAX_BYTES: usize = 64 << 20;

impl Dataset {
    /// An empty dataset.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a dataset without group 0002.
    ///
    /// # Errors
    /// [`ReadError`] when it is too large, breaks a bound or is malformed.
    pub fn read(bytes: &[u8], syntax: &TransferSyntaxUid) -> Result<Self, ReadError> {
        let (encoding, deflated) = Encoding::of(syntax);
        if deflated {
            let mut inflated = Vec::new();
            flate2::read::DeflateDecoder::new(bytes)
                .take(MAX_BYTES as u64 + 1)
                .read_to_end(&mut inflated)
                .ok()
                .ok_or(PrescanError::Deflate)?;
            return Self::read_plain(&inflated, encoding);
        }
        Self::read_plain(bytes, encoding)
    }

    fn read_plain(bytes: &[u8], encoding: Encoding) -> Result<Self, ReadError> {
        if bytes.len() > MAX_BYTES {
            return Err(ReadError::TooLarge);
        }
        let limits = Limits {
            total_bytes: Some(bytes.len() as u64),
            ..Limits::default()
        };
        prescan_encoded(bytes, encoding, &limits)?;
        parse::parse(bytes, encoding, limits.depth).ok_or(ReadError::Malformed)
    }

    /// The dataset in explicit VR little endian, lengths defined, values padded to even length.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        write::write(self)
    }

    /// An element.
    #[must_use]
    pub fn get(&self, tag: Tag) -> Option<&Element> {
        self.0.get(&tag)
    }

    /// Elements in the order of their tags.
    pub fn iter(&self) -> impl Iterator<Item = (Tag, &Element)> {
        self.0.iter().map(|(tag, element)| (*tag, element))
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts an element in the place of any other of its tag.
    pub fn put(&mut self, tag: Tag, vr: VR, value: Value) {
        self.0.insert(tag, Element { vr, value });
    }

    /// Puts text (UTF-8), padded as its VR demands.
    pub fn put_text(&mut self, tag: Tag, vr: VR, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        write::pad(&mut bytes, vr);
        self.put(tag, vr, Value::Bytes(bytes));
    }

    /// Puts a sequence.
    pub fn put_items(&mut self, tag: Tag, items: Vec<Self>) {
        self.put(tag, VR::SQ, Value::Items(items));
    }

    /// Takes an element out.
    pub fn remove(&mut self, tag: Tag) -> Option<Element> {
        self.0.remove(&tag)
    }

    /// The bytes of a value, with their padding; empty for sequences and when absent.
    #[must_use]
    pub fn bytes(&self, tag: Tag) -> &[u8] {
        match self.get(tag).map(|element| &element.value) {
            Some(Value::Bytes(bytes)) => bytes,
            _ => &[],
        }
    }

    /// The items of a sequence; none when it is absent or not a sequence.
    #[must_use]
    pub fn items(&self, tag: Tag) -> &[Self] {
        match self.get(tag).map(|element| &element.value) {
            Some(Value::Items(items)) => items,
            _ => &[],
        }
    }

    /// The items of a sequence, to be changed.
    pub fn items_mut(&mut self, tag: Tag) -> &mut [Self] {
        match self.0.get_mut(&tag).map(|element| &mut element.value) {
            Some(Value::Items(items)) => items,
            _ => &mut [],
        }
    }

    /// The character set that (0008,0005) of this dataset names.
    #[must_use]
    pub fn character_set(&self) -> CharacterSet {
        CharacterSet::parse(self.bytes(Tag(0x0008, 0x0005)))
    }

    /// Text in Unicode without trailing padding; empty when absent.
    #[must_use]
    pub fn text(&self, tag: Tag, set: &CharacterSet) -> String {
        let mut text = set.decode(self.bytes(tag));
        text.truncate(text.trim_end_matches([' ', '\0']).len());
        text
    }

    /// Text of the default repertoire (codes, UIDs, dates) without padding on either side.
    #[must_use]
    pub fn code(&self, tag: Tag) -> String {
        self.text(tag, &CharacterSet::default()).trim().to_owned()
    }
}

impl FromIterator<(Tag, Element)> for Dataset {
    fn from_iter<T: IntoIterator<Item = (Tag, Element)>>(elements: T) -> Self {
        Self(elements.into_iter().collect())
    }
}

/// Tags only: values may name a patient.
impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.keys().map(|tag| tag.to_string()))
            .finish()
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Element({})", self.vr.to_string())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes(_) => "Bytes",
            Self::Items(_) => "Items",
            Self::Fragments(_) => "Fragments",
        })
    }
}

#[cfg(test)]
mod tests;
