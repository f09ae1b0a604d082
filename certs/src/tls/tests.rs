//! The certificate zoo: every kind of stranger at the door, with its sentence on both sides.

use std::io::Write;
use std::time::Duration;

use causeway_proto::random::Random;
use causeway_proto::time::Timestamp;
use rcgen::{KeyPair, SanType};
use rustls::{ClientConnection, HandshakeKind, ServerConnection};
use rustls_pki_types::{PrivatePkcs8KeyDer, ServerName};

use super::*;
use crate::authority::tests::{NOON, clock_at, link_authority, random};
use crate::authority::{LinkAuthority, leaf};
use crate::enrol::Code;
use crate::enrol::tests::credentials;
use crate::revoke::{LIST_LIFE, Revoked};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NAME: &str = "gateway.example";

/// A gateway's authority and what it shows, at noon.
struct Gateway {
    _folder: tempfile::TempDir,
    authority: LinkAuthority,
    live: LiveServer,
}

fn gateway() -> Gateway {
    let folder = tempfile::tempdir().unwrap();
    let authority = link_authority(folder.path());
    let live = shown(&authority, &[], NOON);
    Gateway {
        _folder: folder,
        authority,
        live,
    }
}

fn shown(authority: &LinkAuthority, revoked: &[Revoked], now: Timestamp) -> LiveServer {
    let identity = authority
        .issue_server(&[NAME.to_owned()], now, &random())
        .unwrap();
    let list = authority.revocation_list(revoked, now).unwrap();
    LiveServer::new(authority, &identity, &list).unwrap()
}

type Said = Result<(), rustls::Error>;

/// Both sides' outcome, and what the server could read.
struct Outcome {
    client: Said,
    server: Said,
    read: Vec<u8>,
    kind: Option<HandshakeKind>,
}

/// A handshake in memory, and then one message from the client.
fn shake(client: &ClientConfig, server: &ServerConfig) -> Outcome {
    let name = ServerName::try_from(NAME).unwrap();
    let mut client = ClientConnection::new(Arc::new(client.clone()), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server.clone())).unwrap();
    let (mut said_client, mut said_server) = (Ok(()), Ok(()));
    let mut sent = false;
    for _ in 0..10 {
        if !client.is_handshaking() && said_client.is_ok() && !sent {
            client.writer().write_all(b"the code").unwrap();
            sent = true;
        }
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut left = wire.as_slice();
        while !left.is_empty() && said_server.is_ok() {
            server.read_tls(&mut left).unwrap();
            said_server = server.process_new_packets().map(|_| ());
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut left = wire.as_slice();
        while !left.is_empty() && said_client.is_ok() {
            client.read_tls(&mut left).unwrap();
            said_client = client.process_new_packets().map(|_| ());
        }
    }
    let mut read = Vec::new();
    std::io::Read::read_to_end(&mut server.reader(), &mut read).ok();
    Outcome {
        client: said_client,
        server: said_server,
        read,
        kind: client.handshake_kind(),
    }
}

/// The words of both sides.
fn refused(outcome: &Outcome) -> (Refusal, Refusal) {
    let of = |side, said: &Said| Refusal::from_error(side, said.as_ref().unwrap_err());
    assert!(
        outcome.read.is_empty(),
        "nothing may arrive before a refusal"
    );
    (
        of(Side::Gateway, &outcome.server),
        of(Side::Agent, &outcome.client),
    )
}

fn link_at(gateway: &Gateway, at: Timestamp) -> ServerConfig {
    server(&gateway.live, &clock_at(at)).unwrap()
}

fn agent_at(credentials: crate::enrol::Credentials, at: Timestamp) -> ClientConfig {
    let live = LiveClient::new(credentials).unwrap();
    let tls = client(&live, &clock_at(at)).unwrap();
    (*tls.config).clone()
}

