//! DIMSE messages and their statuses, and what the spool holds afterwards.

use super::*;

type Element = (u32, &'static str, Vec<u8>);

/// A small CT object in explicit VR little endian.
pub(super) fn dataset(change: impl Fn(&mut Vec<Element>)) -> Vec<u8> {
    let mut elements = vec![
        (0x0008_0016, "UI", CT.as_bytes().to_vec()),
        (0x0008_0018, "UI", b"1.2.3.4".to_vec()),
        (0x0008_0060, "CS", b"CT".to_vec()),
        (0x0010_0010, "PN", b"Nobody^TEST".to_vec()),
        (0x0010_0020, "LO", b"TEST-1".to_vec()),
        (0x0020_000D, "UI", b"1.2.3".to_vec()),
        (0x0020_000E, "UI", b"1.2.3.1".to_vec()),
    ];
    change(&mut elements);
    let mut out = Vec::new();
    for (tag, vr, mut value) in elements {
        if value.len() % 2 == 1 {
            value.push(if vr == "UI" { 0 } else { b' ' });
        }
        let [group_high, group_low, high, low] = u32::to_be_bytes(tag);
        out.extend([group_low, group_high, low, high]);
        out.extend(vr.as_bytes());
        out.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
        out.extend(value);
    }
    out
}

pub(super) async fn store(peer: &mut Peer, instance: &str, bytes: &[u8]) -> (u16, String) {
    store_as(peer, CT, instance, bytes).await
}

async fn store_as(peer: &mut Peer, class: &str, instance: &str, bytes: &[u8]) -> (u16, String) {
    let request = command::write_store_request(7, class, instance);
    peer.write(&pdv(1, true, true, &request)).await;
    let mut chunks = bytes.chunks(200_000).peekable();
    if bytes.is_empty() {
        peer.write(&pdv(1, false, true, &[])).await;
    }
    while let Some(chunk) = chunks.next() {
        peer.write(&pdv(1, false, chunks.peek().is_none(), chunk))
            .await;
    }
    peer.response().await
}

#[tokio::test]
async fn a_stored_instance_is_held_byte_for_byte_and_only_once() {
    let site = Site::open("").await;
    let mut peer = Peer::associated(&site, &STORE).await;
    let bytes = dataset(|_| {});
    let success = (0, String::new());
    assert_eq!(store(&mut peer, "1.2.3.4", &bytes).await, success);
    assert_eq!(site.held().await, [("1.2.3.4".to_owned(), bytes.clone())]);
    assert_eq!(store(&mut peer, "1.2.3.4", &bytes).await, success);
    assert_eq!(site.held().await.len(), 1);
    drop(peer);
    site.close().await;
}

#[tokio::test]
async fn any_legal_way_of_cutting_it_up_gives_the_same_bytes() {
    let site = Site::open("").await;
    let mut peer = Peer::associated(&site, &STORE).await;
    let bytes = dataset(|_| {});
    // command and data set in one PDU, one byte in each PDV, an empty one at the end (PS3.8 E.2)
    let request = command::write_store_request(7, CT, "1.2.3.4");
    let mut values = pdv(1, true, true, &request)[6..].to_vec();
    for byte in &bytes {
        values.extend(&pdv(1, false, false, &[*byte])[6..]);
    }
    values.extend(&pdv(1, false, true, &[])[6..]);
    let mut all = vec![pdu::P_DATA, 0];
    all.extend(u32::try_from(values.len()).unwrap().to_be_bytes());
    all.extend(values);
    for part in all.chunks(97) {
        peer.write(part).await;
    }
    assert_eq!(peer.response().await, (0, String::new()));
    assert_eq!(site.held().await, [("1.2.3.4".to_owned(), bytes)]);
    drop(peer);
    site.close().await;
}

#[tokio::test]
async fn refusals_name_their_reason_and_keep_nothing() {
    let site = Site::open("").await;
    let mut peer = Peer::associated(&site, &STORE).await;
    let good = dataset(|_| {});
    let without = |tag: u32| dataset(|e| e.retain(|(t, _, _)| *t != tag));
    let with = |tag: u32, value: &'static [u8]| {
        dataset(|elements| {
            let found = elements.iter_mut().find(|(t, _, _)| *t == tag);
            found.unwrap().2 = value.to_vec();
        })
    };
    let mut table = vec![
        (with(0x0008_0018, b"9.9"), 0xA900),
        (with(0x0008_0016, b"1.2.840.10008.5.1.4.1.1.4"), 0xA900),
        (good[..30].to_vec(), 0xC000),
        (Vec::new(), 0xC000),
    ];
    for tag in [0x0008_0016, 0x0008_0018, 0x0020_000D, 0x0020_000E] {
        table.push((without(tag), 0xC000));
        for value in [&b""[..], b"..", b"1.2.x"] {
            table.push((with(tag, value), 0xC000));
        }
    }
    for (bytes, expect) in table {
        let (status, comment) = store(&mut peer, "1.2.3.4", &bytes).await;
        assert_eq!(status, expect, "{comment}");
        assert!(!comment.is_empty() && comment.len() <= 64, "{comment}");
    }
    let mr = "1.2.840.10008.5.1.4.1.1.4";
    assert_eq!(store_as(&mut peer, mr, "1.2.3.4", &good).await.0, 0x0122);
    assert_eq!(store(&mut peer, "..", &good).await.0, 0xC000);
    assert_eq!(store(&mut peer, "", &good).await.0, 0x0212);
    assert_eq!(site.held().await, []);
    // the association is still of use
    assert_eq!(store(&mut peer, "1.2.3.4", &good).await.0, 0);
    drop(peer);
    site.close().await;
}

