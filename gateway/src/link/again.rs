//! What was receipted and is damaged now is asked for again: when it is found, on each connection, and now and then until it has come.

use std::time::Duration;

use causeway_proto::link::message::NotKept;

use super::session::Session;
use crate::archive::fault;

/// How often the rows are looked at when nothing rings.
const LOOK: Duration = Duration::from_secs(30);
/// What was asked for and has not come is asked for again after this.
const LATER: Duration = Duration::from_secs(600);

/// Asks until the session ends.
pub(super) async fn run(session: &Session) {
    let parts = &session.rooms.parts;
    let mut wakes = parts.wakes.damage.listen();
    // whatever was asked for on an earlier connection may have been lost with it
    let mut before = parts.clock.now();
    loop {
        match fault::to_ask(&parts.rows, &session.peer.site, before, parts.clock.now()).await {
            Ok(asked) => {
                let more = !asked.is_empty();
                for again in asked {
                    session.say(again).await;
                }
                before = parts.clock.now().minus(LATER);
                if more {
                    continue;
                }
            }
            Err(error) => tracing::error!(%error, "what is damaged cannot be asked for"),
        }
        wakes.wait(LOOK).await;
        before = parts.clock.now().minus(LATER);
    }
}

/// The site does not have it any more either.
pub(super) async fn hear(session: &Session, said: &NotKept) {
    let (parts, site) = (&session.rooms.parts, &session.peer.site);
    let noted = fault::not_kept(&parts.rows, site, said, parts.clock.now()).await;
    if let Err(error) = noted {
        tracing::error!(%error, %site, "what a site does not have any more was not noted");
    }
}
