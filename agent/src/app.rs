//! Puts the rooms together: opens what is durable, starts what listens and what works, and ends all of it in order.

pub mod cli;
pub mod doctor;
mod herald;
mod people;
mod ports;
mod ready;
mod system;

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use causeway_certs::enrol::Credentials;
use causeway_certs::reload::LiveClient;
use causeway_certs::tls;
use causeway_observe::{Readiness, Teller};
use futures::FutureExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::commitment::{Commitments, Edge};
use crate::config::Config;
use crate::delivery::{Deliveries, Destination, PageImage, Store};
use crate::derive::Fonts;
use crate::keys::Keys;
use crate::link::enrol::{Enrolling, enrolled_at};
use crate::link::{self, Link};
use crate::mask::child::{Decoder, Limits};
use crate::observe::control::{self, Desk};
use crate::observe::watch::{CertificateEnd, Watched};
use crate::observe::{downtime, health};
use crate::page::{self, Page};
use crate::protect::Protector;
use crate::protect::preview::Previews;
use crate::restore::{self, Find, Restoring, Unseal};
use crate::spool::disk::real::RealDisk;
use crate::spool::{self, Spool};
use crate::{dicom, rows};

pub use system::{clock, random};

/// How long what is under way may take to end.
const DRAIN: Duration = Duration::from_secs(30);

/// Bounds of what is decoded for somebody who looks: beside what is being masked, and sooner given up.
const LOOKING: Limits = Limits {
    run: Duration::from_secs(20),
    wait: Duration::from_secs(10),
    parallel: 2,
};

/// The folder of keys inside the spool folder.
#[must_use]
pub fn keys(spool: &Path) -> PathBuf {
    spool.join("keys")
}

/// Makes the spool folder when it is missing, for its owner only.
///
/// # Errors
/// As the file system says.
pub fn make_folder(spool: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
        .create(spool)
        .with_context(|| format!("making the spool folder {}", spool.display()))
}

/// Opens the keys of the site.
///
/// # Errors
/// When they cannot be used, or others can read them.
pub fn open_keys(config: &Config) -> anyhow::Result<Keys> {
    make_folder(&config.spool)?;
    Ok(Keys::open(&keys(&config.spool), random(), clock())?)
}

/// Opens the spool as the configuration says.
///
/// # Errors
/// When the folder cannot be used.
pub async fn open_spool(config: &Config) -> anyhow::Result<Spool> {
    let keys = open_keys(config)?;
    let disk = RealDisk::open(&config.spool).context("opening the spool's folders")?;
    let spool = spool::Config {
        disk: config.disk.clone(),
        complete: config.complete.clone(),
        agreement: config.agreement.clone(),
        identity: config.identity.clone(),
    };
    let (folder, disk) = (&config.spool, Arc::new(disk));
    let opened = Spool::open(spool, folder, keys, clock(), random(), disk).await;
    Ok(opened?)
}

/// Says so when those who are connected to the site page may take the files that the spool needs.
fn warn_of_few_files(config: &Config) {
    let files = causeway_http::raise_open_files();
    let connections = config.site_page.bounds.max_connections;
    if files < (connections as u64).saturating_mul(2) {
        tracing::warn!(
            files,
            connections,
            "this process may open few files: raise the limit of the service, or lower site_page.bounds.max_connections"
        );
    }
}

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start, or a part of it ended by itself.
pub async fn run(config: Config) -> anyhow::Result<()> {
    for remark in config.remarks() {
        tracing::warn!("{remark}");
    }
    warn_of_few_files(&config);
    let credentials = Credentials::load(&keys(&config.spool))?;
    let spool = open_spool(&config).await?;
    if let Some(kind) = system::unsafe_file_system(&config.spool) {
        tracing::error!(
            "the spool lies on {kind}: a power cut or a broken mount loses what was promised"
        );
    }
    ports::remove(&config.spool).context("removing an old ports.json")?;
    let keys = spool.keys().clone();
    tokio::task::spawn_blocking(move || keys.hospital_certificate())
        .await?
        .context("the hospital's record key")?;
    // whoever sees it listen may already ask it to end
    let mut term = signal(SignalKind::terminate()).context("waiting for SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("waiting for SIGINT")?;
    let running = Running::start(config, credentials, spool).await?;
    let told = async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    };
    running.until(told).await
}

