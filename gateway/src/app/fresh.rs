//! Keeps what every handshake asks for fresh: the revocation list within seconds of a revocation and long before it ends, the server
//! certificate from its day 60.

use std::time::Duration;

use causeway_certs::authority::RENEW_BEFORE;
use causeway_certs::revoke::{LIST_RENEWAL, Revoked};
use causeway_proto::time::Timestamp;

use crate::directory;
use crate::parts::Parts;

const LOOK: Duration = Duration::from_secs(5);

/// Runs until the process is to end.
pub(super) async fn run(parts: Parts, names: Vec<String>) {
    let mut wake = parts.wakes.directory.listen();
    let mut shown: Option<(Vec<Revoked>, Timestamp)> = None;
    let mut identity = None;
    while !parts.cancel.is_cancelled() {
        match step(&parts, &names, &mut shown, &mut identity).await {
            Ok(()) => {}
            Err(error) => tracing::error!(%error, "the revocation list could not be made fresh"),
        }
        tokio::select! {
            () = wake.wait(LOOK) => {}
            () = parts.cancel.cancelled() => {}
        }
    }
}

async fn step(
    parts: &Parts,
    names: &[String],
    shown: &mut Option<(Vec<Revoked>, Timestamp)>,
    identity: &mut Option<causeway_certs::authority::ServerIdentity>,
) -> anyhow::Result<()> {
    let now = parts.clock.now();
    let revoked = directory::revocations(&parts.rows, now).await?;
    let old = identity
        .as_ref()
        .is_none_or(|held| now >= held.validity.not_after.minus(RENEW_BEFORE));
    let same = shown.as_ref().is_some_and(|(before, at)| {
        *before == revoked && now.since(*at) < LIST_RENEWAL && *at <= now
    });
    if same && !old {
        return Ok(());
    }
    if old {
        *identity = Some(
            parts
                .link_authority
                .issue_server(names, now, &parts.random)?,
        );
    }
    let Some(held) = identity.as_ref() else {
        return Ok(());
    };
    let list = parts.link_authority.revocation_list(&revoked, now)?;
    parts.live.replace(held, &list)?;
    tracing::debug!(revoked = revoked.len(), "the revocation list is fresh");
    *shown = Some((revoked, now));
    Ok(())
}
