//! DICOMweb (PS3.18): searching (QIDO-RS) and retrieving (WADO-RS) what the archive holds, for whom `eligibility` lets see it.
//! `CONFORMANCE.md` says what is offered. A study that is not yours and one that is not there are answered alike.

mod accept;
mod bulk;
mod coded;
mod damaged;
mod found;
mod frames;
mod multipart;
mod part10;
mod query;
pub mod render;
mod rendered;
mod retrieve;
mod search;
#[doc(hidden)]
pub mod strangers;
mod wanted;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use causeway_proto::ids::{AgreementId, SiteId, StudyUid};
use serde_json::json;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use damaged::undamaged;

use super::State;
use super::auth::{Subject, is_ahead};
use super::error::Problem;
use crate::archive::retrieve::{
    Opened, Owned, Served, Target, opened, owner_of_case, owners, report, told,
};
use crate::archive::search::Scope;
use crate::audit::Look;
use crate::eligibility::{Act, decide};
use crate::rows::Memory;

pub use render::{Renderer, render_child};

const OCTETS: &str = "application/octet-stream";
const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";

type InstancePath = axum::extract::Path<(String, String, String)>;
type FramePath = axum::extract::Path<(String, String, String, String)>;

/// A site and an agreement.
pub(super) type Owner = (SiteId, AgreementId);

/// What the handlers use.
#[derive(Clone, Debug)]
pub(super) struct Web {
    pub(super) state: State,
    pub(super) renderer: Arc<Renderer>,
    pub(super) memory: Arc<Remembered>,
    /// The right to code a frame.
    pub(super) coding: Arc<Semaphore>,
}

/// What was read from the rows a moment ago, for as long as they stay as they are.
#[derive(Debug)]
pub(super) struct Remembered {
    owners: Memory<StudyUid, Arc<Vec<Owned>>>,
    opened: Memory<Target, Arc<Opened>>,
    /// Metadata of a target, with the addresses below a base.
    metadata: Memory<(Owner, Target, String), Bytes>,
    answers: Memory<search::Question, search::Answered>,
}

/// So many frames are coded at a time.
const CODING: usize = 4;
/// So many owners are remembered, and so many bytes of instances, of metadata and of answers to searches.
const MOST_OWNERS: usize = 1_000;
const MOST_OPENED_BYTES: usize = 32 << 20;
const MOST_METADATA_BYTES: usize = 32 << 20;
const MOST_ANSWER_BYTES: usize = 16 << 20;

/// Who asks, and under which address he reached us.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) subject: Subject,
    /// `http://host/dicomweb`, with the case where one is named.
    pub(super) base: String,
    /// Whose images are meant, where the address names a case.
    within: Option<Owner>,
    pub(super) headers: HeaderMap,
    pub(super) query: String,
}

/// The routes below `/dicomweb`, and the same below `/dicomweb/cases/{case}`, where a Study Instance UID means the study of that case
/// even if other sites sent it too. `renderer` decodes images in child processes.
pub fn routes(state: &State, renderer: Renderer) -> Router<State> {
    let services = services(Web {
        state: state.clone(),
        renderer: Arc::new(renderer),
        memory: Arc::new(Remembered {
            owners: Memory::new(MOST_OWNERS),
            opened: Memory::new(MOST_OPENED_BYTES),
            metadata: Memory::new(MOST_METADATA_BYTES),
            answers: Memory::new(MOST_ANSWER_BYTES),
        }),
        coding: Arc::new(Semaphore::new(CODING)),
    });
    let of_cases = services.clone();
    let of_case = move |request| of_case(of_cases, request);
    services
        .route("/cases/{case}/{*service}", get(of_case))
        .with_state(())
}

/// The case that an address names.
#[derive(Clone)]
struct OfCase(String);

/// Answers as the services do, for the studies of one case.
async fn of_case(services: Router, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let whole = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    let below = whole.strip_prefix("/cases/").unwrap_or_default();
    let (case, service) = below.split_once('/').unwrap_or((below, ""));
    let case = OfCase(case.to_owned());
    let Ok(uri) = format!("/{service}").parse::<Uri>() else {
        return Problem::not_found().into_response();
    };
    parts.uri = uri;
    // what the first routing had noted of the path would be taken for what the second finds
    parts.extensions.clear();
    parts.extensions.insert(case);
    match services.oneshot(Request::from_parts(parts, body)).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

fn services(web: Web) -> Router {
    let instance = "/studies/{study}/series/{series}/instances/{instance}";
    let below = |rest: &str| format!("{instance}{rest}");
    let said = Router::new()
        .route("/studies", get(search::studies))
        .route("/series", get(search::series))
        .route("/instances", get(search::instances))
        .route("/studies/{study}/series", get(search::series_of_study))
        .route(
            "/studies/{study}/instances",
            get(search::instances_of_study),
        )
        .route(
            "/studies/{study}/series/{series}/instances",
            get(search::instances_of_series),
        )
        .route("/studies/{study}/metadata", get(retrieve::study_metadata))
        .route(
            "/studies/{study}/series/{series}/metadata",
            get(retrieve::series_metadata),
        )
        .route(&below("/metadata"), get(retrieve::instance_metadata))
        // the metadata of a series say nearly the same of each instance: a twentieth of them crosses a reader's line
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest));
    let shown = Router::new()
        .route("/studies/{study}", get(retrieve::study))
        .route("/studies/{study}/thumbnail", get(rendered::study_thumbnail))
        .route("/studies/{study}/series/{series}", get(retrieve::series))
        .route(
            "/studies/{study}/series/{series}/thumbnail",
            get(rendered::series_thumbnail),
        )
        .route(instance, get(retrieve::instance))
        .route(&below("/bulk/pixels"), get(bulk::pixels))
        .route(&below("/bulk/{offset}/{length}/{word}"), get(bulk::bulk))
        .route(&below("/frames/{frames}"), get(frames::frames))
        .route(
            &below("/frames/{frames}/rendered"),
            get(rendered::frame_rendered),
        )
        .route(
            &below("/frames/{frames}/thumbnail"),
            get(rendered::frame_thumbnail),
        )
        .route(&below("/rendered"), get(rendered::rendered))
        .route(&below("/thumbnail"), get(rendered::thumbnail));
    said.merge(shown).with_state(web)
}

