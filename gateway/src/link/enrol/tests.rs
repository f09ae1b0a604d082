//! The listener opens and closes with its codes, spends each once, and shuts out who has no business here.

use std::time::Duration;

use causeway_certs::authority::{LinkAuthority, SignerAuthority};
use causeway_certs::enrol::{
    Answer, Ask, Code, Enrolled, NewKey, Request, Word, decode_length, frame, parse,
};
use causeway_certs::reload::{LiveClient, LiveServer};
use causeway_certs::tls::{pinned_client, renewal_client};
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::directory::tests::{Hands, random, st_mary};
use crate::parts::Wakes;
use crate::rows::tests::on_sqlite;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Stand {
    _folder: tempfile::TempDir,
    hands: Hands,
    parts: Parts,
    site: directory::Site,
    address: SocketAddr,
}

/// A gateway with one site whose door is kept by [`run`].
async fn stand() -> Stand {
    let (folder, rows) = on_sqlite().await;
    let hands = Hands::at_noon();
    let (clock, random) = (hands.clock(), random());
    let keys = folder.path().join("keys");
    let link_authority = LinkAuthority::open_or_create(&keys, &clock, &random).unwrap();
    let signer_authority = SignerAuthority::open_or_create(&keys, &clock, &random).unwrap();
    let live = show(&link_authority, &hands, &random);
    let site = directory::add_site(&rows, &clock, &random, "test", &st_mary())
        .await
        .unwrap();
    let parts = Parts {
        rows,
        clock,
        random,
        data: folder.path().to_owned(),
        link_authority,
        signer_authority,
        live,
        wakes: Wakes::default(),
        tracker: TaskTracker::new(),
        cancel: CancellationToken::new(),
    };
    let door = Door::hold("127.0.0.1:0").await.unwrap();
    let address = door.address();
    let keeper = run(door, parts.clone(), None);
    parts.tracker.spawn(async move { keeper.await.unwrap() });
    Stand {
        _folder: folder,
        hands,
        parts,
        site,
        address,
    }
}

fn show(
    authority: &LinkAuthority,
    hands: &Hands,
    random: &causeway_proto::random::Random,
) -> LiveServer {
    let now = hands.clock().now();
    let identity = authority
        .issue_server(&["127.0.0.1".to_owned()], now, random)
        .unwrap();
    LiveServer::new(
        authority,
        &identity,
        &authority.revocation_list(&[], now).unwrap(),
    )
    .unwrap()
}

impl Stand {
    async fn code(&self) -> Code {
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
        .await
        .unwrap();
        parts.wakes.directory.ring();
        code
    }

