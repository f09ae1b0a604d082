//! How soon a reader sees a study (P23): 500 slices in the same viewer in headless Chromium, before our gateway and before Orthanc, in turn,
//! over a line of 50 Mbit/s and 40 ms as Chromium emulates it; and a reader of ours who works from the list, case after case.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_tests::phantom;
use causeway_tests::stack::build::root;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::read::server::{SLICES, Servers};
use crate::rig::{Report, Series};

const ROUNDS: u32 = 3;
const LIMIT: Duration = Duration::from_secs(500);

/// `quick`: only the reader who works from the list.
pub(crate) async fn run(quick: bool) -> anyhow::Result<()> {
    ensure!(
        root().join("tests/browser/node_modules").exists(),
        "the browser's packages are missing: npm ci in tests/browser, or make test"
    );
    let servers = Servers::start(0).await?;
    let title = format!("{SLICES} slices in the viewer, 50 Mbit/s and 40 ms, headless Chromium");
    let mut report = Report::new("viewer", &title);
    from_the_list(&servers, &mut report).await?;
    if !quick {
        by_address(&servers, &mut report).await?;
    }
    report.note("The line is emulated in the browser: rate and round trip of each request, no slow start and no loss. Viewer, browser and servers share the cores.");
    report.close()?;
    servers.close().await
}

async fn from_the_list(servers: &Servers, report: &mut Report) -> anyhow::Result<()> {
    // somebody has it, so that it is not the next of the list
    let reader = &servers.hospital.reader;
    let task = reader.wait_ready(&servers.study.study(), LIMIT).await?;
    reader.claim(&task).await?;
    let mut room = Room::new();
    for round in 0..ROUNDS {
        room.take(&read(servers, round).await?)?;
    }
    let of = |series: &Series| series.median();
    report.ratio("first image, from the list, s", of(&room.first), "≤ 2");
    report.ratio("every slice, from the list, s", of(&room.all), "≤ 20");
    report.ratio(
        "first image of the next case, fetched ahead, s",
        of(&room.next),
        "≤ 0.5",
    );
    report.part("from the list, seconds", [room.first, room.all, room.next]);
    report.note("From the list: the viewer was used once before, on another study; the reader looks at the list for eight seconds, takes the first case, reads and signs it when every slice of both is there, and takes the next.");
    Ok(())
}

async fn by_address(servers: &Servers, report: &mut Report) -> anyhow::Result<()> {
    let other = Other::start(servers.orthanc.http()).await?;
    let study = servers.study.study();
    let stack = &servers.hospital.stack;
    let (mut ours, mut theirs) = (Seen::new("ours"), Seen::new("Orthanc"));
    for _ in 0..ROUNDS {
        let reader = [
            ("CAUSEWAY_USER", "reader"),
            ("CAUSEWAY_PASSWORD", &stack.password),
        ];
        ours.take(&look(&stack.url(), &study, &reader).await?)?;
        theirs.take(&look(&other.address, &study, &[]).await?)?;
    }
    let kept = theirs.kept.ratio(&ours.kept);
    report.ratio(
        "by its address: first image, viewer's files kept, s",
        ours.kept.median(),
        "",
    );
    report.ratio("the same, Orthanc : ours", kept, "≥ 2");
    report.ratio("by its address: every slice, s", ours.all.median(), "≤ 20");
    report.ratio(
        "the same, Orthanc : ours",
        theirs.all.ratio(&ours.all),
        "≥ 2",
    );
    report.ratio(
        "by its address: first image, nothing kept, ours : Orthanc",
        ours.first.ratio(&theirs.first),
        "≤ 1.0",
    );
    let all = [
        ours.first,
        theirs.first,
        ours.kept,
        theirs.kept,
        ours.all,
        theirs.all,
    ];
    report.part("by its address, seconds", all);
    report.note("By its address: the viewer's own page, loaded from nothing, as the other server's must be.");
    drop(other);
    Ok(())
}

