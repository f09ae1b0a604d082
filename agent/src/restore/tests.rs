//! P3 row by row, what the rewrite changes and what it must not, and the sealed originals.

use causeway_proto::dataset::{Dataset, Value};
use causeway_proto::report::{signature, sr};
use causeway_proto::text::CharacterSet;
use dicom_core::VR;
use dicom_dictionary_std::tags;

mod sealed;
mod table;

use super::sample::{as_sent, document};
use super::*;

const STUDY: &str = "1.2.3";

/// A protected report as the gateway will sign and send it: pseudonym, marks, sealed set.
fn protected(sealed: &[u8]) -> Dataset {
    let mut dataset = sr::encode(&document(STUDY, "2.25.1"));
    dataset.put_text(tags::PATIENT_NAME, VR::PN, "CWABCDEFGH2345X");
    dataset.put_text(tags::PATIENT_ID, VR::LO, "CWABCDEFGH2345X");
    dataset.put_text(tags::ISSUER_OF_PATIENT_ID, VR::LO, "CAUSEWAY");
    dataset.put_text(tags::ACCESSION_NUMBER, VR::SH, "T1234");
    dataset.put_text(tags::STUDY_ID, VR::SH, "T9");
    dataset.put_text(tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES");
    dataset.put_text(tags::DEIDENTIFICATION_METHOD, VR::LO, "CAUSEWAY 1");
    dataset.put_items(
        tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE,
        vec![Dataset::new()],
    );
    let mut item = Dataset::new();
    item.put_text(
        tags::ENCRYPTED_CONTENT_TRANSFER_SYNTAX_UID,
        VR::UI,
        sr::TRANSFER_SYNTAX,
    );
    item.put(
        tags::ENCRYPTED_CONTENT,
        VR::OB,
        Value::Bytes(sealed.to_vec()),
    );
    dataset.put_items(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE, vec![item]);
    dataset
}

/// P11: the header of a report has the shifted date of its study.
#[test]
fn a_shifted_date_is_never_filed() {
    let mut unsigned = protected(b"");
    unsigned.put_text(tags::STUDY_DATE, VR::DA, "20160312");
    let mut method = Dataset::new();
    method.put_text(tags::CODE_VALUE, VR::SH, "113107");
    method.put_text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, "DCM");
    let methods = tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE;
    let full = unsigned.clone();
    unsigned.put_items(methods, vec![method]);
    let filed = |unsigned: &Dataset, home: &Home| {
        let (report, bytes) = as_sent(unsigned);
        let (bytes, syntax) = restored(&bytes, &report.syntax, home).unwrap();
        let filed = Dataset::read(&bytes, &syntax).unwrap();
        assert!(filed.get(tags::STUDY_DATE).is_some(), "type 2");
        let content = filed.code(tags::CONTENT_DATE);
        assert_eq!(content, unsigned.code(tags::CONTENT_DATE), "a true one");
        filed.code(tags::STUDY_DATE)
    };
    let unknown = home("PID-1", "Muster^Erika");
    let known = Home {
        study_date: "20240312".into(),
        ..unknown.clone()
    };
    assert_eq!(filed(&unsigned, &known), "20240312");
    assert_eq!(filed(&unsigned, &unknown), "", "nobody knows the true one");
    assert_eq!(filed(&full, &unknown), "20160312");
}

fn home(id: &str, name: &str) -> Home {
    Home {
        id: id.into(),
        name: name.into(),
        birth_date: "19600101".into(),
        sex: "F".into(),
        accessions: vec!["ACC-1".into()],
        ..Home::default()
    }
}

/// An answer of a PACS in a character set.
fn answer(set: &str, id: &[u8], name: &[u8]) -> Dataset {
    let mut dataset = Dataset::new();
    dataset.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, set);
    dataset.put_text(tags::STUDY_INSTANCE_UID, VR::UI, STUDY);
    dataset.put(tags::PATIENT_ID, VR::LO, Value::Bytes(id.to_vec()));
    dataset.put(tags::PATIENT_NAME, VR::PN, Value::Bytes(name.to_vec()));
    dataset.put_text(tags::PATIENT_BIRTH_DATE, VR::DA, "19600102");
    dataset.put_text(tags::PATIENT_SEX, VR::CS, "F");
    dataset.put_text(tags::ACCESSION_NUMBER, VR::SH, "ACC-1");
    dataset
}

fn plain(id: &str, name: &str) -> Dataset {
    answer("ISO_IR 100", id.as_bytes(), name.as_bytes())
}

