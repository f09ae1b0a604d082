//! A report, and a reader who signs it, for tests. Keys are minted at run time.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, RsaKeySize,
};

use super::coding;
use super::model::{
    Code, Document, Equipment, Evidence, EvidenceSeries, Headings, Patient, Person, Protection,
    Report, Request, Role, Sealed, Section, SectionKind, Stamp, Standing, Study, Verification,
};
use super::{signature, sr};
use crate::dataset::Dataset;
use crate::time::Timestamp;

/// 2026-03-02 21:10:05 in Athens.
pub(super) const SIGNED_AT: Stamp = match Stamp::exact(Timestamp(1_772_478_605_000_000), 120) {
    Some(stamp) => stamp,
    None => panic!("a whole second"),
};

pub(super) fn person() -> Person {
    Person {
        family: "Παπαδόπουλος".to_owned(),
        given: "Anna Maria".to_owned(),
        title: "Dr. med.".to_owned(),
        organisation: "Nordic Reading SA".to_owned(),
        registration: "GR-ΙΣΑ 12345".to_owned(),
        country: "GR".to_owned(),
        phone: "+30 210 0000000".to_owned(),
        role: Role::Consultant,
    }
}

/// A final report with everything in it, verified by its author.
pub(super) fn report(headings: Headings) -> Report {
    let sections = [
        (SectionKind::Procedure, "CT of the head without contrast."),
        (SectionKind::History, "Fall. Anticoagulated."),
        (SectionKind::Comparison, "CT of the same day, 09:28."),
        (
            SectionKind::Findings,
            "No haemorrhage.\n  Indented line with a \\ in it.\n\nΧωρίς αιμορραγία. 出血なし。",
        ),
        (SectionKind::Impression, "No acute finding."),
        (SectionKind::Recommendation, "None."),
    ];
    Report {
        document: Document {
            study: "1.2.826.0.1.3680043.1".parse().unwrap(),
            series: "2.25.301".parse().unwrap(),
            instance: "2.25.302".parse().unwrap(),
            series_number: 9001,
            instance_number: 1,
        },
        title: coding::title(["CT"]),
        language: "en".parse().unwrap(),
        headings,
        standing: Standing::Final(Verification {
            person: person(),
            at: SIGNED_AT,
        }),
        procedure: None,
        notices: Vec::new(),
        sections: sections
            .into_iter()
            .filter_map(|(kind, text)| Section::typed(kind, text))
            .collect(),
        author: person(),
        observed_at: SIGNED_AT,
        patient: Patient {
            name: "TEST^Phantom".into(),
            id: "TEST-1".into(),
            issuer: "HOSPITAL".into(),
            birth_date: "19600101".into(),
            sex: "O".into(),
        },
        protection: None,
        study: Study {
            date: "20260302".into(),
            time: "093400".into(),
            id: "1".into(),
            accession: "A-1".into(),
            referrer: "Ref^Doc".into(),
            description: "CT head".into(),
        },
        requests: Vec::new(),
        evidence: vec![evidence("1.2.826.0.1.3680043.1", "1.2.3.4")],
        other_evidence: vec![evidence("1.2.826.0.1.3680043.2", "1.2.3.5")],
        predecessors: Vec::new(),
        identical: Vec::new(),
        equipment: Equipment::causeway("0.1.0"),
    }
}

/// A preliminary report with a request, a notice, a predecessor and a twin, by another author.
pub(super) fn preliminary() -> Report {
    let mut report = report(Headings::Loinc);
    report.standing = Standing::Preliminary;
    report.language = "el".parse().unwrap();
    report.notices = super::model::Paragraph::split("412 instances, still arriving.");
    report.requests = vec![Request {
        study: report.document.study.clone(),
        accession: "A-1".into(),
        placer_number: "P-1".into(),
        filler_number: "F-1".into(),
        procedure_id: "RP-1".into(),
        description: "CT head".into(),
    }];
    report.predecessors = vec![evidence("1.2.826.0.1.3680043.1", "2.25.300")];
    report.identical = vec![evidence("1.2.826.0.1.3680043.3", "2.25.303")];
    report
}

/// A final report on images whose identity stays at the site.
pub(super) fn pseudonymous() -> Report {
    let mut report = report(Headings::Loinc);
    report.patient = Patient {
        name: "CW3F4H7K9MNPQ".into(),
        id: "CW3F4H7K9MNPQ".into(),
        sex: "O".into(),
        ..Patient::default()
    };
    report.study.accession = "T7K9MNPQ3F4H7K9".into();
    report.study.referrer = "".into();
    let codes = [
        ("113100", "Basic Application Confidentiality Profile"),
        ("113110", "Retain UIDs Option"),
    ];
    report.protection = Some(Protection {
        methods: vec!["Causeway reading-1".to_owned(), "1".to_owned()],
        codes: codes
            .iter()
            .map(|(value, meaning)| Code::new(value, "DCM", meaning))
            .collect(),
        sealed: Some(Sealed {
            syntax: "1.2.840.10008.1.2.1".to_owned(),
            // the outer shape of CMS EnvelopedData (RFC 5652), which nobody here looks into
            content: [vec![0x30, 0x82, 0x13, 0x84], vec![0x5A; 5000]].concat(),
        }),
    });
    report
}

/// One CT instance of a study.
pub(super) fn evidence(study: &str, series: &str) -> Evidence {
    let class = "1.2.840.10008.5.1.4.1.1.2".parse().unwrap();
    Evidence {
        study: study.parse().unwrap(),
        series: vec![EvidenceSeries {
            series: series.parse().unwrap(),
            instances: vec![(class, format!("{series}.1").parse().unwrap())],
        }],
    }
}

/// A reader's key and certificate, and the authority that issued it.
pub(super) struct Reader {
    key: RsaKeyPair,
    pub(super) certificate_der: Vec<u8>,
    pub(super) authority_pem: String,
}

/// The one reader of these tests.
pub(super) fn reader() -> &'static Reader {
    static READER: OnceLock<Reader> = OnceLock::new();
    READER.get_or_init(|| {
        let mint = || KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072).unwrap();
        let params = |name: &str| {
            let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.not_before = rcgen::date_time_ymd(2024, 1, 1);
            params.not_after = rcgen::date_time_ymd(2040, 1, 1);
            params
        };
        let (authority_key, key) = (mint(), mint());
        let mut authority = params("Test signer authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let certificate = params("Test reader").signed_by(&key, &issuer).unwrap();
        Reader {
            key: RsaKeyPair::from_pkcs8(key.serialized_der()).unwrap(),
            certificate_der: certificate.der().to_vec(),
            authority_pem: root.pem(),
        }
    })
}

impl Reader {
    pub(super) fn signature(&self, message: &[u8]) -> Result<Vec<u8>, std::io::Error> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message,
                &mut signature,
            )
            .map_err(std::io::Error::other)?;
        Ok(signature)
    }

    /// A report, encoded and signed.
    pub(super) fn signed(&self, report: &Report) -> Dataset {
        let mut dataset = sr::encode(report);
        let key = |message: &[u8]| self.signature(message);
        signature::sign(
            &mut dataset,
            &self.certificate_der,
            "2.25.400",
            SIGNED_AT,
            key,
        )
        .unwrap();
        dataset
    }
}
