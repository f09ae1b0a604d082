//! Sample files are legal, and every kind of fault is named with its line and key.

use super::*;

const GOOD: &str = r#"spool = "/var/lib/causeway-agent"

[gateway]
address = "gateway.example:8443"

[dicom]
listen = "0.0.0.0:11112"

[[dicom.called]]
ae_title = "CAUSEWAY"
purpose = "read"
priority = "routine"

[[dicom.called]]
ae_title = "CW_PRIOR"
purpose = "comparison"

[[dicom.calling]]
ae_title = "PACS"
addresses = ["10.0.0.5"]
kind = "pacs"

[[destination]]
name = "pacs"
ae_title = "PACS"
address = "10.0.0.5:104"
calling_ae_title = "CAUSEWAY"

[restore.pacs]
ae_title = "PACS"
address = "10.0.0.5:104"
calling_ae_title = "CAUSEWAY"
"#;

fn faults(from: &str, to: &str) -> Vec<Fault> {
    assert!(GOOD.contains(from), "{from}");
    Config::parse(&GOOD.replacen(from, to, 1)).unwrap_err()
}

fn check(from: &str, to: &str, line: impl Into<Option<usize>>, key: &str, says: &str) {
    let faults = faults(from, to);
    let first = &faults[0];
    assert_eq!(
        (first.line, first.key.as_str()),
        (line.into(), key),
        "{faults:?}"
    );
    assert!(first.what.contains(says), "{faults:?}");
}

#[test]
fn the_smallest_file_is_legal_and_has_the_defaults() {
    let config = Config::parse(GOOD).unwrap();
    assert_eq!(config.complete.pacs_silence_s, 30);
    assert_eq!(config.disk.keep_after_receipt_h, 72);
    let remarks = config.remarks();
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    assert!(remarks[0].starts_with("alarms "), "{remarks:?}");
}

#[test]
fn the_sample_that_is_shipped_is_legal() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let config = Config::load(&root.join("deploy/agent.toml")).unwrap();
    assert_eq!(config.dicom.called.len(), 3);
    assert_eq!(config.remarks(), Vec::<String>::new());
    assert!(config.alarms.leaves());
}

#[test]
fn faults_name_line_and_key_and_what_would_be_right() {
    check(
        "purpose = \"read\"",
        "purpose = \"reed\"",
        11,
        "dicom.called.0.purpose",
        "comparison",
    );
    check(
        "purpose = \"comparison\"",
        "porpose = \"comparison\"",
        16,
        "dicom.called.1.porpose",
        "purpose",
    );
    check(
        "listen = \"0.0.0.0:11112\"",
        "listen = 11112",
        7,
        "dicom.listen",
        "",
    );
    check(
        "[gateway]",
        "[gateway]\nadress = \"x\"",
        4,
        "gateway.adress",
        "address",
    );
    check(
        "address = \"gateway.example:8443\"",
        "address = \"gateway.example\"",
        4,
        "gateway.address",
        "host:port",
    );
}

#[test]
fn faults_of_sense_are_named_as_well() {
    check(
        "name = \"pacs\"",
        "name = \"The PACS\"",
        24,
        "destination.0.name",
        "lower-case",
    );
    check(
        "name = \"pacs\"",
        "name = \"site\"",
        24,
        "destination.0.name",
        "agent itself",
    );
    check(
        "kind = \"pacs\"",
        "kind = \"ris\"",
        21,
        "dicom.calling.0.kind",
        "modality",
    );
    check(
        "ae_title = \"PACS\"\nadd",
        "ae_title = \"A TITLE THAT IS TOO LONG\"\nadd",
        19,
        "dicom.calling.0.ae_title",
        "",
    );
    check(
        "[dicom]\n",
        "[dicom]\nmax_pdu_bytes = 1\n",
        7,
        "dicom.max_pdu_bytes",
        "16384",
    );
    check(
        "spool = \"/var/lib/causeway-agent\"\n",
        "",
        None,
        "spool",
        "missing",
    );
}

#[test]
fn what_is_no_toml_is_said_so_with_its_line() {
    let faults = faults("[gateway]", "[gateway");
    assert_eq!(faults[0].line, Some(3));
    let error = ConfigError {
        file: "agent.toml".into(),
        faults,
    };
    assert!(
        error
            .to_string()
            .starts_with("agent.toml:3: this is no TOML"),
        "{error}"
    );
}

#[test]
fn what_is_hardly_meant_is_remarked() {
    let alone = GOOD.split("[[dicom.calling]]").next().unwrap();
    let remarks = Config::parse(alone).unwrap().remarks();
    assert_eq!(remarks.len(), 4, "{remarks:?}");
}

/// A sender that may ask for commitment deletes what it hears of: that is said each time.
#[test]
fn who_may_ask_for_commitment_is_remarked() {
    let calling = "[[dicom.calling]]\nae_title = \"CT9\"\nkind = \"modality\"\ncommitment = \"10.0.0.9:104\"\n\n[[dicom.calling]]";
    let with = GOOD.replacen("[[dicom.calling]]", calling, 1);
    let of = |text: &str| Config::parse(text).unwrap().remarks();
    let more: Vec<String> = of(&with)
        .into_iter()
        .filter(|it| !of(GOOD).contains(it))
        .collect();
    assert_eq!(more.len(), 1, "{more:?}");
    assert!(
        more[0].contains("CT9") && more[0].contains("deletes"),
        "{more:?}"
    );
    let faults = Config::parse(&format!("{GOOD}\n[commitment]\nmax_open = 0\n")).unwrap_err();
    assert_eq!(faults[0].key, "commitment.max_open");
}
