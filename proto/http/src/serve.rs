//! Puts a router behind the bounds.

#[cfg(test)]
mod tests;

use std::future::{Ready, ready};
use std::io::{Error, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio::net::TcpStream;

use crate::bounds::{
    Bounds, CONNECTION_WINDOW, LONGEST_HEAD, LONGEST_TARGET, MOST_FIELDS, STREAM_WINDOW, STREAMS,
};
use crate::places::Places;
use crate::request::{Guarded, Refuse};
use crate::stream::Held;

/// Gives every connection its place.
#[derive(Clone, Debug)]
struct Door {
    places: Arc<Places>,
    refuse: Refuse,
    body: Duration,
}

impl<S> Accept<TcpStream, S> for Door {
    type Stream = Held<TcpStream>;
    type Service = Guarded<S>;
    type Future = Ready<Result<(Self::Stream, Self::Service), Error>>;

    fn accept(&self, stream: TcpStream, inner: S) -> Self::Future {
        ready(self.enter(stream, inner))
    }
}

impl Door {
    fn enter<S>(
        &self,
        stream: TcpStream,
        inner: S,
    ) -> Result<(Held<TcpStream>, Guarded<S>), Error> {
        stream.set_nodelay(true)?;
        let from = stream.peer_addr()?.ip();
        let Some(place) = self.places.take(from) else {
            return Err(Error::from(ErrorKind::ResourceBusy));
        };
        let guarded = Guarded {
            inner,
            connection: Arc::clone(&place.connection),
            refuse: self.refuse,
            body: self.body,
        };
        Ok((Held::new(stream, place), guarded))
    }
}

/// Serves a router until its handle says that it is to end. `listener` does not block; handlers learn the peer's address as
/// `ConnectInfo<SocketAddr>`.
///
/// # Errors
/// When nothing can be accepted from the listener.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<RustlsConfig>,
    bounds: &Bounds,
    refuse: Refuse,
    handle: Handle<SocketAddr>,
) -> std::io::Result<()> {
    let places = Places::new(bounds.clone());
    within(&places, bounds, listener, router, tls, refuse, handle).await
}

async fn within(
    places: &Arc<Places>,
    bounds: &Bounds,
    listener: TcpListener,
    router: Router,
    tls: Option<RustlsConfig>,
    refuse: Refuse,
    handle: Handle<SocketAddr>,
) -> std::io::Result<()> {
    let door = Door {
        places: Arc::clone(places),
        refuse,
        body: bounds.body(),
    };
    let mut server = axum_server::from_tcp(listener)?.handle(handle);
    let builder = server.http_builder();
    builder
        .http1()
        .max_headers(MOST_FIELDS)
        // beyond this a head is not read on; what is a little shorter is judged as those of HTTP/2 are
        .max_buf_size(LONGEST_HEAD + LONGEST_TARGET);
    builder
        .http2()
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(LONGEST_HEAD).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(256)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = async {
        match tls {
            None => server.acceptor(door).serve(service).await,
            Some(tls) => {
                let acceptor = RustlsAcceptor::new(tls).acceptor(door);
                server.acceptor(acceptor).serve(service).await
            }
        }
    };
    tokio::select! {
        served = serving => served,
        () = places.watch() => Ok(()),
    }
}
