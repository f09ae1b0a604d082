//! Keeps the scrub going: turn after turn while a pass is under way, and a look now and then whether it is time for the next one.

use std::time::Duration;

use crate::archive::scrub::{Scrub, Turn};
use crate::parts::Parts;

/// How often it is looked whether it is time for a pass, and how long nothing is tried after a failure.
const LOOK: Duration = Duration::from_secs(60);
/// Between two passes of a gateway that is to read all the time.
const BREATH: Duration = Duration::from_secs(1);

/// Runs until the process is to end.
pub(super) async fn run(parts: Parts, scrub: Scrub) {
    while !parts.cancel.is_cancelled() {
        let turn = tokio::select! {
            turn = scrub.turn() => turn,
            () = parts.cancel.cancelled() => return,
        };
        let pause = match turn {
            Ok(Turn::Went {
                damaged, failed, ..
            }) => {
                if damaged > 0 {
                    parts.wakes.damage.ring();
                }
                if !failed {
                    continue;
                }
                LOOK
            }
            Ok(Turn::Ended) => {
                tracing::info!("every blob has been read again");
                BREATH
            }
            Ok(Turn::Idle) => LOOK,
            Err(error) => {
                tracing::error!(%error, "the blobs could not be read again");
                LOOK
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = parts.cancel.cancelled() => {}
        }
    }
}