#[test]
fn an_enrolled_agent_gets_in() {
    let gateway = gateway();
    let agent = credentials(&gateway.authority, &gateway.authority, NOON);
    let outcome = shake(&agent_at(agent, NOON), &link_at(&gateway, NOON));
    assert_eq!((outcome.client, outcome.server), (Ok(()), Ok(())));
    assert_eq!(outcome.read, b"the code");
    assert_eq!(outcome.kind, Some(HandshakeKind::Full));
}

#[test]
fn a_second_handshake_is_a_full_one_so_that_a_revoked_site_cannot_resume() {
    let gateway = gateway();
    let held = credentials(&gateway.authority, &gateway.authority, NOON);
    let serial = held.serial().clone();
    let agent = agent_at(held, NOON);
    let link = link_at(&gateway, NOON);
    assert_eq!(shake(&agent, &link).kind, Some(HandshakeKind::Full));
    assert_eq!(shake(&agent, &link).kind, Some(HandshakeKind::Full));
    let identity = gateway
        .authority
        .issue_server(&[NAME.to_owned()], NOON, &random())
        .unwrap();
    let list = gateway
        .authority
        .revocation_list(
            &[Revoked {
                serial,
                since: NOON,
            }],
            NOON,
        )
        .unwrap();
    gateway.live.replace(&identity, &list).unwrap();
    assert_eq!(
        refused(&shake(&agent, &link)),
        (Refusal::Revoked, Refusal::Revoked)
    );
}

#[test]
fn no_certificate() {
    let gateway = gateway();
    let verifier = authority_verifier(gateway.authority.certificate()).unwrap();
    let mut bare =
        ClientConfig::builder_with_details(provider(), Arc::new(TlsClock(clock_at(NOON))))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
    bare.alpn_protocols = vec![LINK_ALPN.to_vec()];
    let both = refused(&shake(&bare, &link_at(&gateway, NOON)));
    assert_eq!(both, (Refusal::NoCertificate, Refusal::NoCertificate));
    says(&both, "showed no certificate", "enrol it");
}

fn says(both: &(Refusal, Refusal), gateway: &str, agent: &str) {
    let (for_gateway, for_agent) = (both.0.for_gateway(), both.1.for_agent(None, NOON));
    assert!(for_gateway.contains(gateway), "{for_gateway}");
    assert!(for_agent.contains(agent), "{for_agent}");
}

#[test]
fn another_authority() {
    let (gateway, other) = (gateway(), gateway());
    let agent = credentials(&other.authority, &gateway.authority, NOON);
    let both = refused(&shake(&agent_at(agent, NOON), &link_at(&gateway, NOON)));
    assert_eq!(both, (Refusal::UnknownAuthority, Refusal::UnknownAuthority));
    says(&both, "another authority", "another gateway");
}

#[test]
fn another_gateway_answers() {
    let (gateway, other) = (gateway(), gateway());
    let agent = credentials(&gateway.authority, &gateway.authority, NOON);
    let outcome = shake(&agent_at(agent, NOON), &link_at(&other, NOON));
    let both = refused(&outcome);
    assert_eq!(both.1, Refusal::GatewayAuthority);
    says(&both, "", "somebody else answers");
}

#[test]
fn ended_and_not_begun() {
    let gateway = gateway();
    let held = credentials(&gateway.authority, &gateway.authority, NOON);
    let late = NOON.plus(DAY * 91);
    let live = shown(&gateway.authority, &[], late);
    let link = server(&live, &clock_at(late)).unwrap();
    let both = refused(&shake(&agent_at(held.clone(), late), &link));
    assert_eq!(both, (Refusal::OutOfTime, Refusal::OutOfTime));
    let sentence = both.1.for_agent(Some(held.validity()), late);
    assert!(
        sentence.contains("ended 2026-08-30") && sentence.contains("renews by itself"),
        "{sentence}"
    );
    let sentence = both.1.for_agent(Some(held.validity()), NOON.minus(DAY * 2));
    assert!(sentence.contains("set the clock"), "{sentence}");
    let early = credentials(&gateway.authority, &gateway.authority, NOON.plus(DAY * 2));
    let both = refused(&shake(&agent_at(early, NOON), &link_at(&gateway, NOON)));
    assert_eq!(both, (Refusal::OutOfTime, Refusal::OutOfTime));
}

