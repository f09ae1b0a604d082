//! How soon a reader sees a study (P23): 500 slices in the same viewer in headless Chromium, before our gateway and before Orthanc, in turn,
//! over a line of 50 Mbit/s and 40 ms as Chromium emulates it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_tests::stack::build::root;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::read::server::{SLICES, Servers};
use crate::rig::{Report, Series};

const ROUNDS: u32 = 3;
const LIMIT: Duration = Duration::from_secs(500);

pub(crate) async fn run() -> anyhow::Result<()> {
    ensure!(
        root().join("tests/browser/node_modules").exists(),
        "the browser's packages are missing: npm ci in tests/browser, or make test"
    );
    let servers = Servers::start(0).await?;
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
    let title = format!("{SLICES} slices in the viewer, 50 Mbit/s and 40 ms, headless Chromium");
    let mut report = Report::new("viewer", &title);
    let (first, kept, all) = (
        theirs.first.ratio(&ours.first),
        theirs.kept.ratio(&ours.kept),
        theirs.all.ratio(&ours.all),
    );
    let (our_first, our_kept, our_all) =
        (ours.first.median(), ours.kept.median(), ours.all.median());
    report.part(
        "seconds",
        [
            ours.first,
            theirs.first,
            ours.kept,
            theirs.kept,
            ours.all,
            theirs.all,
        ],
    );
    report.ratio("first image, viewer's files kept, s", our_kept, "≤ 2");
    report.ratio("every slice, s", our_all, "≤ 20");
    report.ratio("every slice, Orthanc : ours", all, "≥ 2");
    report.ratio(
        "first image, viewer's files kept, Orthanc : ours",
        kept,
        "≥ 2",
    );
    report.ratio("first image, nothing kept, s", our_first, "");
    report.ratio(
        "first image, nothing kept, ours : Orthanc",
        1.0 / first,
        "≤ 1.0",
    );
    report.note("The line is emulated in the browser: rate and round trip of each request, no slow start and no loss. Viewer, browser and servers share the cores.");
    report.close()?;
    drop(other);
    servers.close().await
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

async fn look(url: &str, study: &str, reader: &[(&str, &str)]) -> anyhow::Result<Value> {
    let mut command = Command::new("node");
    command
        .arg("tests/browser/speed.mjs")
        .current_dir(root())
        .env("SPEED_URL", url)
        .env("SPEED_STUDY", study)
        .env("SPEED_SLICES", SLICES.to_string())
        .envs(reader.iter().copied())
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
