//! Whose place goes to whom, by a clock that is not waited for.

use super::*;

/// One who has his place, and what he is being answered.
struct One {
    place: Place,
    answering: Option<Answering>,
}

impl One {
    /// For the rest of the body.
    fn awaits_since(&self, since: Instant) {
        let answering = self.answering.as_ref().unwrap();
        answering.asking().awaits(Some(since));
    }

    fn ended(&self) -> bool {
        self.place.connection.end.is_cancelled()
    }
}

fn places(max_connections: usize, share: usize) -> Arc<Places> {
    Places::new(Bounds {
        max_connections,
        max_connections_per_address: share,
        ..Bounds::default()
    })
}

fn silent(places: &Arc<Places>, address: &str) -> One {
    One {
        place: places.take(address.parse().unwrap()).unwrap(),
        answering: None,
    }
}

fn busy(places: &Arc<Places>, address: &str) -> One {
    let one = silent(places, address);
    let answering = Some(one.place.connection.begin());
    One { answering, ..one }
}

fn idle(places: &Arc<Places>, address: &str) -> One {
    let one = silent(places, address);
    drop(one.place.connection.begin());
    one
}

/// Whether somebody who comes so many seconds from now finds a place.
fn comes(places: &Arc<Places>, address: &str, seconds: u64) -> Option<Place> {
    let now = Instant::now() + Duration::from_secs(seconds);
    places.take_at(address.parse().unwrap(), now)
}

const PROXY: &str = "192.0.2.1";
const OTHER: &str = "192.0.2.2";
const NEWCOMER: &str = "192.0.2.3";

#[test]
fn whoever_never_asked_goes_before_whoever_is_answered_beyond_his_share() {
    let places = places(3, 1);
    let quiet = silent(&places, OTHER);
    let (first, second) = (busy(&places, PROXY), busy(&places, PROXY));
    // he may be about to ask
    let newcomer = comes(&places, NEWCOMER, 0);
    assert!(newcomer.is_some() && first.ended() && !quiet.ended());
    drop((newcomer, first));
    let third = busy(&places, PROXY);
    assert!(comes(&places, NEWCOMER, 3).is_some());
    assert!(quiet.ended() && !second.ended() && !third.ended());
}

#[test]
fn whoever_has_his_share_takes_from_others_only_what_they_do_not_use() {
    for (is_idle, other) in [
        (false, silent as fn(&Arc<Places>, &str) -> One),
        (true, idle as fn(&Arc<Places>, &str) -> One),
    ] {
        let places = places(3, 1);
        let (_first, quiet) = (busy(&places, PROXY), other(&places, OTHER));
        let answered = busy(&places, NEWCOMER);
        assert!(comes(&places, PROXY, 0).is_none(), "idle: {is_idle}");
        assert!(comes(&places, PROXY, 3).is_some(), "idle: {is_idle}");
        assert!(quiet.ended() && !answered.ended());
    }
    // and his own before that
    let places = places(3, 2);
    let (own, quiet) = (idle(&places, PROXY), idle(&places, OTHER));
    let _first = busy(&places, PROXY);
    assert!(comes(&places, PROXY, 3).is_some());
    assert!(own.ended() && !quiet.ended());
}

#[test]
fn a_subscriber_with_many_ranges_has_the_share_of_four() {
    let places = places(6, 1);
    let ranges = |count: u8| (0..count).map(|number| format!("2001:db8:0:{number}::1"));
    let all: Vec<_> = ranges(6).map(|one| busy(&places, &one)).collect();
    let mut others = Vec::new();
    for number in 0..2 {
        // all that the /48 has beyond four is lent
        others.push(busy(&places, &format!("192.0.2.{number}")));
    }
    assert!(comes(&places, "192.0.2.9", 0).is_none());
    let ended: Vec<_> = all.iter().map(One::ended).collect();
    assert_eq!(ended, [true, true, false, false, false, false]);
}

#[test]
fn a_socket_that_takes_nothing_keeps_every_answer_waiting() {
    let places = places(1, 1);
    let stuffed = busy(&places, OTHER);
    assert!(comes(&places, NEWCOMER, 0).is_none());
    stuffed.place.connection.wrote(false);
    assert!(comes(&places, NEWCOMER, 0).is_some());
    assert!(stuffed.ended());
}

#[test]
fn whoever_withholds_the_rest_of_what_he_asks_goes_before_whoever_came_after_him() {
    for other in [silent as fn(&Arc<Places>, &str) -> One, idle] {
        let places = places(2, 1);
        let slow = busy(&places, PROXY);
        slow.awaits_since(Instant::now() - Duration::from_secs(3));
        let other = other(&places, OTHER);
        assert!(comes(&places, NEWCOMER, 0).is_some());
        assert!(slow.ended() && !other.ended());
    }
}

#[test]
fn a_subscriber_with_many_connections_cuts_none_of_a_neighbour_with_few() {
    let places = places(9, 2);
    let neighbour = busy(&places, "2001:db8:0:1::1");
    // one of his ranges has more than its share, and so has the /48
    let mut all = Vec::new();
    for range in [2, 2, 3, 3, 4, 4, 4, 5] {
        all.push(busy(&places, &format!("2001:db8:0:{range}::1")));
    }
    assert!(comes(&places, NEWCOMER, 0).is_some());
    let ended: Vec<_> = all.iter().map(|one| u8::from(one.ended())).collect();
    assert_eq!(ended, [0, 0, 0, 0, 1, 0, 0, 0]);
    assert!(!neighbour.ended());
}

#[test]
fn of_a_range_that_neighbours_share_those_with_the_most_give_way() {
    let places = places(9, 2);
    let neighbour = busy(&places, "2001:db8:0:1::1");
    let mut all = Vec::new();
    for range in [2, 2, 3, 3, 4, 4, 5, 5] {
        all.push(busy(&places, &format!("2001:db8:0:{range}::1")));
    }
    assert!(comes(&places, NEWCOMER, 0).is_some());
    assert!(all[0].ended() && !neighbour.ended());
}
