//! What the network team has to let through, as a request that can be handed on, and what passes now (P35).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use causeway_proto::random::Random;

use super::{Config, Transport, proxy, tunnel};

/// How long a try over TCP waits.
const LIMIT: Duration = Duration::from_secs(5);

/// The request, with what was found just now. `Display` is the text for the network team.
#[derive(Debug)]
pub struct Request {
    config: Config,
    enrolment: String,
    addresses: Result<Vec<SocketAddr>, String>,
    udp: bool,
    tcp: Result<(), String>,
}

impl Request {
    /// Tries what is to be let through. `enrolment` is where certificates are renewed, `host:port`.
    pub async fn look(config: &Config, enrolment: &str, random: &Random) -> Self {
        let addresses = match tokio::net::lookup_host(config.address.as_str()).await {
            Ok(found) => Ok(found.collect::<Vec<_>>()),
            Err(error) => Err(error.to_string()),
        };
        let first = addresses.iter().flatten().next().copied();
        let udp = match first {
            Some(address) => tunnel::udp_passes(address, random).await,
            None => false,
        };
        let connecting = proxy::connect(config.tcp_address(), config.proxy.as_ref());
        let late = || Err(io::Error::from(io::ErrorKind::TimedOut));
        let tcp = tokio::time::timeout(LIMIT, connecting).await;
        Self {
            tcp: tcp
                .unwrap_or_else(|_| late())
                .map(drop)
                .map_err(|error| error.to_string()),
            config: config.clone(),
            enrolment: enrolment.to_owned(),
            addresses,
            udp,
        }
    }

    /// Whether the link can come up: by one way at least that the site wants.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self.config.transport {
            Transport::Udp => self.udp,
            Transport::Tcp => self.tcp.is_ok(),
            Transport::Auto => self.udp || self.tcp.is_ok(),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, udp_port) = parts(&self.config.address);
        let (tcp_host, tcp_port) = parts(self.config.tcp_address());
        let (enrol_host, enrol_port) = parts(&self.enrolment);
        writeln!(
            f,
            "Request to the network team: outbound connections of this machine, nothing inbound"
        )?;
        writeln!(f)?;
        writeln!(f, "  direction  protocol  host  port  for")?;
        writeln!(
            f,
            "  out        UDP       {host}  {udp_port}  images and reports (QUIC, RFC 9000), with the answers to the same flow"
        )?;
        writeln!(
            f,
            "  out        TCP       {tcp_host}  {tcp_port}  the same where UDP does not pass (TLS 1.3)"
        )?;
        if (enrol_host, enrol_port) != (tcp_host, tcp_port) {
            writeln!(
                f,
                "  out        TCP       {enrol_host}  {enrol_port}  the agent's certificate (TLS 1.3)"
            )?;
        }
        match &self.addresses {
            Ok(found) => {
                let found: Vec<String> = found.iter().map(|it| it.ip().to_string()).collect();
                writeln!(f, "  {host} is {} now.", found.join(", "))?;
            }
            Err(error) => writeln!(f, "  {host} cannot be resolved here: {error}.")?,
        }
        match &self.config.proxy {
            Some(proxy) => writeln!(
                f,
                "  TCP goes through the proxy {proxy} (HTTP CONNECT); UDP goes past it."
            )?,
            None => writeln!(
                f,
                "  No proxy is used; `proxy = \"http://host:port\"` under [gateway] names one."
            )?,
        }
        writeln!(
            f,
            "  Please no TLS inspection for {host}: both ends accept certificates of the gateway's own authority alone."
        )?;
        writeln!(
            f,
            "  An idle UDP flow should be kept for 60 s; the agent shows life every {} s.",
            self.config.keep_alive_s
        )?;
        writeln!(f)?;
        writeln!(f, "Tried just now")?;
        let udp = if self.udp {
            "a server of QUIC answers"
        } else {
            "no answer"
        };
        writeln!(f, "  UDP to {}: {udp}", self.config.address)?;
        match &self.tcp {
            Ok(()) => writeln!(f, "  TCP to {}: connects", self.config.tcp_address()),
            Err(error) => writeln!(f, "  TCP to {}: {error}", self.config.tcp_address()),
        }
    }
}

fn parts(address: &str) -> (&str, &str) {
    address.rsplit_once(':').unwrap_or((address, "?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_request_names_every_way_out_and_what_passes() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap().to_string();
        let config = Config {
            address: there.clone(),
            ..Config::default()
        };
        let random = Random::new(|out| out.fill(3));
        let request = Request::look(&config, "127.0.0.1:9", &random).await;
        let text = request.to_string();
        assert!(request.passes(), "{text}");
        for said in [
            format!("UDP       127.0.0.1  {}", parts(&there).1),
            format!("TCP       127.0.0.1  {}", parts(&there).1),
            "TCP       127.0.0.1  9".to_owned(),
            format!("UDP to {there}: no answer"),
            format!("TCP to {there}: connects"),
        ] {
            assert!(text.contains(&said), "{said} in {text}");
        }
    }
}
