//! The PDUs of PS3.8 9.3: of dicom-ul's types, written whole by its `write_pdu`, read with bounds and without panics by us.
//!
//! Reading is ours because dicom-ul 0.10 refuses what PS3.8 allows (items of unknown type, a refused context without a
//! transfer syntax). Data sets go out behind [`data_header`], since `write_pdu` would copy them three times.

use std::io;

use dicom_ul::Pdu;
use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, PDataValue, PDataValueType, PresentationContextProposed,
    PresentationContextResult, PresentationContextResultReason, RequestorRoles, UserVariableItem,
    write_pdu,
};
use thiserror::Error;

/// A-ASSOCIATE-RQ.
pub(super) const ASSOCIATE_RQ: u8 = 0x01;
/// A-ASSOCIATE-AC.
pub(super) const ASSOCIATE_AC: u8 = 0x02;
/// A-ASSOCIATE-RJ.
pub(super) const ASSOCIATE_RJ: u8 = 0x03;
/// P-DATA-TF.
pub(super) const P_DATA: u8 = 0x04;
/// A-RELEASE-RQ.
pub(super) const RELEASE_RQ: u8 = 0x05;
/// A-ABORT.
pub(super) const ABORT: u8 = 0x07;

/// The one application context there is (PS3.7 A.2.1).
pub(super) const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";
/// Our Implementation Class UID, a UUID-derived one (PS3.5 B.2).
pub(super) const IMPLEMENTATION_CLASS: &str = "2.25.248170913480112403411283474093051462257";
/// Our Implementation Version Name.
pub(super) const IMPLEMENTATION_VERSION: &str = concat!("CAUSEWAY_", env!("CARGO_PKG_VERSION"));

/// A PDU of association control whose items overrun it or each other.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("an item of the PDU is longer than what holds it, or is missing")]
pub(super) struct Malformed;

/// What an A-ASSOCIATE-RQ or -AC says, as far as we use it.
#[derive(Default)]
struct Said {
    protocol_version: u16,
    called: String,
    calling: String,
    application_context: String,
    proposed: Vec<PresentationContextProposed>,
    answered: Vec<PresentationContextResult>,
    max_pdu: Option<u32>,
    roles: Vec<UserVariableItem>,
}

/// More roles than contexts mean nothing (PS3.7 D.3.3.4).
const MAX_ROLES: usize = 128;

impl Said {
    fn user_variables(&mut self) -> Vec<UserVariableItem> {
        let mut all = std::mem::take(&mut self.roles);
        all.extend(self.max_pdu.map(UserVariableItem::MaxLength));
        all
    }
}

/// Takes bytes off the front of a slice, never beyond its end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let head = self.take(N)?;
        head.first_chunk::<N>().copied().ok_or(Malformed)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// Type and value of the next item or sub-item; none at the end.
    fn item(&mut self) -> Result<Option<(u8, &'a [u8])>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let [kind, _reserved] = self.array()?;
        let length = self.u16()?;
        Ok(Some((kind, self.take(usize::from(length))?)))
    }
}

/// Reads the variable field of an A-ASSOCIATE-RQ: the titles keep their padding, an item that is missing is empty, and of
/// the user variables only the maximum length and the roles are kept.
///
/// # Errors
/// [`Malformed`] when an item overruns.
pub(super) fn read_request(body: &[u8]) -> Result<AssociationRQ, Malformed> {
    let mut said = read_associate(body)?;
    Ok(AssociationRQ {
        user_variables: said.user_variables(),
        protocol_version: said.protocol_version,
        calling_ae_title: said.calling,
        called_ae_title: said.called,
        application_context_name: said.application_context,
        presentation_contexts: said.proposed,
    })
}

