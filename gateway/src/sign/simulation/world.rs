//! A gateway without its edges: rows on SQLite in a temporary folder, an archive, signing, a clock that the run moves, and people.

use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::Poll;

use causeway_certs::authority::SignerAuthority;
use causeway_certs::signer;
use causeway_proto::ids::{CaseCode, StudyKey};
use causeway_proto::random::Random;
use causeway_proto::report::model::{Person, Role};
use causeway_proto::time::{Clock, Timestamp};
use tempfile::TempDir;

use crate::archive::{self, Archive};
use crate::eligibility::{Roles, Subject};
use crate::rows::{self, Rows};
use crate::sign::{self, Signing};
use crate::worklist::{self, Reservations};

/// When every run begins.
const START: i64 = 1_780_000_000_000_000;
/// One for all: what is tried here is not how passwords are kept.
const PASSWORD: &str = "correct horse battery";
/// The studies of a run, each a case of its own; nobody keeps the last one from anybody.
pub(super) const STUDIES: [&str; 3] = ["1.2.1", "1.2.2", "1.2.3"];

/// Who takes part: a letter for each role (r, v, o). The last one cannot sign final, the third reads nothing.
pub(super) const PEOPLE: [(&str, &str); 4] =
    [("ada", "rv"), ("ben", "rv"), ("oda", "o"), ("cyd", "r")];

/// Random bytes from a seed.
pub(super) fn seeded(seed: u64) -> Random {
    let state = AtomicU64::new(seed.wrapping_mul(0xD134_2543_DE82_EF95));
    Random::new(move |out| {
        for byte in out {
            let mut x = state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
            x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            *byte = (x >> 56) as u8;
        }
    })
}

/// A folder whose syncs cost nothing where there is one: a kill of the process is tried here, not one of the power.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory)
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// The world as each run finds it: people with their keys, and a sealed study in each case.
pub(super) struct Template {
    folder: TempDir,
    authority: SignerAuthority,
}

impl Template {
    pub(super) async fn new() -> Self {
        let folder = folder();
        let (clock, random) = (Clock::new(|| Timestamp(START)), seeded(0));
        let authority = SignerAuthority::open_or_create(folder.path(), &clock, &random).unwrap();
        let template = Self { folder, authority };
        let now = Arc::new(AtomicI64::new(START));
        let world = World::on(
            template.folder.path().to_owned(),
            template.authority.clone(),
            now,
            random,
        )
        .await;
        world.sql("INSERT INTO site (id, name, country, time_zone, language, phone, created_us) VALUES ('s1', 's1', 'GR', 'UTC', 'en', '', 1)").await;
        world.sql("INSERT INTO agreement (id, site_id, organisation, identity, language, created_us) VALUES ('g1', 's1', 'o', 'identified', 'en', 1)").await;
        for (who, (name, roles)) in PEOPLE.into_iter().enumerate() {
            world.sql(&format!("INSERT INTO account (id, user_name, password_hash, family_name, given_name, organisation, created_us) VALUES ('{name}', '{name}', '', '{name}', 'A', 'o', 1)")).await;
            if roles.contains('r') {
                let pair = world.signing.draw(&certified(who), PASSWORD).await.unwrap();
                let mut tx = world.rows.begin().await.unwrap();
                let kept = world.signing.keep(&mut tx, name, &pair, Timestamp(START));
                kept.await.unwrap();
                tx.commit().await.unwrap();
            }
        }
        for study in STUDIES {
            world.opened(study).await;
        }
        world.rows.close().await;
        template
    }

    /// A world of its own for a run.
    pub(super) async fn world(&self, seed: u64) -> (TempDir, World) {
        let folder = folder();
        let file = "gateway.sqlite";
        std::fs::copy(self.folder.path().join(file), folder.path().join(file)).unwrap();
        let now = Arc::new(AtomicI64::new(START));
        let world = World::on(
            folder.path().to_owned(),
            self.authority.clone(),
            now,
            seeded(seed),
        )
        .await;
        (folder, world)
    }
}

/// The rooms, and what moves them.
pub(super) struct World {
    folder: PathBuf,
    authority: SignerAuthority,
    /// What the gateway's clock says.
    now: Arc<AtomicI64>,
    /// How much time has passed, whatever the clock says.
    pub(super) passed: i64,
    pub(super) rows: Rows,
    pub(super) archive: Archive,
    pub(super) signing: Signing,
    pub(super) reservations: Reservations,
    pub(super) random: Random,
}

impl World {
    async fn on(
        folder: PathBuf,
        authority: SignerAuthority,
        now: Arc<AtomicI64>,
        random: Random,
    ) -> Self {
        let rows = Rows::open(&rows::Config::default(), &folder).await.unwrap();
        let archive = Archive::open(&archive::Config::default(), rows.clone(), &folder).unwrap();
        let cheap = sign::Config {
            slot_memory_kib: 64,
            slot_passes: 1,
            ..sign::Config::default()
        };
        let told = now.clone();
        let clock = Clock::new(move || Timestamp(told.fetch_add(1, Ordering::Relaxed)));
        let (of, by) = (rows.clone(), random.clone());
        Self {
            signing: Signing::new(cheap, of, clock, by, authority.clone()),
            reservations: Reservations::default(),
            passed: 0,
            folder,
            authority,
            now,
            rows,
            archive,
            random,
        }
    }

