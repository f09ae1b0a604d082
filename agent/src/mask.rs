//! What pixels give away, blacked out: rectangles, and the ways to make them black; pure of rows, files and people (P6).

mod rectangle;

pub use rectangle::Rectangle;
