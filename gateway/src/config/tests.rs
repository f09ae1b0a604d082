//! A wrong file is named with line, key and what would be right; a right one needs one key only.

use super::*;

fn said(text: &str) -> String {
    parse("gateway.toml", text).unwrap_err().to_string()
}

#[test]
fn one_key_is_enough() {
    let config = parse("gateway.toml", "data = \"/var/lib/causeway-gateway\"").unwrap();
    assert_eq!(config.http.listen, "127.0.0.1:8080");
    assert_eq!(config.link.enrolment_listen, "0.0.0.0:8443");
    assert_eq!(config.health.listen, "127.0.0.1:9090");
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_right_ones() {
    let text = "data = \"/d\"\n\n[http]\nlistn = \"127.0.0.1:1\"\n";
    let said = said(text);
    assert!(said.starts_with("gateway.toml:4: listn: "), "{said}");
    assert!(
        said.contains("`listn`") && said.contains("`listen`"),
        "{said}"
    );
}

#[test]
fn a_wrong_type_is_named_without_repeating_the_line() {
    let said = said("data = \"/d\"\n[rows]\npostgres_url = 7\n");
    assert!(said.starts_with("gateway.toml:3: postgres_url: "), "{said}");
    let secret = said_of_secret();
    assert!(!secret.contains("hunter2"), "{secret}");
}

fn said_of_secret() -> String {
    said("data = \"/d\"\n[rows]\npostgres_url = \"postgres://u:hunter2@h/d\" x\n")
}

#[test]
fn values_that_cannot_be_are_named() {
    let cases = [
        ("[http]\nlisten = \"nowhere\"", "http.listen"),
        (
            "[http]\npublic_url = \"gateway.example\"",
            "http.public_url",
        ),
        (
            "[http]\npublic_url = \"https://gateway.example/path\"",
            "http.public_url",
        ),
        ("[http]\ntls_key = \"/nothing\"", "http.tls_key"),
        ("[http]\nviewer = \"/nothing/ohif.tar\"", "http.viewer"),
        ("[link]\nnames = []", "link.names"),
        ("[link]\nnames = [\"not a name\"]", "link.names"),
        (
            "[link]\nmax_handshakes_per_address = 0",
            "link: max_connections, max_handshakes_per_address",
        ),
        ("[log]\nlevel = \"loud\"", "log.level"),
    ];
    for (text, key) in cases {
        let said = said(&format!("data = \"/d\"\n{text}\n"));
        assert!(said.contains(key), "{text}: {said}");
    }
}

#[test]
fn the_sample_in_deploy_is_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/gateway.toml");
    let config = load(&path).unwrap();
    assert_eq!(config.link.names, ["gateway.example"]);
}