    /// The process is gone with all that it had in memory, and another one opens the same folder.
    pub(super) async fn restart(self) -> Self {
        self.rows.close().await;
        let again = Self::on(self.folder, self.authority, self.now, self.random).await;
        Self {
            passed: self.passed,
            ..again
        }
    }

    /// No two looks at the clock are at the same microsecond.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp(self.now.fetch_add(1, Ordering::Relaxed))
    }

    /// Time passes, and the clock tells it.
    pub(super) fn pass(&mut self, seconds: i64) {
        self.passed += seconds;
        self.step(seconds);
    }

    /// Somebody sets the clock.
    pub(super) fn step(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    pub(super) async fn sql(&self, statement: &str) {
        let mut tx = self.rows.begin().await.unwrap();
        let query = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()));
        query.execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// A sealed study with one image, as `ingest` writes it.
    async fn opened(&self, study: &str) {
        let code = CaseCode::draw(&self.random);
        let priority = if study == STUDIES[2] {
            "stat"
        } else {
            "routine"
        };
        self.sql(&format!("INSERT INTO study (site_id, agreement_id, study_uid, purpose, priority, case_code, patient_id, study_date, sealed_us, first_us, last_us) VALUES ('s1', 'g1', '{study}', 'read', '{priority}', '{code}', 'P{study}', '20260101', 5, 1, 1)")).await;
        self.sql(&format!("INSERT INTO series (site_id, agreement_id, study_uid, series_uid, modality) VALUES ('s1', 'g1', '{study}', '{study}.1', 'CT')")).await;
        self.grown(study, 1).await;
        let mut tx = self.rows.begin().await.unwrap();
        let _changed = worklist::study_sealed(&mut tx, &key(study), self.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// One more image of a study.
    pub(super) async fn grown(&self, study: &str, number: u64) {
        let mut tx = self.rows.begin().await.unwrap();
        let insert = format!(
            "INSERT INTO instance (site_id, agreement_id, sop_uid, study_uid, series_uid, sop_class, transfer_syntax, length, sent_digest, source_tag, blob_key, metadata, received_us) VALUES ('s1', 'g1', '{study}.1.{number}', '{study}', '{study}.1', '1.2.840.10008.5.1.4.1.1.2', '1.2.840.10008.1.2.1', 10, 'd', 't', 'k', '{{}}', 1)"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(insert));
        query.execute(&mut *tx).await.unwrap();
        let _changed = worklist::study_grew(&mut tx, &key(study), self.now(), &self.random)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// The site takes a study back.
    pub(super) async fn recalled(&self, study: &str) {
        let mut tx = self.rows.begin().await.unwrap();
        sqlx::query("UPDATE study SET recalled_us = 6 WHERE study_uid = $1")
            .bind(study)
            .execute(&mut *tx)
            .await
            .unwrap();
        let _changed = worklist::study_recalled(&mut tx, &key(study), self.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// Opens the signing key of a person where it is not open.
    pub(super) async fn unlocked(&self, who: usize) {
        let name = PEOPLE[who].0;
        if self.signing.until(name).is_none() {
            let certified = certified(who);
            let unlocked = self.signing.unlock(name, &certified, PASSWORD, name);
            unlocked.await.unwrap();
        }
    }
}

fn key(study: &str) -> StudyKey {
    StudyKey {
        site: "s1".parse().unwrap(),
        agreement: "g1".parse().unwrap(),
        study: study.parse().unwrap(),
    }
}

pub(super) fn subject(who: usize) -> Subject {
    let (name, roles) = PEOPLE[who];
    Subject {
        account: name.to_owned(),
        organisation: "o".to_owned(),
        roles: Roles {
            reader: roles.contains('r'),
            verifier: roles.contains('v'),
            operator: roles.contains('o'),
        },
        disabled: false,
        reach: vec![("s1".parse().unwrap(), "g1".parse().unwrap())],
    }
}

fn certified(who: usize) -> signer::Person {
    let name = PEOPLE[who].0.to_owned();
    signer::Person {
        registration: format!("R-{name}"),
        family: name,
        given: "A".to_owned(),
        title: String::new(),
        organisation: "o".to_owned(),
        country: "SE".to_owned(),
    }
}

pub(super) fn person(name: &str) -> Person {
    Person {
        family: name.to_owned(),
        given: "A".to_owned(),
        title: String::new(),
        organisation: "o".to_owned(),
        registration: format!("R-{name}"),
        country: "SE".to_owned(),
        phone: String::new(),
        role: Role::Physician,
    }
}

/// Polls some work so many times and drops it: a process that ends in its middle. None: it had not answered by then, and it may
/// have been done or not.
pub(super) async fn cut<F: Future>(work: F, polls: u64) -> Option<F::Output> {
    let (mut work, mut left) = (pin!(work), polls);
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}
