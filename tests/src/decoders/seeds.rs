//! What the decoders begin with: one whole thing of each kind, made here. One that cannot be made is left out, and the smoke says so.

use causeway_certs::enrol::{Answer, Ask, NewKey, Refused, Request, Word, frame};
use causeway_proto::coding::{Encoder, Rows};
use causeway_proto::dataset::{Dataset, Value};
use causeway_proto::digest::Digest;
use causeway_proto::link::codec::{Message, chunk_header, encode};
use causeway_proto::link::message::{
    GoAway, Hello, HelloAgent, HelloGateway, Instance, InstanceKey, Manifest, ManifestEntry, Query,
    Trailer, Withheld,
};
use causeway_proto::link::session::{agent_hello, gateway_hello};
use causeway_proto::link::tunnel::frame as framed;
use causeway_proto::time::Timestamp;
use dicom_ul::Pdu;
use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, PresentationContextProposed, PresentationContextResult,
    PresentationContextResultReason, UserVariableItem, write_pdu,
};

use crate::sender::{command as sets, file};
use crate::{long, planted};

mod reports;

pub(super) use reports::report;

type Seeds = Vec<Vec<u8>>;

/// Whatever could be made.
fn made(all: impl FnOnce() -> anyhow::Result<Seeds>) -> Seeds {
    all().unwrap_or_default()
}

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);
const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

pub(super) fn pdu() -> Seeds {
    let titles = || ("MODALITY".to_owned(), "CAUSEWAY".to_owned());
    let (calling, called) = titles();
    let request = AssociationRQ {
        protocol_version: 1,
        calling_ae_title: calling,
        called_ae_title: called,
        application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
        presentation_contexts: vec![PresentationContextProposed {
            id: 1,
            abstract_syntax: CT.to_owned(),
            transfer_syntaxes: vec![EXPLICIT.to_owned(), "1.2.840.10008.1.2".to_owned()],
        }],
        user_variables: vec![
            UserVariableItem::MaxLength(65_536),
            UserVariableItem::ImplementationClassUID("2.25.1".to_owned()),
        ],
    };
    let (calling, called) = titles();
    let acceptance = AssociationAC {
        protocol_version: 1,
        calling_ae_title: calling,
        called_ae_title: called,
        application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
        presentation_contexts: vec![PresentationContextResult {
            id: 1,
            reason: PresentationContextResultReason::Acceptance,
            transfer_syntax: EXPLICIT.to_owned(),
        }],
        user_variables: vec![UserVariableItem::MaxLength(0)],
    };
    made(|| {
        let mut all = Seeds::new();
        for pdu in [Pdu::from(request), Pdu::from(acceptance)] {
            let mut bytes = Vec::new();
            write_pdu(&mut bytes, &pdu)?;
            all.push(bytes.get(6..).unwrap_or_default().to_vec());
        }
        Ok(all)
    })
}

pub(super) fn command() -> Seeds {
    made(|| {
        Ok(vec![
            sets::store_request(CT, "2.25.1.2", 7)?,
            sets::echo_request()?,
        ])
    })
}

/// Behind the byte that chooses the syntax: an image, a patient with names in every script, a request for commitment; and the same
/// with implicit VR, big endian headers being left to chance.
pub(super) fn dataset() -> Seeds {
    made(|| {
        let folder = tempfile::tempdir()?;
        let image = folder.path().join("image.dcm");
        long::write_small(&image, 1, 1, 8)?;
        let (mut files, _) = planted::write(&folder.path().join("planted"))?;
        files.push(image);
        let mut all = Seeds::new();
        for one in &files {
            let bytes = file::read(one, 0)?.bytes;
            let tree = Dataset::read(&bytes, &EXPLICIT.parse()?)?;
            all.push([&[1 | 4][..], &implicit(&tree)].concat());
            all.push([&[0][..], &bytes].concat());
        }
        let mut asks = Dataset::new();
        let (instance, class) = (uid("2.25.1.2"), uid(CT));
        let mut item = Dataset::new();
        item.put(
            dicom_dictionary_std::tags::REFERENCED_SOP_CLASS_UID,
            dicom_core::VR::UI,
            class,
        );
        item.put(
            dicom_dictionary_std::tags::REFERENCED_SOP_INSTANCE_UID,
            dicom_core::VR::UI,
            instance,
        );
        asks.put(
            dicom_dictionary_std::tags::TRANSACTION_UID,
            dicom_core::VR::UI,
            uid("2.25.3"),
        );
        asks.put_items(
            dicom_dictionary_std::tags::REFERENCED_SOP_SEQUENCE,
            vec![item],
        );
        all.push([&[0][..], &asks.write()].concat());
        Ok(all)
    })
}

fn uid(text: &str) -> Value {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    Value::Bytes(bytes)
}

