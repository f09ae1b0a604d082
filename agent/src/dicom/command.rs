//! Command sets (PS3.7 6.3.1): a bounded reader of implicit VR little endian, and a writer of the few messages that we send.

use causeway_proto::ids::{SopClassUid, SopInstanceUid};
use thiserror::Error;

/// Longest command set that is read, in bytes. Ours and everybody's are below 1 KiB.
pub(super) const MAX_BYTES: usize = 16 * 1024;

/// C-STORE-RQ.
pub(super) const C_STORE_RQ: u16 = 0x0001;
/// C-FIND-RQ.
pub(super) const C_FIND_RQ: u16 = 0x0020;
/// C-ECHO-RQ.
pub(super) const C_ECHO_RQ: u16 = 0x0030;
/// N-EVENT-REPORT-RQ.
pub(super) const N_EVENT_REPORT_RQ: u16 = 0x0100;
/// N-ACTION-RQ.
pub(super) const N_ACTION_RQ: u16 = 0x0130;
/// C-CANCEL-RQ.
pub(super) const C_CANCEL_RQ: u16 = 0x0FFF;
/// Set in the command field of every response.
pub(super) const RESPONSE: u16 = 0x8000;
/// (0000,0800) when no data set follows.
const NO_DATA_SET: u16 = 0x0101;

/// A command set whose elements overrun it: where the next one begins can no longer be known.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("an element of the command set is longer than the rest of it")]
pub(super) struct Unframed;

/// What a command set says, as far as we use it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// (0000,0100).
    pub(super) field: u16,
    /// (0000,0110).
    pub(super) message_id: u16,
    /// (0000,0120).
    pub(super) responding_to: Option<u16>,
    /// (0000,0002), of N-ACTION (0000,0003); not yet checked.
    pub(super) class: String,
    /// (0000,1000), of N-ACTION (0000,1001); not yet checked.
    pub(super) instance: String,
    /// (0000,0003) and (0000,1001).
    requested: (String, String),
    /// (0000,1008).
    pub(super) action: Option<u16>,
    /// Whether a data set follows.
    pub(super) data_set: bool,
    /// (0000,0900).
    pub(super) status: Option<u16>,
    /// (0000,0902), printable characters only.
    pub(super) comment: String,
    /// What is wrong with the set although its elements can be told apart: answered 0x0212.
    pub(super) fault: Option<&'static str>,
}

/// Reads a command set.
///
/// # Errors
/// [`Unframed`] when an element overruns the set.
pub(super) fn read(bytes: &[u8]) -> Result<Command, Unframed> {
    let mut command = Command::default();
    let mut seen = Seen::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((&[g0, g1, e0, e1, l0, l1, l2, l3], after)) = rest.split_first_chunk() else {
            return Err(Unframed);
        };
        let group = u16::from_le_bytes([g0, g1]);
        let element = u16::from_le_bytes([e0, e1]);
        let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        let (value, after) = after.split_at_checked(length).ok_or(Unframed)?;
        rest = after;
        if group == 0 {
            take(&mut command, &mut seen, element, value, after.len());
        } else {
            command.fault = Some("an element outside of group 0000");
        }
    }
    seen.judge(&mut command);
    Ok(command)
}

/// Which elements have been met; each may stand once.
#[derive(Debug, Default)]
struct Seen {
    group_length: bool,
    class: bool,
    field: bool,
    message_id: bool,
    responding_to: bool,
    data_set: bool,
    status: bool,
    comment: bool,
    instance: bool,
    requested_class: bool,
    requested_instance: bool,
    action: bool,
}

impl Seen {
    fn judge(&self, command: &mut Command) {
        let missing = if !self.group_length {
            Some("the group length is missing")
        } else if !self.field {
            Some("the command field is missing")
        } else if !self.data_set {
            Some("the command data set type is missing")
        } else if self.message_id == self.responding_to {
            Some("the message id is missing")
        } else {
            None
        };
        command.fault = command.fault.or(missing);
        if command.field == N_ACTION_RQ {
            (command.class, command.instance) = std::mem::take(&mut command.requested);
        }
    }
}

