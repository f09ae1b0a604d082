//! Contexts and letters on one connection: what a site says is durable before it is answered, what readers write is said until it is
//! heard.

use std::sync::PoisonError;
use std::time::Duration;

use causeway_proto::link::close::Code;
use causeway_proto::link::codec::Message;
use causeway_proto::link::message::{Context, Letter, LetterState};
use causeway_proto::link::session::Farewell;
use causeway_proto::link::talk::Saying;
use tokio::time::Instant;

use super::session::Session;
use crate::talk::{self, TalkError};

/// How often the rows are looked at when nothing rings.
const LOOK: Duration = Duration::from_secs(10);

/// Says what readers have written and read until the session ends.
pub(super) async fn run(session: &Session) {
    let begun = Instant::now();
    let mut wakes = session.rooms.parts.wakes.delivery.listen();
    loop {
        if let Err(error) = look(session, begun.elapsed()).await {
            tracing::error!(%error, "letters for a site cannot be read");
        }
        wakes.wait(LOOK).await;
    }
}

async fn look(session: &Session, now: Duration) -> Result<(), TalkError> {
    let (rows, site) = (&session.rooms.parts.rows, &session.peer.site);
    let letters = talk::due(rows, site, session.rooms.parts.clock.now()).await?;
    for letter in letters {
        if saying(session, |saying| saying.letter(&letter, now)) {
            session.say(letter).await;
        }
    }
    for state in talk::readings(rows, site).await? {
        if saying(session, |saying| saying.read(&state.id, now)) {
            session.say(state).await;
        }
    }
    Ok(())
}

fn saying<T>(session: &Session, act: impl FnOnce(&mut Saying) -> T) -> T {
    act(&mut session
        .saying
        .lock()
        .unwrap_or_else(PoisonError::into_inner))
}

/// What a site gives to be kept ends the connection when it cannot be kept: it says it again, in its order.
fn trouble(error: &TalkError) -> Farewell {
    tracing::error!(%error, "the words of a site could not be kept");
    Farewell::from(Code::Internal)
}

/// A site says what a reader should know.
pub(super) async fn context(session: &Session, context: Context) -> Result<(), Farewell> {
    let parts = &session.rooms.parts;
    let taken = talk::take_context(&parts.rows, &session.peer.site, &context, parts.clock.now());
    match taken.await.map_err(|error| trouble(&error))? {
        Some(taken) => {
            session.rooms.events.announce(&taken.changed);
            session.say(taken.held).await;
        }
        None => unknown(session),
    }
    Ok(())
}

/// A site writes to the reader of a case.
pub(super) async fn letter(session: &Session, letter: Letter) -> Result<(), Farewell> {
    let parts = &session.rooms.parts;
    let taken = talk::take(&parts.rows, &session.peer.site, &letter, parts.clock.now());
    match taken.await.map_err(|error| trouble(&error))? {
        Some((state, changed)) => {
            session.rooms.events.announce(&changed);
            session.say(state).await;
        }
        None => unknown(session),
    }
    Ok(())
}

/// A site says what became of a letter.
pub(super) async fn state(session: &Session, said: LetterState) -> Result<(), Farewell> {
    let parts = &session.rooms.parts;
    saying(session, |saying| saying.answered(&said));
    let heard = talk::heard(&parts.rows, &session.peer.site, &said, parts.clock.now());
    let (answer, changed) = heard.await.map_err(|error| trouble(&error))?;
    session.rooms.events.announce(&changed);
    if let Some(answer) = answer {
        session.say(Message::from(answer)).await;
    }
    Ok(())
}

fn unknown(session: &Session) {
    tracing::debug!(site = %session.peer.site, "words about a study that is not here, or not any more");
}
