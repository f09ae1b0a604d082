//! How fast bytes arrive, measured over one round trip each (as draft-cheng-iccrg-delivery-rate-estimation describes it): what was delivered
//! between the sending of a packet and its delivery, over the longer of the times that sending it and hearing of it took.

use std::collections::VecDeque;
use std::time::Duration;

/// Batches of packets that are remembered; the oldest are forgotten first.
const BATCHES: usize = 16 * 1024;

/// Packets sent at one moment, with what had been delivered then.
#[derive(Clone, Copy, Debug)]
struct Batch {
    sent: Duration,
    delivered: u64,
    delivered_at: Duration,
    first_sent: Duration,
    limited: bool,
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Bytes per second.
    pub(super) rate: f64,
    /// The sender did not fill the path when this was sent.
    pub(super) limited: bool,
    /// From its sending to its answer.
    pub(super) round_trip: Duration,
    /// Everything that was under way at the last turn has been answered.
    pub(super) turn: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Delivery {
    delivered: u64,
    delivered_at: Duration,
    first_sent: Duration,
    batches: VecDeque<Batch>,
    newest: Option<Batch>,
    limited_until: u64,
    turn_at: u64,
    under_way: bool,
}

impl Delivery {
    pub(super) fn sent(&mut self, now: Duration) {
        if !self.under_way {
            self.under_way = true;
            self.first_sent = now;
            self.delivered_at = now;
        }
        if self.batches.back().is_some_and(|last| last.sent >= now) {
            return;
        }
        if self.batches.len() >= BATCHES {
            self.batches.pop_front();
        }
        self.batches.push_back(Batch {
            sent: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent: self.first_sent,
            // up to the mark itself: what is sent into an idle line right after it does not fill it either
            limited: self.limited_until >= self.delivered.max(1),
        });
    }

    /// For how long nothing was delivered although something was under way.
    pub(super) fn silence(&self, now: Duration) -> Option<Duration> {
        self.under_way
            .then(|| now.saturating_sub(self.delivered_at))
    }

    pub(super) fn delivered(&mut self, now: Duration, sent: Duration, bytes: u64) {
        self.delivered = self.delivered.saturating_add(bytes);
        self.delivered_at = now;
        let found = self
            .batches
            .binary_search_by(|batch| batch.sent.cmp(&sent))
            .ok()
            .and_then(|index| self.batches.get(index));
        if let Some(batch) = found
            && self.newest.is_none_or(|newest| newest.sent < sent)
        {
            self.newest = Some(*batch);
        }
    }

    /// Measures with the packet sent last among those just delivered.
    pub(super) fn sample(
        &mut self,
        now: Duration,
        in_flight: u64,
        limited: bool,
    ) -> Option<Sample> {
        if limited {
            self.limited_until = self.delivered.saturating_add(in_flight).max(1);
        }
        self.under_way = in_flight > 0;
        let newest = self.newest.take()?;
        if newest.sent < self.first_sent {
            return None;
        }
        self.first_sent = newest.sent;
        // what was sent long before cannot be the newest of an answer any more
        let old = newest.sent.saturating_sub(Duration::from_secs(2));
        while self.batches.front().is_some_and(|batch| batch.sent < old) {
            self.batches.pop_front();
        }
        let sending = newest.sent.saturating_sub(newest.first_sent);
        let hearing = now.saturating_sub(newest.delivered_at);
        let took = sending.max(hearing).as_secs_f64();
        if took <= 0.0 {
            return None;
        }
        let turn = newest.delivered >= self.turn_at;
        if turn {
            self.turn_at = self.delivered;
        }
        Some(Sample {
            rate: super::precise(self.delivered.saturating_sub(newest.delivered)) / took,
            limited: newest.limited,
            round_trip: now.saturating_sub(newest.sent),
            turn,
        })
    }
}
