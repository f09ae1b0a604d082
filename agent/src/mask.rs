//! What pixels give away, blacked out: rectangles, and the ways to make them black; pure of rows, files and people (P6).

mod device;
pub mod jpeg;
pub mod native;
mod rectangle;

pub use device::{Device, Family, NoFamily};
pub use rectangle::Rectangle;
