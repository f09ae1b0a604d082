//! Randomness as something that is handed in: rooms draw from what `app` gives them.

use std::fmt;
use std::sync::Arc;

/// A source of random bytes. `app` hands in the operating system's; a test hands in a seeded one.
#[derive(Clone)]
pub struct Random(Arc<Fill>);

type Fill = dyn Fn(&mut [u8]) + Send + Sync;

impl Random {
    /// Wraps a function that fills a buffer with random bytes.
    pub fn new(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(fill))
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        (self.0)(&mut out);
        out
    }

    /// A random number below `bound` (which is at least 1), without modulo bias worth speaking of.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        u64::from_be_bytes(self.bytes()) % bound.max(1)
    }

    /// A new DICOM UID made from 128 random bits under the UUID root (PS3.5 B.2): `2.25.` and a decimal number.
    #[must_use]
    pub fn uid(&self) -> String {
        format!("2.25.{}", u128::from_be_bytes(self.bytes()))
    }

    /// 128 random bits as 32 hexadecimal digits.
    #[must_use]
    pub fn token(&self) -> String {
        hex::encode(self.bytes::<16>())
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}
