//! Who may be in the middle of a handshake: so many, and of them a few from one address. When there are no more, who has waited for longest
//! of the network that has the most makes room.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use causeway_http::Near;
use tokio_util::sync::CancellationToken;

/// Connections at one time that have not said who they are.
const ALL: usize = 64;
/// Of them from one address, and four times as many of a subscriber of IPv6.
const OF_ONE: usize = 4;

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<Taken>>);

/// The places that are taken, in their order.
#[derive(Debug, Default)]
struct Taken {
    last: u64,
    held: BTreeMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    from: Vec<Near>,
    end: CancellationToken,
}

/// One place, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    number: u64,
    end: CancellationToken,
}

impl Place {
    /// Returns when another has it.
    pub(super) async fn lost(&self) {
        self.end.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().held.remove(&self.number);
    }
}

impl Taken {
    fn count(&self, near: &Near) -> usize {
        let held = self.held.values();
        held.filter(|held| held.from.contains(near)).count()
    }

    /// Ends a connection of the network that has the most, if that has more than this one; says whether there was one.
    fn make_room(&mut self, network: Option<&Near>) -> bool {
        let mut most = network.map_or(0, |network| self.count(network));
        let mut oldest = None;
        for (number, held) in &self.held {
            let count = held.from.last().map_or(0, |other| self.count(other));
            if count > most {
                (most, oldest) = (count, Some(*number));
            }
        }
        let gone = oldest.and_then(|number| self.held.remove(&number));
        if let Some(gone) = &gone {
            gone.end.cancel();
        }
        gone.is_some()
    }
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for who comes from this address; none when the address has its own already, or nobody has more.
    pub(super) fn take(&self, from: IpAddr) -> Option<Place> {
        let from = Near::of(from);
        let mut taken = self.taken();
        let full = |near: &Near| taken.count(near) >= OF_ONE * usize::from(near.times());
        if from.iter().any(full) {
            return None;
        }
        if taken.held.len() >= ALL && !taken.make_room(from.last()) {
            return None;
        }
        taken.last += 1;
        let (number, end) = (taken.last, CancellationToken::new());
        let held = Held {
            from,
            end: end.clone(),
        };
        taken.held.insert(number, held);
        Some(Place {
            places: self.clone(),
            number,
            end,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn all(places: &Places, from: impl Iterator<Item = String>) -> Vec<Place> {
        from.filter_map(|from| places.take(from.parse().unwrap()))
            .collect()
    }

    fn lost(held: &[Place]) -> usize {
        let lost = |place: &&Place| place.lost().now_or_never().is_some();
        held.iter().filter(lost).count()
    }

    #[test]
    fn one_address_never_has_all_places() {
        let places = Places::default();
        let from = |text: &str| places.take(text.parse().unwrap());
        let held = all(&places, (0..16).map(|_| "192.0.2.1".to_owned()));
        assert_eq!(held.len(), OF_ONE);
        assert!(from("::ffff:192.0.2.1").is_none());
        assert!(from("192.0.2.2").is_some());
        let near = all(&places, (0..16).map(|host| format!("2001:db8::{host:x}")));
        assert_eq!(near.len(), OF_ONE);
        assert!(from("2001:db8:0:1::1").is_some());
        drop(held);
        assert!(from("192.0.2.1").is_some());
    }

    #[test]
    fn a_subscriber_with_many_ranges_has_those_of_four() {
        let places = Places::default();
        let ranges = (0..64).map(|range| format!("2001:db8:0:{range:x}::1"));
        assert_eq!(all(&places, ranges).len(), 4 * OF_ONE);
    }

    #[test]
    fn whoever_comes_when_there_is_no_more_has_the_place_of_the_oldest_of_the_most() {
        let places = Places::default();
        let alone = places.take("192.0.2.1".parse().unwrap()).unwrap();
        let subscribers = (0..4).flat_map(|subscriber| {
            (0..16).map(move |range| format!("2001:db8:{subscriber:x}:{range:x}::1"))
        });
        let mut held = all(&places, subscribers);
        assert_eq!(held.len(), 64);
        // he is the one of whom there are fewest, and so is the next
        assert!(alone.lost().now_or_never().is_none());
        assert_eq!(lost(&held), 1);
        let next = places.take("192.0.2.2".parse().unwrap()).unwrap();
        assert_eq!(lost(&held), 2);
        assert!(held[0].lost().now_or_never().is_some());
        held.retain(|place| place.lost().now_or_never().is_none());
        // who has as many as anybody takes from nobody
        let own = all(
            &places,
            (0..64).map(|range| format!("2001:db8:9:{range:x}::1")),
        );
        assert!(own.len() > 8 && lost(&own) == 0, "{}", own.len());
        assert!(
            [alone, next]
                .iter()
                .all(|one| one.lost().now_or_never().is_none())
        );
    }
}
