//! Asking a server the same kind of thing many times, by one client or by several at once.

use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use tokio::time::Instant;

use super::line::Line;
use super::server::Server;
use crate::rig::{Series, Usage};

/// One kind of request: its addresses, in turn.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) paths: Vec<String>,
    pub(crate) accept: &'static str,
    pub(crate) clients: usize,
}

/// What rounds of one kind measured at one server.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) p50: Series,
    pub(crate) p99: Series,
    pub(crate) megabytes: Series,
    pub(crate) per_second: Series,
    /// Processor time of the server, in milliseconds a request.
    pub(crate) cpu: Series,
}

impl Taken {
    pub(crate) fn new(server: &str, kind: &Kind) -> Self {
        let name = format!("{}, {server}", kind.name);
        let new = || Series::new(&name);
        Self {
            p50: new(),
            p99: new(),
            megabytes: new(),
            per_second: new(),
            cpu: new(),
        }
    }

    /// One more round: `times` requests, by as many clients at once as the kind says, after the first `from` of its addresses.
    pub(crate) fn round(
        &mut self,
        server: &Server,
        kind: &Kind,
        times: usize,
        from: usize,
    ) -> anyhow::Result<()> {
        let each = times / kind.clients;
        let (before, start) = (Usage::of(server.pid)?, Instant::now());
        let clients: Vec<anyhow::Result<(Vec<f64>, u64)>> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..kind.clients)
                .map(|client| scope.spawn(move || ask(server, kind, from + client * each, each)))
                .collect();
            let gone = || Err(anyhow!("a client panicked"));
            all.into_iter()
                .map(|one| one.join().unwrap_or_else(|_| gone()))
                .collect()
        });
        let (took, used) = (start.elapsed(), Usage::of(server.pid)?.since(before));
        let (mut times, mut bytes) = (Vec::new(), 0);
        for client in clients {
            let (some, size) =
                client.with_context(|| format!("{} of {}", kind.name, server.name))?;
            times.extend(some);
            bytes += size;
        }
        times.sort_by(f64::total_cmp);
        let requests = f64::from(u32::try_from(times.len())?);
        let kilobytes = f64::from(u32::try_from(bytes / 1000)?);
        self.p50.values.push(at(&times, 0.50));
        self.p99.values.push(at(&times, 0.99));
        self.megabytes
            .values
            .push(kilobytes / 1e3 / took.as_secs_f64());
        self.per_second.values.push(requests / took.as_secs_f64());
        self.cpu.values.push(used * 1e3 / requests);
        Ok(())
    }
}

/// Times of each request in milliseconds, and the bytes of all answers.
fn ask(server: &Server, kind: &Kind, from: usize, times: usize) -> anyhow::Result<(Vec<f64>, u64)> {
    let mut line = Line::open(&server.place)?;
    let (mut taken, mut bytes) = (Vec::with_capacity(times), 0);
    let paths = kind.paths.iter().cycle().skip(from);
    for path in paths.take(times) {
        let start = Instant::now();
        let answer = line.get(path, kind.accept)?;
        taken.push(milliseconds(start.elapsed()));
        ensure!(answer.bytes > 2, "{path}: an empty answer");
        bytes += answer.bytes;
    }
    Ok((taken, bytes))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The value below which this share of sorted values lies.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank within a short list"
)]
fn at(sorted: &[f64], share: f64) -> f64 {
    let count = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
    let rank = (share * f64::from(count)).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}
