//! Judges a request for an association (PS3.8 7.1, 9.3.2–9.3.4) and answers it: pure, from what was said, by whom, and how busy we are.

use std::net::IpAddr;

use causeway_proto::ids::{AeTitle, SopClassUid, TransferSyntaxUid};

use dicom_ul::Pdu;
use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult, AssociationRJServiceProviderASCEReason,
    AssociationRJServiceProviderPresentationReason as Presentation,
    AssociationRJServiceUserReason as User, AssociationRJSource, AssociationRQ,
    PresentationContextProposed, PresentationContextResult, PresentationContextResultReason,
};

use super::config::{Called, Calling, Config};
use super::pdu;
use super::wire::Fault;
use crate::spool::CallingKind;

/// PS3.8 7.1.1.13 leaves room for 128 odd identifiers.
const MAX_CONTEXTS: usize = 128;
/// A peer that takes less than this would get next to nothing in a P-DATA-TF.
const LEAST_PEER_PDU: u32 = 1024;

/// Verification SOP class (PS3.4 A).
pub(super) const VERIFICATION: &str = "1.2.840.10008.1.1";

/// Storage Commitment Push Model SOP class (PS3.4 J).
pub(super) const COMMITMENT: &str = "1.2.840.10008.1.20.1";
/// Its one instance.
pub(super) const COMMITMENT_INSTANCE: &str = "1.2.840.10008.1.20.1.1";
/// In which a request may be written, the first that is proposed.
const COMMITMENT_SYNTAXES: [&str; 2] = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"];

/// Storage classes that stand outside of the family 1.2.840.10008.5.1.4.1.1 (PS3.4 B.5, GG.3; three are retired).
const OTHER_STORAGE: [&str; 11] = [
    "1.2.840.10008.5.1.1.27",
    "1.2.840.10008.5.1.1.29",
    "1.2.840.10008.5.1.1.30",
    "1.2.840.10008.5.1.4.34.1",
    "1.2.840.10008.5.1.4.34.7",
    "1.2.840.10008.5.1.4.34.10",
    "1.2.840.10008.5.1.4.38.1",
    "1.2.840.10008.5.1.4.39.1",
    "1.2.840.10008.5.1.4.43.1",
    "1.2.840.10008.5.1.4.44.1",
    "1.2.840.10008.5.1.4.45.1",
];

/// Classes inside of the family that are queries, not storage (PS3.4 II, YY, ZZ).
const NOT_STORAGE: [&str; 8] = [
    "1.2.840.10008.5.1.4.1.1.200.4",
    "1.2.840.10008.5.1.4.1.1.200.5",
    "1.2.840.10008.5.1.4.1.1.200.6",
    "1.2.840.10008.5.1.4.1.1.201.2",
    "1.2.840.10008.5.1.4.1.1.201.3",
    "1.2.840.10008.5.1.4.1.1.201.4",
    "1.2.840.10008.5.1.4.1.1.201.5",
    "1.2.840.10008.5.1.4.1.1.201.6",
];

/// How busy we are at the moment of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// One more is welcome.
    Free,
    /// A configured number of associations is reached, in all or from this address.
    AtLimit,
    /// The spool is between its floors, or we are shutting down.
    Congested,
}

/// What an accepted context is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// C-ECHO.
    Verification,
    /// C-STORE of one class in one syntax.
    Storage(SopClassUid, TransferSyntaxUid),
    /// Requests for storage commitment, and their results, in this syntax.
    Commitment(TransferSyntaxUid),
}

/// An association as agreed.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    /// Who calls.
    pub(super) calling: AeTitle,
    /// What kind of sender it is.
    pub(super) kind: CallingKind,
    /// Which of our titles it calls.
    pub(super) called: Called,
    /// Longest P-DATA-TF that the peer takes, in bytes.
    pub(super) peer_pdu: u32,
    /// Accepted contexts by identifier.
    pub(super) contexts: Vec<(u8, Use)>,
    /// The A-ASSOCIATE-AC.
    pub(super) answer: Pdu,
}

