//! The site page: what people in the hospital see and decide, over HTTPS on an address that the site chooses (P7). It is served to
//! the site's own network only: the link knows nothing of it.

pub mod accounts;
mod alarms;
mod answer;
mod assets;
mod case;
mod certificate;
mod decide;
mod draw;
mod find;
mod guard;
mod help;
mod masks;
mod mismatch;
mod object;
mod people;
mod record;
mod report;
mod scan;
mod session;
mod shell;
mod sign_in;
mod standing;
mod talk;
mod throttle;
mod withdrawn;
mod work;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::Redirect;
use axum::routing::{get, post};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use causeway_proto::random::Random;
use causeway_proto::time::Clock;
use serde::Deserialize;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::audit::Trail;
use crate::observe::control::Desk;
use crate::protect::preview::Previews;
use accounts::Accounts;
use session::Sessions;
use throttle::Throttle;

/// A form is at most this long, in bytes.
const LONGEST_FORM: usize = 64 << 10;

/// How long what is being answered may take when the process ends.
const DRAIN: Duration = Duration::from_secs(5);

/// `[site_page]`: where the site page is served, and for how long somebody stays signed in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port; port 0 takes a free one. On loopback it is plain HTTP, anywhere else HTTPS.
    pub listen: SocketAddr,
    /// The site's own certificate chain, PEM; left out: the agent makes one of its own.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// Names and addresses by which browsers reach the page, for the certificate that the agent makes.
    pub names: Vec<String>,
    /// A session ends after so many seconds without anybody's doing.
    pub session_idle_s: u64,
    /// And after so many seconds in any case.
    pub session_absolute_s: u64,
    /// Who may be connected, and for how long without asking, sending or taking anything.
    pub bounds: causeway_http::Bounds,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8444)),
            certificate: None,
            key: None,
            names: Vec::new(),
            session_idle_s: 1800,
            session_absolute_s: 12 * 3600,
            bounds: causeway_http::Bounds::default(),
        }
    }
}

