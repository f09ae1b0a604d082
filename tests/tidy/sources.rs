//! The sources of the workspace as text.

use std::path::Path;

use causeway_tests::stack::build::root;

/// One Rust file.
pub(crate) struct Source {
    /// Its path from the root, with slashes.
    pub(crate) path: String,
    /// Everything in it.
    pub(crate) text: String,
}

/// Every Rust file of the workspace's crates.
pub(crate) fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for name in ["proto", "certs", "agent", "gateway", "tests"] {
        walk(&root().join(name), &mut found);
    }
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn walk(folder: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && name != "node_modules" {
            walk(&path, found);
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(Source {
                path: path
                    .strip_prefix(root())
                    .unwrap()
                    .to_string_lossy()
                    .into_owned(),
                text,
            });
        }
    }
}

/// The manifest of a crate.
pub(crate) fn manifest(name: &str) -> String {
    std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap()
}

/// What a crate depends on outside its tests.
pub(crate) fn dependencies(name: &str) -> Vec<String> {
    let manifest: toml::Table = manifest(name).parse().unwrap();
    manifest["dependencies"]
        .as_table()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}
