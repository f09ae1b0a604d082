//! What coded frames say beside their picture: comments and application data of JPEG, JPEG-LS and JPEG 2000, in which some writers
//! put the header.

use std::io::{Read, Seek};
use std::ops::Range;

use super::source::{Source, Unreadable};

/// Before this many bytes the picture has begun; application data are up to 64 kB each.
const HEAD: u64 = 1 << 20;
/// So much is read at first: mostly enough.
const FIRST: u64 = 4 << 10;

/// The comments and application data at the head of a fragment, one behind the other; empty for one that goes on with a frame or is
/// in another coding, and none when the head has no end.
///
/// # Errors
/// When the object cannot be read.
pub(super) fn comments<S: Read + Seek>(
    source: &mut Source<'_, S>,
    fragment: &Range<u64>,
) -> Result<Option<Vec<u8>>, Unreadable> {
    let most = fragment.end.min(fragment.start + HEAD);
    let mut end = most.min(fragment.start + FIRST);
    loop {
        let head = source.read(fragment.start..end)?;
        if let Some(found) = segments(&head) {
            return Ok(Some(found));
        }
        if end == most {
            return Ok(None);
        }
        end = most;
    }
}

/// The contents of APPn and COM segments before the picture; none when the bytes end before it begins.
fn segments(head: &[u8]) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    // SOI of ISO/IEC 10918-1 and 14495-1, SOC of 15444-1
    let jpeg2000 = match head.get(..2) {
        Some([0xFF, 0xD8]) => false,
        Some([0xFF, 0x4F]) => true,
        _ => return Some(found),
    };
    let mut rest = head.get(2..)?;
    loop {
        let [first, marker, high, low, ..] = *rest else {
            return None;
        };
        if first != 0xFF {
            return None;
        }
        // fill bytes may stand before a marker
        if marker == 0xFF && !jpeg2000 {
            rest = rest.get(1..)?;
            continue;
        }
        // SOS; SOT, whose tile parts have comments of their own in no known writer, or SOD
        if marker == 0xDA || (jpeg2000 && matches!(marker, 0x90 | 0x93)) {
            return Some(found);
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        let segment = rest.get(4..2 + length)?;
        if matches!(
            (jpeg2000, marker),
            (false, 0xE0..=0xEF | 0xFE) | (true, 0x64)
        ) {
            found.extend_from_slice(segment);
        }
        rest = rest.get(2 + length..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_what_stands_before_the_picture() {
        let jpeg = b"\xFF\xD8\xFF\xE1\x00\x06EXIF\xFF\xFF\xFE\x00\x05One\xFF\xC0\x00\x03x\xFF\xDA\x00\x03x\xFF\xFE\x00\x05Two";
        assert_eq!(segments(jpeg).unwrap(), b"EXIFOne");
        let jpeg2000 = b"\xFF\x4F\xFF\x51\x00\x03x\xFF\x64\x00\x07\x00\x01One\xFF\x90\x00\x0A";
        assert_eq!(segments(jpeg2000).unwrap(), b"\x00\x01One");
        assert_eq!(segments(b"goes on").unwrap(), b"");
        assert_eq!(segments(b"").unwrap(), b"");
        for cut in 4..27 {
            assert_eq!(segments(&jpeg[..cut]), None, "{cut}");
        }
        assert_eq!(segments(b"\xFF\xD8\xFF\xFE\x00\x01\xFF\xDA\x00\x03"), None);
    }
}
