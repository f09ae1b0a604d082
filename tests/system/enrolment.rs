//! Enrolment from end to end: the agent's own client against the gateway's own listener, over TCP, with a clock that the test moves.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use causeway_agent::link::enrol::{EnrolError, Enrolling};
use causeway_certs::authority::{Fingerprint, LinkAuthority, SignerAuthority};
use causeway_certs::enrol::{Code, Credentials};
use causeway_certs::reload::{LiveClient, LiveServer};
use causeway_certs::tls::enrolment_server;
use causeway_gateway::directory::{self, NewAgreement, NewSite, Site};
use causeway_gateway::link::enrol::{self, Door};
use causeway_gateway::parts::{Parts, Wakes};
use causeway_gateway::rows::{self, Rows};
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use causeway_tests::stack::wait_until;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn random() -> Random {
    Random::new(|out| aws_lc_rs::rand::fill(out).unwrap())
}

/// A gateway with its door, one site with one agreement, and an agent's key folder.
struct Both {
    folder: TempDir,
    now: Arc<AtomicI64>,
    parts: Parts,
    site: Site,
    address: SocketAddr,
}

impl Both {
    async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        // 2026-06-01T12:00:00Z
        let now = Arc::new(AtomicI64::new(1_780_315_200_000_000));
        let hands = now.clone();
        let clock = Clock::new(move || Timestamp(hands.load(Ordering::Relaxed)));
        let parts = parts(folder.path(), clock).await?;
        let (clock, random) = (&parts.clock, &parts.random);
        let new = NewSite {
            id: Some("north".parse()?),
            name: "TEST hospital north".to_owned(),
            country: "GR".to_owned(),
            time_zone: "Europe/Athens".to_owned(),
            language: "el".to_owned(),
            phone: "+30 210 0000000".to_owned(),
            legacy_headings: false,
        };
        let site = directory::add_site(&parts.rows, clock, random, "test", &new).await?;
        let agreement = NewAgreement {
            identified: true,
            ..NewAgreement::between(site.id.clone(), "TEST reading")
        };
        directory::add_agreement(&parts.rows, clock, random, "test", &agreement).await?;
        let door = Door::hold("127.0.0.1:0").await?;
        let address = door.address();
        let keeper = enrol::run(door, parts.clone(), None);
        parts.tracker.spawn(async move { keeper.await.unwrap() });
        Ok(Self {
            folder,
            now,
            parts,
            site,
            address,
        })
    }

    fn forward(&self, by: Duration) -> anyhow::Result<()> {
        self.now
            .fetch_add(i64::try_from(by.as_micros())?, Ordering::Relaxed);
        Ok(())
    }

    async fn code(&self) -> anyhow::Result<Code> {
        let parts = &self.parts;
        let fingerprint = parts.link_authority.fingerprint();
        let code = directory::issue_code(
            &parts.rows,
            &parts.clock,
            &parts.random,
            "test",
            &fingerprint,
            &self.site.id,
        )
        .await?;
        parts.wakes.directory.ring();
        Ok(code)
    }

    fn keys(&self) -> std::path::PathBuf {
        self.folder.path().join("agent-keys")
    }

    fn agent(&self, gateway: SocketAddr) -> Enrolling {
        Enrolling {
            gateway: gateway.to_string(),
            server_name: Some("localhost".to_owned()),
            proxy: None,
            folder: self.keys(),
            clock: self.parts.clock.clone(),
            random: random(),
        }
    }

    /// What the agent's operator reads.
    async fn refused(&self, code: &Code) -> String {
        match self.agent(self.address).enrol(code).await {
            Ok(welcome) => panic!("enrolled as {welcome:?}"),
            Err(error) => error.to_string(),
        }
    }

    async fn until(&self, open: bool) -> anyhow::Result<()> {
        wait_until("the door", Duration::from_secs(20), async || {
            Ok((TcpStream::connect(self.address).await.is_ok() == open).then_some(()))
        })
        .await
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.parts.cancel.cancel();
        self.parts.tracker.close();
        let ended = tokio::time::timeout(Duration::from_secs(20), self.parts.tracker.wait());
        ended.await.context("the gateway did not end in time")
    }
}

