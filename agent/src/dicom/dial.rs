//! An association that we ask for (PS3.8 7.1): dial, offer, exchange one request at a time, release.

use std::net::SocketAddr;
use std::time::Duration;

use dicom_ul::Pdu;
use dicom_ul::pdu::{
    AbortRQSource, AssociationAC, AssociationRQ, PresentationContextProposed,
    PresentationContextResultReason, UserVariableItem,
};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::command::{self, Command};
use super::pdu;
use super::pull::Puller;
use super::send::SendError;
use super::wire::{Patience, Stop, Wire};
use crate::delivery::{Destination, Parcel};

/// Longest P-DATA-TF that we announce: answers are command sets only.
const ANNOUNCED_PDU: u32 = 128 * 1024;
/// Longest A-ASSOCIATE-AC that is read.
const LONGEST_ANSWER: usize = 256 * 1024;
/// How long a peer may take to accept a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long a peer may take to answer a request.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);
/// How long a query may take in all.
const FIND_PATIENCE: Duration = ANSWER_PATIENCE;
/// How long the peer may take to answer a release.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);

/// A context to be proposed.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    class: String,
    syntaxes: Vec<String>,
}

impl Offer {
    /// One abstract syntax in some transfer syntaxes.
    pub(super) fn new<const N: usize>(class: &str, syntaxes: [&str; N]) -> Self {
        Self {
            class: class.to_owned(),
            syntaxes: syntaxes.map(str::to_owned).to_vec(),
        }
    }
}

/// An association with a destination.
#[derive(Debug)]
pub(super) struct Dialled {
    puller: Puller,
    accepted: Vec<(u8, String, String)>,
    peer_pdu: u32,
    said: Vec<UserVariableItem>,
    next_message: u16,
    broken: bool,
}

impl Dialled {
    /// Connects and proposes one context for each offer, at most 128.
    ///
    /// # Errors
    /// [`SendError`] when no association comes about.
    pub(super) async fn open(
        destination: &Destination,
        offers: &[Offer],
    ) -> Result<Self, SendError> {
        Self::open_with(destination, offers, None).await
    }

    /// As [`Self::open`], to be the provider of `class` and not its user (PS3.7 D.3.3.4).
    ///
    /// # Errors
    /// [`SendError`] when no association comes about.
    pub(super) async fn open_as_provider(
        destination: &Destination,
        offers: &[Offer],
        class: &str,
    ) -> Result<Self, SendError> {
        let role = pdu::role(class, false, true);
        Self::open_with(destination, offers, Some(role)).await
    }

    async fn open_with(
        destination: &Destination,
        offers: &[Offer],
        role: Option<UserVariableItem>,
    ) -> Result<Self, SendError> {
        let stream = connect(destination).await?;
        let mut wire = Wire::new(stream).map_err(Stop::from)?;
        let proposed: Vec<PresentationContextProposed> = (0_u8..128)
            .zip(offers)
            .map(|(number, offer)| PresentationContextProposed {
                id: number * 2 + 1,
                abstract_syntax: offer.class.clone(),
                transfer_syntaxes: offer.syntaxes.clone(),
            })
            .collect();
        let mut user_variables = pdu::user_variables(ANNOUNCED_PDU);
        user_variables.extend(role);
        let request = AssociationRQ {
            protocol_version: 1,
            calling_ae_title: destination.calling_ae_title.as_str().to_owned(),
            called_ae_title: destination.ae_title.as_str().to_owned(),
            application_context_name: pdu::APPLICATION_CONTEXT.to_owned(),
            presentation_contexts: proposed.clone(),
            user_variables,
        };
        wire.say(&request.into()).await?;
        let answer = read_answer(&mut wire).await?;
        Ok(Self {
            puller: Puller::new(wire, ANNOUNCED_PDU, ANSWER_PATIENCE),
            accepted: match_answers(&proposed, &answer),
            peer_pdu: pdu::peer_pdu(&answer.user_variables),
            said: answer.user_variables,
            next_message: 1,
            broken: false,
        })
    }

    /// The context accepted for a class in a syntax.
    pub(super) fn accepted(&self, class: &str, syntax: &str) -> Option<u8> {
        let matches = |(_, c, s): &&(u8, String, String)| c == class && s == syntax;
        self.accepted.iter().find(matches).map(|(id, _, _)| *id)
    }

    /// Whether the peer lets us be the provider of a class: it said so, or said nothing about it although it was asked.
    pub(super) fn may_provide(&self, class: &str) -> bool {
        pdu::role_of(&self.said, class).is_none_or(|(_, scp)| scp)
    }

    /// N-EVENT-REPORT of an instance, given as class and UID: the status.
    ///
    /// # Errors
    /// [`SendError`] when no answer comes.
    pub(super) async fn event(
        &mut self,
        context: u8,
        (class, instance): (&str, &str),
        kind: u16,
        dataset: &[u8],
    ) -> Result<u16, SendError> {
        let id = self.message_id();
        let request = command::write_event_report(id, class, instance, kind);
        self.say(context, &request, dataset).await?;
        let (status, _) = self.answer(command::N_EVENT_REPORT_RQ, id).await?;
        Ok(status)
    }

