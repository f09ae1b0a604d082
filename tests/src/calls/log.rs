//! The records that the library in the agent writes, read back.

use std::path::Path;

use anyhow::{Context as _, bail};

/// What was asked of the disk. Paths are below the spool's folder, which is the empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A file was opened or made under this name; from here on it has this number.
    Opened {
        number: u64,
        path: String,
        made: bool,
        emptied: bool,
    },
    /// Bytes were written; the file had this length before.
    Written {
        number: u64,
        at: u64,
        length_before: u64,
        bytes: Vec<u8>,
    },
    Truncated {
        number: u64,
        length: u64,
    },
    SyncBegins {
        number: u64,
        token: u64,
    },
    SyncEnds {
        number: u64,
        token: u64,
        well: bool,
    },
    Renamed {
        from: String,
        to: String,
    },
    Linked {
        from: String,
        to: String,
    },
    Removed {
        path: String,
    },
    FolderMade {
        path: String,
    },
    /// A P-DATA-TF is about to leave.
    Answer(Vec<u8>),
}

/// Length of the head of a record: `struct record` of calls.c.
const HEAD: usize = 32;

/// Reads a log to its end, which may be cut.
pub(crate) fn read(file: &Path, below: &str) -> anyhow::Result<Vec<Asked>> {
    let all = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let mut rest = all.as_slice();
    let mut asked = Vec::new();
    while let Some((head, behind)) = rest.split_first_chunk::<HEAD>() {
        let [op, flag, ..] = *head;
        let number = |at: usize| -> u64 {
            let eight = head.get(at..).and_then(|it| it.first_chunk::<8>());
            eight.map_or(0, |eight| u64::from_ne_bytes(*eight))
        };
        let length = usize::try_from(number(0) >> 32)?;
        let Some((bytes, next)) = behind.split_at_checked(length) else {
            break;
        };
        rest = next;
        let numbers = [number(8), number(16), number(24)];
        asked.extend(of(op, flag, numbers, bytes, below)?);
    }
    Ok(asked)
}

fn of(
    op: u8,
    flag: u8,
    [number, at, length]: [u64; 3],
    bytes: &[u8],
    below: &str,
) -> anyhow::Result<Option<Asked>> {
    let mut names = bytes.split(|byte| *byte == 0).map(|name| {
        let name = String::from_utf8_lossy(name);
        let (_, inside) = name.split_once(below)?;
        Some(inside.trim_start_matches('/').to_owned())
    });
    let mut name = || names.next().flatten();
    Ok(match op {
        b'N' => name().map(|path| Asked::Opened {
            number,
            path,
            made: flag != 0,
            emptied: at != 0,
        }),
        b'W' => Some(Asked::Written {
            number,
            at,
            length_before: length,
            bytes: bytes.to_vec(),
        }),
        b'T' => Some(Asked::Truncated { number, length: at }),
        b'S' => Some(Asked::SyncBegins { number, token: at }),
        b'E' | b'F' => Some(Asked::SyncEnds {
            number,
            token: at,
            well: op == b'E',
        }),
        b'R' => name()
            .zip(name())
            .map(|(from, to)| Asked::Renamed { from, to }),
        b'L' => name()
            .zip(name())
            .map(|(from, to)| Asked::Linked { from, to }),
        b'U' => name().map(|path| Asked::Removed { path }),
        b'M' => name().map(|path| Asked::FolderMade { path }),
        b'A' => Some(Asked::Answer(bytes.to_vec())),
        other => bail!("a record of kind {other}"),
    })
}
