//! `bench`: figures beside peers, taken in turn in one run; medians and ratios, never one lucky run. Each group prints its table and
//! writes it with a plot to `target/bench/`. `bench GROUP…` runs only some. The ratios of the last accepted run stand in README.md
//! beside this file.

mod away;
mod coding;
mod delay;
mod demo;
mod first;
mod ingest;
mod many;
mod memory;
mod order;
mod protection;
mod read;
mod rig;
mod study;
mod viewer;
mod wan;

use clap::{Parser, ValueEnum};

/// The benchmarks.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which groups; all when none is named.
    group: Vec<Group>,
    /// Less of everything, while something is worked on; only `wan` and `memory` know it.
    #[arg(long)]
    quick: bool,
    /// Only this line, as Mbit/s, ms and percent: `20,80,0.1`; only `wan` knows it.
    #[arg(long)]
    cell: Option<wan::line::Cell>,
    /// This process runs in the namespace of the centre.
    #[arg(long, hide = true)]
    inside: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// C-STORE, beside DCMTK and Orthanc.
    Ingest,
    /// The sample study: how fast one core protects it, and how long until it can be read.
    Study,
    /// One long object.
    Memory,
    /// Fifty sites at the same time.
    Many,
    /// Pixels made smaller on the way, beside CharLS; with root over a long line, too.
    Coding,
    /// The demo under both kinds of agreement.
    Demo,
    /// 500 slices to the gateway under both kinds of agreement.
    Away,
    /// Searching and retrieving, beside Orthanc.
    Read,
    /// Searching among a million instances.
    Catalogue,
    /// Reports home and images out over a long line; needs root.
    Delay,
    /// The first picture of a study that is only arriving, in a browser; needs root.
    First,
    /// A reader's slow line, in a browser.
    Viewer,
    /// An emergency behind bulk on a long line; needs root.
    Order,
    /// A study over a long line, beside DCMTK; needs root.
    Wan,
    /// The line's address changes, or it is dead for a minute, in the middle of a study; needs root.
    Events,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut groups = arguments.group;
    if groups.is_empty() {
        groups = Group::value_variants().to_vec();
    }
    for group in groups {
        match group {
            Group::Ingest => ingest::run().await?,
            Group::Study => study::run().await?,
            Group::Memory => memory::run(arguments.quick).await?,
            Group::Many => many::run().await?,
            Group::Coding if arguments.inside => coding::line::inside().await?,
            Group::Coding => coding::run().await?,
            Group::Away => away::run().await?,
            Group::Demo => demo::run().await?,
            Group::Read => read::run().await?,
            Group::Catalogue => read::catalogue::run().await?,
            Group::Viewer => viewer::run(arguments.quick).await?,
            Group::Delay if arguments.inside => delay::inside().await?,
            Group::Delay => delay::run().await?,
            Group::First if arguments.inside => first::inside().await?,
            Group::First => first::run().await?,
            Group::Order if arguments.inside => order::inside().await?,
            Group::Order => order::run().await?,
            Group::Wan if arguments.inside => wan::inside(arguments.quick, arguments.cell).await?,
            Group::Wan => wan::run(arguments.quick, arguments.cell).await?,
            Group::Events if arguments.inside => wan::events::inside().await?,
            Group::Events => wan::within(&["events", "--inside"]).await?,
        }
    }
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "a benchmark ends in a table on the screen"
)]
fn say(text: &str) {
    println!("{text}");
}
