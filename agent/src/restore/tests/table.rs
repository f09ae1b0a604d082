//! P3 as a table that is printed: what the PACS says and what the site has, and what was filed.

use super::*;

/// What the site knows of the study: the received header, the sealed originals.
fn known(received: Option<Home>, sealed: Option<Home>, placeholder: bool) -> Ours {
    Ours {
        received,
        sealed,
        placeholder,
    }
}

fn with_issuer(id: &str, name: &str, issuer: &str) -> Dataset {
    let mut dataset = plain(id, name);
    dataset.put_text(tags::ISSUER_OF_PATIENT_ID, VR::LO, issuer);
    dataset
}

/// What a verdict does, in one line.
fn said(verdict: Verdict) -> String {
    match verdict {
        Verdict::Restore(home, by) => {
            let issuer = match home.issuer.reveal() {
                "" => "no issuer".to_owned(),
                issuer => format!("issuer {issuer}"),
            };
            let orders = home.accessions.len();
            format!(
                "filed: {} {}, {issuer}, {orders} accession(s), by {by}",
                home.id.reveal(),
                home.name.reveal()
            )
        }
        Verdict::Held(why, answers) => {
            let why = why.split(';').next().unwrap_or_default();
            format!("held, {} beside it: {why}", answers.len())
        }
        Verdict::Waiting(why) => format!("asked again: {why}"),
    }
}

/// One row per case: the case, what the PACS answers, what the site has, whom it trusts, and what came of it.
#[test]
#[expect(clippy::too_many_lines, reason = "a table stays a table")]
fn one_row_per_case_and_what_was_filed() {
    let house = home("PID-1", "Muster^Erika");
    let ours = || known(Some(house.clone()), None, false);
    let found = |answers: &[Dataset]| Asked::Found(answers.to_vec());
    let two_orders = || {
        let mut second = plain("PID-1", "Muster^Erika");
        second.put_text(tags::ACCESSION_NUMBER, VR::SH, "ACC-1\\ACC-2");
        second
    };
    let unreadable = answer("ISO_IR 192", b"PID-1", b"M\xFCller");
    let unknown = || known(Some(home("UNKNOWN", "TRAUMA^7")), None, true);
    let cases: Vec<(&str, Asked, Ours, Truth, &str)> = vec![
        (
            "same ID",
            found(&[plain("PID-1", "MUSTER^ERIKA")]),
            ours(),
            Truth::Pacs,
            "filed: PID-1 MUSTER^ERIKA, no issuer, 1 accession(s), by pacs",
        ),
        (
            "same ID, corrected name",
            found(&[plain("PID-1", "Muster-Neu^Erika")]),
            ours(),
            Truth::Pacs,
            "filed: PID-1 Muster-Neu^Erika, no issuer, 1 accession(s), by pacs",
        ),
        (
            "the PACS uses an issuer",
            found(&[with_issuer("PID-1", "Muster^Erika", "NORTH")]),
            ours(),
            Truth::Pacs,
            "filed: PID-1 Muster^Erika, issuer NORTH, 1 accession(s), by pacs",
        ),
        (
            "the PACS uses none",
            found(&[plain("PID-1", "Muster^Erika")]),
            known(
                Some(Home {
                    issuer: "NORTH".into(),
                    ..house.clone()
                }),
                None,
                false,
            ),
            Truth::Pacs,
            "filed: PID-1 Muster^Erika, no issuer, 1 accession(s), by pacs",
        ),
        (
            "another issuer",
            found(&[with_issuer("PID-1", "Muster^Erika", "SOUTH")]),
            known(
                Some(Home {
                    issuer: "NORTH".into(),
                    ..house.clone()
                }),
                None,
                false,
            ),
            Truth::Pacs,
            "held, 1 beside it: the PACS files the study under another patient ID",
        ),
        (
            "two accessions",
            found(&[two_orders()]),
            ours(),
            Truth::Pacs,
            "filed: PID-1 Muster^Erika, no issuer, 2 accession(s), by pacs",
        ),
        (
            "merged into another ID",
            found(&[plain("PID-2", "Muster^Erika")]),
            ours(),
            Truth::Pacs,
            "held, 1 beside it: the PACS files the study under another patient ID",
        ),
        (
            "the same, and the original is trusted",
            found(&[plain("PID-2", "Muster^Erika")]),
            ours(),
            Truth::Original,
            "held, 1 beside it: the PACS files the study under another patient ID",
        ),
        (
            "study not there",
            found(&[]),
            ours(),
            Truth::Pacs,
            "held, 0 beside it: the PACS does not know the study",
        ),
        (
            "the PACS names no patient ID",
            found(&[plain("", "")]),
            ours(),
            Truth::Pacs,
            "held, 1 beside it: the PACS files the study without a patient ID",
        ),
        (
            "two patients",
            found(&[plain("PID-1", "Muster^Erika"), plain("PID-2", "Other^One")]),
            ours(),
            Truth::Pacs,
            "held, 2 beside it: the PACS files the study under several patients",
        ),
        (
            "unreadable name",
            found(&[unreadable]),
            ours(),
            Truth::Pacs,
            "held, 1 beside it: the patient's data are in no readable character set",
        ),
        (
            "no C-FIND configured",
            Asked::Nobody,
            ours(),
            Truth::Pacs,
            "held, 0 beside it: no PACS is configured that says who the patient is",
        ),
        (
            "no C-FIND, the original is trusted",
            Asked::Nobody,
            ours(),
            Truth::Original,
            "filed: PID-1 Muster^Erika, no issuer, 1 accession(s), by original",
        ),
        (
            "the rows are gone, the sealed originals open",
            Asked::Nobody,
            known(None, Some(house.clone()), false),
            Truth::Original,
            "filed: PID-1 Muster^Erika, no issuer, 1 accession(s), by original",
        ),
        (
            "both are gone",
            Asked::Nobody,
            known(None, None, false),
            Truth::Original,
            "held, 0 beside it: what was received is gone and the sealed originals do not open",
        ),
        (
            "was UNKNOWN, the PACS knows by now",
            found(&[plain("PID-9", "Found^Name")]),
            unknown(),
            Truth::Pacs,
            "filed: PID-9 Found^Name, no issuer, 1 accession(s), by pacs",
        ),
        (
            "was UNKNOWN, nobody to ask",
            Asked::Nobody,
            unknown(),
            Truth::Original,
            "held, 0 beside it: no identity was established when the study was sent",
        ),
        (
            "the PACS does not answer",
            Asked::Failed("no connection".to_owned()),
            ours(),
            Truth::Original,
            "asked again: the PACS could not be asked for the patient: no connection",
        ),
        (
            "the PACS refuses",
            Asked::Refused(0xA700),
            ours(),
            Truth::Pacs,
            "asked again: the PACS refused the question for the patient with status A700",
        ),
    ];
    let mut wrong = Vec::new();
    for (case, asked, ours, truth, expected) in cases {
        let outcome = said(judge(truth, &asked, &ours));
        println!("{case:<46} {outcome}");
        if outcome != expected {
            wrong.push(format!("{case}: {outcome}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
