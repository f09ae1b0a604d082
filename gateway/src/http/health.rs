//! `/healthz`: the process runs. `/readyz`: it can take work, or the first cause why not. `/metrics`: counts and ages as text. Served on a
//! port of their own.
//!
//! | cause | meaning |
//! |---|---|
//! | `starting`, `draining` | the process is not up yet, or finishes what it has begun and ends |
//! | `disk-full` | the hard floor is passed: no instances are taken |
//! | `disk-write` | nothing can be written into the data folder, or it does not reach the disk |
//! | `rows` | nothing can be committed |
//! | `clock` | it is not set, or went back |
//! | `certificate` | one of ours does not hold, or ends within seven days |
//!
//! Said of a gateway that is ready, since reading goes on: `disk-low`, the soft floor is passed; `disk-reserve`, no room is held for rows
//! and audit.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::observe::Readiness;

/// The three pages.
pub fn routes(readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(readiness)
}

/// `ready`, and in further lines what is to be said all the same; or the first cause why not: a word, a colon and a sentence.
async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, String) {
    match readiness.text().await {
        Ok(said) => (StatusCode::OK, said),
        Err(cause) => (StatusCode::SERVICE_UNAVAILABLE, cause),
    }
}

async fn metrics(State(readiness): State<Readiness>) -> Result<String, StatusCode> {
    readiness
        .metrics()
        .await
        .or(Err(StatusCode::SERVICE_UNAVAILABLE))
}
