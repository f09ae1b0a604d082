//! What this room reads of a request, each decoder by itself: for proofs that no text breaks it.

use axum::http::{HeaderMap, HeaderValue, header};

use super::{accept, query};
use crate::archive::search::Level;

/// The parameters of a search, at each level.
pub fn query(text: &str) {
    for level in [Level::Study, Level::Series, Level::Instance] {
        query::parse(text, level).ok();
    }
}

/// What an answer may be, by its field and by its parameter.
pub fn accept(text: &str) {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(header::ACCEPT, value);
    }
    for offer in accept::offers(&headers, Some(text)) {
        offer.takes("multipart/related");
        offer.takes_syntax("1.2.840.10008.1.2.1");
    }
}
