//! WADO-RS (PS3.18 10.4): datasets as they were sent, and their metadata as it was indexed.

use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt};

use super::multipart::{Part, ready, related, single};
use super::{Caller, Owner, Web, multipart, not_acceptable, part10, target, undamaged};
use crate::archive::retrieve::{self, Metadata, Served, Target};
use crate::archive::{BlobError, BlobKey, Blobs};
use crate::http::error::Problem;
use crate::rows::Rows;

const DICOM: &str = "application/dicom";
/// So many instances' metadata are read at first, and about so many bytes of them after that.
const FIRST: i64 = 64;
const PAGE_BYTES: usize = 4 << 20;
const MOST: usize = 1000;

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
    let all = loop {
        let (owner, all) = web.viewed(&caller, &of).await?;
        if all.is_empty() {
            return Err(web.nothing(&caller, &of).await);
        }
        undamaged(&all)?;
        // whole objects are something that he can keep; what was taken back while that was written does not leave
        if !web.noted("images-downloaded", &caller, &of, &owner).await? {
            break all;
        }
    };
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
        return single(DICOM, file_length(one), part.body);
    }
    let sizes: Vec<(String, u64)> = all
        .iter()
        .map(|one| (file_type(one), file_length(one)))
        .collect();
    let parts = stream::iter(all).map(move |one| file(&blobs, &one));
    let sizes = &mut sizes.into_iter();
    related(DICOM, parts.boxed(), Some(sizes), &web.state.random)
}

fn file_type(one: &Served) -> String {
    format!("{DICOM}; transfer-syntax={}", one.transfer_syntax)
}

fn head(one: &Served) -> Bytes {
    part10::header(&one.sop_class, &one.sop_uid, &one.transfer_syntax)
}

fn file_length(one: &Served) -> u64 {
    one.length
        .unsigned_abs()
        .saturating_add(head(one).len() as u64)
}

/// One instance as a file.
fn file(blobs: &Blobs, one: &Served) -> Result<Part, BlobError> {
    let key: BlobKey = one.blob_key.parse()?;
    let body = blobs.stream(&key, 0..one.length.unsigned_abs());
    Ok(Part {
        media: file_type(one),
        location: None,
        body: ready(head(one)).chain(body).boxed(),
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
    let version = web.state.rows.version();
    let key = (owner.clone(), of.clone(), caller.base.clone());
    if let Some(whole) = web.memory.metadata.get(version, &key) {
        return multipart::plain("application/dicom+json", whole);
    }
    let first = retrieve::metadata(&web.state.rows, &owner, &of, FIRST, 0).await?;
    if first.is_empty() {
        return Err(web.nothing(&caller, &of).await);
    }
    let base = format!("{}/studies/{}", caller.base, of.study);
    let mut pages = Pages {
        rows: web.state.rows.clone(),
        owner,
        of,
        base,
        next: Some(first),
        asked: FIRST,
        offset: 0,
    };
    // a series of usual length is ready after its second page, and is remembered whole
    let mut ready = BytesMut::new();
    for _ in 0..2 {
        let Some((piece, rest)) = pages.step().await else {
            return Err(Problem::not_found());
        };
        ready.extend_from_slice(&piece?);
        pages = rest;
        if pages.next.is_none() {
            let whole = ready.freeze();
            let (memory, weight) = (&web.memory.metadata, whole.len() + key.2.len() + 1024);
            memory.put(version, key, whole.clone(), weight);
            return multipart::plain("application/dicom+json", whole);
        }
    }
    let ready = stream::once(async { Ok(ready.freeze()) });
    let body = ready.chain(stream::unfold(pages, Pages::step));
    multipart::answer("application/dicom+json", Body::from_stream(body))
}

/// The metadata of many instances, a page at a time.
struct Pages {
    rows: Rows,
    owner: Owner,
    of: Target,
    base: String,
    next: Option<Vec<Metadata>>,
    /// So many were asked for.
    asked: i64,
    offset: i64,
}

impl Pages {
    async fn step(mut self) -> Option<(Result<Bytes, sqlx::Error>, Self)> {
        let page = self.next.take()?;
        let size: usize = page.iter().map(|one| one.metadata.len() + 256).sum();
        let mut out = String::with_capacity(size);
        for one in &page {
            out.push(if out.is_empty() && self.offset == 0 {
                '['
            } else {
                ','
            });
            complete(&mut out, one, &self.base);
        }
        let count = i64::try_from(page.len()).unwrap_or(self.asked);
        self.offset += count;
        if count < self.asked {
            out.push(']');
            return Some((Ok(out.into()), self));
        }
        let each = (size / page.len().max(1)).max(1);
        self.asked = i64::try_from((PAGE_BYTES / each).clamp(1, MOST)).unwrap_or(1);
        match retrieve::metadata(&self.rows, &self.owner, &self.of, self.asked, self.offset).await {
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
