//! A report with everything in it, signed with a key of the moment.

use anyhow::Context as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use causeway_proto::dataset::Dataset;
use causeway_proto::report::model::{
    Code, Document, Equipment, Evidence, EvidenceSeries, Headings, Patient, Person, Protection,
    Report, Request, Role, Sealed, Section, SectionKind, Stamp, Standing, Study, Verification,
};
use causeway_proto::report::{coding, signature, sr};

use super::{CT, EXPLICIT, NOW, made};

/// Explicit VR little endian, without group 0002: one that is signed, and one that is preliminary and pseudonymous.
pub(in super::super) fn report() -> Vec<Vec<u8>> {
    made(|| {
        let at = Stamp::exact(NOW, 120).context("no whole second")?;
        let mut preliminary = sample(at)?;
        preliminary.standing = Standing::Preliminary;
        preliminary.protection = Some(Protection {
            methods: vec!["Causeway".to_owned()],
            codes: vec![Code::new(
                "113100",
                "DCM",
                "Basic Application Confidentiality Profile",
            )],
            sealed: Some(Sealed {
                syntax: EXPLICIT.to_owned(),
                content: vec![0x5A; 100],
            }),
        });
        let mut signed = sr::encode(&sample(at)?);
        sign(&mut signed, at)?;
        Ok(vec![
            sr::to_bytes(&signed),
            sr::to_bytes(&sr::encode(&preliminary)),
        ])
    })
}

fn sign(dataset: &mut Dataset, at: Stamp) -> anyhow::Result<()> {
    let key = RsaKeyPair::generate(KeySize::Rsa2048)
        .ok()
        .context("no key")?;
    let pkcs8 = aws_lc_rs::encoding::AsDer::as_der(&key);
    let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pkcs8.ok().context("no key")?;
    let der = rustls_pki_types::PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec());
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256)?;
    let certificate = rcgen::CertificateParams::new(Vec::<String>::new())?.self_signed(&pair)?;
    let sign = |message: &[u8]| {
        let mut signature = vec![0; key.public_modulus_len()];
        let signed = key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            message,
            &mut signature,
        );
        signed.map(|()| signature).map_err(std::io::Error::other)
    };
    signature::sign(dataset, certificate.der().as_ref(), "2.25.400", at, sign)?;
    Ok(())
}

fn sample(at: Stamp) -> anyhow::Result<Report> {
    let sections = [
        (SectionKind::Procedure, "CT of the head without contrast."),
        (
            SectionKind::Findings,
            "No haemorrhage.\n  Indented, with a \\ in it.\n\nΧωρίς αιμορραγία.",
        ),
        (SectionKind::Impression, "No acute finding."),
    ];
    Ok(Report {
        document: Document {
            study: "2.25.1".parse()?,
            series: "2.25.301".parse()?,
            instance: "2.25.302".parse()?,
            series_number: 9001,
            instance_number: 1,
        },
        title: coding::title(["CT"]),
        language: "en".parse()?,
        headings: Headings::Loinc,
        standing: Standing::Final(Verification {
            person: person(),
            at,
        }),
        procedure: None,
        notices: Vec::new(),
        sections: sections
            .into_iter()
            .filter_map(|(kind, text)| Section::typed(kind, text))
            .collect(),
        author: person(),
        observed_at: at,
        patient: Patient {
            name: "TEST^Phantom".into(),
            id: "TEST-1".into(),
            ..Patient::default()
        },
        protection: None,
        study: Study {
            date: "20260302".into(),
            ..Study::default()
        },
        requests: vec![Request {
            study: "2.25.1".parse()?,
            accession: "A-1".into(),
            placer_number: "P-1".into(),
            filler_number: "F-1".into(),
            procedure_id: "RP-1".into(),
            description: "CT head".into(),
        }],
        evidence: vec![evidence()?],
        other_evidence: Vec::new(),
        predecessors: vec![evidence()?],
        identical: Vec::new(),
        equipment: Equipment::causeway("0.1.0"),
    })
}

fn person() -> Person {
    Person {
        family: "Παπαδόπουλος".to_owned(),
        given: "Anna Maria".to_owned(),
        title: "Dr. med.".to_owned(),
        organisation: "TEST Reading".to_owned(),
        registration: "TEST-12345".to_owned(),
        country: "GR".to_owned(),
        phone: "+30 210 0000000".to_owned(),
        role: Role::Consultant,
    }
}

fn evidence() -> anyhow::Result<Evidence> {
    Ok(Evidence {
        study: "2.25.1".parse()?,
        series: vec![EvidenceSeries {
            series: "2.25.1.1".parse()?,
            instances: vec![(CT.parse()?, "2.25.1.2".parse()?)],
        }],
    })
}
