//! `/api/v1`: everything the reading room can do, as JSON, with a session or a bearer token.

mod admin;
mod body;
mod cases;
mod events;
mod letters;
mod readable;
mod reporting;
mod reports;
mod session;
mod shown;
#[cfg(test)]
mod tests;
mod withdraw;
mod worklist;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::routing::{get, post};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::State;
use super::error;

#[derive(OpenApi)]
#[openapi(info(
    title = "Causeway reading room",
    description = "Everything the reading room can do. Sign in for a session cookie, or take a bearer token.",
    version = "1"
))]
struct Document;

/// A sign-in is at most this long, in bytes.
const LONGEST_SIGN_IN: usize = 16 << 10;

/// The routes, to be nested under `/api/v1`.
pub(super) fn routes(state: &State) -> Router<State> {
    // whoever sends this body is nobody yet
    let door = OpenApiRouter::new()
        .routes(routes!(session::sign_in, session::sign_out))
        .layer(DefaultBodyLimit::max(LONGEST_SIGN_IN));
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .merge(door)
        .routes(routes!(session::me))
        .routes(routes!(session::token))
        .routes(routes!(session::unlock))
        .routes(routes!(session::password))
        .routes(routes!(worklist::list))
        .routes(routes!(worklist::claim))
        .routes(routes!(worklist::reserve))
        .routes(routes!(worklist::put_back))
        .routes(routes!(worklist::cancel))
        .routes(routes!(cases::case))
        .routes(routes!(reporting::draft, reporting::save))
        .routes(routes!(reporting::preview))
        .routes(routes!(reporting::sign))
        .routes(routes!(reporting::correct))
        .routes(routes!(withdraw::withdraw))
        .routes(routes!(reports::of_case))
        .routes(routes!(reports::one))
        .routes(routes!(reports::document))
        .routes(routes!(readable::readable))
        .routes(routes!(letters::write))
        .routes(routes!(letters::read))
        .routes(routes!(events::events))
        .routes(routes!(admin::sites))
        .routes(routes!(admin::agreements))
        .routes(routes!(admin::users))
        .routes(routes!(admin::certificates))
        .routes(routes!(admin::quarantine))
        .routes(routes!(admin::deliveries))
        .split_for_parts();
    let document = document.to_json().unwrap_or_default();
    let described = move || {
        let document = document.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], document) }
    };
    let refused = || {
        post(reports::immutable)
            .put(reports::immutable)
            .patch(reports::immutable)
            .delete(reports::immutable)
    };
    router
        .route("/openapi.json", get(described))
        .route("/reports/{id}", refused())
        .route("/reports/{id}/sr", refused())
        .fallback(error::not_found)
        .layer(DefaultBodyLimit::max(state.config.max_body_bytes))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            Duration::from_secs(state.config.request_timeout_s),
        ))
        .layer(SetResponseHeaderLayer::overriding(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
}
