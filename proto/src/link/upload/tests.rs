//! Tests of the uploader's rules, one at a time; the whole stands in `link::pair`.

use super::*;
use crate::digest::Digest;
use crate::link::message::Held as Entry;

fn key(number: u32) -> InstanceKey {
    InstanceKey {
        agreement: "a".parse().unwrap(),
        instance: format!("1.{number}").parse().unwrap(),
        source_tag: Digest([0; 32]),
    }
}

fn job(number: u32, priority: Priority) -> Job {
    Job {
        key: key(number),
        priority,
        place: 0,
        length: 100,
    }
}

fn bounds() -> Bounds {
    Bounds {
        streams: 2,
        window: 3,
        reserve: 1,
        held: 4,
        questions: 1,
        answer: Duration::from_secs(10),
        answer_cut: Duration::from_secs(2),
    }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn refusal(number: u32, code: Code, retry_after_ms: Option<u64>) -> Refused {
    Refused {
        key: Some(key(number)),
        study: "1.2".parse().unwrap(),
        agreement: "a".parse().unwrap(),
        code: code.number(),
        sentence: "No.".to_owned(),
        retry_after_ms,
    }
}

/// A machine whose queue was empty once, so that what comes now is fresh.
fn caught_up() -> Uploader {
    let mut uploader = Uploader::new(bounds());
    uploader.offered(Vec::new(), true);
    uploader
}

fn send(number: u32, offset: u64) -> Option<Step> {
    Some(Step::Send {
        key: key(number),
        offset,
    })
}

#[test]
fn a_backlog_is_asked_about_and_news_is_not() {
    let mut uploader = Uploader::new(bounds());
    uploader.offered(vec![job(1, Priority::Routine)], true);
    assert_eq!(uploader.step(at(0)), Some(Step::Ask(vec![key(1)])));
    assert_eq!(uploader.step(at(0)), None);
    let have = Have {
        entries: vec![Entry {
            key: key(1),
            offset: 40,
            receipt: None,
        }],
    };
    assert_eq!(uploader.have(&have), Ok(Vec::new()));
    assert_eq!(uploader.step(at(0)), send(1, 40));
    uploader.offered(vec![job(2, Priority::Routine)], true);
    assert_eq!(uploader.step(at(0)), send(2, 0));
}

#[test]
fn streams_and_window_bound_what_is_under_way() {
    let mut uploader = caught_up();
    uploader.offered((1..=4).map(|n| job(n, Priority::Routine)).collect(), true);
    assert_eq!(uploader.step(at(0)), send(1, 0));
    assert_eq!(uploader.step(at(0)), send(2, 0));
    assert_eq!(uploader.step(at(0)), None, "two streams");
    uploader.sent(at(0), &key(1));
    assert_eq!(uploader.step(at(0)), send(3, 0));
    uploader.sent(at(0), &key(2));
    assert_eq!(uploader.step(at(0)), None, "a window of three");
    assert_eq!(uploader.unanswered(), 3);
}

#[test]
fn silence_about_an_instance_is_asked_about() {
    let mut uploader = caught_up();
    uploader.offered(vec![job(1, Priority::Routine)], true);
    assert_eq!(uploader.step(at(0)), send(1, 0));
    assert_eq!(uploader.step(at(60)), None, "a slow stream is no silence");
    uploader.sent(at(60), &key(1));
    assert_eq!(uploader.step(at(69)), None);
    assert_eq!(uploader.step(at(70)), Some(Step::Ask(vec![key(1)])));
}

#[test]
fn what_is_under_way_on_a_slow_line_is_not_asked_about() {
    let mut uploader = caught_up();
    uploader.offered((1..=3).map(|n| job(n, Priority::Routine)).collect(), true);
    assert_eq!(uploader.step(at(0)), send(1, 0));
    assert_eq!(uploader.step(at(0)), send(2, 0));
    uploader.written(&key(1));
    assert_eq!(uploader.step(at(0)), send(3, 0), "its stream is free");
    uploader.written(&key(2));
    uploader.written(&key(3));
    assert_eq!(uploader.unanswered(), 3);
    assert_eq!(uploader.step(at(1000)), None, "not all of it has arrived");
    for number in 1..=3 {
        uploader.sent(at(1000), &key(number));
    }
    // while others are answered those behind them wait
    uploader.refused(refusal(1, Code::Busy, Some(1000)));
    assert_eq!(uploader.step(at(1009)), None);
    assert_eq!(uploader.step(at(1018)), None);
    assert_eq!(
        uploader.step(at(1019)),
        Some(Step::Ask(vec![key(2), key(3)]))
    );
}

#[test]
fn what_was_cut_is_asked_about_soon() {
    let mut uploader = caught_up();
    uploader.offered(vec![job(1, Priority::Routine)], true);
    assert_eq!(uploader.step(at(0)), send(1, 0));
    uploader.written(&key(1));
    uploader.cut(at(5), &key(1));
    assert_eq!(uploader.step(at(6)), None);
    assert_eq!(uploader.step(at(7)), Some(Step::Ask(vec![key(1)])));
}

#[test]
fn what_is_cut_three_times_without_an_answer_is_parked_unless_it_gets_farther() {
    let held = |offset| Have {
        entries: vec![Entry {
            key: key(1),
            offset,
            receipt: None,
        }],
    };
    for (offsets, parks) in [([0, 0], true), ([40, 40], false), ([0, 40], false)] {
        let mut uploader = caught_up();
        uploader.offered(vec![job(1, Priority::Routine)], true);
        let mut from = 0;
        for (round, offset) in (0..).zip(offsets) {
            assert_eq!(uploader.step(at(round * 10)), send(1, from));
            uploader.cut(at(round * 10), &key(1));
            let ask = Some(Step::Ask(vec![key(1)]));
            assert_eq!(uploader.step(at(round * 10 + 2)), ask);
            uploader.have(&held(offset)).unwrap();
            from = offset;
        }
        assert_eq!(uploader.step(at(20)), send(1, from));
        uploader.cut(at(20), &key(1));
        if parks {
            assert_eq!(uploader.step(at(22)), Some(Step::Park(key(1))));
            assert!(!uploader.holds(&key(1)), "the spool decides about it");
            assert_eq!(uploader.step(at(23)), None);
        } else {
            assert_eq!(uploader.step(at(22)), Some(Step::Ask(vec![key(1)])));
        }
    }
}

#[test]
fn a_cut_that_is_answered_is_no_strike() {
    let mut uploader = caught_up();
    for round in 0..5 {
        uploader.offered(vec![job(1, Priority::Routine)], true);
        let now = at(round * 10);
        if round > 0 {
            assert_eq!(uploader.step(now), Some(Step::Ask(vec![key(1)])));
            let entries = vec![Entry {
                key: key(1),
                offset: 0,
                receipt: None,
            }];
            uploader.have(&Have { entries }).unwrap();
        }
        assert_eq!(uploader.step(now), send(1, 0));
        uploader.cut(now, &key(1));
        let refused = uploader.refused(refusal(1, Code::Busy, Some(1000)));
        assert_eq!(refused.retry_after_ms, Some(1000));
        assert_eq!(uploader.step(at(round * 10 + 9)), None);
    }
}

/// The answer to a cut comes after it was given up: it counts as what it says, once.
#[test]
fn a_late_answer_takes_the_place_of_the_strike_for_its_absence() {
    let nothing = || Have {
        entries: vec![Entry {
            key: key(1),
            offset: 0,
            receipt: None,
        }],
    };
    let late = [
        (Code::Busy, None),
        (Code::Internal, None),
        (Code::NotOpen, None),
        (Code::DigestMismatch, Some(2)),
    ];
    for (code, parked_in) in late {
        let mut uploader = caught_up();
        let ask = Some(Step::Ask(vec![key(1)]));
        for round in 0..6 {
            let now = round * 10;
            uploader.offered(vec![job(1, Priority::Routine)], true);
            if round > 0 {
                assert_eq!(uploader.step(at(now)), ask, "{code:?}, round {round}");
                uploader.have(&nothing()).unwrap();
            }
            assert_eq!(uploader.step(at(now)), send(1, 0));
            uploader.cut(at(now), &key(1));
            let given_up = uploader.step(at(now + 2));
            if parked_in == Some(round) {
                assert_eq!(given_up, Some(Step::Park(key(1))), "{code:?}");
                break;
            }
            assert_eq!(given_up, ask, "{code:?}, round {round}");
            uploader.have(&nothing()).unwrap();
            let refused = uploader.refused(refusal(1, code, Some(1000)));
            assert_eq!(refused.retry_after_ms, Some(1000), "{code:?}");
            assert_ne!(parked_in, Some(round));
        }
    }
}

#[test]
fn an_answer_to_another_question_ends_the_connection() {
    let mut uploader = Uploader::new(bounds());
    uploader.offered(vec![job(1, Priority::Routine)], true);
    uploader.step(at(0));
    let have = Have {
        entries: Vec::new(),
    };
    let farewell = uploader.have(&have).unwrap_err();
    assert_eq!(farewell.code, Code::ProtocolError);
}

#[test]
fn an_offset_beyond_the_end_begins_anew() {
    let mut uploader = Uploader::new(bounds());
    uploader.offered(vec![job(1, Priority::Routine)], true);
    uploader.step(at(0));
    let entries = vec![Entry {
        key: key(1),
        offset: 101,
        receipt: None,
    }];
    assert_eq!(uploader.have(&Have { entries }), Ok(Vec::new()));
    assert_eq!(uploader.step(at(0)), send(1, 0));
}

fn refused_times(code: Code, retry: Option<u64>, times: usize) -> Vec<bool> {
    let mut uploader = caught_up();
    (0..times)
        .map(|_| {
            uploader.offered(vec![job(1, Priority::Routine)], true);
            uploader.step(at(0));
            uploader
                .refused(refusal(1, code, retry))
                .retry_after_ms
                .is_none()
        })
        .collect()
}

#[test]
fn three_mismatches_park_and_the_gateways_own_trouble_never_does() {
    assert_eq!(
        refused_times(Code::DigestMismatch, Some(5), 3),
        [false, false, true]
    );
    for code in [Code::Busy, Code::Internal, Code::NotOpen] {
        assert_eq!(refused_times(code, Some(5), 5), [false; 5]);
    }
    assert_eq!(refused_times(Code::Forbidden, None, 1), [true]);
    assert_eq!(
        refused_times(Code::TooLarge, Some(5), 1),
        [true],
        "whatever the gateway thinks"
    );
}

#[test]
fn a_receipt_ends_the_row_of_refusals() {
    let mut uploader = caught_up();
    for round in 0..4 {
        uploader.offered(vec![job(1, Priority::Routine)], true);
        uploader.step(at(0));
        let refused = uploader.refused(refusal(1, Code::Truncated, Some(5)));
        assert!(refused.retry_after_ms.is_some(), "{round}");
        if round % 2 == 1 {
            uploader.receipt(&Receipt {
                key: key(1),
                sent_digest: Digest([0; 32]),
                length: 100,
                number: 1,
                epoch: 1,
                quarantined: false,
            });
        }
    }
}

#[test]
fn an_instance_that_gets_farther_with_each_try_is_never_parked() {
    let mut uploader = caught_up();
    uploader.offered(vec![job(1, Priority::Routine)], true);
    uploader.step(at(0));
    let mut tries = |offset: u64| {
        let refused = uploader.refused(refusal(1, Code::Truncated, Some(5)));
        uploader.offered(vec![job(1, Priority::Routine)], true);
        assert_eq!(uploader.step(at(0)), Some(Step::Ask(vec![key(1)])));
        let entry = Entry {
            key: key(1),
            offset,
            receipt: None,
        };
        let have = Have {
            entries: vec![entry],
        };
        uploader.have(&have).unwrap();
        assert_eq!(uploader.step(at(0)), send(1, offset));
        refused.retry_after_ms.is_none()
    };
    let parked: Vec<bool> = (1..=8).map(|round| tries(round * 10)).collect();
    assert_eq!(parked, [false; 8]);
    let parked: Vec<bool> = (0..2).map(|_| tries(80)).collect();
    assert_eq!(parked, [false; 2]);
    let third = uploader.refused(refusal(1, Code::Truncated, Some(5)));
    assert_eq!(third.retry_after_ms, None, "no farther than before");
}

#[test]
fn a_refused_instance_is_asked_about_before_the_next_try() {
    let mut uploader = caught_up();
    uploader.offered(vec![job(1, Priority::Routine)], true);
    assert_eq!(uploader.step(at(0)), send(1, 0));
    uploader.refused(refusal(1, Code::Truncated, Some(5)));
    assert!(uploader.under_way().is_empty());
    uploader.offered(vec![job(1, Priority::Routine)], true);
    assert_eq!(uploader.step(at(0)), Some(Step::Ask(vec![key(1)])));
}

#[test]
fn what_the_gateway_has_in_another_form_is_asked_about_instead_of_sent_for_ever() {
    let mut uploader = caught_up();
    uploader.offered(vec![job(1, Priority::Routine)], true);
    assert_eq!(uploader.step(at(0)), send(1, 0));
    let receipt = Receipt {
        key: key(1),
        sent_digest: Digest([1; 32]),
        length: 90,
        number: 1,
        epoch: 1,
        quarantined: false,
    };
    uploader.receipt(&receipt);
    uploader.doubted(&key(1));
    uploader.offered(vec![job(1, Priority::Routine)], true);
    assert_eq!(uploader.step(at(0)), Some(Step::Ask(vec![key(1)])));
    let entries = vec![Entry {
        key: key(1),
        offset: 90,
        receipt: Some(receipt.clone()),
    }];
    assert_eq!(uploader.have(&Have { entries }), Ok(vec![receipt]));
    assert!(uploader.is_idle());
}

#[test]
fn an_urgent_one_displaces_one_that_has_not_begun_and_no_other() {
    let mut uploader = caught_up();
    uploader.offered((1..=4).map(|n| job(n, Priority::Routine)).collect(), true);
    uploader.step(at(0));
    uploader.step(at(0));
    assert_eq!(
        uploader.room(),
        2,
        "as many as there are streams, though full"
    );
    uploader.offered(
        vec![job(5, Priority::Stat), job(6, Priority::Routine)],
        true,
    );
    let held = uploader.under_way();
    assert!(held.contains(&key(5)) && !held.contains(&key(6)) && !held.contains(&key(4)));
    assert!(held.contains(&key(1)) && held.contains(&key(2)) && held.len() == 4);
}

#[test]
fn of_those_as_urgent_the_first_in_the_spools_order_goes_first_whenever_it_was_offered() {
    let at_place = |number, place| Job {
        place,
        ..job(number, Priority::Routine)
    };
    let mut uploader = caught_up();
    uploader.offered(vec![at_place(1, 5), at_place(2, 5)], true);
    uploader.offered(vec![at_place(3, 9), at_place(4, 1)], true);
    assert_eq!(uploader.step(at(0)), send(4, 0));
    assert_eq!(uploader.step(at(0)), send(1, 0));
    // full: what belongs in front displaces the last that has not begun
    uploader.offered(vec![at_place(5, 2), at_place(6, 9)], true);
    let held = uploader.under_way();
    assert!(held.contains(&key(5)) && !held.contains(&key(3)) && !held.contains(&key(6)));
}

#[test]
fn what_is_urgent_finds_a_stream_and_an_answer_that_others_do_not_take() {
    let mut uploader = caught_up();
    uploader.offered((1..=4).map(|n| job(n, Priority::Routine)).collect(), true);
    assert_eq!(uploader.step(at(0)), send(1, 0));
    assert_eq!(uploader.step(at(0)), send(2, 0));
    assert_eq!(uploader.step(at(0)), None, "two streams");
    uploader.offered(vec![job(5, Priority::Urgent), job(6, Priority::Stat)], true);
    assert_eq!(uploader.step(at(0)), send(6, 0));
    assert_eq!(
        uploader.step(at(0)),
        None,
        "one more for an urgent one, and it is taken"
    );
    uploader.sent(at(0), &key(1));
    uploader.sent(at(0), &key(2));
    assert_eq!(
        uploader.step(at(0)),
        send(5, 0),
        "beside the window of three"
    );
    assert_eq!(uploader.step(at(0)), None);
}

#[test]
fn however_much_is_urgent_one_of_the_others_is_under_way() {
    let mut uploader = Uploader::new(Bounds {
        held: 40,
        window: 40,
        ..bounds()
    });
    uploader.offered(Vec::new(), true);
    uploader.offered((1..=6).map(|n| job(n, Priority::Routine)).collect(), true);
    uploader.offered((11..=30).map(|n| job(n, Priority::Stat)).collect(), true);
    let mut sending = VecDeque::new();
    let (mut urgent, mut others) = (0, 0);
    for _ in 0..12 {
        while let Some(Step::Send { key, .. }) = uploader.step(at(0)) {
            sending.push_back(key);
        }
        let done = sending.pop_front().unwrap();
        uploader.sent(at(0), &done);
        let is_urgent = (11..=30).any(|number| done == key(number));
        *if is_urgent { &mut urgent } else { &mut others } += 1;
    }
    assert!(urgent > others && others >= 2, "{urgent} and {others}");
}
