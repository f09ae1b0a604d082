//! How soon a reader sees something of a study of which the first slice has just been given to the agent: the arriving row, the first
//! picture on the case page, the first image on the viewer's canvas, for a short and a long study.
//!
//! Like `wan` it runs itself again inside the namespace of the centre; the browser is there, too.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_tests::stack::build::root;
use serde_json::Value;
use tokio::process::Command;

use crate::rig::{ROUNDS, Report, Series};
use crate::say;
use crate::wan::ends::{Ends, Study};
use crate::wan::line::{Cell, Line};

const CELL: Cell = Cell::new(20, 80, 0.0);
const SLICES: [u16; 2] = [100, 500];
const LIMIT: Duration = Duration::from_secs(240);

pub(crate) async fn run() -> anyhow::Result<()> {
    ensure!(
        root().join("tests/browser/node_modules").exists(),
        "the browser's packages are missing: npm ci in tests/browser, or make test"
    );
    crate::wan::within(&["first", "--inside"]).await
}

/// What runs inside the centre.
pub(crate) async fn inside() -> anyhow::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let line = Line::find()?;
    let title = format!("After the first C-STORE of a study, {}", CELL.name());
    let mut report = Report::new("first", &title);
    let ends = Ends::start(&line, "").await?;
    line.set(CELL).await?;
    stand_back(ends.stack.agent.pid().context("the agent has ended")?)?;
    let before = Study::write(899, 20)?;
    ends.carry(&line, &before).await?;
    let task = ends.reader.wait_ready(&before.uid, LIMIT).await?;
    let mut medians = Vec::new();
    for slices in SLICES {
        let name = |what: &str| Series::new(&format!("{what}, {slices} slices"));
        let (mut row, mut picture) = (
            name("row on the worklist"),
            name("picture on the case page"),
        );
        let (mut canvas, mut used) = (name("viewer, never used"), name("viewer that stands ready"));
        for round in 0..ROUNDS {
            // a viewer that was never used does not depend on the length: the short one is enough
            let never = (slices == SLICES[0]).then_some(None);
            for warm in [Some(task.case.as_str())].into_iter().chain(never) {
                let number = u32::from(slices) * 100 + round * 2 + u32::from(warm.is_some());
                let study = Study::write(number, slices)?;
                let said = look(&line, &ends, &study, warm).await?;
                say(&format!("{slices} slices: {said}"));
                let of = |what: &str| said.get(what).and_then(Value::as_f64).context("no figure");
                if warm.is_some() {
                    row.values.push(of("row")?);
                    picture.values.push(of("picture")?);
                    used.values.push(of("canvas")?);
                } else {
                    canvas.values.push(of("canvas")?);
                }
                // the next begins on a line that is free
                ends.reader.wait_ready(&study.uid, LIMIT).await?;
            }
        }
        report.ratio(&picture.name, picture.median(), "≤ 3 s");
        report.ratio(&used.name, used.median(), "≤ 3 s");
        if !canvas.values.is_empty() {
            report.ratio(&canvas.name, canvas.median(), "");
        }
        medians.push(picture.median());
        let all = [row, picture, canvas, used].into_iter();
        report.part("seconds", all.filter(|one| !one.values.is_empty()));
    }
    if let [short, long] = medians.as_slice() {
        report.ratio("picture, 500 : 100 slices", long / short, "about 1");
    }
    report.note("Seconds since the sender was started. The reader looks at the list, behind which a viewer stands ready; one that was never used begins with the sender. Browser, gateway, agent and the line share the cores, which the sender and the agent, machines of a hospital, leave to the others; the browser draws in software.");
    ends.stop(&line).await?;
    report.close()
}

/// All threads of a process give way: at its hospital it has a processor of its own.
fn stand_back(process: u32) -> anyhow::Result<()> {
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let done = std::process::Command::new("renice")
            .args(["-n", "19", "-p"])
            .arg(thread?.file_name())
            .stdout(Stdio::null())
            .status()?;
        ensure!(done.success(), "the agent's priority cannot be changed");
    }
    Ok(())
}

async fn look(
    line: &Line,
    ends: &Ends,
    study: &Study,
    warm: Option<&str>,
) -> anyhow::Result<Value> {
    let pictures = root().join("target/bench/first");
    let sender = study.sender(line, "CAUSEWAY", &ends.stack.dicom());
    let sender = sender.as_std();
    let mut command = Command::new("node");
    command
        .arg("tests/browser/first.mjs")
        .arg(pictures)
        .args(["nice", "-n", "19"])
        .arg(sender.get_program())
        .args(sender.get_args())
        .current_dir(root())
        .env("CAUSEWAY_URL", ends.stack.url())
        .env("CAUSEWAY_USER", "reader")
        .env("CAUSEWAY_PASSWORD", &ends.stack.password)
        .env("TCP_NODELAY", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some(case) = warm {
        command.env("FIRST_WARM", case);
    }
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