/// Everything that runs.
struct Running {
    readiness: Readiness,
    spool: Spool,
    parts: JoinSet<&'static str>,
    associations: TaskTracker,
    cancel: CancellationToken,
    _threads: (system::Receiving, system::Patient),
}

impl Running {
    async fn start(config: Config, credentials: Credentials, spool: Spool) -> anyhow::Result<Self> {
        let (cancel, associations) = (CancellationToken::new(), TaskTracker::new());
        let mut parts = herald::begin(spool.rows(), credentials.site(), &cancel).await?;
        let deliveries = Deliveries::open(
            config.destination.clone(),
            spool.clone(),
            Some(credentials.signer_authority.clone()),
            clock(),
            random(),
        )
        .await?;
        let site = credentials.site().to_string();
        let live = LiveClient::new(credentials)?;
        let (state, link_state) = watch::channel(link::State::new());
        let shown = live.clone();
        let desk = Desk {
            spool: spool.clone(),
            deliveries: deliveries.clone(),
            link: link_state,
            certificate: CertificateEnd::new(move || shown.credentials().validity().not_after),
            teller: Teller::open(&config.alarms, clock()),
            clock: clock(),
        };
        let socket = control::open(&config.spool).context("opening the socket for `status`")?;
        parts.spawn(
            control::serve(socket, desk.clone(), cancel.clone())
                .map(|()| "the socket for `status`"),
        );
        let receiving = system::Receiving::new().context("starting threads")?;
        let address = dicom::listen(
            config.dicom.clone(),
            committing(&config, &spool, &mut parts, &cancel),
            associations.clone(),
            receiving.handles(),
            cancel.clone(),
        )
        .await?;
        let shown = site_page(&config, &desk, &mut parts, &cancel)?;
        let (readiness, health) = seen_from_outside(&config, &desk, &site, &mut parts, &cancel);
        ports::write(&config.spool, address, shown, health).context("writing ports.json")?;
        tracing::info!(dicom = %address, "the agent is listening");

        let patient = system::Patient::new().context("starting threads")?;
        let protector = keep_and_protect(&spool, patient.handle(), &mut parts, &cancel);
        parts.spawn(deliver(
            deliveries.clone(),
            restoring(&config.restore, spool.clone()),
            Fonts::of(&config.page_image),
            cancel.clone(),
        ));
        renew(renewing(&config), live.clone(), &mut parts, cancel.clone());
        let link = Link {
            config: config.gateway,
            tls: tls::client(&live, &clock())?,
            spool: spool.clone(),
            deliveries,
            protector,
            clock: clock(),
            random: random(),
        };
        parts.spawn(link::run(link, state, cancel.clone()).map(|()| "the link"));
        readiness.open();
        Ok(Self {
            readiness,
            spool,
            parts,
            associations,
            cancel,
            _threads: (receiving, patient),
        })
    }

    /// Waits until it is told, or for a part that ends though nobody said so; then ends everything.
    async fn until(mut self, told: impl Future<Output = ()>) -> anyhow::Result<()> {
        let early = tokio::select! {
            () = told => None,
            ended = self.parts.join_next() => ended,
        };
        self.readiness.drain();
        tracing::info!("ending: what is under way may take {} s", DRAIN.as_secs());
        self.cancel.cancel();
        self.associations.close();
        let drained = tokio::time::timeout(DRAIN, async {
            self.associations.wait().await;
            while let Some(ended) = self.parts.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a part did not end well");
                }
            }
        });
        if drained.await.is_err() {
            tracing::warn!(
                "not everything ended in time; what is durable is, the rest comes again"
            );
            self.parts.abort_all();
        }
        if let Err(error) = herald::note(self.spool.rows(), "stopped", "agent").await {
            tracing::error!(%error, "the end could not be written to the audit trail");
        }
        self.spool.close().await;
        match early {
            None => Ok(()),
            Some(Ok(part)) => anyhow::bail!("{part} ended by itself"),
            Some(Err(error)) => Err(error).context("a part of the agent failed"),
        }
    }
}

