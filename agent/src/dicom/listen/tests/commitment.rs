//! Storage commitment over the wire: the answers to requests, and results over the association that asked and over another.

use dicom_dictionary_std::tags;

use super::*;
use crate::commitment::{Edge, Heard, Report};
use crate::dicom::commit;
use crate::dicom::negotiate::{COMMITMENT, COMMITMENT_INSTANCE};
use crate::spool::tests::{receipt_for, title};

const BOTH: [(&str, &str); 2] = [(COMMITMENT, IMPLICIT), (CT, EXPLICIT)];

/// A site where `PACS` may ask and hears its results at `address`; results are said.
async fn site(address: &str) -> Site {
    let bench = Bench::new().await;
    let more = format!(
        "[[calling]]\nae_title = \"PACS\"\naddresses = [\"127.0.0.1\"]\nkind = \"pacs\"\ncommitment = \"{address}\""
    );
    let site = Site::open_over(bench, &more).await;
    let (working, cancel) = (site.commitments.clone(), site.cancel.clone());
    let edge = Edge::new(|peer, report| Box::pin(commit::report(peer, report)));
    site.tracker
        .spawn(async move { working.run(edge, cancel).await });
    site
}

/// An element of a command set.
fn part(element: u16, value: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0];
    out.extend(element.to_le_bytes());
    out.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
    out.extend(value);
    out
}

fn even(uid: &str) -> Vec<u8> {
    let mut value = uid.as_bytes().to_vec();
    value.resize(value.len().next_multiple_of(2), 0);
    value
}

fn whole(parts: &[Vec<u8>]) -> Vec<u8> {
    let rest = parts.concat();
    let length = u32::try_from(rest.len()).unwrap().to_le_bytes();
    [part(0, &length), rest].concat()
}

/// N-ACTION-RQ.
fn action(class: &str, instance: &str, kind: Option<u16>, dataset: bool) -> Vec<u8> {
    let number = |element, value: u16| part(element, &value.to_le_bytes());
    let mut parts = vec![
        part(0x0003, &even(class)),
        number(0x0100, 0x0130),
        number(0x0110, 7),
        number(0x0800, if dataset { 0 } else { 0x0101 }),
        part(0x1001, &even(instance)),
    ];
    parts.extend(kind.map(|kind| number(0x1008, kind)));
    whole(&parts)
}

fn result(transaction: &str, uids: &[&str]) -> Report {
    Report {
        calling: title("PACS"),
        called: title("CAUSEWAY"),
        transaction: transaction.parse().unwrap(),
        committed: uids
            .iter()
            .map(|uid| (CT.parse().unwrap(), uid.parse().unwrap()))
            .collect(),
        failed: Vec::new(),
    }
}

/// The data set of a request, in implicit VR.
fn wanted(transaction: &str, uids: &[&str]) -> Vec<u8> {
    commit::event(&result(transaction, uids), IMPLICIT).1
}

async fn ask(peer: &mut Peer, set: &[u8], dataset: &[u8]) -> (u16, String) {
    peer.write(&pdv(1, true, true, set)).await;
    for piece in dataset.chunks(16_000) {
        let last = std::ptr::eq(piece.as_ptr_range().end, dataset.as_ptr_range().end);
        peer.write(&pdv(1, false, last, piece)).await;
    }
    peer.response().await
}

fn good() -> Vec<u8> {
    action(COMMITMENT, COMMITMENT_INSTANCE, Some(1), true)
}

