//! The system's clock and randomness, the only place where they are asked.

use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};

/// The operating system's wall clock.
#[must_use]
pub fn system_clock() -> Clock {
    Clock::new(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "app is where the clock comes from"
        )]
        let now = jiff::Timestamp::now();
        Timestamp::from(now)
    })
}

/// The operating system's randomness.
///
/// # Panics
/// When the system has none: nothing safe can be done then.
#[must_use]
pub fn system_random() -> Random {
    Random::new(|out| {
        let filled = aws_lc_rs::rand::fill(out);
        assert!(
            filled.is_ok(),
            "the operating system gives no random numbers"
        );
    })
}
