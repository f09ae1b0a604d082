//! Storage commitment as a provider (PS3.4 J.3): a request is durable before it is acknowledged; its result goes over the association on
//! which it came, or over one that we ask for, in which we are the provider (PS3.7 D.3.3.4).

use std::collections::HashSet;

use causeway_proto::dataset::Dataset;
use causeway_proto::element::ITEM;
use causeway_proto::ids::TransferSyntaxUid;
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_dictionary_std::uids::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};

use super::command::Command;
use super::dial::{Dialled, Offer};
use super::negotiate::{Agreed, COMMITMENT, COMMITMENT_INSTANCE};
use super::pull::Puller;
use super::send::{SendError, sentence};
use super::status::{
    CLASS_NOT_SUPPORTED, INVALID_ARGUMENT, MISTYPED_ARGUMENT, NO_SUCH_ACTION, NO_SUCH_INSTANCE,
    PROCESSING_FAILURE, RESOURCE_LIMITATION, Refusal, failure_reason,
};
use super::store;
use super::wire::Stop;
use crate::commitment::{
    CommitmentError, Commitments, Failure, Heard, Line, Named, Peer, Report, Request,
};
use crate::delivery::{Destination, PageImage};

/// Request Storage Commitment (PS3.4 J.3.2).
const REQUEST: u16 = 1;
/// Storage Commitment Request Successful.
const ALL: u16 = 1;
/// Storage Commitment Request Complete, Failures Exist.
const FAILURES: u16 = 2;
/// Longest request that is read, in bytes: 20,000 instances with the longest UIDs are less.
const LONGEST_REQUEST: usize = 4 << 20;

/// Takes the data set that follows `command`, and the request in it, which is durable when this says so.
///
/// # Errors
/// [`Stop`] when the association ends before an answer can be given.
pub(super) async fn take(
    commitments: &Commitments,
    line: &Line,
    agreed: &Agreed,
    puller: &mut Puller,
    (context, syntax): (u8, &TransferSyntaxUid),
    command: &Command,
) -> Result<Result<(), Refusal>, Stop> {
    if !command.data_set {
        let refusal = Refusal::new(MISTYPED_ARGUMENT, "N-ACTION without a data set");
        return Ok(Err(refusal));
    }
    let read = store::read_whole(puller, context, LONGEST_REQUEST).await?;
    if let Err(refusal) = judge(command) {
        return Ok(Err(refusal));
    }
    let Some(bytes) = read else {
        let refusal = Refusal::new(RESOURCE_LIMITATION, "the request is too long");
        return Ok(Err(refusal));
    };
    let (transaction, instances) = match read_request(&bytes, syntax) {
        Ok(read) => read,
        Err(what) => return Ok(Err(Refusal::new(INVALID_ARGUMENT, what))),
    };
    let Ok(transaction) = transaction.parse() else {
        let refusal = Refusal::new(
            INVALID_ARGUMENT,
            "the transaction UID is missing or illegal",
        );
        return Ok(Err(refusal));
    };
    let request = Request {
        calling: agreed.calling.clone(),
        called: agreed.called.ae_title.clone(),
        transaction,
        instances,
    };
    let taken = commitments.take(&request, line).await;
    Ok(taken.map_err(|error| refused(&error)))
}

fn refused(error: &CommitmentError) -> Refusal {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "a request for commitment was not taken"
    );
    match error {
        CommitmentError::Full(what) => Refusal::new(RESOURCE_LIMITATION, what),
        CommitmentError::Rows { .. } | CommitmentError::Spool(_) => {
            Refusal::new(PROCESSING_FAILURE, "the request could not be kept")
        }
    }
}

/// What the command alone tells.
fn judge(command: &Command) -> Result<(), Refusal> {
    if command.class != COMMITMENT {
        let comment = "the SOP class was not negotiated in this context";
        return Err(Refusal::new(CLASS_NOT_SUPPORTED, comment));
    }
    if command.instance != COMMITMENT_INSTANCE {
        let comment = "this class has one instance, and it is another";
        return Err(Refusal::new(NO_SUCH_INSTANCE, comment));
    }
    match command.action {
        Some(REQUEST) => Ok(()),
        Some(_) => Err(Refusal::new(NO_SUCH_ACTION, "the action type is not 1")),
        None => Err(Refusal::new(
            MISTYPED_ARGUMENT,
            "the action type is missing",
        )),
    }
}

/// Transaction UID and what is asked for, each instance once.
pub(super) fn read_request(
    bytes: &[u8],
    syntax: &TransferSyntaxUid,
) -> Result<(String, Vec<Named>), &'static str> {
    let Ok(dataset) = Dataset::read(bytes, syntax) else {
        return Err("the request cannot be read");
    };
    let items = dataset.items(tags::REFERENCED_SOP_SEQUENCE);
    let (mut seen, mut instances) = (HashSet::new(), Vec::with_capacity(items.len()));
    for item in items {
        let class = item.code(tags::REFERENCED_SOP_CLASS_UID).parse();
        let instance = item.code(tags::REFERENCED_SOP_INSTANCE_UID).parse();
        let (Ok(class), Ok(instance)) = (class, instance) else {
            return Err("a referenced SOP class or instance UID is missing or illegal");
        };
        let named: Named = (class, instance);
        if seen.insert(named.clone()) {
            instances.push(named);
        }
    }
    if instances.is_empty() {
        return Err("the referenced SOP sequence is missing or empty");
    }
    Ok((dataset.code(tags::TRANSACTION_UID), instances))
}

