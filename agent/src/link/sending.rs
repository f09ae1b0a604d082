//! One stream: an instance in its protected form, as it is or coded; or a manifest.

use bytes::Bytes;
use causeway_proto::ids::Priority;
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{CHUNK_MAX_BYTES, chunk_header};
use causeway_proto::link::message::{Manifest, Trailer};
use causeway_proto::link::upload::{CODING_NONE, CODING_RECORDS};
use causeway_proto::time::Timestamp;
use quinn::{Connection, WriteError};
use serde_json::json;

use super::alias::{Alias, AliasError, Leaving};
use super::coded::{Coder, Pieces};
use super::dial::VarIntOf;
use super::lanes::{Lane, Lanes};
use super::session::Done;
use crate::audit::{Look, Trail};
use crate::protect::{Form, ProtectError, Protector};
use crate::spool::{Outgoing, SpoolError};

/// One instance on its way.
pub(super) struct Sending {
    pub(super) trail: Trail,
    pub(super) at: Timestamp,
    pub(super) look: Look,
    pub(super) connection: Connection,
    pub(super) lanes: Lanes,
    pub(super) instance: Outgoing,
    pub(super) protector: Protector,
    pub(super) alias: Alias,
    pub(super) coder: Option<Coder>,
    pub(super) offset: u64,
}

/// Why a stream ended early. The answer on the control stream decides; this is for the log.
enum Cut {
    Link,
    Spool(SpoolError),
    /// The form could not be made again: it is decided anew, and nothing of it has left.
    Form(ProtectError),
    /// Nobody can say under which UID it leaves, so that nothing of it has left.
    Alias(AliasError),
}

impl From<AliasError> for Cut {
    fn from(error: AliasError) -> Self {
        Self::Alias(error)
    }
}

impl From<ProtectError> for Cut {
    fn from(error: ProtectError) -> Self {
        match error {
            ProtectError::Spool(error) => Self::Spool(error),
            ProtectError::Other => Self::Form(error),
        }
    }
}

impl From<WriteError> for Cut {
    fn from(_: WriteError) -> Self {
        Self::Link
    }
}

impl Cut {
    fn done(self, instance: &Outgoing) -> Done {
        let key = instance.key.clone();
        match self {
            // the gateway has stopped it, or the connection has ended
            Self::Link => Done::Instance { key, cut: true },
            Self::Spool(error) => {
                tracing::error!(%error, instance = %key.instance, "the spool cannot be read");
                match error.of_the_bytes() {
                    Some(gone) => Done::Unread {
                        key,
                        handle: instance.source.handle.clone(),
                        gone,
                    },
                    None => Done::Withdrawn(key),
                }
            }
            Self::Form(error) => {
                tracing::warn!(%error, instance = %key.instance, "an object is not sent now");
                Done::Withdrawn(key)
            }
            Self::Alias(error) => {
                tracing::error!(%error, instance = %key.instance, "an object is not sent now");
                Done::Withdrawn(key)
            }
        }
    }
}

impl Sending {
    pub(super) async fn run(self) -> Done {
        let key = self.instance.key.clone();
        // what is not written down does not leave
        if self.trail.looked(self.at, self.look.clone()).await.is_err() {
            return Done::Withdrawn(key);
        }
        let (form, head) = match self.begin().await {
            Ok(begun) => begun,
            Err(cut) => return cut.done(&self.instance),
        };
        let priority = self.instance.priority;
        let Some(mut lane) = self.lanes.open(&self.connection, priority, head).await else {
            return Done::Instance { key, cut: true };
        };
        match self.write(&mut lane, form).await {
            Ok(()) => Done::Written(key, lane.finish()),
            Err(cut) => {
                lane.reset(VarIntOf(Code::Truncated).into());
                cut.done(&self.instance)
            }
        }
    }

    /// The form, and the frame that its stream begins with.
    async fn begin(&self) -> Result<(Form, Bytes), Cut> {
        let form = self.protector.form(&self.instance).await?;
        let coding = match self.coder {
            Some(_) => CODING_RECORDS,
            None => CODING_NONE,
        };
        let head = self.instance.instance(coding, self.offset);
        let head = self.alias.out(head.into()).await?;
        Ok((form, frame(&head).into()))
    }

    async fn write(&self, lane: &mut Lane, form: Form) -> Result<(), Cut> {
        let most = usize::try_from(CHUNK_MAX_BYTES).unwrap_or(usize::MAX);
        let whole = self.instance.sent.length;
        let mut pieces = Pieces::new(form, self.offset, whole, self.coder.clone());
        while let Some(mut bytes) = pieces.next().await.map_err(Cut::Spool)? {
            while !bytes.is_empty() {
                let chunk = bytes.split_to(bytes.len().min(most));
                let header = chunk_header(chunk.len());
                lane.write(Bytes::copy_from_slice(&header)).await?;
                lane.write(chunk).await?;
            }
        }
        let trailer = Trailer {
            length: whole,
            digest: self.instance.sent.digest,
        };
        let mut end = chunk_header(0).to_vec();
        end.extend_from_slice(&frame(&self.alias.out(trailer.into()).await?));
        lane.write(end.into()).await?;
        Ok(())
    }
}

/// What the trail says of a study that leaves.
pub(super) fn look(instance: &Outgoing, case: &str) -> Look {
    let agreement = instance.key.agreement.as_str();
    Look {
        event: "images-sent",
        actor: "gateway".into(),
        subject: instance.study.as_str().to_owned(),
        detail: json!({ "agreement": agreement, "case": case }),
    }
}

pub(super) async fn send_manifest(
    lanes: Lanes,
    connection: Connection,
    alias: Alias,
    manifest: Manifest,
) -> Done {
    let study = (manifest.agreement.clone(), manifest.study.clone());
    let mut bytes = Vec::new();
    let leaving = match alias.out(manifest.into()).await {
        Ok(leaving) => leaving,
        Err(error) => {
            tracing::error!(%error, "a manifest is not said now");
            return Done::Manifest { study, sent: false };
        }
    };
    if let Err(error) = leaving.encode(&mut bytes) {
        tracing::error!(%error, "a manifest is larger than the protocol allows");
        return Done::Manifest { study, sent: true };
    }
    let lane = lanes.open(&connection, Priority::Stat, bytes.into()).await;
    let sent = match lane {
        // one that was stopped was refused, or did not arrive: the answer on the control stream may come first
        Some(lane) => !lane.finish().was_cut().await,
        None => false,
    };
    Done::Manifest { study, sent }
}

/// Frames of our own making stay within their bounds; should one not, the empty frame is answered MALFORMED.
fn frame(message: &Leaving) -> Vec<u8> {
    let mut out = Vec::new();
    if let Err(error) = message.encode(&mut out) {
        tracing::error!(%error, "a message breaks its own bounds");
    }
    out
}