    /// C-ECHO: the status.
    ///
    /// # Errors
    /// [`SendError`] when no answer comes.
    pub(super) async fn echo(&mut self, context: u8) -> Result<u16, SendError> {
        let id = self.message_id();
        let request = command::write_echo_request(id, super::negotiate::VERIFICATION);
        let out = pdu::command_set(context, &request, self.peer_pdu).map_err(Stop::from)?;
        self.puller.wire().write(&out).await?;
        let (status, _) = self.answer(command::C_ECHO_RQ, id).await?;
        Ok(status)
    }

    /// C-STORE: status and Error Comment; within, [`SendError`] when all of it was written and no answer came.
    ///
    /// # Errors
    /// [`SendError`] when not all of it was written.
    pub(super) async fn store(
        &mut self,
        context: u8,
        parcel: &Parcel,
    ) -> Result<Result<(u16, String), SendError>, SendError> {
        let id = self.message_id();
        let request =
            command::write_store_request(id, parcel.class.as_str(), parcel.instance.as_str());
        self.say(context, &request, &parcel.dataset).await?;
        Ok(self.answer(command::C_STORE_RQ, id).await)
    }

    /// C-FIND: the identifiers of its pending answers as they came, and the last status. When more than `most` come, or more
    /// than `most_bytes` of one, no further one is read: the association is aborted.
    ///
    /// # Errors
    /// [`SendError`] when no answer comes.
    pub(super) async fn find(
        &mut self,
        context: u8,
        class: &str,
        identifier: &[u8],
        (most, most_bytes): (usize, usize),
    ) -> Result<(Vec<Vec<u8>>, u16), SendError> {
        let id = self.message_id();
        let request = command::write_find_request(id, class);
        self.say(context, &request, identifier).await?;
        let mut found = Vec::new();
        let until = Instant::now() + FIND_PATIENCE;
        loop {
            let answer = self.read_response(until).await;
            let answer = self.checked(command::C_FIND_RQ, id, answer)?;
            let Some(status) = answer.status else {
                return Err(self.broke("an answer has no status"));
            };
            if answer.data_set {
                let dataset = self.read_dataset(until, most_bytes).await;
                self.broken |= dataset.is_err();
                found.push(dataset?);
            }
            // PS3.4 C.4.1.1.4: FF00 and FF01 are pending
            if !matches!(status, 0xFF00 | 0xFF01) {
                return Ok((found, status));
            }
            if found.len() > most {
                self.broken = true;
                return Ok((found, 0));
            }
        }
    }

    /// Writes a request and the data set that follows it.
    async fn say(&mut self, context: u8, request: &[u8], dataset: &[u8]) -> Result<(), SendError> {
        let peer_pdu = self.peer_pdu;
        let wire = self.puller.wire();
        let written = wire.message(context, request, dataset, peer_pdu).await;
        self.broken |= written.is_err();
        Ok(written?)
    }

    fn message_id(&mut self) -> u16 {
        let id = self.next_message;
        self.next_message = id.checked_add(1).unwrap_or(1);
        id
    }

    async fn answer(&mut self, to: u16, id: u16) -> Result<(u16, String), SendError> {
        let answer = self.read_response(Instant::now() + ANSWER_PATIENCE).await;
        let answer = self.checked(to, id, answer)?;
        match answer.status {
            Some(status) => Ok((status, answer.comment)),
            None => Err(self.broke("an answer has no status")),
        }
    }

    /// An answer, if it is one to the request `id`; anything else ends the association.
    fn checked(
        &mut self,
        to: u16,
        id: u16,
        answer: Result<Command, SendError>,
    ) -> Result<Command, SendError> {
        self.broken |= answer.is_err();
        let answer = answer?;
        if answer.field == to | command::RESPONSE && answer.responding_to == Some(id) {
            return Ok(answer);
        }
        Err(self.broke("the answer is to another request"))
    }

    fn broke(&mut self, how: &str) -> SendError {
        self.broken = true;
        SendError::Broken(how.to_owned())
    }

    async fn read_response(&mut self, until: Instant) -> Result<Command, SendError> {
        let set = self.read_whole(until, true, command::MAX_BYTES).await?;
        match command::read(&set) {
            Ok(answer) => Ok(answer),
            Err(unframed) => Err(SendError::Broken(unframed.to_string())),
        }
    }

    async fn read_dataset(&mut self, until: Instant, most: usize) -> Result<Vec<u8>, SendError> {
        self.read_whole(until, false, most).await
    }

