//! Pulls presentation data values out of P-DATA-TF PDUs (PS3.8 9.3.5, annex E): strict, bounded, without a copy per PDV.

use std::time::Duration;

use super::pdu;
use super::wire::{Fault, Patience, Stop, Wire};

/// A stretch of a command set or data set, as it lies in the read buffer.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// Presentation context.
    pub(super) context: u8,
    /// Of a command set; otherwise of a data set.
    pub(super) command: bool,
    /// Nothing of this command set or data set follows.
    pub(super) last: bool,
    /// May be empty.
    pub(super) bytes: &'a [u8],
}

/// Where in a PDV we are.
#[derive(Clone, Copy, Debug)]
struct Pdv {
    context: u8,
    command: bool,
    last: bool,
    left: u32,
}

/// The reading half of an established association.
#[derive(Debug)]
pub(super) struct Puller {
    wire: Wire,
    max_pdu: u32,
    idle: Duration,
    pdu_left: u32,
    pdv: Option<Pdv>,
    handed_out: usize,
}

impl Puller {
    /// `max_pdu` is what we announced; `idle` how long the peer may be silent between messages.
    pub(super) fn new(wire: Wire, max_pdu: u32, idle: Duration) -> Self {
        Self {
            wire,
            max_pdu,
            idle,
            pdu_left: 0,
            pdv: None,
            handed_out: 0,
        }
    }

    /// The connection, to write answers.
    pub(super) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// The connection, to part.
    pub(super) fn into_wire(self) -> Wire {
        self.wire
    }

    /// The next piece; `between` says that no message has begun, so that the peer may be idle.
    ///
    /// # Errors
    /// [`Stop`]: release, abort, end or failure of the connection, or a violation that deserves an A-ABORT.
    pub(super) async fn piece(&mut self, between: bool) -> Result<Piece<'_>, Stop> {
        let patience = if between {
            Patience::Idle(self.idle)
        } else {
            Patience::Pace
        };
        self.piece_within(patience).await
    }

    /// Waits until the peer has begun to say something. Nothing is lost when this is not waited for to its end.
    ///
    /// # Errors
    /// As [`Self::piece`].
    pub(super) async fn begun(&mut self) -> Result<(), Stop> {
        self.wire.consume(self.handed_out);
        self.handed_out = 0;
        if self.pdv.is_some() || self.pdu_left > 0 {
            return Ok(());
        }
        self.wire.fill(1, Patience::Idle(self.idle)).await
    }

    /// As [`Self::piece`], with a patience of the caller's.
    pub(super) async fn piece_within(&mut self, patience: Patience) -> Result<Piece<'_>, Stop> {
        self.wire.consume(self.handed_out);
        self.handed_out = 0;
        let mut pdv = match self.pdv.take() {
            Some(pdv) => pdv,
            None => self.header(patience).await?,
        };
        if pdv.left > 0 {
            self.wire.fill(1, patience.begun()).await?;
        }
        let left = usize::try_from(pdv.left).unwrap_or(usize::MAX);
        let n = left.min(self.wire.bytes().len());
        pdv.left = pdv
            .left
            .saturating_sub(u32::try_from(n).unwrap_or(u32::MAX));
        self.handed_out = n;
        if pdv.left > 0 {
            self.pdv = Some(pdv);
        }
        Ok(Piece {
            context: pdv.context,
            command: pdv.command,
            last: pdv.last && pdv.left == 0,
            bytes: self.wire.bytes().get(..n).unwrap_or_default(),
        })
    }

    async fn header(&mut self, patience: Patience) -> Result<Pdv, Stop> {
        if self.pdu_left == 0 {
            self.pdu_left = self.pdu_header(patience).await?;
        }
        let broken = Stop::Violation(
            Fault::InvalidPduParameter,
            "a presentation data value does not fit its PDU",
        );
        if self.pdu_left < 6 {
            return Err(broken);
        }
        self.wire.fill(6, patience.begun()).await?;
        let Some([a, b, c, d, context, control]) = self.wire.array() else {
            return Err(Stop::Closed);
        };
        let length = u32::from_be_bytes([a, b, c, d]);
        if length < 2 || length > self.pdu_left - 4 {
            return Err(broken);
        }
        if control & !0b11 != 0 {
            return Err(Stop::Violation(
                Fault::UnexpectedPdu,
                "unknown bits in a message control header",
            ));
        }
        self.pdu_left -= length + 4;
        Ok(Pdv {
            context,
            command: control & 1 != 0,
            last: control & 2 != 0,
            left: length - 2,
        })
    }

    /// The length of the next P-DATA-TF; anything else ends the association.
    async fn pdu_header(&mut self, patience: Patience) -> Result<u32, Stop> {
        self.wire.fill(1, patience).await?;
        let kind = self.wire.bytes().first().copied().unwrap_or(0);
        if !(pdu::ASSOCIATE_RQ..=pdu::ABORT).contains(&kind) {
            return Err(Stop::Violation(
                Fault::UnrecognizedPdu,
                "a PDU of unknown type",
            ));
        }
        self.wire.fill(6, patience.begun()).await?;
        let Some([_, _, a, b, c, d]) = self.wire.array() else {
            return Err(Stop::Closed);
        };
        let length = u32::from_be_bytes([a, b, c, d]);
        match kind {
            pdu::P_DATA if length == 0 || length > self.max_pdu => Err(Stop::Violation(
                Fault::InvalidPduParameter,
                "a P-DATA-TF that is empty or longer than announced",
            )),
            pdu::P_DATA => Ok(length),
            pdu::RELEASE_RQ | pdu::ABORT if length != 4 => Err(Stop::Violation(
                Fault::InvalidPduParameter,
                "a PDU of fixed length with another length",
            )),
            pdu::RELEASE_RQ => {
                self.wire.fill(4, patience.begun()).await?;
                self.wire.consume(4);
                Err(Stop::Released)
            }
            pdu::ABORT => Err(Stop::Aborted),
            _ => Err(Stop::Violation(
                Fault::UnexpectedPdu,
                "a PDU that has no place in an established association",
            )),
        }
    }
}
