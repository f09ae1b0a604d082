//! The machine on lines of every kind. Shares are of the line's bits; 0.98 is all that headers leave of it.

use std::time::Duration;

use super::line::{Line, Run};
use super::{Known, Terms};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn alone(line: Line, terms: Terms, until: u64) -> Run {
    let mut run = Run::new(line);
    run.flow(terms, Duration::ZERO);
    run.until(seconds(until));
    run
}

fn known(mbit_s: u64, round_trip_ms: u64) -> Terms {
    Terms {
        known: Some(Known {
            bandwidth: mbit_s * 125_000,
            round_trip: ms(round_trip_ms),
        }),
        ..Terms::default()
    }
}

#[test]
fn the_line_is_full_whatever_it_loses_by_chance() {
    for (round_trip, least) in [(2, 0.93), (20, 0.94), (80, 0.93), (200, 0.88)] {
        for loss in [0.0, 1.0, 10.0] {
            let run = alone(Line::new(100.0, round_trip, loss), Terms::default(), 21);
            let share = run.share(0, 0, 21);
            let chance = loss / 1000.0;
            let lost = run.lost_share(0) - chance;
            println!("{round_trip} ms, {loss} of 1000 lost: {share:.3}, {lost:.4} more lost");
            assert!(
                share >= least,
                "{round_trip} ms, {loss} of 1000: {share:.3}"
            );
            assert!(lost < 0.012, "{round_trip} ms, {loss} of 1000: {lost:.3}");
        }
    }
}

#[test]
fn a_line_that_loses_three_of_a_hundred_is_still_full() {
    for round_trip in [20, 80, 200] {
        let share =
            alone(Line::new(100.0, round_trip, 30.0), Terms::default(), 20).share(0, 10, 20);
        assert!(share >= 0.92, "{round_trip} ms: {share:.3}");
    }
}

#[test]
fn slow_lines_are_full_and_not_flooded() {
    for (mbit_s, round_trip) in [(2.0, 20), (2.0, 80), (20.0, 80), (20.0, 200)] {
        let run = alone(Line::new(mbit_s, round_trip, 1.0), Terms::default(), 21);
        let (share, lost) = (run.share(0, 0, 21), run.lost_share(0));
        assert!(
            share >= 0.92 && lost < 0.03,
            "{mbit_s}/{round_trip}: {share:.3}, {lost:.3} lost"
        );
    }
}

/// A queue that holds almost nothing overflows at once: what is sent too much has to shrink until it hardly does.
#[test]
fn a_short_queue_shrinks_what_is_sent() {
    for (queue, round_trip, most) in [(5, 20, 0.02), (5, 80, 0.05), (10, 200, 0.06)] {
        let line = Line {
            queue: ms(queue),
            ..Line::new(100.0, round_trip, 1.0)
        };
        let run = alone(line, Terms::default(), 21);
        let (share, lost) = (run.share(0, 11, 21), run.lost_share(0));
        assert!(
            share >= 0.92 && lost < most,
            "{queue}/{round_trip}: {share:.3}, {lost:.3} lost"
        );
    }
}

#[test]
fn a_line_that_becomes_narrow_or_wide_is_followed() {
    for round_trip in [20, 80, 200] {
        let becomes = |from, to: f64| {
            let line = Line {
                then: Some((seconds(10), to)),
                ..Line::new(from, round_trip, 1.0)
            };
            alone(line, Terms::default(), 30)
        };
        let narrow = becomes(100.0, 20.0);
        let (share, lost) = (narrow.share(0, 20, 30) * 5.0, narrow.lost_share(0));
        assert!(
            share > 0.9 && lost < 0.07,
            "{round_trip} ms: {share:.3}, {lost:.3} lost"
        );
        let wide = becomes(20.0, 100.0);
        let share = wide.share(0, 14, 20) / 5.0;
        assert!(
            share > 0.85,
            "{round_trip} ms: {share:.3} four seconds after it became wide"
        );
    }
}

/// From a fibre to a radio, from a wire beside it to an ocean: the old round trip would leave the line all but empty.
#[test]
fn a_way_that_becomes_longer_is_followed_within_a_second() {
    for (from, from_ms, to, to_ms) in [
        (100.0, 20, 100.0, 60),
        (1000.0, 1, 100.0, 80),
        (1000.0, 1, 100.0, 200),
        (200.0, 5, 20.0, 80),
    ] {
        let line = Line {
            then: Some((seconds(3), to)),
            longer: Some((seconds(3), ms(to_ms))),
            ..Line::new(from, from_ms, 1.0)
        };
        let run = alone(line, Terms::default(), 12);
        let share = |second| run.share(0, second, second + 1) * from / to;
        println!(
            "{from_ms} to {to_ms} ms: {:.2} {:.2} {:.2} {:.2}",
            share(3),
            share(4),
            share(5),
            share(6)
        );
        assert!(share(5) > 0.8, "{from_ms} to {to_ms} ms: {:.2}", share(5));
    }
}