async fn parts(folder: &Path, clock: Clock) -> anyhow::Result<Parts> {
    let random = random();
    let rows = Rows::open(&rows::Config::default(), folder).await?;
    let keys = folder.join("keys");
    let link_authority = LinkAuthority::open_or_create(&keys, &clock, &random)?;
    let signer_authority = SignerAuthority::open_or_create(&keys, &clock, &random)?;
    let live = live(&link_authority, &clock, &random)?;
    Ok(Parts {
        rows,
        clock,
        random,
        data: folder.to_owned(),
        link_authority,
        signer_authority,
        live,
        wakes: Wakes::default(),
        tracker: TaskTracker::new(),
        cancel: CancellationToken::new(),
    })
}

fn live(authority: &LinkAuthority, clock: &Clock, random: &Random) -> anyhow::Result<LiveServer> {
    let now = clock.now();
    let identity = authority.issue_server(&["localhost".to_owned()], now, random)?;
    Ok(LiveServer::new(
        authority,
        &identity,
        &authority.revocation_list(&[], now)?,
    )?)
}

/// The same code with another secret, or of another authority.
fn doctored(
    code: &Code,
    secret: Option<&str>,
    authority: Option<Fingerprint>,
) -> anyhow::Result<Code> {
    let text = code.to_string();
    let mut parts: Vec<String> = text.split('-').map(str::to_owned).collect();
    if let Some(secret) = secret {
        *parts.get_mut(2).context("no secret")? = secret.to_owned();
    }
    if let Some(authority) = authority {
        let other = Code::draw(&authority, &random()).to_string();
        let (_, end) = other.rsplit_once('-').context("no authority")?;
        *parts.get_mut(3).context("no authority")? = end.to_owned();
    }
    Ok(parts.join("-").parse()?)
}

#[tokio::test]
async fn a_code_enrols_once_and_the_agent_keeps_what_it_needs() -> anyhow::Result<()> {
    let both = Both::start().await?;
    let code = both.code().await?;
    let welcome = both.agent(both.address).enrol(&code).await?;
    assert_eq!(
        (welcome.site.as_str(), welcome.name.as_str()),
        ("north", "TEST hospital north")
    );
    assert_eq!(welcome.organisations, ["TEST reading"]);
    let kept = Credentials::load(&both.keys())?;
    assert_eq!(kept.site(), &both.site.id);
    assert_eq!(
        &kept.signer_authority,
        both.parts.signer_authority.certificate()
    );
    let said = both.refused(&code).await;
    assert!(
        said.contains("has been used") && said.contains("site code"),
        "{said}"
    );
    both.forward(Duration::from_secs(61))?;
    both.until(false).await?;
    let said = both.refused(&code).await;
    assert!(said.contains("may have been used"), "{said}");
    both.stop().await
}

#[tokio::test]
async fn the_sixth_try_is_refused_with_the_right_code_too() -> anyhow::Result<()> {
    let both = Both::start().await?;
    let code = both.code().await?;
    both.until(true).await?;
    let wrong = doctored(&code, Some("0000000000000000"), None)?;
    for _ in 0..5 {
        let said = both.refused(&wrong).await;
        assert!(said.contains("mistyped"), "{said}");
    }
    let said = both.refused(&code).await;
    assert!(said.contains("five times"), "{said}");
    let another = both.code().await?;
    both.agent(both.address).enrol(&another).await?;
    both.stop().await
}

#[tokio::test]
async fn an_expired_code_and_a_wrong_clock_have_their_sentences() -> anyhow::Result<()> {
    let both = Both::start().await?;
    let code = both.code().await?;
    both.until(true).await?;
    let ahead = Enrolling {
        clock: {
            let gateway = both.parts.clock.clone();
            Clock::new(move || gateway.now().plus(Duration::from_secs(3600)))
        },
        ..both.agent(both.address)
    };
    let said = ahead.enrol(&code).await.unwrap_err().to_string();
    assert!(
        said.contains("2026-06-01T13:00:00Z") && said.contains("set the clock"),
        "{said}"
    );
    let long_ago = Enrolling {
        clock: Clock::new(|| Timestamp(0)),
        ..both.agent(both.address)
    };
    let said = long_ago.enrol(&code).await.unwrap_err().to_string();
    assert!(
        said.contains("1970-01-01") && said.contains("set the clock"),
        "{said}"
    );
    both.forward(Duration::from_secs(3601))?;
    let said = both.refused(&code).await;
    assert!(
        said.contains("expired") && said.contains("one hour"),
        "{said}"
    );
    both.stop().await
}