/// With implicit VR (PS3.5 A.1); encapsulated pixels are left out.
fn implicit(dataset: &Dataset) -> Vec<u8> {
    let mut out = Vec::new();
    for (tag, element) in dataset.iter() {
        let value = match &element.value {
            Value::Bytes(bytes) => bytes.clone(),
            Value::Items(items) => items.iter().fold(Vec::new(), |mut all, item| {
                let item = implicit(item);
                all.extend([0xFE, 0xFF, 0x00, 0xE0]);
                all.extend(length(&item));
                all.extend(item);
                all
            }),
            Value::Fragments(_) => continue,
        };
        out.extend(tag.0.to_le_bytes());
        out.extend(tag.1.to_le_bytes());
        out.extend(length(&value));
        out.extend(value);
    }
    out
}

fn length(value: &[u8]) -> [u8; 4] {
    u32::try_from(value.len()).unwrap_or(0).to_le_bytes()
}

/// Behind the size that it is said to have.
pub(super) fn jpeg() -> Seeds {
    let mut all = Seeds::new();
    for (side, colour, samples) in [
        (16_u8, jpeg_encoder::ColorType::Luma, 1_u8),
        (24, jpeg_encoder::ColorType::Rgb, 3),
    ] {
        let count = u32::from(side) * u32::from(side) * u32::from(samples);
        let pixels = (0..count).filter_map(|at| u8::try_from(at * 37 % 251).ok());
        let pixels: Vec<u8> = pixels.collect();
        let mut frame = vec![side, side, samples, 9];
        let encoder = jpeg_encoder::Encoder::new(&mut frame, 80);
        if encoder
            .encode(&pixels, side.into(), side.into(), colour)
            .is_ok()
        {
            all.push(frame);
        }
    }
    all
}

/// Made by `openssl cms -encrypt -aes-256-cbc` for a certificate that nobody keeps.
pub(super) fn envelope() -> Seeds {
    vec![include_bytes!("seeds/envelope.der").to_vec()]
}

pub(super) fn agent_config() -> Seeds {
    vec![include_bytes!("../../../deploy/agent.toml").to_vec()]
}

pub(super) fn gateway_config() -> Seeds {
    vec![include_bytes!("../../../deploy/gateway.toml").to_vec()]
}

pub(super) fn text() -> Seeds {
    vec![
        b"ISO_IR 100\0Zo\xEB".to_vec(),
        "ISO_IR 192\0Παπαδόπουλος^Γεώργιος".as_bytes().to_vec(),
        b"\\ISO 2022 IR 87\0Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B".to_vec(),
        b"ISO 2022 IR 13\\ISO 2022 IR 87\0\xD4\xCF\xC0\xDE^\xC0\xDB\xB3=\x1B$B;3ED\x1B(J^\x1B$BB@O:\x1B(J".to_vec(),
        b"GB18030\0Wang^XiaoDong=\xCD\xF5^\xD0\xA1\xB6\xAB".to_vec(),
        b"\\ISO 2022 IR 149\0Hong^Gildong=\x1B$)C\xFB\xF3^\x1B$)C\xD1\xCE\xD4\xD7".to_vec(),
    ]
}

