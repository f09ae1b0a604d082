//! The table of the hostile: what they cost those who only want to work, and how much memory they take.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::ensure;
use causeway_tests::hostile::{self, Counts, Half};
use causeway_tests::stack::build::root;

use super::say;

/// How many of each.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// Associations at the agent.
    #[arg(long, default_value_t = 200)]
    associations: u32,
    /// QUIC peers at the gateway.
    #[arg(long, default_value_t = 64)]
    peers: u32,
    /// HTTP clients at both.
    #[arg(long, default_value_t = 1000)]
    clients: u32,
    /// C-STOREs and requests of those who only want to work, in each half.
    #[arg(long, default_value_t = 300)]
    samples: usize,
    /// Seconds that each half lasts at least.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// Runs it and prints its table. The time that it takes is printed, not judged.
///
/// # Errors
/// When anybody was turned away who only wanted to work, or places were not given back.
pub(super) async fn run(asked: Asked) -> anyhow::Result<()> {
    let Asked {
        associations,
        peers,
        clients,
        samples,
        seconds,
    } = asked;
    let counts = Counts {
        associations,
        peers,
        clients,
        samples,
        least: Duration::from_secs(seconds),
    };
    let found = hostile::run(counts).await?;
    let head = "| with | C-STORE | failed | median | 95 % | longest | worklist | failed | median | 95 % | longest | agent | gateway |";
    let mut table = format!("{head}\n{}\n", "|---".repeat(13) + "|");
    line(&mut table, "nobody", &found.calm);
    let all = format!("{associations} associations, {peers} QUIC peers, {clients} HTTP clients");
    line(&mut table, &all, &found.storm);
    let ([store, ask], [dicom, quic, http]) = (found.ratios(), found.begun);
    let back = found.back.as_secs_f64();
    write!(
        table,
        "\n95 % with them against without: C-STORE {store:.2}, worklist {ask:.2}. Begun by them: {dicom} associations, {quic} QUIC connections, \
         {http} HTTP connections. Open files as before after {back:.1} s. Version {}.\n",
        env!("CARGO_PKG_VERSION")
    )?;
    say(&table);
    let folder = root().join("target/prove");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("hostile.md"), &table)?;
    ensure!(found.holds(), "somebody was turned away: {:?}", found.first);
    Ok(())
}

fn line(table: &mut String, with: &str, half: &Half) {
    write!(table, "| {with} |").ok();
    for seen in [&half.store, &half.ask] {
        let [median, most, longest] = [50, 95, 100].map(|share| seen.within(share));
        let (done, failed) = (seen.took.len(), seen.failed);
        write!(
            table,
            " {done} | {failed} | {median:.1} ms | {most:.1} ms | {longest:.1} ms |"
        )
        .ok();
    }
    let [agent, gateway] = [half.agent_kib, half.gateway_kib].map(|kib| kib / 1024);
    writeln!(table, " {agent} MiB | {gateway} MiB |").ok();
}
