//! The gateway's side in this process: rows, directory, archive, ingest and the link, without its pages.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use causeway_certs::authority::{LinkAuthority, SignerAuthority};
use causeway_certs::enrol::{Answer, Ask, NewKey, Request};
use causeway_certs::reload::{LiveClient, LiveServer};
use causeway_certs::tls::{self, ClientTls};
use causeway_gateway::archive::{self, Archive, BlobKey};
use causeway_gateway::directory::{self, NewAgreement, NewSite};
use causeway_gateway::ingest::{self, Ingest};
use causeway_gateway::link::{self, Door, Rooms, Sites, Tunnels, enrol};
use causeway_gateway::parts::{Parts, Wakes};
use causeway_gateway::rows::{self, Rows};
use causeway_gateway::worklist::Events;
use causeway_proto::digest::ContentHasher;
use causeway_proto::ids::SiteId;
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use dicom_dictionary_std::uids;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The machine's clock.
pub(super) fn clock() -> Clock {
    Clock::new(|| {
        let since = UNIX_EPOCH.elapsed().unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(0))
    })
}

/// The machine's randomness.
pub(super) fn random() -> Random {
    Random::new(|out| aws_lc_rs::rand::fill(out).unwrap())
}

/// A gateway that can be stopped and started again on the same folder.
pub(super) struct Centre {
    pub(super) folder: TempDir,
    pub(super) parts: Parts,
    pub(super) rooms: Rooms,
    pub(super) address: SocketAddr,
}

impl Centre {
    pub(super) async fn start() -> anyhow::Result<Self> {
        Self::with(|_| ()).await
    }