fn ours() -> Ours {
    Ours {
        received: Some(home("PID-1", "Muster^Erika")),
        ..Ours::default()
    }
}

fn judge(truth: Truth, asked: &Asked, ours: &Ours) -> Verdict {
    let config = Config { truth, pacs: None };
    decide(&config, &STUDY.parse().unwrap(), asked, ours, 1)
}

#[track_caller]
fn files(verdict: Verdict, id: &str, name: &str, by: &str) -> Home {
    let Verdict::Restore(home, word) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!((home.id.reveal(), home.name.reveal(), word), (id, name, by));
    *home
}

#[track_caller]
fn holds(verdict: Verdict, why: &str, answers: usize) {
    let Verdict::Held(sentence, theirs) = verdict else {
        panic!("{verdict:?}");
    };
    assert!(sentence.contains(why), "{sentence}");
    assert_eq!(theirs.len(), answers);
}

#[test]
fn the_pacs_decides_and_in_its_own_spelling() {
    let found = |answers: Vec<Dataset>| judge(Truth::Pacs, &Asked::Found(answers), &ours());
    let filed = files(
        found(vec![plain("PID-1 ", "MUSTER^ERIKA^^DR")]),
        "PID-1",
        "MUSTER^ERIKA^^DR",
        "pacs",
    );
    assert_eq!(
        filed.birth_date.reveal(),
        "19600102",
        "the PACS has corrected it"
    );
    assert_eq!(filed.issuer.reveal(), "", "the PACS has none");
    holds(
        found(vec![plain("PID-2", "Muster^Erika")]),
        "another patient ID",
        1,
    );
    holds(found(vec![]), "does not know the study", 0);
    let two = vec![plain("PID-1", "Muster^Erika"), plain("PID-2", "Other^One")];
    holds(found(two), "several patients", 2);
    let twice = vec![
        plain("PID-1", "Muster^Erika"),
        plain("PID-1", "Muster^Erika"),
    ];
    files(found(twice), "PID-1", "Muster^Erika", "pacs");
    let mut elsewhere = plain("PID-1", "Muster^Erika");
    elsewhere.put_text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.4");
    holds(found(vec![elsewhere]), "does not know the study", 0);
}

#[test]
fn an_issuer_of_another_house_is_another_patient_and_a_missing_one_is_not() {
    let with = |issuer: &str| {
        let mut dataset = plain("PID-1", "Muster^Erika");
        dataset.put_text(tags::ISSUER_OF_PATIENT_ID, VR::LO, issuer);
        Asked::Found(vec![dataset])
    };
    let mut ours = ours();
    let filed = files(
        judge(Truth::Pacs, &with("NORTH"), &ours),
        "PID-1",
        "Muster^Erika",
        "pacs",
    );
    assert_eq!(filed.issuer.reveal(), "NORTH");
    ours.received = ours.received.map(|home| Home {
        issuer: "SOUTH".into(),
        ..home
    });
    holds(
        judge(Truth::Pacs, &with("NORTH"), &ours),
        "another patient ID",
        1,
    );
    let filed = files(
        judge(Truth::Pacs, &with(""), &ours),
        "PID-1",
        "Muster^Erika",
        "pacs",
    );
    assert_eq!(
        filed.issuer.reveal(),
        "",
        "an issuer that the PACS does not use is not added"
    );
}

#[test]
fn nobody_to_ask_is_held_unless_the_original_is_trusted() {
    for (asked, why) in [
        (Asked::Nobody, "no PACS is configured"),
        (Asked::NotOffered, "takes no questions"),
    ] {
        holds(judge(Truth::Pacs, &asked, &ours()), why, 0);
        files(
            judge(Truth::Original, &asked, &ours()),
            "PID-1",
            "Muster^Erika",
            "original",
        );
    }
    let other = Asked::Found(vec![plain("PID-2", "Muster^Erika")]);
    holds(
        judge(Truth::Original, &other, &ours()),
        "another patient ID",
        1,
    );
    holds(
        judge(Truth::Original, &Asked::Nobody, &Ours::default()),
        "is gone",
        0,
    );
}

#[test]
fn a_question_without_an_answer_waits() {
    let failed = Asked::Failed("10.0.0.5:104 does not accept a connection".to_owned());
    for truth in [Truth::Pacs, Truth::Original] {
        let Verdict::Waiting(sentence) = judge(truth, &failed, &ours()) else {
            panic!("an outage is no answer");
        };
        assert!(
            sentence.contains("does not accept a connection"),
            "{sentence}"
        );
    }
    let config = Config::default();
    let study = STUDY.parse().unwrap();
    let refused = |count| decide(&config, &study, &Asked::Refused(0xA700), &ours(), count);
    assert!(matches!(refused(9), Verdict::Waiting(sentence) if sentence.contains("A700")));
    holds(refused(10), "refuses to say", 0);
}

