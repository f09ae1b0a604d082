//! A reader, reports that he signed, and what the gateway says of them, for tests. Keys are minted at run time.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use bytes::Bytes;
use causeway_certs::authority::SignerAuthority;
use causeway_certs::identity::Serial;
use causeway_certs::revoke::Revoked;
use causeway_certs::signer::{Person, ReaderKey};
use causeway_proto::dataset::Dataset;
use causeway_proto::ids::CaseCode;
use causeway_proto::link::message::Report;
use causeway_proto::report::model::{
    Document, Equipment, Headings, Patient, Person as Author, Report as Model, Role, Section,
    SectionKind, Stamp, Standing, Study, Verification,
};
use causeway_proto::report::{coding, signature, sr};
use causeway_proto::time::{Clock, Timestamp};
use dicom_dictionary_std::tags;
use rustls_pki_types::CertificateDer;

use crate::spool::tests::seeded;

/// Some time in 2023, as the test clock begins.
pub(crate) const SIGNED_AT: Timestamp = Timestamp(1_700_000_000_000_000);

/// A signer authority and one reader whom it certified.
pub(crate) struct Reader {
    signer: SignerAuthority,
    certificate: CertificateDer<'static>,
    serial: Serial,
    key: RsaKeyPair,
}

impl Reader {
    pub(crate) fn authority(&self) -> CertificateDer<'static> {
        self.signer.certificate().clone()
    }

    /// The authority's list as it is made at `now`, with the reader revoked `since` then.
    pub(crate) fn list(&self, since: Option<Timestamp>, now: Timestamp) -> Vec<u8> {
        let revoked = since.map(|since| Revoked {
            serial: self.serial.clone(),
            since,
        });
        let list = self.signer.revocation_list(revoked.as_slice(), now);
        list.unwrap().to_vec()
    }
}

pub(crate) fn mint() -> Reader {
    let folder = tempfile::tempdir().unwrap();
    let (clock, random) = (Clock::new(|| SIGNED_AT), seeded(5));
    let signer = SignerAuthority::open_or_create(folder.path(), &clock, &random).unwrap();
    let pair = ReaderKey::draw().unwrap();
    let person = Person {
        family: "Reader".to_owned(),
        given: "Test".to_owned(),
        title: String::new(),
        organisation: "Readers".to_owned(),
        country: "GR".to_owned(),
        registration: "R-1".to_owned(),
    };
    let issued = signer
        .issue_reader(&pair.public, &person, SIGNED_AT, &random)
        .unwrap();
    Reader {
        signer,
        certificate: issued.der,
        serial: issued.serial,
        key: RsaKeyPair::from_pkcs8(&pair.private).unwrap(),
    }
}

/// The one reader of these tests.
pub(crate) fn reader() -> &'static Reader {
    static READER: OnceLock<Reader> = OnceLock::new();
    READER.get_or_init(mint)
}

/// A final report of nothing, by that reader.
pub(crate) fn document(study: &str, instance: &str) -> Model {
    let author = Author {
        family: "Reader".to_owned(),
        given: "Test".to_owned(),
        title: String::new(),
        organisation: "Readers".to_owned(),
        registration: "R-1".to_owned(),
        country: "GR".to_owned(),
        phone: "+30 1".to_owned(),
        role: Role::default(),
    };
    let at = Stamp::new(SIGNED_AT, 0);
    Model {
        document: Document {
            study: study.parse().unwrap(),
            series: "2.25.7".parse().unwrap(),
            instance: instance.parse().unwrap(),
            series_number: 9001,
            instance_number: 1,
        },
        title: coding::title(["CT"]),
        language: "en".parse().unwrap(),
        headings: Headings::default(),
        standing: Standing::Final(Verification {
            person: author.clone(),
            at,
        }),
        procedure: None,
        notices: vec![],
        sections: Section::typed(SectionKind::Findings, "Nothing.")
            .into_iter()
            .collect(),
        author,
        observed_at: at,
        patient: Patient::default(),
        protection: None,
        study: Study::default(),
        requests: vec![],
        evidence: vec![],
        other_evidence: vec![],
        predecessors: vec![],
        identical: vec![],
        equipment: Equipment::causeway("0"),
    }
}

/// A dataset, signed, as the gateway sends it when it was signed: nobody is revoked.
pub(crate) fn as_sent(unsigned: &Dataset) -> (Report, Bytes) {
    let mut dataset = unsigned.clone();
    let sign = |message: &[u8]| {
        let key = &reader().key;
        let mut out = vec![0; key.public_modulus_len()];
        match key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut out) {
            Ok(()) => Ok(out),
            Err(_) => Err(std::io::Error::other("the key refused")),
        }
    };
    let at = Stamp::new(SIGNED_AT, 0);
    signature::sign(&mut dataset, &reader().certificate, "2.25.9", at, sign).unwrap();
    let instance = dataset.code(tags::SOP_INSTANCE_UID);
    let report = Report {
        delivery: format!("delivery-{instance}"),
        study: dataset.code(tags::STUDY_INSTANCE_UID).parse().unwrap(),
        agreement: "a1".parse().unwrap(),
        instance: instance.parse().unwrap(),
        class: sr::SOP_CLASS.parse().unwrap(),
        syntax: sr::TRANSFER_SYNTAX.parse().unwrap(),
        case: CaseCode::draw(&seeded(3)),
        signed_at: SIGNED_AT,
        status: "final".to_owned(),
        signer_crl: Some(reader().list(None, SIGNED_AT).into()),
    };
    (report, sr::to_bytes(&dataset).into())
}