impl Agreed {
    /// What the context `id` is for, when it was accepted.
    pub(super) fn context(&self, id: u8) -> Option<&Use> {
        let found = self.contexts.iter().find(|(of, _)| *of == id);
        found.map(|(_, usage)| usage)
    }
}

/// The answer to a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// A-ASSOCIATE-AC.
    Accept(Box<Agreed>),
    /// A-ASSOCIATE-RJ (PS3.8 9.3.4), and why in words for the log.
    Reject(AssociationRJ, &'static str),
    /// A-ABORT: the request breaks the protocol.
    Abort(Fault, &'static str),
}

/// Judges the request of a peer at `address`. The caller's title and address are judged together and refused with one answer,
/// so that nobody can find out titles by trying.
pub(super) fn judge(said: &AssociationRQ, address: IpAddr, config: &Config, load: Load) -> Verdict {
    if let Some(why) = broken(&said.presentation_contexts) {
        return Verdict::Abort(Fault::InvalidPduParameter, why);
    }
    if said.protocol_version & 1 == 0 {
        let reason = AssociationRJServiceProviderASCEReason::ProtocolVersionNotSupported;
        let rejection = AssociationRJ {
            result: AssociationRJResult::Permanent,
            source: AssociationRJSource::ServiceProviderASCE(reason),
        };
        return Verdict::Reject(rejection, "protocol version 1 is not offered");
    }
    if said.application_context_name != pdu::APPLICATION_CONTEXT {
        let reason = User::ApplicationContextNameNotSupported;
        return never(reason, "the application context is not DICOM's");
    }
    let Some(called) = find_called(said, config) else {
        let reason = User::CalledAETitleNotRecognized;
        return never(reason, "the called AE title is not one of ours");
    };
    let Some((title, calling)) = find_calling(said, address, config) else {
        let reason = User::CallingAETitleNotRecognized;
        return never(reason, "the calling AE title is not known at this address");
    };
    match load {
        Load::Free => {}
        Load::AtLimit => {
            let (word, why) = at_limit();
            return Verdict::Reject(word, why);
        }
        Load::Congested => {
            let word = later(Presentation::TemporaryCongestion);
            return Verdict::Reject(word, "no room for new studies for now");
        }
    }
    // 0 is "unlimited"; every answer of ours fits the least PDU, so that nothing else depends on the number.
    if pdu::max_pdu(&said.user_variables).is_some_and(|n| n != 0 && n < LEAST_PEER_PDU) {
        let reason = User::NoReasonGiven;
        return never(reason, "the peer takes PDUs of less than 1 KiB only");
    }
    accept(said, config, called.clone(), (title, calling))
}

fn accept(
    said: &AssociationRQ,
    config: &Config,
    called: Called,
    (title, calling): (AeTitle, &Calling),
) -> Verdict {
    let commits = calling.commitment.is_some();
    let answers = said.presentation_contexts.iter();
    let (contexts, answered) = answers
        .map(|context| answer(context, commits))
        .unzip::<_, _, Vec<_>, _>();
    let mut user_variables = pdu::user_variables(config.max_pdu_bytes);
    // whoever says so hears so: of commitment we are the provider, whatever else is proposed
    let role = pdu::role_of(&said.user_variables, COMMITMENT).filter(|_| commits);
    user_variables.extend(role.map(|(scu, _)| pdu::role(COMMITMENT, scu, false)));
    let answer = AssociationAC {
        protocol_version: 1,
        calling_ae_title: said.calling_ae_title.clone(),
        called_ae_title: said.called_ae_title.clone(),
        application_context_name: pdu::APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: answered,
        user_variables,
    };
    Verdict::Accept(Box::new(Agreed {
        calling: title,
        kind: calling.kind,
        called,
        peer_pdu: pdu::peer_pdu(&said.user_variables),
        contexts: contexts.into_iter().flatten().collect(),
        answer: answer.into(),
    }))
}

fn never(reason: User, why: &'static str) -> Verdict {
    let rejection = AssociationRJ {
        result: AssociationRJResult::Permanent,
        source: AssociationRJSource::ServiceUser(reason),
    };
    Verdict::Reject(rejection, why)
}

/// What somebody is told who is one too many, whatever he asks for; and why in words for the log.
pub(super) fn at_limit() -> (AssociationRJ, &'static str) {
    (
        later(Presentation::LocalLimitExceeded),
        "too many associations",
    )
}

fn later(reason: Presentation) -> AssociationRJ {
    AssociationRJ {
        result: AssociationRJResult::Transient,
        source: AssociationRJSource::ServiceProviderPresentation(reason),
    }
}

fn broken(proposed: &[PresentationContextProposed]) -> Option<&'static str> {
    if proposed.len() > MAX_CONTEXTS {
        return Some("more than 128 presentation contexts");
    }
    for (index, context) in proposed.iter().enumerate() {
        if context.id % 2 == 0 {
            return Some("a presentation context with an even identifier");
        }
        let same = |other: &PresentationContextProposed| other.id == context.id;
        if proposed.iter().skip(index + 1).any(same) {
            return Some("two presentation contexts with one identifier");
        }
    }
    None
}

