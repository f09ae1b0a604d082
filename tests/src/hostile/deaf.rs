//! A UDP socket that loses what it is told to lose: quinn itself never leaves a gap, nor a handshake half done.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, Runtime as _, TokioRuntime, UdpPoller};

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Loses {
    /// Nothing.
    Nothing = 0,
    /// What comes in.
    Answers = 1,
    /// What comes in, and every other datagram that goes out.
    Every = 2,
    /// All of it.
    All = 3,
    /// What comes in, but for the first of it: a Retry, for instance.
    Later = 4,
}

/// The socket.
#[derive(Debug)]
pub struct Deaf {
    inner: Arc<dyn AsyncUdpSocket>,
    loses: AtomicU8,
    sent: AtomicU64,
    heard: AtomicU64,
}

impl Deaf {
    /// A socket with an address of this machine, and an endpoint over it.
    ///
    /// # Errors
    /// When there is no port left.
    pub fn endpoint(from: [u8; 4]) -> io::Result<(Arc<Self>, Endpoint)> {
        let runtime = Arc::new(TokioRuntime);
        let inner = runtime.wrap_udp_socket(UdpSocket::bind(SocketAddr::from((from, 0)))?)?;
        let socket = Arc::new(Self {
            inner,
            loses: AtomicU8::new(0),
            sent: AtomicU64::new(0),
            heard: AtomicU64::new(0),
        });
        let config = EndpointConfig::default();
        let over = Arc::clone(&socket) as Arc<dyn AsyncUdpSocket>;
        let endpoint = Endpoint::new_with_abstract_socket(config, None, over, runtime)?;
        Ok((socket, endpoint))
    }

    /// From now on.
    pub fn lose(&self, what: Loses) {
        self.loses.store(what as u8, Ordering::Relaxed);
    }

    /// How often something came in, lost or not.
    #[must_use]
    pub fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// How often something went out, lost or not.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn loses(&self) -> u8 {
        self.loses.load(Ordering::Relaxed)
    }
}

impl AsyncUdpSocket for Deaf {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let lost = match self.loses() {
            2 => number.is_multiple_of(2),
            loses => loses == Loses::All as u8,
        };
        if lost {
            Ok(())
        } else {
            self.inner.try_send(transmit)
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            let heard = ready!(self.inner.poll_recv(cx, bufs, meta))?;
            let before = self.heard.fetch_add(1, Ordering::Relaxed);
            let loses = self.loses();
            if loses == Loses::Nothing as u8 || loses == Loses::Later as u8 && before == 0 {
                return Poll::Ready(Ok(heard));
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}
