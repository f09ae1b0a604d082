//! What pixels give away, blacked out: rectangles, and the ways to make them black; pure of rows, files and people (P6).

pub mod child;
mod coded;
pub mod decode;
mod device;
pub mod jpeg;
pub mod native;
mod rectangle;
mod shade;

pub(crate) use coded::{frame_bits, is_native};
pub use device::{Device, Family, NoFamily};
pub use rectangle::Rectangle;
