//! What the worker hands to an edge, and what the edge answers: the edge knows the protocol, this room knows the rows.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use causeway_proto::ids::{SopClassUid, SopInstanceUid, StudyUid, TransferSyntaxUid};
use futures::future::BoxFuture;
use serde::Deserialize;

use crate::spool::AeTitle;

/// A PACS that receives reports.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Its name in rows and messages: lower-case letters, digits and hyphens.
    pub name: String,
    /// Its AE title.
    pub ae_title: AeTitle,
    /// `host:port`.
    pub address: String,
    /// The title with which we call it.
    pub calling_ae_title: AeTitle,
    /// Whether it also gets the report as a page image.
    #[serde(default)]
    pub page_image: PageImage,
}

/// When a destination gets the page image of a report (P8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PageImage {
    /// When it takes no structured reports.
    #[default]
    IfRefused,
    /// Always: it takes structured reports and does not show them.
    Always,
    /// Never.
    Never,
}

/// One object to be stored, as it lies in the spool.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// (0020,000D), for the log.
    pub study: StudyUid,
    /// (0008,0016).
    pub class: SopClassUid,
    /// (0008,0018). A retry carries the same.
    pub instance: SopInstanceUid,
    /// Transfer syntax of `dataset`.
    pub syntax: TransferSyntaxUid,
    /// The dataset without group 0002.
    pub dataset: Bytes,
}

/// How a C-STORE of ours ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// Stored: 0x0000 or a warning (Bxxx, 0x0107, 0x0116); or 0x0111, where it says that it has it already and cannot be asked.
    Stored(u16),
    /// Asked, it says that it holds it.
    There,
    /// The association stands, but no presentation context for this class was accepted.
    NotNegotiated,
    /// The destination answered with a failure status.
    Refused(u16),
    /// All of it was sent and no answer came: it may hold it. A sentence for people, without patient data.
    Unanswered(String),
    /// It did not get all of it: no connection, rejected, aborted or timed out; a sentence for people, without patient data.
    Failed(String),
}

/// PS3.7 C.5.4, Duplicate SOP Instance: the destination says that it holds an object of this UID already.
pub const DUPLICATE: u16 = 0x0111;

/// What a destination says when it is asked whether it holds an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It is there, and takes no such question or gives no answer to it.
    Unsaid,
    /// No association; a sentence for people, without patient data.
    Unreached(String),
}

type Edge<T> = Arc<dyn Fn(Destination, Parcel) -> BoxFuture<'static, T> + Send + Sync>;

/// Stores a parcel at a destination by C-STORE, and asks by C-FIND whether it is there (`agent::dicom::send::store` and
/// `agent::dicom::query::holds`, handed in by `app`).
#[derive(Clone)]
pub struct Store {
    store: Edge<SendOutcome>,
    holds: Edge<Holds>,
}

impl Store {
    /// Wraps the edge's function; nobody is asked.
    pub fn new(
        store: impl Fn(Destination, Parcel) -> BoxFuture<'static, SendOutcome> + Send + Sync + 'static,
    ) -> Self {
        Self {
            store: Arc::new(store),
            holds: Arc::new(|_, _| Box::pin(async { Holds::Unsaid })),
        }
    }

    /// With the edge's question.
    #[must_use]
    pub fn asking(
        self,
        holds: impl Fn(Destination, Parcel) -> BoxFuture<'static, Holds> + Send + Sync + 'static,
    ) -> Self {
        Self {
            holds: Arc::new(holds),
            ..self
        }
    }

    /// Offers a parcel; always answers.
    pub async fn store(&self, destination: &Destination, parcel: Parcel) -> SendOutcome {
        (self.store)(destination.clone(), parcel).await
    }

    /// Whether the destination holds a parcel; always answers.
    pub async fn holds(&self, destination: &Destination, parcel: &Parcel) -> Holds {
        (self.holds)(destination.clone(), parcel.clone()).await
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
