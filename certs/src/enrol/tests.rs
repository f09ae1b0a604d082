//! Codes survive transcription, messages keep their bounds, credentials survive a power cut.

use std::path::Path;

use causeway_proto::time::Timestamp;

use super::*;
use crate::authority::tests::{NOON, link_authority, random};
use crate::authority::{Fingerprint, LinkAuthority, RENEW_AFTER, SITE_LIFE};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Credentials of a site by this authority, issued at `now`; the gateway's own authority is `trusted`.
pub(crate) fn credentials(
    authority: &LinkAuthority,
    trusted: &LinkAuthority,
    now: Timestamp,
) -> Credentials {
    let key = NewKey::draw().unwrap();
    let site = "st-mary".parse().unwrap();
    let issued = authority
        .issue_site(&site, key.request(), now, &random())
        .unwrap();
    let answer = Enrolled {
        certificate: issued.der.to_vec().into(),
        link_authority: trusted.certificate().to_vec().into(),
        signer_authority: trusted.certificate().to_vec().into(),
        site,
        name: "St Mary".to_owned(),
        agreements: Vec::new(),
        now,
    };
    key.with(&answer).unwrap()
}

fn code() -> Code {
    Code::draw(&Fingerprint([0xa5; 32]), &random())
}

#[test]
fn a_code_reads_back_through_capitals_look_alikes_and_blanks() {
    for _ in 0..100 {
        let code = code();
        let text = code.to_string();
        assert_eq!(text.parse(), Ok(code.clone()));
        assert_eq!(text.to_uppercase().parse(), Ok(code.clone()));
        let typed = text
            .replace('1', "l")
            .replace("cwl-", "cw1-")
            .replace('0', "O");
        assert_eq!(format!(" {typed}\n").parse(), Ok(code.clone()));
        assert!(!text.contains(['i', 'l', 'o', 'u']), "{text}");
    }
}

#[test]
fn what_is_no_code_is_refused_without_being_repeated() {
    let text = code().to_string();
    for wrong in [
        "",
        "cw1",
        "cw2-",
        &text[..text.len() - 1],
        &format!("{text}x"),
        &text.replace("cw1", "cw2"),
    ] {
        let error = wrong.parse::<Code>().unwrap_err();
        assert!(
            wrong.len() < 10 || !error.to_string().contains(wrong),
            "{error}"
        );
    }
}

#[test]
fn the_secret_is_stored_one_way_and_shown_nowhere() {
    let code = code();
    let secret = code.secret();
    assert!(secret.matches(&secret.hash()));
    assert!(
        !Secret::parse("0123456789abcdef")
            .unwrap()
            .matches(&secret.hash())
    );
    assert!(!secret.hash().contains(secret.expose()));
    assert!(!format!("{code:?} {secret:?}").contains(secret.expose()));
    let request = Request {
        ask: Ask::Enrol {
            id: code.id().to_owned(),
            secret: secret.expose().to_owned(),
        },
        csr: Vec::new().into(),
        now: NOON,
        software: "test".to_owned(),
    };
    assert!(!format!("{request:?} {:?}", request.ask).contains(secret.expose()));
}

#[test]
fn a_code_knows_its_authority_and_no_other() {
    let (mine, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mine, other) = (link_authority(mine.path()), link_authority(other.path()));
    let code = Code::draw(&mine.fingerprint(), &random());
    assert!(code.is_of(mine.certificate()));
    assert!(!code.is_of(other.certificate()));
}

#[test]
fn frames_are_bounded_in_both_directions() {
    let refused = Answer::Refused(Refused {
        word: Word::UsedCode,
        sentence: "used".to_owned(),
    });
    let bytes = frame(&refused).unwrap();
    let (head, body) = bytes.split_at(4);
    assert_eq!(decode_length(head.try_into().unwrap()).unwrap(), body.len());
    assert_eq!(parse::<Answer>(body).unwrap(), refused);
    assert!(matches!(
        decode_length(u32::MAX.to_be_bytes()),
        Err(FrameError::TooLong(_))
    ));
    let long = Answer::Refused(Refused {
        word: Word::Busy,
        sentence: "x".repeat(MAX_FRAME),
    });
    assert!(matches!(frame(&long), Err(FrameError::TooLong(_))));
    for length in 0..body.len() {
        assert!(
            parse::<Answer>(&body[..length]).is_err(),
            "{length} bytes of {}",
            body.len()
        );
    }
}

#[test]
fn renewal_is_due_from_day_60_and_the_only_thing_after_the_end_for_30_days() {
    let folder = tempfile::tempdir().unwrap();
    let authority = link_authority(folder.path());
    let credentials = credentials(&authority, &authority, NOON);
    let at = |day: u32| credentials.renewal(NOON.plus(DAY * day));
    let days = [0, 59, 61, 89, 91, 119, 121].map(at);
    use Renewal::{Due, NotYet, Only, TooLate};
    assert_eq!(days, [NotYet, NotYet, Due, Due, Only, Only, TooLate]);
    assert_eq!(SITE_LIFE + RENEW_AFTER, DAY * 120);
}

fn load(folder: &Path) -> String {
    Credentials::load(folder).unwrap().serial().to_string()
}

#[test]
fn a_power_cut_at_any_step_of_a_renewal_leaves_one_working_pair() {
    let keys = tempfile::tempdir().unwrap();
    let authority = link_authority(keys.path());
    let (old, new) = (
        credentials(&authority, &authority, NOON),
        credentials(&authority, &authority, NOON),
    );
    let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(matches!(
        Credentials::load(before.path()),
        Err(CredentialsError::NotEnrolled)
    ));
    old.keep(before.path(), &random()).unwrap();
    new.keep(after.path(), &random()).unwrap();
    assert_eq!(load(before.path()), old.serial().to_string());
    let move_in = |from: &str, to: &str| {
        std::fs::copy(after.path().join(from), before.path().join(to)).unwrap();
    };
    move_in("agent.key", "agent.key.next");
    assert_eq!(
        load(before.path()),
        old.serial().to_string(),
        "cut after the new key was written"
    );
    move_in("agent.pem", "agent.pem");
    assert_eq!(
        load(before.path()),
        new.serial().to_string(),
        "cut after the new certificate was written"
    );
    assert!(
        !before.path().join("agent.key.next").exists(),
        "loading finished the renewal"
    );
    assert_eq!(load(before.path()), new.serial().to_string());
}

#[test]
fn a_certificate_for_another_key_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let authority = link_authority(folder.path());
    let theirs = NewKey::draw().unwrap();
    let site = "st-mary".parse().unwrap();
    let issued = authority
        .issue_site(&site, theirs.request(), NOON, &random())
        .unwrap();
    let answer = Enrolled {
        certificate: issued.der.to_vec().into(),
        link_authority: authority.certificate().to_vec().into(),
        signer_authority: authority.certificate().to_vec().into(),
        site,
        name: String::new(),
        agreements: Vec::new(),
        now: NOON,
    };
    assert!(matches!(
        NewKey::draw().unwrap().with(&answer),
        Err(CredentialsError::Unusable(_))
    ));
}
