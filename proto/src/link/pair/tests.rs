//! What must hold between the two ends, whatever the wire does.

use proptest::prelude::*;

use super::*;
use crate::digest::Digest;
use crate::ids::{Priority, Purpose};
use crate::link::message::{Open, terms};
use crate::link::session::Known;

const UNKIND: World = World {
    cuts: 60,
    crashes: 30,
    refusals: 300,
    repeats: 2000,
};

fn content(number: u64, length: usize) -> Vec<u8> {
    let mut chance = Chance::new(number + 77);
    (0..length)
        .map(|_| u8::try_from(chance.below(256)).unwrap())
        .collect()
}

/// What the site says of its study, with these remarks.
fn opened(remarks: &[&str]) -> Open {
    Open {
        study: "1.2".parse().unwrap(),
        agreement: "a1".parse().unwrap(),
        purpose: Purpose::Read,
        priority: Priority::Routine,
        case: "33333333".parse().unwrap(),
        first_received: Timestamp(1),
        blocked: (remarks.len() == 1).then(|| "Images of another patient.".to_owned()),
        remarks: remarks.iter().map(|&remark| remark.to_owned()).collect(),
        identity: Some(terms::NOT_ESTABLISHED.to_owned()),
    }
}

/// Forty instances of many lengths, one of them empty, and three reports.
fn busy(seed: u64, world: World) -> Pair {
    let mut pair = Pair::new(seed, world);
    for (index, number) in (0..40).enumerate() {
        let length = [0, 1, 900, 2500, 12_000][index % 5];
        let priority = [Priority::Routine, Priority::Stat, Priority::Urgent][index % 3];
        pair.agent.spool(number, priority, content(number, length));
    }
    for number in 0..3 {
        let report = content(100 + number, 5000);
        pair.gateway.reports.insert(format!("d{number}"), report);
    }
    pair.agent.open = vec![opened(&[])];
    pair
}

/// Each instance has one effect at the gateway with the right bytes, each report is at the site with the right bytes.
fn check(pair: &Pair) {
    for (key, item) in &pair.agent.items {
        let stored = &pair.gateway.archive[key];
        assert_eq!(stored.commits, 1, "{key:?}");
        assert_eq!(stored.bytes, item.bytes, "{key:?}");
        assert_eq!(item.receipt, stored.receipt);
    }
    for (id, dataset) in &pair.gateway.reports {
        assert_eq!(&pair.agent.reports[id].1, dataset);
    }
    assert_eq!(pair.agent.agreements, pair.gateway.agreements);
    let open: Vec<_> = pair.gateway.opened.values().collect();
    assert_eq!(open, pair.agent.open.last().into_iter().collect::<Vec<_>>());
}

/// A block that comes, and goes again with the next word about the study.
#[test]
fn the_last_word_about_a_study_stands() {
    let mut pair = busy(9, World::default());
    pair.agent.open = vec![opened(&["1 overlay removed at the site"])];
    pair.settle(200_000);
    check(&pair);
    assert!(
        pair.gateway
            .opened
            .values()
            .all(|open| open.blocked.is_some())
    );
    pair.agent.open = vec![opened(&[])];
    pair.agent.spool(99, Priority::Stat, content(99, 10));
    pair.settle(200_000);
    // a stream may overtake the control stream
    (0..1000).for_each(|_| pair.turn());
    check(&pair);
    assert!(
        pair.gateway
            .opened
            .values()
            .all(|open| open.blocked.is_none())
    );
}

#[test]
fn on_a_kind_wire_everything_goes_once() {
    let mut pair = busy(1, World::default());
    pair.settle(200_000);
    check(&pair);
    assert_eq!(pair.connections, 1);
    assert!(pair.agent.items.values().all(|item| item.streams == 1));
    let sent: u64 = pair.agent.items.values().map(|item| item.bytes_sent).sum();
    let size: usize = pair.agent.items.values().map(|item| item.bytes.len()).sum();
    assert_eq!(sent, size as u64);
    assert!(pair.agent.reports.values().all(|(times, _)| *times == 1));
}

#[test]
fn five_hundred_unkind_wires() {
    let mut connections = 0;
    for seed in 0..500 {
        let mut pair = busy(seed, UNKIND);
        pair.settle(200_000);
        check(&pair);
        assert_eq!(pair.closes, [], "seed {seed}");
        connections += pair.connections;
    }
    assert!(connections > 1500, "the wires were cut: {connections}");
}

