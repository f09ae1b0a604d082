//! PS3.15 Table E.1-1: what the Basic Profile does to an attribute, and what each of our options makes of it.
//!
//! The rows are those of the 2026c edition, all 652 that name one attribute; a test holds them to a digest of that table. The other
//! four (curves, overlay data, overlay comments, private attributes) are rules of the transform. What the column of Full Dates
//! keeps, that of Modified Dates cleans, in every row: one letter serves both.

use std::collections::HashMap;
use std::sync::LazyLock;

use dicom_core::Tag;

mod rows;

/// The action of the Basic Profile (PS3.15 Table E.1-1a). Where the standard leaves a choice that depends on the type of the
/// attribute in its IOD, the names say all that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Basic {
    /// A value that is no identity.
    D,
    /// Nothing, or a value that is no identity.
    Z,
    /// Removed.
    X,
    /// Another UID.
    U,
    /// Removed, or D.
    Xd,
    /// Removed, or Z.
    Xz,
    /// Removed, Z or D.
    Xzd,
    /// Removed, Z, or other UIDs in the items.
    Xzu,
    /// Z or D.
    Zd,
}

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Without any option.
    pub(super) basic: Basic,
    /// Letters of the options that change it; see `rows`.
    pub(super) options: &'static str,
}

static TABLE: LazyLock<HashMap<u32, Row>> = LazyLock::new(|| {
    rows::ROWS
        .iter()
        .flat_map(|(basic, options, tags)| {
            let row = Row {
                basic: *basic,
                options,
            };
            tags.iter().map(move |tag| (*tag, row))
        })
        .collect()
});

/// The row of an attribute, if it has one.
pub(super) fn row(tag: Tag) -> Option<Row> {
    let number = u32::from(tag.0) << 16 | u32::from(tag.1);
    TABLE.get(&number).copied()
}

#[cfg(test)]
pub(super) fn tags() -> impl Iterator<Item = u32> {
    rows::ROWS
        .iter()
        .flat_map(|(_, _, tags)| tags.iter().copied())
}

/// The table as text: one line for each attribute with its number, basic action and options, sorted.
#[cfg(test)]
pub(super) fn lines() -> String {
    let mut lines: Vec<String> = rows::ROWS
        .iter()
        .flat_map(|(basic, options, tags)| {
            tags.iter()
                .map(move |tag| format!("{tag:08X} {basic:?} {options}\n"))
        })
        .collect();
    lines.sort();
    lines.concat()
}
