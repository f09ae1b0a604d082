//! Why a handshake failed, as one word for machines and one sentence for each side.
//!
//! The two sides know different things. The gateway has the verdict of its verifier; the agent has the alert (RFC 8446 6.2) and its
//! own certificate and clock. Alerts are coarse (`certificate_expired` is also sent for one that does not hold yet), so the agent's
//! sentence looks at its own dates.

use causeway_proto::time::Timestamp;
use rustls::{AlertDescription, CertificateError, Error};

use super::WrongAuthority;
use crate::identity::Validity;

/// Who is speaking of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The gateway, of the agent that dialled.
    Gateway,
    /// The agent, of what the gateway answered.
    Agent,
}

/// Why no TLS session came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The agent showed no certificate.
    NoCertificate,
    /// The agent's certificate is of another authority, or the gateway's revocation list is out of date.
    UnknownAuthority,
    /// The gateway's own revocation list has ended, so nobody is let in.
    ListEnded,
    /// The agent's certificate has ended, or has not begun.
    OutOfTime,
    /// The agent's certificate is revoked.
    Revoked,
    /// The agent's certificate names no site, or several.
    NoSite,
    /// The agent's certificate is not for this use.
    WrongUse,
    /// One side speaks another protocol.
    WrongProtocol,
    /// The gateway's certificate has ended or has not begun by the agent's clock.
    GatewayOutOfTime,
    /// The gateway's certificate does not carry the name that was dialled.
    GatewayName,
    /// The gateway's certificate is of another authority than the agent was enrolled with.
    GatewayAuthority,
    /// The authority at that address is not the one whose fingerprint stands in the enrolment code.
    Fingerprint,
    /// Anything else, by its alert number or none.
    Other(Option<u8>),
}

impl Refusal {
    /// From the alert that the other side sent. QUIC shows it as transport error 0x100 + alert (RFC 9001 4.8).
    #[must_use]
    pub fn from_alert(alert: u8) -> Self {
        match AlertDescription::from(alert) {
            AlertDescription::CertificateRequired => Self::NoCertificate,
            AlertDescription::UnknownCA => Self::UnknownAuthority,
            AlertDescription::CertificateExpired => Self::OutOfTime,
            AlertDescription::CertificateRevoked => Self::Revoked,
            AlertDescription::AccessDenied => Self::NoSite,
            AlertDescription::UnsupportedCertificate => Self::WrongUse,
            AlertDescription::NoApplicationProtocol => Self::WrongProtocol,
            AlertDescription::CertificateUnknown => Self::Fingerprint,
            _ => Self::Other(Some(alert)),
        }
    }

    /// From the QUIC transport error code of a closed connection; `None` when it is no TLS alert.
    #[must_use]
    pub fn from_quic(code: u64) -> Option<Self> {
        let alert = code
            .checked_sub(0x100)
            .and_then(|alert| u8::try_from(alert).ok())?;
        Some(Self::from_alert(alert))
    }

    /// From what rustls found on this side, or received from the other.
    #[must_use]
    pub fn from_error(side: Side, error: &Error) -> Self {
        match (side, error) {
            (_, Error::AlertReceived(alert)) => Self::from_alert(u8::from(*alert)),
            (_, Error::NoCertificatesPresented) => Self::NoCertificate,
            (_, Error::NoApplicationProtocol) => Self::WrongProtocol,
            (Side::Gateway, Error::InvalidCertificate(verdict)) => Self::of_agent(verdict),
            (Side::Agent, Error::InvalidCertificate(verdict)) => Self::of_gateway(verdict),
            _ => Self::Other(None),
        }
    }

    fn of_agent(verdict: &CertificateError) -> Self {
        use CertificateError as E;
        match verdict {
            E::Expired
            | E::ExpiredContext { .. }
            | E::NotValidYet
            | E::NotValidYetContext { .. } => Self::OutOfTime,
            E::Revoked => Self::Revoked,
            E::UnknownIssuer | E::BadSignature => Self::UnknownAuthority,
            E::ExpiredRevocationList
            | E::ExpiredRevocationListContext { .. }
            | E::UnknownRevocationStatus => Self::ListEnded,
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => Self::WrongUse,
            E::ApplicationVerificationFailure => Self::NoSite,
            _ => Self::Other(None),
        }
    }

    fn of_gateway(verdict: &CertificateError) -> Self {
        use CertificateError as E;
        match verdict {
            E::Expired
            | E::ExpiredContext { .. }
            | E::NotValidYet
            | E::NotValidYetContext { .. } => Self::GatewayOutOfTime,
            E::NotValidForName | E::NotValidForNameContext { .. } => Self::GatewayName,
            E::UnknownIssuer | E::BadSignature => Self::GatewayAuthority,
            E::Other(other) if other.0.is::<WrongAuthority>() => Self::Fingerprint,
            _ => Self::Other(None),
        }
    }

