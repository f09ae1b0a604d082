//! The agent's listener alone, in this process: every public file by our own sender, and DCMTK's tools.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, ensure};
use causeway_agent::commitment::{self, Commitments, Edge};
use causeway_agent::dicom;
use causeway_agent::keys::Keys;
use causeway_agent::spool::Spool;
use causeway_agent::spool::disk::real::RealDisk;
use causeway_proto::link::message::{Agreement, HelloGateway};
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use causeway_tests::sender::{self, Outcome};
use causeway_tests::{shared, tools};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A listener over a spool in a folder of its own.
pub(super) struct Site {
    _folder: tempfile::TempDir,
    pub(super) spool: Spool,
    pub(super) address: String,
    cancel: CancellationToken,
    tracker: TaskTracker,
}

impl Site {
    async fn open() -> anyhow::Result<Self> {
        Self::open_with("").await
    }

    /// With `more` senders, which are looked at first.
    pub(super) async fn open_with(more: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let seam = Arc::new(RealDisk::open(folder.path())?);
        let (clock, random) = (Clock::new(|| Timestamp(1_700_000_000_000_000)), counted());
        let keys = Keys::open(&folder.path().join("keys"), random.clone(), clock.clone())?;
        let config = toml::from_str("agreement.identified = [\"a1\"]")?;
        let (now, chance) = (clock.clone(), random.clone());
        let spool = Spool::open(config, folder.path(), keys, clock, random, seam).await?;
        let agreement = Agreement::identified("a1".parse()?, "TEST");
        let hello = HelloGateway {
            epoch: 1,
            high_water: 0,
            agreements: vec![agreement],
            codings: Vec::new(),
        };
        spool.greeted(&hello).await?;
        let config: dicom::Config = toml::from_str(&format!(
            r#"
            listen = "127.0.0.1:0"
            [[called]]
            ae_title = "CAUSEWAY"
            purpose = "read"
            {more}
            [[calling]]
            ae_title = "*"
            addresses = ["127.0.0.1"]
            kind = "pacs"
            "#,
        ))?;
        let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
        let (bounds, peers) = (commitment::Config::default(), config.commitment_peers());
        let commitments = Commitments::new(bounds, peers, spool.clone(), now, chance);
        let (working, ends) = (commitments.clone(), cancel.clone());
        let edge = Edge::new(|peer, report| Box::pin(dicom::commit::report(peer, report)));
        tracker.spawn(async move { working.run(edge, ends).await });
        let bound = dicom::listen(
            config,
            (spool.clone(), commitments),
            tracker.clone(),
            Vec::new(),
            cancel.clone(),
        )
        .await?;
        Ok(Self {
            _folder: folder,
            spool,
            address: bound.to_string(),
            cancel,
            tracker,
        })
    }

    /// What it holds of first contents, by SOP Instance UID.
    async fn held(&self) -> anyhow::Result<HashMap<String, (String, Vec<u8>)>> {
        self.spool.settle().await?;
        let mut held = HashMap::new();
        for one in self.spool.next_to_send(10_000, &HashSet::new()).await? {
            let length = usize::try_from(one.source.length)?;
            let bytes = self.spool.read(&one.source.handle, 0, length).await?;
            let content = (one.source.syntax.to_string(), bytes.to_vec());
            held.insert(one.key.instance.to_string(), content);
        }
        Ok(held)
    }

    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.cancel.cancel();
        self.tracker.close();
        let limit = std::time::Duration::from_secs(30);
        tokio::time::timeout(limit, self.tracker.wait())
            .await
            .context("a connection outlived its listener")
    }
}

