//! The link where a firewall drops UDP: its datagrams travel inside of one TLS connection over TCP, each behind its length.
//!
//! Both programs speak QUIC to a socket of their own machine as ever; messages, states and certificates stay what they are, and nothing
//! here knows what a datagram holds. Whether UDP passes is asked with [`question`], which any server of QUIC answers without keeping
//! anything of it (RFC 9000 6.1).

use crate::random::Random;

/// The longest datagram, by the two bytes of its length.
pub const MAX_BYTES: usize = u16::MAX as usize;
/// Bytes before each datagram.
const HEAD_BYTES: usize = 2;
/// A server answers no shorter question (RFC 9000 14.1).
const QUESTION_BYTES: usize = 1200;
/// One of the versions that are reserved to be unknown to everybody (RFC 9000 15).
const NO_VERSION: [u8; 4] = [0x1a, 0x2a, 0x3a, 0x4a];
/// Length of the connection IDs in a question.
const NAME_BYTES: usize = 8;

/// Appends a datagram. One that is longer than [`MAX_BYTES`] is dropped, as a network may.
pub fn frame(datagram: &[u8], out: &mut Vec<u8>) {
    if let Ok(length) = u16::try_from(datagram.len()) {
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(datagram);
    }
}

/// The first datagram of what has come, and how many bytes it took with its head; none: it is not whole yet.
#[must_use]
pub fn first(come: &[u8]) -> Option<(&[u8], usize)> {
    let (head, rest) = come.split_first_chunk::<HEAD_BYTES>()?;
    let length = usize::from(u16::from_be_bytes(*head));
    Some((rest.get(..length)?, HEAD_BYTES + length))
}

/// A packet that asks which versions of QUIC are spoken, and the name that the answer will carry.
#[derive(Clone, Debug)]
pub struct Question {
    /// To be sent as one datagram.
    pub datagram: Vec<u8>,
    name: [u8; NAME_BYTES],
}

/// Makes a question.
#[must_use]
pub fn question(random: &Random) -> Question {
    let name = random.bytes::<NAME_BYTES>();
    let mut datagram = vec![0xc0];
    datagram.extend_from_slice(&NO_VERSION);
    for id in [random.bytes::<NAME_BYTES>(), name] {
        datagram.push(8);
        datagram.extend_from_slice(&id);
    }
    datagram.resize(QUESTION_BYTES, 0);
    Question { datagram, name }
}

impl Question {
    /// Whether this datagram answers the question: Version Negotiation (RFC 9000 17.2.1), to the name that asked.
    #[must_use]
    pub fn is_answered_by(&self, datagram: &[u8]) -> bool {
        let Some((&[form, v0, v1, v2, v3, length], rest)) = datagram.split_first_chunk::<6>()
        else {
            return false;
        };
        form & 0x80 != 0
            && [v0, v1, v2, v3] == [0; 4]
            && usize::from(length) == NAME_BYTES
            && rest.starts_with(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn datagrams_come_out_as_they_went_in_however_the_stream_is_cut(
            datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..8),
            cut in 1_usize..4000,
        ) {
            let mut stream = Vec::new();
            for datagram in &datagrams {
                frame(datagram, &mut stream);
            }
            let (mut come, mut out) = (Vec::new(), Vec::new());
            for piece in stream.chunks(cut) {
                come.extend_from_slice(piece);
                while let Some((datagram, used)) = first(&come) {
                    out.push(datagram.to_vec());
                    come.drain(..used);
                }
            }
            prop_assert!(come.is_empty());
            prop_assert_eq!(out, datagrams);
        }

        #[test]
        fn what_is_no_answer_is_none(datagram in prop::collection::vec(any::<u8>(), 0..40)) {
            let asked = question(&Random::new(|out| { out.fill(7); }));
            prop_assert!(!asked.is_answered_by(&datagram) || datagram.get(1..5) == Some(&[0; 4]));
        }
    }

    #[test]
    fn too_long_a_datagram_is_lost_and_nothing_else() {
        let mut out = Vec::new();
        frame(&vec![1; MAX_BYTES + 1], &mut out);
        frame(&vec![2; MAX_BYTES], &mut out);
        assert_eq!(
            first(&out).map(|(datagram, used)| (datagram.first().copied(), used)),
            Some((Some(2), out.len()))
        );
    }
}
