//! How much room must be left on the disk before the agent takes more: two floors, one polite and one hard.

use serde::Deserialize;

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
            max_instance_bytes: 4 << 30,
            keep_after_receipt_h: 72,
        }
    }
}

impl Config {
    /// What so many free bytes mean.
    #[must_use]
    pub fn admission(&self, free_bytes: u64) -> Admission {
        if free_bytes < self.hard_floor_bytes {
            Admission::Full
        } else if free_bytes < self.soft_floor_bytes {
            Admission::Congested
        } else {
            Admission::Open
        }
    }
}