#[test]
fn the_newest_header_serves_and_the_sealed_originals_when_it_is_gone() {
    let sealed = Home {
        referrer: "Ref^Doc".into(),
        ..home("PID-0", "Muster^Erica")
    };
    let both = Ours {
        sealed: Some(sealed.clone()),
        ..ours()
    };
    let filed = files(
        judge(Truth::Original, &Asked::Nobody, &both),
        "PID-1",
        "Muster^Erika",
        "original",
    );
    assert_eq!(
        filed.referrer.reveal(),
        "Ref^Doc",
        "what the rows do not say"
    );
    let gone = Ours {
        sealed: Some(sealed),
        ..Ours::default()
    };
    files(
        judge(Truth::Original, &Asked::Nobody, &gone),
        "PID-0",
        "Muster^Erica",
        "original",
    );
    // when they disagree, the PACS decides, whichever it knows
    for (id, name) in [("PID-0", "A^B"), ("PID-1", "C^D")] {
        files(
            judge(Truth::Pacs, &Asked::Found(vec![plain(id, name)]), &both),
            id,
            name,
            "pacs",
        );
    }
}

#[test]
fn a_pacs_that_names_no_patient_files_nothing_by_itself() {
    for placeholder in [false, true] {
        let ours = Ours {
            placeholder,
            ..ours()
        };
        let nobody = Asked::Found(vec![plain("", "")]);
        holds(
            judge(Truth::Pacs, &nobody, &ours),
            "without a patient ID",
            1,
        );
    }
}

#[test]
fn who_was_unknown_is_who_the_pacs_knows_by_then() {
    let unknown = Ours {
        received: Some(Home {
            birth_date: "19000101".into(),
            ..home("UNKNOWN", "TRAUMA^7")
        }),
        sealed: None,
        placeholder: true,
    };
    let known = Asked::Found(vec![plain("PID-9", "Found^Name")]);
    let filed = files(
        judge(Truth::Pacs, &known, &unknown),
        "PID-9",
        "Found^Name",
        "pacs",
    );
    assert_eq!(filed.birth_date.reveal(), "19600102");
    for truth in [Truth::Pacs, Truth::Original] {
        assert!(matches!(
            judge(truth, &Asked::Nobody, &unknown),
            Verdict::Held(_, _)
        ));
        holds(
            judge(truth, &Asked::Found(vec![]), &unknown),
            "does not know",
            0,
        );
    }
}

