//! What a client accepts (PS3.18 8.3.3, 8.7.3): media types, transfer syntaxes and their order of preference.

use axum::http::{HeaderMap, header};

/// No more alternatives than these are looked at.
const MOST: usize = 64;

/// One alternative that a client accepts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Offer {
    /// Wants `multipart/related` around the parts.
    pub(super) multipart: bool,
    /// The media type, of the parts if it is multipart; may end in `/*`.
    pub(super) media: String,
    /// A transfer syntax, `*`, or none.
    pub(super) syntax: Option<String>,
    quality: f32,
}

impl Offer {
    /// Whether `media` is what this alternative says.
    pub(super) fn takes(&self, media: &str) -> bool {
        let family = |media: &str| media.split_once('/').map(|(family, _)| family.to_owned());
        self.media == "*/*"
            || self.media == media
            || (self.media.ends_with("/*") && family(&self.media) == family(media))
    }

    /// Whether this alternative takes what is in transfer syntax `stored`.
    pub(super) fn takes_syntax(&self, stored: &str) -> bool {
        self.syntax
            .as_deref()
            .is_none_or(|syntax| syntax == "*" || syntax == stored)
    }
}

/// The alternatives of a request, the best first. A request that names none accepts everything.
pub(super) fn offers(headers: &HeaderMap, query: Option<&str>) -> Vec<Offer> {
    let mut out: Vec<Offer> = Vec::new();
    let in_headers = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    for text in in_headers.chain(query) {
        for part in split(text, ',').into_iter().take(MOST) {
            out.extend(offer(&part));
        }
    }
    if out.is_empty() {
        out.extend(offer("*/*"));
    }
    out.sort_by(|one, other| other.quality.total_cmp(&one.quality));
    out
}

/// Splits at a separator that does not stand between quotes.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        quoted ^= c == '"';
        if c == separator && !quoted {
            out.push(String::new());
        } else if let Some(last) = out.last_mut() {
            last.push(c);
        }
    }
    out
}

fn offer(text: &str) -> Option<Offer> {
    let mut pieces = split(text, ';').into_iter();
    let media = pieces.next()?.trim().to_ascii_lowercase();
    if !media.contains('/') {
        return None;
    }
    let multipart = media == "multipart/related";
    let mut offer = Offer {
        multipart,
        media: if multipart { "*/*".to_owned() } else { media },
        syntax: None,
        quality: 1.0,
    };
    for piece in pieces {
        let Some((name, value)) = piece.split_once('=') else {
            continue;
        };
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "type" if multipart => offer.media = value.to_ascii_lowercase(),
            "transfer-syntax" => offer.syntax = Some(value.to_owned()),
            "q" => offer.quality = value.parse().unwrap_or(1.0),
            _ => {}
        }
    }
    (offer.quality > 0.0).then_some(offer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<Offer> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, text.parse().unwrap());
        offers(&headers, None)
    }

    #[test]
    fn what_real_clients_say_is_understood() {
        // OHIF, dicomweb-client, a browser
        let ohif = of("multipart/related; type=application/octet-stream; transfer-syntax=*");
        assert!(ohif[0].multipart && ohif[0].takes("application/octet-stream"));
        assert!(ohif[0].takes_syntax("1.2.840.10008.1.2.4.80"));
        let python = of(
            "multipart/related; type=\"image/jpeg\"; transfer-syntax=1.2.840.10008.1.2.4.50, multipart/related; type=\"image/*\"",
        );
        assert!(python[0].takes("image/jpeg") && !python[0].takes_syntax("1.2.840.10008.1.2.4.70"));
        assert!(python[1].takes("image/jls") && python[1].takes_syntax("1.2.840.10008.1.2.4.80"));
        let browser = of("text/html;q=0.9, image/avif, */*;q=0.8");
        assert_eq!(browser[0].media, "image/avif");
        assert!(!browser[2].multipart && browser[2].takes("application/dicom+json"));
        assert_eq!(of("application/json;q=0, nonsense")[0].media, "*/*");
    }
}
