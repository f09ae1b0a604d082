//! The states of a workitem and the only ways between them; the table stands in the room's doc.

use std::fmt;

use thiserror::Error;

/// What proves the right to move a claimed workitem: the Transaction UID (0008,1195) and the account it was given to.
#[derive(Clone, PartialEq, Eq)]
pub struct Lock {
    /// (0008,1195).
    pub transaction_uid: String,
    /// Who holds it.
    pub account: String,
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lock(held by {})", self.account)
    }
}

/// Procedure Step State (0074,1000).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for a reader.
    Scheduled,
    /// One reader holds it.
    InProgress(Lock),
    /// A final report was signed.
    Completed,
    /// Put back, recalled, or cancelled by an operator.
    Canceled,
}

/// What may happen to a workitem.
#[derive(Clone, Debug)]
pub enum Step {
    /// A reader takes it; the lock is his from now on.
    Claim(Lock),
    /// Its holder has signed final.
    Complete(Lock),
    /// Its holder gives it up.
    Cancel(Lock),
    /// Somebody who does not hold it wants it gone.
    RequestCancel,
}

/// The step is not allowed in this state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{sentence} ({code})")]
pub struct InvalidTransition {
    /// The UPS status of PS3.4 CC.2.1, as in `C302`.
    pub code: &'static str,
    /// The same in words.
    pub sentence: &'static str,
}

fn refused(code: &'static str, sentence: &'static str) -> Result<State, InvalidTransition> {
    Err(InvalidTransition { code, sentence })
}

impl State {
    /// The state after `step`.
    ///
    /// # Errors
    /// When the table does not allow the step.
    pub fn after(self, step: Step) -> Result<Self, InvalidTransition> {
        match (self, step) {
            (Self::Scheduled, Step::Claim(lock)) => Ok(Self::InProgress(lock)),
            (Self::InProgress(_), Step::Claim(_)) => {
                refused("C302", "the task is already in progress")
            }
            (Self::Completed | Self::Canceled, Step::Claim(_)) => {
                refused("C300", "the task has ended and can no longer be changed")
            }
            (Self::Scheduled, Step::Complete(_) | Step::Cancel(_)) => {
                refused("C310", "the task is not in progress")
            }
            (Self::InProgress(held), Step::Complete(lock)) if held == lock => Ok(Self::Completed),
            (Self::InProgress(held), Step::Cancel(lock)) if held == lock => Ok(Self::Canceled),
            (Self::InProgress(_), Step::Complete(_) | Step::Cancel(_)) => {
                refused("C301", "the task is held by somebody else")
            }
            (Self::Completed, Step::Complete(_)) => refused("B306", "the task is completed"),
            (Self::Canceled, Step::Cancel(_) | Step::RequestCancel) => {
                refused("B304", "the task is canceled")
            }
            (Self::Completed, Step::Cancel(_)) | (Self::Canceled, Step::Complete(_)) => {
                refused("C300", "the task has ended and can no longer be changed")
            }
            (Self::Scheduled, Step::RequestCancel) => Ok(Self::Canceled),
            (Self::InProgress(_), Step::RequestCancel) => {
                refused("C313", "the reader who holds the task must put it back")
            }
            (Self::Completed, Step::RequestCancel) => refused("C311", "the task is completed"),
        }
    }

    /// The word of (0074,1000).
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::InProgress(_) => "IN PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Canceled => "CANCELED",
        }
    }

    /// The state from its stored word and lock; none when the row says something impossible.
    #[must_use]
    pub fn from_row(
        word: &str,
        transaction_uid: Option<String>,
        account: Option<String>,
    ) -> Option<Self> {
        match (word, transaction_uid, account) {
            ("SCHEDULED", ..) => Some(Self::Scheduled),
            ("IN PROGRESS", Some(transaction_uid), Some(account)) => Some(Self::InProgress(Lock {
                transaction_uid,
                account,
            })),
            ("COMPLETED", ..) => Some(Self::Completed),
            ("CANCELED", ..) => Some(Self::Canceled),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(uid: &str) -> Lock {
        Lock {
            transaction_uid: uid.into(),
            account: "a".into(),
        }
    }

    fn check(state: State, step: Step, expect: Result<&str, &str>) {
        let shown = format!("{state:?} {step:?}");
        let got = state.after(step);
        assert_eq!(
            got.as_ref().map(State::word).map_err(|e| e.code),
            expect,
            "{shown}"
        );
    }

    #[test]
    fn the_table_holds() {
        let held = || State::InProgress(lock("1"));
        check(State::Scheduled, Step::Claim(lock("1")), Ok("IN PROGRESS"));
        check(held(), Step::Claim(lock("1")), Err("C302"));
        check(State::Completed, Step::Claim(lock("1")), Err("C300"));
        check(State::Canceled, Step::Claim(lock("1")), Err("C300"));
        check(State::Scheduled, Step::Complete(lock("1")), Err("C310"));
        check(held(), Step::Complete(lock("1")), Ok("COMPLETED"));
        check(held(), Step::Complete(lock("2")), Err("C301"));
        check(State::Completed, Step::Complete(lock("1")), Err("B306"));
        check(State::Canceled, Step::Complete(lock("1")), Err("C300"));
        check(State::Scheduled, Step::Cancel(lock("1")), Err("C310"));
        check(held(), Step::Cancel(lock("1")), Ok("CANCELED"));
        check(held(), Step::Cancel(lock("2")), Err("C301"));
        check(State::Completed, Step::Cancel(lock("1")), Err("C300"));
        check(State::Canceled, Step::Cancel(lock("1")), Err("B304"));
        check(State::Scheduled, Step::RequestCancel, Ok("CANCELED"));
        check(held(), Step::RequestCancel, Err("C313"));
        check(State::Completed, Step::RequestCancel, Err("C311"));
        check(State::Canceled, Step::RequestCancel, Err("B304"));
    }

    #[test]
    fn a_lock_never_shows_its_uid() {
        assert!(!format!("{:?}", lock("2.25.77")).contains("2.25.77"));
    }

    #[test]
    fn a_row_in_progress_without_a_lock_is_no_state() {
        assert_eq!(State::from_row("IN PROGRESS", None, None), None);
        assert_eq!(State::from_row("DONE", None, None), None);
    }
}
