//! Receipts for deleted studies: said when they are made and on each connection, until the agent has kept them.

use std::collections::BTreeSet;
use std::time::Duration;

use causeway_proto::link::message::DeletedNoted;

use super::session::Session;
use crate::deletion;

/// How often the rows are looked at when nothing rings.
const LOOK: Duration = Duration::from_secs(10);

/// Says receipts until the session ends, each once.
pub(super) async fn run(session: &Session) {
    let parts = &session.rooms.parts;
    let mut wakes = parts.wakes.deletion.listen();
    let mut said = BTreeSet::new();
    loop {
        match deletion::of_site(&parts.rows, &session.peer.site).await {
            Ok(found) => {
                for one in found {
                    let which = (one.agreement.clone(), one.study.clone(), one.at);
                    if said.insert(which) {
                        session.say(one).await;
                    }
                }
            }
            Err(error) => tracing::error!(%error, "the receipts for a site cannot be read"),
        }
        wakes.wait(LOOK).await;
    }
}

/// The agent has kept a receipt.
pub(super) async fn hear(session: &Session, said: &DeletedNoted) {
    let (parts, site) = (&session.rooms.parts, &session.peer.site);
    match deletion::heard(&parts.rows, site, said, parts.clock.now()).await {
        Ok(()) => parts.wakes.deletion.ring(),
        Err(error) => {
            tracing::error!(%error, %site, "that a site has heard a receipt was not noted")
        }
    }
}
