//! A client of the link that says what it likes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use causeway_certs::tls::ClientTls;
use causeway_proto::link::codec::{Message, Part, Reader, Speaker, encode};
use causeway_proto::link::message::{Hello, HelloAgent};
use causeway_proto::link::session::agent_hello;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream, TransportConfig,
};

use super::centre::clock;

/// One connection with its control stream.
pub(super) struct Stranger {
    _endpoint: Endpoint,
    pub(super) connection: Connection,
    pub(super) to_gateway: SendStream,
    from_gateway: RecvStream,
    reader: Reader,
}

/// An agent's HELLO.
pub(super) fn hello(spool: &str, session: u64) -> Hello {
    let half = HelloAgent {
        spool: spool.to_owned(),
        session,
        epoch_seen: 0,
        receipt_seen: 0,
    };
    agent_hello(clock().now(), "stranger", half)
}

impl Stranger {
    pub(super) async fn dial(tls: &ClientTls, gateway: SocketAddr) -> anyhow::Result<Self> {
        Self::with(tls, gateway, TransportConfig::default()).await
    }

    /// With other transport parameters.
    pub(super) async fn with(
        tls: &ClientTls,
        gateway: SocketAddr,
        transport: TransportConfig,
    ) -> anyhow::Result<Self> {
        let mut endpoint = Endpoint::client("127.0.0.1:0".parse()?)?;
        let crypto = QuicClientConfig::try_from(Arc::clone(&tls.config))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport));
        endpoint.set_default_client_config(config);
        let connection = endpoint.connect(gateway, "localhost")?.await?;
        let (to_gateway, from_gateway) = connection.open_bi().await?;
        Ok(Self {
            _endpoint: endpoint,
            connection,
            to_gateway,
            from_gateway,
            reader: Reader::control(Speaker::Gateway),
        })
    }

    pub(super) async fn say(&mut self, message: impl Into<Message>) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        encode(&message.into(), &mut bytes)?;
        self.to_gateway.write_all(&bytes).await?;
        Ok(())
    }

    /// The gateway's next message, but for the heads of its audit trail, which it says at any time.
    pub(super) async fn hear(&mut self) -> anyhow::Result<Message> {
        loop {
            match self.reader.next_part()? {
                Some(Part::Message(Message::AuditHead(_))) => continue,
                Some(Part::Message(message)) => return Ok(message),
                Some(Part::Data(_)) | None => {}
            }
            let chunk = self.from_gateway.read_chunk(65_536, true).await?;
            self.reader
                .push(&chunk.context("the control stream has ended")?.bytes);
        }
    }

    /// How the gateway ends the connection: code and sentence.
    pub(super) async fn closed(&self) -> anyhow::Result<(u64, String)> {
        let limit = Duration::from_secs(20);
        said(&tokio::time::timeout(limit, self.connection.closed()).await?)
    }

    /// Dials and says nothing until the gateway ends the connection, which may be before the control stream is open.
    pub(super) async fn turned_away(
        tls: &ClientTls,
        gateway: SocketAddr,
    ) -> anyhow::Result<(u64, String)> {
        match Self::dial(tls, gateway).await {
            Ok(stranger) => stranger.closed().await,
            Err(error) => said(error.downcast_ref().context("a connection's end")?),
        }
    }
}

fn said(end: &ConnectionError) -> anyhow::Result<(u64, String)> {
    match end {
        ConnectionError::ApplicationClosed(close) => Ok((
            close.error_code.into_inner(),
            String::from_utf8_lossy(&close.reason).into_owned(),
        )),
        other => Err(other.clone().into()),
    }
}