pub(super) fn dates() -> Seeds {
    let texts = [
        "Compared with the CT of 2 March 2026, 20260302, 02.03.2026 and 3/2/26.",
        "Σύγκριση με την εξέταση της 2ας Μαρτίου 2026.",
        "Vergleich: 2. März 2026; voir le 2 mars 2026 à 10:30",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(super) fn identifiers() -> Seeds {
    let texts = [
        "1.2.840.10008.1.2",
        "CAUSEWAY",
        "site-1",
        "AMBER-3F4H",
        "2.25.0",
        "01.2",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn said(chosen: u8, messages: Vec<Message>) -> anyhow::Result<Vec<u8>> {
    let mut out = vec![chosen];
    for message in messages {
        encode(&message, &mut out)?;
    }
    Ok(out)
}

pub(super) fn control() -> Seeds {
    made(|| {
        let hello: Hello = agent_hello(
            NOW,
            "seed",
            HelloAgent {
                spool: "spool".to_owned(),
                session: 7,
                epoch_seen: 1,
                receipt_seen: 2,
            },
        );
        let query = Query { keys: vec![key()?] };
        let answer = gateway_hello(
            NOW,
            "seed",
            HelloGateway {
                epoch: 1,
                high_water: 3,
                agreements: Vec::new(),
                codings: vec![1],
            },
        );
        let leave = GoAway {
            retry_after_ms: 50,
            sentence: "until later".to_owned(),
        };
        Ok(vec![
            said(0, vec![hello.into(), query.into()])?,
            said(1, vec![answer.into(), leave.into()])?,
        ])
    })
}

fn key() -> anyhow::Result<InstanceKey> {
    Ok(InstanceKey {
        agreement: "agreement-1".parse()?,
        instance: "2.25.1.2".parse()?,
        source_tag: Digest::of(b"tag"),
    })
}

pub(super) fn stream() -> Seeds {
    made(|| {
        let key = key()?;
        let instance = Instance {
            study: "2.25.1".parse()?,
            series: "2.25.1.1".parse()?,
            instance: key.instance.clone(),
            class: CT.parse()?,
            syntax: EXPLICIT.parse()?,
            agreement: key.agreement.clone(),
            source_tag: key.source_tag,
            coding: 0,
            offset: 0,
        };
        let bytes = b"some bytes of a dataset";
        let trailer = Trailer {
            length: bytes.len() as u64,
            digest: Digest::of(bytes),
        };
        let mut whole = said(0, vec![instance.into()])?;
        whole.extend(chunk_header(bytes.len()));
        whole.extend(bytes);
        whole.extend(chunk_header(0));
        whole.extend(said(0, vec![trailer.into()])?.get(1..).unwrap_or_default());
        let manifest = Manifest {
            study: "2.25.1".parse()?,
            agreement: key.agreement,
            version: 1,
            entries: vec![ManifestEntry {
                instance: key.instance,
                sent_digest: Digest::of(bytes),
                length: 23,
            }],
            withheld: vec![Withheld {
                class: CT.parse()?,
                modality: "CT".to_owned(),
                count: 1,
                reason: "a dose page".to_owned(),
            }],
            basis: "silence".to_owned(),
            sealed_at: NOW,
            reports: None,
        };
        Ok(vec![whole, said(0, vec![manifest.into()])?])
    })
}

pub(super) fn tunnel() -> Seeds {
    let mut stream = Vec::new();
    framed(b"a datagram", &mut stream);
    framed(b"", &mut stream);
    framed(&[7; 300], &mut stream);
    vec![stream]
}

fn picture() -> Vec<u8> {
    let samples = (0..2048_u16).map(|at| (at % 64) * 3 + at / 64);
    samples.flat_map(u16::to_le_bytes).collect()
}

pub(super) fn records() -> Seeds {
    let mut encoder = Encoder::default();
    let narrow = encoder.record(&picture(), Rows::new(64, 1, false));
    let wide = encoder.record(&picture(), Rows::new(64, 1, true));
    let packed = encoder.record(&[7; 400], None);
    let plain = encoder.record(b"short", None);
    let all = [&narrow[..], &wide, &packed, &plain].concat();
    vec![all, wide.to_vec(), packed.to_vec()]
}

pub(super) fn coding() -> Seeds {
    let mut all = dataset();
    for head in [[64, 1, 1], [64, 1, 0], [30, 3, 0]] {
        all.push([&head[..], &picture()].concat());
    }
    all
}

pub(super) fn enrolment() -> Seeds {
    made(|| {
        let key = NewKey::draw()?;
        let request = Request {
            ask: Ask::Enrol {
                id: "id".to_owned(),
                secret: "secret".to_owned(),
            },
            csr: key.request().to_vec().into(),
            now: NOW,
            software: "seed".to_owned(),
        };
        let refused = Refused {
            word: Word::UsedCode,
            sentence: "The code was used.".to_owned(),
        };
        Ok(vec![frame(&request)?, frame(&Answer::Refused(refused))?])
    })
}

/// Behind the byte that says where the second begins.
pub(super) fn certificate() -> Seeds {
    made(|| {
        let key = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::new(vec!["site.example".to_owned()])?;
        let site = rcgen::SanType::URI("urn:causeway:site:site-1".try_into()?);
        params.subject_alt_names.push(site);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![
            rcgen::KeyUsagePurpose::KeyCertSign,
            rcgen::KeyUsagePurpose::CrlSign,
        ];
        let root = params.self_signed(&key)?;
        let issuer = rcgen::Issuer::new(params, key);
        let day = rcgen::date_time_ymd(2026, 1, 1);
        let list = rcgen::CertificateRevocationListParams {
            this_update: day,
            next_update: rcgen::date_time_ymd(2030, 1, 1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![rcgen::RevokedCertParams {
                serial_number: 7_u64.into(),
                revocation_time: day,
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&issuer)?;
        let both = [&[128][..], root.der().as_ref(), root.der().as_ref()].concat();
        Ok(vec![
            both,
            [&[0][..], root.der().as_ref()].concat(),
            [&[0][..], list.der().as_ref()].concat(),
        ])
    })
}

pub(super) fn query() -> Seeds {
    let texts = [
        "PatientName=Bl*mqvist&StudyDate=20260101-20261231&limit=10&offset=0&includefield=all",
        "ModalitiesInStudy=CT\\MR&00080050=A%2D1&fuzzymatching=true&StudyTime=0930-",
        "StudyInstanceUID=2.25.1,2.25.2&includefield=00081030,PatientID&0040A730.0040A160=x",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(super) fn accept() -> Seeds {
    let texts = [
        "multipart/related; type=\"application/dicom\"; transfer-syntax=*, application/dicom+json;q=0.9",
        "image/jpeg; q=0.5, */*;q=0.1",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(super) fn draft() -> Seeds {
    vec![crate::reader::sample_report().to_string().into_bytes()]
}
