//! Requests for an association and the answers that PS3.8 and our own limits demand.

use super::*;

const IMPLICIT: &str = "1.2.840.10008.1.2";
const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

fn config() -> Config {
    toml::from_str(
        r#"
        [[called]]
        ae_title = "CAUSEWAY"
        purpose = "read"
        [[calling]]
        ae_title = "PACS"
        addresses = ["10.0.0.5"]
        kind = "pacs"
        "#,
    )
    .unwrap()
}

fn request() -> AssociationRQ {
    AssociationRQ {
        protocol_version: 1,
        called_ae_title: "CAUSEWAY        ".to_owned(),
        calling_ae_title: "PACS            ".to_owned(),
        application_context_name: pdu::APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: vec![context(1, CT, &[IMPLICIT])],
        user_variables: pdu::user_variables(16_384),
    }
}

fn context(id: u8, class: &str, syntaxes: &[&str]) -> PresentationContextProposed {
    PresentationContextProposed {
        id,
        abstract_syntax: class.to_owned(),
        transfer_syntaxes: syntaxes.iter().map(|&s| s.to_owned()).collect(),
    }
}

/// The answer in short: `ac`, `rj r/s/r` or `abort reason`.
fn short(said: &AssociationRQ, address: &str, load: Load) -> String {
    match judge(said, address.parse().unwrap(), &config(), load) {
        Verdict::Accept(_) => "ac".to_owned(),
        Verdict::Reject(rejection, _) => {
            let word = pdu::encode(&rejection.into()).unwrap();
            format!("rj {}/{}/{}", word[7], word[8], word[9])
        }
        Verdict::Abort(fault, _) => {
            let source = dicom_ul::pdu::AbortRQSource::ServiceProvider(fault);
            format!(
                "abort {}",
                pdu::encode(&Pdu::AbortRQ { source }).unwrap()[9]
            )
        }
    }
}

fn check(change: impl FnOnce(&mut AssociationRQ), expect: &str) {
    let mut said = request();
    change(&mut said);
    assert_eq!(short(&said, "10.0.0.5", Load::Free), expect);
}

#[test]
fn titles_and_addresses() {
    check(|_| {}, "ac");
    check(|s| s.called_ae_title = "OTHER".to_owned(), "rj 1/1/7");
    check(|s| s.called_ae_title = pdu::title([b' '; 16]), "rj 1/1/7");
    check(|s| s.called_ae_title = "../x".to_owned(), "rj 1/1/7");
    check(
        |s| s.called_ae_title = pdu::title(*b"CAU\x07EWAY        "),
        "rj 1/1/7",
    );
    check(
        |s| s.called_ae_title = pdu::title(*b"CAU\xFFEWAY        "),
        "rj 1/1/7",
    );
    check(|s| s.calling_ae_title = "OTHER".to_owned(), "rj 1/1/3");
    check(|s| s.calling_ae_title = "a\\b".to_owned(), "rj 1/1/3");
    assert_eq!(short(&request(), "10.0.0.6", Load::Free), "rj 1/1/3");
    assert_eq!(short(&request(), "::ffff:10.0.0.5", Load::Free), "ac");
}

#[test]
fn protocol_and_limits() {
    check(|s| s.protocol_version = 2, "rj 1/2/2");
    check(|s| s.protocol_version = 3, "ac");
    check(
        |s| s.application_context_name = "1.2.3".to_owned(),
        "rj 1/1/2",
    );
    check(|s| s.application_context_name.clear(), "rj 1/1/2");
    check(|s| s.user_variables = pdu::user_variables(1), "rj 1/1/1");
    check(|s| s.user_variables = pdu::user_variables(0), "ac");
    check(|s| s.user_variables.clear(), "ac");
    assert_eq!(short(&request(), "10.0.0.5", Load::AtLimit), "rj 2/3/2");
    assert_eq!(short(&request(), "10.0.0.5", Load::Congested), "rj 2/3/1");
}

#[test]
fn contexts_that_break_the_protocol() {
    check(
        |s| s.presentation_contexts = vec![context(2, CT, &[IMPLICIT])],
        "abort 6",
    );
    check(
        |s| s.presentation_contexts.push(context(1, CT, &[IMPLICIT])),
        "abort 6",
    );
    let all = || (1..=255).step_by(2).map(|id| context(id, CT, &[IMPLICIT]));
    check(|s| s.presentation_contexts = all().collect(), "ac");
    check(
        |s| s.presentation_contexts = all().chain(all()).collect(),
        "abort 6",
    );
}