#[test]
fn two_share_a_line() {
    for (round_trip, late) in [(20, 0), (20, 10), (80, 0), (80, 10), (200, 0)] {
        let mut run = Run::new(Line::new(100.0, round_trip, 1.0));
        let one = run.flow(Terms::default(), Duration::ZERO);
        let other = run.flow(Terms::default(), seconds(late));
        run.until(seconds(60));
        let (one, other) = (run.share(one, 40, 60), run.share(other, 40, 60));
        println!("{round_trip} ms, {late} s later: {one:.2} and {other:.2}");
        assert!(one + other > 0.9);
        assert!(one.min(other) > 0.3, "{one:.2} and {other:.2}");
    }
}

#[test]
fn after_an_outage_the_line_is_full_at_the_first_answer() {
    for round_trip in [20, 80, 200] {
        let line = Line {
            outage: Some((seconds(10), seconds(11))),
            ..Line::new(100.0, round_trip, 1.0)
        };
        let run = alone(line, Terms::default(), 20);
        // the probe that is answered comes at the latest a second after the end, as its pause doubles
        let share = run.share(0, 13, 14);
        assert!(share > 0.94, "{round_trip} ms: {share:.3}");
    }
}

#[test]
fn the_ceiling_is_held() {
    for (round_trip, most) in [(20, 0.215), (80, 0.205), (200, 0.205)] {
        let terms = Terms {
            ceiling: Some(20 * 125_000),
            ..Terms::default()
        };
        let run = alone(Line::new(100.0, round_trip, 1.0), terms, 21);
        let share = run.share(0, 11, 21);
        assert!(share > 0.18 && share < most, "{round_trip} ms: {share:.3}");
    }
}

#[test]
fn a_path_that_is_known_is_full_from_the_first_round() {
    for round_trip in [80, 200] {
        let line = Line::new(100.0, round_trip, 1.0);
        let fresh = alone(line.clone(), Terms::default(), 2).share(0, 0, 2);
        let again = alone(line, known(95, round_trip), 2).share(0, 0, 2);
        println!("{round_trip} ms: {fresh:.3} at first, {again:.3} when known");
        assert!(again > 0.8 && again > fresh + 0.04);
    }
}

/// What the last connection knew is not believed for long, and not at all of another path.
#[test]
fn a_path_that_has_changed_is_measured_anew() {
    let narrow = alone(Line::new(20.0, 80, 1.0), known(100, 80), 10);
    let (share, lost) = (narrow.share(0, 2, 10), narrow.lost_share(0));
    assert!(share > 0.85 && lost < 0.09, "{share:.3}, {lost:.3} lost");
    let other = alone(Line::new(20.0, 20, 1.0), known(500, 200), 10);
    assert!(other.share(0, 1, 10) > 0.9 && other.lost_share(0) < 0.01);
}

/// Signs of life are no measurement of the line.
#[test]
fn minutes_of_little_to_say_forget_nothing() {
    let mut run = Run::new(Line::new(100.0, 80, 1.0));
    let flow = run.flow(Terms::default(), Duration::ZERO);
    // three seconds of everything, then a packet every five seconds for five minutes
    run.until(seconds(3));
    run.in_turns(flow, Duration::from_micros(1), seconds(5));
    run.until(seconds(300));
    let known = run.known(flow).unwrap();
    assert!(known.bandwidth > 11_000_000, "{known:?}");
    run.always(flow);
    run.until(seconds(310));
    let share = run.share(flow, 301, 303);
    assert!(share > 0.9, "{share:.3}");
}

/// A connection that had nothing to send for its first minute starts as a fresh one does.
#[test]
fn a_connection_that_begins_with_little_to_say_still_starts() {
    let mut run = Run::new(Line::new(100.0, 80, 1.0));
    let flow = run.flow(Terms::default(), Duration::ZERO);
    run.in_turns(flow, Duration::from_micros(1), seconds(5));
    run.until(seconds(60));
    assert_eq!(run.known(flow), None, "nothing has filled the line");
    run.always(flow);
    run.until(seconds(63));
    let share = run.share(flow, 60, 63);
    assert!(share > 0.8, "{share:.3}");
}

#[test]
fn a_pause_forgets_nothing() {
    let mut run = Run::new(Line::new(100.0, 80, 1.0));
    let flow = run.flow(Terms::default(), Duration::ZERO);
    run.in_turns(flow, ms(500), seconds(5));
    run.until(seconds(60));
    for turn in 3..12 {
        let share = run.share(flow, turn * 5, turn * 5 + 1);
        assert!(
            share > 0.4,
            "turn {turn}: {share:.3} of a second of which half was used"
        );
    }
}
