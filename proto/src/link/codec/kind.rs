//! The table of messages: type, name, who says it, where, and how long it may be.

use super::{
    CONTROL_MAX_BYTES, CRITICAL, CodecError, HEAD_MAX_BYTES, MANIFEST_MAX_BYTES, append, shape,
};
use crate::link::message;

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The hospital's side.
    Agent,
    /// The centre.
    Gateway,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the control stream.
    Control,
    /// At the beginning of a unidirectional stream, followed by a dataset in chunks.
    Dataset,
    /// At the beginning of a unidirectional stream, alone.
    Alone,
    /// At the end of a dataset.
    End,
}

/// One row of the table of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The type on the wire, critical bit included.
    pub code: u16,
    /// The name in SPEC.md and in logs.
    pub name: &'static str,
    /// Where it stands.
    pub place: Place,
    /// Who says it; none: both.
    pub speaker: Option<Speaker>,
    /// Largest body, in bytes.
    pub max_bytes: u32,
}

impl Kind {
    /// The row of a type from the wire.
    #[must_use]
    pub fn of(code: u16) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.code == code)
    }
}

macro_rules! kinds {
    ($($name:ident = $code:expr, $word:literal, $place:ident, $speaker:expr, $max:expr;)+) => {
        /// Any message of protocol version 1.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Message {
            $(#[doc = concat!("`", $word, "`.")] $name(message::$name),)+
        }

        /// The table of messages.
        pub const KINDS: &[Kind] = &[$(Kind { code: $code, name: $word, place: Place::$place, speaker: $speaker, max_bytes: $max }),+];

        impl Message {
            /// Its row in the table.
            #[must_use]
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$name(_) => Kind { code: $code, name: $word, place: Place::$place, speaker: $speaker, max_bytes: $max },)+
                }
            }

            pub(super) fn encode_body(&self, out: &mut Vec<u8>) {
                match self { $(Self::$name(value) => append(value, out),)+ }
            }

            /// Decodes the body of a frame and checks it against the bounds of its fields.
            ///
            /// # Errors
            /// When the body is not exactly one message of this kind.
            pub(super) fn decode(kind: &Kind, body: &[u8]) -> Result<Self, CodecError> {
                if !shape::is_plain(body) {
                    return Err(CodecError::Malformed(kind.name));
                }
                let malformed = |_error: minicbor::decode::Error| CodecError::Malformed(kind.name);
                let message = match kind.code {
                    $(code if code == $code => Self::$name(minicbor::decode(body).map_err(malformed)?),)+
                    other => return Err(CodecError::UnknownCritical(other)),
                };
                message.check()?;
                Ok(message)
            }
        }

        $(impl From<message::$name> for Message {
            fn from(value: message::$name) -> Self { Self::$name(value) }
        })+
    };
}

const AGENT: Option<Speaker> = Some(Speaker::Agent);
const GATEWAY: Option<Speaker> = Some(Speaker::Gateway);

