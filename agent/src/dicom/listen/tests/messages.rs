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
    let request = command::write_store_request(7, CT, instance);
    say(peer, 1, &request, Some(bytes)).await;
    peer.response().await
}

/// Writes a command set and, when there is one, its data set.
pub(super) async fn say(peer: &mut Peer, context: u8, command: &[u8], data: Option<&[u8]>) {
    peer.write(&pdv(context, true, true, command)).await;
    let Some(bytes) = data else { return };
    if bytes.is_empty() {
        peer.write(&pdv(context, false, true, &[])).await;
    }
    let mut chunks = bytes.chunks(200_000).peekable();
    while let Some(chunk) = chunks.next() {
        let last = chunks.peek().is_none();
        peer.write(&pdv(context, false, last, chunk)).await;
    }
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
