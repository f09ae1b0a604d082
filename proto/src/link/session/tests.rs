//! Tests of how a connection begins.

use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::random::Random;

fn random(seed: u64) -> Random {
    let state = Mutex::new(seed | 1);
    Random::new(move |out| {
        let mut state = state.lock().unwrap();
        for byte in out {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            *byte = state.to_be_bytes()[3];
        }
    })
}

fn half(spool: &str, session: u64) -> HelloAgent {
    HelloAgent {
        spool: spool.to_owned(),
        session,
        epoch_seen: 0,
        receipt_seen: 0,
    }
}

fn versions(min: u16, max: u16) -> Result<u16, Code> {
    let mut hello = agent_hello(Timestamp(0), "test", half("s", 1));
    (hello.version_min, hello.version_max) = (min, max);
    greeted_by_agent(Timestamp(0), hello.into())
        .map(|greeted| greeted.version)
        .map_err(|farewell| farewell.code)
}

#[test]
fn the_highest_shared_version_is_spoken() {
    assert_eq!(versions(1, 1), Ok(1));
    assert_eq!(versions(1, 9), Ok(1));
    assert_eq!(versions(0, 0), Err(Code::VersionUnsupported));
    assert_eq!(versions(2, 9), Err(Code::VersionUnsupported));
    assert_eq!(versions(2, 1), Err(Code::VersionUnsupported));
}

#[test]
fn a_refusal_over_the_version_names_both_ranges() {
    let mut hello = agent_hello(Timestamp(0), "causeway-agent 9", half("s", 1));
    (hello.version_min, hello.version_max) = (4, 6);
    let farewell = greeted_by_agent(Timestamp(0), hello.into()).unwrap_err();
    assert!(farewell.sentence.contains("1 to 1") && farewell.sentence.contains("4 to 6"));
}

#[test]
fn only_the_right_half_of_hello_begins_a_session() {
    let agent = agent_hello(Timestamp(0), "test", half("s", 1));
    let farewell = greeted_by_gateway(Timestamp(0), agent.into()).unwrap_err();
    assert_eq!(farewell.code, Code::ProtocolError);
    let early = super::super::message::GoAway {
        retry_after_ms: 0,
        sentence: String::new(),
    };
    let farewell = greeted_by_agent(Timestamp(0), early.into()).unwrap_err();
    assert_eq!(farewell.code, Code::ProtocolError);
}

#[test]
fn a_clock_more_than_five_minutes_away_is_named() {
    let skewed = |seconds: i64| {
        let hello = agent_hello(Timestamp(seconds * 1_000_000), "test", half("s", 1));
        greeted_by_agent(Timestamp(0), hello.into())
            .unwrap()
            .skew_sentence()
    };
    assert_eq!(skewed(300), None);
    assert_eq!(skewed(-300), None);
    assert!(skewed(301).unwrap().contains("301 seconds ahead"));
    assert!(skewed(-86_400).unwrap().contains("86400 seconds behind"));
    assert!(skewed(i64::MAX / 2_000_000).is_some());
}

fn known(spool: &str, session: u64) -> Option<Known> {
    Some(Known {
        spool: spool.to_owned(),
        session,
    })
}

fn judge(live: Option<Known>, newest: Option<Known>, hello: (&str, u64)) -> (bool, bool) {
    match (Fence { live, newest }).judge(&half(hello.0, hello.1)) {
        Verdict::Admitted { remark } => (true, remark.is_some()),
        Verdict::Refused(farewell) => {
            assert_eq!(farewell.code, Code::DuplicateSite);
            (false, false)
        }
    }
}

#[test]
fn the_newer_session_of_a_spool_wins_and_another_machine_waits() {
    assert_eq!(judge(None, None, ("a", 1)), (true, false));
    assert_eq!(judge(None, known("a", 4), ("a", 5)), (true, false));
    assert_eq!(judge(None, known("a", 5), ("a", 5)), (true, true));
    assert_eq!(judge(None, known("a", 5), ("b", 9)), (true, true));
    assert_eq!(judge(known("a", 4), known("a", 4), ("a", 5)), (true, false));
    assert_eq!(
        judge(known("a", 5), known("a", 5), ("a", 5)),
        (false, false)
    );
    assert_eq!(
        judge(known("a", 5), known("a", 5), ("a", 4)),
        (false, false)
    );
    assert_eq!(
        judge(known("a", 5), known("a", 5), ("b", 9)),
        (false, false)
    );
}

