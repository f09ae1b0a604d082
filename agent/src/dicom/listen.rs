//! Accepts connections, turns each into an association or an honest refusal, and counts how many there are.

mod door;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dicom_ul::Pdu;
use dicom_ul::pdu::{AbortRQSource, AssociationRQ};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::config::Config;
use super::negotiate::{self, Agreed, Load, Use, Verdict};
use super::pdu;
use super::pull::Puller;
use super::serve::Association;
use super::wire::{Fault, Patience, Stop, Wire};
use crate::commitment::Commitments;
use crate::spool::Spool;
use door::{Door, Kind, Place};

/// Longest variable part of an A-ASSOCIATE-RQ: 128 contexts of 20 syntaxes each are about 75 KiB.
const LONGEST_REQUEST: usize = 128 * 1024;
/// How long one for whom there is no place may take to hear it.
const TURNING_AWAY: Duration = Duration::from_secs(1);
/// Pause after a failed accept (no file descriptors, say), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listener could not be opened.
#[derive(Debug, Error)]
#[error("cannot listen for DICOM on {address}")]
pub struct ListenError {
    /// The configured address.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Listens until `cancel` fires and the last association has ended; every connection is a task of `tracker`, on one of `threads` in turn when there are any: a task of
/// theirs may block for a sync of the disk. Answers the bound address.
///
/// # Errors
/// [`ListenError`] when the address cannot be bound.
pub async fn listen(
    config: Config,
    (spool, commitments): (Spool, Commitments),
    tracker: TaskTracker,
    threads: Vec<Handle>,
    cancel: CancellationToken,
) -> Result<SocketAddr, ListenError> {
    let address = config.listen;
    let failed = |source| ListenError { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let rooms = (spool, commitments);
    let door = Door::new(config, rooms, tracker.clone(), threads, cancel);
    tracker.spawn(accept(Arc::new(door), listener));
    Ok(bound)
}

async fn accept(door: Arc<Door>, listener: TcpListener) {
    let mut tell = tokio::time::interval(door::TELL);
    loop {
        let accepted = tokio::select! {
            biased;
            () = door.drained() => return,
            now = tell.tick() => {
                door.tell_the_rest(now);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a DICOM connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let address = peer.ip().to_canonical();
        let Some(place) = door.enter(address) else {
            if let Some(left_out) = door.may_tell(Kind::Crowded, address) {
                tracing::warn!(%address, left_out, "too many connections, one was closed unheard");
            }
            continue;
        };
        let span = tracing::info_span!("dicom", connection = place.number);
        let mut threads = door.threads.iter().cycle();
        let turn = usize::try_from(place.number).unwrap_or(0) % door.threads.len().max(1);
        match (threads.nth(turn), stream.into_std()) {
            (None, Ok(stream)) => {
                door.tracker
                    .spawn(connection(place, stream).instrument(span));
            }
            (Some(thread), Ok(stream)) => {
                door.tracker
                    .spawn_on(connection(place, stream).instrument(span), thread);
            }
            (_, Err(error)) => tracing::warn!(%error, "a DICOM connection was lost at once"),
        }
    }
}

/// One connection from its first byte to its last.
async fn connection(mut place: Place, stream: std::net::TcpStream) {
    let door = Arc::clone(&place.door);
    let artim = Duration::from_secs(door.config.artim_timeout_s);
    let window = Duration::from_secs(door.config.pace_window_s);
    let stream = TcpStream::from_std(stream);
    let mut wire = match stream.and_then(|stream| Wire::paced(stream, window)) {
        Ok(wire) => wire,
        Err(error) => {
            tracing::debug!(%error, "connection lost before its first byte");
            return;
        }
    };
    if place.is_none() {
        if let Some(left_out) = door.may_tell(Kind::Crowded, place.address) {
            tracing::warn!(address = %place.address, left_out, "too many connections, one was turned away unheard");
        }
        let (word, _) = negotiate::at_limit();
        return wire.part(&word.into(), TURNING_AWAY).await;
    }
    let said = tokio::select! {
        biased;
        told = place.given_away() => {
            if let Some(left_out) = door.may_tell(Kind::Crowded, place.address) {
                tracing::info!(address = %place.address, told, left_out, "a connection that asked nothing gave way to another");
            }
            if told {
                let (word, _) = negotiate::at_limit();
                wire.part(&word.into(), TURNING_AWAY).await;
            }
            return;
        }
        said = read_request(&mut wire, Instant::now() + artim) => said,
    };
    let address = place.address;
    let said = match said {
        Ok(said) => said,
        Err(stop) => return dismiss(&mut place, part(&door, address, wire, stop, artim)).await,
    };
    let judged = |load| negotiate::judge(&said, address, &door.config, load);
    let mut verdict = judged(Load::Free);
    if matches!(verdict, Verdict::Accept(_)) {
        verdict = judged(place.sit());
    }
    match verdict {
        Verdict::Abort(fault, why) => {
            let stop = Stop::Violation(fault, why);
            dismiss(&mut place, part(&door, address, wire, stop, artim)).await;
        }
        Verdict::Reject(word, why) => {
            if let Some(left_out) = door.may_tell(Kind::Refused, address) {
                tracing::info!(%address, result = ?word.result, source = ?word.source, why, left_out, "association refused");
            }
            dismiss(&mut place, wire.part(&word.into(), artim)).await;
        }
        Verdict::Accept(agreed) => associated(&place, *agreed, wire, artim).await,
    }
}

/// Parts with one that is not taken. It may take until ARTIM to close, as long as nobody else wants its place.
async fn dismiss(place: &mut Place, parting: impl Future<Output = ()>) {
    let mut parting = pin!(parting);
    tokio::select! {
        () = &mut parting => {}
        told = place.given_away() => if told {
            tokio::time::timeout(TURNING_AWAY, parting).await.ok();
        }
    }
}

async fn associated(place: &Place, agreed: Agreed, mut wire: Wire, artim: Duration) {
    let door = &place.door;
    if let Err(stop) = wire.say(&agreed.answer).await {
        return part(door, place.address, wire, stop, artim).await;
    }
    let calling = agreed.calling.clone();
    tracing::info!(%calling, called = %agreed.called.ae_title, address = %place.address, "association begins");
    let id = door.spool.association_opened(calling, agreed.kind);
    let idle = Duration::from_secs(door.config.idle_timeout_s);
    let commits = |(_, usage): &(u8, Use)| matches!(usage, Use::Commitment(_));
    let line = agreed.contexts.iter().any(commits);
    let association = Association {
        commitments: &door.commitments,
        line: line.then(|| door.commitments.line()),
        said: None,
        last_message: 0,
        spool: &door.spool,
        agreed: &agreed,
        id,
        address: place.address,
        puller: Puller::new(wire, door.config.max_pdu_bytes, idle),
        set: Vec::with_capacity(512),
        remarks: Vec::new(),
    };
    let (stop, count, wire) = association.run(&door.cancel).await;
    door.spool.association_closed(id).await;
    let (stored, refused) = (count.stored, count.refused);
    tracing::info!(stored, refused, end = %stop, "association ends");
    part(door, place.address, wire, stop, artim).await;
}

/// The last word that each way of ending deserves (PS3.8 9.2).
async fn part(door: &Door, address: IpAddr, wire: Wire, stop: Stop, artim: Duration) {
    let source = match stop {
        Stop::Released => return wire.part(&Pdu::ReleaseRP, artim).await,
        Stop::Violation(fault, why) => {
            if let Some(left_out) = door.may_tell(Kind::Refused, address) {
                tracing::info!(%address, reason = %fault, why, left_out, "association aborted");
            }
            AbortRQSource::ServiceProvider(fault)
        }
        Stop::Draining => AbortRQSource::ServiceUser,
        Stop::Idle => AbortRQSource::ServiceProvider(Fault::ReasonNotSpecified),
        Stop::Aborted | Stop::Closed | Stop::Silent | Stop::Io(_) => {
            tracing::debug!(end = %stop, "connection ends");
            return;
        }
    };
    wire.part(&Pdu::AbortRQ { source }, artim).await;
}

/// Reads the request with which every connection must begin, under ARTIM.
async fn read_request(wire: &mut Wire, artim: Instant) -> Result<AssociationRQ, Stop> {
    let until = Patience::Until(artim);
    wire.fill(1, until).await?;
    let kind = wire.bytes().first().copied().unwrap_or(0);
    if !(pdu::ASSOCIATE_RQ..=pdu::ABORT).contains(&kind) {
        return Err(Stop::Violation(
            Fault::UnrecognizedPdu,
            "a PDU of unknown type",
        ));
    }
    if kind == pdu::ABORT {
        return Err(Stop::Aborted);
    }
    if kind != pdu::ASSOCIATE_RQ {
        return Err(Stop::Violation(
            Fault::UnexpectedPdu,
            "something else before an association was asked for",
        ));
    }
    wire.fill(6, until).await?;
    let Some([_, _, a, b, c, d]) = wire.array() else {
        return Err(Stop::Closed);
    };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let broken = Stop::Violation(
        Fault::InvalidPduParameter,
        "a request for an association that is too long or broken",
    );
    if length > LONGEST_REQUEST {
        return Err(broken);
    }
    wire.fill(length, until).await?;
    let said = pdu::read_request(wire.bytes().get(..length).unwrap_or_default());
    wire.consume(length);
    said.map_err(|_malformed| broken)
}

#[cfg(test)]
pub(super) mod tests;
