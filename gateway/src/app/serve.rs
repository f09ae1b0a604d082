//! `serve`: takes the lock and the ports, starts every room that runs, and ends them in order.
//!
//! On SIGTERM or SIGINT the gateway is no longer ready, tasks finish what they have begun, and after 30 seconds it ends in any case:
//! what was not committed was not promised.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use causeway_certs::keep::{self, KeepError};
use causeway_http::{Bounds, raise_open_files};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{
    Failure, Opened, erase, fresh, herald, hold, open, ready, room, scrub, sweep, system_clock,
    system_random,
};
use crate::alarm::{Watch, Watched};
use crate::archive::scrub::Scrub;
use crate::audit;
use crate::config::Config;
use crate::deletion::Deletions;
use crate::http;
use crate::ingest::Ingest;
use crate::link;
use crate::link::enrol::{self, Door};
use crate::observe::Readiness;
use crate::parts::Parts;
use crate::worklist::{Events, Reservations};

/// How long ending may take.
const DRAIN: Duration = Duration::from_secs(30);
/// How long the health port may still answer then.
const LAST: Duration = Duration::from_secs(1);

/// Runs the gateway until a signal or a room that cannot go on.
///
/// # Errors
/// When something that `serve` needs cannot be had, or a room ended with an error.
pub async fn serve(config: Config) -> Result<(), Failure> {
    keep::folder(&config.data).map_err(Failure::storage)?;
    warn_of_few_files(&config);
    let lock = hold::lock(&config.data)?;
    let opened = open(&config, system_clock(), system_random()).await?;
    let rows = &opened.parts.rows;
    let mended = rows.write_log_again(&config.data).await;
    mended.map_err(Failure::storage)?;
    opened.archive.derived.empty().map_err(Failure::storage)?;
    let parts = opened.parts.clone();
    let readiness = Readiness::new(
        parts.rows.clone(),
        parts.clock.clone(),
        ready::probes(&config, &opened),
        ready::gauges(&opened),
    );
    let health = Parts {
        tracker: TaskTracker::new(),
        cancel: CancellationToken::new(),
        ..parts.clone()
    };
    parts.tracker.spawn(both_end(parts.clone(), health.clone()));
    // whoever sees it listen may already ask it to end
    let asked = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let rooms = start(&config, opened, &readiness, &health).await;
    let ended = match rooms {
        Ok(()) => {
            herald::note(&parts, "started")
                .await
                .map_err(Failure::storage)?;
            readiness.open();
            tracing::info!("the gateway is ready");
            wait_for_end(&parts, asked).await
        }
        Err(failure) => Err(failure),
    };
    readiness.drain();
    tracing::info!("the gateway ends");
    parts.cancel.cancel();
    parts.tracker.close();
    if tokio::time::timeout(DRAIN, parts.tracker.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            limit_s = DRAIN.as_secs(),
            tasks = parts.tracker.len(),
            "some work did not end in time"
        );
    }
    if let Err(error) = herald::note(&parts, "stopped").await {
        tracing::error!(%error, "the end could not be written to the audit trail");
    }
    // until here whoever asks hears that the gateway ends
    health.cancel.cancel();
    health.tracker.close();
    tokio::time::timeout(LAST, health.tracker.wait()).await.ok();
    parts.rows.close().await;
    drop(lock);
    ended
}

/// A health port that cannot go on ends the process as any other room does.
async fn both_end(parts: Parts, health: Parts) {
    tokio::select! {
        () = health.cancel.cancelled() => parts.cancel.cancel(),
        () = parts.cancel.cancelled() => {}
    }
}

/// Says so when those who are connected may take the files that blobs and rows need.
fn warn_of_few_files(config: &Config) {
    let files = raise_open_files();
    let connections = config.http.bounds.max_connections;
    if files < (connections as u64).saturating_mul(2) {
        tracing::warn!(
            files,
            connections,
            "this process may open few files: raise the limit of the service, or lower http.bounds.max_connections"
        );
    }
}

