//! Who loses his place when there are no more.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{FAR, NORMAL, Server, heard, status};
use crate::bounds::Bounds;

fn few(max_connections: usize, share: usize) -> Bounds {
    Bounds {
        max_connections,
        max_connections_per_address: share,
        ..Bounds::default()
    }
}

/// A client whose answer is under way and waits on us.
async fn answered(server: &Server, from: u8) -> TcpStream {
    let mut client = server.connect_from(from).await;
    let ask = b"GET /begun HTTP/1.1\r\nHost: x\r\n\r\n";
    client.write_all(ask).await.unwrap();
    let (mut said, mut piece) = (Vec::<u8>::new(), [0; 256]);
    while !said.windows(5).any(|word| word == b"begun") {
        let more = timeout(FAR, client.read(&mut piece)).await.unwrap();
        let more = more.unwrap();
        assert!(more > 0, "an answer that was begun ends");
        said.extend(&piece[..more]);
    }
    client
}

/// As many clients as there are places and more, each of which says this; until each of them keeps his answer waiting.
async fn keep_waiting(server: &Server, count: u8, addresses: u8, say: &[u8]) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for number in 0..count {
        let mut client = server.connect_from(number % addresses + 1).await;
        client.write_all(say).await.unwrap();
        all.push(client);
    }
    let slow = async {
        while server.places.slow() < usize::from(count) {
            tokio::task::yield_now().await;
        }
    };
    timeout(FAR, slow).await.expect("not all of them are slow");
    all
}

/// One who asks once and goes; so many are there afterwards.
async fn normal(server: &Server, from: u8, left: usize) {
    let mut client = server.connect_from(from).await;
    client.write_all(NORMAL).await.ok();
    assert_eq!(status(&heard(&mut client).await), 200);
    settled(server, left).await;
}

async fn settled(server: &Server, left: usize) {
    let gone = async {
        while server.places.count() != left {
            tokio::task::yield_now().await;
        }
    };
    let gone = timeout(FAR, gone).await;
    gone.unwrap_or_else(|_| panic!("{} places are held, not {left}", server.places.count()));
}

#[tokio::test]
async fn bodies_that_do_not_come_and_answers_that_nobody_takes_keep_nobody_out() {
    let body = b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{";
    let answer = b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n";
    for say in [&body[..], answer] {
        // all of them with the address of the normal one, and with eight, of which his is one or is none
        for (addresses, his) in [(1, 1), (8, 1), (8, 9)] {
            let server = Server::new(few(32, 4));
            let slow = keep_waiting(&server, 32, addresses, say).await;
            for _ in 0..8 {
                normal(&server, his, 31).await;
            }
            drop(slow);
        }
    }
}

#[tokio::test]
async fn whoever_asks_nothing_for_longest_gives_way_and_whoever_is_answered_stays() {
    let server = Server::new(few(4, 2));
    let _answered = answered(&server, 2).await;
    let mut silent = server.connect_from(2).await;
    let mut other = server.connect_from(3).await;
    let ask = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    other.write_all(ask).await.unwrap();
    other.read_exact(&mut [0; 100]).await.unwrap();
    let mut never = server.connect_from(4).await;
    normal(&server, 5, 3).await;
    assert_eq!(heard(&mut silent).await, b"");
    let _second = answered(&server, 2).await;
    // who never asked goes before who did
    normal(&server, 5, 3).await;
    assert_eq!(heard(&mut never).await, b"");
    other.write_all(NORMAL).await.unwrap();
    assert!(heard(&mut other).await.ends_with(b"here"));
    settled(&server, 2).await;
}

#[tokio::test]
async fn behind_a_proxy_there_are_all_places_until_another_address_wants_its_share() {
    let server = Server::new(few(6, 2));
    let mut proxied = Vec::new();
    for _ in 0..6 {
        proxied.push(answered(&server, 2).await);
    }
    // all are being answered: one more of them finds none
    let mut seventh = server.connect_from(2).await;
    assert_eq!(heard(&mut seventh).await, b"");
    normal(&server, 3, 5).await;
    let mut first = proxied.remove(0);
    assert!(
        !heard(&mut first).await.ends_with(b"0\r\n\r\n"),
        "it is cut"
    );
    // two others have their share back; then what the proxy lends is gone, and what is its own stays
    let mut others = Vec::new();
    for from in [3, 3, 4, 4] {
        others.push(answered(&server, from).await);
    }
    assert_eq!(server.places.count(), 6);
    let mut fifth = server.connect_from(5).await;
    assert_eq!(heard(&mut fifth).await, b"", "everybody has his share");
    drop(proxied);
}
