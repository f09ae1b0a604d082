//! TCP to the gateway, straight or through the hospital's HTTP proxy (CONNECT, RFC 9110 9.3.6).

use std::fmt;
use std::io;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

/// The longest head of an answer that is read.
const HEAD_BYTES: usize = 16 * 1024;

/// `http://[user:password@]host:port`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Proxy {
    address: String,
    credentials: Option<Zeroizing<String>>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// The text is no proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a proxy is written as http://host:port, or http://user:password@host:port")]
pub struct NoProxy;

impl FromStr for Proxy {
    type Err = NoProxy;

    fn from_str(text: &str) -> Result<Self, NoProxy> {
        let rest = text.strip_prefix("http://").ok_or(NoProxy)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, address) = match rest.rsplit_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, rest),
        };
        let (host, port) = address.rsplit_once(':').ok_or(NoProxy)?;
        let usable = |it: &str| !it.is_empty() && !it.contains(['/', '?', '#', ' ']);
        if !usable(host) || port.parse::<u16>().is_err() {
            return Err(NoProxy);
        }
        Ok(Self {
            address: address.to_owned(),
            credentials: credentials.map(|it| Zeroizing::new(it.to_owned())),
        })
    }
}

impl TryFrom<String> for Proxy {
    type Error = NoProxy;

    fn try_from(text: String) -> Result<Self, NoProxy> {
        text.parse()
    }
}

/// Connects to `host:port`, through `proxy` if there is one. Nagle's algorithm is off.
///
/// # Errors
/// As the system says; what a proxy says against it is an error with a sentence of its own.
pub(super) async fn connect(address: &str, proxy: Option<&Proxy>) -> io::Result<TcpStream> {
    let Some(proxy) = proxy else {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        return Ok(stream);
    };
    let mut stream = TcpStream::connect(&proxy.address).await.map_err(|error| {
        let said = format!("the proxy {proxy} cannot be reached: {error}");
        io::Error::new(io::ErrorKind::NotConnected, said)
    })?;
    stream.set_nodelay(true)?;
    stream.write_all(proxy.request(address).as_bytes()).await?;
    let mut head = Vec::new();
    // a byte at a time: what follows the head is TLS's
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES {
            return Err(io::Error::other(format!(
                "the proxy {proxy} answers no HTTP"
            )));
        }
        head.push(stream.read_u8().await.map_err(|error| {
            let said = format!("the proxy {proxy} broke off: {error}");
            io::Error::new(error.kind(), said)
        })?);
    }
    proxy.judge(&head, address).map_err(io::Error::other)?;
    Ok(stream)
}

impl Proxy {
    fn request(&self, to: &str) -> Zeroizing<String> {
        let authorization = self
            .credentials
            .as_deref()
            .map(|it| format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(it)))
            .unwrap_or_default();
        Zeroizing::new(format!(
            "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{authorization}\r\n"
        ))
    }

    fn judge(&self, head: &[u8], to: &str) -> Result<(), String> {
        let head = String::from_utf8_lossy(head);
        let line = head.lines().next().unwrap_or_default();
        let mut words = line.split(' ');
        let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
        let status = words.next().and_then(|word| word.parse::<u16>().ok());
        match status {
            Some(200..=299) if is_http => Ok(()),
            Some(407) if is_http => Err(format!(
                "the proxy {self} asks who is calling (407): write proxy = \"http://user:password@{self}\""
            )),
            Some(status) if is_http => Err(format!(
                "the proxy {self} does not let us through to {to} (HTTP {status}): it has to allow CONNECT to this host and port"
            )),
            _ => Err(format!("the proxy {self} answers no HTTP")),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    #[test]
    fn only_http_with_host_and_port_is_a_proxy() {
        let proxy: Proxy = "http://proxy.example:3128/".parse().unwrap();
        assert_eq!(proxy.to_string(), "proxy.example:3128");
        for wrong in [
            "proxy.example:3128",
            "https://proxy.example:3128",
            "http://proxy.example",
            "http://:3128",
            "http://proxy.example:3128/path",
        ] {
            assert_eq!(wrong.parse::<Proxy>(), Err(NoProxy), "{wrong}");
        }
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let proxy: Proxy = "http://agent:s3cret@proxy.example:3128".parse().unwrap();
        assert!(!format!("{proxy} {proxy:?}").contains("s3cret"));
        assert!(
            proxy
                .request("gw:443")
                .contains("Basic YWdlbnQ6czNjcmV0\r\n")
        );
    }

    /// A proxy that answers once, and what it was asked.
    async fn answering(answer: &'static str) -> (Proxy, JoinSet<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://{}", listener.local_addr().unwrap());
        let mut asked = JoinSet::new();
        asked.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(asked).unwrap()
        });
        (proxy.parse().unwrap(), asked)
    }

    #[tokio::test]
    async fn what_follows_the_answer_is_left_to_the_reader() {
        let (proxy, mut asked) = answering("HTTP/1.1 200 OK\r\nVia: x\r\n\r\nTLS").await;
        let mut stream = connect("gateway.example:443", Some(&proxy)).await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "TLS");
        assert!(
            asked.join_next().await.unwrap().unwrap().starts_with(
                "CONNECT gateway.example:443 HTTP/1.1\r\nHost: gateway.example:443\r\n"
            )
        );
    }

    #[tokio::test]
    async fn every_refusal_says_what_to_do() {
        for (answer, said) in [
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                "user:password",
            ),
            ("HTTP/1.0 403 Forbidden\r\n\r\n", "HTTP 403"),
            ("SSH-2.0-x\r\n\r\n", "answers no HTTP"),
            ("HTTP/1.1 200", "broke off"),
        ] {
            let (proxy, _asked) = answering(answer).await;
            let error = connect("gateway.example:443", Some(&proxy))
                .await
                .unwrap_err();
            assert!(error.to_string().contains(said), "{answer}: {error}");
        }
    }
}
