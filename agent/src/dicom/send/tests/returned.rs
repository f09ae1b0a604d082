//! Reports on their way home to a PACS that takes them and drops the association before it has answered: each is there once (I16).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use causeway_proto::dataset::Dataset;
use causeway_proto::digest::Digest;
use causeway_proto::link::message::Report;
use dicom_dictionary_std::tags;
use dicom_dictionary_std::uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND as STUDY_ROOT;
use dicom_ul::pdu::PresentationContextProposed;
use tokio::task::JoinSet;

use super::*;
use crate::delivery::tests::{bench_with_study, offer_by, open_with, signed};
use crate::delivery::{Deliveries, Store};
use crate::dicom::query;
use crate::spool::tests::Bench;

/// What a PACS does.
#[derive(Clone, Copy, Debug)]
struct Manner {
    /// Answers to C-FIND at the level of the image.
    finds: bool,
    /// Answers 0111 to what it holds.
    duplicates: bool,
    /// Of each object so many answers are lost.
    loses: usize,
}

/// What a PACS has.
#[derive(Debug, Default)]
struct Held {
    /// By SOP Instance UID the digests of what came under it, and how often that was.
    objects: BTreeMap<String, (BTreeSet<Digest>, usize)>,
    questions: usize,
}

struct Pacs {
    address: SocketAddr,
    held: Arc<Mutex<Held>>,
    _serving: JoinSet<()>,
}

impl Pacs {
    async fn open(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let held = Arc::new(Mutex::default());
        let keeps = Arc::clone(&held);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                associated(stream, manner, &keeps).await;
            }
        });
        Self {
            address,
            held,
            _serving: serving,
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }
}

async fn accept(stream: &mut TcpStream, manner: Manner) -> Option<()> {
    let (_, body) = read(stream).await?;
    let said = pdu::read_request(&body).unwrap();
    let answered = |proposed: &PresentationContextProposed| {
        let taken = manner.finds || proposed.abstract_syntax != STUDY_ROOT;
        PresentationContextResult {
            id: proposed.id,
            reason: match taken {
                true => PresentationContextResultReason::Acceptance,
                false => PresentationContextResultReason::AbstractSyntaxNotSupported,
            },
            transfer_syntax: proposed.transfer_syntaxes[0].clone(),
        }
    };
    let answer = AssociationAC {
        protocol_version: 1,
        presentation_contexts: said.presentation_contexts.iter().map(answered).collect(),
        called_ae_title: said.called_ae_title,
        calling_ae_title: said.calling_ae_title,
        application_context_name: said.application_context_name,
        user_variables: pdu::user_variables(16_384),
    };
    say(stream, answer).await;
    Some(())
}

/// One association, to its end.
async fn associated(mut stream: TcpStream, manner: Manner, held: &Mutex<Held>) {
    if accept(&mut stream, manner).await.is_none() {
        return;
    }
    let (mut request, mut dataset) = (Vec::new(), Vec::new());
    while let Some((kind, body)) = read(&mut stream).await {
        if kind == pdu::RELEASE_RQ {
            return say(&mut stream, Pdu::ReleaseRP).await;
        }
        if kind != pdu::P_DATA {
            return;
        }
        match body[5] & 1 {
            1 => request.extend(&body[6..]),
            _ => dataset.extend(&body[6..]),
        }
        if body[5] != 2 {
            continue;
        }
        let (asked, context) = (command::read(&request).unwrap(), body[4]);
        let answer = if asked.field == command::C_FIND_RQ {
            if let Some(found) = found(&dataset, held) {
                let pending = command::write_find_response(&asked, 0xFF00, true);
                say(&mut stream, pdu::command(context, true, pending)).await;
                let length = u32::try_from(found.len()).unwrap();
                let header = pdu::data_header(context, true, length);
                stream.write_all(&header).await.unwrap();
                stream.write_all(&found).await.unwrap();
            }
            command::write_find_response(&asked, 0, false)
        } else {
            let Some(status) = kept(&asked.instance, &dataset, manner, held) else {
                return;
            };
            command::write_response(&asked, status, "")
        };
        say(&mut stream, pdu::command(context, true, answer)).await;
        request.clear();
        dataset.clear();
    }
}

/// Keeps an object. None when the answer is lost.
fn kept(instance: &str, dataset: &[u8], manner: Manner, held: &Mutex<Held>) -> Option<u16> {
    let mut held = held.lock().unwrap();
    let (digests, count) = held.objects.entry(instance.to_owned()).or_default();
    digests.insert(Digest::of(dataset));
    *count += 1;
    match (*count <= manner.loses, *count > 1 && manner.duplicates) {
        (true, _) => None,
        (false, true) => Some(0x0111),
        (false, false) => Some(0),
    }
}