/// Starts the health port where one is wanted, and answers where it is. As with the site page, an address that is taken closes no road.
fn health_port(
    config: &Config,
    desk: &Desk,
    parts: &mut JoinSet<&'static str>,
    cancel: &CancellationToken,
) -> (Readiness, Option<SocketAddr>) {
    let readiness = ready::readiness(&config.spool, desk);
    let Some(address) = &config.health.listen else {
        return (readiness, None);
    };
    let (listener, bound) = match health::listen(address) {
        Ok(taken) => taken,
        Err(error) => {
            tracing::error!(%error, address, "the agent goes on without its health port");
            return (readiness, None);
        }
    };
    let serving = health::serve(listener, desk.clone(), readiness.clone(), cancel.clone());
    parts.spawn(serving.map(|()| "the health port"));
    (readiness, Some(bound))
}

/// Starts what tells alarms, writes the downtime sheet and answers at the health port.
fn seen_from_outside(
    config: &Config,
    desk: &Desk,
    site: &str,
    parts: &mut JoinSet<&'static str>,
    cancel: &CancellationToken,
) -> (Readiness, Option<SocketAddr>) {
    let watched = Watched {
        spool: desk.spool.clone(),
        link: desk.link.clone(),
        certificate: desk.certificate.clone(),
        clock: desk.clock.clone(),
    };
    let watch = watched.watch(desk.teller.clone(), &config.alarms, site);
    parts.spawn(watch.run(cancel.clone()).map(|()| "the alarms"));
    let (rows, sheet) = (desk.spool.rows().clone(), config.downtime.clone());
    let writing = downtime::run(sheet, rows, desk.clock.clone(), cancel.clone());
    parts.spawn(writing.map(|()| "the downtime sheet"));
    health_port(config, desk, parts, cancel)
}

async fn deliver(
    deliveries: Deliveries,
    restoring: Restoring,
    fonts: Fonts,
    cancel: CancellationToken,
) -> &'static str {
    deliveries.run(store(), restoring, fonts, cancel).await;
    "the deliveries"
}

/// Starts what answers senders that ask whether the gateway holds what they sent; answers the rooms that a listener needs.
fn committing(
    config: &Config,
    spool: &Spool,
    parts: &mut JoinSet<&'static str>,
    cancel: &CancellationToken,
) -> (Spool, Commitments) {
    let peers = config.dicom.commitment_peers();
    let bounds = config.commitment.clone();
    let commitments = Commitments::new(bounds, peers, spool.clone(), clock(), random());
    let edge = Edge::new(|peer, report| dicom::commit::report(peer, report).boxed());
    let (working, cancel) = (commitments.clone(), cancel.clone());
    parts.spawn(async move { working.run(edge, cancel).await }.map(|()| "the commitments"));
    (spool.clone(), commitments)
}

/// Starts what keeps the agent's certificate from ending.
fn renew(
    renewing: Enrolling,
    shown: LiveClient,
    parts: &mut JoinSet<&'static str>,
    cancel: CancellationToken,
) {
    let renewed = async move { renewing.keep_renewed(shown, cancel).await };
    parts.spawn(renewed.map(|()| "the renewal"));
}

