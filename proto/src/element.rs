//! Element headers of PS3.5 7.1 as bytes: how a dataset is encoded, and one header read without believing its length.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use crate::ids::TransferSyntaxUid;

/// Item (PS3.5 7.5).
pub const ITEM: Tag = Tag(0xFFFE, 0xE000);
/// Item Delimitation Item.
pub const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
/// Sequence Delimitation Item.
pub const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
/// Pixel Data.
pub const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// How element headers are written (PS3.5 Annex A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Implicit VR little endian.
    ImplicitLittle,
    /// Explicit VR little endian.
    ExplicitLittle,
    /// Explicit VR big endian (retired).
    ExplicitBig,
}

impl Encoding {
    /// The encoding of a dataset in a transfer syntax, and whether the dataset is deflated. What is not known here, private
    /// syntaxes too, is explicit VR little endian, as every syntax since 1993 is (PS3.5 A.4).
    #[must_use]
    pub fn of(syntax: &TransferSyntaxUid) -> (Self, bool) {
        match syntax.as_str() {
            // PS3.5 A.1, and General Electric's private twin with big endian pixels
            "1.2.840.10008.1.2" | "1.2.840.113619.5.2" => (Self::ImplicitLittle, false),
            "1.2.840.10008.1.2.2" => (Self::ExplicitBig, false),
            // PS3.5 A.5, A.7 and A.12: the whole dataset is deflated
            "1.2.840.10008.1.2.1.99" | "1.2.840.10008.1.2.4.95" | "1.2.840.10008.1.2.4.205" => {
                (Self::ExplicitLittle, true)
            }
            _ => (Self::ExplicitLittle, false),
        }
    }

    pub(crate) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::ExplicitBig => u16::from_be_bytes(bytes),
            Self::ImplicitLittle | Self::ExplicitLittle => u16::from_le_bytes(bytes),
        }
    }

    pub(crate) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::ExplicitBig => u32::from_be_bytes(bytes),
            Self::ImplicitLittle | Self::ExplicitLittle => u32::from_le_bytes(bytes),
        }
    }
}

/// One element header as it stands in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The tag.
    pub tag: Tag,
    /// The VR as written, or as the dictionary says in implicit VR; `UN` when neither knows it.
    pub vr: VR,
    /// The declared length of the value; `None` is the undefined length.
    pub length: Option<u32>,
    /// The length of the header itself: 8 or 12.
    pub size: u8,
}

/// A header is at most this long.
pub const HEADER_MAX: usize = 12;

impl Header {
    /// Reads a header from the beginning of `bytes`, of which up to [`HEADER_MAX`] are looked at.
    ///
    /// # Errors
    /// `None` when `bytes` ends inside the header.
    #[must_use]
    pub fn read(bytes: &[u8], encoding: Encoding) -> Option<Self> {
        let group = encoding.u16(*bytes.first_chunk()?);
        let element = encoding.u16(*bytes.get(2..)?.first_chunk()?);
        let tag = Tag(group, element);
        let rest = bytes.get(4..)?;
        if group == 0xFFFE || encoding == Encoding::ImplicitLittle {
            let length = encoding.u32(*rest.first_chunk()?);
            return Some(Self {
                tag,
                vr: implicit_vr(tag),
                length: defined(length),
                size: 8,
            });
        }
        let vr = VR::from_binary(*rest.first_chunk()?).unwrap_or(VR::UN);
        if short_length(vr) {
            let length = encoding.u16(*rest.get(2..)?.first_chunk()?);
            return Some(Self {
                tag,
                vr,
                length: Some(length.into()),
                size: 8,
            });
        }
        let length = encoding.u32(*rest.get(4..)?.first_chunk()?);
        Some(Self {
            tag,
            vr,
            length: defined(length),
            size: 12,
        })
    }
}

/// Whether the header at the beginning of `bytes` names a VR that is none (PS3.5 6.2): its element is read as one of VR UN.
pub(crate) fn names_no_vr(bytes: &[u8], encoding: Encoding) -> bool {
    let group = bytes.first_chunk().map(|group| encoding.u16(*group));
    let written = bytes.get(4..).and_then(|rest| rest.first_chunk());
    encoding != Encoding::ImplicitLittle
        && group != Some(0xFFFE)
        && written.is_some_and(|vr| VR::from_binary(*vr).is_none())
}

fn defined(length: u32) -> Option<u32> {
    (length != u32::MAX).then_some(length)
}

/// The VR that the dictionary gives a tag, `UN` when it has none. Pixel Data and overlays are OW (PS3.5 A.1).
#[must_use]
pub fn implicit_vr(tag: Tag) -> VR {
    if tag == PIXEL_DATA || (tag.0 >> 8 == 0x60 && tag.1 == 0x3000) {
        return VR::OW;
    }
    StandardDataDictionary
        .by_tag(tag)
        .map_or(VR::UN, |entry| entry.vr().relaxed())
}

/// Whether the VR has a length of 16 bits in explicit VR (PS3.5 7.1.2).
#[must_use]
pub fn short_length(vr: VR) -> bool {
    matches!(
        vr,
        VR::AE
            | VR::AS
            | VR::AT
            | VR::CS
            | VR::DA
            | VR::DS
            | VR::DT
            | VR::FL
            | VR::FD
            | VR::IS
            | VR::LO
            | VR::LT
            | VR::PN
            | VR::SH
            | VR::SL
            | VR::SS
            | VR::ST
            | VR::TM
            | VR::UI
            | VR::UL
            | VR::US
    )
}

/// VR UN of undefined length holds implicit VR little endian (PS3.5 6.2.2), but some writers leave it explicit: the first
/// element of its first item tells. `ahead` is what follows the header of the UN element.
#[must_use]
pub fn encoding_inside_unknown(ahead: &[u8]) -> Encoding {
    let first = ahead
        .get(8..)
        .and_then(|item| Header::read(item, Encoding::ExplicitLittle));
    let known = first.is_some_and(|first| {
        let dictionary = implicit_vr(first.tag);
        first.vr != VR::UN && (first.vr == dictionary || dictionary == VR::UN)
    });
    if known {
        Encoding::ExplicitLittle
    } else {
        Encoding::ImplicitLittle
    }
}
