//! Sites, codes and certificates on rows, SQLite and PostgreSQL.

mod adopted;
mod agreements;
mod revoking;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use causeway_certs::authority::{LinkAuthority, SignerAuthority};
use causeway_certs::enrol::{Answer, Ask, Code, Enrolled, NewKey, Request, Word};
use causeway_certs::identity::{Peer, site_of};
use causeway_proto::link::session::Known;
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};

use super::*;
use crate::rows::Rows;
use crate::rows::tests::on_both;

/// A spent code is explained for a minute.
const EXPLAINED: Duration = Duration::from_secs(61);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A clock that the test moves.
#[derive(Clone)]
pub(crate) struct Hands(Arc<AtomicI64>);

impl Hands {
    /// 2026-06-01T12:00:00Z.
    pub(crate) fn at_noon() -> Self {
        Self(Arc::new(AtomicI64::new(1_780_315_200_000_000)))
    }

    pub(crate) fn clock(&self) -> Clock {
        let hands = self.0.clone();
        Clock::new(move || Timestamp(hands.load(Ordering::Relaxed)))
    }

    pub(crate) fn forward(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap();
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

pub(crate) fn random() -> Random {
    Random::new(|out| aws_lc_rs::rand::fill(out).unwrap())
}

struct Office {
    _folder: tempfile::TempDir,
    rows: Rows,
    hands: Hands,
    with: Authorities,
}

async fn offices() -> Vec<Office> {
    let mut offices = Vec::new();
    for (folder, rows) in on_both().await {
        let hands = Hands::at_noon();
        let (clock, random) = (hands.clock(), random());
        let keys = folder.path().join("keys");
        let link = LinkAuthority::open_or_create(&keys, &clock, &random).unwrap();
        let signer = SignerAuthority::open_or_create(&keys, &clock, &random).unwrap();
        let with = Authorities {
            link,
            signer,
            clock,
            random,
        };
        offices.push(Office {
            _folder: folder,
            rows,
            hands,
            with,
        });
    }
    offices
}

pub(crate) fn st_mary() -> NewSite {
    NewSite {
        id: None,
        name: "Γενικό Νοσοκομείο St Mary".to_owned(),
        country: "gr".to_owned(),
        time_zone: "Europe/Athens".to_owned(),
        language: "el".to_owned(),
        phone: "+30 210 0000000".to_owned(),
        legacy_headings: false,
    }
}

impl Office {
    async fn site(&self) -> Site {
        add_site(
            &self.rows,
            &self.with.clock,
            &self.with.random,
            "test",
            &st_mary(),
        )
        .await
        .unwrap()
    }

    async fn code(&self, site: &Site) -> Code {
        let fingerprint = self.with.link.fingerprint();
        issue_code(
            &self.rows,
            &self.with.clock,
            &self.with.random,
            "test",
            &fingerprint,
            &site.id,
        )
        .await
        .unwrap()
    }

    fn request(&self, key: &NewKey, ask: Ask) -> Request {
        Request {
            ask,
            csr: key.request().to_vec().into(),
            now: self.with.clock.now(),
            software: "test".to_owned(),
        }
    }

    async fn enrol(&self, code: &Code) -> Result<Enrolled, Word> {
        let secret = code.secret().expose().to_owned();
        self.enrol_with(code.id(), &secret).await
    }

    async fn enrol_with(&self, id: &str, secret: &str) -> Result<Enrolled, Word> {
        let ask = Ask::Enrol {
            id: id.to_owned(),
            secret: secret.to_owned(),
        };
        let request = self.request(&NewKey::draw().unwrap(), ask);
        said(enrol(&self.rows, &self.with, &request).await.unwrap())
    }

    async fn renew(&self, peer: &Peer) -> Result<Enrolled, Word> {
        let request = self.request(&NewKey::draw().unwrap(), Ask::Renew);
        said(renew(&self.rows, &self.with, peer, &request).await.unwrap())
    }

    async fn wanted(&self) -> (bool, bool) {
        let wanted = wanted(&self.rows, self.with.clock.now()).await.unwrap();
        (wanted.codes, wanted.renewals)
    }
}

fn said(answer: Answer) -> Result<Enrolled, Word> {
    match answer {
        Answer::Enrolled(enrolled) => Ok(*enrolled),
        Answer::Refused(refused) => {
            assert!(refused.sentence.len() > 20, "{refused:?}");
            Err(refused.word)
        }
    }
}

fn peer(enrolled: &Enrolled) -> Peer {
    site_of(&[enrolled.certificate.to_vec().into()]).unwrap()
}

#[tokio::test]
async fn a_site_has_what_a_site_needs_and_an_identifier_that_can_be_said() {
    for office in offices().await {
        let site = office.site().await;
        assert!(site.id.as_str().starts_with("st-mary-"), "{}", site.id);
        assert_eq!(site.country, "GR");
        assert_eq!(
            sites(&office.rows).await.unwrap(),
            std::slice::from_ref(&site)
        );
        let (clock, random) = (&office.with.clock, &office.with.random);
        let twice = NewSite {
            id: Some(site.id.clone()),
            ..st_mary()
        };
        let refused = add_site(&office.rows, clock, random, "test", &twice)
            .await
            .unwrap_err();
        assert!(matches!(refused, DirectoryError::Exists(_)), "{refused:?}");
        for wrong in [
            NewSite {
                name: " ".to_owned(),
                ..st_mary()
            },
            NewSite {
                country: "Greece".to_owned(),
                ..st_mary()
            },
            NewSite {
                time_zone: "Athens".to_owned(),
                ..st_mary()
            },
            NewSite {
                language: String::new(),
                ..st_mary()
            },
            NewSite {
                phone: String::new(),
                ..st_mary()
            },
        ] {
            let refused = add_site(&office.rows, clock, random, "test", &wrong)
                .await
                .unwrap_err();
            assert!(matches!(refused, DirectoryError::Value { .. }), "{wrong:?}");
        }
    }
}

#[tokio::test]
async fn a_code_enrols_once() {
    for office in offices().await {
        let site = office.site().await;
        assert_eq!(office.wanted().await, (false, false));
        let code = office.code(&site).await;
        assert_eq!(office.wanted().await, (true, false));
        let enrolled = office.enrol(&code).await.unwrap();
        assert_eq!(
            (enrolled.site.clone(), &enrolled.name),
            (site.id.clone(), &site.name)
        );
        assert_eq!(office.wanted().await, (true, false));
        assert_eq!(office.enrol(&code).await.unwrap_err(), Word::UsedCode);
        office.hands.forward(EXPLAINED);
        assert_eq!(office.wanted().await, (false, false));
        let admitted = admit(&office.rows, &office.with.clock, &peer(&enrolled))
            .await
            .unwrap();
        assert_eq!(admitted.id, site.id);
    }
}

#[tokio::test]
async fn a_code_ends_with_its_hour() {
    for office in offices().await {
        let site = office.site().await;
        let code = office.code(&site).await;
        office.hands.forward(Duration::from_secs(3599));
        assert_eq!(office.wanted().await, (true, false));
        office.hands.forward(Duration::from_secs(1));
        assert_eq!(office.enrol(&code).await.unwrap_err(), Word::ExpiredCode);
        assert_eq!(office.wanted().await, (true, false));
        office.hands.forward(EXPLAINED);
        assert_eq!(office.wanted().await, (false, false));
    }
}

#[tokio::test]
async fn the_sixth_try_is_refused_even_with_the_right_secret() {
    for office in offices().await {
        let site = office.site().await;
        let code = office.code(&site).await;
        for _ in 0..4 {
            assert_eq!(
                office
                    .enrol_with(code.id(), "0000000000000000")
                    .await
                    .unwrap_err(),
                Word::UnknownCode
            );
        }
        assert_eq!(office.wanted().await, (true, false));
        assert_eq!(
            office
                .enrol_with(code.id(), "not a secret")
                .await
                .unwrap_err(),
            Word::UnknownCode
        );
        assert_eq!(office.enrol(&code).await.unwrap_err(), Word::TooManyTries);
        assert_eq!(office.wanted().await, (true, false));
        office.hands.forward(EXPLAINED);
        assert_eq!(office.wanted().await, (false, false));
        assert_eq!(
            office
                .enrol_with("zzzzzz", "0000000000000000")
                .await
                .unwrap_err(),
            Word::UnknownCode
        );
        assert_eq!(
            crate::audit::first_break(office.rows.read()).await.unwrap(),
            None
        );
    }
}

#[tokio::test]
async fn of_two_who_come_with_one_code_at_once_one_is_enrolled() {
    for office in offices().await {
        let site = office.site().await;
        let code = office.code(&site).await;
        let both = futures::future::join_all((0..8).map(|_| office.enrol(&code))).await;
        let enrolled = both.iter().filter(|one| one.is_ok()).count();
        assert_eq!(enrolled, 1, "{both:?}");
        assert!(
            both.iter()
                .filter_map(|one| one.as_ref().err())
                .all(|word| *word == Word::UsedCode)
        );
    }
}

#[tokio::test]
async fn a_wrong_clock_or_request_does_not_spend_the_code() {
    for office in offices().await {
        let site = office.site().await;
        let code = office.code(&site).await;
        let ask = || Ask::Enrol {
            id: code.id().to_owned(),
            secret: code.secret().expose().to_owned(),
        };
        let key = NewKey::draw().unwrap();
        let late = Request {
            now: office.with.clock.now().plus(Duration::from_secs(301)),
            ..office.request(&key, ask())
        };
        assert_eq!(
            said(enrol(&office.rows, &office.with, &late).await.unwrap()).unwrap_err(),
            Word::Clock
        );
        let broken = Request {
            csr: vec![1, 2, 3].into(),
            ..office.request(&key, ask())
        };
        assert_eq!(
            said(enrol(&office.rows, &office.with, &broken).await.unwrap()).unwrap_err(),
            Word::BadRequest
        );
        office.enrol(&code).await.unwrap();
    }
}

#[tokio::test]
async fn a_revoked_site_is_denied_named_in_the_list_and_let_in_by_a_new_code() {
    for office in offices().await {
        let site = office.site().await;
        let enrolled = office.enrol(&office.code(&site).await).await.unwrap();
        let outstanding = office.code(&site).await;
        let before = office.with.clock.now();
        office.hands.forward(Duration::from_secs(1));
        let clock = &office.with.clock;
        let count = revoke_site(&office.rows, clock, "test", &site.id, "stolen")
            .await
            .unwrap();
        assert_eq!(count, 1);
        let peer = peer(&enrolled);
        assert!(matches!(
            admit(&office.rows, clock, &peer).await,
            Err(Denied::Revoked(..))
        ));
        assert!(revoked(&office.rows, &peer.serial).await.unwrap());
        let since = revoked_since(&office.rows, before).await.unwrap();
        assert_eq!(since, [(peer.serial.clone(), site.id.clone())]);
        let listed = revocations(&office.rows, clock.now()).await.unwrap();
        assert_eq!(listed.first().map(|one| &one.serial), Some(&peer.serial));
        assert_eq!(
            office.enrol(&outstanding).await.unwrap_err(),
            Word::ExpiredCode,
            "its codes ended too"
        );
        assert_eq!(office.renew(&peer).await.unwrap_err(), Word::NotYours);
        let again = office.enrol(&office.code(&site).await).await.unwrap();
        admit(&office.rows, clock, &self::peer(&again))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_new_enrolment_takes_the_place_of_the_old_one() {
    for office in offices().await {
        let site = office.site().await;
        let first = office.enrol(&office.code(&site).await).await.unwrap();
        office.hands.forward(Duration::from_secs(60));
        let second = office.enrol(&office.code(&site).await).await.unwrap();
        let clock = &office.with.clock;
        assert!(matches!(
            admit(&office.rows, clock, &peer(&first)).await,
            Err(Denied::Revoked(..))
        ));
        admit(&office.rows, clock, &peer(&second)).await.unwrap();
    }
}

#[tokio::test]
async fn renewal_opens_at_day_60_and_closes_30_days_after_the_end() {
    for office in offices().await {
        let site = office.site().await;
        let old = peer(&office.enrol(&office.code(&site).await).await.unwrap());
        office.hands.forward(DAY * 59);
        assert_eq!(office.renew(&old).await.unwrap_err(), Word::NotYours);
        assert_eq!(office.wanted().await, (false, false));
        office.hands.forward(DAY * 2);
        assert_eq!(office.wanted().await, (false, true));
        let new = peer(&office.renew(&old).await.unwrap());
        let clock = &office.with.clock;
        admit(&office.rows, clock, &old).await.unwrap();
        assert_eq!(
            office.wanted().await,
            (false, true),
            "the answer may have been lost: the old one may renew again"
        );
        admit(&office.rows, clock, &new).await.unwrap();
        assert!(matches!(
            admit(&office.rows, clock, &old).await,
            Err(Denied::Revoked(..))
        ));
        assert_eq!(office.wanted().await, (false, false));
        office.hands.forward(DAY * 119);
        assert_eq!(office.wanted().await, (false, true));
        office.renew(&new).await.unwrap();
        office.hands.forward(DAY * 2);
        assert_eq!(office.renew(&new).await.unwrap_err(), Word::NotYours);
    }
}

#[tokio::test]
async fn who_is_not_in_the_directory_is_denied() {
    for office in offices().await {
        let site = office.site().await;
        let key = NewKey::draw().unwrap();
        let (now, random) = (office.with.clock.now(), &office.with.random);
        let clock = &office.with.clock;
        let stray = office
            .with
            .link
            .issue_site(&site.id, key.request(), now, random)
            .unwrap();
        let peer = site_of(&[stray.der]).unwrap();
        assert!(matches!(
            admit(&office.rows, clock, &peer).await,
            Err(Denied::Certificate(..))
        ));
        assert!(
            revoked(&office.rows, &peer.serial).await.unwrap(),
            "unknown counts as revoked"
        );
        let nobody = Peer {
            site: "nobody".parse().unwrap(),
            ..peer
        };
        assert!(matches!(
            admit(&office.rows, clock, &nobody).await,
            Err(Denied::Site(_))
        ));
    }
}

#[tokio::test]
async fn from_where_a_site_came_is_kept_while_it_may_come() {
    for office in offices().await {
        let (site, other) = (office.site().await, office.site().await);
        let code = office.code(&site).await;
        office.enrol(&code).await.unwrap();
        let (rows, clock) = (&office.rows, &office.with.clock);
        let kept = async || came_from(rows, clock.now()).await.unwrap();
        let comes = async |site: &Site, session, from: &str| {
            let spool = "spool".to_owned();
            let known = Known { spool, session };
            session_admitted(rows, clock, &site.id, &known, from, None)
                .await
                .unwrap();
        };
        assert_eq!(kept().await, []);
        comes(&site, 1, "192.0.2.1").await;
        comes(&site, 2, "192.0.2.1 2001:db8::").await;
        // through a tunnel after a start at which the rows did not answer
        comes(&site, 3, "").await;
        // one that has no certificate
        comes(&other, 1, "192.0.2.7").await;
        let expected = [(site.id.clone(), "192.0.2.1 2001:db8::".to_owned())];
        assert_eq!(kept().await, expected);
        office.hands.forward(DAY * 1000);
        assert_eq!(kept().await, []);
    }
}
