//! The next task of a reader, held for two minutes while he ends the one before (P23): nobody else takes it, and its images go ahead to his
//! browser. A promise between people who read now, kept in memory: a gateway that starts again has made none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use causeway_proto::random::Random;
use causeway_proto::time::Timestamp;

use super::claim::{ClaimError, holder, locked, may, note};
use super::state::{Lock, State, Step};
use crate::eligibility::{Act, Subject};
use crate::rows::Rows;

/// How long a task is held for the reader who will take it next.
const HELD_US: i64 = 120 * 1_000_000;
/// The level that waits for nobody: whoever is ready first reads it.
const STAT: &str = "stat";

/// A task that somebody will read next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// His account.
    pub account: String,
    /// His name.
    pub name: String,
    /// Until when nobody else takes it.
    pub until: Timestamp,
}

/// What is reserved, by workitem: at most one for each account. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Reservations(Arc<Mutex<HashMap<String, Reserved>>>);

impl Reservations {
    fn held(&self) -> MutexGuard<'_, HashMap<String, Reserved>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is held at `now`: nothing for longer than if it were reserved now, so that a clock that is set back keeps no task from
    /// anybody.
    fn held_at(&self, now: Timestamp) -> MutexGuard<'_, HashMap<String, Reserved>> {
        let (mut held, longest) = (self.held(), until(now));
        held.retain(|_, one| {
            one.until = one.until.min(longest);
            one.until > now
        });
        held
    }

    /// For whom a task is reserved now.
    #[must_use]
    pub fn of(&self, workitem: &str, now: Timestamp) -> Option<Reserved> {
        self.held_at(now).get(workitem).cloned()
    }

    /// Who keeps `account` from taking this task now. A STAT task is kept from nobody.
    pub(super) fn against(
        &self,
        workitem: &str,
        account: &str,
        priority: &str,
        now: Timestamp,
    ) -> Option<Reserved> {
        let other = self.of(workitem, now)?;
        (other.account != account && priority != STAT).then_some(other)
    }

    /// Holds the task for one who has no other from now on; not when somebody else holds it.
    fn hold(&self, workitem: &str, wanted: Reserved, now: Timestamp) -> Result<(), Reserved> {
        let mut held = self.held_at(now);
        if let Some(other) = held.get(workitem)
            && other.account != wanted.account
        {
            return Err(other.clone());
        }
        held.retain(|_, one| one.account != wanted.account);
        held.insert(workitem.to_owned(), wanted);
        Ok(())
    }

    /// The task is somebody's now, or will not be taken.
    pub(super) fn end(&self, workitem: &str) {
        self.held().remove(workitem);
    }
}

fn until(from: Timestamp) -> Timestamp {
    Timestamp(from.0.saturating_add(HELD_US))
}

/// Reserves a waiting task for the person who asks, for two minutes from now; what he had reserved before is free again. Answers its case
/// and until when.
///
/// # Errors
/// When he may not claim it, when it does not wait or is reserved for somebody else, or when the database refuses.
pub async fn reserve(
    rows: &Rows,
    reservations: &Reservations,
    subject: &Subject,
    uid: &str,
    at: Timestamp,
    random: &Random,
) -> Result<(String, Timestamp), ClaimError> {
    let mut tx = rows.begin().await?;
    let found = locked(&mut tx, subject, uid).await?;
    may(subject, &found, Act::Claim)?;
    if let State::InProgress(held) = &found.state
        && held.account != subject.account
    {
        return Err(ClaimError::Taken(
            holder(&mut tx, &held.account, found.claimed_us).await?,
        ));
    }
    let as_if = Lock {
        transaction_uid: random.uid(),
        account: subject.account.clone(),
    };
    found.state.clone().after(Step::Claim(as_if))?;
    let until = until(at);
    let wanted = Reserved {
        name: holder(&mut tx, &subject.account, at.0).await?.name,
        account: subject.account.clone(),
        until,
    };
    reservations
        .hold(uid, wanted, at)
        .map_err(ClaimError::Reserved)?;
    let written = async {
        let (case, site) = (&found.case, &found.site);
        note(&mut tx, subject, case, site, "workitem-reserved", uid, at).await?;
        tx.commit().await?;
        Ok(())
    };
    if let Err(error) = written.await {
        reservations.end(uid);
        return Err(error);
    }
    Ok((found.case, until))
}
