//! What the link's doors write of strangers.

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum About {
    /// Somebody was turned away.
    Refused,
    /// Somebody says no more, who may not be where his packets say.
    Silent,
    /// It came to nothing with somebody who is there.
    Failed,
}

/// What was written lately.
pub(super) type Told = causeway_http::Lines<About>;
