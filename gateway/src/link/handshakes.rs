//! How many handshakes each address has under way: who has shown no certificate yet does not take the places of everybody else.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// By the address that has been proved (RFC 9000, 8.1); of IPv6 by the /64 that one subscriber has. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Handshakes(Arc<Mutex<HashMap<IpAddr, u32>>>);

/// One handshake, under way until this is dropped.
#[derive(Debug)]
pub(super) struct Handshake {
    all: Handshakes,
    from: IpAddr,
}

impl Handshakes {
    /// One more, unless the address has so many already.
    pub(super) fn begin(&self, address: IpAddr, most: u32) -> Option<Handshake> {
        let from = neighbourhood(address);
        let mut all = self.held();
        let held = all.entry(from).or_default();
        if *held >= most {
            return None;
        }
        *held += 1;
        drop(all);
        Some(Handshake {
            all: self.clone(),
            from,
        })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut all = self.all.held();
        if let Some(held) = all.get_mut(&self.from) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                all.remove(&self.from);
            }
        }
    }
}

fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(long) => IpAddr::V6(Ipv6Addr::from_bits(long.to_bits() >> 64 << 64)),
        short => short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_own_and_gives_them_back() {
        let all = Handshakes::default();
        let begin = |address: &str| all.begin(address.parse().unwrap(), 2);
        let first = begin("2001:db8::1").unwrap();
        let _second = begin("2001:db8::2").unwrap();
        assert!(begin("2001:db8::3").is_none(), "one subscriber");
        let _other = begin("2001:db8:0:1::1").unwrap();
        let _mapped = begin("::ffff:192.0.2.1").unwrap();
        let _short = begin("192.0.2.1").unwrap();
        assert!(begin("192.0.2.1").is_none());
        drop(first);
        assert!(begin("2001:db8::3").is_some());
        assert_eq!(all.held().len(), 3);
    }
}