#[test]
fn a_clock_far_off_at_the_agent_is_named_as_one() {
    let gateway = gateway();
    let agent = credentials(&gateway.authority, &gateway.authority, NOON);
    let outcome = shake(&agent_at(agent, Timestamp(0)), &link_at(&gateway, NOON));
    let (_, agent) = refused(&outcome);
    assert_eq!(agent, Refusal::GatewayOutOfTime);
    assert!(
        agent.for_agent(None, Timestamp(0)).contains("1970-01-01"),
        "{agent:?}"
    );
}

#[test]
fn a_list_that_has_ended_lets_nobody_in() {
    let gateway = gateway();
    let agent = credentials(&gateway.authority, &gateway.authority, NOON);
    let late = NOON.plus(LIST_LIFE + DAY);
    let (at_gateway, at_agent) = refused(&shake(&agent_at(agent, late), &link_at(&gateway, late)));
    assert_eq!(at_gateway, Refusal::ListEnded);
    assert_eq!(
        at_agent,
        Refusal::UnknownAuthority,
        "the alert is the same; the gateway's log knows better"
    );
    assert!(at_gateway.for_gateway().contains("own revocation list"));
}

/// A certificate of the authority with names and uses of the test's choosing.
fn odd(
    gateway: &Gateway,
    names: Vec<SanType>,
    uses: &[rcgen::ExtendedKeyUsagePurpose],
) -> ClientConfig {
    let random: Random = random();
    let key = KeyPair::generate().unwrap();
    let (mut params, _, _) = leaf("odd", NOON, DAY, &random).unwrap();
    params.subject_alt_names = names;
    params.extended_key_usages = uses.to_vec();
    let certificate = params.signed_by(&key, &gateway.authority.0.issuer).unwrap();
    let mut config = agent_at(
        credentials(&gateway.authority, &gateway.authority, NOON),
        NOON,
    );
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let certified =
        rustls::sign::CertifiedKey::from_der(vec![certificate.into()], key, &provider()).unwrap();
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(certified));
    config
}

#[test]
fn a_certificate_of_ours_that_names_no_site_or_two() {
    use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let gateway = gateway();
    let link = link_at(&gateway, NOON);
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let wrong = [
        vec![],
        vec![uri("urn:causeway:site:")],
        vec![uri("urn:causeway:site:Not A Name")],
        vec![uri("urn:causeway:gateway:st-mary")],
        vec![
            uri("urn:causeway:site:st-mary"),
            uri("urn:causeway:site:st-john"),
        ],
        vec![SanType::DnsName("st-mary".try_into().unwrap())],
    ];
    for names in wrong {
        let both = refused(&shake(&odd(&gateway, names.clone(), &[ClientAuth]), &link));
        assert_eq!(both, (Refusal::NoSite, Refusal::NoSite), "{names:?}");
        says(&both, "exactly one site", "names no site");
    }
    let site = vec![uri("urn:causeway:site:st-mary")];
    let both = refused(&shake(&odd(&gateway, site.clone(), &[ServerAuth]), &link));
    assert_eq!(both, (Refusal::WrongUse, Refusal::WrongUse));
    assert_eq!(
        shake(&odd(&gateway, site, &[ClientAuth]), &link).server,
        Ok(()),
        "the odd ones fail for their oddness"
    );
}

#[test]
fn another_protocol() {
    let gateway = gateway();
    let mut agent = agent_at(
        credentials(&gateway.authority, &gateway.authority, NOON),
        NOON,
    );
    agent.alpn_protocols = vec![b"causeway/2".to_vec()];
    let both = refused(&shake(&agent, &link_at(&gateway, NOON)));
    assert_eq!(both, (Refusal::WrongProtocol, Refusal::WrongProtocol));
    says(&both, "another version", "causeway/1");
    assert_eq!(Refusal::from_quic(0x178), Some(Refusal::WrongProtocol));
    assert_eq!(Refusal::from_quic(0x0a), None);
}

