//! Each end remembers heads of the other's trail: who goes back behind one, or shows another record in its place, is found.

use thiserror::Error;

use super::Head;

/// A trail is not the one that was witnessed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Doubt {
    /// It ends before a record that was witnessed: an old copy was put back, or its end was cut off.
    #[error("the audit trail had reached {held} and now ends at {said}: it went back")]
    Back {
        /// What the witness remembers.
        held: Head,
        /// What is said now.
        said: Head,
    },
    /// It shows another record under a number that was witnessed: it was written anew.
    #[error("record {} of the audit trail had the digest {} and now has {}: it was written anew", .held.sequence, .held.digest, .said.digest)]
    Anew {
        /// What the witness remembers.
        held: Head,
        /// What is said now.
        said: Head,
    },
}

impl Doubt {
    /// What the witness remembers.
    #[must_use]
    pub fn held(&self) -> Head {
        match self {
            Self::Back { held, .. } | Self::Anew { held, .. } => *held,
        }
    }

    /// What is said now.
    #[must_use]
    pub fn said(&self) -> Head {
        match self {
            Self::Back { said, .. } | Self::Anew { said, .. } => *said,
        }
    }
}

/// Judges what the other end says of its trail: `said` is its head, `again` what it now shows at a record that it was asked about.
/// `newest` is the farthest head held of it, `asked` the head held at the number of `again`.
///
/// # Errors
/// When it contradicts what is held.
pub fn judge(
    newest: Option<&Head>,
    said: &Head,
    asked: Option<&Head>,
    again: Option<&Head>,
) -> Result<(), Doubt> {
    if let (Some(held), Some(again)) = (asked, again) {
        same(held, again)?;
    }
    match newest {
        Some(held) if said.sequence < held.sequence => Err(Doubt::Back {
            held: *held,
            said: *said,
        }),
        Some(held) => same(held, said),
        None => Ok(()),
    }
}

fn same(held: &Head, said: &Head) -> Result<(), Doubt> {
    if held.sequence == said.sequence && held.digest != said.digest {
        return Err(Doubt::Anew {
            held: *held,
            said: *said,
        });
    }
    Ok(())
}

/// The owner of a trail hears what the other end holds of it: `mine` is its own record of that number, `head` its own head. Answers
/// what it shows now.
///
/// # Errors
/// When the own trail is not the one that was witnessed.
pub fn recollect(held: &Head, mine: Option<&Head>, head: &Head) -> Result<Head, Doubt> {
    if held.sequence == 0 {
        return Ok(*held);
    }
    match mine {
        Some(mine) => same(held, mine).map(|()| *mine),
        None => Err(Doubt::Back {
            held: *held,
            said: *head,
        }),
    }
}