#[test]
fn every_storage_class_and_every_syntax_and_nothing_else() {
    let taken = |class: &str, syntaxes: &[&str]| {
        let (usage, answered) = answer(&context(1, class, syntaxes), false);
        let accepted = answered.reason == PresentationContextResultReason::Acceptance;
        assert_eq!(usage.is_some(), accepted);
        (answered.reason as u8, answered.transfer_syntax)
    };
    let implicit = || (0, IMPLICIT.to_owned());
    assert_eq!(taken(VERIFICATION, &[IMPLICIT]), implicit());
    assert_eq!(taken(CT, &[IMPLICIT, "1.2.840.10008.1.2.1"]), implicit());
    assert_eq!(taken("1.2.276.0.7230010.3.1.0.1", &[IMPLICIT]), implicit());
    assert_eq!(
        taken("1.3.12.2.1107.5.9.1", &["1.2.840.113619.5.2"]),
        (0, "1.2.840.113619.5.2".to_owned())
    );
    assert_eq!(taken(CT, &["not a uid", IMPLICIT]), implicit());
    assert_eq!(taken(CT, &[]).0, 4);
    assert_eq!(taken(CT, &["", ".."]).0, 4);
    for other in [
        dicom_dictionary_std::uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND,
        dicom_dictionary_std::uids::STORAGE_COMMITMENT_PUSH_MODEL,
        dicom_dictionary_std::uids::MODALITY_PERFORMED_PROCEDURE_STEP,
        dicom_dictionary_std::uids::INVENTORY_FIND,
        dicom_dictionary_std::uids::MEDIA_STORAGE_DIRECTORY_STORAGE,
        "..",
        "",
    ] {
        assert_eq!(taken(other, &[IMPLICIT]).0, 3, "{other}");
    }
    for storage in [
        dicom_dictionary_std::uids::HANGING_PROTOCOL_STORAGE,
        dicom_dictionary_std::uids::RT_BEAMS_DELIVERY_INSTRUCTION_STORAGE,
        dicom_dictionary_std::uids::ENHANCED_SR_STORAGE,
        dicom_dictionary_std::uids::IMPLANT_TEMPLATE_GROUP_STORAGE,
    ] {
        assert_eq!(taken(storage, &[IMPLICIT]).0, 0, "{storage}");
    }
}

/// Who may not ask hears the same as of any class that is not known; who may gets it in a syntax that we write, and the role that he
/// proposed for himself.
#[test]
fn commitment_is_for_those_who_may_ask() {
    let explicit = "1.2.840.10008.1.2.1";
    let jpeg = "1.2.840.10008.1.2.4.70";
    let may: Config = toml::from_str(
        r#"
        [[called]]
        ae_title = "CAUSEWAY"
        purpose = "read"
        [[calling]]
        ae_title = "PACS"
        addresses = ["10.0.0.5"]
        kind = "pacs"
        commitment = "10.0.0.5:104"
        "#,
    )
    .unwrap();
    let judged = |config: &Config, syntaxes: &[&str], role: Option<(bool, bool)>| {
        let mut said = request();
        said.presentation_contexts = vec![context(1, COMMITMENT, syntaxes)];
        let item = role.map(|(scu, scp)| pdu::role(COMMITMENT, scu, scp));
        said.user_variables.extend(item);
        let Verdict::Accept(agreed) = judge(&said, "10.0.0.5".parse().unwrap(), config, Load::Free)
        else {
            panic!("not accepted");
        };
        let Pdu::AssociationAC(answer) = agreed.answer else {
            panic!("no acceptance");
        };
        let role = pdu::role_of(&answer.user_variables, COMMITMENT);
        let taken = match &agreed.contexts[..] {
            [(1, Use::Commitment(syntax))] => Some(syntax.to_string()),
            [] => None,
            other => panic!("{other:?}"),
        };
        (
            answer.presentation_contexts[0].reason.clone() as u8,
            taken,
            role,
        )
    };
    let some = |syntax: &str| Some(syntax.to_owned());
    let both: &[&str] = &[jpeg, IMPLICIT, explicit];
    assert_eq!(
        judged(&config(), both, Some((true, false))),
        (3, None, None)
    );
    assert_eq!(judged(&may, both, None), (0, some(IMPLICIT), None));
    assert_eq!(judged(&may, &[explicit], None), (0, some(explicit), None));
    assert_eq!(judged(&may, &[jpeg], None), (4, None, None));
    for (said, heard) in [
        ((true, false), (true, false)),
        ((true, true), (true, false)),
        ((false, true), (false, false)),
    ] {
        let (_, _, role) = judged(&may, &[IMPLICIT], Some(said));
        assert_eq!(role, Some(heard), "{said:?}");
    }
}