impl FromRequestParts<Web> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let subject = Subject::from_request_parts(parts, &web.state).await?;
        let host = parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .or_else(|| {
                parts
                    .uri
                    .authority()
                    .map(axum::http::uri::Authority::as_str)
            });
        let mut base = base(&web.state.config.public_url, host);
        let mut within = None;
        if let Some(OfCase(case)) = parts.extensions.get() {
            let owner = owner_of_case(&web.state.rows, case).await?;
            within = Some(owner.ok_or_else(Problem::not_found)?);
            base = format!("{base}/cases/{case}");
        }
        Ok(Self {
            subject,
            base,
            within,
            headers: parts.headers.clone(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
        })
    }
}

/// The address of these services as the caller reached them. Some clients leave the port out of Host; what they say is
/// then completed from the configuration.
fn base(public: &str, host: Option<&str>) -> String {
    let public = public.trim_end_matches('/');
    let (scheme, authority) = public.split_once("://").unwrap_or(("http", public));
    let name = authority
        .rsplit_once(':')
        .map_or(authority, |(name, _)| name);
    let legal = |host: &&str| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b".:-[]".contains(&b);
        !host.is_empty() && host.len() <= 255 && host.bytes().all(legal)
    };
    match host.filter(legal) {
        Some(host) if host != name => format!("{scheme}://{host}/dicomweb"),
        _ => format!("{public}/dicomweb"),
    }
}

impl Caller {
    /// What he may know of: an operator of everything, a reader of what his organisation has agreements for.
    fn scope(&self) -> Scope {
        let reach = &self.subject.reach;
        match &self.within {
            _ if self.subject.disabled => Scope::Pairs(Vec::new()),
            None if self.subject.roles.operator => Scope::All,
            None => Scope::Pairs(reach.clone()),
            Some(owner) if self.subject.roles.operator || reach.contains(owner) => {
                Scope::Pairs(vec![owner.clone()])
            }
            Some(_) => Scope::Pairs(Vec::new()),
        }
    }

    /// A parameter of the query, as it stands there.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// An `accept` in the query counts like one in the header (PS3.18 8.3.3.1).
    fn offers(&self) -> Vec<accept::Offer> {
        let query = self.parameter("accept").map(|text| {
            text.replace("%2F", "/")
                .replace("%2f", "/")
                .replace('+', " ")
        });
        accept::offers(&self.headers, query.as_deref())
    }
}

impl Web {
    /// Under which agreement he may know of a study. A UID that two sites sent names no one study: nothing is answered then,
    /// because images of one site must never be taken for those of another.
    async fn known(&self, caller: &Caller, target: &Target) -> Result<Owner, Problem> {
        let rows = &self.state.rows;
        let read = async { owners(rows, &target.study).await.map(Arc::new) };
        let found = self
            .memory
            .owners
            .of(rows, target.study.clone(), 1, read)
            .await?;
        only(&found, &caller.scope(), target)
    }

    /// Why there is nothing at a target of a study that is known.
    async fn nothing(&self, caller: &Caller, target: &Target) -> Problem {
        let study = Target {
            series: None,
            instance: None,
            ..target.clone()
        };
        match self.known(caller, &study).await {
            Ok(_) => Problem::not_found(),
            Err(problem) => problem,
        }
    }

    /// The instances of a target that he may look at, and under which agreement; that he does is written down before a byte leaves.
    async fn viewed(
        &self,
        caller: &Caller,
        target: &Target,
    ) -> Result<(Owner, Vec<Served>), Problem> {
        loop {
            let (owner, served) = self.allowed(caller, target).await?;
            let event = if is_ahead(&caller.headers) {
                "images-prefetched"
            } else {
                "images-viewed"
            };
            if !self.noted(event, caller, target, &owner).await? {
                return Ok((owner, served));
            }
            // writing takes its time: what was taken back or ended meanwhile is not shown
        }
    }

