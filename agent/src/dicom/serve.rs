//! One association as its provider: messages one after the other, each with its answer.

use std::net::IpAddr;

use causeway_proto::prescan::Remark;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::command::{self, Command};
use super::commit;
use super::negotiate::{Agreed, COMMITMENT, COMMITMENT_INSTANCE, Use};
use super::pdu;
use super::pull::Puller;
use super::status::{
    CLASS_NOT_SUPPORTED, MISTYPED_ARGUMENT, Refusal, SUCCESS, UNRECOGNIZED_OPERATION,
};
use super::store::{self, Store};
use super::wire::{Fault, Stop, Wire};
use crate::commitment::{Commitments, Heard, Line, Saying};
use crate::spool::{AssociationId, Spool};

/// Requests of DIMSE services that we do not provide (PS3.7 E.1): C-GET, C-FIND, C-MOVE and the six of DIMSE-N; N-ACTION only where
/// commitment was negotiated.
const NOT_PROVIDED: [u16; 9] = [
    0x0010, 0x0020, 0x0021, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150,
];

/// An established association.
#[derive(Debug)]
pub(super) struct Association<'a> {
    pub(super) spool: &'a Spool,
    pub(super) agreed: &'a Agreed,
    pub(super) id: AssociationId,
    pub(super) address: IpAddr,
    pub(super) puller: Puller,
    pub(super) commitments: &'a Commitments,
    /// Where commitment was negotiated: results that are to be said here.
    pub(super) line: Option<Line>,
    /// A result that was said and is not acknowledged yet.
    pub(super) said: Option<(u16, oneshot::Sender<Heard>)>,
    /// The message identifier that we used last.
    pub(super) last_message: u16,
    /// Reused for every command set.
    pub(super) set: Vec<u8>,
    /// What was logged of its data sets, each remark once.
    pub(super) remarks: Vec<Remark>,
}

/// How many messages an association brought, for the log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    /// C-STOREs answered with success.
    pub(super) stored: u64,
    /// C-STOREs answered otherwise.
    pub(super) refused: u64,
}

