//! TCP as it usually is: CUBIC on loopback, whatever this machine has chosen for itself, in a network namespace of the run's own.

use anyhow::{Context as _, ensure};
use tokio::process::Command;

/// Sets loopback up in a new namespace, and runs what follows in it.
const SETUP: &str = "ip link set lo up && ip route replace local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1 congctl cubic \
     && ip route replace local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1 congctl cubic && exec \"$0\" \"$@\"";

/// Runs this program's `group` in a namespace, and answers whether it did: not when it is in one already, or may not make one.
pub(super) async fn entered(group: &str) -> anyhow::Result<bool> {
    if is_cubic().await || !rustix::process::geteuid().is_root() {
        return Ok(false);
    }
    let program = std::env::current_exe().context("the name of this program")?;
    let mut command = Command::new("unshare");
    command
        .args(["--net", "sh", "-c", SETUP])
        .arg(program)
        .arg(group);
    let ended = command.kill_on_drop(true).status().await;
    let ended = ended.context("unshare could not be started")?;
    ensure!(
        ended.success(),
        "the benchmark in a namespace ended with {ended}"
    );
    Ok(true)
}

async fn is_cubic() -> bool {
    let mut command = Command::new("ip");
    command.args(["route", "show", "table", "local", "127.0.0.1"]);
    let said = command.output().await;
    said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("congctl cubic"))
}

/// What is to be known of the loopback.
pub(super) async fn said() -> &'static str {
    if is_cubic().await {
        "Loopback in a network namespace of its own, TCP CUBIC."
    } else {
        "Loopback of the machine, with the TCP that it has chosen: only root can give it CUBIC."
    }
}
