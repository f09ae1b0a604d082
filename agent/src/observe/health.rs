//! `/healthz`: the process runs. `/readyz`: hospitals' systems may send to it, or the first cause why not. `/metrics`: counts and ages as
//! text, without identifiers. Served on a port of their own, where `[health]` names one.
//!
//! | cause | meaning |
//! |---|---|
//! | `starting`, `draining` | the process is not up yet, or finishes what it has begun and ends |
//! | `disk-full` | the hard floor is passed, or promised bytes are missing: no instances are taken |
//! | `disk-write` | nothing can be written into the spool folder, or it does not reach the disk |
//! | `rows` | nothing can be committed |
//! | `clock` | it is not set, or went back |
//! | `certificate` | that of the link does not hold, or ends within seven days |
//!
//! Said of an agent that is ready, since it goes on receiving: `disk-low`, the soft floor is passed; `link-down`.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum_server::Handle;
use causeway_http::{Bounds, Refusal};
use causeway_observe::Readiness;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::control::Desk;
use super::measure;

/// `[health]`: without it there is no such port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port of `/healthz`, `/readyz` and `/metrics`, such as `127.0.0.1:9091`; port 0 takes a free one. Not for the open
    /// network.
    #[serde(default)]
    pub listen: Option<String>,
}

/// What the pages answer from.
#[derive(Clone, Debug)]
struct Seen {
    desk: Desk,
    readiness: Readiness,
}

fn routes(seen: Seen) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(seen)
}

async fn readyz(State(seen): State<Seen>) -> (StatusCode, String) {
    match seen.readiness.text().await {
        Ok(said) => (StatusCode::OK, said),
        Err(cause) => (StatusCode::SERVICE_UNAVAILABLE, cause),
    }
}

async fn metrics(State(seen): State<Seen>) -> Result<String, StatusCode> {
    let ready = seen.readiness.ask().await.is_ok();
    let told = measure::metrics(&seen.desk, ready).await;
    told.or(Err(StatusCode::SERVICE_UNAVAILABLE))
}

/// Takes the port.
///
/// # Errors
/// As the system says.
pub fn listen(address: &str) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Serves until `cancel` fires.
pub async fn serve(
    listener: TcpListener,
    desk: Desk,
    readiness: Readiness,
    cancel: CancellationToken,
) {
    let handle: Handle<SocketAddr> = Handle::new();
    let (router, bounds) = (routes(Seen { desk, readiness }), Bounds::default());
    let serving = causeway_http::serve(listener, router, None, &bounds, refused, handle.clone());
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = cancel.cancelled() => {
            handle.graceful_shutdown(Some(Duration::from_secs(1)));
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::error!(%error, "the health port cannot be served");
    }
}

fn refused(refusal: Refusal) -> Response {
    (refusal.status(), refusal.sentence()).into_response()
}