/// Event type and data set of a result (PS3.4 table J.3-2).
pub(super) fn event(report: &Report, syntax: &str) -> (u16, Vec<u8>) {
    let mut out = Writer {
        explicit: syntax == EXPLICIT_VR_LITTLE_ENDIAN,
        bytes: Vec::new(),
    };
    out.uid(tags::TRANSACTION_UID, report.transaction.as_str());
    let failed = report.failed.iter();
    out.items(
        tags::FAILED_SOP_SEQUENCE,
        failed.map(|(named, failure)| (named, Some(*failure))),
    );
    let committed = report.committed.iter();
    out.items(
        tags::REFERENCED_SOP_SEQUENCE,
        committed.map(|named| (named, None)),
    );
    let kind = if report.failed.is_empty() {
        ALL
    } else {
        FAILURES
    };
    (kind, out.bytes)
}

/// Elements in little endian.
struct Writer {
    explicit: bool,
    bytes: Vec<u8>,
}

impl Writer {
    fn tag(&mut self, tag: Tag) {
        self.bytes.extend(tag.0.to_le_bytes());
        self.bytes.extend(tag.1.to_le_bytes());
    }

    fn length(&mut self, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.bytes.extend(length.to_le_bytes());
    }

    /// One element whose length fits 16 bits (PS3.5 7.1.2 and 7.1.3).
    fn short(&mut self, tag: Tag, vr: &[u8; 2], value: &[u8]) {
        self.tag(tag);
        if self.explicit {
            self.bytes.extend(vr);
            let length = u16::try_from(value.len()).unwrap_or(0);
            self.bytes.extend(length.to_le_bytes());
        } else {
            self.length(value.len());
        }
        self.bytes.extend(value);
    }

    fn uid(&mut self, tag: Tag, uid: &str) {
        let mut value = uid.as_bytes().to_vec();
        if !value.len().is_multiple_of(2) {
            value.push(0);
        }
        self.short(tag, b"UI", &value);
    }

    /// A sequence of instances; nothing when there is none.
    fn items<'a>(&mut self, tag: Tag, all: impl Iterator<Item = (&'a Named, Option<Failure>)>) {
        let mut items = Self {
            explicit: self.explicit,
            bytes: Vec::new(),
        };
        for ((class, instance), failure) in all {
            let mut item = Self {
                explicit: self.explicit,
                bytes: Vec::with_capacity(180),
            };
            item.uid(tags::REFERENCED_SOP_CLASS_UID, class.as_str());
            item.uid(tags::REFERENCED_SOP_INSTANCE_UID, instance.as_str());
            if let Some(failure) = failure {
                let reason = failure_reason(failure).to_le_bytes();
                item.short(tags::FAILURE_REASON, b"US", &reason);
            }
            items.tag(ITEM);
            items.length(item.bytes.len());
            items.bytes.append(&mut item.bytes);
        }
        if items.bytes.is_empty() {
            return;
        }
        self.tag(tag);
        if self.explicit {
            self.bytes.extend(b"SQ\0\0");
        }
        self.length(items.bytes.len());
        self.bytes.append(&mut items.bytes);
    }
}

/// Says a result over a new association with the one who asked.
pub async fn report(peer: Peer, report: Report) -> Heard {
    match over_new_association(&peer, &report).await {
        Ok(0) => Ok(()),
        Ok(status) => Err(format!("it answered with status {status:04X}")),
        Err(error) => Err(sentence(&error)),
    }
}

async fn over_new_association(peer: &Peer, report: &Report) -> Result<u16, SendError> {
    let destination = Destination {
        name: "commitment".to_owned(),
        ae_title: peer.title.clone(),
        address: peer.address.clone(),
        calling_ae_title: report.called.clone(),
        page_image: PageImage::Never,
    };
    let offer = Offer::new(
        COMMITMENT,
        [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN],
    );
    let mut dialled = Dialled::open_as_provider(&destination, &[offer], COMMITMENT).await?;
    let chosen = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN]
        .into_iter()
        .find_map(|syntax| Some((dialled.accepted(COMMITMENT, syntax)?, syntax)));
    let (Some((context, syntax)), true) = (chosen, dialled.may_provide(COMMITMENT)) else {
        dialled.release().await;
        return Err(SendError::Broken(
            "it takes no results of storage commitment from us".to_owned(),
        ));
    };
    let (kind, dataset) = event(report, syntax);
    let status = dialled
        .event(context, (COMMITMENT, COMMITMENT_INSTANCE), kind, &dataset)
        .await;
    dialled.release().await;
    status
}

#[cfg(test)]
mod tests;
