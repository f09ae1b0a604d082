//! Who may be in the middle of a handshake: so many, and of them a few from one address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections at one time that have not said who they are.
const ALL: usize = 64;
/// Of them from one address.
const OF_ONE: usize = 4;

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One place, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    of: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(count) = taken.get_mut(&self.of) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for who comes from this address; none when there is none, or when the address has its own already.
    pub(super) fn take(&self, from: IpAddr) -> Option<Place> {
        let of = network(from);
        let mut taken = self.taken();
        if taken.values().sum::<usize>() >= ALL {
            return None;
        }
        let count = taken.entry(of).or_insert(0);
        if *count >= OF_ONE {
            return None;
        }
        *count += 1;
        Some(Place {
            places: self.clone(),
            of,
        })
    }
}

/// What counts as one address: of IPv6 the half that a network is given (RFC 4291 2.5.1).
fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_never_has_all_places() {
        let places = Places::default();
        let from = |text: &str| places.take(text.parse().unwrap());
        let held: Vec<_> = (0..16).filter_map(|_| from("192.0.2.1")).collect();
        assert_eq!(held.len(), OF_ONE);
        assert!(from("::ffff:192.0.2.1").is_none());
        assert!(from("192.0.2.2").is_some());
        let near: Vec<_> = (0..16)
            .filter_map(|host| from(&format!("2001:db8::{host:x}")))
            .collect();
        assert_eq!(near.len(), OF_ONE);
        assert!(from("2001:db8:0:1::1").is_some());
        drop(held);
        assert!(from("192.0.2.1").is_some());
        let all: Vec<_> = (0..=255)
            .filter_map(|host| from(&format!("198.51.100.{host}")))
            .collect();
        assert_eq!(all.len(), ALL - near.len());
    }
}
