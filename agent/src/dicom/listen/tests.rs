//! The listener on loopback against peers that keep to the protocol and peers that do not.

mod commitment;
mod kept;
mod limits;
mod messages;
mod mutated;
mod statuses;
mod upper_layer;

use std::sync::{Mutex, PoisonError};

use dicom_ul::pdu::{PDataValue, PDataValueType, PresentationContextProposed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::dicom::{command, negotiate};
use crate::spool::tests::Bench;

pub(super) const IMPLICIT: &str = "1.2.840.10008.1.2";
pub(super) const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub(super) const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

/// A listener over a spool in memory.
pub(in crate::dicom) struct Site {
    pub(in crate::dicom) bench: Bench,
    pub(in crate::dicom) address: SocketAddr,
    pub(in crate::dicom) cancel: CancellationToken,
    tracker: TaskTracker,
    commitments: Commitments,
}

impl Site {
    /// With `more` added to a listener that lets `PACS` call from loopback.
    pub(in crate::dicom) async fn open(more: &str) -> Self {
        Self::open_over(Bench::new().await, more).await
    }

    /// The same over a spool of its own.
    pub(in crate::dicom) async fn open_over(bench: Bench, more: &str) -> Self {
        let config: Config = toml::from_str(&format!(
            r#"
            listen = "127.0.0.1:0"
            {more}
            [[called]]
            ae_title = "CAUSEWAY"
            purpose = "read"
            priority = "routine"
            [[calling]]
            ae_title = "PACS"
            addresses = ["127.0.0.1"]
            kind = "pacs"
            [[calling]]
            ae_title = "ELSEWHERE"
            addresses = ["10.0.0.5"]
            kind = "modality"
            [[calling]]
            ae_title = "PACS"
            addresses = ["127.0.0.2"]
            kind = "pacs"
            "#
        ))
        .unwrap();
        bench.greet(1, 0).await;
        let commitments = Commitments::new(
            crate::commitment::Config::default(),
            config.commitment_peers(),
            bench.spool.clone(),
            bench.clock(),
            crate::spool::tests::seeded(7),
        );
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let address = listen(
            config,
            (bench.spool.clone(), commitments.clone()),
            tracker.clone(),
            Vec::new(),
            cancel.clone(),
        )
        .await
        .unwrap();
        Self {
            bench,
            address,
            cancel,
            tracker,
            commitments,
        }
    }

    /// Stops, and fails when a connection is left over.
    pub(in crate::dicom) async fn close(self) -> Bench {
        self.cancel.cancel();
        self.tracker.close();
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, self.tracker.wait())
            .await
            .expect("a connection outlived its listener");
        self.bench
    }

    /// What the spool holds: UID and bytes, in order of arrival.
    pub(in crate::dicom) async fn held(&self) -> Vec<(String, Vec<u8>)> {
        let spool = &self.bench.spool;
        spool.settle().await.unwrap();
        let nothing = std::collections::HashSet::new();
        let mut held = Vec::new();
        for one in spool.next_to_send(1000, &nothing).await.unwrap() {
            let bytes = spool.read(&one.source.handle, 0, 1 << 24).await.unwrap();
            held.push((one.key.instance.to_string(), bytes.to_vec()));
        }
        held
    }
}