fn find_called<'a>(said: &AssociationRQ, config: &'a Config) -> Option<&'a Called> {
    let title: AeTitle = said.called_ae_title.parse().ok()?;
    config.called.iter().find(|called| called.ae_title == title)
}

fn find_calling<'a>(
    said: &AssociationRQ,
    address: IpAddr,
    config: &'a Config,
) -> Option<(AeTitle, &'a Calling)> {
    let title: AeTitle = said.calling_ae_title.parse().ok()?;
    let matches = |calling: &&Calling| {
        calling
            .ae_title
            .as_ref()
            .is_none_or(|known| *known == title)
            && calling.addresses.iter().any(|origin| origin.holds(address))
    };
    let found = config.calling.iter().find(matches)?;
    Some((title, found))
}

/// Accepts the first transfer syntax that is a UID: the bytes stay as they come, whatever they are (PS3.8 9.3.3.2). A refusal
/// repeats that one too, for nothing else may be written back.
fn answer(
    context: &PresentationContextProposed,
    commits: bool,
) -> (Option<(u8, Use)>, PresentationContextResult) {
    let commitment = commits && context.abstract_syntax == COMMITMENT;
    let ours = |text: &&String| !commitment || COMMITMENT_SYNTAXES.contains(&text.as_str());
    let mut syntaxes = context.transfer_syntaxes.iter().filter(ours);
    let syntax = syntaxes.find_map(|text| text.parse::<TransferSyntaxUid>().ok());
    let named = syntax.as_ref().map(|syntax| syntax.as_str().to_owned());
    let answered = |reason| PresentationContextResult {
        id: context.id,
        reason,
        transfer_syntax: named.unwrap_or_default(),
    };
    let class = match context.abstract_syntax.parse() {
        Ok(class) if commitment => Some(class),
        _ => class_we_take(&context.abstract_syntax),
    };
    let Some(class) = class else {
        let reason = PresentationContextResultReason::AbstractSyntaxNotSupported;
        return (None, answered(reason));
    };
    let Some(syntax) = syntax else {
        let reason = PresentationContextResultReason::TransferSyntaxesNotSupported;
        return (None, answered(reason));
    };
    let usage = if commitment {
        Use::Commitment(syntax)
    } else if class.as_str() == VERIFICATION {
        Use::Verification
    } else {
        Use::Storage(class, syntax)
    };
    let answered = answered(PresentationContextResultReason::Acceptance);
    (Some((context.id, usage)), answered)
}

/// Verification, every storage class of the standard, and every UID outside of the standard's root: a private class that is
/// sent to a storage provider is a private storage class.
fn class_we_take(text: &str) -> Option<SopClassUid> {
    let class: SopClassUid = text.parse().ok()?;
    let standard = text.starts_with("1.2.840.10008.");
    let taken = !standard
        || text == VERIFICATION
        || (text.starts_with("1.2.840.10008.5.1.4.1.1.") && !NOT_STORAGE.contains(&text))
        || OTHER_STORAGE.contains(&text);
    taken.then_some(class)
}

#[cfg(test)]
mod tests;
