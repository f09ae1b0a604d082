//! Slow, greedy and hostile clients over real sockets, and the normal one beside them.

mod shares;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum_server::Handle;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Duration, Instant, timeout};
use tokio_util::task::TaskTracker;

use super::within;
use crate::bounds::{Bounds, raise_open_files};
use crate::places::Places;
use crate::request::{Refusal, is_late};

/// Longer than anything here takes, on the slowest machine.
const FAR: Duration = Duration::from_secs(60);

struct Server {
    address: SocketAddr,
    places: Arc<Places>,
    handle: Handle<SocketAddr>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

fn refuse(refusal: Refusal) -> Response {
    (refusal.status(), refusal.sentence()).into_response()
}

async fn take(body: Body) -> Response {
    match axum::body::to_bytes(body, 1 << 20).await {
        Ok(bytes) => bytes.len().to_string().into_response(),
        Err(error) if is_late(&error) => StatusCode::REQUEST_TIMEOUT.into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// Longer than all that is buffered between two sockets.
const LARGE: usize = 24 << 20;

/// An answer that is made at once.
async fn large() -> Bytes {
    vec![7; LARGE].into()
}

/// An answer without end, for those who take it.
async fn endless() -> Body {
    let piece = Bytes::from(vec![0; 64 << 10]);
    let pieces = stream::repeat_with(move || Ok::<_, Infallible>(piece.clone()));
    Body::from_stream(pieces)
}

/// An answer that is begun, and of which the rest never comes from us.
async fn begun() -> Body {
    let pieces = stream::iter([Ok::<_, Infallible>("begun")]).chain(stream::pending());
    Body::from_stream(pieces)
}

impl Server {
    fn new(bounds: Bounds) -> Self {
        raise_open_files();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(async || "here").post(take))
            .route("/take", post(take))
            .route("/large", get(large))
            .route("/endless", get(endless))
            .route("/begun", get(begun));
        let (places, handle) = (Places::new(bounds.clone()), Handle::new());
        let (held, ending) = (Arc::clone(&places), handle.clone());
        let serving = async move {
            within(&held, &bounds, listener, router, None, refuse, ending)
                .await
                .unwrap();
        };
        TaskTracker::new().spawn(serving);
        Self {
            address,
            places,
            handle,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// From an address of this machine: all of 127.0.0.0/8 are.
    async fn connect_from(&self, last: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind(SocketAddr::from(([127, 0, 0, last], 0)))
            .unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// What a client that sends this and then nothing hears until the end.
    async fn says(&self, sent: &[u8]) -> Vec<u8> {
        let mut client = self.connect().await;
        // whoever is refused in the middle may not get rid of the rest
        client.write_all(sent).await.ok();
        heard(&mut client).await
    }
}

/// Everything until the connection ends, in whichever way.
async fn heard(client: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let reading = client.read_to_end(&mut all);
    timeout(FAR, reading)
        .await
        .expect("the connection never ends")
        .ok();
    all
}

fn status(answer: &[u8]) -> u16 {
    let line = answer.split(|byte| *byte == b'\r').next().unwrap();
    let line = String::from_utf8_lossy(line);
    line.split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or_else(|| panic!("no answer: {line:?}"))
}

const NORMAL: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

fn short() -> Bounds {
    Bounds {
        head_timeout_s: 1,
        idle_timeout_s: 1,
        body_timeout_s: 1,
        untaken_timeout_s: 1,
        ..Bounds::default()
    }
}

#[tokio::test]
async fn what_is_too_much_is_answered_as_such() {
    let server = Server::new(Bounds {
        head_timeout_s: 10,
        ..short()
    });
    let head = |line: &str, fields: &str| {
        format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n")
    };
    let field = |number: usize, length: usize| format!("x-{number}: {}\r\n", "v".repeat(length));
    let many = |count, length| -> String { (0..count).map(|n| field(n, length)).collect() };
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (what, sent, expect) in [
        ("a normal one", head("GET /", ""), 200),
        ("98 fields more", head("GET /", &many(98, 10)), 200),
        ("99 fields more", head("GET /", &many(99, 10)), 431),
        ("a field of 31 KiB", head("GET /", &field(0, 31 << 10)), 200),
        ("a field of 33 KiB", head("GET /", &field(0, 33 << 10)), 431),
        ("a field of 1 MiB", head("GET /", &field(0, 1 << 20)), 431),
        ("fields of 40 KiB", head("GET /", &many(40, 1 << 10)), 431),
        (
            "a target of 9 KiB",
            head(&format!("GET /?{}", "q".repeat(9 << 10)), ""),
            414,
        ),
        (
            "a body that is coded",
            head(
                "POST /take",
                "Content-Length: 2\r\nContent-Encoding: gzip\r\n",
            ) + "{}",
            415,
        ),
        ("TRACE", head("TRACE /", ""), 405),
        (
            "CONNECT",
            "CONNECT inside:80 HTTP/1.1\r\nHost: inside:80\r\n\r\n".to_owned(),
            405,
        ),
        (
            "another method in a field",
            head("GET /", "X-HTTP-Method-Override: DELETE\r\n"),
            200,
        ),
        (
            "a body that stays away",
            head("POST /take", "Content-Length: 10\r\n") + "{",
            408,
        ),
        (
            "chunks without end",
            head("POST /take", chunked) + "1\r\n{\r\n",
            408,
        ),
        (
            "chunks with an end",
            head("POST /take", chunked) + "1\r\n{\r\n0\r\n\r\n",
            200,
        ),
        ("no HTTP", "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), 400),
    ] {
        let answer = server.says(sent.as_bytes()).await;
        assert_eq!(status(&answer), expect, "{what}");
    }
}

#[tokio::test]
async fn silence_ends_wherever_it_begins() {
    let server = Server::new(short());
    for (what, sent) in [
        ("nothing", &b""[..]),
        ("half a version", b"PRI * HT"),
        ("half a head", b"GET / HTTP/1.1\r\nHost: x\r\nx-slow:"),
        ("a preface and no request", PREFACE),
    ] {
        server.says(sent).await;
        assert_eq!(server.places.count(), 0, "{what}");
    }
    // after an answer, and in the middle of the next head
    for rest in [&b""[..], b"GET / HT"] {
        let answer = server
            .says(&[b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", rest].concat())
            .await;
        assert_eq!(status(&answer), 200);
        assert_eq!(server.places.count(), 0);
    }
}

#[tokio::test]
async fn a_trickle_of_bytes_is_silence() {
    let server = Server::new(short());
    let mut client = server.connect().await;
    let begun = Instant::now();
    client.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    let mut beat = tokio::time::interval(Duration::from_millis(50));
    let mut byte = [0];
    loop {
        tokio::select! {
            _ = beat.tick() => { client.write_all(b"v").await.ok(); }
            got = client.read(&mut byte) => {
                assert!(!matches!(got, Ok(1)), "nothing was asked");
                break;
            }
        }
        assert!(begun.elapsed() < FAR, "it trickles for ever");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_takes_ends() {
    let server = Server::new(Bounds {
        untaken_timeout_s: 2,
        ..short()
    });
    let mut client = server.connect().await;
    client
        .write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    // one who reads goes on being answered, for longer than one who does not
    let mut piece = vec![0; 64 << 10];
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        client.read_exact(&mut piece).await.unwrap();
    }
    let over = async {
        while server.places.count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(FAR, over).await.expect("the place stays taken");
}

#[tokio::test]
async fn a_long_answer_that_is_taken_slowly_is_taken_whole() {
    // less than it takes
    let server = Server::new(Bounds {
        untaken_timeout_s: 3,
        ..short()
    });
    let mut client = server.connect().await;
    client
        .write_all(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut beat = tokio::time::interval(Duration::from_millis(50));
    let (mut piece, mut taken) = (vec![0; 256 << 10], 0);
    loop {
        beat.tick().await;
        match client.read(&mut piece).await.unwrap() {
            0 => break,
            more => taken += more,
        }
    }
    assert!(taken > LARGE, "{taken} of {LARGE} bytes");
}

#[tokio::test]
async fn a_thousand_slow_clients_do_not_keep_a_normal_one_from_being_answered() {
    // more than there are places: all from the normal one's own address, and from twenty, of which his is one
    for addresses in [1, 20] {
        let server = Server::new(Bounds::default());
        let mut slow = Vec::new();
        for number in 0..1200_u16 {
            let from = u8::try_from(number % addresses + 1).unwrap();
            let mut client = server.connect_from(from).await;
            if number % 2 == 0 {
                client.write_all(b"GET / HTTP/1.1\r\nx").await.ok();
            }
            slow.push(client);
        }
        let mut times = Vec::new();
        for _ in 0..100 {
            let begun = Instant::now();
            let answer = timeout(FAR, server.says(NORMAL)).await.unwrap();
            assert_eq!(status(&answer), 200);
            times.push(begun.elapsed());
        }
        times.sort();
        println!(
            "100 answers beside 1,200 slow clients of {addresses} addresses: median {:?}, 95th {:?}, longest {:?}",
            times[50], times[95], times[99]
        );
        assert!(times[95] < Duration::from_secs(1), "{:?}", times[95]);
        assert!(server.places.count() <= Bounds::default().max_connections);
        drop(slow);
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// A frame of HTTP/2 (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `:method`, `:scheme`, `:path` from the static table, and an authority (RFC 7541, Appendix A and 6.2.2).
fn block(method: u8) -> Vec<u8> {
    [&[0x80 | method, 0x86, 0x84, 0x01, 0x01][..], b"x"].concat()
}

/// The reason of the last GOAWAY among what a server said (RFC 9113, 6.8).
fn farewell(mut said: &[u8]) -> Option<u32> {
    let mut reason = None;
    while let Some((head, rest)) = said.split_at_checked(9) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (payload, rest) = rest.split_at_checked(length)?;
        if head[3] == 7 {
            reason = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
        said = rest;
    }
    reason
}

#[tokio::test]
async fn whoever_only_pings_asks_nothing() {
    let server = Server::new(short());
    let mut client = server.connect().await;
    let open = [PREFACE, &frame(1, 5, 1, &block(2))].concat();
    client.write_all(&open).await.unwrap();
    let begun = Instant::now();
    let mut beat = tokio::time::interval(Duration::from_millis(50));
    let mut said = vec![0; 4 << 10];
    loop {
        tokio::select! {
            _ = beat.tick() => { client.write_all(&frame(6, 0, 0, &[7; 8])).await.ok(); }
            got = client.read(&mut said) => if !matches!(got, Ok(1..)) {
                break;
            }
        }
        assert!(begun.elapsed() < FAR, "it is kept for ever");
    }
}

#[tokio::test]
async fn floods_of_http2_are_told_to_calm_down() {
    const ENHANCE_YOUR_CALM: u32 = 11;
    let server = Server::new(short());
    let (get, post) = (2, 3);
    let reset: Vec<u8> = (0..2000_u32)
        .flat_map(|n| {
            let open = frame(1, 5, 2 * n + 1, &block(get));
            [open, frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat()
        })
        .collect();
    let open = frame(1, 0, 1, &block(get));
    let continued: Vec<u8> = [open]
        .into_iter()
        .chain((0..2000).map(|_| frame(9, 0, 1, &[])))
        .flatten()
        .collect();
    let empty: Vec<u8> = [frame(1, 4, 1, &block(post))]
        .into_iter()
        .chain((0..20_000).map(|_| frame(0, 0, 1, &[])))
        .flatten()
        .collect();
    for (what, flood) in [
        ("streams that are reset", reset),
        ("a head without end", continued),
        ("empty pieces of a body", empty),
    ] {
        let said = server.says(&[PREFACE, &flood].concat()).await;
        assert_eq!(farewell(&said), Some(ENHANCE_YOUR_CALM), "{what}");
    }
    let answer = server.says(NORMAL).await;
    assert_eq!(status(&answer), 200);
}