fn take(command: &mut Command, seen: &mut Seen, element: u16, value: &[u8], rest: usize) {
    let flag = match element {
        0x0000 => &mut seen.group_length,
        0x0002 => &mut seen.class,
        0x0003 => &mut seen.requested_class,
        0x0100 => &mut seen.field,
        0x0110 => &mut seen.message_id,
        0x0120 => &mut seen.responding_to,
        0x0800 => &mut seen.data_set,
        0x0900 => &mut seen.status,
        0x0902 => &mut seen.comment,
        0x1000 => &mut seen.instance,
        0x1001 => &mut seen.requested_instance,
        0x1008 => &mut seen.action,
        _ => return,
    };
    if std::mem::replace(flag, true) {
        command.fault = Some("an element stands twice");
        return;
    }
    match element {
        0x0000 => {
            let said = value.first_chunk().map(|said| u32::from_le_bytes(*said));
            if value.len() != 4 || said.and_then(|n| usize::try_from(n).ok()) != Some(rest) {
                command.fault = Some("the group length is wrong");
            }
        }
        0x0002 => command.class = uid(value),
        0x0003 => command.requested.0 = uid(value),
        0x1000 => command.instance = uid(value),
        0x1001 => command.requested.1 = uid(value),
        0x0902 => command.comment = printable(value),
        _ => take_number(command, element, value),
    }
}

fn take_number(command: &mut Command, element: u16, value: &[u8]) {
    let Ok(bytes) = <[u8; 2]>::try_from(value) else {
        command.fault = Some("a number that is not two bytes long");
        return;
    };
    let number = u16::from_le_bytes(bytes);
    match element {
        0x0100 => command.field = number,
        0x0110 => command.message_id = number,
        0x0120 => command.responding_to = Some(number),
        0x0800 => command.data_set = number != NO_DATA_SET,
        0x0900 => command.status = Some(number),
        0x1008 => command.action = Some(number),
        _ => {}
    }
}

fn uid(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.trim_matches(['\0', ' ']).to_owned()
}

/// An Error Comment is LO: 64 characters. Control characters have no place in a log or on a page.
fn printable(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(64)
        .collect()
}

/// The response to `request` with `status` and, when there is something to say, an Error Comment (PS3.7 C). What calls itself a
/// UID and is none is not said again: a response fits the smallest PDU that a peer may ask for.
pub(super) fn write_response(request: &Command, status: u16, comment: &str) -> Vec<u8> {
    let mut set = Set::default();
    if request.class.parse::<SopClassUid>().is_ok() {
        set.text(0x0002, &request.class, 0);
    }
    set.number(0x0100, request.field | RESPONSE);
    set.number(0x0120, request.message_id);
    set.number(0x0800, NO_DATA_SET);
    set.number(0x0900, status);
    if !comment.is_empty() {
        let comment: String = comment.chars().filter(char::is_ascii).take(64).collect();
        set.text(0x0902, &comment, b' ');
    }
    let names_it = matches!(request.field, C_STORE_RQ | N_ACTION_RQ);
    if names_it && request.instance.parse::<SopInstanceUid>().is_ok() {
        set.text(0x1000, &request.instance, 0);
    }
    if let Some(action) = request.action.filter(|_| request.field == N_ACTION_RQ) {
        set.number(0x1008, action);
    }
    set.whole()
}

/// C-STORE-RQ (PS3.7 9.3.1.1) with medium priority.
pub(super) fn write_store_request(message_id: u16, class: &str, instance: &str) -> Vec<u8> {
    let mut set = Set::default();
    set.text(0x0002, class, 0);
    set.number(0x0100, C_STORE_RQ);
    set.number(0x0110, message_id);
    set.number(0x0700, 0);
    set.number(0x0800, 0);
    set.text(0x1000, instance, 0);
    set.whole()
}

/// C-FIND-RQ (PS3.7 9.3.2.1) with medium priority; its identifier follows.
pub(super) fn write_find_request(message_id: u16, class: &str) -> Vec<u8> {
    let mut set = Set::default();
    set.text(0x0002, class, 0);
    set.number(0x0100, C_FIND_RQ);
    set.number(0x0110, message_id);
    set.number(0x0700, 0);
    set.number(0x0800, 0);
    set.whole()
}

/// N-EVENT-REPORT-RQ (PS3.7 10.3.1.1); its data set follows.
pub(super) fn write_event_report(
    message_id: u16,
    class: &str,
    instance: &str,
    event: u16,
) -> Vec<u8> {
    let mut set = Set::default();
    set.text(0x0002, class, 0);
    set.number(0x0100, N_EVENT_REPORT_RQ);
    set.number(0x0110, message_id);
    set.number(0x0800, 0);
    set.text(0x1000, instance, 0);
    set.number(0x1002, event);
    set.whole()
}

