//! Every decoder that reads what strangers say, each as a function of bytes, with seeds of our own making. The fuzzer of `tests/fuzz` runs
//! them for as long as it is let; `crash::decoders` runs them over the seeds, changed here and there.

mod agent;
mod gateway;
mod proto;
mod seeds;

use causeway_proto::ids::TransferSyntaxUid;

use crate::killed::next;

/// One decoder.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    /// Its name.
    pub name: &'static str,
    /// What must not harm, whatever the bytes: no panic, no abort, no more memory than its bounds allow, no second of time.
    pub run: fn(&[u8]),
    /// What it may begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const DECODERS: [Decoder; 26] = [
    Decoder {
        name: "pdu",
        run: agent::pdu,
        seeds: seeds::pdu,
    },
    Decoder {
        name: "command",
        run: agent::command,
        seeds: seeds::command,
    },
    Decoder {
        name: "commitment",
        run: agent::commitment,
        seeds: seeds::dataset,
    },
    Decoder {
        name: "protect",
        run: agent::protect,
        seeds: seeds::dataset,
    },
    Decoder {
        name: "black-out",
        run: agent::black_out,
        seeds: seeds::jpeg,
    },
    Decoder {
        name: "envelope",
        run: agent::envelope,
        seeds: seeds::envelope,
    },
    Decoder {
        name: "agent-config",
        run: agent::config,
        seeds: seeds::agent_config,
    },
    Decoder {
        name: "prescan",
        run: proto::prescan,
        seeds: seeds::dataset,
    },
    Decoder {
        name: "dataset",
        run: proto::dataset,
        seeds: seeds::dataset,
    },
    Decoder {
        name: "text",
        run: proto::text,
        seeds: seeds::text,
    },
    Decoder {
        name: "dates",
        run: proto::dates,
        seeds: seeds::dates,
    },
    Decoder {
        name: "identifiers",
        run: proto::identifiers,
        seeds: seeds::identifiers,
    },
    Decoder {
        name: "report",
        run: proto::report,
        seeds: seeds::report,
    },
    Decoder {
        name: "signature",
        run: proto::signature,
        seeds: seeds::report,
    },
    Decoder {
        name: "link-control",
        run: proto::control,
        seeds: seeds::control,
    },
    Decoder {
        name: "link-stream",
        run: proto::stream,
        seeds: seeds::stream,
    },
    Decoder {
        name: "tunnel",
        run: proto::tunnel,
        seeds: seeds::tunnel,
    },
    Decoder {
        name: "records",
        run: proto::records,
        seeds: seeds::records,
    },
    Decoder {
        name: "coding",
        run: proto::coding,
        seeds: seeds::coding,
    },
    Decoder {
        name: "enrolment",
        run: gateway::enrolment,
        seeds: seeds::enrolment,
    },
    Decoder {
        name: "certificate",
        run: gateway::certificate,
        seeds: seeds::certificate,
    },
    Decoder {
        name: "index",
        run: gateway::index,
        seeds: seeds::dataset,
    },
    Decoder {
        name: "query",
        run: gateway::query,
        seeds: seeds::query,
    },
    Decoder {
        name: "accept",
        run: gateway::accept,
        seeds: seeds::accept,
    },
    Decoder {
        name: "draft",
        run: gateway::draft,
        seeds: seeds::draft,
    },
    Decoder {
        name: "gateway-config",
        run: gateway::config,
        seeds: seeds::gateway_config,
    },
];

/// The transfer syntaxes that differ in how they are read (PS3.5 A.1, A.2, A.3, A.5).
const SYNTAXES: [&str; 4] = [
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
];

/// That it was made is all that is asked of it.
fn seen<T>(_: T) {}

/// The first byte chooses; the rest is what is read.
fn choose(bytes: &[u8]) -> (u8, &[u8]) {
    bytes
        .split_first()
        .map_or((0, bytes), |(first, rest)| (*first, rest))
}

/// The first byte chooses a transfer syntax; the rest is a dataset.
fn with_syntax(bytes: &[u8], read: impl FnOnce(&[u8], &TransferSyntaxUid)) {
    let (chosen, rest) = choose(bytes);
    let syntax = SYNTAXES.get(usize::from(chosen % 4)).map(|uid| uid.parse());
    if let Some(Ok(syntax)) = syntax {
        read(rest, &syntax);
    }
}

/// Bytes with a few changes: bits, stretches, lengths that lie, an end cut off.
#[must_use]
pub fn changed(seed: &[u8], state: &mut u64) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    let mut below = |limit: usize| {
        let limit = u64::try_from(limit.max(1)).unwrap_or(u64::MAX);
        usize::try_from(next(state) % limit).unwrap_or(0)
    };
    for _ in 0..=below(4) {
        let at = below(bytes.len());
        let many = below(9);
        let value = u8::try_from(below(256)).unwrap_or(0);
        let end = at.saturating_add(many).min(bytes.len());
        match below(6) {
            0 => bytes.truncate(at),
            1 => bytes.extend_from_slice(seed.get(at..).unwrap_or_default()),
            2 => {
                bytes.splice(at..end, seed.iter().rev().take(many).copied());
            }
            3 => bytes.get_mut(at..end).unwrap_or_default().fill(0xFF),
            4 => bytes.get_mut(at..end).unwrap_or_default().fill(value),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (value % 8);
                }
            }
        }
    }
    bytes
}
