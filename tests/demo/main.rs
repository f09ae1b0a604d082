//! `demo`: a hospital, a gateway and a reader on one machine, with one study on its way.

mod walk;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use causeway_tests::pacs::{Behaviour, Pacs};
use causeway_tests::reader::Reader;
use causeway_tests::stack::{self, Options, PacsAddress, Stack, build, facts};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Starts a real gateway, a real agent and a stand-in PACS on loopback, and sends one study on its way.
#[derive(Debug, Parser)]
struct Arguments {
    /// Play the reader too, without a person; ends 0 when the signed report is in the PACS.
    #[arg(long)]
    auto: bool,
    /// Stay up after `--auto`.
    #[arg(long)]
    hold: bool,
    /// Tell scripts where everything is, as JSON in this file.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Send the DICOM files below this folder instead of the sample study.
    #[arg(long, value_name = "PATH")]
    study: Option<PathBuf>,
    /// Answer to this PACS and return reports to it, instead of the stand-in.
    #[arg(long, value_name = "AET@HOST:PORT")]
    pacs: Option<PacsAddress>,
    /// Let identities leave the hospital: to see what it costs that they stay.
    #[arg(long)]
    identified: bool,
    /// Sign with the headings that validators of 2022 know.
    #[arg(long)]
    legacy_headings: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let arguments = Arguments::parse();
    let folder = tempfile::Builder::new()
        .prefix("causeway-demo-")
        .tempdir()
        .context("making a folder for the demo")?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    tokio::select! {
        ended = demo(&arguments, folder.path()) => return ended,
        interrupted = tokio::signal::ctrl_c() => interrupted.context("listening for Ctrl-C")?,
        _ = terminate.recv() => {}
    }
    say("\nEnded. Nothing is left running; the demo's data is deleted.");
    Ok(())
}

async fn demo(arguments: &Arguments, folder: &Path) -> anyhow::Result<()> {
    let mut steps = walk::Steps::start();
    let binaries = build::binaries().await?;
    steps.done("both programs built");
    let received = folder.join("pacs-received");
    let (address, stand_in) = match &arguments.pacs {
        Some(real) => (real.clone(), None),
        None => {
            let pacs = Pacs::start(Behaviour::default(), &received, "127.0.0.1:0")
                .await
                .context("starting the stand-in PACS")?;
            (
                PacsAddress {
                    ae_title: "PACS".to_owned(),
                    address: pacs.address().to_string(),
                },
                Some(pacs),
            )
        }
    };
    let viewer = build::root().join("target/viewer/ohif.tar");
    let options = Options {
        folder: folder.to_owned(),
        binaries,
        pacs: address,
        viewer: viewer.is_file().then_some(viewer),
        legacy_headings: arguments.legacy_headings,
        identified: arguments.identified,
        shifts_dates: false,
        replaces_uids: false,
        asks_pacs: false,
        page_image: "if-refused",
        far: None,
        gateway_lines: String::new(),
        floors: "",
    };
    let stack = Stack::start(options).await?;
    steps.done("gateway up, agent enrolled and up, reader's account made");
    let reader = Reader::sign_in(&stack.url(), "reader", &stack.password).await?;
    if let Some(file) = &arguments.facts {
        facts::write(
            &stack,
            stand_in.is_some().then_some(received.as_path()),
            reader.token(),
            file,
        )?;
    }
    let study = walk::send(&stack, arguments.study.as_deref(), &mut steps).await?;
    if arguments.auto {
        walk::read(
            &reader,
            &study,
            stand_in.is_some().then_some(received.as_path()),
            &mut steps,
        )
        .await?;
        say(&steps.table());
    }
    if arguments.auto && !arguments.hold {
        stack.stop().await?;
        return Ok(());
    }
    invite(&stack, arguments);
    std::future::pending::<()>().await;
    bail!("the demo ended without being asked to")
}

/// Tells a person where to go.
fn invite(stack: &Stack, arguments: &Arguments) {
    let viewer = if stack.options.viewer.is_some() {
        ""
    } else {
        "\n  (Images need the viewer: `make viewer` packages it, then start the demo again.)"
    };
    let pacs = &stack.options.pacs;
    let report = if arguments.pacs.is_some() {
        "in that PACS".to_owned()
    } else {
        stack
            .options
            .folder
            .join("pacs-received")
            .display()
            .to_string()
    };
    say(&format!(
        "\nCauseway is running. Not a medical device, no CE mark; the operator answers for clinical use.\n\n  \
         Reading room   {}\n  User           reader\n  Password       {}\n\n  \
         Site page      {}  (the hospital's own; identities are seen only there)\n  User           {}\n  Password       {}\n\n  \
         Send more      to CAUSEWAY (read), CW_STAT (read now) or CW_PRIOR (compare only) at {}, calling as {}\n  \
         Reports        come back to {} at {}: look {report}\n  Logs           {}\n                 {}{viewer}\n\nCtrl-C ends all of it.",
        stack.url(),
        stack.password,
        stack.page(),
        stack::RADIOGRAPHER,
        stack.page_password,
        stack.dicom(),
        pacs.ae_title,
        pacs.ae_title,
        pacs.address,
        stack::log(&stack.options.folder, "gateway").display(),
        stack::log(&stack.options.folder, "agent").display(),
    ));
}

#[expect(
    clippy::print_stdout,
    reason = "the demo talks to a person on the screen"
)]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
