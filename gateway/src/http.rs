//! The HTTP edge: pages, viewer, the programming interface and DICOMweb, over one session.

pub mod api;
pub mod auth;
pub mod dicomweb;
pub mod error;
pub mod health;
pub mod pages;
pub mod viewer;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, header};
use causeway_proto::random::Random;
use causeway_proto::time::Clock;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::access::Access;
use crate::archive::Archive;
use crate::audit::Trail;
use crate::parts::Wake;
use crate::rows::Rows;
use crate::sign::Signing;
use crate::worklist::{Events, Reservations};
pub use viewer::Viewer;

/// Where and as what the reading room is served.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port; port 0 takes a free one.
    pub listen: String,
    /// How browsers reach it. With `https:` the session cookie is sent over TLS only.
    pub public_url: String,
    /// Certificate chain, PEM; none serves plain HTTP, for a proxy before it.
    pub tls_certificate: Option<std::path::PathBuf>,
    /// Its private key, PEM.
    pub tls_key: Option<std::path::PathBuf>,
    /// The packaged viewer, `ohif.tar.zst`.
    pub viewer: Option<std::path::PathBuf>,
    /// Who may be connected, and for how long without asking, sending or taking anything.
    pub bounds: causeway_http::Bounds,
    /// A request's body has at most this many bytes.
    pub max_body_bytes: usize,
    /// A request of the programming interface is answered within this many seconds.
    pub request_timeout_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            public_url: "http://127.0.0.1:8080".to_owned(),
            tls_certificate: None,
            tls_key: None,
            viewer: None,
            bounds: causeway_http::Bounds::default(),
            max_body_bytes: 1 << 20,
            request_timeout_s: 60,
        }
    }
}

/// What every handler may use. Cheap to clone.
#[derive(Clone, Debug)]
pub struct State {
    /// Where rooms meet.
    pub rows: Rows,
    /// The time.
    pub clock: Clock,
    /// Chance.
    pub random: Random,
    /// Bytes and catalogue.
    pub archive: Archive,
    /// People.
    pub access: Access,
    /// Signing keys.
    pub signing: Signing,
    /// Which tasks are held for their next reader.
    pub reservations: Reservations,
    /// What open pages listen to.
    pub events: Events,
    /// Who looks at what is written down here first.
    pub trail: Trail,
    /// Tells the link that a report waits.
    pub homeward: Wake,
    /// Cancelled when the process is to end: streams that would go on for ever end then.
    pub cancel: CancellationToken,
    /// Configuration of this edge.
    pub config: Arc<Config>,
}

/// Everything that is served over HTTP. `viewer` is none where no viewer was packaged.
pub fn router(state: State, viewer: Option<Arc<Viewer>>) -> Router {
    let always = |name, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    Router::new()
        .nest("/api/v1", api::routes(&state))
        .nest(
            "/dicomweb",
            dicomweb::routes(&state, dicomweb::Renderer::of_this_program()),
        )
        .merge(pages::routes())
        .merge(viewer::routes(viewer))
        .fallback(error::not_found)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(always(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'",
        ))
        .layer(always(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(always(header::REFERRER_POLICY, "no-referrer"))
        .with_state(state)
}