#[test]
fn a_gateway_that_was_restored_is_recognised() {
    let seen = |epoch_seen, receipt_seen| HelloAgent {
        epoch_seen,
        receipt_seen,
        ..half("s", 1)
    };
    let says = |epoch, high_water| HelloGateway {
        epoch,
        high_water,
        agreements: Vec::new(),
        codings: Vec::new(),
    };
    assert!(!has_forgotten(&seen(0, 0), &says(3, 0)), "the first time");
    assert!(!has_forgotten(&seen(3, 7), &says(3, 7)));
    assert!(!has_forgotten(&seen(3, 7), &says(3, 9)));
    assert!(has_forgotten(&seen(3, 7), &says(3, 6)));
    assert!(has_forgotten(&seen(3, 7), &says(4, 9)));
}

const HOURS: Duration = Duration::from_secs(7200);

fn pause() -> Pause {
    Pause::new(Pauses {
        first: Duration::from_millis(500),
        soon: Duration::from_secs(2),
        often: Duration::from_secs(120),
        longest: Duration::from_secs(60),
    })
}

/// A line that was cut is tried every two seconds for two minutes; after that the pauses grow.
#[test]
fn a_line_that_was_cut_is_tried_often_at_first() {
    let random = random(5);
    let mut pause = pause();
    let mut down = Duration::ZERO;
    let mut tries = 0;
    while down < Duration::from_secs(120) {
        let wait = pause.after(down, None, None, &random);
        assert!(wait <= Duration::from_secs(2), "{wait:?} after {down:?}");
        down += wait;
        tries += 1;
    }
    assert!(tries >= 60, "{tries}");
    let late: Vec<_> = (0..8)
        .map(|_| pause.after(down, None, None, &random).as_secs_f64())
        .collect();
    let longest = |wait: f64, whole: f64| wait >= whole / 2.0 && wait <= whole;
    for (wait, whole) in late.iter().zip([4.0, 8.0, 16.0, 32.0, 60.0, 60.0]) {
        assert!(longest(*wait, whole), "{late:?}");
    }
}

#[test]
fn a_person_is_not_waited_for_in_a_hurry_and_a_request_is_honoured() {
    let random = random(3);
    let seconds = |code, asked| {
        let wait = pause().after(Duration::ZERO, code, asked, &random);
        wait.as_secs_f64()
    };
    assert!(seconds(Some(Code::Revoked), None) >= 30.0);
    assert!(seconds(None, None) <= 0.5);
    let asked = || seconds(Some(Code::GoAway), Some(Duration::from_secs(5)));
    let waits: Vec<f64> = (0..50).map(|_| asked()).collect();
    assert!(waits.iter().all(|wait| (5.25..=10.5).contains(wait)));
    let spread =
        waits.iter().cloned().fold(0.0, f64::max) - waits.iter().cloned().fold(99.0, f64::min);
    assert!(spread > 3.0, "all were asked for the same: {waits:?}");
    assert!(seconds(Some(Code::Busy), Some(Duration::MAX)) <= 661.0);
}

/// After an outage of hours a hundred agents come back over half a minute, not at once.
#[test]
fn a_hundred_agents_spread_over_thirty_seconds() {
    let mut waits: Vec<Duration> = (0..100)
        .map(|agent| {
            let random = random(agent * 7919 + 1);
            let mut pause = pause();
            for _ in 0..12 {
                pause.after(HOURS, None, None, &random);
            }
            pause.after(HOURS, None, None, &random)
        })
        .collect();
    waits.sort();
    assert!(waits[0] >= Duration::from_secs(30) && waits[99] <= Duration::from_secs(60));
    assert!(waits[99] - waits[0] >= Duration::from_secs(25), "{waits:?}");
    let busiest = (30..60)
        .map(|s| waits.iter().filter(|wait| wait.as_secs() == s).count())
        .max();
    assert!(busiest < Some(15), "{busiest:?} in one second");
}

proptest! {
    #[test]
    fn the_pause_never_leaves_its_bounds(failures in 0_u32..200, seed in any::<u64>()) {
        let random = random(seed);
        let mut pause = pause();
        for failure in 0..failures {
            pause.after(Duration::from_secs(u64::from(failure)), None, None, &random);
        }
        let wait = pause.after(HOURS, None, None, &random);
        prop_assert!(wait >= Duration::from_millis(250) && wait <= Duration::from_secs(60));
        pause.reset();
        prop_assert!(pause.after(HOURS, None, None, &random) <= Duration::from_secs(4));
    }
}
