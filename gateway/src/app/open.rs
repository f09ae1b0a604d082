//! Opens the rooms that every command needs: rows, authorities, archive, accounts and signing keys.

use std::path::Path;

use anyhow::Context;
use causeway_certs::authority::{AuthorityError, LinkAuthority, SignerAuthority};
use causeway_certs::keep;
use causeway_certs::reload::LiveServer;
use causeway_proto::random::Random;
use causeway_proto::time::Clock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Failure, restore};
use crate::access::Access;
use crate::archive::Archive;
use crate::config::Config;
use crate::directory;
use crate::parts::{Parts, Wakes};
use crate::rows::Rows;
use crate::sign::Signing;

/// The rooms that are open.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What every room gets.
    pub parts: Parts,
    /// Bytes and catalogue.
    pub archive: Archive,
    /// Signing keys.
    pub signing: Signing,
    /// People.
    pub access: Access,
}

/// Opens the rooms of a configuration, making at the first time what is missing.
///
/// # Errors
/// When the folder, the database or a key cannot be used.
pub async fn open(config: &Config, clock: Clock, random: Random) -> Result<Opened, Failure> {
    let data = config.data.clone();
    keep::folder(&data).map_err(Failure::storage)?;
    restore::is_whole(&data)?;
    let keys = data.join("keys");
    let rows = Rows::open(&config.rows, &data)
        .await
        .map_err(Failure::storage)?
        .with_reserve(&data, config.archive.disk.reserve_bytes);
    let (link_authority, signer_authority) = authorities(&keys, &clock, &random).await?;
    let now = clock.now();
    let identity = link_authority
        .issue_server(&config.link.names, now, &random)
        .map_err(Failure::config)?;
    let revoked = directory::revocations(&rows, now)
        .await
        .map_err(Failure::storage)?;
    let list = link_authority
        .revocation_list(&revoked, now)
        .map_err(Failure::storage)?;
    let live = LiveServer::new(&link_authority, &identity, &list).map_err(Failure::storage)?;
    let archive = Archive::open(&config.archive, rows.clone(), &data).map_err(Failure::storage)?;
    let signing = Signing::new(
        config.sign.clone(),
        rows.clone(),
        clock.clone(),
        random.clone(),
        signer_authority.clone(),
    );
    let access = Access::open(
        config.access.clone(),
        &keys,
        rows.clone(),
        clock.clone(),
        random.clone(),
        signing.clone(),
    )
    .map_err(Failure::storage)?;
    let parts = Parts {
        rows,
        clock,
        random,
        data,
        link_authority,
        signer_authority,
        live,
        wakes: Wakes::default(),
        tracker: TaskTracker::new(),
        cancel: CancellationToken::new(),
    };
    Ok(Opened {
        parts,
        archive,
        signing,
        access,
    })
}

async fn authorities(
    keys: &Path,
    clock: &Clock,
    random: &Random,
) -> Result<(LinkAuthority, SignerAuthority), Failure> {
    let (keys, clock, random) = (keys.to_owned(), clock.clone(), random.clone());
    // drawing an RSA key takes a good part of a second
    let opened = tokio::task::spawn_blocking(move || {
        let link = LinkAuthority::open_or_create(&keys, &clock, &random)?;
        let signer = SignerAuthority::open_or_create(&keys, &clock, &random)?;
        Ok::<_, AuthorityError>((link, signer))
    });
    let opened = opened.await.map_err(Failure::storage)?;
    opened
        .context("opening the authorities")
        .map_err(Failure::storage)
}
