//! Which way the next connection takes: QUIC over UDP, or its datagrams inside of TLS over TCP where UDP does not pass.

use std::time::Duration;

use quinn::Connection;
use serde::{Deserialize, Serialize};

use super::{Config, Link};

/// How a connection is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// As QUIC is meant.
    Udp,
    /// Through a tunnel.
    Tcp,
}

/// What the site wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// UDP, and TCP where nobody answers; back to UDP when it passes again. Behind a proxy TCP first.
    #[default]
    Auto,
    /// Only UDP.
    Udp,
    /// Only TCP.
    Tcp,
}

/// Tries over UDP without any answer after which TCP is tried.
const PATIENCE: u32 = 2;

/// The first question whether UDP passes: when a line comes back, chance may have it found over TCP.
const AT_ONCE: Duration = Duration::from_secs(2);
/// So often the time between two questions doubles.
const BETRAYED_MAX: u32 = 6;

/// Chooses. A try that was answered, even by a refusal, says nothing against its way.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    transport: Transport,
    way: Way,
    unanswered: u32,
    /// The next try is one over UDP because it was said to pass.
    returning: bool,
    /// Such tries in a row that nobody answered: something answers the question and carries no handshake.
    betrayed: u32,
}

impl Ways {
    pub(super) fn new(transport: Transport, behind_proxy: bool) -> Self {
        let way = match transport {
            Transport::Tcp => Way::Tcp,
            Transport::Auto if behind_proxy => Way::Tcp,
            Transport::Auto | Transport::Udp => Way::Udp,
        };
        Self {
            transport,
            way,
            unanswered: 0,
            returning: false,
            betrayed: 0,
        }
    }

    pub(super) fn next(&self) -> Way {
        self.way
    }

    /// The other side has said something.
    pub(super) fn answered(&mut self) {
        self.unanswered = 0;
        self.returning = false;
        if self.way == Way::Udp {
            self.betrayed = 0;
        }
    }

    /// Nobody answered. UDP is given a second try; then both ways are tried in turn until somebody answers.
    pub(super) fn unanswered(&mut self) {
        self.unanswered = self.unanswered.saturating_add(1);
        if std::mem::take(&mut self.returning) {
            self.betrayed = self.betrayed.saturating_add(1);
        }
        if self.transport != Transport::Auto {
            return;
        }
        self.way = match self.way {
            Way::Udp if self.unanswered < PATIENCE => Way::Udp,
            Way::Udp => Way::Tcp,
            Way::Tcp => Way::Udp,
        };
    }

    /// Whether the other way is still to be tried before the pause: a pause between the two would be two for each round, and where one
    /// way never passes the other would be tried half as often.
    pub(super) fn goes_on(&self) -> bool {
        self.transport == Transport::Auto && self.way == Way::Tcp && self.unanswered >= PATIENCE
    }

    /// UDP passes again.
    pub(super) fn udp_passes(&mut self) {
        if self.transport == Transport::Auto {
            (self.way, self.unanswered, self.returning) = (Way::Udp, 0, true);
        }
    }

    /// After how long a link that runs this way asks whether UDP passes, first and then; none: never. The longer, the more often the
    /// answer was found false: each time the link was down for it.
    pub(super) fn asks_for_udp(&self, config: &Config) -> Option<(Duration, Duration)> {
        let auto = config.transport == Transport::Auto && config.proxy.is_none();
        if self.way != Way::Tcp || !auto {
            return None;
        }
        let often = Duration::from_secs(config.udp_again_s.max(1));
        let then = often.saturating_mul(1 << self.betrayed.min(BETRAYED_MAX));
        let first = match self.betrayed {
            0 => often.min(AT_ONCE),
            _ => then,
        };
        Some((first, then))
    }
}

/// Where the gateway was reached.
pub(super) fn reached_at(link: &Link, way: Way, connection: &Connection) -> String {
    match way {
        Way::Udp => connection.remote_address().to_string(),
        Way::Tcp => link.config.tcp_address().to_owned(),
    }
}

/// What a person should know although the link is up.
pub(super) fn remark(link: &Link, way: Way, skew: Option<String>) -> Option<String> {
    let config = &link.config;
    let tcp = (way == Way::Tcp && config.transport == Transport::Auto && config.proxy.is_none())
        .then(|| {
            format!(
                "Over TCP, because UDP to {} does not pass: slower where the line loses packets. `doctor --firewall` says what to ask for.",
                config.address
            )
        });
    match (skew, tcp) {
        (Some(skew), Some(tcp)) => Some(format!("{skew} {tcp}")),
        (skew, tcp) => skew.or(tcp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ways of so many tries that nobody answers.
    fn tries(transport: Transport, behind_proxy: bool) -> Vec<Way> {
        let mut ways = Ways::new(transport, behind_proxy);
        let mut taken = Vec::new();
        for _ in 0..6 {
            taken.push(ways.next());
            ways.unanswered();
        }
        taken
    }

    #[test]
    fn tcp_follows_the_second_try_without_an_answer_and_then_both_in_turn() {
        use Way::{Tcp, Udp};
        assert_eq!(
            tries(Transport::Auto, false),
            [Udp, Udp, Tcp, Udp, Tcp, Udp]
        );
        assert_eq!(tries(Transport::Auto, true), [Tcp, Udp, Tcp, Udp, Tcp, Udp]);
        assert_eq!(tries(Transport::Udp, true), [Udp; 6]);
        assert_eq!(tries(Transport::Tcp, false), [Tcp; 6]);
    }

    #[test]
    fn each_round_over_both_ways_has_one_pause() {
        let mut ways = Ways::new(Transport::Auto, false);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            ways.unanswered();
            pauses.push(!ways.goes_on());
        }
        // UDP and UDP; from then on TCP and UDP at once
        assert_eq!(pauses, [true, false, true, false, true, false, true]);
        for transport in [Transport::Udp, Transport::Tcp] {
            let mut ways = Ways::new(transport, true);
            (0..4).for_each(|_| ways.unanswered());
            assert!(!ways.goes_on(), "{transport:?}");
        }
    }

    #[test]
    fn an_answer_that_no_handshake_follows_is_believed_less_each_time() {
        let config = Config {
            udp_again_s: 600,
            ..Config::default()
        };
        let mut ways = Ways::new(Transport::Auto, false);
        assert_eq!(ways.asks_for_udp(&config), None, "over UDP");
        ways.unanswered();
        ways.unanswered();
        let mut asked = Vec::new();
        for _ in 0..8 {
            ways.answered();
            assert_eq!(ways.next(), Way::Tcp);
            asked.push(ways.asks_for_udp(&config).unwrap().0.as_secs());
            ways.udp_passes();
            ways.unanswered();
            assert_eq!(ways.next(), Way::Udp, "a second try");
            ways.unanswered();
        }
        let expect = [2, 1200, 2400, 4800, 9600, 19_200, 38_400, 38_400];
        assert_eq!(asked, expect);
        // now the handshake goes through
        ways.answered();
        ways.udp_passes();
        ways.answered();
        ways.unanswered();
        ways.unanswered();
        assert_eq!(ways.next(), Way::Tcp);
        let (first, then) = ways.asks_for_udp(&config).unwrap();
        assert_eq!((first.as_secs(), then.as_secs()), (2, 600));
    }

    #[test]
    fn what_was_up_stays_on_its_way_until_udp_passes_again() {
        let mut ways = Ways::new(Transport::Auto, false);
        ways.unanswered();
        ways.unanswered();
        ways.answered();
        assert_eq!(ways.next(), Way::Tcp);
        ways.udp_passes();
        assert_eq!(ways.next(), Way::Udp);
    }
}
