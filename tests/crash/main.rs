//! SIGKILL of the agent, of the gateway, and of both, at each step of the walk: the report still arrives, once.

#[cfg(test)]
mod decoders;
#[cfg(test)]
mod failing;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod masked;
#[cfg(test)]
mod recalled;
#[cfg(test)]
mod states;
#[cfg(test)]
mod synced;

use std::time::Duration;

use anyhow::Context as _;
use causeway_tests::hospital::Hospital;
use causeway_tests::killed;
use causeway_tests::outage;
use causeway_tests::pacs::Behaviour;
use causeway_tests::phantom::Identity;
use causeway_tests::soaked::{self, Soak};
use causeway_tests::stack::{build, wait_until};
use causeway_tests::{full, unanswered, upgraded, writers};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    Agent,
    Gateway,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    HalfSent,
    Sent,
    Ready,
    Claimed,
    Drafted,
    Signed,
}

const STEPS: [Step; 6] = [
    Step::HalfSent,
    Step::Sent,
    Step::Ready,
    Step::Claimed,
    Step::Drafted,
    Step::Signed,
];

async fn kill(hospital: &mut Hospital, victim: Victim) -> anyhow::Result<()> {
    if victim != Victim::Agent {
        hospital.stack.restart_gateway().await?;
    }
    if victim != Victim::Gateway {
        hospital.stack.restart_agent().await?;
    }
    Ok(())
}

async fn walk(
    hospital: &mut Hospital,
    study: &Identity,
    step: Step,
    victim: Victim,
) -> anyhow::Result<()> {
    hospital.send(study, 0..3, "CAUSEWAY").await?;
    if step == Step::HalfSent {
        kill(hospital, victim).await?;
    }
    hospital.send(study, 3..6, "CAUSEWAY").await?;
    if step == Step::Sent {
        kill(hospital, victim).await?;
    }
    let uid = study.study();
    let task = hospital
        .reader
        .wait_ready(&uid, Duration::from_secs(90))
        .await?;
    if step == Step::Ready {
        kill(hospital, victim).await?;
    }
    hospital.reader.claim(&task).await?;
    if step == Step::Claimed {
        kill(hospital, victim).await?;
    }
    hospital
        .reader
        .write_draft(&task.case, causeway_tests::reader::sample_report())
        .await?;
    if step == Step::Drafted {
        kill(hospital, victim).await?;
    }
    let preview = hospital.reader.preview(&task.case, "final").await?;
    hospital
        .reader
        .sign(&task.case, "final", &preview)
        .await?
        .ok()?;
    if step == Step::Signed {
        kill(hospital, victim).await?;
    }
    hospital
        .reader
        .wait_delivery(&task.case, "delivered", Duration::from_secs(90))
        .await?;
    let reports = hospital.reports(&uid);
    anyhow::ensure!(
        reports.len() == 1,
        "{} reports in the PACS after {victim:?} was killed at {step:?}",
        reports.len()
    );
    Ok(())
}

/// A smoke of what `prove kills` does a thousand times.
#[tokio::test]
async fn nothing_acknowledged_is_lost_doubled_or_altered_by_kills_under_load() -> anyhow::Result<()>
{
    for (victim, seed) in [(killed::Victim::Agent, 1), (killed::Victim::Gateway, 2)] {
        let verdict = killed::run(victim, 12, seed).await?;
        println!("{victim:?}, seed {seed}: {verdict:?}");
        assert!(verdict.holds(), "{victim:?}, seed {seed}: {verdict:?}");
    }
    Ok(())
}

/// A smoke of `prove cuts`.
#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_power_goes_under_load() -> anyhow::Result<()> {
    for (victim, seed) in [(killed::Victim::Agent, 5), (killed::Victim::Gateway, 6)] {
        let how = killed::How::Cut { syncs: true };
        let verdict = killed::end(victim, how, 6, seed).await?;
        println!("{victim:?}, seed {seed}: {verdict:?}");
        assert!(verdict.holds(), "{victim:?}, seed {seed}: {verdict:?}");
        assert!(verdict.forgot > 0, "{victim:?}, seed {seed}: {verdict:?}");
    }
    Ok(())
}

/// The mutant of the same.
#[tokio::test]
async fn a_gateway_that_does_not_sync_its_blobs_is_found_out_when_the_power_goes() {
    let how = killed::How::Cut { syncs: false };
    let found = killed::end(killed::Victim::Gateway, how, 4, 7).await;
    println!("{found:?}");
    assert!(!found.is_ok_and(|verdict| verdict.holds()));
}

/// A smoke of `prove drain`.
#[tokio::test]
async fn whoever_is_asked_to_end_under_load_ends_in_time_and_loses_nothing() -> anyhow::Result<()> {
    for (victim, seed) in [(killed::Victim::Agent, 3), (killed::Victim::Gateway, 4)] {
        let verdict = killed::end(victim, killed::How::Term, 5, seed).await?;
        println!("{victim:?}, seed {seed}: {verdict:?}");
        assert!(verdict.holds(), "{victim:?}, seed {seed}: {verdict:?}");
    }
    Ok(())
}

