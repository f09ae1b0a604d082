//! Lines of RFC 5424, over UDP (RFC 5426) or with counted octets over TCP (RFC 6587).

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};

use super::{ChannelError, io};
use crate::config::{Syslog, Transport};
use crate::telling::{Phase, Telling};

/// A receiver need not take more in one message (RFC 5424 6.1), in bytes.
const LONGEST: usize = 2048;

/// A server.
#[derive(Debug)]
pub(crate) struct SyslogWriter {
    address: String,
    transport: Transport,
    facility: u8,
}

impl SyslogWriter {
    pub(super) fn of(config: &Syslog) -> Self {
        Self {
            address: config.address.clone(),
            transport: config.transport,
            facility: config.facility,
        }
    }

    /// One connection for each message: they are rare, and one that has long been idle is often dead.
    pub(super) async fn send(&self, telling: &Telling) -> Result<(), ChannelError> {
        let line = line(telling, self.facility);
        match self.transport {
            Transport::Udp => {
                let found = tokio::net::lookup_host(&self.address).await;
                let mut found = found.map_err(io("looking up the syslog server"))?;
                let Some(to) = found.next() else {
                    let what = "the syslog server's name leads nowhere".to_owned();
                    return Err(ChannelError::Configured(what));
                };
                let own = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(own).await;
                let socket = socket.map_err(io("opening a socket"))?;
                let sent = socket.send_to(line.as_bytes(), to).await;
                sent.map_err(io("sending a datagram to the syslog server"))?;
            }
            Transport::Tcp => {
                let stream = TcpStream::connect(&self.address).await;
                let mut stream = stream.map_err(io("connecting to the syslog server"))?;
                let frame = format!("{} {line}", line.len());
                let tried = "writing to the syslog server";
                stream
                    .write_all(frame.as_bytes())
                    .await
                    .map_err(io(tried))?;
                stream.shutdown().await.map_err(io(tried))?;
            }
        }
        Ok(())
    }
}

/// `<PRI>1 TIME HOST APP - ALARM - what`. The host is who tells: an agent's site, a gateway's name.
fn line(telling: &Telling, facility: u8) -> String {
    // RFC 5424 6.2.1: alert, notice, informational
    let severity = match telling.phase {
        Phase::Raised | Phase::Again => 1,
        Phase::Over => 5,
        Phase::Test => 6,
    };
    let priority = u16::from(facility) * 8 + severity;
    let mut line = format!(
        "<{priority}>1 {} {} {} - {} - {}",
        telling.at,
        word(&telling.source.name, 255),
        word(telling.source.program, 48),
        word(&telling.rule, 32),
        telling.line().replace(char::is_control, " ")
    );
    let mut end = line.len().min(LONGEST);
    while !line.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    line.truncate(end);
    line
}

/// A field of the head: printable ASCII without spaces.
fn word(text: &str, most: usize) -> String {
    let printable = text.chars().filter(char::is_ascii_graphic).take(most);
    let word: String = printable.collect();
    if word.is_empty() {
        "-".to_owned()
    } else {
        word
    }
}