/// Somebody else at the gateway's address, who keeps what he can read.
async fn rogue(
    clock: Clock,
) -> anyhow::Result<(SocketAddr, tokio::task::JoinHandle<(Vec<u8>, String)>)> {
    let folder = tempfile::tempdir()?;
    let authority = LinkAuthority::open_or_create(folder.path(), &clock, &random())?;
    let live = live(&authority, &clock, &random())?;
    let acceptor = TlsAcceptor::from(Arc::new(enrolment_server(&live, &clock, true)?));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "one task of one test, which waits for it"
    )]
    let running = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        match acceptor.accept(stream).await {
            Ok(mut stream) => {
                stream.read_to_end(&mut heard).await.ok();
                (heard, String::new())
            }
            Err(error) => (heard, error.to_string()),
        }
    });
    Ok((address, running))
}

#[tokio::test]
async fn a_code_is_not_sent_to_a_gateway_with_another_fingerprint() -> anyhow::Result<()> {
    let both = Both::start().await?;
    let code = both.code().await?;
    both.until(true).await?;
    let (address, running) = rogue(both.parts.clock.clone()).await?;
    let error = both.agent(address).enrol(&code).await.unwrap_err();
    assert!(matches!(error, EnrolError::Handshake(_)), "{error:?}");
    assert!(
        error.to_string().contains("the code was not sent"),
        "{error}"
    );
    let (heard, said) = running.await?;
    assert_eq!(heard, b"", "the rogue read nothing");
    assert!(
        said.contains("CertificateUnknown"),
        "the rogue's handshake failed: {said}"
    );
    let elsewhere = doctored(&code, None, Some(Fingerprint([7; 32])))?;
    let said = both.refused(&elsewhere).await;
    assert!(
        said.contains("another fingerprint") && said.contains("not sent"),
        "{said}"
    );
    let wanted = directory::wanted(&both.parts.rows, both.parts.clock.now()).await?;
    assert!(wanted.codes, "no try was counted");
    assert!(Credentials::load(&both.keys()).is_err(), "nothing was kept");
    both.agent(both.address).enrol(&code).await?;
    both.stop().await
}

#[tokio::test]
async fn a_certificate_that_ended_renews_for_30_days_and_a_revoked_one_never() -> anyhow::Result<()>
{
    let both = Both::start().await?;
    let agent = both.agent(both.address);
    agent.enrol(&both.code().await?).await?;
    let live_agent = LiveClient::new(Credentials::load(&both.keys())?)?;
    let first = live_agent.credentials().serial().clone();
    let said = |error: EnrolError| error.to_string();
    both.forward(Duration::from_secs(61))?;
    both.until(false).await?;
    assert!(said(agent.renew(&live_agent).await.unwrap_err()).contains("does not answer"));
    both.forward(DAY * 95)?;
    let parts = &both.parts;
    let identity = parts.link_authority.issue_server(
        &["localhost".to_owned()],
        parts.clock.now(),
        &parts.random,
    )?;
    parts.live.replace(
        &identity,
        &parts
            .link_authority
            .revocation_list(&[], parts.clock.now())?,
    )?;
    both.until(true).await?;
    agent.renew(&live_agent).await?;
    let second = live_agent.credentials();
    assert_ne!(&first, second.serial());
    assert!(second.validity().holds(parts.clock.now()));
    assert_eq!(Credentials::load(&both.keys())?.serial(), second.serial());
    directory::revoke_site(&parts.rows, &parts.clock, "test", &both.site.id, "stolen").await?;
    let revoked = directory::revocations(&parts.rows, parts.clock.now()).await?;
    parts.live.replace(
        &identity,
        &parts
            .link_authority
            .revocation_list(&revoked, parts.clock.now())?,
    )?;
    let code = both.code().await?;
    both.until(true).await?;
    let refused = said(agent.renew(&live_agent).await.unwrap_err());
    assert!(
        refused.contains("was revoked") && refused.contains("new enrolment code"),
        "{refused}"
    );
    agent.enrol(&code).await?;
    both.stop().await
}
