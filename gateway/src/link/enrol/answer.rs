//! One enrolment connection: one request in, one answer out.

use std::io;
use std::net::SocketAddr;

use causeway_certs::enrol::{Answer, Request, Word, decode_length, frame, parse};
use causeway_certs::enrol::{FrameError, Refused};
use causeway_certs::identity::{Peer, site_of};
use causeway_certs::tls::ENROL_ALPN;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::directory::{self, Authorities, DirectoryError};
use crate::parts::Parts;

#[derive(Debug, Error)]
pub(super) enum AnswerError {
    #[error("the agent speaks another protocol than enrolment")]
    Protocol,
    #[error("reading the request or writing the answer")]
    Io(#[from] io::Error),
    #[error("the request")]
    Frame(#[from] FrameError),
}

pub(super) async fn answer(
    mut stream: TlsStream<TcpStream>,
    from: SocketAddr,
    parts: &Parts,
) -> Result<(), AnswerError> {
    if stream.get_ref().1.alpn_protocol() != Some(ENROL_ALPN) {
        return Err(AnswerError::Protocol);
    }
    let peer = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| site_of(chain).ok());
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let mut body = vec![0; decode_length(head)?];
    stream.read_exact(&mut body).await?;
    let request: Request = parse(&body)?;
    let answer = match decide(parts, peer.as_ref(), &request).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::error!(%from, %error, "an enrolment could not be answered");
            let sentence = "the gateway cannot answer now: try again in a minute".to_owned();
            Answer::Refused(Refused {
                word: Word::Busy,
                sentence,
            })
        }
    };
    note(from, &answer);
    stream.write_all(&frame(&answer)?).await?;
    stream.shutdown().await?;
    if matches!(answer, Answer::Enrolled(_)) {
        parts.wakes.directory.ring();
    }
    Ok(())
}

async fn decide(
    parts: &Parts,
    peer: Option<&Peer>,
    request: &Request,
) -> Result<Answer, DirectoryError> {
    let with = Authorities {
        link: parts.link_authority.clone(),
        signer: parts.signer_authority.clone(),
        clock: parts.clock.clone(),
        random: parts.random.clone(),
    };
    match peer {
        Some(peer) => directory::renew(&parts.rows, &with, peer, request).await,
        None => directory::enrol(&parts.rows, &with, request).await,
    }
}

fn note(from: SocketAddr, answer: &Answer) {
    match answer {
        Answer::Enrolled(enrolled) => {
            tracing::info!(%from, site = %enrolled.site, "a site has its certificate")
        }
        Answer::Refused(refused) => {
            tracing::warn!(%from, why = ?refused.word, "an enrolment was refused: {}", refused.sentence);
        }
    }
}