#[tokio::test]
async fn each_request_has_its_answer() {
    let site = site("127.0.0.1:9").await;
    let mut peer = Peer::associated(&site, &BOTH).await;
    let data = wanted("2.25.1", &["1.2.3.1"]);
    let at = data.windows(4).position(|it| it == [8, 0, 0x99, 0x11]);
    let no_transaction = data[at.unwrap()..].to_vec();
    let mut bad_uid = data.clone();
    let at = bad_uid.windows(7).position(|it| it == b"1.2.3.1").unwrap();
    bad_uid[at] = b'x';
    let named = |it: &str| action(COMMITMENT, it, Some(1), true);
    for (what, set, dataset, status) in [
        ("another instance", named("1.2.3"), data.clone(), 0x0112),
        (
            "another class",
            action(CT, COMMITMENT_INSTANCE, Some(1), true),
            data.clone(),
            0x0122,
        ),
        (
            "another action",
            action(COMMITMENT, COMMITMENT_INSTANCE, Some(2), true),
            data.clone(),
            0x0123,
        ),
        (
            "no action",
            action(COMMITMENT, COMMITMENT_INSTANCE, None, true),
            data.clone(),
            0x0212,
        ),
        (
            "no data set",
            action(COMMITMENT, COMMITMENT_INSTANCE, Some(1), false),
            Vec::new(),
            0x0212,
        ),
        ("no transaction UID", good(), no_transaction, 0x0115),
        ("nothing referenced", good(), wanted("2.25.1", &[]), 0x0115),
        ("an illegal UID", good(), bad_uid, 0x0115),
        (
            "a cut data set",
            good(),
            data[..data.len() - 3].to_vec(),
            0x0115,
        ),
        ("an empty data set", good(), vec![0; 8], 0x0115),
        ("too long", good(), vec![0; (4 << 20) + 2], 0x0213),
        ("as it should be", good(), data.clone(), 0x0000),
    ] {
        let (answer, comment) = ask(&mut peer, &set, &dataset).await;
        assert_eq!(answer, status, "{what}: {comment}");
    }
    let kept: Vec<(String, String)> =
        sqlx::query_as("SELECT transaction_uid, instances FROM commitment")
            .fetch_all(site.bench.spool.rows().read())
            .await
            .unwrap();
    assert_eq!(
        kept,
        [("2.25.1".to_owned(), format!("[[\"{CT}\",\"1.2.3.1\"]]"))]
    );
    drop(peer);
    site.close().await;
}

/// Five hundred requests with a few bytes changed: each conversation ends, and what is kept of them is one request each at most.
#[tokio::test]
async fn changed_bytes_of_a_request_harm_nothing() {
    let site = site("127.0.0.1:9").await;
    let data = wanted("2.25.1", &["1.2.3.1", "1.2.3.2"]);
    let conversation = [
        request(&BOTH),
        pdv(1, true, true, &good()),
        pdv(1, false, false, &data[..40]),
        pdv(1, false, true, &data[40..]),
        encoded(Pdu::ReleaseRQ),
    ]
    .concat();
    let random = crate::spool::tests::seeded(11);
    let below = |bound: usize| usize::try_from(random.below(bound as u64)).unwrap();
    for _ in 0..500 {
        let mut changed = conversation.clone();
        for _ in 0..=below(3) {
            let at = below(changed.len());
            let [byte] = random.bytes();
            changed[at] = byte;
        }
        mutated::talk(&site, &changed).await;
    }
    let (kept, longest): (i64, i64) =
        sqlx::query_as("SELECT COUNT(*), MAX(LENGTH(instances)) FROM commitment")
            .fetch_one(site.bench.spool.rows().read())
            .await
            .unwrap();
    assert!(
        (1..=500).contains(&kept) && longest < 200,
        "{kept} {longest}"
    );
    alive(&site).await;
    site.close().await;
}

/// While rows refuse, no request is acknowledged.
#[tokio::test]
async fn what_is_not_durable_is_not_acknowledged() {
    let site = site("127.0.0.1:9").await;
    let mut peer = Peer::associated(&site, &BOTH).await;
    let mut tx = site.bench.spool.rows().begin().await.unwrap();
    sqlx::raw_sql(
        "CREATE TRIGGER no BEFORE INSERT ON commitment BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let (status, _) = ask(&mut peer, &good(), &wanted("2.25.1", &["1.2.3.1"])).await;
    assert_eq!(status, 0x0110);
    drop(peer);
    site.close().await;
}

/// An N-EVENT-REPORT-RQ as it came: event type, message, committed and failed instances.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    kind: u16,
    message: u16,
    committed: Vec<String>,
    failed: Vec<(String, u16)>,
}