/// Serving the site page, or keeping its accounts, failed.
#[derive(Debug, Error)]
pub enum PageError {
    /// The rows refused.
    #[error("the rows of the site page refused: {tried}")]
    Rows {
        /// What was tried.
        tried: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// A password could not be hashed.
    #[error("the password could not be hashed")]
    Hash,
    /// No account can have this name.
    #[error("an account's name has 1 to 40 lower-case letters, digits, dots and hyphens")]
    Name,
    /// Too short.
    #[error("a password has at least {} characters", accounts::SHORTEST_PASSWORD)]
    Password,
    /// Taken.
    #[error("there is an account of this name already")]
    Taken,
    /// Nobody has it.
    #[error("there is no account of this name")]
    Unknown,
    /// The certificate could not be made, kept or used.
    #[error("the certificate of the site page: {tried}")]
    Certificate {
        /// What was tried.
        tried: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing can be served there.
    #[error("the site page cannot be served on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// What every page may use. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Page {
    desk: Desk,
    previews: Previews,
    trail: Trail,
    accounts: Accounts,
    sessions: Sessions,
    throttle: Arc<Throttle>,
    clock: Clock,
    random: Random,
    secure: bool,
    bounds: causeway_http::Bounds,
}

impl Page {
    /// The page over a running agent, which shows withheld objects by `previews`.
    ///
    /// # Errors
    /// When passwords cannot be hashed here.
    pub fn new(
        desk: Desk,
        previews: Previews,
        config: &Config,
        random: Random,
    ) -> Result<Self, PageError> {
        let (rows, clock) = (desk.spool.rows().clone(), desk.clock.clone());
        Ok(Self {
            accounts: Accounts::new(rows.clone(), clock.clone(), random.clone())?,
            sessions: Sessions::new(rows, clock.clone(), random.clone(), config),
            throttle: Arc::default(),
            trail: Trail::new(desk.spool.rows().clone()),
            previews,
            desk,
            clock,
            random,
            secure: !config.listen.ip().is_loopback(),
            bounds: config.bounds.clone(),
        })
    }

    /// Everything that is served. Nothing but the sign-in and the files of the pages' look is answered without a session.
    pub fn router(self) -> Router {
        let case = Router::new()
            .route("/", get(case::show))
            .route("/withheld", post(decide::withheld))
            .route("/object/{id}", get(object::show))
            .route("/object/{id}/picture", get(object::picture))
            .route("/object/{id}/mask", post(draw::mask))
            .route("/block", post(decide::block))
            .route("/context", post(talk::send_context))
            .route("/letter", post(talk::send_letter))
            .route("/letters-read", post(talk::mark_read))
            .route("/raise", post(decide::raise))
            .route("/send-now", post(decide::send_now))
            .route("/recall", post(decide::recall))
            .route("/record", get(record::show))
            .route("/retry", post(decide::retry));
        Router::new()
            .route("/", get(|| async { Redirect::to("/work") }))
            .route("/sign-in", get(sign_in::form).post(sign_in::enter))
            .route("/sign-out", post(sign_in::leave))
            .route("/work", get(work::show))
            .route("/find", get(find::form).post(find::show))
            .nest("/case/{code}", case)
            .route("/report/{id}", get(report::show))
            .route("/report/{id}/file", post(mismatch::file))
            .route("/masks", get(masks::show))
            .route("/masks/{device}/drop", post(masks::remove))
            .route("/report/{id}/acknowledge", post(withdrawn::acknowledge))
            .route("/status", get(standing::show))
            .route("/alarms/acknowledge", post(alarms::acknowledge))
            .route("/help", get(help::show))
            .route("/accounts", get(people::show).post(people::add))
            .route("/accounts/password", post(people::password))
            .route("/accounts/remove", post(people::remove))
            .route("/web/{file}", get(assets::file))
            .fallback(answer::nowhere)
            .layer(DefaultBodyLimit::max(LONGEST_FORM))
            .layer(middleware::map_response(guard::always))
            .with_state(self)
    }
}

/// Takes the address; answers which one it became.
///
/// # Errors
/// As the system says.
pub fn listen(config: &Config) -> Result<(TcpListener, SocketAddr), PageError> {
    let address = config.listen;
    let refused = |source| PageError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let taken = listener.local_addr().map_err(refused)?;
    Ok((listener, taken))
}

/// What the page shows of itself in TLS; none on loopback. `folder` is the folder of the agent's keys.
///
/// # Errors
/// When a certificate cannot be used, or none can be made.
pub fn tls(
    config: &Config,
    folder: &Path,
    clock: &Clock,
    random: &Random,
) -> Result<Option<RustlsConfig>, PageError> {
    if config.listen.ip().is_loopback() {
        return Ok(None);
    }
    certificate::server(config, folder, clock, random).map(Some)
}

/// Serves until `cancel` fires.
pub async fn serve(
    page: Page,
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    cancel: CancellationToken,
) {
    let handle = Handle::new();
    let (bounds, router) = (page.bounds.clone(), page.router());
    let serving = causeway_http::serve(
        listener,
        router,
        tls,
        &bounds,
        answer::refused,
        handle.clone(),
    );
    let ending = async {
        cancel.cancelled().await;
        handle.graceful_shutdown(Some(DRAIN));
        futures::future::pending().await
    };
    let served: std::io::Result<()> = tokio::select! {
        served = serving => served,
        never = ending => never,
    };
    if let Err(error) = served {
        tracing::error!(%error, "the site page is not served any more");
        // the road goes on without it
        cancel.cancelled().await;
    }
}

/// Says what was tried when the rows refused.
fn refused(tried: &'static str) -> impl FnOnce(sqlx::Error) -> PageError {
    move |source| PageError::Rows { tried, source }
}

#[cfg(test)]
mod tests;