/// Binds everything first, tells the ports, then starts.
async fn start(
    config: &Config,
    opened: Opened,
    readiness: &Readiness,
    health: &Parts,
) -> Result<(), Failure> {
    let parts = opened.parts.clone();
    let http_listener = listen("http.listen", &config.http.listen).await?;
    let health_listener = listen("health.listen", &config.health.listen).await?;
    let door = Door::hold(&config.link.enrolment_listen)
        .await
        .map_err(Failure::config)?;
    let secret = reset_secret(&parts).map_err(Failure::storage)?;
    let link_door = link::Door::open(&config.link, &parts, secret.as_bytes())
        .await
        .map_err(Failure::config)?;
    let address = |listener: &StdListener| listener.local_addr().context("asking for an address");
    let ports = json!({
        "http": address(&http_listener).map_err(Failure::storage)?.to_string(),
        "link": link_door.address().map_err(Failure::storage)?.to_string(),
        "enrolment": door.address().to_string(),
        "health": address(&health_listener).map_err(Failure::storage)?.to_string(),
    });
    let events = Events::default();
    let rooms = link_rooms(config, &opened, &events).await?;
    let router = reading_room(config, &opened, events.clone())?;
    let deletions = Deletions::new(opened.archive.clone(), parts.clock.clone());
    let (signing, access) = (opened.signing.clone(), opened.access.clone());
    let tls = http_tls(config).await?;
    let bounds = config.http.bounds.clone();
    run_http(&parts, "http", http_listener, router, tls, bounds);
    let pages = http::health::routes(readiness.clone());
    let bounds = Bounds::default();
    run_http(health, "health", health_listener, pages, None, bounds);
    let tunnels = tunnels(config, &link_door, &rooms)?;
    parts
        .tracker
        .spawn(watch(config, &opened, &rooms).run(parts.cancel.clone()));
    run_room(
        &parts,
        "enrolment",
        enrol::run(door, parts.clone(), tunnels),
    );
    parts.tracker.spawn(link::run(link_door, rooms));
    let names = config.link.names.clone();
    parts.tracker.spawn(fresh::run(parts.clone(), names));
    parts.tracker.spawn(herald::run(parts.clone()));
    let keeping = room::run(parts.clone(), opened.archive.clone());
    parts.tracker.spawn(keeping);
    let scrubbing = Scrub::new(
        opened.archive.clone(),
        parts.clock.clone(),
        config.archive.scrub.clone(),
    );
    parts.tracker.spawn(scrub::run(parts.clone(), scrubbing));
    let deleting = erase::run(parts.clone(), deletions, events);
    parts.tracker.spawn(deleting);
    parts
        .tracker
        .spawn(sweep::run(parts.clone(), signing, access));
    hold::write_ports(&config.data, &parts.random.token(), &ports)?;
    tracing::info!(%ports, "listening");
    Ok(())
}

/// What tells alarms.
fn watch(config: &Config, opened: &Opened, rooms: &link::Rooms) -> Watch {
    let watched = Watched {
        parts: opened.parts.clone(),
        archive: opened.archive.clone(),
        sites: rooms.sites.clone(),
        certificates: ready::certificate_ends(config, &opened.parts),
    };
    watched.watch(&config.alarms, &config.http.public_url)
}

/// What carries the link over TCP, if it may.
fn tunnels(
    config: &Config,
    door: &link::Door,
    rooms: &link::Rooms,
) -> Result<Option<link::Tunnels>, Failure> {
    if !config.link.tcp {
        return Ok(None);
    }
    let address = door.address().map_err(Failure::storage)?;
    let most = config.link.max_greeting_per_site;
    let tunnels = link::Tunnels::new(address, rooms.sites.clone(), most, &rooms.parts);
    tunnels.map(Some).map_err(Failure::config)
}

async fn link_rooms(
    config: &Config,
    opened: &Opened,
    events: &Events,
) -> Result<link::Rooms, Failure> {
    let parts = opened.parts.clone();
    let ingest = Ingest::new(
        config.ingest.clone(),
        opened.archive.clone(),
        events.clone(),
        parts.clock.clone(),
        parts.random.clone(),
    );
    Ok(link::Rooms {
        parts,
        config: config.link.clone(),
        ingest: ingest.await.map_err(Failure::storage)?,
        archive: opened.archive.clone(),
        events: events.clone(),
        sites: link::Sites::default(),
    })
}