/// C-ECHO-RQ (PS3.7 9.3.5.1).
pub(super) fn write_echo_request(message_id: u16, class: &str) -> Vec<u8> {
    let mut set = Set::default();
    set.text(0x0002, class, 0);
    set.number(0x0100, C_ECHO_RQ);
    set.number(0x0110, message_id);
    set.number(0x0800, NO_DATA_SET);
    set.whole()
}

/// Elements in ascending order, the group length put before them at the end.
#[derive(Default)]
struct Set(Vec<u8>);

impl Set {
    fn element(&mut self, element: u16, value: &[u8]) {
        self.0.extend([0; 2]);
        self.0.extend(element.to_le_bytes());
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.0.extend(length.to_le_bytes());
        self.0.extend(value);
    }

    fn number(&mut self, element: u16, value: u16) {
        self.element(element, &value.to_le_bytes());
    }

    fn text(&mut self, element: u16, value: &str, padding: u8) {
        let mut value = value.as_bytes().to_vec();
        if value.len() % 2 == 1 {
            value.push(padding);
        }
        self.element(element, &value);
    }

    fn whole(self) -> Vec<u8> {
        let mut first = Self::default();
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        first.element(0, &length.to_le_bytes());
        first.0.extend(self.0);
        first.0
    }
}

/// A C-FIND-RSP (PS3.7 9.3.2.2), with or without an identifier behind it.
#[cfg(test)]
pub(super) fn write_find_response(request: &Command, status: u16, identifier: bool) -> Vec<u8> {
    let mut set = Set::default();
    set.text(0x0002, &request.class, 0);
    set.number(0x0100, request.field | RESPONSE);
    set.number(0x0120, request.message_id);
    set.number(0x0800, if identifier { 0 } else { NO_DATA_SET });
    set.number(0x0900, status);
    set.whole()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_written() {
        let bytes = write_store_request(7, "1.2.3", "1.2.3.4");
        let command = read(&bytes).unwrap();
        assert_eq!(
            command,
            Command {
                field: C_STORE_RQ,
                message_id: 7,
                class: "1.2.3".to_owned(),
                instance: "1.2.3.4".to_owned(),
                data_set: true,
                ..Command::default()
            }
        );
    }

    #[test]
    fn a_response_answers_its_request() {
        let request = read(&write_store_request(9, "1.2.3", "1.2.3.4")).unwrap();
        let response = read(&write_response(&request, 0xC000, "the data set ends early")).unwrap();
        assert_eq!(response.field, C_STORE_RQ | RESPONSE);
        assert_eq!(response.responding_to, Some(9));
        assert_eq!(response.status, Some(0xC000));
        assert_eq!(response.comment, "the data set ends early");
        assert_eq!(response.fault, None);
    }

    #[test]
    fn dicom_object_reads_what_we_write() {
        let bytes = write_store_request(7, "1.2.3", "1.2.3.4");
        let set = dicom_object::InMemDicomObject::read_dataset_with_ts(
            &bytes[..],
            &dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN.erased(),
        )
        .unwrap();
        let tag = dicom_core::Tag(0, 0x0110);
        assert_eq!(set.element(tag).unwrap().to_int::<u16>().unwrap(), 7);
    }

    #[test]
    fn faults_are_named_and_lost_framing_is_an_error() {
        let good = write_store_request(7, "1.2.3", "1.2.3.4");
        let mut twice = good.clone();
        twice.extend_from_slice(&good[12..]);
        assert!(read(&twice).unwrap().fault.is_some());
        let mut wrong_length = good.clone();
        wrong_length[8] ^= 1;
        assert_eq!(
            read(&wrong_length).unwrap().fault,
            Some("the group length is wrong")
        );
        assert!(read(&[]).unwrap().fault.is_some());
        for end in 1..good.len() {
            match read(&good[..end]) {
                Err(Unframed) => {}
                Ok(command) => assert!(command.fault.is_some(), "cut at {end}"),
            }
        }
        for position in 0..good.len() {
            for value in [0, 0x7F, 0xFF] {
                let mut changed = good.clone();
                changed[position] = value;
                drop(read(&changed));
            }
        }
    }
}
