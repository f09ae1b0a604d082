//! What comes home on one connection: reports, whole or not at all, and the words about them until they are noted.

use std::collections::BTreeMap;

use bytes::Bytes;
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{Message, Part, Reader, Speaker};
use causeway_proto::link::download::{Parcel, Words};
use causeway_proto::link::message::{DeliveryState, Noted, Report};
use causeway_proto::time::Timestamp;
use quinn::RecvStream;

use super::alias::Alias;
use super::dial::{READ_BYTES, VarIntOf};
use super::session::Done;
use crate::delivery::{AcceptError, Deliveries, DeliveryError, Untold};

/// Words that may wait for their answer at the same time.
const WORDS: usize = 256;

type Said = (String, String, String, DeliveryState, Timestamp);

/// The words said on this connection.
#[derive(Debug)]
pub(super) struct Download {
    deliveries: Deliveries,
    words: Words,
    untold: BTreeMap<SaidKey, Untold>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SaidKey(Said);

impl Download {
    pub(super) fn new(deliveries: Deliveries) -> Self {
        Self {
            deliveries,
            words: Words::new(),
            untold: BTreeMap::new(),
        }
    }

    /// Appends to `say` what the gateway has not heard.
    ///
    /// # Errors
    /// When the rows refuse.
    pub(super) async fn look(&mut self, say: &mut Vec<Message>) -> Result<(), DeliveryError> {
        for untold in self.deliveries.messages().await? {
            let word = &untold.message;
            if self.words.say(word, WORDS) {
                say.push(word.clone().into());
                let key = SaidKey((
                    word.delivery.clone(),
                    word.destination.clone(),
                    word.form.clone(),
                    word.state,
                    word.since,
                ));
                self.untold.insert(key, untold);
            }
        }
        Ok(())
    }

    /// The gateway has recorded a word.
    ///
    /// # Errors
    /// When the rows refuse.
    pub(super) async fn noted(&mut self, noted: &Noted) -> Result<(), DeliveryError> {
        let key = SaidKey((
            noted.delivery.clone(),
            noted.destination.clone(),
            noted.form.clone(),
            noted.state,
            noted.since,
        ));
        let untold = self.untold.remove(&key);
        if self.words.noted(noted)
            && let Some(untold) = untold
        {
            self.deliveries.told(&[untold]).await?;
        }
        Ok(())
    }
}

/// Takes one report from its stream and hands it over.
pub(super) async fn receive(mut stream: RecvStream, deliveries: Deliveries, alias: Alias) -> Done {
    if let Err(code) = take(&mut stream, &deliveries, &alias).await {
        tracing::warn!(code = code.name(), "a report was not taken");
        if stream.stop(VarIntOf(code).into()).is_err() {
            tracing::trace!("the gateway has ended the stream");
        }
    }
    Done::Report
}

async fn take(stream: &mut RecvStream, deliveries: &Deliveries, alias: &Alias) -> Result<(), Code> {
    let mut reader = Reader::stream(Speaker::Gateway);
    let mut arriving: Option<(Report, Parcel)> = None;
    loop {
        while let Some(part) = reader.next_part().map_err(|error| error.code())? {
            match part {
                Part::Message(Message::Report(report)) => {
                    let parcel = Parcel::begin(&report);
                    arriving = Some((report, parcel));
                }
                Part::Data(bytes) => {
                    let (_, parcel) = arriving.as_mut().ok_or(Code::ProtocolError)?;
                    parcel.data(bytes)?;
                }
                Part::Message(Message::Trailer(trailer)) => {
                    let (report, parcel) = arriving.take().ok_or(Code::ProtocolError)?;
                    let dataset = Bytes::from(parcel.finish(&trailer)?);
                    let home = alias.report(&report).await.map_err(|error| {
                        tracing::error!(%error, "the study of a report could not be looked for");
                        Code::Internal
                    })?;
                    return hand_over(deliveries, &home, &report, dataset).await;
                }
                Part::Message(_) => return Err(Code::ProtocolError),
            }
        }
        match stream.read_chunk(READ_BYTES, true).await {
            Ok(Some(chunk)) => reader.push(&chunk.bytes),
            Ok(None) | Err(_) => return Err(Code::Truncated),
        }
    }
}

async fn hand_over(
    deliveries: &Deliveries,
    home: &Report,
    said: &Report,
    dataset: Bytes,
) -> Result<(), Code> {
    let taken = deliveries.accept_as(home, &said.study, dataset).await;
    taken.map_err(|error| {
        tracing::error!(%error, delivery = %home.delivery, "a report could not be kept");
        match error {
            AcceptError::Digest => Code::DigestMismatch,
            AcceptError::NotKept { .. } => Code::Internal,
        }
    })
}