    /// Waits until the door is open, or closed.
    async fn until(&self, open: bool) {
        let start = Instant::now();
        while TcpStream::connect(self.address).await.is_ok() != open {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "the door did not become open={open}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ask(
        &self,
        config: ClientConfig,
        key: NewKey,
        ask: Ask,
    ) -> Result<(NewKey, Answer), io::Error> {
        let stream = TcpStream::connect(self.address).await?;
        let name = rustls_pki_types::ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await?;
        let request = Request {
            ask,
            csr: key.request().to_vec().into(),
            now: self.parts.clock.now(),
            software: "test".to_owned(),
        };
        stream.write_all(&frame(&request).unwrap()).await?;
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        let mut body = vec![0; decode_length(head).unwrap()];
        stream.read_exact(&mut body).await?;
        Ok((key, parse(&body).unwrap()))
    }

    async fn enrol(&self, code: &Code) -> (NewKey, Answer) {
        let config = pinned_client(code, &self.parts.clock).unwrap();
        let ask = Ask::Enrol {
            id: code.id().to_owned(),
            secret: code.secret().expose().to_owned(),
        };
        self.ask(config, NewKey::draw().unwrap(), ask)
            .await
            .unwrap()
    }

    async fn end(self) {
        self.parts.cancel.cancel();
        self.parts.tracker.close();
        let ended = tokio::time::timeout(Duration::from_secs(10), self.parts.tracker.wait()).await;
        assert!(ended.is_ok(), "a task is left over");
    }
}

fn enrolled(answer: Answer) -> Enrolled {
    match answer {
        Answer::Enrolled(enrolled) => *enrolled,
        Answer::Refused(refused) => panic!("{refused:?}"),
    }
}

#[tokio::test]
async fn the_door_is_open_only_while_a_code_is_outstanding() {
    let stand = stand().await;
    stand.until(false).await;
    let code = stand.code().await;
    stand.until(true).await;
    let (key, answer) = stand.enrol(&code).await;
    key.with(&enrolled(answer)).unwrap();
    let (_, answer) = stand.enrol(&code).await;
    assert!(matches!(answer, Answer::Refused(refused) if refused.word == Word::UsedCode));
    stand.hands.forward(Duration::from_secs(61));
    stand.until(false).await;
    let again = stand.code().await;
    stand.until(true).await;
    stand.hands.forward(Duration::from_secs(3661));
    stand.until(false).await;
    drop(again);
    stand.end().await;
}

#[tokio::test]
async fn an_ended_certificate_renews_here_and_nobody_else_gets_in() {
    let stand = stand().await;
    let code = stand.code().await;
    stand.until(true).await;
    let (key, answer) = stand.enrol(&code).await;
    let live = LiveClient::new(key.with(&enrolled(answer)).unwrap()).unwrap();
    stand.hands.forward(Duration::from_secs(61));
    stand.until(false).await;
    stand.hands.forward(DAY * 100);
    let parts = &stand.parts;
    let fresh = parts
        .link_authority
        .issue_server(&["127.0.0.1".to_owned()], parts.clock.now(), &parts.random)
        .unwrap();
    parts
        .live
        .replace(
            &fresh,
            &parts
                .link_authority
                .revocation_list(&[], parts.clock.now())
                .unwrap(),
        )
        .unwrap();
    stand.until(true).await;
    let bare = pinned_client(&code, &parts.clock).unwrap();
    let refused = stand
        .ask(bare, NewKey::draw().unwrap(), Ask::Renew)
        .await
        .err()
        .unwrap();
    let cause = refused
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .unwrap();
    assert_eq!(
        Refusal::from_error(Side::Agent, cause),
        Refusal::NoCertificate
    );
    let config = renewal_client(&live, &parts.clock).unwrap();
    let (key, answer) = stand
        .ask(config, NewKey::draw().unwrap(), Ask::Renew)
        .await
        .unwrap();
    let renewed = key.with(&enrolled(answer)).unwrap();
    assert!(renewed.validity().holds(parts.clock.now()));
    live.replace(renewed).unwrap();
    stand.end().await;
}

#[tokio::test]
async fn whoever_sends_nonsense_or_nothing_is_dropped_and_the_door_stays_open() {
    let stand = stand().await;
    let code = stand.code().await;
    stand.until(true).await;
    let mut silent = Vec::new();
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0x16, 3, 1, 255, 255],
        &[],
        &[0; 70_000],
    ] {
        let mut stream = TcpStream::connect(stand.address).await.unwrap();
        stream.write_all(bytes).await.ok();
        silent.push(stream);
    }
    let mut said = Vec::new();
    // what is nonsense is dropped at once, and so is what is too long
    for at in [0, 3] {
        silent[at].read_to_end(&mut said).await.ok();
    }
    let config = pinned_client(&code, &stand.parts.clock).unwrap();
    let name = rustls_pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let stream = TcpStream::connect(stand.address).await.unwrap();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    stream.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.ok();
    assert!(rest.is_empty());
    let (key, answer) = stand.enrol(&code).await;
    key.with(&enrolled(answer)).unwrap();
    // what says nothing has its place no longer than a whole enrolment may take
    let dropped = silent[2].read_to_end(&mut said);
    let dropped = tokio::time::timeout(LIMIT / 2, dropped).await;
    assert!(dropped.is_ok(), "a silent connection is still there");
    stand.end().await;
}
