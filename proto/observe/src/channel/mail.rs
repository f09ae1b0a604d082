//! A mail by way of a server that takes mail (RFC 6409).

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::{ChannelError, LIMIT, read, secret};
use crate::config::{Mail, MailTls};
use crate::telling::Telling;

/// A server, and who writes to whom.
pub(crate) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailer")
    }
}

impl Mailer {
    pub(super) fn open(config: &Mail) -> Result<Self, ChannelError> {
        let wrong = |what: String| ChannelError::Configured(what);
        let mailbox = |text: &String| -> Result<Mailbox, ChannelError> {
            text.parse()
                .or(Err(wrong(format!("\"{text}\" is no address"))))
        };
        let server = config.server.rsplit_once(':');
        let (host, port) = server.ok_or_else(|| wrong("server is no host:port".to_owned()))?;
        let port: u16 = port
            .parse()
            .or(Err(wrong("server has no port".to_owned())))?;
        let host = host.trim_matches(['[', ']']);
        let tls = match config.tls {
            MailTls::None => Tls::None,
            MailTls::Starttls => Tls::Required(parameters(host, config)?),
            MailTls::Implicit => Tls::Wrapper(parameters(host, config)?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port)
            .tls(tls)
            .timeout(Some(LIMIT));
        if let (Some(user), Some(file)) = (&config.user, &config.password_file) {
            builder = builder.credentials(Credentials::new(user.clone(), secret(file)?));
        }
        Ok(Self {
            transport: builder.build(),
            from: mailbox(&config.from)?,
            to: config.to.iter().map(mailbox).collect::<Result<_, _>>()?,
        })
    }

    pub(super) async fn send(&self, telling: &Telling) -> Result<(), ChannelError> {
        let since = Duration::from_micros(u64::try_from(telling.at.0).unwrap_or(0));
        let mut message = Message::builder()
            .from(self.from.clone())
            .date(UNIX_EPOCH + since)
            .header(ContentType::TEXT_PLAIN)
            .subject(format!("[causeway] {}", telling.line()));
        for to in &self.to {
            message = message.to(to.clone());
        }
        let message = message
            .body(telling.text())
            .map_err(ChannelError::Message)?;
        let sent = self.transport.send(message).await;
        sent.map(drop).map_err(ChannelError::Mail)
    }
}

fn parameters(host: &str, config: &Mail) -> Result<TlsParameters, ChannelError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(file) = &config.ca_file {
        let root = Certificate::from_pem(read(file)?.as_bytes()).map_err(ChannelError::Mail)?;
        builder = builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(root);
    }
    builder.build_rustls().map_err(ChannelError::Mail)
}
