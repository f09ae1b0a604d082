//! House rules that a machine can check: who imports whom, how long a file is, what its first line says, which names are banned.

#[cfg(test)]
mod order;
#[cfg(test)]
mod sources;

use sources::{Source, sources};

/// No file is longer than this.
const LONGEST: usize = 500;
/// Names that say nothing about what a room holds.
const DRAWERS: [&str; 10] = [
    "utils", "util", "common", "helpers", "helper", "manager", "service", "services", "misc",
    "toolbox",
];

fn complain(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_file_says_its_purpose_in_its_first_line() {
    let all = sources();
    let silent = all.iter().filter(|source| !source.text.starts_with("//! "));
    complain(
        &silent
            .map(|source| {
                format!(
                    "{}: the first line does not say what the file is for",
                    source.path
                )
            })
            .collect::<Vec<_>>(),
    );
}

#[test]
fn files_are_short_enough_to_be_one_thing() {
    let mut lengths: Vec<(usize, String)> = sources()
        .into_iter()
        .map(|source| (source.text.lines().count(), source.path))
        .collect();
    lengths.sort_unstable();
    let at = |share: usize| lengths[(lengths.len() - 1) * share / 100].0;
    let (longest, path) = lengths.last().unwrap();
    println!(
        "{} files; lines: median {}, 95th percentile {}, longest {longest} ({path})",
        lengths.len(),
        at(50),
        at(95)
    );
    let long = lengths.iter().filter(|(length, _)| *length > LONGEST);
    complain(
        &long
            .map(|(length, path)| format!("{path}: {length} lines, more than {LONGEST}"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn no_room_is_a_drawer_and_no_module_file_is_called_mod() {
    let named = |source: &Source| {
        let name = source
            .path
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .trim_end_matches(".rs")
            .to_owned();
        let folder = source.path.split('/').any(|part| DRAWERS.contains(&part));
        (name == "mod" || folder || DRAWERS.contains(&name.as_str()))
            .then(|| format!("{}: a room is named by a noun of the field", source.path))
    };
    complain(&sources().iter().filter_map(named).collect::<Vec<_>>());
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_to_do() {
    let words = [
        concat!("#[ign", "ore"),
        concat!("tod", "o!("),
        concat!("unimplem", "ented!("),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
    ];
    let mut complaints = Vec::new();
    for source in sources() {
        for (number, line) in (1..).zip(source.text.lines()) {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                complaints.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    complain(&complaints);
}

/// What both programs may use.
const SHARED: &[&str] = &[
    "causeway-proto",
    "causeway-line",
    "causeway-http",
    "causeway-disk",
    "causeway-observe",
    "causeway-certs",
];

#[test]
fn crates_depend_only_on_those_they_may() {
    let allowed = [
        ("proto", &[][..]),
        ("certs", &["causeway-proto"][..]),
        ("proto/line", &[][..]),
        ("proto/http", &[][..]),
        ("proto/disk", &[][..]),
        ("proto/observe", &["causeway-proto"][..]),
        ("agent", SHARED),
        ("gateway", SHARED),
    ];
    let mut complaints = Vec::new();
    for (name, may) in allowed {
        for dependency in sources::dependencies(name)
            .iter()
            .filter(|one| one.starts_with("causeway-"))
        {
            if !may.contains(&dependency.as_str()) {
                complaints.push(format!("{name} depends on {dependency}"));
            }
        }
    }
    for banned in ["tokio", "quinn"] {
        if sources::dependencies("proto")
            .iter()
            .any(|one| one == banned)
        {
            complaints.push(format!(
                "proto depends on {banned}: it is to stay without IO"
            ));
        }
    }
    for banned in [
        "quinn-proto",
        "object_store",
        "dicom-pixeldata",
        "jsonwebtoken",
        "utoipa",
    ] {
        if sources::dependencies("agent")
            .iter()
            .any(|one| one == banned)
        {
            complaints.push(format!(
                "agent depends on {banned}, which only the gateway needs"
            ));
        }
    }
    complain(&complaints);
}

#[test]
fn rooms_import_only_rooms_to_their_left() {
    complain(&order::breaches());
}

#[test]
fn only_the_edges_know_a_protocol() {
    let edges = [
        ("gateway/src/http", "axum"),
        ("agent/src/page", "axum"),
        ("gateway/src/link", "quinn"),
        ("agent/src/link", "quinn"),
        ("agent/src/dicom", "dicom_ul"),
    ];
    let mut complaints = Vec::new();
    for source in sources() {
        if !source.path.starts_with("gateway/src") && !source.path.starts_with("agent/src") {
            continue;
        }
        for (home, package) in edges {
            let at_home = edges
                .iter()
                .any(|(other, same)| *same == package && source.path.starts_with(other));
            let wiring = ["/app.rs", "/main.rs", "/observe.rs", "/observe/health.rs"]
                .iter()
                .any(|end| source.path.ends_with(end))
                || source.path.contains("/app/");
            let imports = source
                .text
                .lines()
                .any(|line| line.trim_start().starts_with(&format!("use {package}::")));
            if imports && !at_home && !wiring {
                complaints.push(format!("{}: {package} belongs to {home}", source.path));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn the_manifest_of_the_workspace_names_every_version() {
    let mut complaints = Vec::new();
    for name in [
        "proto",
        "proto/line",
        "proto/http",
        "proto/disk",
        "proto/observe",
        "certs",
        "agent",
        "gateway",
        "tests",
    ] {
        for (number, line) in (1..).zip(sources::manifest(name).lines()) {
            if line.contains("version = \"")
                || line
                    .split_once(" = \"")
                    .is_some_and(|(_, version)| version.starts_with(|c: char| c.is_ascii_digit()))
            {
                complaints.push(format!(
                    "{name}/Cargo.toml:{number}: versions stand in the workspace's manifest"
                ));
            }
        }
    }
    complain(&complaints);
}
