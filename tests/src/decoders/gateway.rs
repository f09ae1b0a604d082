//! What the gateway reads: of whoever enrols, of sites, of readers, of the person who configures it; and certificates, at both ends.

use causeway_certs::enrol::{Answer, Code, Request, decode_length, parse};
use causeway_certs::identity::{site_of, validity_of};
use causeway_certs::signer::{is_fresh, verify_chain};
use causeway_gateway::http::dicomweb::strangers;
use causeway_gateway::report::Content;
use causeway_proto::time::Timestamp;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

use super::{choose, seen, with_syntax};

pub(super) fn enrolment(bytes: &[u8]) {
    if let Some((head, body)) = bytes.split_first_chunk() {
        decode_length(*head).ok();
        parse::<Request>(body).ok();
        parse::<Answer>(body).ok();
    }
    String::from_utf8_lossy(bytes).parse::<Code>().ok();
}

/// The first byte says where the second certificate begins.
pub(super) fn certificate(bytes: &[u8]) {
    let (chosen, rest) = choose(bytes);
    let split = rest.len() * usize::from(chosen) / 256;
    let (one, other) = rest.split_at_checked(split).unwrap_or_default();
    let now = Timestamp(1_790_000_000_000_000);
    for der in [rest, one, other] {
        let certificate = CertificateDer::from(der);
        site_of(std::slice::from_ref(&certificate)).ok();
        seen(validity_of(&certificate));
        seen(is_fresh(&CertificateRevocationListDer::from(der), now));
    }
    let list = CertificateRevocationListDer::from(other);
    let [one, other] = [one, other].map(CertificateDer::from);
    verify_chain(&one, &other, Some(&list), now).ok();
}

pub(super) fn index(bytes: &[u8]) {
    with_syntax(bytes, causeway_gateway::ingest::strangers::dataset);
}

pub(super) fn query(bytes: &[u8]) {
    strangers::query(&String::from_utf8_lossy(bytes));
}

pub(super) fn accept(bytes: &[u8]) {
    strangers::accept(&String::from_utf8_lossy(bytes));
}

pub(super) fn draft(bytes: &[u8]) {
    if let Ok(content) = serde_json::from_slice::<Content>(bytes)
        && content.check().is_ok()
    {
        seen(content.dated());
        content.sections().ok();
    }
}

pub(super) fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    causeway_gateway::config::parse("gateway.toml", &text).ok();
}
