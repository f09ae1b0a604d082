//! Images for people (PS3.18 8.3.5, 10.4.1.1.3): rendered instances and frames, and thumbnails.

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;

use super::multipart::plain;
use super::render::{Form, Job};
use super::wanted::Wanted;
use super::{Caller, FramePath, InstancePath, Web, not_acceptable, target};
use crate::archive::frames::Frames;
use crate::archive::retrieve::Target;
use crate::http::error::Problem;

/// A thumbnail's longest side, in pixels.
const THUMBNAIL: u32 = 256;

pub(super) async fn rendered(
    web: Shared<Web>,
    Path((study, series, instance)): InstancePath,
    caller: Caller,
) -> Result<Response, Problem> {
    let of = target(&study, Some(&series), Some(&instance))?;
    image(web, caller, of, None, None).await
}

pub(super) async fn frame_rendered(
    web: Shared<Web>,
    Path((study, series, instance, list)): FramePath,
    caller: Caller,
) -> Result<Response, Problem> {
    let of = target(&study, Some(&series), Some(&instance))?;
    image(web, caller, of, Some(list), None).await
}

pub(super) async fn frame_thumbnail(
    web: Shared<Web>,
    Path((study, series, instance, list)): FramePath,
    caller: Caller,
) -> Result<Response, Problem> {
    let of = target(&study, Some(&series), Some(&instance))?;
    image(web, caller, of, Some(list), Some(THUMBNAIL)).await
}

pub(super) async fn thumbnail(
    web: Shared<Web>,
    Path((study, series, instance)): InstancePath,
    caller: Caller,
) -> Result<Response, Problem> {
    let of = target(&study, Some(&series), Some(&instance))?;
    image(web, caller, of, None, Some(THUMBNAIL)).await
}

pub(super) async fn series_thumbnail(
    web: Shared<Web>,
    Path((study, series)): Path<(String, String)>,
    caller: Caller,
) -> Result<Response, Problem> {
    image(
        web,
        caller,
        target(&study, Some(&series), None)?,
        None,
        Some(THUMBNAIL),
    )
    .await
}

pub(super) async fn study_thumbnail(
    web: Shared<Web>,
    Path(study): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    image(
        web,
        caller,
        target(&study, None, None)?,
        None,
        Some(THUMBNAIL),
    )
    .await
}

/// PS3.18 8.3.5: an image for people, in a consumer format.
async fn image(
    Shared(web): Shared<Web>,
    caller: Caller,
    of: Target,
    list: Option<String>,
    most: Option<u32>,
) -> Result<Response, Problem> {
    let wanted = Wanted::find(web, &caller, &of).await?;
    let number = match list {
        Some(list) => match wanted.named(&list)?.as_slice() {
            [one] => *one,
            _ => return Err(Problem::bad_request("one frame is rendered at a time")),
        },
        None if wanted.frames == Frames::Without => {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "no-image",
                "this object has no image to be rendered",
            ));
        }
        None => {
            wanted.named("1")?;
            1 + wanted.frames.count() / 2 * u64::from(most.is_some() && wanted.frames.count() > 1)
        }
    };
    let number = number.min(wanted.frames.count());
    let form = [(Form::Jpeg, "image/jpeg"), (Form::Png, "image/png")];
    let offers = caller.offers();
    let (form, media) = offers
        .iter()
        .filter(|offer| !offer.multipart)
        .find_map(|offer| form.into_iter().find(|(_, media)| offer.takes(media)))
        .ok_or_else(|| not_acceptable("image/jpeg or image/png"))?;
    let viewport = viewport(&caller)?;
    let job = Job {
        frame: number,
        alone: false,
        form,
        width: viewport.map_or(most, |(width, _)| Some(width)),
        height: viewport.map_or(most, |(_, height)| Some(height)),
        window: window(&caller)?,
    };
    let derived = &wanted.web.state.archive.derived;
    let name = format!("picture {}", serde_json::json!(job));
    if let Some(kept) = derived.get(&wanted.key, &name).await {
        return plain(media, kept);
    }
    let picture = wanted.decoded(&job).await?;
    derived.keep(&wanted.key, &name, &picture).await;
    plain(media, picture)
}

/// `viewport=width,height`, at most 4096 each.
fn viewport(caller: &Caller) -> Result<Option<(u32, u32)>, Problem> {
    let Some(text) = caller.parameter("viewport") else {
        return Ok(None);
    };
    let text = text.replace("%2C", ",");
    let mut sides = text.split(',').map(|side| side.parse().ok());
    match (sides.next().flatten(), sides.next().flatten()) {
        (Some(width @ 1..=4096), Some(height @ 1..=4096)) => Ok(Some((width, height))),
        _ => Err(Problem::bad_request(
            "viewport is a width and a height of 1 to 4096 pixels",
        )),
    }
}

/// `window=centre,width,function`; the function is always linear here.
fn window(caller: &Caller) -> Result<Option<(f64, f64)>, Problem> {
    let Some(text) = caller.parameter("window") else {
        return Ok(None);
    };
    let text = text.replace("%2C", ",");
    let mut numbers = text.split(',').map(|number| number.parse::<f64>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(centre), Some(width)) if centre.is_finite() && width >= 1.0 => {
            Ok(Some((centre, width)))
        }
        _ => Err(Problem::bad_request(
            "window is a centre, a width of at least 1, and `linear`",
        )),
    }
}