#[test]
fn every_character_set_becomes_utf8_and_an_unreadable_one_is_held() {
    let latin = b"M\xFCller^J\xF6rg";
    let greek = b"\xD0\xE1\xF0\xE1\xE4\xFC\xF0\xEF\xF5\xEB\xEF\xF2^\xB6\xED\xED\xE1";
    let kanji =
        b"Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B=\x1B$B$d$^$@\x1B(B^\x1B$B$?$m$&\x1B(B";
    for (set, name, text) in [
        ("ISO_IR 100", &latin[..], "Müller^Jörg"),
        ("ISO_IR 126", &greek[..], "Παπαδόπουλος^Άννα"),
        (
            "\\ISO 2022 IR 87",
            &kanji[..],
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        ("ISO_IR 192", "Иванова^Анна".as_bytes(), "Иванова^Анна"),
    ] {
        let asked = Asked::Found(vec![answer(set, b"PID-1", name)]);
        let filed = files(judge(Truth::Pacs, &asked, &ours()), "PID-1", text, "pacs");
        let bytes = rewritten(&filed);
        assert_eq!(bytes.bytes(tags::SPECIFIC_CHARACTER_SET), b"ISO_IR 192");
        assert_eq!(bytes.text(tags::PATIENT_NAME, &bytes.character_set()), text);
    }
    for (set, name) in [("", &latin[..]), ("ISO_IR 192", &latin[..])] {
        let asked = Asked::Found(vec![answer(set, b"PID-1", name)]);
        holds(
            judge(Truth::Pacs, &asked, &ours()),
            "no readable character set",
            1,
        );
    }
    let unread = Ours {
        received: Some(home("PID-1", "M\u{FFFD}ller")),
        ..Ours::default()
    };
    holds(
        judge(Truth::Original, &Asked::Nobody, &unread),
        "no readable character set",
        0,
    );
}

fn rewritten(home: &Home) -> Dataset {
    let (report, bytes) = as_sent(&protected(b""));
    let (bytes, _) = restored(&bytes, &report.syntax, home).unwrap();
    sr::from_bytes(&bytes).unwrap()
}

#[test]
fn the_patient_is_put_back_and_nothing_that_is_signed_changes() {
    let (report, bytes) = as_sent(&protected(b"sealed"));
    let before = sr::from_bytes(&bytes).unwrap();
    let told = Home {
        referrer: "Ref^Doc".into(),
        study_id: "S-7".into(),
        ..home("PID-1", "Muster^Erika")
    };
    let (restored, _) = restored(&bytes, &report.syntax, &told).unwrap();
    let after = sr::from_bytes(&restored).unwrap();
    let signed = signature::verify_dataset(&after).unwrap().signed;
    for tag in signed {
        assert!(before.get(tag) == after.get(tag), "{tag}");
    }
    let told: Vec<String> = [
        tags::PATIENT_ID,
        tags::PATIENT_NAME,
        tags::PATIENT_BIRTH_DATE,
        tags::PATIENT_SEX,
        tags::ACCESSION_NUMBER,
        tags::REFERRING_PHYSICIAN_NAME,
        tags::STUDY_ID,
    ]
    .map(|tag| after.code(tag))
    .to_vec();
    assert_eq!(
        told,
        [
            "PID-1",
            "Muster^Erika",
            "19600101",
            "F",
            "ACC-1",
            "Ref^Doc",
            "S-7"
        ]
    );
    for gone in [
        tags::PATIENT_IDENTITY_REMOVED,
        tags::DEIDENTIFICATION_METHOD,
        tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE,
        tags::ENCRYPTED_ATTRIBUTES_SEQUENCE,
        tags::ISSUER_OF_PATIENT_ID,
    ] {
        assert!(after.get(gone).is_none(), "{gone}");
    }
    let requests = after.items(tags::REFERENCED_REQUEST_SEQUENCE);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].code(tags::ACCESSION_NUMBER), "ACC-1");
    assert_eq!(requests[0].code(tags::STUDY_INSTANCE_UID), STUDY);
    let added: Vec<_> = after
        .iter()
        .map(|(tag, _)| tag)
        .filter(|tag| before.get(*tag).is_none())
        .collect();
    assert_eq!(
        added,
        [tags::REFERENCED_REQUEST_SEQUENCE],
        "nothing of the equipment is added"
    );
}

#[test]
fn each_of_several_accessions_is_a_request() {
    let mut told = plain("PID-1", "Muster^Erika");
    told.put_text(tags::ACCESSION_NUMBER, VR::SH, "ACC-1\\ACC-2");
    let mut request = Dataset::new();
    request.put_text(tags::ACCESSION_NUMBER, VR::SH, "ACC-3");
    told.put_items(tags::REQUEST_ATTRIBUTES_SEQUENCE, vec![request]);
    let home = Home::of(&told, &CharacterSet::default());
    let after = rewritten(&home);
    let of: Vec<String> = after
        .items(tags::REFERENCED_REQUEST_SEQUENCE)
        .iter()
        .map(|item| item.code(tags::ACCESSION_NUMBER))
        .collect();
    assert_eq!(of, ["ACC-1", "ACC-2", "ACC-3"]);
    assert_eq!(
        after.code(tags::ACCESSION_NUMBER),
        "",
        "none of them is the study's alone"
    );
    let none = Home {
        accessions: vec![],
        ..home
    };
    let after = rewritten(&none);
    assert!(after.get(tags::REFERENCED_REQUEST_SEQUENCE).is_none());
    assert_eq!(
        after.code(tags::ACCESSION_NUMBER),
        "",
        "the token does not stay"
    );
}

#[test]
fn a_report_that_was_changed_is_not_restored() {
    let (report, bytes) = as_sent(&protected(b""));
    let mut dataset = sr::from_bytes(&bytes).unwrap();
    dataset.put_text(tags::COMPLETION_FLAG, VR::CS, "PARTIAL");
    let changed = restored(&dataset.write(), &report.syntax, &home("PID-1", "A^B"));
    assert!(
        matches!(changed, Err(RestoreError::Signature("received", _))),
        "{changed:?}"
    );
    let broken = restored(
        &bytes[..bytes.len() - 3],
        &report.syntax,
        &home("PID-1", "A^B"),
    );
    assert!(matches!(broken, Err(RestoreError::Read(_))), "{broken:?}");
}