/// As [`read_request`], of an A-ASSOCIATE-AC. A transfer syntax means something only in an accepted context.
///
/// # Errors
/// [`Malformed`] when an item overruns.
pub(super) fn read_acceptance(body: &[u8]) -> Result<AssociationAC, Malformed> {
    let mut said = read_associate(body)?;
    Ok(AssociationAC {
        user_variables: said.user_variables(),
        protocol_version: said.protocol_version,
        calling_ae_title: said.calling,
        called_ae_title: said.called,
        application_context_name: said.application_context,
        presentation_contexts: said.answered,
    })
}

/// Items of unknown type are skipped (PS3.8 9.3.1).
fn read_associate(body: &[u8]) -> Result<Said, Malformed> {
    let mut reader = Reader(body);
    let mut said = Said {
        protocol_version: reader.u16()?,
        ..Said::default()
    };
    reader.take(2)?;
    said.called = title(reader.array()?);
    said.calling = title(reader.array()?);
    reader.take(32)?;
    while let Some((kind, value)) = reader.item()? {
        match kind {
            0x10 => said.application_context = text(value),
            0x20 => said.proposed.push(read_proposed(value)?),
            0x21 => said.answered.push(read_answered(value)?),
            0x50 => read_user_variables(value, &mut said)?,
            _ => {}
        }
    }
    Ok(said)
}

fn read_proposed(value: &[u8]) -> Result<PresentationContextProposed, Malformed> {
    let mut reader = Reader(value);
    let [id, _, _, _] = reader.array()?;
    let mut abstract_syntax = None;
    let mut transfer_syntaxes = Vec::new();
    while let Some((kind, value)) = reader.item()? {
        match kind {
            0x30 => abstract_syntax = Some(text(value)),
            0x40 => transfer_syntaxes.push(text(value)),
            _ => {}
        }
    }
    Ok(PresentationContextProposed {
        id,
        abstract_syntax: abstract_syntax.ok_or(Malformed)?,
        transfer_syntaxes,
    })
}

fn read_answered(value: &[u8]) -> Result<PresentationContextResult, Malformed> {
    let mut reader = Reader(value);
    let [id, _, result, _] = reader.array()?;
    let mut transfer_syntax = String::new();
    while let Some((kind, value)) = reader.item()? {
        if kind == 0x40 {
            transfer_syntax = text(value);
        }
    }
    Ok(PresentationContextResult {
        id,
        reason: match result {
            0 => PresentationContextResultReason::Acceptance,
            1 => PresentationContextResultReason::UserRejection,
            3 => PresentationContextResultReason::AbstractSyntaxNotSupported,
            4 => PresentationContextResultReason::TransferSyntaxesNotSupported,
            // 2, and what the standard does not know: not accepted, that much is sure
            _ => PresentationContextResultReason::NoReason,
        },
        transfer_syntax,
    })
}

fn read_user_variables(value: &[u8], said: &mut Said) -> Result<(), Malformed> {
    let mut reader = Reader(value);
    while let Some((kind, value)) = reader.item()? {
        match kind {
            0x51 => said.max_pdu = Some(u32::from_be_bytes(Reader(value).array()?)),
            0x54 if said.roles.len() < MAX_ROLES => said.roles.push(read_role(value)?),
            _ => {}
        }
    }
    Ok(())
}

/// PS3.7 table D.3-9.
fn read_role(value: &[u8]) -> Result<UserVariableItem, Malformed> {
    let mut reader = Reader(value);
    let length = reader.u16()?;
    let class = text(reader.take(usize::from(length))?);
    let [scu, scp] = reader.array()?;
    Ok(role(&class, scu == 1, scp == 1))
}

/// SCP/SCU role selection for a class: which roles the one who asks for the association proposes for itself, or may have.
pub(super) fn role(class: &str, scu: bool, scp: bool) -> UserVariableItem {
    UserVariableItem::ScuScpRoleSelectionSubItem(class.to_owned(), RequestorRoles { scu, scp })
}

/// The roles (as SCU, as SCP) that were said for a class; none when nothing was, which means SCU only (PS3.7 D.3.3.4).
pub(super) fn role_of(said: &[UserVariableItem], class: &str) -> Option<(bool, bool)> {
    said.iter().find_map(|item| match item {
        UserVariableItem::ScuScpRoleSelectionSubItem(of, roles) if of == class => {
            Some((roles.scu, roles.scp))
        }
        _ => None,
    })
}

