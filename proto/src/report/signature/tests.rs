//! What breaks a signature, what must not, and what dcmsign says.

use std::path::Path;

use super::*;
use crate::report::model::Headings;
use crate::report::sample::{SIGNED_AT, preliminary, pseudonymous, reader, report};
use crate::report::sr;
use crate::report::tools;

fn syntax(uid: &str) -> TransferSyntaxUid {
    uid.parse().unwrap()
}

fn signed() -> Dataset {
    reader().signed(&report(Headings::Loinc))
}

fn told(dataset: &Dataset) -> String {
    match verify_dataset(dataset) {
        Ok(_) => "holds".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_signature_tells_who_when_and_what() {
    let dataset = signed();
    let verified = verify(&dataset.write(), &syntax(EXPLICIT_LITTLE)).unwrap();
    assert_eq!(verified.certificate_der, reader().certificate_der);
    assert_eq!(verified.signature_uid, "2.25.400");
    assert_eq!(verified.signed_at, Some(SIGNED_AT));
    assert_eq!(verified.purpose, Purpose::Verification);
    assert_eq!(verified.instance.as_str(), "2.25.302");
    assert!(verified.signed.contains(&tags::PRELIMINARY_FLAG));
    assert!(!verified.signed.contains(&tags::PATIENT_NAME));
    let draft = reader().signed(&preliminary());
    assert_eq!(verify_dataset(&draft).unwrap().purpose, Purpose::Author);
}

#[test]
fn what_the_hospital_corrects_is_not_signed() {
    let mut dataset = signed();
    dataset.put_text(tags::PATIENT_NAME, VR::PN, "Other^Name");
    dataset.put_text(tags::PATIENT_ID, VR::LO, "OTHER-ID");
    dataset.put_text(tags::ACCESSION_NUMBER, VR::SH, "OTHER");
    dataset.put_items(tags::REFERENCED_REQUEST_SEQUENCE, vec![Dataset::new()]);
    assert_eq!(told(&dataset), "holds");
}

/// What a site does with a report on its pseudonymous images: the marks and the sealed set go, the patient comes back.
fn brought_home(dataset: &mut Dataset) {
    for tag in [
        tags::PATIENT_IDENTITY_REMOVED,
        tags::DEIDENTIFICATION_METHOD,
        tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE,
        tags::ENCRYPTED_ATTRIBUTES_SEQUENCE,
    ] {
        assert!(dataset.remove(tag).is_some(), "{tag}");
    }
    dataset.put_text(tags::PATIENT_NAME, VR::PN, "Παπαδοπούλου^Μαρία");
    dataset.put_text(tags::PATIENT_ID, VR::LO, "4711");
    dataset.put_text(tags::ISSUER_OF_PATIENT_ID, VR::LO, "HOSPITAL");
    dataset.put_text(tags::PATIENT_BIRTH_DATE, VR::DA, "19600101");
    dataset.put_text(tags::ACCESSION_NUMBER, VR::SH, "A-1");
    dataset.put_text(tags::REFERRING_PHYSICIAN_NAME, VR::PN, "Ref^Doc");
    let mut request = Dataset::new();
    request.put_text(tags::ACCESSION_NUMBER, VR::SH, "A-1");
    dataset.put_items(tags::REFERENCED_REQUEST_SEQUENCE, vec![request]);
}

#[test]
fn the_marks_of_a_pseudonymous_report_may_go() {
    let mut dataset = reader().signed(&pseudonymous());
    let verified = verify_dataset(&dataset).unwrap();
    let unsigned = verified
        .signed
        .iter()
        .all(|tag| tag.0 != 0x0012 && tag.0 != 0x0400);
    assert!(unsigned, "{:?}", verified.signed);
    brought_home(&mut dataset);
    assert_eq!(told(&dataset), "holds");
    dataset.put_text(tags::PRELIMINARY_FLAG, VR::CS, "PRELIMINARY");
    assert_ne!(told(&dataset), "holds");
}

#[test]
fn dcmsign_agrees_before_and_after_the_site_restores_the_identity() {
    let folder = tempfile::tempdir().unwrap();
    let mut dataset = reader().signed(&pseudonymous());
    let Some((code, text)) = dcmsign(folder.path(), &dataset) else {
        return;
    };
    assert_eq!(code, Some(0), "{text}");
    brought_home(&mut dataset);
    let (code, text) = dcmsign(folder.path(), &dataset).unwrap();
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("1 signatures verified in dataset, 0 corrupted"),
        "{text}"
    );
    let section = &mut dataset
        .items_mut(tags::CONTENT_SEQUENCE)
        .last_mut()
        .unwrap();
    section.items_mut(tags::CONTENT_SEQUENCE)[0].put_text(tags::TEXT_VALUE, VR::UT, "Nobody.");
    assert_ne!(dcmsign(folder.path(), &dataset).unwrap().0, Some(0));
}

#[test]
fn what_is_signed_does_not_change() {
    let changed = |change: &dyn Fn(&mut Dataset)| {
        let mut dataset = signed();
        change(&mut dataset);
        told(&dataset)
    };
    let corrupt = "the document or its signature was changed after signing";
    let text =
        |tag, vr, text: &'static str| move |dataset: &mut Dataset| dataset.put_text(tag, vr, text);
    assert_eq!(
        changed(&text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3")),
        corrupt
    );
    assert_eq!(
        changed(&text(tags::SOP_INSTANCE_UID, VR::UI, "1.2.3")),
        corrupt
    );
    assert_eq!(
        changed(&text(tags::PRELIMINARY_FLAG, VR::CS, "PRELIMINARY")),
        corrupt
    );
    assert_eq!(
        changed(&text(tags::COMPLETION_FLAG, VR::CS, "PARTIAL")),
        corrupt
    );
    assert_eq!(changed(&text(tags::MANUFACTURER, VR::LO, "Other")), corrupt);
    assert_eq!(
        changed(&text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100")),
        corrupt
    );
    let one_item = |dataset: &mut Dataset| {
        let sections = dataset.items_mut(tags::CONTENT_SEQUENCE);
        let section = sections.iter_mut().rev().nth(1).unwrap();
        section.items_mut(tags::CONTENT_SEQUENCE)[0].put_text(tags::TEXT_VALUE, VR::UT, "Some.");
    };
    assert_eq!(changed(&one_item), corrupt);
    let later = |dataset: &mut Dataset| {
        dataset.items_mut(tags::VERIFYING_OBSERVER_SEQUENCE)[0].put_text(
            tags::VERIFICATION_DATE_TIME,
            VR::DT,
            "20270101000000+0000",
        );
    };
    assert_eq!(changed(&later), corrupt);
    let signature = |dataset: &mut Dataset| {
        let item = &mut dataset.items_mut(tags::DIGITAL_SIGNATURES_SEQUENCE)[0];
        item.put_text(
            tags::DIGITAL_SIGNATURE_DATE_TIME,
            VR::DT,
            "20270101000000+0000",
        );
    };
    assert_eq!(changed(&signature), corrupt);
}

#[test]
fn the_list_is_what_it_has_to_be() {
    let mut added = signed();
    added.put_text(tags::INSTITUTION_NAME, VR::LO, "Hospital");
    assert_eq!(told(&added), "(0008,0080) is not covered by the signature");
    let mut gone = signed();
    gone.remove(tags::PRELIMINARY_FLAG);
    assert_eq!(told(&gone), "(0040,A496) is missing");
    let mut gone = signed();
    gone.remove(tags::SOFTWARE_VERSIONS);
    assert_eq!(told(&gone), "(0018,1020) is missing");
    // a signature over less than a report needs, honestly made
    let mut short = sr::encode(&report(Headings::Loinc));
    let flag = short.remove(tags::PRELIMINARY_FLAG).unwrap();
    let key = |message: &[u8]| reader().signature(message);
    let refused = sign(&mut short.clone(), b"", "2.25.1", SIGNED_AT, key).unwrap_err();
    assert_eq!(refused.to_string(), "the document has no (0040,A496)");
    short.put(tags::PRELIMINARY_FLAG, flag.vr, flag.value);
    sign(
        &mut short,
        &reader().certificate_der,
        "2.25.1",
        SIGNED_AT,
        key,
    )
    .unwrap();
    let parameters = &mut short.items_mut(tags::MAC_PARAMETERS_SEQUENCE)[0];
    let list = parameters.bytes(tags::DATA_ELEMENTS_SIGNED).to_vec();
    let without: Vec<u8> = list
        .chunks(4)
        .filter(|tag| *tag != [0x40, 0, 0x96, 0xA4])
        .flatten()
        .copied()
        .collect();
    parameters.put(tags::DATA_ELEMENTS_SIGNED, VR::AT, Value::Bytes(without));
    assert_eq!(told(&short), "(0040,A496) is not covered by the signature");
    let again = sign(&mut signed(), b"", "2.25.1", SIGNED_AT, key).unwrap_err();
    assert_eq!(again.to_string(), "the document is signed already");
}

#[test]
fn unsigned_incomplete_and_unknown() {
    assert_eq!(
        told(&sr::encode(&report(Headings::Loinc))),
        "the document is not signed"
    );
    let spoilt = |sequence: Tag, change: &dyn Fn(&mut Dataset)| {
        let mut dataset = signed();
        change(&mut dataset.items_mut(sequence)[0]);
        told(&dataset)
    };
    let parameters = tags::MAC_PARAMETERS_SEQUENCE;
    let signatures = tags::DIGITAL_SIGNATURES_SEQUENCE;
    let unknown = "the signature is by an unknown algorithm";
    assert_eq!(
        spoilt(parameters, &|item| item.put_text(
            tags::MAC_ALGORITHM,
            VR::CS,
            "RIPEMD160"
        )),
        unknown
    );
    assert_eq!(
        spoilt(parameters, &|item| item.put_text(
            tags::MAC_CALCULATION_TRANSFER_SYNTAX_UID,
            VR::UI,
            "1.2.840.10008.1.2.2"
        )),
        unknown
    );
    let zero = Value::Bytes(vec![0, 0]);
    assert_eq!(
        spoilt(parameters, &|item| item.put(
            tags::MACID_NUMBER,
            VR::US,
            zero.clone()
        )),
        "the signature is incomplete: no MAC parameters"
    );
    assert_eq!(
        spoilt(signatures, &|item| item.put(
            tags::CERTIFICATE_OF_SIGNER,
            VR::OB,
            zero.clone()
        )),
        "the signature is incomplete: its certificate is unreadable"
    );
    assert_eq!(
        spoilt(signatures, &|item| drop(
            item.remove(tags::DIGITAL_SIGNATURE_PURPOSE_CODE_SEQUENCE)
        )),
        "the purpose of the signature does not fit the verification flag"
    );
}

/// The dataset as another program wrote it: lengths undefined, VRs left out.
fn undefined_and_implicit(dataset: &Dataset) -> Vec<u8> {
    let mut out = Vec::new();
    let head = |out: &mut Vec<u8>, tag: Tag, length: u32| {
        out.extend(tag.0.to_le_bytes());
        out.extend(tag.1.to_le_bytes());
        out.extend(length.to_le_bytes());
    };
    for (tag, element) in dataset.iter() {
        match &element.value {
            Value::Bytes(bytes) => {
                let mut bytes = bytes.clone();
                if bytes.len() % 2 == 1 {
                    bytes.push(0);
                }
                head(&mut out, tag, u32::try_from(bytes.len()).unwrap());
                out.extend(bytes);
            }
            Value::Items(items) => {
                head(&mut out, tag, u32::MAX);
                for item in items {
                    head(&mut out, crate::element::ITEM, u32::MAX);
                    out.extend(undefined_and_implicit(item));
                    head(&mut out, crate::element::ITEM_END, 0);
                }
                head(&mut out, crate::element::SEQUENCE_END, 0);
            }
            Value::Fragments(_) => unreachable!("a report has no pixels"),
        }
    }
    out
}

#[test]
fn it_holds_however_a_pacs_writes_it() {
    let bytes = undefined_and_implicit(&signed());
    let verified = verify(&bytes, &syntax("1.2.840.10008.1.2")).unwrap();
    assert_eq!(verified.certificate_der, reader().certificate_der);
}

#[test]
fn no_bytes_make_it_panic() {
    let bytes = signed().write();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut draw = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound as u64).unwrap()
    };
    let explicit = syntax(EXPLICIT_LITTLE);
    let implicit = syntax("1.2.840.10008.1.2");
    for _ in 0..3000 {
        let mut mutant = bytes.clone();
        for _ in 0..=draw(4) {
            let at = draw(mutant.len());
            match draw(4) {
                0 => mutant[at] = u8::try_from(draw(256)).unwrap(),
                1 => mutant[at] ^= 1 << draw(8),
                2 => mutant.truncate(at.max(1)),
                _ => drop(mutant.drain(at..(at + draw(64)).min(mutant.len()))),
            }
            if mutant.is_empty() {
                mutant.push(0);
            }
        }
        for syntax in [&explicit, &implicit] {
            let held = verify(&mutant, syntax);
            if let Ok(dataset) = Dataset::read(&mutant, syntax) {
                let _report = sr::decode(&dataset);
                let _lines = crate::report::outline::lines(&dataset);
            }
            // what still holds says what was signed, to the letter
            let read = Dataset::read(&mutant, syntax).ok();
            let read = read.and_then(|dataset| sr::decode(&dataset).ok());
            if let (Ok(_), Some(read)) = (held, read) {
                assert_eq!(read.sections, report(Headings::Loinc).sections);
            }
        }
    }
}

/// Asks dcmsign as `standards` recommends; its exit code and its sentence.
fn dcmsign(folder: &Path, dataset: &Dataset) -> Option<(Option<i32>, String)> {
    let file = folder.join("report.dcm");
    let authority = folder.join("authority.pem");
    std::fs::write(&file, sr::part10(&dataset.write()).unwrap()).unwrap();
    std::fs::write(&authority, &reader().authority_pem).unwrap();
    let arguments = [
        "-v",
        "--verify",
        "+rs",
        "+cf",
        authority.to_str().unwrap(),
        file.to_str().unwrap(),
    ];
    let said = tools::run("dcmsign", &arguments)?;
    Some((said.code, said.text))
}

#[test]
fn dcmsign_agrees() {
    let folder = tempfile::tempdir().unwrap();
    for whole in [
        report(Headings::Loinc),
        report(Headings::Legacy),
        preliminary(),
    ] {
        let mut dataset = reader().signed(&whole);
        let Some((code, text)) = dcmsign(folder.path(), &dataset) else {
            return;
        };
        assert_eq!(code, Some(0), "{text}");
        assert!(
            text.contains("1 signatures verified in dataset, 0 corrupted"),
            "{text}"
        );
        dataset.put_text(tags::PATIENT_NAME, VR::PN, "Other^Name");
        dataset.put_text(tags::PATIENT_ID, VR::LO, "OTHER");
        dataset.put_text(tags::ACCESSION_NUMBER, VR::SH, "OTHER");
        let mut request = Dataset::new();
        request.put_text(tags::ACCESSION_NUMBER, VR::SH, "OTHER");
        dataset.put_items(tags::REFERENCED_REQUEST_SEQUENCE, vec![request]);
        let (code, text) = dcmsign(folder.path(), &dataset).unwrap();
        assert_eq!(code, Some(0), "{text}");
        for (tag, vr, value) in [
            (tags::PRELIMINARY_FLAG, VR::CS, "OTHER"),
            (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3"),
            (tags::OBSERVATION_DATE_TIME, VR::DT, "20270101000000+0000"),
        ] {
            let mut changed = dataset.clone();
            changed.put_text(tag, vr, value);
            let (code, text) = dcmsign(folder.path(), &changed).unwrap();
            assert_ne!(code, Some(0), "{text}");
            assert!(
                text.contains("1 signatures verified in dataset, 1 corrupted"),
                "{text}"
            );
        }
        let mut added = dataset.clone();
        added.put_text(tags::INSTITUTION_NAME, VR::LO, "Hospital");
        assert_ne!(dcmsign(folder.path(), &added).unwrap().0, Some(0));
        dataset
            .items_mut(tags::CONTENT_SEQUENCE)
            .last_mut()
            .unwrap()
            .items_mut(tags::CONTENT_SEQUENCE)[0]
            .put_text(tags::TEXT_VALUE, VR::UT, "Nobody.");
        let (code, text) = dcmsign(folder.path(), &dataset).unwrap();
        assert_ne!(code, Some(0), "{text}");
    }
}

#[test]
fn it_holds_after_dcmtk_rewrote_it() {
    let folder = tempfile::tempdir().unwrap();
    let (file, other) = (
        folder.path().join("report.dcm"),
        folder.path().join("other.dcm"),
    );
    std::fs::write(&file, sr::part10(&signed().write()).unwrap()).unwrap();
    for arguments in [["+ti", "-e"], ["+tb", "+e"], ["+te", "-e"]] {
        let paths = [file.to_str().unwrap(), other.to_str().unwrap()];
        let Some(said) = tools::run("dcmconv", &[&arguments[..], &paths].concat()) else {
            return;
        };
        assert_eq!(said.code, Some(0), "{}", said.text);
        let bytes = std::fs::read(&other).unwrap();
        let (syntax, dataset) = crate::public_data::dataset_of(&bytes);
        let verified = verify(dataset, &self::syntax(&syntax)).unwrap();
        assert_eq!(
            verified.certificate_der,
            reader().certificate_der,
            "{syntax}"
        );
    }
}
