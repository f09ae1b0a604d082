//! The status words of C-STORE and of messages that we cannot take (PS3.4 B.2.3, PS3.7 C), one place for all of them.

use causeway_proto::prescan::PrescanError;

use crate::spool::StoreError;

/// Success.
pub(super) const SUCCESS: u16 = 0x0000;
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
