//! An authority opens again as it was made, refuses torn or open files, and takes nothing but the key from a request.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{CertificateParams, IsCa};

use super::*;
use crate::identity::{parse, site_of};

/// 2026-06-01T12:00:00Z.
pub(crate) const NOON: Timestamp = Timestamp(1_780_315_200_000_000);

pub(crate) fn clock_at(at: Timestamp) -> Clock {
    Clock::new(move || at)
}

/// Different numbers at every draw, the same ones in every run.
pub(crate) fn random() -> Random {
    static SEED: AtomicU64 = AtomicU64::new(1);
    Random::new(|out| {
        for chunk in out.chunks_mut(32) {
            let n = SEED.fetch_add(1, Ordering::Relaxed);
            let bytes = digest(&SHA256, &n.to_be_bytes());
            let length = chunk.len();
            chunk.copy_from_slice(&bytes.as_ref()[..length]);
        }
    })
}

pub(crate) fn link_authority(folder: &Path) -> LinkAuthority {
    LinkAuthority::open_or_create(folder, &clock_at(NOON), &random()).unwrap()
}

#[test]
fn an_authority_opens_again_as_it_was_made_and_only_its_owner_reads_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let made = link_authority(&keys);
    let again = link_authority(&keys);
    assert_eq!(made.fingerprint(), again.fingerprint());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&keys), 0o700);
    assert_eq!(mode(&keys.join("link-ca.key")), 0o600);
    let left: Vec<_> = std::fs::read_dir(&keys)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "no draft is left: {left:?}");
    let secret = std::fs::read_to_string(keys.join("link-ca.key")).unwrap();
    let shown = format!("{made:?}");
    assert!(!secret.lines().skip(1).any(|line| shown.contains(line)));
}

#[test]
fn many_processes_at_the_first_start_agree_on_one_authority() {
    let folder = tempfile::tempdir().unwrap();
    let seen: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| link_authority(folder.path()).fingerprint()))
            .collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    link_authority(folder.path());
    let key = folder.path().join("link-ca.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error =
        LinkAuthority::open_or_create(folder.path(), &clock_at(NOON), &random()).unwrap_err();
    assert!(
        matches!(
            error,
            AuthorityError::Keep(KeepError::Open { mode: 0o644, .. })
        ),
        "{error:?}"
    );
}

#[test]
fn a_certificate_without_its_key_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    link_authority(folder.path());
    std::fs::remove_file(folder.path().join("link-ca.key")).unwrap();
    let error =
        LinkAuthority::open_or_create(folder.path(), &clock_at(NOON), &random()).unwrap_err();
    assert!(matches!(error, AuthorityError::Torn(_)), "{error:?}");
    let other = tempfile::tempdir().unwrap();
    link_authority(other.path());
    std::fs::copy(
        other.path().join("link-ca.key"),
        folder.path().join("link-ca.key"),
    )
    .unwrap();
    let error =
        LinkAuthority::open_or_create(folder.path(), &clock_at(NOON), &random()).unwrap_err();
    assert!(matches!(error, AuthorityError::Torn(_)), "{error:?}");
}

#[test]
fn of_a_request_only_the_key_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let authority = link_authority(folder.path());
    let key = KeyPair::generate().unwrap();
    let mut wish = CertificateParams::new(["gateway.example".to_owned()]).unwrap();
    wish.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    wish.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    wish.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let request = wish.serialize_request(&key).unwrap();
    let site = "st-mary".parse().unwrap();
    let issued = authority
        .issue_site(&site, request.der(), NOON, &random())
        .unwrap();
    let peer = site_of(std::slice::from_ref(&issued.der)).unwrap();
    assert_eq!(
        (peer.site, peer.serial, peer.validity),
        (site, issued.serial, issued.validity)
    );
    let certificate = parse(&issued.der).unwrap();
    assert!(!certificate.is_ca());
    assert_eq!(certificate.public_key().raw, key.subject_public_key_info());
    let uses = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(uses.client_auth && !uses.server_auth);
    assert!(
        !certificate
            .key_usage()
            .unwrap()
            .unwrap()
            .value
            .key_cert_sign()
    );
    assert_eq!(issued.validity.not_after, NOON.plus(SITE_LIFE));
    assert_eq!(issued.validity.not_before, NOON.minus(BACKDATE));
}

#[test]
fn requests_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = link_authority(folder.path());
    let site = "st-mary".parse().unwrap();
    let refused = |request: &[u8]| {
        authority
            .issue_site(&site, request, NOON, &random())
            .unwrap_err()
    };
    assert!(matches!(refused(b"no request"), AuthorityError::Request(_)));
    let key = KeyPair::generate().unwrap();
    let mut forged = CertificateParams::default()
        .serialize_request(&key)
        .unwrap()
        .der()
        .to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert!(matches!(refused(&forged), AuthorityError::Request(_)));
    let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let request = CertificateParams::default()
        .serialize_request(&other)
        .unwrap();
    assert!(matches!(refused(request.der()), AuthorityError::RequestKey));
}