/// What this thread logs from here on.
pub(super) struct Logged {
    written: Written,
    _guard: tracing::subscriber::DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logged {
    pub(super) fn here() -> Self {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        // tests beside this one reach the same lines first, where nobody listens: without somebody who always does, they are silent from then on
        tracing::subscriber::set_global_default(tracing_subscriber::registry()).ok();
        Self {
            written,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    pub(super) fn lines(&self) -> String {
        let lines = self.written.0.lock();
        String::from_utf8(lines.unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }
}

/// A peer that writes bytes and reads whole PDUs.
pub(super) struct Peer(TcpStream);

impl Peer {
    pub(super) async fn connect(site: &Site) -> Self {
        Self(TcpStream::connect(site.address).await.unwrap())
    }

    /// From another address of this machine.
    pub(super) async fn connect_from(site: &Site, address: [u8; 4]) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((address, 0))).unwrap();
        Self(socket.connect(site.address).await.unwrap())
    }

    /// With an association over `contexts`; identifiers are 1, 3, 5 …
    pub(super) async fn associated(site: &Site, contexts: &[(&str, &str)]) -> Self {
        let mut peer = Self::connect(site).await;
        peer.write(&request(contexts)).await;
        assert_eq!(peer.read().await.first(), Some(&pdu::ASSOCIATE_AC));
        peer
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// The next PDU, header and all; empty when the connection ends.
    pub(super) async fn read(&mut self) -> Vec<u8> {
        let reading = async {
            let mut head = [0; 6];
            if self.0.read_exact(&mut head).await.is_err() {
                return Vec::new();
            }
            let length = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
            let mut all = head.to_vec();
            all.resize(6 + usize::try_from(length).unwrap(), 0);
            self.0.read_exact(&mut all[6..]).await.unwrap();
            all
        };
        tokio::time::timeout(Duration::from_secs(20), reading)
            .await
            .expect("no answer")
    }

    /// The next PDU as a response: status and Error Comment.
    pub(super) async fn response(&mut self) -> (u16, String) {
        response(&self.read().await)
    }

    /// The next PDU in short: `ac`, `rj r/s/r`, `abort s/r`, `rp`, `data` or `closed`.
    pub(super) async fn short(&mut self) -> String {
        in_short(&self.read().await)
    }
}

pub(super) fn response(all: &[u8]) -> (u16, String) {
    assert_eq!(all.first(), Some(&pdu::P_DATA), "{all:?}");
    let response = command::read(&all[12..]).unwrap();
    assert_eq!(response.fault, None);
    (response.status.unwrap(), response.comment)
}

pub(super) fn in_short(all: &[u8]) -> String {
    match all.first() {
        None => "closed".to_owned(),
        Some(&pdu::ASSOCIATE_AC) => "ac".to_owned(),
        Some(&pdu::ASSOCIATE_RJ) => format!("rj {}/{}/{}", all[7], all[8], all[9]),
        Some(&pdu::ABORT) => format!("abort {}/{}", all[8], all[9]),
        Some(&0x06) => "rp".to_owned(),
        Some(&pdu::P_DATA) => "data".to_owned(),
        Some(other) => format!("type {other:02X}"),
    }
}

/// The listener still takes an association and lets it go.
pub(super) async fn alive(site: &Site) {
    let mut peer = Peer::associated(site, &ECHO).await;
    peer.write(&encoded(Pdu::ReleaseRQ)).await;
    assert_eq!(peer.short().await, "rp");
}

/// A-ASSOCIATE-RQ from PACS to CAUSEWAY.
pub(super) fn request(contexts: &[(&str, &str)]) -> Vec<u8> {
    encoded(asked(contexts))
}

pub(super) fn asked(contexts: &[(&str, &str)]) -> AssociationRQ {
    let proposed = (0_u8..)
        .zip(contexts)
        .map(|(number, (class, syntax))| PresentationContextProposed {
            id: number * 2 + 1,
            abstract_syntax: (*class).to_owned(),
            transfer_syntaxes: vec![(*syntax).to_owned()],
        })
        .collect();
    AssociationRQ {
        protocol_version: 1,
        called_ae_title: "CAUSEWAY".to_owned(),
        calling_ae_title: "PACS".to_owned(),
        application_context_name: pdu::APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: proposed,
        user_variables: pdu::user_variables(16_384),
    }
}

pub(super) fn encoded(word: impl Into<Pdu>) -> Vec<u8> {
    pdu::encode(&word.into()).unwrap()
}

/// One P-DATA-TF with one PDV.
pub(super) fn pdv(context: u8, command: bool, last: bool, bytes: &[u8]) -> Vec<u8> {
    let value = PDataValue {
        presentation_context_id: context,
        value_type: if command {
            PDataValueType::Command
        } else {
            PDataValueType::Data
        },
        is_last: last,
        data: bytes.to_vec(),
    };
    encoded(Pdu::PData { data: vec![value] })
}

/// Verification in implicit VR little endian.
pub(super) const ECHO: [(&str, &str); 1] = [(negotiate::VERIFICATION, IMPLICIT)];
/// CT in explicit VR little endian.
pub(super) const STORE: [(&str, &str); 1] = [(CT, EXPLICIT)];

/// An element in explicit VR little endian, whatever its length says.
pub(super) fn element(tag: (u16, u16), vr: &str, length: u32, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(tag.0.to_le_bytes());
    out.extend(tag.1.to_le_bytes());
    out.extend(vr.as_bytes());
    if ["OB", "OW", "SQ", "UN", "??"].contains(&vr) {
        out.extend([0, 0]);
        out.extend(length.to_le_bytes());
    } else {
        out.extend(u16::try_from(length).unwrap().to_le_bytes());
    }
    out.extend(value);
    out
}

/// The header of an item.
pub(super) fn item(length: u32) -> Vec<u8> {
    let mut out = vec![0xFE, 0xFF, 0, 0xE0];
    out.extend(length.to_le_bytes());
    out
}