/// The answer to a question, if there is one.
fn found(identifier: &[u8], held: &Mutex<Held>) -> Option<Vec<u8>> {
    let asked = Dataset::read(identifier, &EXPLICIT.parse().unwrap()).unwrap();
    assert_eq!(asked.code(tags::QUERY_RETRIEVE_LEVEL), "IMAGE");
    for key in [tags::STUDY_INSTANCE_UID, tags::SERIES_INSTANCE_UID] {
        assert!(!asked.code(key).is_empty(), "a key of a higher level");
    }
    let mut held = held.lock().unwrap();
    held.questions += 1;
    let instance = asked.code(tags::SOP_INSTANCE_UID);
    held.objects.contains_key(&instance).then(|| asked.write())
}

fn store_and_ask() -> Store {
    Store::new(|to, parcel| Box::pin(async move { store(&to, &parcel).await }))
        .asking(|to, parcel| Box::pin(async move { query::holds(&to, &parcel).await }))
}

struct Home {
    bench: Bench,
    deliveries: Deliveries,
    to: Destination,
    pacs: Pacs,
}

impl Home {
    async fn of(manner: Manner, reports: &[(Report, bytes::Bytes)]) -> Self {
        let pacs = Pacs::open(manner).await;
        let (bench, to) = (bench_with_study().await, destination(pacs.address));
        let deliveries = open_with(&bench, vec![to.clone()]).await;
        for (report, bytes) in reports {
            deliveries.accept(report, bytes.clone()).await.unwrap();
        }
        Self {
            bench,
            deliveries,
            to,
            pacs,
        }
    }

    /// Offers everything that is due, and lets the time of the next try come. Answers how many offers there were.
    async fn offer_all(&self, store: &Store) -> usize {
        let mut count = 0;
        while offer_by(&self.deliveries, &self.to, store).await {
            count += 1;
        }
        self.bench.pass(1000);
        count
    }

    /// The states of all deliveries to the PACS, and whether it is known that it has them.
    async fn states(&self) -> Vec<(String, bool)> {
        sqlx::query_as("SELECT DISTINCT state, unknown = 0 FROM delivery WHERE destination = $1")
            .bind(&self.to.name)
            .fetch_all(self.bench.spool.rows().read())
            .await
            .unwrap()
    }
}

/// Whether the PACS can be asked or not, and whatever it says to what it has: of many reports whose answers were lost each is there once,
/// none was called a failure, and none has failed.
#[tokio::test]
async fn of_many_lost_answers_each_report_is_there_once() {
    let reports: Vec<_> = (0..60)
        .map(|n| signed("1.2.3", &format!("2.25.{}", 1000 + n)))
        .collect();
    for (finds, duplicates, sent) in [(true, false, 1), (false, false, 2), (false, true, 2)] {
        let manner = Manner {
            finds,
            duplicates,
            loses: 1,
        };
        let (home, store) = (Home::of(manner, &reports).await, store_and_ask());
        assert_eq!(home.offer_all(&store).await, reports.len());
        assert_eq!(home.states().await, [("waiting".to_owned(), false)]);
        assert_eq!(home.offer_all(&store).await, reports.len());
        assert_eq!(home.states().await, [("delivered".to_owned(), true)]);
        assert_eq!(home.offer_all(&store).await, 0, "delivered is delivered");
        let held = home.pacs.held();
        assert_eq!(held.objects.len(), reports.len());
        for (report, bytes) in &reports {
            let (digests, count) = &held.objects[report.instance.as_str()];
            assert_eq!(*digests, [Digest::of(bytes)].into(), "{manner:?}");
            assert_eq!(*count, sent, "{manner:?}");
        }
        assert_eq!(held.questions, if finds { reports.len() } else { 0 });
    }
}

/// One report whose answer is lost a thousand times: never called a failure, the same object each time, and delivered by the first answer.
#[tokio::test]
async fn an_answer_that_is_lost_a_thousand_times_leaves_one_report() {
    let reports = [signed("1.2.3", "2.25.1")];
    let manner = Manner {
        finds: false,
        duplicates: false,
        loses: 1000,
    };
    let (home, store) = (Home::of(manner, &reports).await, store_and_ask());
    for _ in 0..1000 {
        assert_eq!(home.offer_all(&store).await, 1);
    }
    assert_eq!(home.states().await, [("waiting".to_owned(), false)]);
    assert_eq!(home.offer_all(&store).await, 1);
    assert_eq!(home.states().await, [("delivered".to_owned(), true)]);
    let held = home.pacs.held();
    let expected = ([Digest::of(&reports[0].1)].into(), 1001);
    assert_eq!(held.objects["2.25.1"], expected);
}
