//! One stream: an instance in its protected form, as it is or coded; or a manifest.

use causeway_proto::ids::Priority;
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{CHUNK_MAX_BYTES, chunk_header};
use causeway_proto::link::message::{Manifest, Trailer};
use causeway_proto::link::upload::{CODING_NONE, CODING_RECORDS};
use causeway_proto::time::Timestamp;
use quinn::{Connection, SendStream, WriteError};
use serde_json::json;

use super::alias::{Alias, AliasError, Leaving};
use super::coded::{Coder, Pieces};
use super::dial::VarIntOf;
use super::session::Done;
use crate::audit::{Look, Trail};
use crate::protect::{ProtectError, Protector};
use crate::spool::{Outgoing, SpoolError};

/// One instance on its way.
pub(super) struct Sending {
    pub(super) trail: Trail,
    pub(super) at: Timestamp,
    pub(super) look: Look,
    pub(super) connection: Connection,
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

impl Sending {
    pub(super) async fn run(self) -> Done {
        let key = self.instance.key.clone();
        // what is not written down does not leave
        if self.trail.looked(self.at, self.look.clone()).await.is_err() {
            return Done::Withdrawn(key);
        }
        let Ok(mut stream) = self.connection.open_uni().await else {
            return Done::Instance(key);
        };
        match self.write(&mut stream).await {
            Ok(()) | Err(Cut::Link) => Done::Instance(key),
            Err(Cut::Spool(error)) => {
                tracing::error!(%error, instance = %key.instance, "the spool cannot be read");
                end_early(&mut stream);
                match error.of_the_bytes() {
                    Some(gone) => Done::Unread { key, gone },
                    None => Done::Withdrawn(key),
                }
            }
            Err(Cut::Form(error)) => {
                tracing::warn!(%error, instance = %key.instance, "an object is not sent now");
                end_early(&mut stream);
                Done::Withdrawn(key)
            }
            Err(Cut::Alias(error)) => {
                tracing::error!(%error, instance = %key.instance, "an object is not sent now");
                end_early(&mut stream);
                Done::Withdrawn(key)
            }
        }
    }

    async fn write(&self, stream: &mut SendStream) -> Result<(), Cut> {
        let form = self.protector.form(&self.instance).await?;
        urgency(stream, self.instance.priority);
        let coding = match self.coder {
            Some(_) => CODING_RECORDS,
            None => CODING_NONE,
        };
        let head = self.instance.instance(coding, self.offset);
        let head = self.alias.out(head.into()).await?;
        stream.write_all(&frame(&head)).await?;
        let most = usize::try_from(CHUNK_MAX_BYTES).unwrap_or(usize::MAX);
        let whole = self.instance.sent.length;
        let mut pieces = Pieces::new(form, self.offset, whole, self.coder.clone());
        while let Some(mut bytes) = pieces.next().await.map_err(Cut::Spool)? {
            while !bytes.is_empty() {
                let chunk = bytes.split_to(bytes.len().min(most));
                stream.write_all(&chunk_header(chunk.len())).await?;
                stream.write_chunk(chunk).await?;
            }
        }
        let trailer = Trailer {
            length: whole,
            digest: self.instance.sent.digest,
        };
        let mut end = chunk_header(0).to_vec();
        end.extend_from_slice(&frame(&self.alias.out(trailer.into()).await?));
        stream.write_all(&end).await?;
        finish(stream);
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
    let sent = match connection.open_uni().await {
        Ok(mut stream) => {
            urgency(&stream, Priority::Stat);
            let sent = stream.write_all(&bytes).await.is_ok();
            finish(&mut stream);
            sent
        }
        Err(_) => false,
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

/// More urgent streams take the line first.
fn urgency(stream: &SendStream, priority: Priority) {
    let order = match priority {
        Priority::Stat => 3,
        Priority::Urgent => 2,
        Priority::Routine => 1,
        Priority::Unstated => 0,
    };
    if stream.set_priority(order).is_err() {
        tracing::trace!("the stream has ended before it began");
    }
}

fn finish(stream: &mut SendStream) {
    if stream.finish().is_err() {
        tracing::trace!("the gateway has stopped the stream");
    }
}

fn end_early(stream: &mut SendStream) {
    if stream.reset(VarIntOf(Code::Truncated).into()).is_err() {
        tracing::trace!("the gateway has stopped the stream");
    }
}
