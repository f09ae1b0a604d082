//! Broken and hostile PDUs, each with the answer that PS3.8 demands; none of them stops the listener.

use dicom_ul::pdu::{AssociationAC, AssociationRJ, AssociationRJResult};
use dicom_ul::pdu::{AssociationRJServiceUserReason, AssociationRJSource};

use super::*;

/// Opens a connection, writes `bytes`, and expects one answer and then the end.
async fn check(site: &Site, bytes: &[u8], expect: &str) {
    let peer = Peer::connect(site).await;
    answered(peer, bytes, expect).await;
}

/// As [`check`], over an association that echoes and stores.
async fn check_associated(site: &Site, bytes: &[u8], expect: &str) {
    let peer = Peer::associated(site, &[ECHO[0], STORE[0]]).await;
    answered(peer, bytes, expect).await;
}

async fn answered(mut peer: Peer, bytes: &[u8], expect: &str) {
    peer.write(bytes).await;
    let beginning = &bytes[..bytes.len().min(16)];
    assert_eq!(peer.short().await, expect, "{beginning:02X?}");
    assert_eq!(peer.short().await, "closed");
}

async fn alive(site: &Site) {
    let mut peer = Peer::associated(site, &ECHO).await;
    peer.write(&encoded(Pdu::ReleaseRQ)).await;
    assert_eq!(peer.short().await, "rp");
}

#[tokio::test]
async fn before_an_association() {
    let site = Site::open("").await;
    check(&site, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "abort 2/1").await;
    check(&site, &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC], "abort 2/1").await;
    for kind in [0x00, 0x08, 0x7F, 0xFF] {
        check(&site, &[kind, 0, 0, 0, 0, 4, 0, 0, 0, 0], "abort 2/1").await;
    }
    let asked = asked(&ECHO);
    let unasked = AssociationAC {
        protocol_version: 1,
        called_ae_title: asked.called_ae_title,
        calling_ae_title: asked.calling_ae_title,
        application_context_name: asked.application_context_name,
        presentation_contexts: Vec::new(),
        user_variables: asked.user_variables,
    };
    check(&site, &encoded(unasked), "abort 2/2").await;
    check(&site, &pdv(1, true, true, b"xx"), "abort 2/2").await;
    for word in [Pdu::ReleaseRQ, Pdu::ReleaseRP] {
        check(&site, &encoded(word), "abort 2/2").await;
    }
    let reason = AssociationRJServiceUserReason::NoReasonGiven;
    let rejection = AssociationRJ {
        result: AssociationRJResult::Permanent,
        source: AssociationRJSource::ServiceUser(reason),
    };
    check(&site, &encoded(rejection), "abort 2/2").await;
    check(&site, &[1, 0, 0xFF, 0xFF, 0xFF, 0xFF], "abort 2/6").await;
    check(&site, &[1, 0, 0, 4, 0, 1], "abort 2/6").await;
    check(&site, &[1, 0, 0, 0, 0, 0], "abort 2/6").await;
    alive(&site).await;
    site.close().await;
}

#[tokio::test]
async fn requests_that_are_refused_or_broken() {
    let site = Site::open("").await;
    let check = async |change: fn(&mut AssociationRQ), expect: &str| {
        let mut said = asked(&ECHO);
        change(&mut said);
        check(&site, &encoded(said), expect).await;
    };
    check(|s| s.protocol_version = 2, "rj 1/2/2").await;
    check(|s| s.application_context_name.push_str(".7"), "rj 1/1/2").await;
    check(|s| s.called_ae_title = "NOBODY".to_owned(), "rj 1/1/7").await;
    check(|s| s.called_ae_title = "../x".to_owned(), "rj 1/1/7").await;
    check(|s| s.calling_ae_title = "NOBODY".to_owned(), "rj 1/1/3").await;
    check(|s| s.calling_ae_title = "ELSEWHERE".to_owned(), "rj 1/1/3").await;
    check(|s| s.user_variables = pdu::user_variables(1), "rj 1/1/1").await;
    check(|s| s.presentation_contexts[0].id = 2, "abort 2/6").await;
    check(
        |s| {
            s.presentation_contexts
                .push(s.presentation_contexts[0].clone())
        },
        "abort 2/6",
    )
    .await;
    let mut nameless = request(&ECHO);
    nameless[6 + 20..6 + 36].fill(b' ');
    answered(Peer::connect(&site).await, &nameless, "rj 1/1/3").await;
    let mut overrun = request(&ECHO);
    overrun[6 + 68 + 3] = 0xFF;
    answered(Peer::connect(&site).await, &overrun, "abort 2/6").await;
    alive(&site).await;
    site.close().await;
}

