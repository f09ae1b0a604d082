//! A mail by way of a server that takes mail (RFC 6409).

use std::time::{Duration, UNIX_EPOCH};

use futures::future::join_all;
use lettre::address::Envelope;
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

    /// One letter for each reader, all at the same time and each for at most `limit`: a server that refuses one of them, or answers of one
    /// too late, keeps it from no other. It has left when one of them was taken; who was refused, and why, is answered.
    pub(super) async fn send(
        &self,
        telling: &Telling,
        limit: Duration,
    ) -> Result<Option<String>, ChannelError> {
        let text = self.written(telling)?;
        let sending = self.to.iter().map(|to| self.letter(to, &text, limit));
        let mut refused = Vec::new();
        for (to, sent) in self.to.iter().zip(join_all(sending).await) {
            if let Err(error) = sent {
                refused.push((&to.email, error));
            }
        }
        if refused.len() < self.to.len() {
            let said = refused
                .iter()
                .map(|(to, error)| format!("{to}: {}", error.sentence()));
            let said: Vec<String> = said.collect();
            return Ok((!said.is_empty()).then(|| said.join("; ")));
        }
        match refused.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Err(ChannelError::Configured("nobody reads it".to_owned())),
        }
    }

    async fn letter(&self, to: &Mailbox, text: &[u8], limit: Duration) -> Result<(), ChannelError> {
        let envelope = Envelope::new(Some(self.from.email.clone()), vec![to.email.clone()])
            .map_err(ChannelError::Message)?;
        let sending = self.transport.send_raw(&envelope, text);
        match tokio::time::timeout(limit, sending).await {
            Ok(sent) => sent.map(drop).map_err(ChannelError::Mail),
            Err(_) => Err(ChannelError::Late(limit)),
        }
    }

    fn written(&self, telling: &Telling) -> Result<Vec<u8>, ChannelError> {
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
        Ok(message.formatted())
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
