//! A sync that failed is never made good by the next one that succeeds: the kernel tells of the loss once and counts the pages as clean
//! (PostgreSQL's wiki, "Fsync Errors"). Whatever is written behind them is behind a gap.

use std::fs::OpenOptions;
use std::io::Result;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// So much is written at once, in bytes.
const PIECE: usize = 1 << 20;

/// Writes all bytes of a file again, as they are, and syncs them. Only for whom nobody else writes it meanwhile. Blocks.
///
/// # Errors
/// As the disk says: then the file is as doubtful as before.
pub fn write_again(file: &Path) -> Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(file)?;
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut piece, at)?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return file.sync_data();
        };
        file.write_all_at(bytes, at)?;
        at += bytes.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_again_as_it_is_and_one_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        write_again(&path).unwrap_err();
        assert!(!path.exists());
        let bytes: Vec<u8> = (0..PIECE * 2 + 7)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect();
        std::fs::write(&path, &bytes).unwrap();
        let before = path.metadata().unwrap().modified().unwrap();
        write_again(&path).unwrap();
        assert!(std::fs::read(&path).unwrap() == bytes);
        assert!(path.metadata().unwrap().modified().unwrap() >= before);
    }
}
