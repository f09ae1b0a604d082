//! Forms that were just decided, kept until they leave: what is sent at once need not be made a second time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use causeway_proto::digest::Digest;
use tokio::time::Instant;

use super::form::Form;

/// So much is kept of all forms together, in bytes; what was received stays in the spool.
const MOST: usize = 4 << 20;
/// When none was found during this time what is kept has left another way, or does not leave soon.
const STALE: Duration = Duration::from_secs(60);

/// Forms by the digest over them: one that is found is the one that was decided. Cheap to clone.
#[derive(Clone)]
pub(super) struct Remembered(Arc<Mutex<Held>>);

struct Held {
    forms: HashMap<Digest, Form>,
    bytes: usize,
    /// When one was last found.
    asked: Instant,
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remembered")
    }
}

impl Default for Remembered {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Held {
            forms: HashMap::new(),
            bytes: 0,
            asked: Instant::now(),
        })))
    }
}

impl Remembered {
    /// Keeps a form where there is room. The first to come are the first to leave: what is kept does not give way to later ones.
    pub(super) fn keep(&self, digest: Digest, form: &Form) {
        let Some(bytes) = form.held() else {
            return;
        };
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.bytes.saturating_add(bytes) > MOST {
            if held.asked.elapsed() < STALE {
                return;
            }
            held.forms.clear();
            held.bytes = 0;
        }
        if bytes <= MOST && held.forms.insert(digest, form.clone()).is_none() {
            held.bytes = held.bytes.saturating_add(bytes);
        }
    }

    /// Gives a form away.
    pub(super) fn take(&self, digest: &Digest) -> Option<Form> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let form = held.forms.remove(digest)?;
        held.asked = Instant::now();
        held.bytes = held.bytes.saturating_sub(form.held().unwrap_or_default());
        Some(form)
    }
}
