//! The edge towards the gateway: one QUIC connection at a time, kept up for as long as the agent runs.
//!
//! Nothing is written to the line but what has passed [`alias`]. [`dial`] makes the connection and says HELLO, [`way`] chooses how it is
//! carried: over UDP, or where that does not pass through a [`tunnel`] over TCP. [`session`] runs it until it ends, [`upload`] sends what the spool offers in its
//! protected form, [`download`] takes reports home and says what became of them. What to send next and when is decided by the
//! machines of `proto::link`; nothing here outlives a connection that is not in the spool or in the rows of deliveries.

mod alias;
mod coded;
mod config;
mod dial;
mod download;
pub mod enrol;
pub mod firewall;
mod judging;
mod lanes;
mod leave;
mod path;
mod proxy;
mod sending;
mod session;
mod talking;
mod tunnel;
mod upload;
mod way;

use std::time::Duration;

use causeway_certs::tls::ClientTls;
use causeway_line::quic::Traffic;
use causeway_proto::link::close::Code;
use causeway_proto::link::session::{Farewell, Pause};
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::delivery::Deliveries;
use crate::protect::Protector;
use crate::spool::Spool;
pub use config::{Coding, Config, Congestion};
use path::Meter;
pub use proxy::{NoProxy, Proxy};
use way::Ways;
pub use way::{Transport, Way};

/// How the link stands, for `status`, metrics and the site page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// A connection is being made.
    Connecting {
        /// Why the last one ended or did not come about.
        last_error: Option<String>,
    },
    /// Both sides have said HELLO.
    Up {
        /// Since when.
        since: Timestamp,
        /// The gateway's program.
        gateway: String,
        /// Where it was reached.
        address: String,
        /// How the link is carried.
        way: Way,
        /// What a person should know although the link is up: the clocks differ, or the gateway is about to restart.
        remark: Option<String>,
        /// What has gone over the line since the agent began, and what the path is like; a few seconds old.
        traffic: Traffic,
    },
    /// There is no connection; the next try follows.
    Down {
        /// Since when.
        since: Timestamp,
        /// Why, for a person.
        sentence: String,
        /// The close code, when the gateway gave one.
        code: Option<&'static str>,
        /// When the next try follows.
        next_try: Timestamp,
    },
}

impl State {
    /// What the state is before the first try.
    #[must_use]
    pub fn new() -> Self {
        Self::Connecting { last_error: None }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

/// All that the link needs.
#[derive(Clone, Debug)]
pub struct Link {
    /// Where the gateway is, and the bounds.
    pub config: Config,
    /// The agent's certificate and what it trusts.
    pub tls: ClientTls,
    /// What goes out.
    pub spool: Spool,
    /// What comes home.
    pub deliveries: Deliveries,
    /// Makes the form in which each instance leaves.
    pub protector: Protector,
    /// The wall clock, for HELLO and for the published state.
    pub clock: Clock,
    /// Spreads the tries of many agents.
    pub random: Random,
}

/// How a connection ended.
#[derive(Debug)]
struct Ended {
    farewell: Farewell,
    /// What the gateway asked for with GOAWAY.
    asked: Option<Duration>,
    /// The link was up; the next failure is the first again.
    was_up: bool,
    /// Dial again at once: our own certificate was renewed, or UDP passes again.
    at_once: bool,
    heard: Heard,
}

/// What an attempt tells about its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Nobody,
    Somebody,
    /// Somebody, over TCP, and UDP passes again.
    UdpPasses,
}

/// Keeps the link up until `cancel` fires, and publishes how it stands.
pub async fn run(link: Link, state: watch::Sender<State>, cancel: CancellationToken) {
    let mut pause = Pause::new(link.config.pauses());
    let mut ways = Ways::new(link.config.transport, link.config.proxy.is_some());
    let (meter, mut down) = (Meter::default(), Instant::now());
    let mut last_error = None;
    while !cancel.is_cancelled() {
        state.send_replace(State::Connecting {
            last_error: last_error.take(),
        });
        let since = (down.elapsed(), &meter);
        let ended = Box::pin(one_connection(&link, &ways, since, &state, &cancel)).await;
        if cancel.is_cancelled() {
            break;
        }
        match ended.heard {
            Heard::Nobody => ways.unanswered(),
            Heard::Somebody => ways.answered(),
            Heard::UdpPasses => ways.udp_passes(),
        }
        if ended.was_up {
            pause.reset();
            down = Instant::now();
        }
        let code = (ended.farewell.code != Code::Done).then_some(ended.farewell.code);
        let goes_on = ended.heard == Heard::Nobody && ways.goes_on();
        let wait = if ended.at_once || goes_on {
            Duration::ZERO
        } else {
            pause.after(down.elapsed(), code, ended.asked, &link.random)
        };
        let now = link.clock.now();
        tracing::warn!(sentence = %ended.farewell.sentence, wait_ms = wait.as_millis(), "the link is down");
        last_error = Some(ended.farewell.sentence.clone());
        state.send_replace(State::Down {
            since: now,
            sentence: ended.farewell.sentence,
            code: code.map(Code::name),
            next_try: now.plus(wait),
        });
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = cancel.cancelled() => {}
        }
    }
}

async fn one_connection(
    link: &Link,
    ways: &Ways,
    (down, meter): (Duration, &Meter),
    state: &watch::Sender<State>,
    cancel: &CancellationToken,
) -> Ended {
    let way = ways.next();
    let dialled = tokio::select! {
        dialled = dial::dial(link, way, down) => dialled,
        () = cancel.cancelled() => Err(Farewell::from(Code::Done).into()),
    };
    let dialled = match dialled {
        Ok(dialled) => dialled,
        Err(not) => {
            return Ended {
                farewell: not.farewell,
                heard: if not.unanswered {
                    Heard::Nobody
                } else {
                    Heard::Somebody
                },
                asked: None,
                was_up: false,
                at_once: false,
            };
        }
    };
    let (endpoint, connection) = (dialled.endpoint.clone(), dialled.connection.clone());
    let ended = session::run(link, ways, meter, dialled, state, cancel).await;
    meter.ended(&connection);
    path::keep(link, way, &connection).await;
    let rest = Duration::from_secs(1);
    if tokio::time::timeout(rest, endpoint.wait_idle())
        .await
        .is_err()
    {
        tracing::debug!("the gateway did not confirm the end of the connection");
    }
    ended
}
