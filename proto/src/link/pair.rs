//! Both ends of the link in memory, joined by a wire that cuts, splits, reorders between streams and stops: the tests of the pair.

mod agent;
mod gateway;
mod talk;
#[cfg(test)]
mod talk_tests;
#[cfg(test)]
mod tests;
mod trail;
#[cfg(test)]
mod trail_tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::close::Code;
use super::codec::{Message, encode};
use crate::time::Timestamp;
use agent::Agent;
use gateway::Gateway;

/// Chance, from a seed that a failing test prints.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % bound.max(1)
    }
}

/// One direction of one stream.
#[derive(Default)]
pub(super) struct Pipe {
    bytes: VecDeque<u8>,
    ended: bool,
    /// The receiver has stopped it with this code.
    stopped: Option<Code>,
    end_seen: bool,
}

impl Pipe {
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    pub(super) fn say(&mut self, message: impl Into<Message>) {
        let mut out = Vec::new();
        encode(&message.into(), &mut out).unwrap();
        self.write(&out);
    }

    fn take(&mut self, most: usize) -> Vec<u8> {
        let take = most.min(self.bytes.len());
        self.bytes.drain(..take).collect()
    }
}

/// One connection: two control streams and any number of others.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) to_gateway: Pipe,
    pub(super) to_agent: Pipe,
    pub(super) up: BTreeMap<u64, Pipe>,
    pub(super) down: BTreeMap<u64, Pipe>,
    next_stream: u64,
    /// One side has closed the connection, with this code.
    pub(super) closed: Option<Code>,
}

impl Wire {
    pub(super) fn open_up(&mut self) -> u64 {
        self.next_stream += 1;
        self.up.insert(self.next_stream, Pipe::default());
        self.next_stream
    }

    pub(super) fn open_down(&mut self) -> u64 {
        self.next_stream += 1;
        self.down.insert(self.next_stream, Pipe::default());
        self.next_stream
    }
}

/// How unkind the world is, in events per 10,000 turns.
#[derive(Clone, Copy, Default)]
pub(super) struct World {
    pub(super) cuts: usize,
    pub(super) crashes: usize,
    pub(super) refusals: usize,
    pub(super) repeats: usize,
}

/// Both ends and the wire between them.
struct Pair {
    agent: Agent,
    gateway: Gateway,
    wire: Option<Wire>,
    chance: Chance,
    world: World,
    turns: u64,
    connections: u32,
    closes: Vec<Code>,
}

impl Pair {
    fn new(seed: u64, world: World) -> Self {
        Self {
            agent: Agent::new("spool-a"),
            gateway: Gateway::new(),
            wire: None,
            chance: Chance::new(seed),
            world,
            turns: 0,
            connections: 0,
            closes: Vec::new(),
        }
    }

    /// A millisecond each turn.
    fn now(&self) -> Duration {
        Duration::from_millis(self.turns)
    }

    fn stamp(&self) -> Timestamp {
        Timestamp(1_700_000_000_000_000).plus(self.now())
    }

    fn happens(&mut self, per_10_000: usize) -> bool {
        self.chance.below(10_000) < per_10_000
    }

    /// Drops the connection with everything on it.
    fn cut(&mut self) {
        if self.wire.take().is_some() {
            self.agent.disconnected();
            self.gateway.disconnected();
        }
    }

    /// One turn: connects when there is no connection, else lets a random part of the pair move a little.
    fn turn(&mut self) {
        self.turns += 1;
        let (now, stamp) = (self.now(), self.stamp());
        let Some(mut wire) = self.wire.take() else {
            let mut wire = Wire::default();
            self.connections += 1;
            self.agent.connected(stamp, &mut wire);
            self.gateway.connected();
            self.wire = Some(wire);
            return;
        };
        let refuse = self.happens(self.world.refusals);
        let repeat = self.happens(self.world.repeats);
        match self.chance.below(6) {
            0 => self.agent.turn(now, &mut wire, &mut self.chance),
            1 => self.gateway.turn(now, &mut wire, &mut self.chance, repeat),
            2 => deliver_control(&mut wire, self),
            3 => deliver_down(&mut wire, self),
            _ => deliver_up(&mut wire, self, refuse),
        }
        let closed = wire.closed;
        self.wire = Some(wire);
        if let Some(code) = closed {
            self.closes.push(code);
            self.cut();
        } else if self.happens(self.world.crashes) {
            self.gateway.crash();
            self.cut();
        } else if self.happens(self.world.cuts) {
            self.cut();
        }
    }

    /// Runs until both ends have nothing left to say; panics after `most` turns.
    fn settle(&mut self, most: u64) {
        for _ in 0..most {
            if self.agent.is_settled() && self.gateway.is_settled() {
                return;
            }
            self.turn();
        }
        panic!(
            "not settled after {most} turns: {} / {}",
            self.agent.state(),
            self.gateway.state()
        );
    }
}

fn deliver_control(wire: &mut Wire, pair: &mut Pair) {
    let stamp = pair.stamp();
    let now = pair.now();
    let bytes = wire.to_gateway.take(1 + pair.chance.below(4000));
    pair.gateway.control(now, stamp, &bytes, wire);
    let bytes = wire.to_agent.take(1 + pair.chance.below(4000));
    pair.agent.control(now, stamp, &bytes, wire);
}

fn pick(streams: &BTreeMap<u64, Pipe>, chance: &mut Chance) -> Option<u64> {
    let index = chance.below(streams.len());
    streams.keys().nth(index).copied()
}

fn deliver_up(wire: &mut Wire, pair: &mut Pair, refuse: bool) {
    let Some(id) = pick(&wire.up, &mut pair.chance) else {
        return;
    };
    let pipe = wire.up.get_mut(&id).unwrap();
    let bytes = pipe.take(1 + pair.chance.below(9000));
    let end = pipe.ended && pipe.bytes.is_empty() && !pipe.end_seen;
    pipe.end_seen |= end;
    let now = pair.now();
    pair.gateway.stream(now, id, &bytes, end, refuse, wire);
    if wire.up.get(&id).is_some_and(|pipe| pipe.end_seen) {
        wire.up.remove(&id);
    }
}

fn deliver_down(wire: &mut Wire, pair: &mut Pair) {
    let Some(id) = pick(&wire.down, &mut pair.chance) else {
        return;
    };
    let pipe = wire.down.get_mut(&id).unwrap();
    let bytes = pipe.take(1 + pair.chance.below(9000));
    let end = pipe.ended && pipe.bytes.is_empty() && !pipe.end_seen;
    pipe.end_seen |= end;
    let stamp = pair.stamp();
    pair.agent.stream(stamp, id, &bytes, end, wire);
    if wire.down.get(&id).is_some_and(|pipe| pipe.end_seen) {
        wire.down.remove(&id);
    }
}
