//! A part of a picture, in pixels.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of a picture in pixels: columns `left..right` of rows `top..bottom`, half-open, counted from the upper left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rectangle {
    /// The first column.
    pub left: u32,
    /// The first row.
    pub top: u32,
    /// The column behind the last.
    pub right: u32,
    /// The row behind the last.
    pub bottom: u32,
}

/// As it is typed.
impl fmt::Display for Rectangle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            left,
            top,
            right,
            bottom,
        } = self;
        write!(f, "{left},{top},{right},{bottom}")
    }
}

impl Rectangle {
    /// Whether no pixel lies in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left >= self.right || self.top >= self.bottom
    }

    /// What of it lies in a picture of this size.
    #[must_use]
    pub fn within(&self, rows: u32, columns: u32) -> Self {
        Self {
            left: self.left.min(columns),
            top: self.top.min(rows),
            right: self.right.min(columns),
            bottom: self.bottom.min(rows),
        }
    }

    /// What of it lies in another one; nothing when they do not meet.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Option<Self> {
        let meet = Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        };
        (!meet.is_empty()).then_some(meet)
    }
}
