//! Who shares an address, or a range of addresses that one subscriber may have: what they hold is counted together.

use std::net::{IpAddr, Ipv6Addr};

/// One address of IPv4, or a range of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Near {
    first: IpAddr,
    bits: u8,
}

impl Near {
    /// All that an address counts to, the nearest first. A subscriber of IPv6 has a /64 at the least, often a /56 and at most a /48: his
    /// bound is kept in every /64, and four times as much in the /48, which neighbours of his may share.
    #[must_use]
    pub fn of(address: IpAddr) -> Vec<Self> {
        match address.to_canonical() {
            IpAddr::V6(long) => [64, 48].map(|bits| Self::range(long, bits)).to_vec(),
            short => vec![Self {
                first: short,
                bits: 32,
            }],
        }
    }

    fn range(address: Ipv6Addr, bits: u8) -> Self {
        let rest = 128 - u32::from(bits);
        let first = IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> rest << rest));
        Self { first, bits }
    }

    /// The first address of it, of which [`Self::of`] makes the same again.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// How many times the bound of one address those who are counted here may have.
    #[must_use]
    pub fn times(&self) -> u8 {
        match self.bits {
            48 => 4,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_counted_together() {
        let near = |address: &str| Near::of(address.parse().unwrap());
        assert_eq!(near("192.0.2.1"), near("::ffff:192.0.2.1"));
        assert_ne!(near("192.0.2.1"), near("192.0.2.2"));
        assert_eq!(near("2001:db8::1"), near("2001:db8::2:1"));
        let (one, other) = (near("2001:db8:0:1::1"), near("2001:db8:0:ff::1"));
        assert_ne!(one[0], other[0]);
        assert_eq!(one[1], other[1]);
        assert_ne!(one[1], near("2001:db8:1:1::1")[1]);
        assert_eq!([one[0].times(), one[1].times()], [1, 4]);
        assert_eq!(Near::of(one[0].first()), one);
    }
}
