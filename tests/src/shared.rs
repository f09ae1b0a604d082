//! The collection of public DICOM files beside the checkout: test input only. Missing is said loudly, and fails where CI=true.

use std::path::{Path, PathBuf};

use crate::stack::build::root;

/// A path below the collection, or none where the collection is not there.
///
/// # Panics
/// In continuous integration, when the collection is missing: a proof that did not run is no proof.
#[must_use]
#[expect(
    clippy::print_stderr,
    reason = "a test that proves less than it could has to say so"
)]
#[expect(
    clippy::disallowed_methods,
    reason = "CI=true is how continuous integration makes itself known"
)]
pub fn dicom(below: &str) -> Option<PathBuf> {
    let path = root().join("../shared/dicom").join(below);
    if path.exists() {
        return Some(path);
    }
    eprintln!(
        "\n*** {} is not there: this test proves NOTHING on real files ***\n",
        path.display()
    );
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "the public test data is missing"
    );
    None
}

/// Whether a program that `make test` installs is there.
///
/// # Panics
/// In continuous integration, when it is not.
#[must_use]
#[expect(
    clippy::print_stderr,
    reason = "a test that proves less than it could has to say so"
)]
#[expect(
    clippy::disallowed_methods,
    reason = "CI=true is how continuous integration makes itself known"
)]
pub fn installed(program: &Path) -> bool {
    let there = program.exists();
    if !there {
        eprintln!(
            "\n*** {} is not there (`make test` installs it): this test proves NOTHING ***\n",
            program.display()
        );
    }
    assert!(
        there || std::env::var("CI").as_deref() != Ok("true"),
        "a program is missing"
    );
    there
}

/// Every file below `folder`, sorted, without tables and texts.
#[must_use]
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if !path
                .extension()
                .is_some_and(|end| ["md", "csv", "txt", "json"].iter().any(|text| end == *text))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
