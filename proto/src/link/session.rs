//! How a connection begins and who may have one: HELLO both ways, the version both speak, fencing, clock skew, and the pause
//! before the next try.
//!
//! | State | Event | Next |
//! |---|---|---|
//! | agent: no connection | TLS is up | sends HELLO, waits |
//! | agent: waiting | the gateway's HELLO, versions overlap | up |
//! | agent: waiting | anything else, or nothing in time | closed with a code, next try after a pause |
//! | gateway: waiting | the agent's HELLO, versions overlap, not fenced | sends HELLO, up; an older session of the site is closed |
//! | gateway: waiting | HELLO of a fenced session | closed DUPLICATE_SITE |
//! | up | GOAWAY | nothing new is begun; the other side closes |
//!
//! The link is up only when the other side's HELLO has been read: in TLS 1.3 a client believes itself connected before the server
//! has judged its certificate.

mod fence;
mod pause;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::close::Code;
use super::codec::{self, Message};
use super::message::{Hello, HelloAgent, HelloGateway};
use crate::time::Timestamp;

pub use fence::{Fence, Known, Verdict};
pub use pause::{Pause, Pauses};

/// The lowest version of the protocol that this program speaks.
pub const VERSION_MIN: u16 = 1;
/// The highest.
pub const VERSION_MAX: u16 = 1;
/// A difference of the clocks that is named to people.
pub const SKEW_NAMED: Duration = Duration::from_secs(300);

/// Why a connection is not begun or is ended: the code on the wire and the sentence beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// The code.
    pub code: Code,
    /// A sentence for the person who looks after the other side.
    pub sentence: String,
}

impl Farewell {
    /// The code with a sentence of its own.
    #[must_use]
    pub fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self {
            code,
            sentence: codec::sentence(sentence.into()),
        }
    }
}

impl From<Code> for Farewell {
    fn from(code: Code) -> Self {
        Self::new(code, format!("{}.", code.sentence()))
    }
}

impl From<codec::CodecError> for Farewell {
    fn from(error: codec::CodecError) -> Self {
        let sentence = match error.code() {
            Code::VersionUnsupported => {
                format!("{error}; this side speaks link versions {VERSION_MIN} to {VERSION_MAX}")
            }
            _ => error.to_string(),
        };
        Self::new(error.code(), sentence)
    }
}

/// The agent's first message.
#[must_use]
pub fn agent_hello(now: Timestamp, software: &str, agent: HelloAgent) -> Hello {
    Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        now,
        software: software.to_owned(),
        agent: Some(agent),
        gateway: None,
    }
}

/// The gateway's first message.
#[must_use]
pub fn gateway_hello(now: Timestamp, software: &str, gateway: HelloGateway) -> Hello {
    Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        now,
        software: software.to_owned(),
        agent: None,
        gateway: Some(gateway),
    }
}

/// What both sides know once they have greeted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeted<Half> {
    /// The version spoken from here on.
    pub version: u16,
    /// The other program, for people.
    pub software: String,
    /// How far the other clock is from ours, in microseconds; positive when it is ahead.
    pub skew_us: i64,
    /// What only the other side says.
    pub half: Half,
}

impl<Half> Greeted<Half> {
    /// A sentence when the clocks differ by more than [`SKEW_NAMED`]; a wrong clock breaks certificates before anything else.
    #[must_use]
    pub fn skew_sentence(&self) -> Option<String> {
        let skew = Duration::from_micros(self.skew_us.unsigned_abs());
        (skew > SKEW_NAMED).then(|| {
            let way = if self.skew_us > 0 {
                "ahead of"
            } else {
                "behind"
            };
            format!(
                "The other side's clock is {} seconds {way} ours.",
                skew.as_secs()
            )
        })
    }
}

/// Reads the gateway's first message at the agent.
///
/// # Errors
/// When it is no HELLO of a gateway, or the versions do not overlap.
pub fn greeted_by_gateway(
    now: Timestamp,
    message: Message,
) -> Result<Greeted<HelloGateway>, Farewell> {
    greeted(now, message, |hello| hello.gateway.take())
}

/// Reads the agent's first message at the gateway.
///
/// # Errors
/// When it is no HELLO of an agent, or the versions do not overlap.
pub fn greeted_by_agent(now: Timestamp, message: Message) -> Result<Greeted<HelloAgent>, Farewell> {
    greeted(now, message, |hello| hello.agent.take())
}

fn greeted<Half>(
    now: Timestamp,
    message: Message,
    take: impl FnOnce(&mut Hello) -> Option<Half>,
) -> Result<Greeted<Half>, Farewell> {
    let Message::Hello(mut hello) = message else {
        return Err(Farewell::new(
            Code::ProtocolError,
            "The first message has to be HELLO.",
        ));
    };
    let version = hello.version_max.min(VERSION_MAX);
    if version < hello.version_min.max(VERSION_MIN) {
        return Err(Farewell::new(
            Code::VersionUnsupported,
            format!(
                "This side speaks link versions {VERSION_MIN} to {VERSION_MAX}, {} speaks {} to {}.",
                hello.software, hello.version_min, hello.version_max
            ),
        ));
    }
    let Some(half) = take(&mut hello) else {
        return Err(Farewell::new(
            Code::ProtocolError,
            "HELLO lacks the half of its speaker.",
        ));
    };
    Ok(Greeted {
        version,
        software: codec::sentence(hello.software),
        skew_us: hello.now.0.saturating_sub(now.0),
        half,
    })
}

/// Whether the gateway has forgotten receipts that this agent has seen: another epoch, or fewer receipts in the same. Then
/// everything that is still kept is offered again.
#[must_use]
pub fn has_forgotten(seen: &HelloAgent, gateway: &HelloGateway) -> bool {
    seen.epoch_seen != 0
        && (gateway.epoch != seen.epoch_seen || gateway.high_water < seen.receipt_seen)
}