#[tokio::test]
async fn lies_about_length_and_depth_are_refused() {
    let site = Site::open("").await;
    let mut peer = Peer::associated(&site, &STORE).await;
    let mut long = dataset(|_| {});
    long.extend([
        0xE0, 0x7F, 0x10, 0, b'O', b'W', 0, 0, 0xFE, 0xFF, 0xFF, 0xFF, 1, 2,
    ]);
    assert_eq!(store(&mut peer, "1.2.3.4", &long).await.0, 0xC000);
    let mut deep = dataset(|_| {});
    for _ in 0..100_000 {
        deep.extend([
            0x40, 0, 0x30, 0xA7, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF,
        ]);
        deep.extend([0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]);
    }
    let (status, comment) = store(&mut peer, "1.2.3.4", &deep).await;
    assert_eq!(status, 0xC000);
    assert!(comment.contains("nesting"), "{comment}");
    assert_eq!(site.held().await, []);
    drop(peer);
    site.close().await;
}

#[tokio::test]
async fn an_end_half_way_keeps_nothing() {
    let site = Site::open("").await;
    let words = [
        encoded(Pdu::AbortRQ {
            source: AbortRQSource::ServiceUser,
        }),
        encoded(Pdu::ReleaseRQ),
        Vec::new(),
    ];
    for word in words {
        let mut peer = Peer::associated(&site, &STORE).await;
        let request = command::write_store_request(7, CT, "1.2.3.4");
        peer.write(&pdv(1, true, true, &request)).await;
        peer.write(&pdv(1, false, false, &dataset(|_| {}))).await;
        peer.write(&word).await;
    }
    let bench = site.close().await;
    let nothing = std::collections::HashSet::new();
    assert!(
        bench
            .spool
            .next_to_send(9, &nothing)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn echo_and_messages_that_we_do_not_provide() {
    let site = Site::open("").await;
    let mut peer = Peer::associated(&site, &ECHO).await;
    let echo = command::write_echo_request(3, negotiate::VERIFICATION);
    peer.write(&pdv(1, true, true, &echo)).await;
    assert_eq!(peer.response().await, (0, String::new()));
    let with_field = |field: u16| {
        let header = [0, 0, 0, 1, 2, 0, 0, 0];
        let at = echo.windows(8).position(|w| w == header).unwrap() + 8;
        let mut set = echo.clone();
        set[at..at + 2].copy_from_slice(&field.to_le_bytes());
        set
    };
    for (field, expect) in [(0x0020, 0x0122), (0x0130, 0x0122), (0x0077, 0x0211)] {
        peer.write(&pdv(1, true, true, &with_field(field))).await;
        assert_eq!(peer.response().await.0, expect);
    }
    let mut wrong_length = echo.clone();
    wrong_length[8] ^= 1;
    peer.write(&pdv(1, true, true, &wrong_length)).await;
    assert_eq!(peer.response().await.0, 0x0212);
    let bytes = dataset(|_| {});
    assert_eq!(store(&mut peer, "1.2.3.4", &bytes).await.0, 0x0122);
    peer.write(&pdv(1, true, true, &with_field(0x8030))).await;
    assert_eq!(peer.short().await, "abort 2/2");
    drop(peer);
    site.close().await;
}
