//! What the answer of a destination means for a row: the one table of outcomes, without rows or clocks.

use std::time::Duration;

use causeway_proto::link::message::DeliveryState;
use causeway_proto::random::Random;

use super::IMAGE;
use super::offer::{DUPLICATE, SendOutcome};

/// A refusal that does not pass by itself is tried so often before a person is asked.
const TRIES: i64 = 10;

const FIRST_WAIT_S: u64 = 5;
const LONGEST_WAIT_S: u64 = 600;

/// Where a row goes after an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) state: DeliveryState,
    pub(super) sentence: String,
    /// When to try again; none: not by itself.
    pub(super) again: Option<Duration>,
}

/// Judges the answer to the `attempts`-th offer (from 1) in a form, of which the destination itself has refused `refusals`: an
/// outage is none.
pub(super) fn judge(
    outcome: &SendOutcome,
    form: &str,
    attempts: i64,
    refusals: i64,
    random: &Random,
) -> Next {
    let end = |state, sentence: String| Next {
        state,
        sentence,
        again: None,
    };
    let wait = |sentence: String| Next {
        state: DeliveryState::Waiting,
        sentence,
        again: Some(pause(attempts, random)),
    };
    match outcome {
        SendOutcome::Stored(0x0000) => end(DeliveryState::Delivered, "in the PACS".to_owned()),
        SendOutcome::There => end(
            DeliveryState::Delivered,
            "in the PACS, as it says when it is asked".to_owned(),
        ),
        SendOutcome::Stored(DUPLICATE) => end(
            DeliveryState::Delivered,
            "in the PACS, which answered that it had it already (0111), and cannot be asked"
                .to_owned(),
        ),
        SendOutcome::Stored(status) => end(
            DeliveryState::Delivered,
            format!(
                "in the PACS, which answered with the warning {status:04X}: {}",
                warning(*status)
            ),
        ),
        // PS3.7 C.4.2: SOP class not supported
        SendOutcome::NotNegotiated | SendOutcome::Refused(0x0122) => end(
            DeliveryState::NotTaken,
            if form == IMAGE {
                "this PACS takes no page images of reports".to_owned()
            } else {
                "this PACS takes no structured reports".to_owned()
            },
        ),
        // PS3.4 B.2.3: A7xx is out of resources, which passes
        SendOutcome::Refused(status @ 0xA700..=0xA7FF) => wait(format!(
            "the PACS is out of resources (status {status:04X})"
        )),
        SendOutcome::Refused(status) if refusals >= TRIES => end(
            DeliveryState::Held,
            format!(
                "the PACS refused it {refusals} times with status {status:04X}; a person has to look"
            ),
        ),
        SendOutcome::Refused(status) => {
            wait(format!("the PACS refused it with status {status:04X}"))
        }
        SendOutcome::Failed(sentence) | SendOutcome::Unanswered(sentence) => wait(sentence.clone()),
    }
}

/// Bytes that are not those that were verified are not offered to anybody: it is due again once the gateway has sent them anew.
pub(super) fn damaged() -> Next {
    Next {
        state: DeliveryState::Waiting,
        sentence: "the report's bytes at the site are damaged: waits for the gateway".to_owned(),
        again: Some(Duration::ZERO),
    }
}

/// A report that does not verify under its patient's name is not offered to anybody.
pub(super) fn not_restored() -> Next {
    Next {
        state: DeliveryState::Held,
        sentence: "the report does not verify when its patient is put back; a person has to look"
            .to_owned(),
        again: None,
    }
}

/// A page image that does not show everything is not made, and nothing is offered.
pub(super) fn not_derived(why: String) -> Next {
    Next {
        state: DeliveryState::Held,
        sentence: why,
        again: None,
    }
}

/// PS3.4 table B.2-1 and PS3.7 C.5.
fn warning(status: u16) -> &'static str {
    match status {
        0xB000 => "it has changed attributes",
        0xB006 => "it has dropped attributes",
        0xB007 => "attributes do not match the SOP class",
        0x0107 => "it did not take every attribute",
        0x0116 => "it has changed a value that was out of range",
        _ => "of its own kind",
    }
}

/// Doubles from 5 s to 10 min, give or take a quarter.
pub(super) fn pause(attempts: i64, random: &Random) -> Duration {
    let doublings = u32::try_from(attempts.clamp(1, 8) - 1).unwrap_or(0);
    let seconds = (FIRST_WAIT_S << doublings).min(LONGEST_WAIT_S);
    Duration::from_millis(seconds * 750 + random.below(seconds * 500))
}
