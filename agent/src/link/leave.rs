//! Why a connection is left: what each room's refusal means for it.

use causeway_proto::link::close::Code;
use causeway_proto::link::session::Farewell;

use super::alias::AliasError;
use super::upload::Refusing;
use crate::delivery::DeliveryError;
use crate::spool::SpoolError;
use crate::talk::TalkError;

/// Why a connection is left.
pub(super) enum Leave {
    /// The other side, or the way between, has ended it; quinn knows why.
    Lost,
    /// This side ends it and says so.
    With(Farewell),
    /// The agent ends, or its certificate was renewed.
    Done { at_once: bool },
    /// The link runs over TCP, and UDP passes again.
    UdpPasses,
}

impl Leave {
    pub(super) fn heard(&self) -> super::Heard {
        match self {
            Self::UdpPasses => super::Heard::UdpPasses,
            _ => super::Heard::Somebody,
        }
    }
}

impl From<SpoolError> for Leave {
    fn from(error: SpoolError) -> Self {
        tracing::error!(%error, "the spool refused");
        Self::With(Farewell::new(
            Code::Internal,
            "The agent's spool refused; its log says why.",
        ))
    }
}

impl From<AliasError> for Leave {
    fn from(error: AliasError) -> Self {
        match error {
            AliasError::Spool(error) => error.into(),
            error => {
                tracing::error!(%error, "what came cannot be led back");
                Self::With(Farewell::new(
                    Code::Internal,
                    "The agent cannot use its keys; its log says why.",
                ))
            }
        }
    }
}

impl From<DeliveryError> for Leave {
    fn from(error: DeliveryError) -> Self {
        tracing::error!(%error, "the deliveries refused");
        Self::With(Farewell::new(
            Code::Internal,
            "The agent's deliveries refused; its log says why.",
        ))
    }
}

impl From<TalkError> for Leave {
    fn from(error: TalkError) -> Self {
        tracing::error!(%error, "the words about cases refused");
        Self::With(Farewell::new(
            Code::Internal,
            "The agent's words about cases refused; its log says why.",
        ))
    }
}

impl From<Refusing> for Leave {
    fn from(refusing: Refusing) -> Self {
        match refusing {
            Refusing::Farewell(farewell) => Self::With(farewell),
            Refusing::Spool(error) => error.into(),
        }
    }
}
