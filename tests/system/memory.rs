//! An object ten times as long needs no more memory at either end.

use std::time::Duration;

use causeway_tests::long::{Kind, carry};

/// How long one may take: unoptimised programs need most of a minute of a processor for it, which others may be using.
const LIMIT: Duration = Duration::from_secs(400);
/// What an allocator may keep of one run and not of another.
const SLACK_MIB: u64 = 32;

#[tokio::test]
async fn memory_does_not_grow_with_the_length_of_an_object() -> anyhow::Result<()> {
    for kind in [Kind::Section, Kind::Ultrasound] {
        let short = carry(kind, 20, LIMIT).await?;
        let long = carry(kind, 200, LIMIT).await?;
        println!("{kind:?}: 20 MiB {short:?}, 200 MiB {long:?}");
        assert!(
            long.agent_mib <= short.agent_mib + SLACK_MIB,
            "the agent: {long:?}"
        );
        assert!(
            long.gateway_mib <= short.gateway_mib + SLACK_MIB,
            "the gateway: {long:?}"
        );
    }
    Ok(())
}