#[tokio::test]
async fn within_an_association() {
    let site = Site::open("").await;
    let check = async |bytes: &[u8], expect: &str| check_associated(&site, bytes, expect).await;
    check(&request(&ECHO), "abort 2/2").await;
    check(&encoded(Pdu::ReleaseRP), "abort 2/2").await;
    check(&[0x47, 0x45], "abort 2/1").await;
    // a P-DATA-TF of 4 GiB, and one that holds nothing
    check(&[4, 0, 0xFF, 0xFF, 0xFF, 0xFF], "abort 2/6").await;
    check(&[4, 0, 0, 0, 0, 0], "abort 2/6").await;
    // PDVs that do not fit: shorter than their header, longer than the PDU, a rest of three bytes
    check(&[4, 0, 0, 0, 0, 6, 0, 0, 0, 1, 1, 3], "abort 2/6").await;
    check(&[4, 0, 0, 0, 0, 6, 0, 0, 0, 3, 1, 3], "abort 2/6").await;
    check(&[4, 0, 0, 0, 0, 3, 0, 0, 0], "abort 2/6").await;
    // unknown bits of the message control header
    check(&[4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 1, 7], "abort 2/2").await;
    check(&encoded(Pdu::ReleaseRQ), "rp").await;
    alive(&site).await;
    assert_eq!(site.held().await, []);
    site.close().await;
}

#[tokio::test]
async fn messages_out_of_order() {
    let site = Site::open("").await;
    let check = async |bytes: &[u8], expect: &str| check_associated(&site, bytes, expect).await;
    let echo = command::write_echo_request(1, negotiate::VERIFICATION);
    let store = command::write_store_request(1, CT, "1.2.3");
    check(&pdv(5, true, true, &echo), "abort 2/6").await;
    check(&pdv(3, false, true, b"data first"), "abort 2/2").await;
    let twice = [pdv(3, true, true, &store), pdv(3, true, true, &store)].concat();
    check(&twice, "abort 2/2").await;
    let elsewhere = [pdv(3, true, true, &store), pdv(1, false, true, b"xx")].concat();
    check(&elsewhere, "abort 2/6").await;
    check(&pdv(1, true, true, &echo[..20]), "abort 2/6").await;
    let endless = pdv(1, true, false, &[0; 1024]).repeat(40);
    check(&endless, "abort 2/6").await;
    alive(&site).await;
    assert_eq!(site.held().await, []);
    site.close().await;
}

#[tokio::test]
async fn silence_after_connecting_ends_with_artim() {
    let site = Site::open("artim_timeout_s = 1").await;
    let mut silent = Peer::connect(&site).await;
    let mut hesitant = Peer::connect(&site).await;
    hesitant.write(&request(&ECHO)[..40]).await;
    assert_eq!(silent.short().await, "closed");
    assert_eq!(hesitant.short().await, "closed");
    site.close().await;
}

#[tokio::test]
async fn silence_between_messages_ends_with_an_abort() {
    let site = Site::open("idle_timeout_s = 1").await;
    let mut peer = Peer::associated(&site, &ECHO).await;
    assert_eq!(peer.short().await, "abort 2/0");
    drop(peer);
    site.close().await;
}

#[tokio::test]
async fn too_many_associations_are_refused_for_now() {
    let site = Site::open("max_associations = 3\nmax_associations_per_peer = 2").await;
    let first = Peer::associated(&site, &ECHO).await;
    let second = Peer::associated(&site, &ECHO).await;
    check(&site, &request(&ECHO), "rj 2/3/2").await;
    drop(first);
    // the place is free again as soon as the listener has seen the end of the first
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut peer = Peer::connect(&site).await;
        peer.write(&request(&ECHO)).await;
        match peer.short().await.as_str() {
            "ac" => break,
            other => assert_eq!(other, "rj 2/3/2"),
        }
        assert!(Instant::now() < deadline, "the place was not given back");
    }
    drop(second);
    site.close().await;
}

#[tokio::test]
async fn a_disk_that_fills_up_turns_new_associations_away_and_refuses_in_old_ones() {
    let site = Site::open("").await;
    let mut peer = Peer::associated(&site, &STORE).await;
    site.bench.disk.set_free(Some(2 << 30));
    check(&site, &request(&STORE), "rj 2/3/1").await;
    let bytes = messages::dataset(|_| {});
    assert_eq!(messages::store(&mut peer, "1.2.3.4", &bytes).await.0, 0);
    site.bench.disk.set_free(Some(0));
    let (status, comment) = messages::store(&mut peer, "1.2.3.5", &bytes).await;
    assert_eq!((status, comment.is_empty()), (0xA700, false));
    site.bench.disk.set_free(None);
    assert_eq!(messages::store(&mut peer, "1.2.3.4", &bytes).await.0, 0);
    drop(peer);
    site.close().await;
}

#[tokio::test]
async fn shutting_down_ends_idle_associations_with_an_abort() {
    let site = Site::open("").await;
    let mut peer = Peer::associated(&site, &ECHO).await;
    site.cancel.cancel();
    assert_eq!(peer.short().await, "abort 0/0");
    drop(peer);
    site.close().await;
}

#[tokio::test]
async fn we_announce_large_pdus_and_echo_the_titles() {
    let site = Site::open("").await;
    let mut peer = Peer::connect(&site).await;
    peer.write(&request(&ECHO)).await;
    let answer = pdu::read_acceptance(&peer.read().await[6..]).unwrap();
    assert_eq!(pdu::max_pdu(&answer.user_variables), Some(256 * 1024));
    assert_eq!(answer.called_ae_title, "CAUSEWAY        ");
    assert_eq!(answer.presentation_contexts.len(), 1);
    drop(peer);
    site.close().await;
}