#[test]
fn a_name_that_the_gateway_does_not_carry() {
    let gateway = gateway();
    let identity = gateway
        .authority
        .issue_server(&["other.example".to_owned()], NOON, &random())
        .unwrap();
    let list = gateway.authority.revocation_list(&[], NOON).unwrap();
    gateway.live.replace(&identity, &list).unwrap();
    let agent = credentials(&gateway.authority, &gateway.authority, NOON);
    let (_, agent) = refused(&shake(&agent_at(agent, NOON), &link_at(&gateway, NOON)));
    assert_eq!(agent, Refusal::GatewayName);
}

#[test]
fn after_its_end_a_certificate_renews_for_30_days_and_does_nothing_else() {
    let gateway = gateway();
    let held = credentials(&gateway.authority, &gateway.authority, NOON);
    let live = LiveClient::new(held.clone()).unwrap();
    let at = |day: u32, revoked: &[Revoked]| {
        let now = NOON.plus(DAY * day);
        let gateway = shown(&gateway.authority, revoked, now);
        let renewing = enrolment_server(&gateway, &clock_at(now), false).unwrap();
        let renewal = renewal_client(&live, &clock_at(now)).unwrap();
        let link = server(&gateway, &clock_at(now)).unwrap();
        let agent = client(&live, &clock_at(now)).unwrap();
        (
            shake(&renewal, &renewing).server,
            shake(&agent.config, &link).server.is_ok(),
        )
    };
    assert_eq!(at(89, &[]), (Ok(()), true));
    assert_eq!(at(91, &[]), (Ok(()), false));
    assert_eq!(at(119, &[]), (Ok(()), false));
    let (said, _) = at(121, &[]);
    assert_eq!(
        Refusal::from_error(Side::Gateway, &said.unwrap_err()),
        Refusal::OutOfTime
    );
    let revoked = [Revoked {
        serial: held.serial().clone(),
        since: NOON,
    }];
    let (said, _) = at(91, &revoked);
    assert_eq!(
        Refusal::from_error(Side::Gateway, &said.unwrap_err()),
        Refusal::Revoked
    );
}

#[test]
fn the_code_is_sent_to_nobody_but_the_authority_in_it() {
    let (gateway, other) = (gateway(), gateway());
    let code = Code::draw(&gateway.authority.fingerprint(), &random());
    let agent = pinned_client(&code, &clock_at(NOON)).unwrap();
    let open = |gateway: &Gateway| enrolment_server(&gateway.live, &clock_at(NOON), true).unwrap();
    assert_eq!(shake(&agent, &open(&gateway)).read, b"the code");
    let both = refused(&shake(&agent, &open(&other)));
    assert_eq!(both, (Refusal::Fingerprint, Refusal::Fingerprint));
    says(&both, "before it sent its code", "the code was not sent");
    let closed = enrolment_server(&gateway.live, &clock_at(NOON), false).unwrap();
    let both = refused(&shake(&agent, &closed));
    assert_eq!(both, (Refusal::NoCertificate, Refusal::NoCertificate));
}

#[test]
fn a_forged_leaf_under_the_right_authority_certificate_gets_no_code() {
    let (gateway, other) = (gateway(), gateway());
    let mut identity = other
        .authority
        .issue_server(&[NAME.to_owned()], NOON, &random())
        .unwrap();
    identity.chain = vec![
        identity.chain[0].clone(),
        gateway.authority.certificate().clone(),
    ];
    let list = other.authority.revocation_list(&[], NOON).unwrap();
    let live = LiveServer::new(&other.authority, &identity, &list).unwrap();
    let code = Code::draw(&gateway.authority.fingerprint(), &random());
    let agent = pinned_client(&code, &clock_at(NOON)).unwrap();
    let outcome = shake(
        &agent,
        &enrolment_server(&live, &clock_at(NOON), true).unwrap(),
    );
    assert_eq!(refused(&outcome).1, Refusal::GatewayAuthority);
}