async fn event(peer: &mut Peer) -> Event {
    let set = peer.read().await;
    assert_eq!(set.first(), Some(&pdu::P_DATA), "{set:?}");
    let (set, follows) = set[12..].split_at(set.len() - 12);
    assert!(follows.is_empty());
    let command = command::read(set).unwrap();
    assert_eq!((command.field, command.fault), (0x0100, None));
    assert_eq!(command.class, COMMITMENT);
    assert_eq!(command.instance, COMMITMENT_INSTANCE);
    let at = set.windows(4).position(|it| it == [0, 0, 2, 0x10]).unwrap();
    let kind = u16::from_le_bytes([set[at + 8], set[at + 9]]);
    let data = peer.read().await;
    let dataset = causeway_proto::dataset::Dataset::read(&data[12..], &IMPLICIT.parse().unwrap());
    let dataset = dataset.unwrap();
    assert_eq!(dataset.code(tags::TRANSACTION_UID), "2.25.1");
    let uid = |it: &causeway_proto::dataset::Dataset| it.code(tags::REFERENCED_SOP_INSTANCE_UID);
    let committed = dataset.items(tags::REFERENCED_SOP_SEQUENCE).iter();
    let failed = dataset.items(tags::FAILED_SOP_SEQUENCE).iter();
    Event {
        kind,
        message: command.message_id,
        committed: committed.map(uid).collect(),
        failed: failed
            .map(|it| {
                let reason = it.bytes(tags::FAILURE_REASON);
                (uid(it), u16::from_le_bytes([reason[0], reason[1]]))
            })
            .collect(),
    }
}

fn acknowledgement(message: u16, status: u16) -> Vec<u8> {
    let number = |element, value: u16| part(element, &value.to_le_bytes());
    whole(&[
        part(0x0002, &even(COMMITMENT)),
        number(0x0100, 0x8100),
        number(0x0120, message),
        number(0x0800, 0x0101),
        number(0x0900, status),
    ])
}

async fn until(site: &Site, state: &str) {
    let reached = async {
        loop {
            let states: Vec<String> = sqlx::query_scalar("SELECT state FROM commitment")
                .fetch_all(site.bench.spool.rows().read())
                .await
                .unwrap();
            if states.iter().all(|it| it == state) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, reached).await.expect(state);
}

async fn receipts(site: &Site) {
    let spool = &site.bench.spool;
    let nothing = std::collections::HashSet::new();
    let mut number = 0;
    for out in spool.next_to_send(99, &nothing).await.unwrap() {
        number += 1;
        let receipt = receipt_for(&out, 1, number);
        assert_eq!(spool.receipted(&[receipt]).await.unwrap(), [true]);
    }
}

/// The result comes between the peer's own messages; its answer is told from theirs.
#[tokio::test]
async fn a_result_goes_over_the_association_that_asked() {
    let site = site("127.0.0.1:9").await;
    let what = crate::spool::tests::What::image("1.2.3", "1.2.3.1");
    site.bench.store(&what).await.unwrap();
    let contexts = [BOTH[0], ECHO[0]];
    let mut peer = Peer::associated(&site, &contexts).await;
    let data = wanted("2.25.1", &["1.2.3.1", "1.2.3.9"]);
    assert_eq!(ask(&mut peer, &good(), &data).await.0, 0);
    receipts(&site).await;
    let said = event(&mut peer).await;
    assert_eq!(
        (said.kind, &said.committed[..]),
        (2, &["1.2.3.1".to_owned()][..])
    );
    assert_eq!(said.failed, [("1.2.3.9".to_owned(), 0x0112)]);
    let echo = command::write_echo_request(9, negotiate::VERIFICATION);
    peer.write(&pdv(3, true, true, &echo)).await;
    assert_eq!(peer.response().await.0, 0, "the association goes on");
    let answer = acknowledgement(said.message, 0);
    peer.write(&pdv(1, true, true, &answer)).await;
    until(&site, "reported").await;
    // nobody asked a second time
    peer.write(&pdv(1, true, true, &answer)).await;
    assert_eq!(peer.short().await, "abort 2/2");
    drop(peer);
    site.close().await;
}

/// One who takes results: answers the request for an association with `role`, and the result with a status.
async fn listener(
    listener: TcpListener,
    role: Option<(bool, bool)>,
    status: u16,
) -> (AssociationRQ, Option<Event>) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut peer = Peer(stream);
    let said = pdu::read_request(&peer.read().await[6..]).unwrap();
    let proposed = &said.presentation_contexts[0];
    let mut user_variables = pdu::user_variables(16_384);
    user_variables.extend(role.map(|(scu, scp)| pdu::role(COMMITMENT, scu, scp)));
    let acceptance = dicom_ul::pdu::AssociationAC {
        protocol_version: 1,
        calling_ae_title: said.calling_ae_title.clone(),
        called_ae_title: said.called_ae_title.clone(),
        application_context_name: pdu::APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: vec![dicom_ul::pdu::PresentationContextResult {
            id: proposed.id,
            reason: dicom_ul::pdu::PresentationContextResultReason::Acceptance,
            transfer_syntax: IMPLICIT.to_owned(),
        }],
        user_variables,
    };
    peer.write(&encoded(acceptance)).await;
    if role.is_some_and(|(_, scp)| !scp) {
        return (said, None);
    }
    let event = event(&mut peer).await;
    let answer = acknowledgement(event.message, status);
    peer.write(&pdv(1, true, true, &answer)).await;
    peer.read().await;
    (said, Some(event))
}

