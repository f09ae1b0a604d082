//! Frames of one instance (PS3.18 10.4.1.1.6), as they are stored or decoded.

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, StreamExt};

use super::accept::Offer;
use super::multipart::{Part, lone, plain, ready, related};
use super::render::Job;
use super::wanted::{Inflated, Wanted};
use super::{Caller, EXPLICIT_LITTLE, FramePath, OCTETS, Web, not_acceptable, target};
use crate::archive::BlobError;
use crate::http::error::Problem;

const JLS: &str = "image/jls";
const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";

/// PS3.18 Table 8.7.3-5: the media type of a coded frame.
fn image_type(syntax: &str) -> &'static str {
    match syntax.strip_prefix("1.2.840.10008.1.2.").unwrap_or("") {
        "4.50" | "4.51" | "4.57" | "4.70" => "image/jpeg",
        "4.80" | "4.81" => "image/jls",
        "4.90" | "4.91" => "image/jp2",
        "4.92" | "4.93" => "image/jpx",
        "4.110" | "4.111" | "4.112" => "image/jxl",
        "4.201" | "4.202" | "4.203" => "image/jphc",
        "5" => "image/dicom-rle",
        _ => OCTETS,
    }
}

/// How the frames are answered.
enum Answer {
    /// As they are stored.
    Stored(String),
    /// Decoded to samples.
    Decoded,
    /// Coded without loss, for a slow line (P23).
    Coded,
}

fn choose(wanted: &Wanted, offers: &[Offer]) -> Option<(Offer, Answer)> {
    let stored = if wanted.native() {
        EXPLICIT_LITTLE
    } else {
        wanted.syntax()
    };
    let image = image_type(stored);
    offers.iter().find_map(|offer| {
        let plain = offer.syntax.is_none() || offer.syntax.as_deref() == Some(EXPLICIT_LITTLE);
        // only who names it gets what he has to decode; a wildcard gets what is stored
        let coded = offer.media == JLS && offer.takes_syntax(JPEG_LS) && wanted.codable().is_some();
        let answer = if coded {
            Some(Answer::Coded)
        } else if wanted.native() {
            let fits = offer.takes(OCTETS)
                && (offer.takes_syntax(stored) || offer.takes_syntax("1.2.840.10008.1.2"));
            fits.then(|| Answer::Stored(OCTETS.to_owned()))
        } else if offer.takes(image) && image != OCTETS && offer.takes_syntax(stored) {
            Some(Answer::Stored(image.to_owned()))
        } else if offer.takes(OCTETS) && offer.syntax.is_some() && offer.takes_syntax(stored) {
            Some(Answer::Stored(OCTETS.to_owned()))
        } else if offer.takes(OCTETS) && plain {
            // PS3.18 8.7.3.5.2: octet-stream without a transfer syntax means uncompressed little endian
            Some(Answer::Decoded)
        } else {
            None
        };
        answer.map(|answer| (offer.clone(), answer))
    })
}

pub(super) async fn frames(
    Shared(web): Shared<Web>,
    Path((study, series, instance, list)): FramePath,
    caller: Caller,
) -> Result<Response, Problem> {
    let of = target(&study, Some(&series), Some(&instance))?;
    let wanted = Wanted::find(web, &caller, &of).await?;
    let numbers = wanted.named(&list)?;
    let (offer, answer) = choose(&wanted, &caller.offers()).ok_or_else(|| {
        not_acceptable("multipart/related; type=\"application/octet-stream\"; transfer-syntax=*")
    })?;
    let (media, syntax) = match &answer {
        Answer::Coded => (JLS.to_owned(), JPEG_LS.to_owned()),
        Answer::Stored(media) if wanted.native() => (media.clone(), EXPLICIT_LITTLE.to_owned()),
        Answer::Stored(media) => (media.clone(), wanted.syntax().to_owned()),
        Answer::Decoded => (OCTETS.to_owned(), EXPLICIT_LITTLE.to_owned()),
    };
    let full = format!("{media}; transfer-syntax={syntax}");
    let random = wanted.web.state.random.clone();
    let address = wanted.address(&caller.base);
    // what is decoded brings its own bytes to the decoder
    let inflated = match answer {
        Answer::Stored(_) | Answer::Coded => wanted.inflated().await?,
        Answer::Decoded => None,
    };
    let wide = offer.multipart || offer.media == "*/*" || numbers.len() > 1;
    // the first frame is read before the head goes out, so that what fails is an honest answer
    let first = one_frame(
        &wanted,
        &answer,
        inflated.as_ref(),
        *numbers.first().unwrap_or(&1),
    )
    .await?;
    if !wide {
        return plain(&full, first);
    }
    if let [only] = numbers.as_slice() {
        let location = format!("{address}/frames/{only}");
        return lone(&media, &full, &location, first, &random);
    }
    let state = (wanted, answer, inflated, Some(first));
    let mut rest = numbers.into_iter();
    let parts = stream::unfold(
        (state, rest.next(), rest),
        move |((wanted, answer, inflated, first), number, mut rest)| {
            let (full, address) = (full.clone(), address.clone());
            async move {
                let number = number?;
                let bytes = match first {
                    Some(first) => Ok(first),
                    None => one_frame(&wanted, &answer, inflated.as_ref(), number).await,
                };
                let part = match bytes {
                    Ok(bytes) => Ok(Part {
                        media: full,
                        location: Some(format!("{address}/frames/{number}")),
                        body: ready(bytes),
                    }),
                    Err(_) => Err(BlobError::Short),
                };
                let next = rest.next();
                Some((part, ((wanted, answer, inflated, None), next, rest)))
            }
        },
    );
    related(&media, parts.boxed(), None, &random)
}

async fn one_frame(
    wanted: &Wanted,
    answer: &Answer,
    inflated: Option<&Inflated>,
    number: u64,
) -> Result<Bytes, Problem> {
    match answer {
        Answer::Stored(_) => wanted.frame(inflated, number).await,
        Answer::Decoded => wanted.decoded(&Job::samples(number)).await,
        Answer::Coded => wanted.coded(inflated, number).await,
    }
}
