//! A dataset as a file (PS3.10 7.1): preamble and group 0002 made here, then the dataset's bytes as they were sent.

use bytes::{BufMut, Bytes, BytesMut};

/// Names this program in files that leave it; made once from a UUID (PS3.5 B.2).
const IMPLEMENTATION: &str = "2.25.171583213216271205217240325347204127418";
const VERSION_NAME: &str = concat!("CAUSEWAY_", env!("CARGO_PKG_VERSION"));

/// What comes before the dataset.
pub(super) fn header(class: &str, instance: &str, syntax: &str) -> Bytes {
    let mut group = BytesMut::new();
    group.put_slice(b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01");
    for (element, vr, value, pad) in [
        (0x02_u16, b"UI", class, 0_u8),
        (0x03, b"UI", instance, 0),
        (0x10, b"UI", syntax, 0),
        (0x12, b"UI", IMPLEMENTATION, 0),
        (0x13, b"SH", VERSION_NAME, b' '),
    ] {
        let even = value.len() + value.len() % 2;
        group.put_u16_le(2);
        group.put_u16_le(element);
        group.put_slice(vr);
        group.put_u16_le(u16::try_from(even).unwrap_or(0));
        group.put_slice(value.as_bytes());
        group.put_bytes(pad, even - value.len());
    }
    let mut out = BytesMut::zeroed(128);
    out.put_slice(b"DICM\x02\x00\x00\x00UL\x04\x00");
    out.put_u32_le(u32::try_from(group.len()).unwrap_or(0));
    out.put_slice(&group);
    out.freeze()
}
