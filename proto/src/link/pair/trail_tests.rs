//! Each end of the pair finds when the other's audit trail went back or was written anew, and says nothing when it did not.

use super::trail::Trail;
use super::*;
use crate::audit::Doubt;

fn pair() -> Pair {
    let mut pair = Pair::new(5, World::default());
    for trail in [&mut pair.agent.trail, &mut pair.gateway.trail] {
        for number in 0..20 {
            trail.write(&format!("act {number}"));
        }
    }
    pair
}

/// Turns until both ends have heard each other's answers on a new connection.
fn meet(pair: &mut Pair) {
    pair.cut();
    for _ in 0..400 {
        pair.turn();
    }
}

fn doubts(pair: &Pair) -> (usize, usize) {
    (
        pair.agent.trail.doubts.len(),
        pair.gateway.trail.doubts.len(),
    )
}

#[test]
fn trails_that_only_grow_raise_nothing_whatever_the_wire_does() {
    for seed in 0..50 {
        let world = World {
            cuts: 100,
            ..World::default()
        };
        let mut pair = Pair::new(seed, world);
        for _ in 0..3000 {
            pair.turn();
        }
        assert_eq!(doubts(&pair), (0, 0), "seed {seed}");
        assert!(!pair.agent.trail.held.is_empty(), "seed {seed}");
        assert!(!pair.gateway.trail.held.is_empty(), "seed {seed}");
    }
}

#[test]
fn a_trail_that_went_back_is_found_by_both_ends() {
    type Of = fn(&mut Pair) -> &mut Trail;
    let (agent, gateway): (Of, Of) = (|pair| &mut pair.agent.trail, |pair| &mut pair.gateway.trail);
    for (own, other) in [(agent, gateway), (gateway, agent)] {
        let mut pair = pair();
        meet(&mut pair);
        assert_eq!(doubts(&pair), (0, 0));
        // shorter: the other end finds it in the head, the owner in what the other end holds
        own(&mut pair).cut(12);
        meet(&mut pair);
        assert!(matches!(other(&mut pair).doubts[0], Doubt::Back { .. }));
        assert!(matches!(own(&mut pair).doubts[0], Doubt::Back { .. }));
    }
}

#[test]
fn a_trail_that_was_written_anew_and_grew_past_its_witness_is_found_by_both_ends() {
    type Of = fn(&mut Pair) -> &mut Trail;
    let (agent, gateway): (Of, Of) = (|pair| &mut pair.agent.trail, |pair| &mut pair.gateway.trail);
    for (own, other) in [(agent, gateway), (gateway, agent)] {
        let mut pair = pair();
        meet(&mut pair);
        own(&mut pair).cut(12);
        for number in 0..40 {
            own(&mut pair).write(&format!("forged {number}"));
        }
        meet(&mut pair);
        let doubt = |trail: &Trail| trail.doubts.first().copied();
        let found = doubt(other(&mut pair));
        assert!(matches!(found, Some(Doubt::Anew { .. })), "{found:?}");
        let found = doubt(own(&mut pair));
        assert!(matches!(found, Some(Doubt::Anew { .. })), "{found:?}");
    }
}
