//! Why an object of an agent is not taken, and how it is told so.

use std::time::Duration;

use causeway_proto::ids::{AgreementId, StudyUid};
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{CodecError, sentence};
use causeway_proto::link::message::{InstanceKey, Refused};
use causeway_proto::link::session::Farewell;

use super::super::accept::audit_refusal;
use super::super::session::Session;
use crate::ingest::IngestError;

/// When what the stream itself got wrong may be tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Why an object is refused.
pub(super) enum Why {
    /// `ingest` has refused it.
    Ingest(IngestError),
    /// Its stream broke the protocol or ended early.
    Stream(Code, String),
}

impl From<IngestError> for Why {
    fn from(error: IngestError) -> Self {
        Self::Ingest(error)
    }
}

impl From<CodecError> for Why {
    fn from(error: CodecError) -> Self {
        Self::Stream(error.code(), error.to_string())
    }
}

impl Why {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Ingest(error) => error.code(),
            Self::Stream(code, _) => *code,
        }
    }

    /// The answer about an object.
    pub(super) fn refused(
        &self,
        key: Option<InstanceKey>,
        study: StudyUid,
        agreement: AgreementId,
    ) -> Refused {
        let (text, again) = match self {
            Self::Ingest(error) => (error.to_string(), error.retry_after()),
            Self::Stream(_, text) => (text.clone(), Some(AGAIN)),
        };
        Refused {
            key,
            study,
            agreement,
            code: self.code().number(),
            sentence: sentence(text),
            retry_after_ms: again.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// That the site reaches for what is another's ends its connection.
    pub(super) fn farewell(&self) -> Option<Farewell> {
        match self {
            Self::Ingest(error @ IngestError::Foreign) => {
                Some(Farewell::new(Code::Forbidden, error.to_string()))
            }
            _ => None,
        }
    }
}

/// Audits that a site reached for what is another's; the farewell is its answer.
pub(super) async fn forbid(session: &Session, farewell: &Farewell) {
    let site = &session.peer.site;
    tracing::error!(%site, sentence = %farewell.sentence, "a site reached for what is another's");
    audit_refusal(&session.rooms.parts, site, farewell).await;
}

/// Answers with REFUSED; what the site may not do is audited.
pub(super) async fn refuse(session: &Session, refused: Refused) {
    let site = &session.peer.site;
    let code = Code::of(u64::from(refused.code)).unwrap_or(Code::Internal);
    tracing::warn!(%site, code = code.name(), sentence = %refused.sentence, "an object was refused");
    if code == Code::Forbidden {
        let farewell = Farewell::new(code, refused.sentence.clone());
        audit_refusal(&session.rooms.parts, site, &farewell).await;
    }
    session.say(refused).await;
}
