//! A UDP relay between the two ends that counts, and that goes deaf when told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

#[derive(Debug)]
struct Line {
    open: AtomicBool,
    up: AtomicU64,
    cut_at: AtomicU64,
    /// Bytes a second from the agent.
    rate: AtomicU64,
}

/// The line between one agent and one gateway.
#[derive(Debug)]
pub struct Relay {
    /// Where the agent finds the gateway.
    pub address: SocketAddr,
    line: Arc<Line>,
    tracker: TaskTracker,
    _guard: DropGuard,
}

impl Relay {
    /// A line to `gateway`.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub async fn start(gateway: SocketAddr) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let line = Arc::new(Line {
            open: AtomicBool::new(true),
            up: AtomicU64::new(0),
            cut_at: AtomicU64::new(u64::MAX),
            rate: AtomicU64::new(u64::MAX),
        });
        let cancel = CancellationToken::new();
        let tracker = TaskTracker::new();
        let up = up(
            Arc::new(socket),
            gateway,
            Arc::clone(&line),
            tracker.clone(),
            cancel.clone(),
        );
        let stop = cancel.clone();
        tracker.spawn(async move { stop.run_until_cancelled(up).await });
        Ok(Self {
            address,
            line,
            tracker,
            _guard: cancel.drop_guard(),
        })
    }

    /// Bytes that the agent has sent through it.
    #[must_use]
    pub fn up(&self) -> u64 {
        self.line.up.load(Ordering::Relaxed)
    }

    /// Carries so many bytes a second from the agent from now on.
    pub fn slow(&self, bytes_per_s: u64) {
        self.line.rate.store(bytes_per_s.max(1), Ordering::Relaxed);
    }

    /// Goes deaf after so many more bytes from the agent.
    pub fn cut_after(&self, bytes: u64) {
        let at = self.up().saturating_add(bytes);
        self.line.cut_at.store(at, Ordering::Relaxed);
    }

    /// Whether it still hears.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.line.open.load(Ordering::Relaxed)
    }

    /// Hears again.
    pub fn mend(&self) {
        self.line.cut_at.store(u64::MAX, Ordering::Relaxed);
        self.line.open.store(true, Ordering::Relaxed);
    }

    /// Ends it.
    pub async fn stop(self) {
        let tracker = self.tracker.clone();
        drop(self);
        tracker.close();
        tracker.wait().await;
    }
}

async fn up(
    agents: Arc<UdpSocket>,
    gateway: SocketAddr,
    line: Arc<Line>,
    tracker: TaskTracker,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let mut lines: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut packet = vec![0; 65_536];
    let mut free_at = Instant::now();
    loop {
        // what comes before the line is free waits in the socket, and is lost when that is full
        tokio::time::sleep_until(free_at).await;
        let (length, from) = agents.recv_from(&mut packet).await?;
        let micros = (length as u64).saturating_mul(1_000_000) / line.rate.load(Ordering::Relaxed);
        free_at = free_at.max(Instant::now()) + Duration::from_micros(micros);
        let bytes = packet.get(..length).context("a packet")?;
        let total = line.up.fetch_add(length as u64, Ordering::Relaxed) + length as u64;
        if total >= line.cut_at.load(Ordering::Relaxed) {
            line.open.store(false, Ordering::Relaxed);
        }
        if !line.open.load(Ordering::Relaxed) {
            continue;
        }
        let socket = match lines.get(&from) {
            Some(socket) => Arc::clone(socket),
            None => {
                let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
                socket.connect(gateway).await?;
                lines.insert(from, Arc::clone(&socket));
                let down = down(
                    Arc::clone(&agents),
                    Arc::clone(&socket),
                    from,
                    Arc::clone(&line),
                );
                let stop = cancel.clone();
                tracker.spawn(async move { stop.run_until_cancelled(down).await });
                socket
            }
        };
        // a gateway that is gone answers by ICMP: on a real line that packet would be lost as well
        drop(socket.send(bytes).await);
    }
}

async fn down(
    agents: Arc<UdpSocket>,
    gateway: Arc<UdpSocket>,
    to: SocketAddr,
    line: Arc<Line>,
) -> anyhow::Result<()> {
    let mut packet = vec![0; 65_536];
    loop {
        let Ok(length) = gateway.recv(&mut packet).await else {
            continue;
        };
        if line.open.load(Ordering::Relaxed) {
            let bytes = packet.get(..length).context("a packet")?;
            agents.send_to(bytes, to).await?;
        }
    }
}