kinds! {
    Hello = CRITICAL | 0x01, "HELLO", Control, None, CONTROL_MAX_BYTES;
    Open = CRITICAL | 0x02, "OPEN", Control, AGENT, CONTROL_MAX_BYTES;
    Query = CRITICAL | 0x03, "QUERY", Control, AGENT, CONTROL_MAX_BYTES;
    Have = CRITICAL | 0x04, "HAVE", Control, GATEWAY, CONTROL_MAX_BYTES;
    Progress = 0x05, "PROGRESS", Control, AGENT, CONTROL_MAX_BYTES;
    Receipt = CRITICAL | 0x06, "RECEIPT", Control, GATEWAY, CONTROL_MAX_BYTES;
    Refused = CRITICAL | 0x07, "REFUSED", Control, GATEWAY, CONTROL_MAX_BYTES;
    Sealed = CRITICAL | 0x08, "SEALED", Control, GATEWAY, CONTROL_MAX_BYTES;
    Recall = CRITICAL | 0x09, "RECALL", Control, AGENT, CONTROL_MAX_BYTES;
    Recalled = CRITICAL | 0x0a, "RECALLED", Control, GATEWAY, CONTROL_MAX_BYTES;
    Delivery = CRITICAL | 0x0b, "DELIVERY", Control, AGENT, CONTROL_MAX_BYTES;
    Noted = CRITICAL | 0x0c, "NOTED", Control, GATEWAY, CONTROL_MAX_BYTES;
    GoAway = 0x0d, "GOAWAY", Control, None, CONTROL_MAX_BYTES;
    AuditHead = 0x0e, "AUDIT_HEAD", Control, None, CONTROL_MAX_BYTES;
    Instance = CRITICAL | 0x10, "INSTANCE", Dataset, AGENT, HEAD_MAX_BYTES;
    Manifest = CRITICAL | 0x11, "MANIFEST", Alone, AGENT, MANIFEST_MAX_BYTES;
    Report = CRITICAL | 0x12, "REPORT", Dataset, GATEWAY, HEAD_MAX_BYTES;
    Trailer = CRITICAL | 0x13, "TRAILER", End, None, HEAD_MAX_BYTES;
    Deleted = 0x20, "DELETED", Control, GATEWAY, CONTROL_MAX_BYTES;
    DeletedNoted = 0x21, "DELETED_NOTED", Control, AGENT, CONTROL_MAX_BYTES;
    Again = 0x22, "AGAIN", Control, GATEWAY, CONTROL_MAX_BYTES;
    NotKept = 0x23, "NOT_KEPT", Control, AGENT, CONTROL_MAX_BYTES;
    Context = 0x28, "CONTEXT", Control, AGENT, CONTROL_MAX_BYTES;
    ContextHeld = 0x29, "CONTEXT_HELD", Control, GATEWAY, CONTROL_MAX_BYTES;
    Letter = 0x2a, "LETTER", Control, None, CONTROL_MAX_BYTES;
    LetterState = 0x2b, "LETTER_STATE", Control, None, CONTROL_MAX_BYTES;
}

/// Longest sentence or reason, in bytes.
pub const SENTENCE_MAX_BYTES: usize = 1024;
/// Longest name: spool, delivery, destination, form, software, modality, words of an agreement, in bytes.
pub const NAME_MAX_BYTES: usize = 128;
/// Most instances in one QUERY.
pub const QUERY_MAX_KEYS: usize = 256;
/// Most missing instances named in one SEALED; the rest follows when these have come.
pub const SEALED_MAX_MISSING: usize = 2048;
/// Most agreements in one HELLO.
pub const AGREEMENTS_MAX: usize = 256;
/// Most options of one agreement.
pub const OPTIONS_MAX: usize = 16;
/// Most people named in one DELETED.
pub const OPENED_MAX: usize = 256;
/// Most words about what one person opened.
const OPENED_WORDS_MAX: usize = 8;
/// Most remarks in one OPEN.
pub const REMARKS_MAX: usize = 32;
/// Most instances in one AGAIN and in one NOT_KEPT.
pub const AGAIN_MAX: usize = 256;
/// Most signed documents named in one MANIFEST.
pub const REPORTS_MAX: usize = 256;
/// Longest clinical question and longest letter, in bytes.
pub const WORDS_MAX_BYTES: usize = 8192;

impl Message {
    /// Checks the bounds of fields that the types do not carry.
    pub(super) fn check(&self) -> Result<(), CodecError> {
        let message = self.kind().name;
        let within = |field, length, bound| within(message, field, length, bound);
        let name = |field, text: &str| within(field, text.len(), NAME_MAX_BYTES);
        let sentence = |field, text: &str| within(field, text.len(), SENTENCE_MAX_BYTES);
        match self {
            Self::Hello(hello) => {
                name("software", &hello.software)?;
                let agreements = hello.gateway.iter().flat_map(|half| &half.agreements);
                within("agreements", agreements.clone().count(), AGREEMENTS_MAX)?;
                for agreement in agreements {
                    self::agreement(message, agreement)?;
                }
                name("spool", hello.agent.as_ref().map_or("", |half| &half.spool))
            }
            Self::Open(open) => self::open(message, open),
            Self::Query(query) => within("keys", query.keys.len(), QUERY_MAX_KEYS),
            Self::Have(have) => within("entries", have.entries.len(), QUERY_MAX_KEYS),
            Self::Refused(refused) => sentence("sentence", &refused.sentence),
            Self::Sealed(sealed) => within("missing", sealed.missing.len(), SEALED_MAX_MISSING),
            Self::Recall(recall) => sentence("reason", &recall.reason),
            Self::Delivery(row) => {
                name("delivery", &row.delivery)?;
                name("destination", &row.destination)?;
                name("form", &row.form)?;
                sentence("sentence", &row.sentence)
            }
            Self::Noted(row) => {
                name("delivery", &row.delivery)?;
                name("destination", &row.destination)?;
                name("form", &row.form)
            }
            Self::GoAway(goaway) => sentence("sentence", &goaway.sentence),
            Self::Manifest(manifest) => {
                name("basis", &manifest.basis)?;
                let reports = manifest.reports.as_ref().map_or(0, Vec::len);
                within("reports", reports, REPORTS_MAX)?;
                for group in &manifest.withheld {
                    name("modality", &group.modality)?;
                    sentence("reason", &group.reason)?;
                }
                Ok(())
            }
            Self::Report(report) => {
                name("delivery", &report.delivery)?;
                name("status", &report.status)
            }
            Self::Deleted(deleted) => self::deleted(message, deleted),
            Self::Again(again) => within("instances", again.instances.len(), AGAIN_MAX),
            Self::NotKept(said) => within("instances", said.instances.len(), AGAIN_MAX),
            Self::Context(context) => facts(message, &context.facts),
            Self::Letter(letter) => {
                name("id", &letter.id)?;
                name("who", &letter.who)?;
                within("text", letter.text.len(), WORDS_MAX_BYTES)
            }
            Self::LetterState(state) => name("id", &state.id),
            Self::Progress(_)
            | Self::ContextHeld(_)
            | Self::Receipt(_)
            | Self::Recalled(_)
            | Self::DeletedNoted(_)
            | Self::AuditHead(_)
            | Self::Instance(_)
            | Self::Trailer(_) => Ok(()),
        }
    }
}

