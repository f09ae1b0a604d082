//! A smoke of `prove faults`: some n of each kind of call, at each process. And a disk that lies, which has to be found out.

use causeway_tests::calls::{Call, ERRORS};
use causeway_tests::failing::{Failing, Row, Sweep};
use causeway_tests::killed::Victim;

async fn swept(whose: Victim, step: u64) -> anyhow::Result<()> {
    let sweep = Sweep {
        step,
        most: 24,
        many: 1,
    };
    let mut failing = Failing::start(whose).await?;
    for (call, (error, errno)) in Call::ALL.into_iter().zip(ERRORS.into_iter().cycle()) {
        let row = failing.sweep(call, errno, sweep).await?;
        println!("{whose:?}, {call:?}, {error}: {row:?}");
        assert!(row.swept > 0, "no call has failed: {row:?}");
        assert_eq!(row.restarts, 0, "{row:?}");
    }
    let mut all = Row::default();
    failing.judge(&mut all).await?;
    println!("{whose:?}: {all:?}");
    assert!(all.verdict.holds(), "{all:?}");
    assert_eq!(all.restarts, 0, "{all:?}");
    failing.restart().await?;
    failing.close().await
}

#[tokio::test]
async fn an_agent_whose_disk_refuses_says_so_and_goes_on() -> anyhow::Result<()> {
    swept(Victim::Agent, 5).await
}

#[tokio::test]
async fn a_gateway_whose_disk_refuses_gives_no_receipt_and_goes_on() -> anyhow::Result<()> {
    swept(Victim::Gateway, 9).await
}

/// The mutant: success is said of what is not there.
#[tokio::test]
async fn a_disk_that_lies_is_found_out() -> anyhow::Result<()> {
    let mut failing = Failing::start(Victim::Agent).await?;
    let mut row = failing.lie(8).await?;
    failing.judge(&mut row).await?;
    println!("{row:?}");
    assert!(row.verdict.lost > 0, "{row:?}");
    failing.close().await
}
