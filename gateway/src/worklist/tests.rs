//! Whose prior a study is, which patient IDs say nothing, and how old somebody is. Tasks are tried through `http::api`.

use super::study::{Study, is_placeholder};

fn study(uid: &str, patient: &str, date: &str) -> Study {
    Study {
        site_id: "s".into(),
        agreement_id: "g".into(),
        study_uid: uid.into(),
        purpose: "read".into(),
        patient_id: patient.into(),
        patient_issuer: String::new(),
        patient_name: String::new(),
        birth_date: String::new(),
        sex: String::new(),
        age: String::new(),
        study_date: date.into(),
        study_time: String::new(),
        accession: String::new(),
        study_id: String::new(),
        description: String::new(),
        referrer: String::new(),
        at_site: 0,
        held_at_site: 0,
        manifest_version: 0,
        sealed_us: None,
        identity_version: 1,
        content_version: 0,
        recalled_us: None,
        recall_reason: None,
        deleted_us: None,
        deleted_days: 0,
        blocked: String::new(),
        remarks: "[]".into(),
        identity: String::new(),
        shifted_dates: 0,
        restored: String::new(),
        first_us: 0,
    }
}

#[test]
fn words_that_say_nothing_of_who_it_is() {
    for id in [
        "",
        "  ",
        "0",
        "0000",
        "999",
        "unknown",
        " UNK 12 ",
        "Emergency7",
        "TRAUMA^1",
        "test",
    ] {
        assert!(is_placeholder(id), "{id:?}");
    }
    for id in ["1", "0001", "990", "A-17", "UN1"] {
        assert!(!is_placeholder(id), "{id:?}");
    }
}

#[test]
fn a_prior_is_earlier_or_sent_for_comparison_and_of_the_same_patient() {
    let current = study("1", "P", "20260102");
    assert!(current.has_prior(&study("2", "P", "20260101")));
    assert!(!current.has_prior(&study("2", "P", "20260103")));
    assert!(!current.has_prior(&study("2", "Q", "20260101")));
    assert!(!current.has_prior(&current), "itself");
    let comparison = Study {
        purpose: "comparison".into(),
        ..study("2", "P", "20260103")
    };
    assert!(current.has_prior(&comparison));
    let taken_back = Study {
        recalled_us: Some(1),
        ..comparison
    };
    assert!(!current.has_prior(&taken_back));
    let unknown = study("1", "UNKNOWN", "20260102");
    assert!(!unknown.has_prior(&study("2", "UNKNOWN", "20260101")));
}

#[test]
fn an_age_is_stated_or_computed() {
    let aged = |birth: &str, date: &str| {
        let born = Study {
            birth_date: birth.into(),
            ..study("1", "P", date)
        };
        born.age_at_study()
    };
    assert_eq!(aged("19650301", "20260228"), "060Y");
    assert_eq!(aged("19650301", "20260301"), "061Y");
    assert_eq!(aged("20250101", "20260301"), "014M");
    assert_eq!(aged("20260201", "20260301"), "028D");
    assert_eq!(aged("20270101", "20260301"), "");
    assert_eq!(aged("about 1960", "20260301"), "");
    let stated = Study {
        age: "033Y".into(),
        ..study("1", "P", "20260301")
    };
    assert_eq!(stated.age_at_study(), "033Y");
}