fn within(
    message: &'static str,
    field: &'static str,
    length: usize,
    bound: usize,
) -> Result<(), CodecError> {
    if length > bound {
        Err(CodecError::Field { message, field })
    } else {
        Ok(())
    }
}

fn agreement(message: &'static str, said: &message::Agreement) -> Result<(), CodecError> {
    let name = |field, text: &str| within(message, field, text.len(), NAME_MAX_BYTES);
    let organisation = said.organisation.len();
    within(message, "organisation", organisation, SENTENCE_MAX_BYTES)?;
    name("identity", &said.identity)?;
    name("profile", &said.profile)?;
    name("language", &said.language)?;
    within(message, "options", said.options.len(), OPTIONS_MAX)?;
    said.options
        .iter()
        .try_for_each(|option| name("options", option))
}

fn open(message: &'static str, said: &message::Open) -> Result<(), CodecError> {
    let sentence = |field, text: &str| within(message, field, text.len(), SENTENCE_MAX_BYTES);
    let identity = said.identity.as_deref().map_or(0, str::len);
    within(message, "identity", identity, NAME_MAX_BYTES)?;
    sentence("blocked", said.blocked.as_deref().unwrap_or_default())?;
    within(message, "remarks", said.remarks.len(), REMARKS_MAX)?;
    said.remarks
        .iter()
        .try_for_each(|remark| sentence("remarks", remark))
}

fn deleted(message: &'static str, said: &message::Deleted) -> Result<(), CodecError> {
    let name = |field, text: &str| within(message, field, text.len(), NAME_MAX_BYTES);
    name("why", &said.why)?;
    within(message, "opened", said.opened.len(), OPENED_MAX)?;
    for one in &said.opened {
        name("account", &one.account)?;
        name("name", &one.name)?;
        name("organisation", &one.organisation)?;
        within(message, "what", one.what.len(), OPENED_WORDS_MAX)?;
        one.what.iter().try_for_each(|word| name("what", word))?;
    }
    Ok(())
}

fn facts(message: &'static str, said: &message::Facts) -> Result<(), CodecError> {
    said.fields().into_iter().try_for_each(|(field, text)| {
        let bound = match field {
            "question" => WORDS_MAX_BYTES,
            _ => SENTENCE_MAX_BYTES,
        };
        within(message, field, text.len(), bound)
    })
}

/// Makes a sentence of a text, whoever it is from: cut to the bound, at a character, and one line. A line of a log that is one of ours
/// stays one; whatever else steers a terminal or ends a line is a space.
#[must_use]
pub fn sentence(mut text: String) -> String {
    if text.len() > SENTENCE_MAX_BYTES {
        let end = (0..=SENTENCE_MAX_BYTES)
            .rev()
            .find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
    }
    let steers = |it: char| it.is_control() || matches!(it, '\u{2028}' | '\u{2029}');
    if text.contains(steers) {
        text = text.replace(steers, " ");
        return sentence(text);
    }
    text
}
