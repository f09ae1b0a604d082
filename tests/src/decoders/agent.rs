//! What the agent reads: of its hospital, of the gateway, of the person who configures it.

use std::io::Cursor;

use causeway_agent::dicom::strangers;
use causeway_agent::mask::native::Layout;
use causeway_agent::mask::{Rectangle, jpeg};
use causeway_agent::protect::{Options, Outcome, Stand, identifiers, transform};

use super::{seen, with_syntax};

pub(super) fn pdu(bytes: &[u8]) {
    strangers::pdu(bytes);
}

pub(super) fn command(bytes: &[u8]) {
    strangers::command(bytes);
}

pub(super) fn commitment(bytes: &[u8]) {
    with_syntax(bytes, strangers::commitment);
}

pub(super) fn envelope(bytes: &[u8]) {
    seen(causeway_agent::keys::is_envelope(bytes));
}

pub(super) fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(config) = causeway_agent::config::Config::parse(&text) {
        seen(config.remarks());
    }
}

/// An object, walked for identifiers and written without them.
pub(super) fn protect(bytes: &[u8]) {
    with_syntax(bytes, |bytes, syntax| {
        let mut source = Cursor::new(bytes);
        let Ok(ids) = identifiers(&mut source, syntax) else {
            return;
        };
        let stand = Stand {
            patient_id: "CW-1".to_owned(),
            patient_name: "CW-1".to_owned(),
            accession: "CW-2".to_owned(),
            token: &|_: &str, _: &str| "CW-3".to_owned(),
            uid: &|_: &str| Some("2.25.1".to_owned()),
            age: None,
            shift: None,
        };
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let options = Options::default();
        let outcome = transform(&mut source, length, syntax, &ids, &stand, &options);
        assert!(!matches!(outcome, Outcome::Unread), "memory can be read");
    });
}

/// The first four bytes say how large the picture is said to be; the rest is a frame.
pub(super) fn black_out(bytes: &[u8]) {
    let Some(([rows, columns, samples, side], frame)) = bytes.split_first_chunk() else {
        return;
    };
    let layout = Layout {
        rows: u32::from(*rows),
        columns: u32::from(*columns),
        frames: 1,
        samples: u16::from(*samples),
        allocated: 8,
        stored: 8,
        high: 7,
        photometric: "MONOCHROME2".to_owned(),
        ..Layout::default()
    };
    let rectangle = Rectangle {
        left: 0,
        top: 0,
        right: u32::from(*side),
        bottom: u32::from(*side),
    };
    if let Ok(masked) = jpeg::black_out(frame, &[rectangle], &layout) {
        assert!(
            jpeg::black_out(&masked, &[rectangle], &layout).is_ok(),
            "what is masked is no frame"
        );
    }
}
