//! Lists say who is revoked and until when they are believed.

use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::*;
use crate::authority::tests::{NOON, link_authority};

#[test]
fn a_list_names_its_serials_and_ends_after_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let authority = link_authority(folder.path());
    let revoked = Revoked {
        serial: "40ff01".parse().unwrap(),
        since: NOON,
    };
    let list = authority
        .revocation_list(std::slice::from_ref(&revoked), NOON)
        .unwrap();
    let (_, list) = CertificateRevocationList::from_der(&list).unwrap();
    let named: Vec<_> = list
        .iter_revoked_certificates()
        .map(|one| hex::encode(one.raw_serial()))
        .collect();
    assert_eq!(named, ["40ff01"]);
    let end = list.next_update().unwrap().timestamp();
    assert_eq!(end, NOON.plus(LIST_LIFE).0 / 1_000_000);
    assert!(
        LIST_RENEWAL * 4 < LIST_LIFE,
        "a gateway that misses a few renewals still lets its sites in"
    );
}

#[test]
fn a_list_without_entries_is_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let list = link_authority(folder.path())
        .revocation_list(&[], NOON)
        .unwrap();
    let (_, list) = CertificateRevocationList::from_der(&list).unwrap();
    assert_eq!(list.iter_revoked_certificates().count(), 0);
}
