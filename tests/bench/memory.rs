//! How much memory agent and gateway need while an object is protected, sent and archived, and that a ten times longer one needs no more.

use std::time::Duration;

use causeway_tests::long::{Kind, carry};

use crate::say;

/// Frames of a mebibyte each: 210 MB and 2.1 GB.
const FRAMES: [u16; 2] = [200, 2000];

/// Carries a short and a long object of each kind, each through processes of its own.
pub(crate) async fn run() -> anyhow::Result<()> {
    say("\none object of native pixels, protected, sent and archived; peak memory (VmHWM)\n");
    for (kind, what) in [
        (Kind::Section, "pixels as they are"),
        (Kind::Ultrasound, "masked"),
    ] {
        for frames in FRAMES {
            let done = carry(kind, frames, Duration::from_secs(600)).await?;
            say(&format!(
                "{:>44}  agent {} MiB, gateway {} MiB, ready after {:.1} s",
                format!("{what}, {frames} MiB"),
                done.agent_mib,
                done.gateway_mib,
                done.took.as_secs_f64()
            ));
        }
    }
    Ok(())
}