/// The same at every start, so that agents learn at once that a restarted gateway has forgotten their connection.
fn reset_secret(parts: &Parts) -> Result<String, KeepError> {
    let path = parts.data.join("keys").join("link-reset.key");
    if let Some(secret) = keep::read_secret(&path)? {
        return Ok(secret);
    }
    keep::create(
        &path,
        &parts.random.token(),
        &hex::encode(parts.random.bytes::<32>()),
    )?;
    Ok(keep::read_secret(&path)?.unwrap_or_default())
}

fn reading_room(config: &Config, opened: &Opened, events: Events) -> Result<Router, Failure> {
    let viewer = match &config.http.viewer {
        None => None,
        Some(path) => Some(Arc::new(http::Viewer::open(path).map_err(Failure::config)?)),
    };
    let state = http::State {
        rows: opened.parts.rows.clone(),
        clock: opened.parts.clock.clone(),
        random: opened.parts.random.clone(),
        archive: opened.archive.clone(),
        access: opened.access.clone(),
        signing: opened.signing.clone(),
        reservations: Reservations::default(),
        events,
        trail: audit::Trail::new(opened.parts.rows.clone()),
        homeward: opened.parts.wakes.delivery.clone(),
        cancel: opened.parts.cancel.clone(),
        config: Arc::new(config.http.clone()),
    };
    Ok(http::router(state, viewer))
}

async fn listen(key: &str, address: &str) -> Result<StdListener, Failure> {
    let taken = || format!("{key}: {address} cannot be listened on");
    let listener = TcpListener::bind(address)
        .await
        .with_context(taken)
        .map_err(Failure::config)?;
    listener
        .into_std()
        .with_context(taken)
        .map_err(Failure::config)
}

async fn http_tls(config: &Config) -> Result<Option<RustlsConfig>, Failure> {
    let (Some(certificate), Some(key)) = (&config.http.tls_certificate, &config.http.tls_key)
    else {
        return Ok(None);
    };
    let tls = RustlsConfig::from_pem_file(certificate, key)
        .await
        .context("http.tls_certificate and http.tls_key cannot be used")
        .map_err(Failure::config)?;
    Ok(Some(tls))
}

/// Serves a router; long answers such as event streams are cut after ten seconds of draining.
fn run_http(
    parts: &Parts,
    name: &'static str,
    listener: StdListener,
    router: Router,
    tls: Option<RustlsConfig>,
    bounds: Bounds,
) {
    let handle: Handle<SocketAddr> = Handle::new();
    let ending = handle.clone();
    let cancel = parts.cancel.clone();
    parts.tracker.spawn(async move {
        cancel.cancelled().await;
        ending.graceful_shutdown(Some(Duration::from_secs(10)));
    });
    run_room(parts, name, async move {
        let refuse = http::error::refused;
        causeway_http::serve(listener, router, tls, &bounds, refuse, handle).await
    });
}

/// Runs a room; one that ends with an error ends the process.
fn run_room<E>(
    parts: &Parts,
    name: &'static str,
    work: impl Future<Output = Result<(), E>> + Send + 'static,
) where
    E: std::error::Error + Send + Sync + 'static,
{
    let parts_of_room = parts.clone();
    parts.tracker.spawn(async move {
        if let Err(error) = work.await {
            tracing::error!(room = name, error = %anyhow!(error), "a room cannot go on, so the gateway ends");
            parts_of_room.cancel.cancel();
        }
    });
}

async fn wait_for_end(parts: &Parts, asked: [std::io::Result<Signal>; 2]) -> Result<(), Failure> {
    let [terminate, interrupt] = asked;
    let mut terminate = terminate.map_err(Failure::storage)?;
    let mut interrupt = interrupt.map_err(Failure::storage)?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        () = parts.cancel.cancelled() => Err(Failure::storage(anyhow!("a room could not go on; the log says which and why"))),
    }
}
