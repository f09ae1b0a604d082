//! Rooms of a crate stand in an order in ARCHITECTURE.md; a room imports only from rooms before it.

use std::collections::HashMap;

use causeway_tests::stack::build::root;

use crate::sources::sources;

/// Every import that points to the right, in words.
pub(crate) fn breaches() -> Vec<String> {
    let mut complaints = Vec::new();
    for name in [
        "proto",
        "proto/line",
        "proto/http",
        "proto/disk",
        "proto/observe",
        "agent",
        "gateway",
        "certs",
    ] {
        let order = rooms(name);
        let place: HashMap<&str, usize> = order
            .iter()
            .enumerate()
            .map(|(index, room)| (room.as_str(), index))
            .collect();
        for source in sources() {
            let Some(inside) = source.path.strip_prefix(&format!("{name}/src/")) else {
                continue;
            };
            let room = inside
                .split('/')
                .next()
                .unwrap_or_default()
                .trim_end_matches(".rs");
            if ["lib", "main"].contains(&room) {
                continue;
            }
            let Some(here) = place.get(room) else {
                complaints.push(format!(
                    "{}: the room {room} does not stand in ARCHITECTURE.md",
                    source.path
                ));
                continue;
            };
            for (number, line) in (1..).zip(
                source
                    .text
                    .lines()
                    .take_while(|line| !line.contains("#[cfg(test)]")),
            ) {
                let Some(there) = imported(line) else {
                    continue;
                };
                if there != room
                    && place.get(there).is_some_and(|there| there > here)
                    && !source.path.contains("/tests")
                {
                    complaints.push(format!(
                        "{}:{number}: {room} imports {there}, which stands to its right",
                        source.path
                    ));
                }
            }
        }
    }
    complaints
}

/// The room that a line imports from, if it imports from one of this crate.
fn imported(line: &str) -> Option<&str> {
    if line.trim_start().starts_with("//") {
        return None;
    }
    let (_, after) = line.split_once("crate::")?;
    after
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
}

/// The rooms of a crate in the order of the line "Rooms of `name`, left to right: …" of ARCHITECTURE.md.
fn rooms(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let start = format!("Rooms of `{name}`, left to right:");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    let line =
        line.unwrap_or_else(|| panic!("ARCHITECTURE.md has no line that begins with {start:?}"));
    line.split('→')
        .map(|room| room.trim().trim_matches(['`', '.']).to_owned())
        .collect()
}
