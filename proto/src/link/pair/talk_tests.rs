//! Contexts and letters have one effect at the other end, in order, whatever the wire does, and come again after a restore.

use super::*;
use crate::link::message::LetterStep;
use crate::link::talk::{AGAIN, Saying};

const UNKIND: World = World {
    cuts: 150,
    crashes: 50,
    refusals: 0,
    repeats: 0,
};

fn settle(pair: &mut Pair) {
    for _ in 0..100_000 {
        if pair.agent.talk.is_settled() && pair.gateway.talk.is_settled() {
            return;
        }
        pair.turn();
    }
    panic!("the words do not settle");
}

fn ids(letters: &[(crate::link::message::Letter, Option<LetterStep>)]) -> Vec<&str> {
    letters
        .iter()
        .map(|(letter, _)| letter.id.as_str())
        .collect()
}

#[test]
fn words_arrive_once_and_in_order_on_two_hundred_unkind_wires() {
    let mut connections = 0;
    for seed in 0..200 {
        let mut pair = Pair::new(seed, UNKIND);
        for number in 0..12 {
            pair.agent.talk.write(&format!("s{number}"));
            pair.gateway.talk.write(&format!("r{number}"));
            pair.agent
                .talk
                .tell(number + 1, &format!("question {number}"));
            for _ in 0..40 {
                pair.turn();
            }
            pair.gateway.talk.read();
        }
        settle(&mut pair);
        pair.agent.talk.read();
        pair.gateway.talk.read();
        settle(&mut pair);
        let expect = |side: &str| (0..12).map(|n| format!("{side}{n}")).collect::<Vec<_>>();
        assert_eq!(ids(&pair.gateway.talk.inbox), expect("s"), "seed {seed}");
        assert_eq!(ids(&pair.agent.talk.inbox), expect("r"), "seed {seed}");
        let read = |talk: &talk::Talk| {
            talk.out
                .iter()
                .all(|(_, step)| *step == Some(LetterStep::Read))
        };
        assert!(
            read(&pair.agent.talk) && read(&pair.gateway.talk),
            "seed {seed}"
        );
        let taken: Vec<_> = pair.gateway.talk.taken.values().collect();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].facts.question, "question 11", "seed {seed}");
        connections += pair.connections;
        assert_eq!(pair.closes, [], "seed {seed}");
    }
    assert!(connections > 600, "the wires were cut: {connections}");
}

#[test]
fn a_restored_gateway_hears_everything_again() {
    let mut pair = Pair::new(3, World::default());
    let empty = (pair.gateway.backup(), pair.gateway.talk.clone());
    pair.agent.talk.write("s1");
    pair.agent.talk.tell(7, "Bleeding?");
    settle(&mut pair);
    pair.cut();
    pair.gateway.restore(empty.0);
    pair.gateway.talk = empty.1;
    assert!(pair.gateway.talk.inbox.is_empty());
    for _ in 0..400 {
        pair.turn();
    }
    settle(&mut pair);
    assert_eq!(ids(&pair.gateway.talk.inbox), ["s1"]);
    assert_eq!(pair.gateway.talk.taken.len(), 1);
}

#[test]
fn a_line_that_nobody_answers_is_said_again_after_its_time_only() {
    let mut saying = Saying::new();
    let at = Duration::from_secs(5);
    assert!(saying.read("a", at));
    assert!(!saying.read("a", at));
    let before = at + AGAIN - Duration::from_millis(1);
    assert!(!saying.read("a", before));
    assert!(saying.read("a", at + AGAIN));
    assert!(saying.read("b", at));
}