impl Association<'_> {
    /// Serves until the association ends; says why and gives the connection back for the parting word.
    pub(super) async fn run(mut self, cancel: &CancellationToken) -> (Stop, Count, Wire) {
        let mut count = Count::default();
        loop {
            if let Err(stop) = self.message(cancel, &mut count).await {
                return (stop, count, self.puller.into_wire());
            }
        }
    }

    async fn message(&mut self, cancel: &CancellationToken, count: &mut Count) -> Result<(), Stop> {
        if let Some(saying) = self.result(cancel).await? {
            return self.say(saying).await;
        }
        let context = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Stop::Draining),
            context = read_command(&mut self.puller, &mut self.set) => context?,
        };
        let Ok(command) = command::read(&self.set) else {
            return Err(Stop::Violation(
                Fault::InvalidPduParameter,
                "a command set whose elements overrun it",
            ));
        };
        let Some(usage) = self.agreed.context(context) else {
            return Err(Stop::Violation(
                Fault::InvalidPduParameter,
                "a message in a context that was not accepted",
            ));
        };
        if command.field == command::N_EVENT_REPORT_RQ | command::RESPONSE && self.said.is_some() {
            return self.acknowledged(context, &command).await;
        }
        if command.field & command::RESPONSE != 0 {
            return Err(Stop::Violation(
                Fault::UnexpectedPdu,
                "an answer to a question that we did not ask",
            ));
        }
        match (command.fault, command.field) {
            (Some(fault), _) => {
                self.turn_down(context, &command, MISTYPED_ARGUMENT, fault)
                    .await
            }
            // PS3.7 9.3.2.3: it has no data set and no answer
            (None, command::C_CANCEL_RQ) if command.data_set => {
                store::drain_unwanted(&mut self.puller, context).await
            }
            (None, command::C_CANCEL_RQ) => Ok(()),
            (None, command::C_STORE_RQ) => self.store(context, &command, count).await,
            (None, command::N_ACTION_RQ) if matches!(usage, Use::Commitment(_)) => {
                self.commit(context, &command).await
            }
            (None, command::C_ECHO_RQ) if command.data_set => {
                let comment = "C-ECHO with a data set";
                self.turn_down(context, &command, MISTYPED_ARGUMENT, comment)
                    .await
            }
            (None, command::C_ECHO_RQ) if *usage == Use::Verification => {
                self.answer(context, &command, SUCCESS, "").await
            }
            (None, command::C_ECHO_RQ) => {
                let comment = "C-ECHO outside of the Verification SOP class";
                self.turn_down(context, &command, CLASS_NOT_SUPPORTED, comment)
                    .await
            }
            (None, field) if NOT_PROVIDED.contains(&field) => {
                let comment = "this application stores and echoes only";
                self.turn_down(context, &command, CLASS_NOT_SUPPORTED, comment)
                    .await
            }
            (None, _) => {
                let comment = "the command field is not known";
                self.turn_down(context, &command, UNRECOGNIZED_OPERATION, comment)
                    .await
            }
        }
    }

    async fn store(
        &mut self,
        context: u8,
        command: &Command,
        count: &mut Count,
    ) -> Result<(), Stop> {
        let store = Store {
            spool: self.spool,
            agreed: self.agreed,
            association: self.id,
            address: self.address,
        };
        match store.take(&mut self.puller, context, command).await? {
            Ok(remarks) => {
                count.stored += 1;
                self.note(&remarks);
                self.answer(context, command, SUCCESS, "").await
            }
            Err(Refusal { status, comment }) => {
                count.refused += 1;
                tracing::info!(status = format!("{status:04X}"), comment, "C-STORE refused");
                self.answer(context, command, status, &comment).await
            }
        }
    }

    /// Waits for the peer's next message, and for results that are to be said here between two of them; none: it has begun one.
    async fn result(&mut self, cancel: &CancellationToken) -> Result<Option<Saying>, Stop> {
        let (Some(line), None) = (&mut self.line, &self.said) else {
            return Ok(None);
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Stop::Draining),
            begun = self.puller.begun() => begun.map(|()| None),
            saying = line.next() => Ok(Some(saying)),
        }
    }

    /// N-EVENT-REPORT; its answer comes when it comes.
    async fn say(&mut self, saying: Saying) -> Result<(), Stop> {
        let syntax = self
            .agreed
            .contexts
            .iter()
            .find_map(|(id, usage)| match usage {
                Use::Commitment(syntax) => Some((*id, syntax)),
                _ => None,
            });
        let Some((context, syntax)) = syntax else {
            return Ok(());
        };
        self.last_message = self.last_message.checked_add(1).unwrap_or(1);
        let (kind, dataset) = commit::event(&saying.report, syntax.as_str());
        let set =
            command::write_event_report(self.last_message, COMMITMENT, COMMITMENT_INSTANCE, kind);
        self.said = Some((self.last_message, saying.heard));
        let wire = self.puller.wire();
        wire.message(context, &set, &dataset, self.agreed.peer_pdu)
            .await
    }

    /// The answer to a result. One that comes when nobody waits for it any more is too late: the result goes again.
    async fn acknowledged(&mut self, context: u8, command: &Command) -> Result<(), Stop> {
        if command.data_set {
            store::drain_unwanted(&mut self.puller, context).await?;
        }
        let Some((id, heard)) = self.said.take() else {
            return Ok(());
        };
        if command.responding_to != Some(id) {
            return Err(Stop::Violation(
                Fault::UnexpectedPdu,
                "an answer to a question that we did not ask",
            ));
        }
        let answer = match command.status {
            Some(SUCCESS) => Ok(()),
            Some(status) => Err(format!("it answered with status {status:04X}")),
            None => Err("its answer has no status".to_owned()),
        };
        if heard.send(answer).is_err() {
            tracing::info!("the result of a request for commitment was acknowledged too late");
        }
        Ok(())
    }

    /// A request for commitment.
    async fn commit(&mut self, context: u8, command: &Command) -> Result<(), Stop> {
        let (Some(line), Some(Use::Commitment(syntax))) =
            (&self.line, self.agreed.context(context))
        else {
            return Ok(());
        };
        let (commitments, agreed) = (self.commitments, self.agreed);
        let taken = commit::take(
            commitments,
            line,
            agreed,
            &mut self.puller,
            (context, syntax),
            command,
        );
        match taken.await? {
            Ok(()) => self.answer(context, command, SUCCESS, "").await,
            Err(Refusal { status, comment }) => {
                tracing::info!(
                    status = format!("{status:04X}"),
                    comment,
                    "N-ACTION refused"
                );
                self.answer(context, command, status, &comment).await
            }
        }
    }

    /// What is against the standard and was taken all the same is logged once for each association.
    fn note(&mut self, remarks: &[Remark]) {
        for remark in remarks {
            if !self.remarks.contains(remark) {
                self.remarks.push(*remark);
                let calling = &self.agreed.calling;
                tracing::warn!(%calling, %remark, "taken, although it is against the standard");
            }
        }
    }

    /// Answers a message that is not taken, after its data set has gone by.
    async fn turn_down(
        &mut self,
        context: u8,
        command: &Command,
        status: u16,
        comment: &str,
    ) -> Result<(), Stop> {
        if command.data_set {
            store::drain_unwanted(&mut self.puller, context).await?;
        }
        tracing::info!(
            status = format!("{status:04X}"),
            comment,
            "message turned down"
        );
        self.answer(context, command, status, comment).await
    }

    /// One response, one P-DATA-TF, one write.
    async fn answer(
        &mut self,
        context: u8,
        command: &Command,
        status: u16,
        comment: &str,
    ) -> Result<(), Stop> {
        let set = command::write_response(command, status, comment);
        let answer = pdu::command(context, true, set);
        self.puller.wire().say(&answer).await
    }
}

/// Reads one command set into `set` and says in which context it came.
async fn read_command(puller: &mut Puller, set: &mut Vec<u8>) -> Result<u8, Stop> {
    set.clear();
    let mut context = None;
    loop {
        let piece = puller.piece(context.is_none()).await?;
        if !piece.command {
            return Err(Stop::Violation(
                Fault::UnexpectedPdu,
                "a data set before its command",
            ));
        }
        if *context.get_or_insert(piece.context) != piece.context {
            return Err(Stop::Violation(
                Fault::InvalidPduParameter,
                "a command set in two contexts",
            ));
        }
        if set.len() + piece.bytes.len() > command::MAX_BYTES {
            return Err(Stop::Violation(
                Fault::InvalidPduParameter,
                "a command set longer than any",
            ));
        }
        set.extend_from_slice(piece.bytes);
        if piece.last {
            return Ok(piece.context);
        }
    }
}
