//! The system's own clock, randomness and file systems: the only place where they come in.

use std::path::Path;

use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};

/// The system's clock.
#[must_use]
pub fn clock() -> Clock {
    Clock::new(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the clock comes in"
        )]
        let now = std::time::SystemTime::now();
        let since = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    })
}

/// The system's randomness. A system without any ends the process: nothing here is safe without.
#[must_use]
pub fn random() -> Random {
    Random::new(|out| {
        aws_lc_rs::rand::fill(out).expect("the system gives random bytes");
    })
}

/// The kind of file system, when it keeps nothing through a power cut or may vanish.
#[must_use]
pub(super) fn unsafe_file_system(folder: &Path) -> Option<&'static str> {
    let found = rustix::fs::statfs(folder).ok()?;
    // magic numbers of statfs(2)
    match found.f_type {
        0x0102_1994 => Some("tmpfs, which is memory"),
        0x6969 => Some("NFS"),
        0x517B | 0xFF53_4D42 => Some("a Windows share"),
        _ => None,
    }
}
