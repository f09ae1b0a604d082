//! The pages of the reading room: thin shells around the modules of `gateway/web`, which do everything through `/api/v1`. A shell holds
//! no data, so it needs no session; a page whose calls are refused goes to the sign-in page.

mod assets;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::{DOCTYPE, Markup, html};

/// Own files only, nothing inline; the viewer is the one frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
    frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The pages and the files they load.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(|| shell("room", "Worklist")))
        .route("/sign-in", get(|| shell("sign-in", "Sign in")))
        .route("/case/{id}", get(|_: Path<String>| shell("room", "Case")))
        .route(
            "/case/{id}/images",
            get(|_: Path<String>| shell("images", "Images")),
        )
        .route("/admin", get(|| shell("admin", "Administration")))
        .route("/web/{*path}", get(assets::file))
        .route("/favicon.ico", get(assets::icon))
}

async fn shell(module: &'static str, title: &'static str) -> Response {
    let mut answer = document(module, title).into_response();
    guard(answer.headers_mut());
    answer
}

/// What every page and every file of ours says about itself. The isolation is for the viewer in its frame: it has shared memory only
/// when the page around it is isolated too.
fn guard(headers: &mut axum::http::HeaderMap) {
    const ALWAYS: [(HeaderName, &str); 8] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-embedder-policy"),
            "require-corp",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ];
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// The worklist and the case are one document.
fn styles(module: &'static str) -> &'static [&'static str] {
    match module {
        "room" => &["worklist", "case"],
        "images" => &["images"],
        "admin" => &["admin"],
        _ => &["sign-in"],
    }
}

fn document(module: &'static str, title: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-theme="dark" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="dark light";
                title { (title) " · Causeway" }
                link rel="icon" type="image/svg+xml" href="/web/mark.svg";
                link rel="stylesheet" href="/web/style/base.css";
                @for style in styles(module) {
                    link rel="stylesheet" href={ "/web/style/" (style) ".css" };
                }
                // before the first paint, so that nobody in a dark room meets a white page
                script src="/web/theme.js" {}
                script type="module" src={ "/web/" (module) ".js" } {}
            }
            body data-page=(module) {
                noscript {
                    p { "The reading room needs JavaScript. Allow it for this address and load the page again." }
                }
            }
        }
    }
}