    async fn opened(&self, target: &Target) -> Result<Arc<Opened>, Problem> {
        let (rows, memory) = (&self.state.rows, &self.memory.opened);
        let version = rows.version();
        if let Some(opened) = memory.get(version, target) {
            return Ok(opened);
        }
        let read = Arc::new(opened(rows, target).await?);
        memory.put(version, target.clone(), read.clone(), read.weight());
        Ok(read)
    }

    async fn allowed(
        &self,
        caller: &Caller,
        target: &Target,
    ) -> Result<(Owner, Vec<Served>), Problem> {
        let opened = self.opened(target).await?;
        let owner = only(&opened.owners, &caller.scope(), target)?;
        let (site, agreement) = (owner.0.as_str(), owner.1.as_str());
        let decision = decide(&caller.subject, site, agreement, Act::View);
        if !decision.allowed {
            return Err(Problem::forbidden("you may not look at these images")
                .with("reasons", json!(decision.reasons)));
        }
        let own = |one: &&Served| one.site_id == site && one.agreement_id == agreement;
        let mut served: Vec<Served> = opened.served.iter().filter(own).cloned().collect();
        if served.is_empty() {
            served.extend(report(&self.state.rows, &owner, target).await?);
        }
        if target.instance.is_some() {
            undamaged(&served)?;
        }
        Ok((owner, served))
    }

    /// Writes an act of looking down before a byte leaves; says whether it was not there before.
    async fn noted(
        &self,
        event: &'static str,
        caller: &Caller,
        target: &Target,
        owner: &Owner,
    ) -> Result<bool, Problem> {
        let account = &caller.subject.account;
        noted(&self.state, event, account, owner, &target.study).await
    }
}

/// Writes an act of looking at a study down before a byte leaves; says whether it was not there before.
pub(super) async fn noted(
    state: &State,
    event: &'static str,
    account: &str,
    owner: &Owner,
    study: &StudyUid,
) -> Result<bool, Problem> {
    let now = state.clock.now();
    let mut look = Look {
        event,
        actor: account.to_owned(),
        site: owner.0.as_str().to_owned(),
        subject: study.as_str().to_owned(),
        detail: json!({ "agreement": owner.1.as_str() }),
    };
    if state.trail.has(now, &look) {
        return Ok(false);
    }
    look.detail = told(&state.rows, owner, study).await?;
    state.trail.looked(now, look).await?;
    Ok(true)
}

/// Under which agreement a study is known, of those under which it is there.
fn only(found: &[Owned], scope: &Scope, target: &Target) -> Result<Owner, Problem> {
    let seen = found.iter().filter(|one| scope.has(&one.owner));
    let mut found: Vec<&Owned> = seen.collect();
    let recalled = !found.is_empty();
    found.retain(|one| !one.recalled);
    match (found.pop(), found.is_empty()) {
        (None, _) if recalled => Err(withdrawn()),
        (None, _) => Err(Problem::not_found()),
        (Some(only), true) if only.unheard => Err(unheard()),
        // a signed report under the study can still be had by its name
        (Some(only), true) => match &only.gone {
            Some(why) if target.instance.is_none() => Err(deleted(why.clone())),
            _ => Ok(only.owner.clone()),
        },
        (Some(_), false) => Err(Problem::conflict(
            "ambiguous-study",
            "two or more sites sent a study with this UID, so that it does not say whose images are meant; ask below /dicomweb/cases/",
        )),
    }
}

/// What the path names.
fn target(study: &str, series: Option<&str>, instance: Option<&str>) -> Result<Target, Problem> {
    let wrong = || Problem::bad_request("the path holds something that is not a UID");
    // parsing forgives padding, which a path has no reason to carry
    let plain = |uid: &str| uid.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if ![Some(study), series, instance]
        .into_iter()
        .flatten()
        .all(plain)
    {
        return Err(wrong());
    }
    Ok(Target {
        study: study.parse().ok().ok_or_else(wrong)?,
        series: series.map(str::parse).transpose().ok().ok_or_else(wrong)?,
        instance: instance
            .map(str::parse)
            .transpose()
            .ok()
            .ok_or_else(wrong)?,
    })
}

/// 410: the site has taken the study back (P17).
fn withdrawn() -> Problem {
    Problem::new(
        StatusCode::GONE,
        "withdrawn",
        "the site has taken this study back; its images are not shown any more",
    )
}

/// 503: it may have been taken back since the backup that the gateway was put back to.
fn unheard() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not-heard",
        "this gateway was put back to a backup; these images are shown again as soon as their site has said that they still stand",
    )
}

/// 410: the time of the images is over (P20).
fn deleted(why: String) -> Problem {
    Problem::new(StatusCode::GONE, "images-deleted", why)
}

/// 406, with what is offered.
fn not_acceptable(offered: &str) -> Problem {
    Problem::new(
        StatusCode::NOT_ACCEPTABLE,
        "not-acceptable",
        format!("this can be had as {offered}"),
    )
}
