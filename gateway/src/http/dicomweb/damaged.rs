//! What is answered in the place of images whose bytes are not what was received.

use axum::http::StatusCode;

use crate::archive::BlobError;
use crate::archive::retrieve::Served;
use crate::http::error::Problem;

/// Nothing is served of bytes that are not what was received: 503 while they are fetched again from their site, 410 when it does not have
/// them any more either (PS3.18 8.5).
pub(super) fn undamaged(served: &[Served]) -> Result<(), Problem> {
    let of = |gone: bool| {
        let faults = served.iter().filter_map(|one| one.fault.as_deref());
        faults.filter(|fault| (*fault == "gone") == gone).count()
    };
    let (gone, fetched, all) = (of(true), of(false), served.len());
    if fetched > 0 {
        let why = format!(
            "{fetched} of {all} images were damaged on the disk of the gateway: what is left of them is not shown, and they are fetched again from the hospital"
        );
        return Err(damaged(why));
    }
    if gone > 0 {
        let why = format!(
            "{gone} of {all} images were damaged on the disk of the gateway, and the hospital does not keep them for it any more: ask it to send them again"
        );
        return Err(Problem::new(StatusCode::GONE, "images-lost", why));
    }
    Ok(())
}

/// 503, with when to ask again.
fn damaged(why: String) -> Problem {
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "images-damaged", why);
    problem.with("retry_after_s", 30)
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        if error.is_missing() {
            tracing::error!(%error, "a blob that a row names is not there");
            let why = "this was lost on the disk of the gateway; it is fetched again from the hospital when it has been noted";
            return damaged(why.to_owned());
        }
        Self::internal(&error)
    }
}