/// A smoke of `prove outage`.
#[tokio::test]
async fn a_gateway_that_comes_back_gets_what_many_sites_kept_for_it() -> anyhow::Result<()> {
    let found = outage::run(4, Duration::from_secs(2), 1).await?;
    println!("{found:?}");
    assert!(found.holds(), "{found:?}");
    Ok(())
}

/// A smoke of `prove soak`.
#[tokio::test]
async fn everything_goes_on_through_every_fault() -> anyhow::Result<()> {
    let soak = Soak {
        length: Duration::from_secs(12),
        between: Duration::from_millis(800),
        pace: Duration::from_millis(500),
        seed: 1,
    };
    let found = soaked::run(soak).await?;
    println!("{soak:?}: {found:?}");
    assert!(found.holds(), "{soak:?}: {found:?}");
    Ok(())
}

/// A smoke of `prove upgrade`, whose older version is this one.
#[tokio::test]
async fn a_version_takes_over_from_its_like() -> anyhow::Result<()> {
    let these = build::binaries().await?;
    let found = upgraded::run(&these, &these, 2).await?;
    println!("{found:?}");
    assert!(found.holds(), "{found:?}");
    Ok(())
}

/// A smoke of `prove unanswered`.
#[tokio::test]
async fn a_report_whose_answer_is_lost_is_there_once() -> anyhow::Result<()> {
    for finds in [true, false] {
        let found = unanswered::run(4, finds).await?;
        println!("{finds}: {found:?}");
        assert!(found.holds(finds), "{finds}: {found:?}");
    }
    Ok(())
}

/// As `prove full`.
#[tokio::test]
async fn an_agent_on_a_disk_that_fills_refuses_in_order_and_goes_on() -> anyhow::Result<()> {
    for scarce in [full::Scarce::Bytes, full::Scarce::Files] {
        let found = full::run(killed::Victim::Agent, scarce).await?;
        let holds = found.holds(killed::Victim::Agent, scarce);
        assert!(holds, "{scarce:?}: {found:#?}");
    }
    Ok(())
}

/// As `prove full`.
#[tokio::test]
async fn a_gateway_on_a_disk_that_fills_refuses_in_order_and_goes_on() -> anyhow::Result<()> {
    for scarce in [full::Scarce::Bytes, full::Scarce::Files] {
        let found = full::run(killed::Victim::Gateway, scarce).await?;
        let holds = found.holds(killed::Victim::Gateway, scarce);
        assert!(holds, "{scarce:?}: {found:#?}");
    }
    Ok(())
}

/// A smoke of `prove writers`.
#[tokio::test]
async fn sixteen_writers_of_one_instance_make_one_row_and_one_blob() -> anyhow::Result<()> {
    let found = writers::run(3, 10, 1).await?;
    println!("seed 1: {found:?}");
    assert!(found.holds(), "{found:?}");
    Ok(())
}

/// What a killed gateway had begun to send goes on the next connection, not when its lease of two minutes has run out.
#[tokio::test]
async fn a_report_on_its_way_when_both_are_killed_goes_on_the_next_connection() -> anyhow::Result<()>
{
    let mut hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    for (number, victim) in [(1, Victim::Both), (2, Victim::Agent)] {
        let study = hospital.study(number);
        hospital.send(&study, 0..3, "CAUSEWAY").await?;
        let task = hospital.claimed_with_draft(&study.study()).await?;
        let preview = hospital.reader.preview(&task.case, "final").await?;
        hospital.stack.agent.freeze()?;
        let signed = hospital.reader.sign(&task.case, "final", &preview).await?;
        signed.ok().context("signing")?;
        let mut rows = hospital.gateway_rows().await?;
        let leased =
            "SELECT lease_until_us FROM delivery WHERE state = 'waiting' AND lease_until_us > 0";
        wait_until(
            "the gateway to send it",
            Duration::from_secs(30),
            async || Ok(sqlx::query(leased).fetch_optional(&mut rows).await?),
        )
        .await?;
        kill(&mut hospital, victim).await?;
        hospital
            .reader
            .wait_delivery(&task.case, "delivered", Duration::from_secs(60))
            .await
            .with_context(|| format!("{victim:?} killed; {}", hospital.logs()))?;
        assert_eq!(hospital.reports(&study.study()).len(), 1);
    }
    hospital.close().await
}

#[tokio::test]
async fn the_report_arrives_once_whoever_is_killed_whenever() -> anyhow::Result<()> {
    let mut hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let mut number = 0;
    for step in STEPS {
        for victim in [Victim::Agent, Victim::Gateway, Victim::Both] {
            number += 1;
            let study = hospital.study(number);
            let start = tokio::time::Instant::now();
            walk(&mut hospital, &study, step, victim)
                .await
                .map_err(|error| error.context(format!("{victim:?} killed at {step:?}")))?;
            println!(
                "{victim:?} killed at {step:?}: one report, {:.1} s",
                start.elapsed().as_secs_f64()
            );
        }
    }
    hospital.close().await
}
