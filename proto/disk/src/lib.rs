//! What both programs ask of the disk under their rows: room that is held for them, and a log that is written again after a sync that failed.

mod again;
mod reserve;
#[cfg(feature = "small")]
mod small;

pub use again::write_again;
pub use reserve::Reserve;
#[cfg(feature = "small")]
pub use small::SmallDisk;
