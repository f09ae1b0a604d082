//! A walk over CBOR (RFC 8949) before it is decoded: one item, definite lengths only, and a bound on depth.

/// Deepest nesting of arrays and maps; the messages need 4.
const DEPTH: usize = 8;

/// Whether `body` is exactly one well-formed item without indefinite lengths, tags or floats, nested at most [`DEPTH`] deep.
/// Work and memory are linear in the bytes that are there, whatever lengths they claim.
pub(super) fn is_plain(body: &[u8]) -> bool {
    walk(body) == Some(body.len())
}

/// Position after the first item, none when it is not plain.
fn walk(body: &[u8]) -> Option<usize> {
    let mut open = [0_u64; DEPTH];
    let mut depth = 0;
    let mut at = 0_usize;
    loop {
        let (major, argument, head) = head(body.get(at..)?)?;
        at = at.checked_add(head)?;
        let items = match major {
            0 | 1 | 7 => 0,
            2 | 3 => {
                let length = usize::try_from(argument).ok()?;
                at = at.checked_add(length).filter(|end| *end <= body.len())?;
                0
            }
            4 => argument,
            5 => argument.checked_mul(2)?,
            _ => return None,
        };
        if items > 0 {
            *open.get_mut(depth)? = items;
            depth = depth.checked_add(1)?;
            continue;
        }
        loop {
            let Some(parent) = depth.checked_sub(1) else {
                return Some(at);
            };
            let left = open.get_mut(parent)?;
            *left = left.checked_sub(1)?;
            if *left > 0 {
                break;
            }
            depth = parent;
        }
    }
}

/// Major type, argument and length of the head that begins `bytes`.
fn head(bytes: &[u8]) -> Option<(u8, u64, usize)> {
    let first = *bytes.first()?;
    let (major, low) = (first >> 5, first & 0x1f);
    let extra = match low {
        0..=23 => return simple_or(major, low),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return None,
    };
    if major == 7 {
        return None;
    }
    let rest = bytes.get(1..=extra)?;
    let argument = rest
        .iter()
        .fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
    Some((major, argument, extra.checked_add(1)?))
}

/// Of the simple values only false, true and null occur.
fn simple_or(major: u8, low: u8) -> Option<(u8, u64, usize)> {
    if major == 7 && !(20..=22).contains(&low) {
        return None;
    }
    Some((major, u64::from(low), 1))
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    fn check(body: &[u8], expect: bool) {
        assert_eq!(is_plain(body), expect, "{}", hex::encode(body));
    }

    #[test]
    fn one_plain_item_and_nothing_else() {
        check(&[0x00], true);
        check(&[0xa1, 0x00, 0x82, 0x01, 0xf6], true);
        check(&[0xa0], true);
        check(&[0x80], true);
        check(&[], false);
        check(&[0x00, 0x00], false);
        check(&[0xa1, 0x00], false);
        check(&[0x62, b'a'], false);
        check(&[0xf5], true);
    }

    #[test]
    fn indefinite_lengths_tags_and_floats_are_refused() {
        check(&[0x9f, 0xff], false);
        check(&[0xbf, 0xff], false);
        check(&[0x5f, 0xff], false);
        check(&[0xc0, 0x00], false);
        check(&[0xf9, 0x00, 0x00], false);
        check(&[0xf8, 0x20], false);
    }

    #[test]
    fn depth_and_lies_about_length_are_refused() {
        check(
            &[0x81; 7]
                .iter()
                .chain(&[0x81, 0x00])
                .copied()
                .collect::<Vec<_>>(),
            true,
        );
        check(
            &[0x81; 8]
                .iter()
                .chain(&[0x81, 0x00])
                .copied()
                .collect::<Vec<_>>(),
            false,
        );
        check(&[0x81; 100_000], false);
        check(
            &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            false,
        );
        check(
            &[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            false,
        );
        check(
            &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            false,
        );
    }
}
