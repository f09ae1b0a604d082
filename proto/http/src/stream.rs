//! A socket that ends when its place is taken away.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::places::Place;

/// A socket that holds a place.
#[derive(Debug)]
pub(crate) struct Held<I> {
    socket: I,
    place: Place,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<I> Held<I> {
    pub(crate) fn new(socket: I, place: Place) -> Self {
        let ended = Box::pin(place.connection.end.clone().cancelled_owned());
        Self {
            socket,
            place,
            ended,
        }
    }

    /// Fails once the place is taken away, and wakes whoever waits for the socket then.
    fn check(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if self.place.connection.end.is_cancelled() || self.ended.as_mut().poll(cx).is_ready() {
            return Err(Error::from(ErrorKind::TimedOut));
        }
        Ok(())
    }

    fn wrote(&self, done: Poll<Result<usize>>) -> Poll<Result<usize>> {
        match &done {
            Poll::Pending => self.place.connection.wrote(false),
            Poll::Ready(Ok(_)) => self.place.connection.wrote(true),
            Poll::Ready(Err(_)) => {}
        }
        done
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Held<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Held<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        self.check(cx)?;
        let done = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.wrote(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.check(cx)?;
        let done = Pin::new(&mut self.socket).poll_write_vectored(cx, pieces);
        self.wrote(done)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.check(cx)?;
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        self.place.connection.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}
