//! The spool on a disk in memory and rows on a real one, with a clock that the test moves.

mod agreements;
mod asked;
mod erased;
mod faults;
mod full;
mod greeted;
mod kept;
mod link;
mod masks;
mod packs;
mod refused_rows;
mod resent;
mod rot;
mod segments;
mod settling;
mod studies;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use causeway_proto::digest::{ContentHasher, Digest};
use causeway_proto::ids::{Priority, Purpose};
use causeway_proto::link::message::Agreement;
use tempfile::TempDir;

use super::disk::memory::MemoryDisk;
use super::vouched::Vouched;
use super::*;

/// A spool with everything that moves it.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) disk: MemoryDisk,
    pub(crate) spool: Spool,
    now: Arc<AtomicI64>,
    random: Random,
    config: Config,
}

/// Random bytes from a seed.
pub(crate) fn seeded(seed: u64) -> Random {
    let state = AtomicU64::new(seed);
    Random::new(move |out| {
        for byte in out {
            let mut x = state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
            x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            *byte = (x >> 56) as u8;
        }
    })
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    /// The agreements of these tests are ones under which everything leaves as it was received.
    pub(crate) async fn with(mut config: Config) -> Self {
        config.agreement.identified = ["a1", "a2"].map(|id| id.parse().unwrap()).to_vec();
        Self::strict(config).await
    }

    /// A site whose configuration says which identities may leave.
    pub(crate) async fn strict(config: Config) -> Self {
        Self::within(tempfile::tempdir().unwrap(), config).await
    }

    /// The same, with rows in this folder.
    pub(crate) async fn within(folder: TempDir, config: Config) -> Self {
        let disk = MemoryDisk::default();
        let now = Arc::new(AtomicI64::new(1_700_000_000_000_000));
        let random = seeded(1);
        let spool = open(&config, &folder, &disk, &now, &random).await.unwrap();
        Self {
            folder,
            disk,
            spool,
            now,
            random,
            config,
        }
    }

    /// Ends the process and begins another on the same disk.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(|| ()).await
    }

    /// The same, with something that happens while no process runs.
    async fn restart_after(self, between: impl FnOnce()) -> Self {
        let Self {
            folder,
            disk,
            spool,
            now,
            random,
            config,
        } = self;
        spool.close().await;
        drop(spool);
        between();
        let mut tries = 0;
        let spool = loop {
            match open(&config, &folder, &disk, &now, &random).await {
                // what was dropped in its middle may still end on a blocking thread
                Err(OpenError::Locked) if tries < 1_000_000 => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
            tries += 1;
        };
        Self {
            folder,
            disk,
            spool,
            now,
            random,
            config,
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        clock(&self.now)
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    /// Seals what is complete; how many studies.
    pub(crate) async fn seal(&self) -> usize {
        study::seal_complete(&self.spool).await.unwrap()
    }

    /// The gateway says HELLO with one agreement.
    pub(crate) async fn greet(&self, epoch: u64, high_water: u64) {
        self.greet_with(epoch, high_water, &["a1"]).await;
    }

    /// The gateway says HELLO with one agreement that has these options.
    pub(crate) async fn greet_wanting(&self, epoch: u64, high_water: u64, options: &[&str]) {
        let mut agreement = Agreement::identified("a1".parse().unwrap(), "Readers");
        agreement.options = options.iter().map(|&word| word.to_owned()).collect();
        let hello = HelloGateway {
            epoch,
            high_water,
            agreements: vec![agreement],
            codings: Vec::new(),
        };
        self.spool.greeted(&hello).await.unwrap();
    }

    async fn greet_with(&self, epoch: u64, high_water: u64, agreements: &[&str]) {
        let agreement = |id: &&str| Agreement::identified(id.parse().unwrap(), "Readers");
        let hello = HelloGateway {
            epoch,
            high_water,
            agreements: agreements.iter().map(agreement).collect(),
            codings: Vec::new(),
        };
        self.spool.greeted(&hello).await.unwrap();
    }

    /// Decides that an instance stays at the site.
    pub(crate) async fn withhold(&self, out: &Outgoing, reason: &str) {
        let given = self.spool.given(&out.key).await.unwrap().unwrap();
        let verdict = Verdict::Withheld {
            reason: reason.to_owned(),
            blocks: None,
            looked: Vec::new(),
            named: Some(true),
        };
        self.spool.protected(&[(given, verdict)]).await.unwrap();
    }

    /// Stores one image of a study over an association of its own and closes it.
    pub(crate) async fn store(&self, what: &What) -> Result<Stored, StoreError> {
        let association = self.spool.association_opened(title("PACS"), what.kind);
        let stored = self.store_on(association, what).await;
        self.spool.association_closed(association).await;
        stored
    }

    pub(crate) async fn store_on(
        &self,
        association: AssociationId,
        what: &What,
    ) -> Result<Stored, StoreError> {
        let mut writer = self.spool.begin(what.arrival(association)).await?;
        writer.append(&what.bytes).await?;
        self.spool.commit(writer, what.header()).await
    }

    /// Stores one image and does not wait for its row.
    async fn receive_on(&self, association: AssociationId, what: &What) -> Result<(), StoreError> {
        let mut writer = self.spool.begin(what.arrival(association)).await?;
        writer.append(&what.bytes).await?;
        self.spool.receive(writer, what.header()).await
    }

    /// What is known of these instances, all of the class of [`What::image`].
    async fn vouched(&self, uids: &[&str]) -> Vec<Vouched> {
        let class = What::image("1.2.3", "1.2.3.1").header().class;
        let of = |uid: &&str| (class.clone(), uid.parse().unwrap());
        let asked: Vec<_> = uids.iter().map(of).collect();
        self.spool.vouched(&asked).await.unwrap()
    }

    /// Gives every instance that waits its receipt.
    pub(crate) async fn receipt_all(&self, epoch: u64, first: u64) -> u64 {
        let mut number = first;
        for out in self
            .spool
            .next_to_send(1000, &HashSet::new())
            .await
            .unwrap()
        {
            let receipt = receipt_for(&out, epoch, number);
            assert_eq!(self.spool.receipted(&[receipt]).await.unwrap(), [true]);
            number += 1;
        }
        number
    }
}

pub(crate) fn receipt_for(out: &Outgoing, epoch: u64, number: u64) -> Receipt {
    Receipt {
        key: out.key.clone(),
        sent_digest: out.sent.digest,
        length: out.sent.length,
        number,
        epoch,
        quarantined: false,
    }
}

fn clock(now: &Arc<AtomicI64>) -> Clock {
    let now = Arc::clone(now);
    Clock::new(move || causeway_proto::time::Timestamp(now.load(Ordering::Relaxed)))
}

async fn open(
    config: &Config,
    folder: &TempDir,
    disk: &MemoryDisk,
    now: &Arc<AtomicI64>,
    random: &Random,
) -> Result<Spool, OpenError> {
    let seam = Arc::new(disk.clone());
    let keys = Keys::open(&folder.path().join("keys"), random.clone(), clock(now)).unwrap();
    Spool::open(
        config.clone(),
        folder.path(),
        keys,
        clock(now),
        random.clone(),
        seam,
    )
    .await
}

pub(crate) fn title(text: &str) -> AeTitle {
    text.parse().unwrap()
}

/// One object to store.
#[derive(Clone, Debug)]
pub(crate) struct What {
    pub(crate) study: String,
    pub(crate) instance: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) syntax: String,
    pub(crate) pixels: Option<&'static [u8]>,
    pub(crate) image: bool,
    pub(crate) modality: &'static str,
    pub(crate) turn: Turn,
    pub(crate) kind: CallingKind,
    pub(crate) purpose: Purpose,
    pub(crate) priority: Priority,
    pub(crate) patient: &'static str,
    pub(crate) agreement: Option<&'static str>,
}

impl What {
    /// A CT image from a PACS.
    pub(crate) fn image(study: &str, instance: &str) -> Self {
        Self {
            study: study.to_owned(),
            instance: instance.to_owned(),
            bytes: format!("header of {instance} and its pixels").into_bytes(),
            syntax: "1.2.840.10008.1.2.1".to_owned(),
            pixels: Some(b"pixels"),
            image: true,
            modality: "CT",
            turn: Turn::of(false, None),
            kind: CallingKind::Pacs,
            purpose: Purpose::Read,
            priority: Priority::Routine,
            patient: "PID-1",
            agreement: None,
        }
    }

    /// The same object with other bytes.
    pub(crate) fn with_bytes(mut self, bytes: &[u8]) -> Self {
        self.bytes = bytes.to_vec();
        self
    }

    /// A structured report of that study.
    pub(crate) fn report(study: &str, instance: &str) -> Self {
        Self {
            image: false,
            pixels: None,
            modality: "SR",
            ..Self::image(study, instance)
        }
    }

    fn arrival(&self, association: AssociationId) -> Arrival {
        Arrival {
            association,
            class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
            instance: self.instance.parse().unwrap(),
            syntax: self.syntax.parse().unwrap(),
            calling: title("PACS"),
            called: title("CAUSEWAY"),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            purpose: self.purpose,
            priority: self.priority,
            agreement: self.agreement.map(|id| id.parse().unwrap()),
        }
    }

    fn header(&self) -> Header {
        Header {
            study: self.study.parse().unwrap(),
            series: "1.2.3.4".parse().unwrap(),
            instance: self.instance.parse().unwrap(),
            class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
            modality: self.modality.to_owned(),
            turn: self.turn,
            image: self.image,
            pixel_digest: self.pixels.map(Digest::of),
            patient_id: Private::new(self.patient),
            issuer: Private::default(),
            patient_name: Private::new("Test^One"),
            accession: Private::new("ACC-1"),
            description: Private::new("CT HEAD"),
        }
    }
}

#[tokio::test]
async fn a_large_instance_is_read_back_before_and_after_it_is_kept() {
    let bench = Bench::new().await;
    let bytes: Vec<u8> = (0..900_000_u32).map(|n| (n % 251) as u8).collect();
    let what = What::image("1.2.3", "1.2.3.1");
    let association = bench
        .spool
        .association_opened(title("PACS"), CallingKind::Pacs);
    let mut writer = bench.spool.begin(what.arrival(association)).await.unwrap();
    for piece in bytes.chunks(16_001) {
        writer.append(piece).await.unwrap();
    }
    let mut reader = writer.reader().await.unwrap();
    let mut back = Vec::new();
    io::Read::read_to_end(&mut reader, &mut back).unwrap();
    assert!(back == bytes, "what is read before the commit");
    bench.spool.commit(writer, what.header()).await.unwrap();
    bench.greet(1, 0).await;
    let out = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
    assert_eq!(out[0].sent.length, 900_000);
    let tail = bench
        .spool
        .read(&out[0].source.handle, 899_990, 100)
        .await
        .unwrap();
    assert_eq!(&tail[..], &bytes[899_990..]);
    let mut hasher = ContentHasher::new(&"1.2.840.10008.1.2.1".parse().unwrap());
    hasher.update(&bytes);
    assert_eq!(out[0].source.digest, Some(hasher.finish()));
}

#[tokio::test]
async fn floors_turn_away_and_bounds_hold() {
    let mut config = Config::default();
    config.disk.max_instance_bytes = 10;
    let bench = Bench::with(config).await;
    let stored = bench.store(&What::image("1.2.3", "1.2.3.1")).await;
    assert!(
        matches!(stored, Err(StoreError::TooLarge(10))),
        "{stored:?}"
    );
    for (free, expect) in [
        (1 << 33, Admission::Open),
        (1 << 31, Admission::Congested),
        (1 << 29, Admission::Full),
    ] {
        bench.disk.set_free(Some(free));
        assert_eq!(bench.spool.admission(), expect, "{free} bytes free");
    }
    let stored = bench.store(&What::image("1.2.3", "1.2.3.1")).await;
    assert!(matches!(stored, Err(StoreError::Full(_))), "{stored:?}");
    bench.disk.set_free(None);
    let small = What::image("1.2.3", "1.2.3.1").with_bytes(b"short");
    assert_eq!(bench.store(&small).await.unwrap(), Stored::New);
}

#[tokio::test]
async fn two_agents_on_one_spool_are_refused() {
    let bench = Bench::new().await;
    let second = open(
        &bench.config,
        &bench.folder,
        &bench.disk,
        &bench.now,
        &bench.random,
    )
    .await;
    assert!(matches!(second, Err(OpenError::Locked)), "{second:?}");
}

impl Bench {
    /// Whether no file lies on the disk.
    fn disk_is_empty(&self) -> bool {
        use disk::Seam;
        disk::Folder::ALL
            .iter()
            .all(|folder| self.disk.list(*folder).unwrap().is_empty())
    }
}