/// Maximum length received (PS3.8 D.1); none when the item is missing, 0 for "unlimited".
pub(super) fn max_pdu(said: &[UserVariableItem]) -> Option<u32> {
    said.iter().find_map(|item| match item {
        UserVariableItem::MaxLength(length) => Some(*length),
        _ => None,
    })
}

/// Longest P-DATA-TF that we send, whatever the peer takes.
const LONGEST_SENT: u32 = 256 * 1024;

/// Longest P-DATA-TF that is sent to a peer who said this of itself, in bytes.
pub(super) fn peer_pdu(said: &[UserVariableItem]) -> u32 {
    match max_pdu(said) {
        None | Some(0) => LONGEST_SENT,
        Some(bytes) => bytes.clamp(64, LONGEST_SENT),
    }
}

/// Bytes of a message that fit a PDU of the peer's size; even, as PS3.8 annex E wants fragments.
pub(super) fn room(peer_pdu: u32) -> usize {
    usize::try_from(peer_pdu.saturating_sub(6) & !1).unwrap_or(2)
}

/// A command set in as many P-DATA-TF as it needs.
///
/// # Errors
/// As [`encode`].
pub(super) fn command_set(context: u8, set: &[u8], peer_pdu: u32) -> io::Result<Vec<u8>> {
    let room = room(peer_pdu);
    let count = set.len().div_ceil(room);
    let mut out = Vec::with_capacity(set.len() + 32);
    for (index, chunk) in set.chunks(room).enumerate() {
        let piece = command(context, index + 1 == count, chunk.to_vec());
        out.extend(encode(&piece)?);
    }
    Ok(out)
}

/// An AE title, padding and all; bytes that belong in no title become a character that belongs in none either.
pub(super) fn title(padded: [u8; 16]) -> String {
    String::from_utf8_lossy(&padded).into_owned()
}

/// A UID as text without its padding; bytes that belong in no UID become a character that belongs in none either.
fn text(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.trim_matches(['\0', ' ']).to_owned()
}

/// What we say of ourselves in a request or an acceptance (PS3.8 annex D).
pub(super) fn user_variables(max_pdu: u32) -> Vec<UserVariableItem> {
    vec![
        UserVariableItem::MaxLength(max_pdu),
        UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS.to_owned()),
        UserVariableItem::ImplementationVersionName(IMPLEMENTATION_VERSION.to_owned()),
    ]
}

/// A P-DATA-TF that holds a stretch of a command set in one PDV (PS3.8 9.3.5, E.2).
pub(super) fn command(context: u8, last: bool, bytes: Vec<u8>) -> Pdu {
    let value = PDataValue {
        presentation_context_id: context,
        value_type: PDataValueType::Command,
        is_last: last,
        data: bytes,
    };
    Pdu::PData { data: vec![value] }
}

/// A whole PDU as bytes. `write_pdu` cuts the lengths of items to 16 bits, so that what came from a peer must have been
/// judged before it is put into one.
///
/// # Errors
/// When a text has characters that DICOM's default repertoire does not, or an AE title is empty or too long.
pub(super) fn encode(pdu: &Pdu) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(512);
    write_pdu(&mut out, pdu).map_err(io::Error::other)?;
    Ok(out)
}