    /// All pieces of one command set or data set.
    async fn read_whole(
        &mut self,
        until: Instant,
        command: bool,
        most: usize,
    ) -> Result<Vec<u8>, SendError> {
        let mut whole = Vec::with_capacity(256);
        loop {
            let piece = match self.puller.piece_within(Patience::Until(until)).await {
                Ok(piece) => piece,
                Err(Stop::Silent) => return Err(SendError::TimedOut(ANSWER_PATIENCE.as_secs())),
                Err(stop) => return Err(stop.into()),
            };
            if piece.command != command {
                return Err(SendError::Broken(
                    "a command set or a data set is out of place".to_owned(),
                ));
            }
            if whole.len() + piece.bytes.len() > most {
                return Err(SendError::Broken("the answer is too long".to_owned()));
            }
            whole.extend_from_slice(piece.bytes);
            if piece.last {
                return Ok(whole);
            }
        }
    }

    /// Releases the association and waits a little for the answer; an exchange that failed is aborted instead.
    pub(super) async fn release(self) {
        let broken = self.broken;
        let wire = self.puller.into_wire();
        let last_word = if broken {
            Pdu::AbortRQ {
                source: AbortRQSource::ServiceUser,
            }
        } else {
            Pdu::ReleaseRQ
        };
        release(wire, &last_word, broken).await;
    }
}

async fn release(mut wire: Wire, last_word: &Pdu, broken: bool) {
    if !broken {
        let patience = Patience::Until(Instant::now() + RELEASE_PATIENCE);
        let answered = async {
            wire.say(last_word).await?;
            wire.fill(1, patience).await
        };
        if let Err(stop) = answered.await {
            tracing::debug!(%stop, "release was not answered");
        }
        return;
    }
    wire.part(last_word, RELEASE_PATIENCE).await;
}

async fn connect(destination: &Destination) -> Result<TcpStream, SendError> {
    let address = || destination.address.clone();
    let resolved: Vec<SocketAddr> = match tokio::net::lookup_host(&destination.address).await {
        Ok(found) => found.collect(),
        Err(error) => return Err(SendError::Address(address(), error)),
    };
    match timeout(CONNECT_PATIENCE, TcpStream::connect(resolved.as_slice())).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(SendError::Connect(address(), error)),
        Err(_) => Err(SendError::TimedOut(CONNECT_PATIENCE.as_secs())),
    }
}

async fn read_answer(wire: &mut Wire) -> Result<AssociationAC, SendError> {
    let until = Patience::Until(Instant::now() + ANSWER_PATIENCE);
    let timed_out = |stop| match stop {
        Stop::Silent => SendError::TimedOut(ANSWER_PATIENCE.as_secs()),
        other => SendError::from(other),
    };
    wire.fill(6, until).await.map_err(timed_out)?;
    let Some([kind, _, a, b, c, d]) = wire.array() else {
        return Err(Stop::Closed.into());
    };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if length > LONGEST_ANSWER {
        return Err(SendError::Broken(
            "the peer does not speak DICOM".to_owned(),
        ));
    }
    wire.fill(length, until).await.map_err(timed_out)?;
    let body = wire.bytes().get(..length).unwrap_or_default();
    match (kind, body) {
        (pdu::ASSOCIATE_AC, body) => {
            let answer = pdu::read_acceptance(body);
            wire.consume(length);
            answer.map_err(|malformed| SendError::Broken(malformed.to_string()))
        }
        (pdu::ASSOCIATE_RJ, &[_, result, source, reason, ..]) => {
            Err(SendError::Rejected(rejection(result, source, reason)))
        }
        (pdu::ABORT, _) => Err(SendError::Aborted),
        _ => Err(SendError::Broken(
            "the peer does not speak DICOM".to_owned(),
        )),
    }
}

/// PS3.8 9.3.4 in words, each with what to look at.
fn rejection(result: u8, source: u8, reason: u8) -> String {
    let words = match (source, reason) {
        (1, 2) => "it does not know DICOM's application context",
        (1, 3) => "it does not know our AE title (calling_ae_title, or our address, at the PACS)",
        (1, 7) => "it is not called by this AE title (ae_title)",
        (2, 2) => "it does not speak protocol version 1",
        (3, 1) => "it is congested",
        (3, 2) => "it has too many associations",
        _ => "it gave no reason",
    };
    let lasting = if result == 2 {
        "for now"
    } else {
        "permanently"
    };
    format!("{words}, {lasting} ({result}/{source}/{reason})")
}

fn match_answers(
    proposed: &[PresentationContextProposed],
    answer: &AssociationAC,
) -> Vec<(u8, String, String)> {
    let mut accepted = Vec::new();
    for context in &answer.presentation_contexts {
        let of = proposed.iter().find(|p| p.id == context.id);
        let Some(of) = of.filter(|_| context.reason == PresentationContextResultReason::Acceptance)
        else {
            continue;
        };
        if of.transfer_syntaxes.contains(&context.transfer_syntax) {
            let syntax = context.transfer_syntax.clone();
            accepted.push((context.id, of.abstract_syntax.clone(), syntax));
        }
    }
    accepted
}
