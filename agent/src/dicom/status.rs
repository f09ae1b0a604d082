//! The status words of C-STORE, N-ACTION and of messages that we cannot take (PS3.4 B.2.3, PS3.7 C), and the reasons for which nothing is
//! committed to (PS3.3 C.14), one place for all of them.

use causeway_proto::prescan::PrescanError;

use crate::commitment::Failure;
use crate::spool::StoreError;

/// Success.
pub(super) const SUCCESS: u16 = 0x0000;
/// Processing failure.
pub(super) const PROCESSING_FAILURE: u16 = 0x0110;
/// No such SOP instance.
pub(super) const NO_SUCH_INSTANCE: u16 = 0x0112;
/// Invalid argument value.
pub(super) const INVALID_ARGUMENT: u16 = 0x0115;
/// Class-instance conflict.
pub(super) const CLASS_INSTANCE_CONFLICT: u16 = 0x0119;
/// No such action.
pub(super) const NO_SUCH_ACTION: u16 = 0x0123;
/// Duplicate transaction UID (PS3.3 C.14).
pub(super) const DUPLICATE_TRANSACTION: u16 = 0x0131;
/// Resource limitation.
pub(super) const RESOURCE_LIMITATION: u16 = 0x0213;
/// Refused: SOP class not supported.
pub(super) const CLASS_NOT_SUPPORTED: u16 = 0x0122;
/// Unrecognized operation.
pub(super) const UNRECOGNIZED_OPERATION: u16 = 0x0211;
/// Mistyped argument.
pub(super) const MISTYPED_ARGUMENT: u16 = 0x0212;
/// Refused: out of resources.
pub(super) const OUT_OF_RESOURCES: u16 = 0xA700;
/// Error: data set does not match SOP class.
pub(super) const DOES_NOT_MATCH: u16 = 0xA900;
/// Error: cannot understand.
pub(super) const CANNOT_UNDERSTAND: u16 = 0xC000;

/// A C-STORE that is not answered with success: a status, and an Error Comment of at most 64 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// (0000,0900).
    pub(super) status: u16,
    /// (0000,0902): holds nothing that was received.
    pub(super) comment: String,
}

impl Refusal {
    /// With a comment of ours.
    pub(super) fn new(status: u16, comment: &str) -> Self {
        Self {
            status,
            comment: comment.to_owned(),
        }
    }
}

/// The spool keeps nothing of the instance: whatever the reason, the sender may try again later.
impl From<&StoreError> for Refusal {
    fn from(error: &StoreError) -> Self {
        let comment = match error {
            StoreError::Full(_) => "no room for new instances",
            StoreError::TooLarge(_) => "the instance is larger than this agent takes",
            StoreError::Disk { .. } => "the disk refused the instance",
            StoreError::Spool(_) => "the spool refused the instance",
        };
        Self::new(OUT_OF_RESOURCES, comment)
    }
}

/// A dataset that breaks a bound or cannot be read is 0xC000; a disk that cannot be read back is not its fault.
impl From<&PrescanError> for Refusal {
    fn from(error: &PrescanError) -> Self {
        if error.is_about_the_data() {
            Self::new(CANNOT_UNDERSTAND, &error.to_string())
        } else {
            Self::new(OUT_OF_RESOURCES, "the disk could not be read back")
        }
    }
}

/// Failure Reason (0008,1197).
pub(super) fn failure_reason(failure: Failure) -> u16 {
    match failure {
        Failure::NotHere => NO_SUCH_INSTANCE,
        Failure::OtherClass => CLASS_INSTANCE_CONFLICT,
        Failure::Stays(_) | Failure::TooLate => PROCESSING_FAILURE,
        Failure::UsedTwice => DUPLICATE_TRANSACTION,
    }
}