/// The header of a P-DATA-TF that holds exactly one PDV of `length` bytes of a data set (PS3.8 9.3.5, E.2).
pub(super) fn data_header(context: u8, last: bool, length: u32) -> [u8; 12] {
    let control = u8::from(last) << 1;
    let [a, b, c, d] = length.saturating_add(6).to_be_bytes();
    let [e, f, g, h] = length.saturating_add(2).to_be_bytes();
    [P_DATA, 0, a, b, c, d, e, f, g, h, context, control]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> AssociationRQ {
        AssociationRQ {
            protocol_version: 1,
            called_ae_title: "CAUSEWAY        ".to_owned(),
            calling_ae_title: "PACS            ".to_owned(),
            application_context_name: APPLICATION_CONTEXT.to_owned(),
            presentation_contexts: vec![PresentationContextProposed {
                id: 1,
                abstract_syntax: "1.2.840.10008.1.1".to_owned(),
                transfer_syntaxes: vec!["1.2.840.10008.1.2".to_owned()],
            }],
            user_variables: user_variables(131_072),
        }
    }

    fn written() -> Vec<u8> {
        encode(&request().into()).unwrap()
    }

    fn item(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
        out.extend([kind, 0]);
        out.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        out.extend(value);
    }

    #[test]
    fn what_dicom_ul_writes_is_read_by_us_and_by_dicom_ul() {
        let bytes = written();
        let mut expected = request();
        expected.user_variables.truncate(1);
        assert_eq!(read_request(&bytes[6..]), Ok(expected));
        let other = dicom_ul::pdu::read_pdu(&bytes[..], 131_072, true).unwrap();
        let Some(Pdu::AssociationRQ(rq)) = other else {
            panic!("not a request: {other:?}");
        };
        assert_eq!(rq.called_ae_title, "CAUSEWAY");
        assert_eq!(rq.presentation_contexts.len(), 1);
    }

    #[test]
    fn roles_are_read_as_they_are_written() {
        let mut said = request();
        let asked = [
            ("1.2.3", false, true),
            ("1.2.4", true, false),
            ("1.2.5", true, true),
        ];
        let items = asked.map(|(class, scu, scp)| role(class, scu, scp));
        said.user_variables.extend(items);
        let bytes = encode(&said.into()).unwrap();
        let read = read_request(&bytes[6..]).unwrap().user_variables;
        for (class, scu, scp) in asked {
            assert_eq!(role_of(&read, class), Some((scu, scp)));
        }
        assert_eq!(role_of(&read, "1.2.6"), None);
        assert_eq!(max_pdu(&read), Some(131_072));
    }

    #[test]
    fn every_truncation_and_every_flipped_length_is_refused_or_read_but_never_panics() {
        let bytes = written();
        let body = &bytes[6..];
        let whole = read_request(body).unwrap();
        for end in 0..body.len() {
            // A cut between two items is a shorter, legal body; anywhere else it must be refused.
            if let Ok(said) = read_request(&body[..end]) {
                assert_ne!(said, whole);
            }
        }
        for position in 0..body.len() {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut changed = body.to_vec();
                changed[position] = value;
                drop(read_request(&changed));
            }
        }
    }

    #[test]
    fn items_of_unknown_type_are_skipped_and_a_refused_context_needs_no_syntax() {
        let mut bytes = written()[6..].to_vec();
        item(&mut bytes, 0x77, b"later");
        item(&mut bytes, 0x21, &[3, 0, 3, 0]);
        item(&mut bytes, 0x21, &[5, 0, 9, 0]);
        let said = read_request(&bytes).unwrap();
        assert_eq!(said.presentation_contexts.len(), 1);
        let answered = read_acceptance(&bytes).unwrap().presentation_contexts;
        let reasons: Vec<_> = answered.into_iter().map(|context| context.reason).collect();
        let refused = PresentationContextResultReason::AbstractSyntaxNotSupported;
        assert_eq!(
            reasons,
            [refused, PresentationContextResultReason::NoReason]
        );
    }

    #[test]
    fn a_header_of_ours_is_what_dicom_ul_writes_before_a_data_set() {
        for last in [false, true] {
            let data = PDataValue {
                presentation_context_id: 3,
                value_type: PDataValueType::Data,
                is_last: last,
                data: b"data".to_vec(),
            };
            let whole = encode(&Pdu::PData { data: vec![data] }).unwrap();
            assert_eq!(whole, [&data_header(3, last, 4)[..], b"data"].concat());
        }
    }
}
