//! Bulk data of one instance (PS3.18 10.4.1.1.5): values that its metadata leave out.

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use causeway_proto::element::Encoding;
use futures::stream::{self, StreamExt};

use super::accept::Offer;
use super::multipart::{Part, ready, related, single};
use super::wanted::{Wanted, swapped};
use super::{Caller, InstancePath, OCTETS, Web, not_acceptable, target};
use crate::archive::frames::{Frames, Stretch};
use crate::http::error::Problem;

/// A value that was left out of the metadata, by where it stands; little endian.
pub(super) async fn bulk(
    Shared(web): Shared<Web>,
    Path((study, series, instance, offset, length, word)): Path<(
        String,
        String,
        String,
        u64,
        u64,
        usize,
    )>,
    caller: Caller,
) -> Result<Response, Problem> {
    let of = target(&study, Some(&series), Some(&instance))?;
    let offer = octets(&caller)?;
    if !matches!(word, 1 | 2 | 4 | 8) {
        return Err(Problem::not_found());
    }
    let wanted = Wanted::find(web, &caller, &of).await?;
    let random = wanted.web.state.random.clone();
    let (encoding, deflated) = wanted.encoding();
    let turned = encoding == Encoding::ExplicitBig && word > 1;
    let (size, body) = if turned || deflated {
        wanted.bearable(length)?;
        let inflated = wanted.inflated().await?;
        let bytes = wanted
            .stretch(inflated.as_ref(), Stretch { offset, length })
            .await?;
        let bytes = swapped(bytes, word, encoding);
        (bytes.len() as u64, ready(bytes))
    } else {
        let end = offset.saturating_add(length);
        if end > wanted.served.length.unsigned_abs() {
            return Err(Problem::not_found());
        }
        let blobs = &wanted.web.state.archive.blobs;
        (length, blobs.stream(&wanted.key, offset..end))
    };
    if !offer.multipart {
        return single(OCTETS, size, body);
    }
    let part = Part {
        media: OCTETS.to_owned(),
        location: Some(format!(
            "{}/bulk/{offset}/{length}/{word}",
            wanted.address(&caller.base)
        )),
        body,
    };
    related(
        OCTETS,
        stream::once(async { Ok(part) }).boxed(),
        None,
        &random,
    )
}

fn octets(caller: &Caller) -> Result<Offer, Problem> {
    caller
        .offers()
        .into_iter()
        .find(|offer| offer.takes(OCTETS))
        .ok_or_else(|| not_acceptable(OCTETS))
}

/// All fragments of encapsulated pixel data, one after the other: what the frames cannot give of video.
pub(super) async fn pixels(
    Shared(web): Shared<Web>,
    Path((study, series, instance)): InstancePath,
    caller: Caller,
) -> Result<Response, Problem> {
    let of = target(&study, Some(&series), Some(&instance))?;
    let wanted = Wanted::find(web, &caller, &of).await?;
    let all: Vec<Stretch> = match &wanted.frames {
        Frames::Fragments(frames) => frames.iter().flatten().copied().collect(),
        Frames::Whole(all) => all.clone(),
        _ => return Err(Problem::not_found()),
    };
    let offer = octets(&caller)?;
    let random = wanted.web.state.random.clone();
    let media = format!("{OCTETS}; transfer-syntax={}", wanted.syntax());
    let blobs = wanted.web.state.archive.blobs.clone();
    let key = wanted.key.clone();
    let size = all.iter().map(|at| at.length).sum();
    let body = stream::iter(all)
        .flat_map(move |at| blobs.stream(&key, at.offset..at.offset + at.length))
        .boxed();
    if !offer.multipart {
        return single(&media, size, body);
    }
    let part = Part {
        media,
        location: None,
        body,
    };
    related(
        OCTETS,
        stream::once(async { Ok(part) }).boxed(),
        None,
        &random,
    )
}