    /// With other bounds.
    pub(super) async fn with(change: impl FnOnce(&mut link::Config)) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        Self::on(folder, "127.0.0.1:0", change).await
    }

    /// Ends and begins again on the same folder and port, as after an update.
    pub(super) async fn restart(self) -> anyhow::Result<Self> {
        let address = self.address.to_string();
        let folder = self.stop().await?;
        Self::on(folder, &address, |_| ()).await
    }

    /// Begins on a folder that a gateway has left.
    pub(super) async fn on(
        folder: TempDir,
        listen: &str,
        change: impl FnOnce(&mut link::Config),
    ) -> anyhow::Result<Self> {
        let parts = parts(folder.path()).await?;
        let mut config = link::Config {
            listen: listen.to_owned(),
            recheck_s: 1,
            drain_s: 2,
            come_back_ms: 50,
            ..link::Config::default()
        };
        change(&mut config);
        let archive = Archive::open(
            &archive::Config::default(),
            parts.rows.clone(),
            folder.path(),
        )?;
        let events = Events::default();
        let ingest = Ingest::new(
            ingest::Config::default(),
            archive.clone(),
            events.clone(),
            parts.clock.clone(),
            parts.random.clone(),
        )
        .await?;
        let door = Door::open(&config, &parts, &[7; 32]).await?;
        let address = door.address()?;
        let rooms = Rooms {
            parts: parts.clone(),
            config,
            ingest,
            archive,
            events,
            sites: Sites::default(),
        };
        parts.tracker.spawn(link::run(door, rooms.clone()));
        Ok(Self {
            folder,
            parts,
            rooms,
            address,
        })
    }

    /// Opens the TCP port, for the link too; gives its address.
    pub(super) async fn tcp(&self) -> anyhow::Result<SocketAddr> {
        let door = enrol::Door::hold("127.0.0.1:0").await?;
        let address = door.address();
        let parts = self.parts.clone();
        let tunnels = Tunnels::new(self.address, self.rooms.sites.clone(), 4, &parts)?;
        let running = enrol::run(door, parts.clone(), Some(tunnels));
        parts
            .tracker
            .spawn(async move { running.await.expect("the TCP port") });
        Ok(address)
    }

    /// Adds a site with one agreement and enrols an agent of it.
    pub(super) async fn site(&self, name: &str) -> anyhow::Result<(SiteId, ClientTls)> {
        let parts = &self.parts;
        let new = NewSite {
            id: Some(name.parse()?),
            name: "Test hospital".to_owned(),
            country: "GR".to_owned(),
            time_zone: "Europe/Athens".to_owned(),
            language: "el".to_owned(),
            phone: "+30 1".to_owned(),
            legacy_headings: false,
        };
        let site = directory::add_site(&parts.rows, &parts.clock, &parts.random, "test", &new)
            .await?
            .id;
        let agreement = NewAgreement {
            id: Some(format!("{name}-a").parse()?),
            identified: true,
            ..NewAgreement::between(site.clone(), "Readers")
        };
        directory::add_agreement(&parts.rows, &parts.clock, &parts.random, "test", &agreement)
            .await?;
        let tls = self.enrol(&site).await?;
        Ok((site, tls))
    }

    /// One more certificate for a site.
    pub(super) async fn enrol(&self, site: &SiteId) -> anyhow::Result<ClientTls> {
        let parts = &self.parts;
        let (rows, clock, random) = (&parts.rows, &parts.clock, &parts.random);
        let fingerprint = parts.link_authority.fingerprint();
        let code = directory::issue_code(rows, clock, random, "test", &fingerprint, site).await?;
        let key = NewKey::draw()?;
        let request = Request {
            ask: Ask::Enrol {
                id: code.id().to_owned(),
                secret: code.secret().expose().to_owned(),
            },
            csr: key.request().to_vec().into(),
            now: clock.now(),
            software: "test".to_owned(),
        };
        let with = directory::Authorities {
            link: parts.link_authority.clone(),
            signer: parts.signer_authority.clone(),
            clock: clock.clone(),
            random: random.clone(),
        };
        match directory::enrol(rows, &with, &request).await? {
            Answer::Enrolled(enrolled) => {
                let live = LiveClient::new(key.with(&enrolled)?)?;
                Ok(tls::client(&live, clock)?)
            }
            Answer::Refused(refused) => bail!("not enrolled: {}", refused.sentence),
        }
    }

    /// One number from the rows.
    pub(super) async fn count(&self, sql: &'static str) -> anyhow::Result<i64> {
        let (count,): (i64,) = sqlx::query_as(sql)
            .fetch_one(self.parts.rows.read())
            .await
            .context(sql)?;
        Ok(count)
    }

    /// Puts a document in the rows as if it had been signed, on its way to the site's only study.
    pub(super) async fn report(&self, site: &SiteId, dataset: &[u8]) -> anyhow::Result<()> {
        let (agreement, study, case, workitem): (String, String, String, String) = sqlx::query_as(
            "SELECT s.agreement_id, s.study_uid, c.case_id, w.uid FROM study s JOIN case_study c ON c.study_uid = s.study_uid \
             JOIN workitem w ON w.case_id = c.case_id",
        )
        .fetch_one(self.parts.rows.read())
        .await?;
        let mut hasher = ContentHasher::new(&uids::EXPLICIT_VR_LITTLE_ENDIAN.parse()?);
        hasher.update(dataset);
        let digest = hasher.finish();
        let key = BlobKey::report(site, &agreement.parse()?, &digest);
        self.rooms.archive.blobs.put(&key, dataset.to_vec()).await?;
        let mut tx = self.parts.rows.begin().await?;
        for sql in [
            "INSERT INTO account (id, user_name, password_hash, family_name, given_name, organisation, created_us) VALUES ('p', 'p', '', 'Reader', 'Test', 'Readers', 0)",
            "INSERT INTO signing_key (serial, account_id, certificate_der, issued_us, usable_until_us) VALUES ('01', 'p', '', 0, 0)",
        ] {
            sqlx::query(sql).execute(&mut *tx).await?;
        }
        sqlx::query("INSERT INTO report (id, case_id, workitem_uid, version, status, author_id, draft_version, language, content, model, manifest_version, identity_version, signing_serial, signed_us) VALUES ('r', $1, $2, 1, 'final', 'p', 1, 'en', '', '', '', '', '01', 0)")
            .bind(&case)
            .bind(&workitem)
            .execute(&mut *tx)
            .await?;
        sqlx::query("INSERT INTO report_document (sop_uid, report_id, site_id, agreement_id, study_uid, series_uid, sop_class, transfer_syntax, blob_key, digest, length) VALUES ('1.2.9', 'r', $1, $2, $3, '1.2.8', $4, $5, $6, $7, $8)")
            .bind(site.as_str())
            .bind(&agreement)
            .bind(&study)
            .bind(uids::ENHANCED_SR_STORAGE)
            .bind(uids::EXPLICIT_VR_LITTLE_ENDIAN)
            .bind(key.as_str())
            .bind(digest.to_string())
            .bind(i64::try_from(dataset.len())?)
            .execute(&mut *tx)
            .await?;
        sqlx::query("INSERT INTO delivery (id, sop_uid, site_id, state, due_us, created_us, changed_us) VALUES ('d', '1.2.9', $1, 'waiting', 0, 0, 0)")
            .bind(site.as_str())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn stop(self) -> anyhow::Result<TempDir> {
        self.parts.cancel.cancel();
        self.parts.tracker.close();
        tokio::time::timeout(Duration::from_secs(20), self.parts.tracker.wait())
            .await
            .context("the gateway did not end in time")?;
        self.parts.rows.close().await;
        Ok(self.folder)
    }
}

async fn parts(folder: &Path) -> anyhow::Result<Parts> {
    let (clock, random) = (clock(), random());
    let keys = folder.join("keys");
    causeway_certs::keep::folder(&keys)?;
    let link_authority = LinkAuthority::open_or_create(&keys, &clock, &random)?;
    let signer_authority = SignerAuthority::open_or_create(&keys, &clock, &random)?;
    let rows = Rows::open(&rows::Config::default(), folder).await?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let now = clock.now();
    let identity = link_authority.issue_server(&names, now, &random)?;
    let revoked = directory::revocations(&rows, now).await?;
    let list = link_authority.revocation_list(&revoked, now)?;
    let live = LiveServer::new(&link_authority, &identity, &list)?;
    Ok(Parts {
        rows,
        clock,
        random,
        data: folder.to_owned(),
        link_authority,
        signer_authority,
        live,
        wakes: Wakes::default(),
        tracker: TaskTracker::new(),
        cancel: CancellationToken::new(),
    })
}

/// A configuration of TLS with another protocol name.
pub(super) fn with_alpn(tls: &ClientTls, alpn: &[u8]) -> ClientTls {
    let mut config = rustls::ClientConfig::clone(&tls.config);
    config.alpn_protocols = vec![alpn.to_vec()];
    ClientTls {
        config: Arc::new(config),
        live: tls.live.clone(),
    }
}