/// Bytes that differ from call to call.
fn counted() -> Random {
    let state = AtomicU64::new(1);
    Random::new(move |out| {
        for byte in out {
            let n = state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
            *byte = ((n ^ (n >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 56) as u8;
        }
    })
}

/// The files of some collections in rounds in which no UID stands twice.
fn rounds(collections: &[&str]) -> Option<Vec<Vec<PathBuf>>> {
    let mut rounds: Vec<(HashSet<String>, Vec<PathBuf>)> = Vec::new();
    for collection in collections {
        for path in shared::files(&shared::dicom(collection)?) {
            let Ok(dataset) = sender::dataset(&path) else {
                continue;
            };
            let uid = dataset.instance;
            match rounds.iter_mut().find(|(uids, _)| !uids.contains(&uid)) {
                Some((uids, files)) => {
                    uids.insert(uid);
                    files.push(path);
                }
                None => rounds.push((HashSet::from([uid]), vec![path])),
            }
        }
    }
    Some(rounds.into_iter().map(|(_, files)| files).collect())
}

fn name(path: &Path) -> String {
    let tail: Vec<_> = path.iter().rev().take(3).collect();
    let tail: PathBuf = tail.into_iter().rev().collect();
    tail.display().to_string()
}

#[tokio::test]
async fn every_real_file_lies_in_the_spool_as_it_was_sent() -> anyhow::Result<()> {
    let Some(rounds) = rounds(&["studies", "syntaxes", "charsets", "sr"]) else {
        return Ok(());
    };
    let (mut same, mut different, mut refused) = (0, Vec::new(), Vec::new());
    for files in &rounds {
        let site = Site::open().await?;
        let answers = sender::send(files, &site.address, "SENDER", "CAUSEWAY").await?;
        let held = site.held().await?;
        ensure!(answers.len() == files.len(), "{} answers", answers.len());
        for answer in answers {
            let sent = sender::dataset(&answer.path)?;
            let kept = held.get(&sent.instance);
            match (answer.stored(), kept) {
                (true, Some((syntax, bytes))) if *syntax == sent.syntax && *bytes == sent.bytes => {
                    same += 1;
                }
                (true, _) => different.push(name(&answer.path)),
                (false, _) => refused.push(format!("{}: {:?}", name(&answer.path), answer.outcome)),
            }
        }
        site.close().await?;
    }
    println!(
        "{same} files identical in the spool, {} rounds",
        rounds.len()
    );
    println!("{} refused:\n  {}", refused.len(), refused.join("\n  "));
    ensure!(different.is_empty(), "not as sent: {different:#?}");
    ensure!(same > 500, "only {same} files were stored");
    Ok(())
}

#[tokio::test]
async fn every_bad_file_gets_one_answer_and_the_listener_lives() -> anyhow::Result<()> {
    let Some(folder) = shared::dicom("bad") else {
        return Ok(());
    };
    let site = Site::open().await?;
    let mut table = BTreeMap::<String, Vec<String>>::new();
    for path in shared::files(&folder) {
        let one = std::slice::from_ref(&path);
        let row = match sender::send(one, &site.address, "SENDER", "CAUSEWAY").await {
            Ok(answers) => match answers.into_iter().next().map(|answer| answer.outcome) {
                Some(Outcome::Status(status, comment)) => format!("{status:04X} {comment}"),
                other => format!("{other:?}"),
            },
            Err(error) => format!("not sendable: {}", error.root_cause()),
        };
        table.entry(row).or_default().push(name(&path));
    }
    for (row, files) in &table {
        println!("{:4}  {row}\n      such as {}", files.len(), files[0]);
    }
    let broken = table.keys().filter(|row| row.contains("Broken")).count();
    ensure!(
        broken == 0,
        "an association broke instead of being answered"
    );
    ensure!(sender::echo(&site.address, "SENDER", "CAUSEWAY").await? == 0);
    site.close().await
}

#[tokio::test]
async fn dcmtk_echoes_and_stores() -> anyhow::Result<()> {
    let Some(study) = shared::dicom("studies/ct-head-phantom-philips/study2-current") else {
        return Ok(());
    };
    let site = Site::open().await?;
    let (host, port) = site.address.split_once(':').context("no port")?;
    let titles = ["-aet", "DCMTK", "-aec", "CAUSEWAY", host, port];
    let echo = tools::run("echoscu", &titles).await?;
    ensure!((echo.code == Some(0)), "echoscu: {}", echo.text);
    let wrong = tools::run("echoscu", &["-aec", "NOBODY", host, port]).await?;
    ensure!(
        wrong.code != Some(0) && wrong.text.contains("Called AE Title"),
        "{}",
        wrong.text
    );
    let folder = study.display().to_string();
    let mut arguments = vec!["+sd", "+r", "-nh"];
    arguments.extend(titles);
    arguments.push(&folder);
    let began = tokio::time::Instant::now();
    let stored = tools::run("storescu", &arguments).await?;
    println!(
        "storescu with Nagle's algorithm on: 55 instances in {:?}",
        began.elapsed()
    );
    ensure!((stored.code == Some(0)), "storescu: {}", stored.text);
    let held = site.held().await?;
    ensure!(held.len() == 55, "{} of 55 instances are held", held.len());
    site.close().await
}

#[tokio::test]
async fn pynetdicom_echoes_and_stores_in_every_syntax() -> anyhow::Result<()> {
    let Some(files) = shared::dicom("syntaxes/ct-one-image-all") else {
        return Ok(());
    };
    let python = causeway_tests::stack::build::root().join("target/venv/bin/python");
    if !shared::installed(&python) {
        return Ok(());
    }
    let python = python.display().to_string();
    for path in shared::files(&files) {
        let site = Site::open().await?;
        let (host, port) = site.address.split_once(':').context("no port")?;
        let titles = ["-aet", "PYNETDICOM", "-aec", "CAUSEWAY", host, port];
        let echo = [&["-m", "pynetdicom", "echoscu"], &titles[..]].concat();
        let echo = tools::run(&python, &echo).await?;
        ensure!(echo.code == Some(0), "echoscu: {}", echo.text);
        let file = path.display().to_string();
        let store = [
            &["-m", "pynetdicom", "storescu", "-cx"],
            &titles[..],
            &[&file],
        ]
        .concat();
        let store = tools::run(&python, &store).await?;
        let held = site.held().await?;
        ensure!(held.len() == 1, "{}: {}", name(&path), store.text);
        let sent = sender::dataset(&path)?;
        let (syntax, _) = held
            .get(&sent.instance)
            .context("another instance is held")?;
        ensure!(*syntax == sent.syntax, "{} became {syntax}", name(&path));
        site.close().await?;
    }
    Ok(())
}