#[tokio::test]
async fn a_result_goes_over_an_association_of_our_own_when_the_other_is_over() {
    let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = site(&open.local_addr().unwrap().to_string()).await;
    let what = crate::spool::tests::What::image("1.2.3", "1.2.3.1");
    site.bench.store(&what).await.unwrap();
    let mut peer = Peer::associated(&site, &BOTH).await;
    let data = wanted("2.25.1", &["1.2.3.1"]);
    assert_eq!(ask(&mut peer, &good(), &data).await.0, 0);
    peer.write(&encoded(Pdu::ReleaseRQ)).await;
    assert_eq!(peer.short().await, "rp");
    drop(peer);
    receipts(&site).await;
    let (said, event) = listener(open, Some((false, true)), 0).await;
    assert_eq!(said.called_ae_title.trim(), "PACS");
    assert_eq!(said.calling_ae_title.trim(), "CAUSEWAY");
    let role = pdu::role_of(&said.user_variables, COMMITMENT);
    assert_eq!(role, Some((false, true)), "we are the provider");
    let event = event.unwrap();
    assert_eq!(
        (event.kind, event.committed),
        (1, vec!["1.2.3.1".to_owned()])
    );
    until(&site, "reported").await;
    site.close().await;
}

/// One who says nothing of roles takes what he gets; one who refuses ours, or the result, has not heard it.
#[tokio::test]
async fn a_new_association_is_judged_by_its_answers() {
    for (role, status, expect) in [
        (None, 0, Ok(())),
        (Some((true, true)), 0, Ok(())),
        (
            Some((false, true)),
            0x0110,
            Err("it answered with status 0110"),
        ),
        (
            Some((true, false)),
            0,
            Err("the exchange failed: it takes no results of storage commitment from us"),
        ),
    ] {
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = crate::commitment::Peer {
            title: title("CT1"),
            address: open.local_addr().unwrap().to_string(),
        };
        let said = commit::report(peer, result("2.25.1", &["1.2.3.1"]));
        let (heard, _): (Heard, _) = tokio::join!(said, listener(open, role, status));
        assert_eq!(
            heard.as_ref().map_err(String::as_str),
            expect.as_ref().map_err(|it| *it)
        );
    }
}