/// What renews the agent's certificate, where it was enrolled.
fn renewing(config: &Config) -> Enrolling {
    let folder = keys(&config.spool);
    Enrolling {
        gateway: enrolled_at(&folder).unwrap_or_else(|| config.gateway.address.clone()),
        server_name: config.gateway.server_name.clone(),
        proxy: config.gateway.proxy.clone(),
        folder,
        clock: clock(),
        random: random(),
    }
}

/// Starts the site page and answers where it is. An address that is taken is no reason to close the road: it is said, and the agent
/// goes on without its page. A certificate that cannot be used is a fault of the configuration.
fn site_page(
    config: &Config,
    desk: &Desk,
    parts: &mut JoinSet<&'static str>,
    cancel: &CancellationToken,
) -> anyhow::Result<Option<SocketAddr>> {
    let tls = page::tls(&config.site_page, &keys(&config.spool), &clock(), &random())?;
    let (listener, address) = match page::listen(&config.site_page) {
        Ok(taken) => taken,
        Err(error) => {
            tracing::error!(error = %anyhow::anyhow!(error), "the agent goes on without its site page");
            return Ok(None);
        }
    };
    let previews = Previews::new(desk.spool.clone(), decoder(LOOKING));
    let page = Page::new(desk.clone(), previews, &config.site_page, random())?;
    let serving = page::serve(page, listener, tls, cancel.clone());
    parts.spawn(serving.map(|()| "the site page"));
    Ok(Some(address))
}

/// Children that decode: this program, whatever has become of its name since.
fn decoder(limits: Limits) -> Decoder {
    Decoder::new("/proc/self/exe".into(), limits)
}

/// Starts what works on the spool: the seals and removals, and the protection.
fn keep_and_protect(
    spool: &Spool,
    patient: Option<tokio::runtime::Handle>,
    parts: &mut JoinSet<&'static str>,
    cancel: &CancellationToken,
) -> Protector {
    let protector = Protector::new(spool.clone()).with_decoder(decoder(Limits::default()));
    let mut working = protector.clone();
    if let Some(patient) = patient {
        working = working.with_threads(patient);
    }
    let protecting = (working, cancel.clone());
    parts.spawn(async move { protecting.0.run(protecting.1).await }.map(|()| "the protection"));
    let sealing = (spool.clone(), cancel.clone());
    parts.spawn(async move { sealing.0.run(sealing.1).await }.map(|()| "the spool"));
    protector
}

/// C-STORE to a destination and C-FIND at it, as the deliveries know them.
fn store() -> Store {
    Store::new(|destination, parcel| {
        async move { dicom::send::store(&destination, &parcel).await }.boxed()
    })
    .asking(|destination, parcel| {
        async move { dicom::query::holds(&destination, &parcel).await }.boxed()
    })
}

/// What finding out whose report it is needs: the PACS, the hospital's key, the site's placeholders.
fn restoring(config: &restore::Config, spool: Spool) -> Restoring {
    let keys = spool.keys().clone();
    let find = match &config.pacs {
        None => Find::nobody(),
        Some(pacs) => {
            let peer = Destination {
                name: "restore.pacs".to_owned(),
                ae_title: pacs.ae_title.clone(),
                address: pacs.address.clone(),
                calling_ae_title: pacs.calling_ae_title.clone(),
                page_image: PageImage::Never,
            };
            Find::new(move |study| {
                let peer = peer.clone();
                async move { dicom::query::study(&peer, &study).await }.boxed()
            })
        }
    };
    Restoring {
        config: config.clone(),
        find,
        unseal: Unseal::new(move |agreement, study, sealed| {
            keys.open_study(agreement, study.as_str(), sealed).ok()
        }),
        is_placeholder: Arc::new(move |id| !spool.is_established(id)),
    }
}

/// The rows of a spool whose agent may not be running, for reading.
///
/// # Errors
/// When there are none.
pub async fn look(config: &Config) -> Result<rows::Rows, rows::RowsError> {
    rows::Rows::look(&config.spool).await
}

#[cfg(test)]
mod tests;