/// What was seen of one server, a figure for each round.
struct Seen {
    first: Series,
    kept: Series,
    all: Series,
}

impl Seen {
    fn new(server: &str) -> Self {
        let new = |what: &str| Series::new(&format!("{what}, {server}"));
        Self {
            first: new("first image, nothing kept"),
            kept: new("first image, viewer's files kept"),
            all: new("every slice, viewer's files kept"),
        }
    }

    fn take(&mut self, said: &Value) -> anyhow::Result<()> {
        let of = |path: &str| {
            let value = said.pointer(path).and_then(Value::as_f64);
            value.with_context(|| format!("no {path} in {said}"))
        };
        self.first.values.push(of("/cold/first")?);
        self.kept.values.push(of("/kept/first")?);
        self.all.values.push(of("/kept/all")?);
        Ok(())
    }
}

/// What a reader sees who works from the list, a figure for each round.
struct Room {
    first: Series,
    all: Series,
    next: Series,
}

impl Room {
    fn new() -> Self {
        Self {
            first: Series::new("first image"),
            all: Series::new("every slice"),
            next: Series::new("first image of the next case"),
        }
    }

    fn take(&mut self, said: &Value) -> anyhow::Result<()> {
        for (series, name) in [
            (&mut self.first, "first"),
            (&mut self.all, "all"),
            (&mut self.next, "next"),
        ] {
            let value = said.get(name).and_then(Value::as_f64);
            let value = value.with_context(|| format!("no {name} in {said}"))?;
            series.values.push(value);
        }
        Ok(())
    }
}

/// Two cases more, and somebody who reads the first two of the list.
async fn read(servers: &Servers, round: u32) -> anyhow::Result<Value> {
    let hospital = &servers.hospital;
    for number in [100 + 2 * round, 101 + 2 * round] {
        let mut study = hospital.study(number);
        // as on a list: none is a prior of another
        study.patient_id = format!("PHANTOM-{number}");
        let folder = tempfile::tempdir()?;
        let files = phantom::write_long(folder.path(), &study, SLICES)?;
        hospital.send_files(&files, "CAUSEWAY").await?;
        hospital.reader.wait_ready(&study.study(), LIMIT).await?;
    }
    let reader = [
        ("SPEED_STUDY", servers.study.study()),
        ("CAUSEWAY_URL", hospital.stack.url()),
        ("CAUSEWAY_USER", "reader".to_owned()),
        ("CAUSEWAY_PASSWORD", hospital.stack.password.clone()),
    ];
    browse("tests/browser/next.mjs", &reader).await
}

async fn look(url: &str, study: &str, reader: &[(&str, &str)]) -> anyhow::Result<Value> {
    let mut all = vec![
        ("SPEED_URL", url.to_owned()),
        ("SPEED_STUDY", study.to_owned()),
    ];
    all.extend(
        reader
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    browse("tests/browser/speed.mjs", &all).await
}

/// Runs a script of the browser's and reads what it says.
async fn browse(script: &str, environment: &[(&str, String)]) -> anyhow::Result<Value> {
    let mut command = Command::new("node");
    command
        .arg(script)
        .current_dir(root())
        .env("SPEED_SLICES", SLICES.to_string())
        .envs(environment.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await;
    let output = output.context("the browser took too long")??;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_str(&said)?)
}

/// The viewer before another server. Dropping it ends it.
struct Other {
    address: String,
    _child: Child,
}

impl Other {
    async fn start(server: &str) -> anyhow::Result<Self> {
        let archive = Path::new("target/viewer/ohif.tar");
        let mut child = Command::new("node")
            .arg("tests/browser/other.mjs")
            .arg(archive)
            .arg("gateway/src/http/viewer/app-config.js")
            .args([server, "/dicom-web"])
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("no output")?;
        let address = BufReader::new(stdout).lines().next_line().await?;
        Ok(Self {
            address: address.context("the other viewer did not start")?,
            _child: child,
        })
    }
}
