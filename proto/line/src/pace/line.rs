//! A line to try the machine on: one narrow place with a queue that drops its tail, a delay, losses from a seed, outages; and senders that
//! pace, find losses and answer as QUIC does. No clock: everything happens in the order of its time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use super::{Known, Pace, Terms};

const PACKET: u64 = 1452;
const HEADER: u64 = 28;

/// What the line is like.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Mbit/s of the narrowest place.
    pub(super) mbit_s: f64,
    pub(super) round_trip: Duration,
    /// Lost by chance, of a thousand, in each direction.
    pub(super) loss: f64,
    /// What the queue holds, as time.
    pub(super) queue: Duration,
    /// When nothing passes.
    pub(super) outage: Option<(Duration, Duration)>,
    /// From when on the narrowest place has another width.
    pub(super) then: Option<(Duration, f64)>,
    /// From when on the way has another length.
    pub(super) longer: Option<(Duration, Duration)>,
    pub(super) seed: u64,
}

impl Line {
    pub(super) fn new(mbit_s: f64, round_trip_ms: u64, loss: f64) -> Self {
        Self {
            mbit_s,
            round_trip: Duration::from_millis(round_trip_ms),
            loss,
            queue: Duration::from_millis(50),
            outage: None,
            then: None,
            longer: None,
            seed: 7,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives(usize, u64),
    Answer(usize, Vec<u64>),
    AnswerLate(usize, u64),
    Send(usize),
    Probe(usize, u64),
}

struct Flow {
    pace: Pace,
    starts: Duration,
    /// Sends for the first span of each second span; always without.
    turns: Option<(Duration, Duration)>,
    next: u64,
    under_way: BTreeMap<u64, Duration>,
    newest: Option<u64>,
    smoothed: Duration,
    tokens: f64,
    filled: Duration,
    waiting: bool,
    limited: bool,
    answering: Vec<u64>,
    answered: u64,
    probes: u32,
    heard: Duration,
    /// Bytes delivered, by second.
    by_second: Vec<u64>,
    sent_bytes: u64,
    lost_bytes: u64,
}

/// A run.
pub(super) struct Run {
    line: Line,
    flows: Vec<Flow>,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    order: u64,
    now: Duration,
    free_at: Duration,
    random: u64,
}

impl Run {
    pub(super) fn new(line: Line) -> Self {
        Self {
            random: line.seed,
            line,
            flows: Vec::new(),
            events: BinaryHeap::new(),
            order: 0,
            now: Duration::ZERO,
            free_at: Duration::ZERO,
        }
    }

    pub(super) fn flow(&mut self, terms: Terms, starts: Duration) -> usize {
        let flow = Flow {
            pace: Pace::new(terms, 1452),
            starts,
            turns: None,
            next: 0,
            under_way: BTreeMap::new(),
            newest: None,
            smoothed: self.line.round_trip,
            tokens: 14520.0,
            filled: starts,
            waiting: false,
            limited: false,
            answering: Vec::new(),
            answered: 0,
            probes: 0,
            heard: starts,
            by_second: Vec::new(),
            sent_bytes: 0,
            lost_bytes: 0,
        };
        self.flows.push(flow);
        let index = self.flows.len() - 1;
        self.at(starts, Event::Send(index));
        index
    }

    pub(super) fn in_turns(&mut self, flow: usize, sends: Duration, of: Duration) {
        self.flows[flow].turns = Some((sends, of));
    }

    /// From now on the flow always has something to send.
    pub(super) fn always(&mut self, flow: usize) {
        self.flows[flow].turns = None;
        self.send(flow);
    }

    pub(super) fn known(&self, flow: usize) -> Option<Known> {
        self.flows[flow].pace.known()
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    fn chance(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From one end to the other.
    fn way(&self) -> Duration {
        match self.line.longer {
            Some((from, round_trip)) if self.now >= from => round_trip / 2,
            _ => self.line.round_trip / 2,
        }
    }

    fn is_dead(&self) -> bool {
        let now = self.now;
        self.line
            .outage
            .is_some_and(|(from, to)| now >= from && now < to)
    }

    pub(super) fn until(&mut self, end: Duration) -> &mut Self {
        while let Some(Reverse((at, _, _))) = self.events.peek() {
            if *at > end {
                break;
            }
            let Reverse((at, _, event)) = self.events.pop().unwrap();
            self.now = at;
            match event {
                Event::Send(flow) => {
                    self.flows[flow].waiting = false;
                    self.send(flow);
                }
                Event::Arrives(flow, packet) => self.arrives(flow, packet),
                Event::AnswerLate(flow, count) => {
                    if self.flows[flow].answered == count && !self.flows[flow].answering.is_empty()
                    {
                        self.answer(flow);
                    }
                }
                Event::Answer(flow, packets) => self.answered(flow, &packets),
                Event::Probe(flow, newest) => self.probe(flow, newest),
            }
        }
        self.now = end;
        self
    }

    fn wants(&self, flow: usize) -> bool {
        let flow = &self.flows[flow];
        flow.turns.is_none_or(|(sends, of)| {
            let since = (self.now - flow.starts).as_nanos();
            since % of.as_nanos() < sends.as_nanos()
        })
    }

    fn send(&mut self, index: usize) {
        let mut any = false;
        loop {
            let now = self.now;
            if !self.wants(index) {
                self.flows[index].limited = true;
                let (_, of) = self.flows[index].turns.unwrap();
                let since = (now - self.flows[index].starts).as_nanos();
                let rest = of.as_nanos() - since % of.as_nanos();
                if !self.flows[index].waiting {
                    self.flows[index].waiting = true;
                    let at = now + Duration::from_nanos(u64::try_from(rest).unwrap());
                    self.at(at, Event::Send(index));
                }
                break;
            }
            let flow = &mut self.flows[index];
            flow.limited = false;
            let window = flow.pace.window() as f64;
            let in_flight = flow.under_way.len() as u64 * PACKET;
            if in_flight + PACKET >= flow.pace.window() {
                break;
            }
            let smoothed = flow.smoothed.as_secs_f64();
            let capacity = (window * 0.002 / smoothed).clamp(14_520.0, 371_712.0);
            let gained = window * 1.25 * (now - flow.filled).as_secs_f64() / smoothed;
            flow.tokens = (flow.tokens + gained).min(capacity);
            flow.filled = now;
            if flow.tokens < PACKET as f64 {
                if !flow.waiting {
                    flow.waiting = true;
                    let wait = smoothed * (capacity - flow.tokens) / window * 0.8;
                    self.at(now + Duration::from_secs_f64(wait), Event::Send(index));
                }
                break;
            }
            flow.tokens -= PACKET as f64;
            self.transmit(index);
            any = true;
        }
        if any {
            let now = self.now;
            self.flows[index].pace.sent(now);
            self.arm(index);
        }
    }

    fn arm(&mut self, index: usize) {
        let flow = &self.flows[index];
        let wait = (flow.smoothed * 3 / 2 + Duration::from_millis(25)) * (1 << flow.probes.min(10));
        let event = Event::Probe(index, flow.next);
        self.at(self.now + wait, event);
    }

    /// Nothing was heard since: one packet goes whatever the window says.
    fn probe(&mut self, index: usize, next: u64) {
        let flow = &mut self.flows[index];
        let wait = (flow.smoothed * 3 / 2) * (1 << flow.probes.min(10));
        if flow.next != next || flow.under_way.is_empty() || self.now < flow.heard + wait {
            if flow.next == next && !flow.under_way.is_empty() {
                self.arm(index);
            }
            return;
        }
        flow.probes += 1;
        self.transmit(index);
        let now = self.now;
        self.flows[index].pace.sent(now);
        self.arm(index);
    }

    fn transmit(&mut self, index: usize) {
        let now = self.now;
        let flow = &mut self.flows[index];
        let packet = flow.next;
        flow.next += 1;
        flow.under_way.insert(packet, now);
        flow.sent_bytes += PACKET;
        if self.is_dead() {
            return;
        }
        let mbit_s = match self.line.then {
            Some((at, mbit_s)) if now >= at => mbit_s,
            _ => self.line.mbit_s,
        };
        let start = self.free_at.max(now);
        if start - now > self.line.queue {
            return;
        }
        let bits = (PACKET + HEADER) as f64 * 8.0;
        self.free_at = start + Duration::from_secs_f64(bits / mbit_s / 1e6);
        if self.chance() * 1000.0 < self.line.loss {
            return;
        }
        let at = self.free_at + self.way();
        self.at(at, Event::Arrives(index, packet));
    }

    fn arrives(&mut self, index: usize, packet: u64) {
        let now = self.now;
        let flow = &mut self.flows[index];
        let second = usize::try_from(now.as_secs()).unwrap();
        if flow.by_second.len() <= second {
            flow.by_second.resize(second + 1, 0);
        }
        flow.by_second[second] += PACKET;
        flow.answering.push(packet);
        if flow.answering.len() >= 2 {
            self.answer(index);
        } else {
            let late = Event::AnswerLate(index, flow.answered);
            self.at(now + Duration::from_millis(25), late);
        }
    }

    fn answer(&mut self, index: usize) {
        self.flows[index].answered += 1;
        if self.is_dead() || self.chance() * 1000.0 < self.line.loss {
            return; // the next answer names these packets too
        }
        let packets = std::mem::take(&mut self.flows[index].answering);
        let at = self.now + self.way();
        self.at(at, Event::Answer(index, packets));
    }

    fn answered(&mut self, index: usize, packets: &[u64]) {
        let now = self.now;
        let flow = &mut self.flows[index];
        for packet in packets {
            if let Some(sent) = flow.under_way.remove(packet) {
                flow.pace.delivered(now, sent, PACKET);
                if flow.newest.is_none_or(|newest| newest < *packet) {
                    flow.newest = Some(*packet);
                    flow.smoothed = (flow.smoothed * 7 + (now - sent)) / 8;
                }
            }
        }
        let in_flight = flow.under_way.len() as u64 * PACKET;
        flow.pace.settled(now, in_flight, flow.limited);
        flow.probes = 0;
        flow.heard = now;
        let newest = flow.newest.unwrap_or(0);
        let late = flow.smoothed * 9 / 8;
        let lost: Vec<(u64, Duration)> = flow
            .under_way
            .range(..newest)
            .filter(|(packet, sent)| **packet + 3 <= newest || now - **sent >= late)
            .map(|(packet, sent)| (*packet, *sent))
            .collect();
        if !lost.is_empty() {
            for (packet, _) in &lost {
                flow.under_way.remove(packet);
            }
            let bytes = lost.len() as u64 * PACKET;
            flow.lost_bytes += bytes;
            flow.pace.lost(bytes);
        }
        self.send(index);
    }

    /// Which share of the line's bits a flow delivered between two moments, headers not counted.
    pub(super) fn share(&self, flow: usize, from: u64, to: u64) -> f64 {
        let seconds = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
        let by_second = &self.flows[flow].by_second;
        let bytes: u64 = seconds.filter_map(|at| by_second.get(at)).sum();
        bytes as f64 * 8.0 / ((to - from) as f64 * self.line.mbit_s * 1e6)
    }

    pub(super) fn lost_share(&self, flow: usize) -> f64 {
        let flow = &self.flows[flow];
        flow.lost_bytes as f64 / flow.sent_bytes as f64
    }
}
