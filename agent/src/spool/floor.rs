//! How much room must be left on the disk before the agent takes more, in bytes and in names for files: two floors, one polite and one
//! hard. What is arriving looks at the hard one for every mebibyte that it writes.

use std::io;

use serde::Deserialize;

use super::disk::{Disk, Left};

/// Whether the agent takes more. The `dicom` room turns it into answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Takes everything.
    Open,
    /// Below the soft floor: associations that have begun may finish, new ones are asked to come back (A-ASSOCIATE-RJ, transient).
    Congested,
    /// Below the hard floor, or in safe mode: every instance is refused with 0xA700.
    Full,
}

/// Bounds of the disk.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Free bytes below which new associations are turned away.
    pub soft_floor_bytes: u64,
    /// Free bytes below which every instance is refused; what is left is for rows and reports.
    pub hard_floor_bytes: u64,
    /// Files that can still be made, below which new associations are turned away; of no account where the file system has no such bound.
    pub soft_floor_files: u64,
    /// Files that can still be made, below which every instance is refused.
    pub hard_floor_files: u64,
    /// How many bytes are held for rows and audit, in a file that is given back when other programs have taken all else; 0 for none.
    pub reserve_bytes: u64,
    /// The largest dataset taken, in bytes.
    pub max_instance_bytes: u64,
    /// How long bytes are kept after the gateway's receipt, in hours.
    pub keep_after_receipt_h: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            soft_floor_bytes: 4 << 30,
            hard_floor_bytes: 1 << 30,
            soft_floor_files: 20_000,
            hard_floor_files: 5_000,
            reserve_bytes: 64 << 20,
            max_instance_bytes: 4 << 30,
            keep_after_receipt_h: 72,
        }
    }
}

impl Config {
    /// What it means that so much is left.
    #[must_use]
    pub fn admission(&self, left: Left) -> Admission {
        let files = left.files.unwrap_or(u64::MAX);
        if left.bytes < self.hard_floor_bytes || files < self.hard_floor_files {
            Admission::Full
        } else if left.bytes < self.soft_floor_bytes || files < self.soft_floor_files {
            Admission::Congested
        } else {
            Admission::Open
        }
    }

    /// Whether there is room for more of what is arriving; an error of kind `StorageFull` when there is none.
    ///
    /// # Errors
    /// As the disk says, and as above.
    pub(super) fn look(&self, disk: &Disk) -> io::Result<()> {
        match self.admission(disk.left()?) {
            Admission::Full => Err(io::ErrorKind::StorageFull.into()),
            Admission::Open | Admission::Congested => Ok(()),
        }
    }
}
