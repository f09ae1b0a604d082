//! What this room reads of peers, each decoder by itself: for proofs that no bytes break it.

use causeway_proto::ids::TransferSyntaxUid;

use super::{command, commit, pdu};

/// The variable fields of A-ASSOCIATE-RQ and A-ASSOCIATE-AC.
pub fn pdu(bytes: &[u8]) {
    if let Ok(request) = pdu::read_request(bytes) {
        pdu::peer_pdu(&request.user_variables);
    }
    if let Ok(acceptance) = pdu::read_acceptance(bytes) {
        pdu::peer_pdu(&acceptance.user_variables);
    }
}

/// A command set, and an answer to it.
pub fn command(bytes: &[u8]) {
    if let Ok(command) = command::read(bytes) {
        let answer = command::write_response(&command, 0, "");
        assert!(command::read(&answer).is_ok(), "an answer that is none");
    }
}

/// A request for storage commitment.
pub fn commitment(bytes: &[u8], syntax: &TransferSyntaxUid) {
    commit::read_request(bytes, syntax).ok();
}
