//! An emergency behind a study that fills a slow line.

use causeway_proto::ids::Priority;
use causeway_tests::relay::Relay;
use causeway_tests::stack::wait_until;

use super::centre::Centre;
use super::hospital::Hospital;
use super::{INSTANCES, LIMIT, wait_count};

const URGENT: &str = "SELECT count(*) FROM instance WHERE study_uid = '1.2.826.2'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emergency_overtakes_what_fills_the_line_and_that_goes_on() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let relay = Relay::start(centre.address).await?;
    let mut hospital = Hospital::start(&tls, relay.address).await?;
    hospital.wait_up().await?;
    // nearly nothing leaves while it is stored, however long the disk takes
    relay.slow(300_000);
    // thirty megabytes: more than all windows of the connection take
    for number in 1..=60 {
        hospital.store(1, number, 512).await?;
    }
    wait_until("the line to be in use", LIMIT, async || {
        Ok((centre.count(INSTANCES).await? > 0).then_some(()))
    })
    .await?;
    for number in 1..=4 {
        hospital.store_as(Priority::Stat, 2, number, 512).await?;
    }
    relay.slow(2_000_000);
    wait_count(&centre, URGENT, 4).await?;
    let all = centre.count(INSTANCES).await?;
    println!("{} of 60 were there before the emergency was", all - 4);
    assert!(all < 64, "the emergency waited for all others");
    relay.slow(u64::MAX);
    wait_count(&centre, INSTANCES, 64).await?;
    hospital.stop().await?;
    relay.stop().await;
    centre.stop().await?;
    Ok(())
}
