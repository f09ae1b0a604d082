//! The token zoo of reliability C.5: only what this gateway issued, whole and in time, names somebody.

use super::*;

const NOW: Timestamp = Timestamp(1_780_000_000_000_000);
const HEADER: &str = r#"{"typ":"at+jwt","alg":"EdDSA"}"#;
const SECONDS: u64 = 1_780_000_000;

fn tokens() -> (tempfile::TempDir, Tokens) {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::open_or_create(&folder.path().join("token.key"), 3600).unwrap();
    (folder, tokens)
}

fn claims() -> serde_json::Value {
    serde_json::json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "me", "iat": SECONDS, "exp": SECONDS + 60, "ver": 1 })
}

/// Any header over any claims, rightly signed.
fn forged(tokens: &Tokens, header: &str, claims: &str) -> String {
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &tokens.signing, Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
}

fn with(name: &str, value: serde_json::Value) -> String {
    let mut all = claims();
    all[name] = value;
    all.to_string()
}

fn without(name: &str) -> String {
    let mut all = claims();
    all.as_object_mut().unwrap().remove(name);
    all.to_string()
}

#[test]
fn what_was_issued_holds_until_it_expires() {
    let (_folder, tokens) = tokens();
    let good = forged(&tokens, HEADER, &claims().to_string());
    assert_eq!(tokens.holder(&good, NOW), Some(("me".to_owned(), 1)));
    let late = NOW.plus(Duration::from_secs(60));
    assert_eq!(tokens.holder(&good, late), None);
}

#[test]
fn the_key_is_kept_private_and_used_again() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, tokens) = tokens();
    let file = folder.path().join("token.key");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let good = forged(&tokens, HEADER, &claims().to_string());
    let again = Tokens::open_or_create(&file, 3600).unwrap();
    assert!(again.holder(&good, NOW).is_some());
    let other = Tokens::open_or_create(&folder.path().join("other.key"), 3600).unwrap();
    assert!(other.holder(&good, NOW).is_none());
}

#[test]
fn headers_are_a_closed_set() {
    let (_folder, tokens) = tokens();
    for header in [
        r#"{"alg":"none","typ":"at+jwt"}"#,
        r#"{"alg":"None","typ":"at+jwt"}"#,
        r#"{"alg":"nOnE","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","typ":"at+jwt"}"#,
        r#"{"alg":"ES256","typ":"at+jwt"}"#,
        r#"{"alg":"RS256","typ":"at+jwt"}"#,
        r#"{"alg":"EdDSA","typ":"JWT"}"#,
        r#"{"alg":"EdDSA"}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt","kid":"../../dev/null"}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt","jku":"http://127.0.0.1/keys"}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt","x5u":"file:///etc/passwd"}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt","x5c":["MIIB"]}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt","jwk":{"kty":"OKP"}}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt","crit":["exp"]}"#,
        r#"{"alg":"EdDSA","alg":"none","typ":"at+jwt"}"#,
        "not json",
        "",
    ] {
        let token = forged(&tokens, header, &claims().to_string());
        assert_eq!(tokens.holder(&token, NOW), None, "{header}");
    }
}

#[test]
fn claims_are_a_closed_set_of_exact_kinds() {
    let (_folder, tokens) = tokens();
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let mut zoo = vec![
        with("exp", json("\"1780000060\"")),
        with("exp", json("1780000060.5")),
        with("exp", json("-1")),
        with("exp", json("null")),
        with("exp", json("[1780000060]")),
        with("exp", json(&(SECONDS - 1).to_string())),
        with("iat", json(&(SECONDS + 3600).to_string())),
        with("nbf", json("1")),
        with("aud", json(r#"["causeway-api"]"#)),
        with("aud", json(r#"["causeway-api","other"]"#)),
        with("aud", json(r#""causeway-site""#)),
        with("iss", json(r#""somebody""#)),
        with("iss", json(r#"["causeway"]"#)),
        with("scope", json(r#""all""#)),
        format!(
            r#"{{"sub":"you",{}"#,
            claims().to_string().strip_prefix('{').unwrap()
        ),
        "[]".to_owned(),
        String::new(),
    ];
    zoo.extend(["iss", "aud", "sub", "iat", "exp", "ver"].map(without));
    for claims in zoo {
        let token = forged(&tokens, HEADER, &claims);
        assert_eq!(tokens.holder(&token, NOW), None, "{claims}");
    }
}

#[test]
fn signatures_of_other_kinds_do_not_hold() {
    let (_folder, tokens) = tokens();
    let good = forged(&tokens, HEADER, &claims().to_string());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
    let public = tokens.checking.try_get_as_bytes().unwrap();
    let secret = EncodingKey::from_secret(public);
    let mac = jsonwebtoken::crypto::sign(message.as_bytes(), &secret, Algorithm::HS256).unwrap();
    let other = with("sub", "you".into());
    let header = URL_SAFE_NO_PAD.encode(HEADER);
    for token in [
        format!("{message}."),
        message.to_owned(),
        format!("{message}.{zeros}"),
        format!("{message}.{mac}"),
        format!("{message}.{signature}.{signature}"),
        format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(other)),
        format!("{good}="),
        "a".repeat(1 << 20),
        String::new(),
        "..".to_owned(),
    ] {
        assert_eq!(tokens.holder(&token, NOW), None, "{} bytes", token.len());
    }
}
