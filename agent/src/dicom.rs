//! The hospital's DICOM side: Verification, Storage and, where a sender may ask for it, Storage Commitment as a provider; Storage and
//! Verification as a user (PS3.4 A, B, J).
//!
//! The only room that knows DIMSE. Bytes of a dataset go to the spool exactly as they came; nothing is answered with success before
//! the spool says that it is durable.

//!
//! An association as its provider sees it (PS3.8 9.2, the states that we keep):
//!
//! | state | ends by | next |
//! |---|---|---|
//! | connected | A-ASSOCIATE-RQ within ARTIM | judged |
//! | connected | anything else: A-ABORT; silence: close | parting |
//! | connected | no place for it, or a newcomer takes its place: A-ASSOCIATE-RJ, before it has said anything | parting |
//! | judged | A-ASSOCIATE-AC | idle |
//! | judged | A-ASSOCIATE-RJ, or A-ABORT for a broken request | parting |
//! | idle | a command | in a message |
//! | idle | a result of storage commitment that was asked for here | idle; its answer is awaited among the commands |
//! | idle | A-RELEASE-RQ, A-ABORT, silence, shutdown | parting |
//! | in a message | its answer | idle |
//! | in a message | A-RELEASE-RQ, A-ABORT, end, trickle, broken framing: nothing is kept | parting |
//! | parting | the peer closes, or ARTIM | gone |

pub mod commit;
pub mod config;
pub mod listen;
pub mod query;
pub mod send;
#[doc(hidden)]
pub mod strangers;

mod command;
mod dial;
mod negotiate;
mod pdu;
mod pull;
mod serve;
mod status;
mod store;
mod wire;

pub use config::Config;
pub use listen::listen;
