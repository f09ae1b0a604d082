//! Heads of audit trails, both ways: ours is said at once and every five minutes, theirs is held, and what they ask is answered.

use std::time::Duration;

use causeway_proto::audit::Head;
use causeway_proto::link::message::AuditHead;

use super::session::Session;
use crate::audit::witness;

/// How far apart the heads are that each end holds of the other.
const CHECKPOINT: Duration = Duration::from_secs(300);

/// Says our head until the session ends.
pub(super) async fn run(session: &Session) {
    loop {
        say(session, None).await;
        tokio::time::sleep(CHECKPOINT).await;
    }
}

async fn say(session: &Session, again: Option<Head>) {
    let parts = &session.rooms.parts;
    let site = session.peer.site.as_str();
    match witness::say(&parts.rows, site, parts.clock.now(), again).await {
        Ok(message) => session.say(message).await,
        Err(error) => tracing::error!(%error, site, "the head of the audit trail was not said"),
    }
}

/// Takes what the agent says of its trail. A trail in doubt is for people; the connection goes on.
pub(super) async fn hear(session: &Session, said: &AuditHead) {
    let parts = &session.rooms.parts;
    let site = session.peer.site.as_str();
    match witness::hear(&parts.rows, site, said, parts.clock.now()).await {
        Ok(Some(answer)) => session.say(answer).await,
        Ok(None) => {}
        Err(error) => {
            tracing::error!(%error, site, "the head of a site's audit trail was not held")
        }
    }
}
