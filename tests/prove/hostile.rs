//! The table of the hostile: what they cost those who only want to work, and how much memory they take.

use std::fmt::Write as _;

use anyhow::ensure;
use causeway_tests::hostile::{self, Counts, Half};
use causeway_tests::stack::build::root;

use super::say;

/// Runs it and prints its table. The time that it takes is printed, not judged.
///
/// # Errors
/// When anybody was turned away who only wanted to work, or places were not given back.
pub(super) async fn run(counts: Counts) -> anyhow::Result<()> {
    let found = hostile::run(counts).await?;
    let head = "| with | C-STORE | failed | median | 95 % | longest | worklist | failed | median | 95 % | longest | agent | gateway |";
    let mut table = format!("{head}\n{}\n", "|---".repeat(13) + "|");
    line(&mut table, "nobody", &found.calm);
    let Counts {
        associations,
        peers,
        clients,
        ..
    } = counts;
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