#[test]
fn the_most_urgent_begins_first() {
    let mut pair = busy(5, World::default());
    pair.settle(200_000);
    let last_stat = pair
        .agent
        .started
        .iter()
        .rposition(|p| *p == Priority::Stat);
    let first_routine = pair
        .agent
        .started
        .iter()
        .position(|p| *p == Priority::Routine);
    assert!(last_stat < first_routine, "{:?}", pair.agent.started);
}

#[test]
fn a_stat_instance_overtakes_a_full_queue() {
    let mut pair = Pair::new(9, World::default());
    for number in 0..60 {
        pair.agent
            .spool(number, Priority::Routine, content(number, 20_000));
    }
    while pair.agent.started.len() < 6 {
        pair.turn();
    }
    pair.agent.spool(99, Priority::Stat, content(99, 100));
    pair.settle(500_000);
    let place = pair.agent.started.iter().position(|p| *p == Priority::Stat);
    assert!(place < Some(16), "{place:?}");
    check(&pair);
}

#[test]
fn a_large_instance_goes_on_where_it_was_cut() {
    let mut pair = Pair::new(3, World::default());
    let size = 400_000;
    let key = pair.agent.spool(1, Priority::Routine, content(1, size));
    let stored = |pair: &Pair| {
        let stored = pair.gateway.archive.get(&key);
        stored.map_or(0, |stored| stored.bytes.len())
    };
    for part in 1..4 {
        while stored(&pair) < part * 100_000 {
            pair.turn();
        }
        pair.cut();
    }
    pair.settle(200_000);
    check(&pair);
    let item = &pair.agent.items[&key];
    assert_eq!(item.streams, 4);
    let lost = item.bytes_sent - size as u64;
    assert!(
        lost < 400_000 / 4,
        "{lost} bytes were sent twice over three cuts"
    );
}

#[test]
fn a_crash_of_the_gateway_resends_only_what_it_had_not_written() {
    let mut pair = Pair::new(4, World::default());
    let key = pair.agent.spool(1, Priority::Routine, content(1, 100_000));
    while pair
        .gateway
        .archive
        .get(&key)
        .is_none_or(|stored| stored.bytes.len() < 50_500)
    {
        pair.turn();
    }
    pair.gateway.crash();
    let kept = pair.gateway.archive[&key].bytes.len();
    assert_eq!(kept % 1000, 0);
    pair.cut();
    pair.settle(200_000);
    check(&pair);
}

#[test]
fn bytes_that_rot_at_the_site_are_parked_after_three_tries_and_block_nothing() {
    let mut pair = busy(6, World::default());
    let poison = pair.agent.spool(500, Priority::Stat, content(500, 3000));
    pair.agent.items.get_mut(&poison).unwrap().announced = Digest::of(b"other");
    pair.settle(300_000);
    let item = pair.agent.items.remove(&poison).unwrap();
    assert_eq!(item.streams, 3);
    let sentence = item.parked.unwrap();
    assert!(
        sentence.starts_with("Refused 3 times in a row"),
        "{sentence}"
    );
    assert_eq!(pair.gateway.archive.remove(&poison).unwrap().commits, 0);
    check(&pair);
}

#[test]
fn a_gateway_restored_from_a_backup_gets_everything_back() {
    let mut pair = busy(7, World::default());
    for _ in 0..80 {
        pair.turn();
    }
    let backup = pair.gateway.backup();
    pair.settle(200_000);
    check(&pair);
    pair.cut();
    pair.gateway.restore(backup);
    assert!(
        pair.gateway
            .archive
            .values()
            .filter(|s| s.receipt.is_some())
            .count()
            < 40
    );
    pair.turn();
    while pair
        .gateway
        .archive
        .values()
        .filter(|s| s.receipt.is_some())
        .count()
        < 40
    {
        pair.turn();
        assert!(pair.turns < 1_000_000);
    }
    pair.settle(200_000);
    check(&pair);
}

#[test]
fn a_late_session_is_fenced() {
    let mut pair = busy(8, World::default());
    pair.gateway.newest = Some(Known {
        spool: "spool-a".to_owned(),
        session: 4,
    });
    pair.settle(200_000);
    check(&pair);
    assert_eq!(
        pair.gateway.newest,
        Some(Known {
            spool: "spool-a".to_owned(),
            session: 1
        }),
        "with nothing live, a count that went back is let in and remarked on"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 16, ..ProptestConfig::default() })]
    #[test]
    fn any_world_ends_with_everything_once(
        seed in any::<u64>(),
        cuts in 0_usize..60,
        crashes in 0_usize..30,
        refusals in 0_usize..3000,
        repeats in 0_usize..10_000,
    ) {
        let mut pair = busy(seed, World { cuts, crashes, refusals, repeats });
        pair.settle(400_000);
        check(&pair);
        prop_assert_eq!(pair.closes, []);
    }
}