    /// One word, for metrics and scripts.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no-certificate",
            Self::UnknownAuthority => "unknown-authority",
            Self::ListEnded => "revocation-list-ended",
            Self::OutOfTime => "out-of-time",
            Self::Revoked => "revoked",
            Self::NoSite => "no-site",
            Self::WrongUse => "wrong-use",
            Self::WrongProtocol => "wrong-protocol",
            Self::GatewayOutOfTime => "gateway-out-of-time",
            Self::GatewayName => "gateway-name",
            Self::GatewayAuthority => "gateway-authority",
            Self::Fingerprint => "wrong-fingerprint",
            Self::Other(_) => "other",
        }
    }

    /// The sentence of the gateway's log.
    #[must_use]
    pub fn for_gateway(&self) -> String {
        let sentence = match self {
            Self::NoCertificate => "an agent showed no certificate: it has not been enrolled here",
            Self::UnknownAuthority => {
                "an agent showed a certificate of another authority: it was enrolled at another gateway, or before this one was set up anew"
            }
            Self::ListEnded => {
                "an agent was refused because this gateway's own revocation list is out of date: check its clock and its rows"
            }
            Self::OutOfTime => {
                "an agent showed a certificate that has ended or has not begun: within 30 days it renews by itself, later it needs a new enrolment code"
            }
            Self::Revoked => "an agent showed a revoked certificate: its site was revoked here",
            Self::NoSite => {
                "an agent showed a certificate of this authority that does not name exactly one site"
            }
            Self::WrongUse => "an agent showed a certificate that is not for clients",
            Self::WrongProtocol => {
                "an agent speaks another version of the link protocol than causeway/1, or dialled the wrong port"
            }
            Self::GatewayOutOfTime => {
                "an agent holds this gateway's certificate to be out of its time: compare the two clocks"
            }
            Self::GatewayName => {
                "an agent dialled a name that this gateway's certificate does not carry: add it to link.names"
            }
            Self::GatewayAuthority => {
                "an agent was enrolled with another authority than this gateway's"
            }
            Self::Fingerprint => {
                "an agent ended the enrolment before it sent its code: the fingerprint in the code is not this gateway's"
            }
            Self::Other(alert) => return unknown("the handshake with an agent failed", *alert),
        };
        sentence.to_owned()
    }

    /// The sentence that the agent's operator reads. `own`: the validity of the agent's certificate; `now`: its clock.
    #[must_use]
    pub fn for_agent(&self, own: Option<Validity>, now: Timestamp) -> String {
        let sentence = match self {
            Self::NoCertificate => {
                "the gateway asks for a certificate and this agent has none: enrol it"
            }
            Self::UnknownAuthority => {
                "the gateway does not know the authority of this agent's certificate: the agent was enrolled at another gateway, or this one was set up anew; enrol it again"
            }
            Self::ListEnded => {
                "the gateway refuses everybody because its revocation list is out of date: its operator must look"
            }
            Self::OutOfTime => return own_dates(own, now),
            Self::Revoked => {
                "this agent's certificate was revoked by the gateway's operator: it needs a new enrolment code"
            }
            Self::NoSite => {
                "the gateway refuses this agent's certificate because it names no site: enrol the agent again"
            }
            Self::WrongUse => {
                "the gateway refuses this agent's certificate because it is not one for agents: enrol the agent again"
            }
            Self::WrongProtocol => {
                "the other side does not speak causeway/1: it is another version, or not a gateway's link port"
            }
            Self::GatewayOutOfTime => {
                return format!(
                    "by this machine's clock ({now}) the gateway's certificate does not hold: set the clock, or ask the gateway's operator"
                );
            }
            Self::GatewayName => {
                "the gateway's certificate does not carry the name that was dialled: use a name that it carries, or have the name added to link.names at the gateway"
            }
            Self::GatewayAuthority => {
                "the gateway's certificate is not of the authority that this agent was enrolled with: somebody else answers at this address, or the gateway was set up anew"
            }
            Self::Fingerprint => {
                "the gateway at this address is not the one that made the code: its authority has another fingerprint; the code was not sent"
            }
            Self::Other(alert) => return unknown("the handshake with the gateway failed", *alert),
        };
        sentence.to_owned()
    }
}

fn own_dates(own: Option<Validity>, now: Timestamp) -> String {
    match own {
        Some(own) if now < own.not_before => format!(
            "this agent's certificate begins {} and this machine's clock says {now}: set the clock",
            own.not_before
        ),
        Some(own) if own.not_after < now => format!(
            "this agent's certificate ended {} (clock: {now}): within 30 days it renews by itself, later it needs a new enrolment code",
            own.not_after
        ),
        Some(own) => format!(
            "by the gateway's clock this agent's certificate ({} to {}) does not hold, by this machine's ({now}) it does: compare the two clocks",
            own.not_before, own.not_after
        ),
        None => "the gateway holds this agent's certificate to be out of its time".to_owned(),
    }
}

fn unknown(what: &str, alert: Option<u8>) -> String {
    match alert {
        Some(alert) => format!("{what} with TLS alert {alert}"),
        None => what.to_owned(),
    }
}
