//! `/healthz`: the process runs. `/readyz`: it answers for its rows and is not about to end. `/metrics`: counts as text. Served on a
//! port of their own.

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

async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    match readiness.ask().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(sentence) => (StatusCode::SERVICE_UNAVAILABLE, sentence),
    }
}

async fn metrics(State(readiness): State<Readiness>) -> Result<String, StatusCode> {
    readiness
        .metrics()
        .await
        .or(Err(StatusCode::SERVICE_UNAVAILABLE))
}
