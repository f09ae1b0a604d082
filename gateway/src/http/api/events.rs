//! What has changed, as server-sent events, so that pages refresh. Only a hint: pages also ask by the clock.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State as From;
use axum::http::{HeaderMap, Method};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use futures::Stream;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::cases::visible;
use crate::http::State;
use crate::http::auth::{Who, same_site};
use crate::http::error::Problem;
use crate::worklist::Event;

/// A stream ends after this long; the page opens a new one, which asks again who it is.
const LIFE: Duration = Duration::from_secs(60);
const ALIVE: Duration = Duration::from_secs(15);

struct Listening {
    state: State,
    who: Who,
    events: Receiver<Event>,
    /// A case of his has changed and the lists that hold it not yet been told.
    list: bool,
    until: tokio::time::Instant,
}

impl Listening {
    /// The next event that this person may know of; none when the stream ends.
    async fn next(&mut self) -> Option<Sent> {
        if std::mem::take(&mut self.list) {
            return Some(Sent::default().event("worklist").data("{}"));
        }
        loop {
            let heard = tokio::select! {
                heard = self.events.recv() => heard,
                () = tokio::time::sleep_until(self.until) => return None,
                () = self.state.cancel.cancelled() => return None,
            };
            match heard {
                Err(RecvError::Lagged(_)) => {
                    return Some(Sent::default().event("worklist").data("{}"));
                }
                Ok(Event::Case(case)) => {
                    let seen = visible(&self.state, &self.who.subject, &case).await;
                    if seen.is_ok() {
                        self.list = true;
                        let data = json!({ "case": case }).to_string();
                        return Some(Sent::default().event("case").data(data));
                    }
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// Events `worklist` and `case`.
#[utoipa::path(get, path = "/events", responses((status = 200, content_type = "text/event-stream"), (status = 401)))]
pub(super) async fn events(
    From(state): From<State>,
    headers: HeaderMap,
    who: Who,
) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>>>, Problem> {
    // a stream is no page that one could come to by a link from elsewhere
    same_site(&state, &Method::POST, &headers)?;
    let listening = Listening {
        events: state.events.listen(),
        list: false,
        until: tokio::time::Instant::now() + LIFE,
        state,
        who,
    };
    let stream = futures::stream::unfold(listening, |mut listening| async move {
        let sent = listening.next().await?;
        Some((Ok(sent), listening))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(ALIVE)))
}
