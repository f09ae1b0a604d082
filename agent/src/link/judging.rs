//! Who is to blame when the gateway got other bytes than were decided, or when bytes could not be read: what was received is read again
//! from its beginning to its end. That may take as long as the object is; the connection goes on beside it.

use std::collections::HashSet;
use std::sync::Arc;

use causeway_proto::link::message::{InstanceKey, Refused};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::session::Done;
use crate::spool::{Handle, Spool, SpoolError};

/// So many objects are read at the same time.
const AT_ONCE: usize = 2;
/// So many wait for it; with more the connection waits as well.
const MOST: usize = 512;

/// What is to be found out about an object.
#[derive(Debug)]
pub(super) enum Question {
    /// The gateway got other bytes than the trailer says.
    Refused(Refused),
    /// It could not be read here.
    Unread(Handle),
}

/// Objects that are being read again. They are not offered meanwhile.
#[derive(Debug)]
pub(super) struct Judging {
    keys: HashSet<InstanceKey>,
    places: Arc<Semaphore>,
}

impl Judging {
    pub(super) fn new() -> Self {
        Self {
            keys: HashSet::new(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// What must not be offered.
    pub(super) fn keys(&self) -> impl Iterator<Item = &InstanceKey> {
        self.keys.iter()
    }

    /// Begins in `tasks`, which answer [`Done::Judged`]; what is asked of an object that is being read already is answered by that.
    ///
    /// # Errors
    /// When it had to be done here, for there are too many, and the spool refuses.
    pub(super) async fn begin(
        &mut self,
        spool: &Spool,
        key: InstanceKey,
        question: Question,
        tasks: &mut JoinSet<Done>,
    ) -> Result<(), SpoolError> {
        if self.keys.contains(&key) {
            return Ok(());
        }
        if self.keys.len() >= MOST {
            return answer(spool, &key, &question).await;
        }
        self.keys.insert(key.clone());
        let (spool, places) = (spool.clone(), Arc::clone(&self.places));
        tasks.spawn(async move {
            let _place = places.acquire_owned().await;
            let outcome = answer(&spool, &key, &question).await;
            Done::Judged { key, outcome }
        });
        Ok(())
    }

    /// It is known, and in the spool.
    pub(super) fn ended(&mut self, key: &InstanceKey) {
        self.keys.remove(key);
    }
}

async fn answer(spool: &Spool, key: &InstanceKey, question: &Question) -> Result<(), SpoolError> {
    match question {
        Question::Refused(refused) => spool.refused(refused).await,
        Question::Unread(handle) => spool.unreadable(key, handle).await,
    }
}
