//! A smoke of `prove hostile`.

use std::time::Duration;

use causeway_tests::hostile::{self, Counts};

#[tokio::test(flavor = "multi_thread")]
async fn beside_the_hostile_work_goes_on_and_every_place_is_given_back() -> anyhow::Result<()> {
    let counts = Counts {
        associations: 120,
        peers: 12,
        clients: 150,
        samples: 20,
        least: Duration::ZERO,
    };
    let found = hostile::run(counts).await?;
    let (ratios, begun, back) = (found.ratios(), found.begun, found.back);
    println!("95 % with against without {ratios:.2?}, begun {begun:?}, given back after {back:?}");
    assert!(found.holds(), "{:?}", found.first);
    Ok(())
}
