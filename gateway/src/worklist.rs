//! Reading tasks: DICOM UPS workitems over cases, from the first image of a study to the signed report.
//!
//! States (PS3.4 CC.1.1) and what each event does; every other pair is refused with the code of standards' table CC.2.1-2:
//!
//! | event | SCHEDULED | IN PROGRESS | COMPLETED | CANCELED |
//! |---|---|---|---|---|
//! | claim | IN PROGRESS, holds the lock | C302 | C300 | C300 |
//! | complete, right lock | C310 | COMPLETED | B306 | C300 |
//! | cancel, right lock | C310 | CANCELED | C300 | B304 |
//! | complete or cancel, wrong lock | C310 | C301 | C301 | C301 |
//! | request to cancel | CANCELED (through IN PROGRESS) | C313 | C311 | B304 |
//!
//! Nothing returns to SCHEDULED: a task that is put back is cancelled (110528) and replaced by a new one that names it
//! (0074,1224). The lock (Transaction UID) is shown only to the person who holds it. Drafts belong to the case, so that putting
//! back loses no text.

mod addendum;
mod claim;
mod events;
mod facts;
mod intervals;
mod list;
mod raised;
mod release;
mod reserved;
mod rules;
mod state;
mod study;
mod task;

#[cfg(test)]
mod tests;

pub use addendum::correction;
pub use claim::{ClaimError, Claimed, Holder, claim};
pub use events::{Changed, Event, Events};
pub use facts::{CaseFacts, case, evidence, priors, studies};
pub use intervals::interval;
pub use list::{Item, Line, Reach, list};
pub use raised::{study_raised, urgent};
pub use release::{cancel, complete, put_back};
pub use reserved::{Reservations, Reserved, reserve};
pub(crate) use rules::lock;
pub use rules::{cases_of, makes_task, study_grew, study_opened, study_recalled, study_sealed};
pub use state::{InvalidTransition, Lock, State, Step};
pub use study::{Context, Quarantined, Series, Site, Study, StudyFacts, Withheld, is_placeholder};
pub use task::{Stored, Task, header, stored, task};

/// What a quarantine row says of an instance of somebody else (P24): while it stands, no report on its study is signed.
pub const ANOTHER_PATIENT: &str = "another Patient ID than the study's first instance";
/// CID 9231: the task of reading.
pub const INTERPRETATION: &str = "110005";
/// CID 9231: the task that late images or a correction bring.
pub const ADDENDUM: &str = "128001";
/// CID 9300 "Procedure rescheduled": the reason a put-back task is cancelled with.
pub const RESCHEDULED: &str = "110528";
/// CID 9300 "Discontinued for unspecified reason".
pub const DISCONTINUED: &str = "110513";
