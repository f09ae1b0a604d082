//! Whether segments still hold frames where rows name objects, as far as a start can tell without reading all of them.
//!
//! A segment has its length from its birth, so that its length tells nothing. The heads of its first and its last object are read, and
//! when one of them is none, those of all between. What lies behind a sound head is compared when it is read.

use std::collections::{BTreeMap, HashSet};

use super::OpenError;
use super::disk::{Disk, Handle, Place};
use super::off_runtime;

/// Objects of segments that were acknowledged and are only here.
#[derive(Debug, Default)]
pub(super) struct Heads(BTreeMap<String, BTreeMap<u64, Handle>>);

impl Heads {
    /// One more; what has a file of its own is none.
    pub(super) fn add(&mut self, handle: &Handle) {
        if let Place::Packed {
            segment, offset, ..
        } = handle.place()
        {
            let objects = self.0.entry(segment.to_owned()).or_default();
            objects.insert(offset, handle.clone());
        }
    }

    /// Those whose frames are not there.
    ///
    /// # Errors
    /// When the process is ending.
    pub(super) async fn missing(self, disk: &Disk) -> Result<HashSet<Handle>, OpenError> {
        let disk = disk.clone();
        let found = off_runtime(move || {
            let mut missing = HashSet::new();
            for objects in self.0.into_values() {
                let ends = [objects.values().next(), objects.values().next_back()];
                if ends.into_iter().flatten().all(|one| is_there(&disk, one)) {
                    continue;
                }
                missing.extend(objects.into_values().filter(|one| !is_there(&disk, one)));
            }
            missing
        });
        Ok(found.await?)
    }
}

/// A disk that cannot be read now, or a segment that is short, is none of this: the lengths tell that, or the reading does.
fn is_there(disk: &Disk, handle: &Handle) -> bool {
    disk.has_head(handle).unwrap_or(true)
}
