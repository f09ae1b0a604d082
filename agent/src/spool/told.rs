//! What stands in the frame of an object: everything by which its rows can be written again, should a crash have taken them.

use std::net::IpAddr;

use causeway_proto::digest::Digest;
use causeway_proto::ids::{
    AgreementId, Priority, Purpose, SeriesUid, SopClassUid, SopInstanceUid, StudyUid,
    TransferSyntaxUid,
};
use causeway_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::{AeTitle, Arrival, AssociationId, CallingKind, Header, Private, Turn};
use super::store::Incoming;

#[derive(Serialize, Deserialize)]
struct Told {
    class: SopClassUid,
    instance: SopInstanceUid,
    syntax: TransferSyntaxUid,
    calling: AeTitle,
    called: AeTitle,
    address: IpAddr,
    purpose: Purpose,
    priority: Priority,
    agreement: Option<AgreementId>,
    kind: CallingKind,
    study: StudyUid,
    series: SeriesUid,
    modality: String,
    turn: Turn,
    image: bool,
    patient_id: String,
    issuer: String,
    patient_name: String,
    accession: String,
    description: String,
    digest: Option<Digest>,
    pixels: Option<Digest>,
    at: i64,
}

/// As bytes; none that can be read again when a part of it cannot be written.
pub(super) fn tell(incoming: &Incoming) -> Vec<u8> {
    let (arrival, header) = (&incoming.arrival, &incoming.header);
    let private = |text: &Private| text.reveal().to_owned();
    let told = Told {
        class: arrival.class.clone(),
        instance: arrival.instance.clone(),
        syntax: arrival.syntax.clone(),
        calling: arrival.calling.clone(),
        called: arrival.called.clone(),
        address: arrival.address,
        purpose: arrival.purpose,
        priority: arrival.priority,
        agreement: arrival.agreement.clone(),
        kind: incoming.kind,
        study: header.study.clone(),
        series: header.series.clone(),
        modality: header.modality.clone(),
        turn: header.turn,
        image: header.image,
        patient_id: private(&header.patient_id),
        issuer: private(&header.issuer),
        patient_name: private(&header.patient_name),
        accession: private(&header.accession),
        description: private(&header.description),
        digest: incoming.digest,
        pixels: header.pixel_digest,
        at: incoming.now.0,
    };
    serde_json::to_vec(&told).unwrap_or_default()
}

/// What was told of an object of `length` bytes.
pub(super) fn hear(told: &[u8], length: u64) -> Option<Incoming> {
    let told: Told = serde_json::from_slice(told).ok()?;
    let header = Header {
        study: told.study,
        series: told.series,
        instance: told.instance.clone(),
        class: told.class.clone(),
        modality: told.modality,
        turn: told.turn,
        image: told.image,
        pixel_digest: told.pixels,
        patient_id: Private::new(told.patient_id),
        issuer: Private::new(told.issuer),
        patient_name: Private::new(told.patient_name),
        accession: Private::new(told.accession),
        description: Private::new(told.description),
    };
    let arrival = Arrival {
        association: AssociationId::OVER,
        class: told.class,
        instance: told.instance,
        syntax: told.syntax,
        calling: told.calling,
        called: told.called,
        address: told.address,
        purpose: told.purpose,
        priority: told.priority,
        agreement: told.agreement,
    };
    Some(Incoming {
        arrival,
        header,
        agreement: String::new(),
        kind: told.kind,
        digest: told.digest,
        digested: false,
        length,
        now: Timestamp(told.at),
    })
}
