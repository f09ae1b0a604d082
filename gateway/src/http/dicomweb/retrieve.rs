//! WADO-RS (PS3.18 10.4): datasets as they were sent, and their metadata as it was indexed.

use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, StreamExt};

use super::multipart::{Part, ready, related, single};
use super::{Caller, Owner, Web, multipart, not_acceptable, part10, target};
use crate::archive::retrieve::{self, Metadata, Served, Target};
use crate::archive::{BlobError, BlobKey, Blobs};
use crate::http::error::Problem;
use crate::rows::Rows;

const DICOM: &str = "application/dicom";
/// So many instances' metadata are read at once.
const PAGE: i64 = 100;

pub(super) async fn study(
    web: Shared<Web>,
    Path(study): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    datasets(web, caller, target(&study, None, None)?).await
}

pub(super) async fn series(
    web: Shared<Web>,
    Path((study, series)): Path<(String, String)>,
    caller: Caller,
) -> Result<Response, Problem> {
    datasets(web, caller, target(&study, Some(&series), None)?).await
}

pub(super) async fn instance(
    web: Shared<Web>,
    Path((study, series, instance)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<Response, Problem> {
    datasets(web, caller, target(&study, Some(&series), Some(&instance))?).await
}

/// Datasets leave in the transfer syntax in which they came, byte for byte; one that is asked for in another is 406.
async fn datasets(
    Shared(web): Shared<Web>,
    caller: Caller,
    of: Target,
) -> Result<Response, Problem> {
    let owner = web.viewed(&caller, &of).await?;
    let all = retrieve::served(&web.state.rows, &owner, &of).await?;
    if all.is_empty() {
        return Err(web.nothing(&caller, &of).await);
    }
    // whole objects are something that he can keep
    web.noted("images-downloaded", &caller, &of, &owner).await?;
    let offers = caller.offers();
    let fits = |offer: &&super::accept::Offer| {
        offer.takes(DICOM)
            && all
                .iter()
                .all(|one| offer.takes_syntax(&one.transfer_syntax))
            && (offer.multipart || offer.media == "*/*" || all.len() == 1)
    };
    let offer = offers.iter().find(fits).ok_or_else(|| {
        not_acceptable("multipart/related; type=\"application/dicom\"; transfer-syntax=*")
    })?;
    let blobs = web.state.archive.blobs.clone();
    if let ([one], false) = (all.as_slice(), offer.multipart || offer.media == "*/*") {
        let part = file(&blobs, one)?;
        return single(DICOM, part.body);
    }
    let parts = stream::iter(all).map(move |one| file(&blobs, &one));
    related(DICOM, parts.boxed(), &web.state.random)
}

/// One instance as a file.
fn file(blobs: &Blobs, one: &Served) -> Result<Part, BlobError> {
    let key: BlobKey = one.blob_key.parse()?;
    let head = part10::header(&one.sop_class, &one.sop_uid, &one.transfer_syntax);
    let body = blobs.stream(&key, 0..one.length.unsigned_abs());
    Ok(Part {
        media: format!("{DICOM}; transfer-syntax={}", one.transfer_syntax),
        location: None,
        body: ready(head).chain(body).boxed(),
    })
}

pub(super) async fn study_metadata(
    web: Shared<Web>,
    Path(study): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    metadata(web, caller, target(&study, None, None)?).await
}

pub(super) async fn series_metadata(
    web: Shared<Web>,
    Path((study, series)): Path<(String, String)>,
    caller: Caller,
) -> Result<Response, Problem> {
    metadata(web, caller, target(&study, Some(&series), None)?).await
}

pub(super) async fn instance_metadata(
    web: Shared<Web>,
    Path((study, series, instance)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<Response, Problem> {
    metadata(web, caller, target(&study, Some(&series), Some(&instance))?).await
}

async fn metadata(
    Shared(web): Shared<Web>,
    caller: Caller,
    of: Target,
) -> Result<Response, Problem> {
    let json = |offer: &super::accept::Offer| {
        !offer.multipart
            && (offer.takes("application/dicom+json") || offer.takes("application/json"))
    };
    if !caller.offers().iter().any(json) {
        return Err(not_acceptable("application/dicom+json"));
    }
    let owner = web.known(&caller, &of).await?;
    let first = retrieve::metadata(&web.state.rows, &owner, &of, PAGE, 0).await?;
    if first.is_empty() {
        return Err(web.nothing(&caller, &of).await);
    }
    let base = format!("{}/studies/{}", caller.base, of.study);
    let pages = Pages {
        rows: web.state.rows.clone(),
        owner,
        of,
        base,
        next: Some(first),
        offset: 0,
    };
    let body = stream::unfold(pages, Pages::step);
    multipart::answer("application/dicom+json", Body::from_stream(body))
}

/// The metadata of many instances, a page at a time.
struct Pages {
    rows: Rows,
    owner: Owner,
    of: Target,
    base: String,
    next: Option<Vec<Metadata>>,
    offset: i64,
}

impl Pages {
    async fn step(mut self) -> Option<(Result<Bytes, sqlx::Error>, Self)> {
        let page = self.next.take()?;
        let mut out = String::new();
        for one in &page {
            out.push(if out.is_empty() && self.offset == 0 {
                '['
            } else {
                ','
            });
            complete(&mut out, one, &self.base);
        }
        let count = i64::try_from(page.len()).unwrap_or(PAGE);
        self.offset += count;
        if count < PAGE {
            out.push(']');
            return Some((Ok(out.into()), self));
        }
        match retrieve::metadata(&self.rows, &self.owner, &self.of, PAGE, self.offset).await {
            Ok(page) if page.is_empty() => {
                out.push(']');
                Some((Ok(out.into()), self))
            }
            Ok(page) => {
                self.next = Some(page);
                Some((Ok(out.into()), self))
            }
            Err(error) => {
                tracing::error!(%error, "an answer was cut short because the database refused");
                Some((Err(error), self))
            }
        }
    }
}

/// Adds an instance's metadata with its addresses completed and its transfer syntax named (0008,3002), which viewers want to
/// know before they ask for frames.
pub(super) fn complete(out: &mut String, one: &Metadata, base: &str) {
    const MARK: &str = "\"BulkDataURI\":\"@/";
    let address = format!(
        "\"BulkDataURI\":\"{base}/series/{}/instances/{}/",
        one.series_uid, one.sop_uid
    );
    let rest = one.metadata.strip_prefix('{').unwrap_or("}");
    out.push('{');
    if !rest.contains("\"00083002\"") {
        out.push_str("\"00083002\":{\"vr\":\"UI\",\"Value\":[\"");
        out.push_str(&one.transfer_syntax);
        out.push_str("\"]}");
        if !rest.starts_with('}') {
            out.push(',');
        }
    }
    let mut pieces = rest.split(MARK);
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        out.push_str(&address);
        out.push_str(piece);
    }
}
