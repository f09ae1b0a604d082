//! An instance on its way in: bytes are hashed as they come, kept in memory while few and in a part when many.

use std::sync::Arc;

use super::index::{Content, IndexError, Indexed, index};
use super::room::Permits;
use super::together::Stored;
use super::{Ingest, IngestError};
use crate::archive::{BlobKey, Part, PartName};
use crate::deletion;
use bytes::Bytes;
use causeway_proto::digest::ContentHasher;
use causeway_proto::ids::{SiteId, StudyKey};
use causeway_proto::link::message::{Instance, InstanceKey, Receipt, Trailer};

/// Up to this many bytes an instance stays in memory; a longer one goes to disk, where it survives a restart.
const IN_MEMORY: usize = 2 << 20;
/// How much is read at once when kept bytes are hashed again.
const STEP: u64 = 1 << 20;

/// What an instance is and where it goes.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) key: StudyKey,
    pub(super) message: Instance,
}

impl Label {
    pub(super) fn of(site: &SiteId, message: &Instance) -> Self {
        Self {
            key: StudyKey {
                site: site.clone(),
                agreement: message.agreement.clone(),
                study: message.study.clone(),
            },
            message: message.clone(),
        }
    }

    pub(super) fn instance_key(&self) -> InstanceKey {
        InstanceKey {
            agreement: self.message.agreement.clone(),
            instance: self.message.instance.clone(),
            source_tag: self.message.source_tag,
        }
    }
}

/// The name of an instance's part.
pub(super) fn part_name(site: &SiteId, key: &InstanceKey) -> PartName {
    let fields = [
        key.agreement.as_str(),
        key.instance.as_str(),
        &key.source_tag.to_string(),
    ];
    PartName::of(site, &fields)
}

/// Holds a part's name, so that no second stream writes it.
#[derive(Debug)]
pub(super) struct Hold {
    door: Ingest,
    name: PartName,
}

impl Hold {
    /// None when another stream holds it.
    pub(super) fn take(door: &Ingest, name: PartName) -> Option<Self> {
        door.active().insert(name.clone()).then(|| Self {
            door: door.clone(),
            name,
        })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.door.active().remove(&self.name);
        self.door.0.released.notify_waiters();
    }
}

/// Where the bytes are.
#[derive(Debug)]
enum Place {
    Memory(Vec<Bytes>, usize),
    Disk(Part),
}

/// An instance whose bytes are arriving. Dropped without [`Incoming::finish`] or [`Incoming::keep`], the bytes in memory are lost.
#[derive(Debug)]
pub struct Incoming {
    hold: Hold,
    label: Label,
    hasher: ContentHasher,
    place: Place,
    offset: u64,
    permits: Permits,
}

impl Incoming {
    /// Begins behind the first `message.offset` bytes, which are there.
    pub(super) async fn begin(
        hold: Hold,
        label: Label,
        permits: Permits,
    ) -> Result<Self, IngestError> {
        let offset = label.message.offset;
        let mut hasher = ContentHasher::new(&label.message.syntax);
        let place = if offset == 0 {
            Place::Memory(Vec::new(), 0)
        } else {
            let parts = &hold.door.archive().parts;
            let mut at = 0;
            while at < offset {
                let step = STEP.min(offset - at);
                hasher.update(&parts.read(&hold.name, at, step).await?);
                at += step;
            }
            Place::Disk(parts.resume(&hold.name, offset).await?)
        };
        Ok(Self {
            hold,
            label,
            hasher,
            place,
            offset,
            permits,
        })
    }

    /// Where the next byte belongs.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of it have come, though they may not have been appended yet.
    pub fn moved(&self) {
        self.permits.moved();
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`IngestError::TooLarge`], or when the disk refuses.
    pub async fn append(&mut self, bytes: Bytes) -> Result<(), IngestError> {
        let limit = self.hold.door.config().max_instance_bytes;
        let next = self
            .offset
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if next > limit {
            return Err(IngestError::TooLarge { limit });
        }
        self.hold.door.floor()?;
        self.hasher.update(&bytes);
        self.offset = next;
        match &mut self.place {
            Place::Disk(part) => part.append(&bytes).await?,
            Place::Memory(chunks, held) => {
                *held += bytes.len();
                chunks.push(bytes);
                if *held > IN_MEMORY {
                    self.spill().await?;
                }
            }
        }
        Ok(())
    }

    async fn spill(&mut self) -> Result<(), IngestError> {
        if let Place::Memory(chunks, _) = &mut self.place {
            let (door, name) = (&self.hold.door, &self.hold.name);
            door.part_begins(name, &self.label.key).await?;
            let mut part = self
                .hold
                .door
                .archive()
                .parts
                .resume(&self.hold.name, 0)
                .await?;
            for chunk in chunks.drain(..) {
                part.append(&chunk).await?;
            }
            self.place = Place::Disk(part);
        }
        Ok(())
    }

    /// The stream was cut: keeps what has arrived, so that the sender can go on from there.
    ///
    /// # Errors
    /// When the disk refuses; the bytes are then sent again.
    pub async fn keep(mut self) -> Result<(), IngestError> {
        if self.offset == 0 {
            return Ok(());
        }
        self.spill().await?;
        if let Place::Disk(part) = &mut self.place {
            part.flush().await?;
        }
        if self.hold.door.is_taken_back(&self.label.key).await? {
            self.drop_part().await?;
        }
        Ok(())
    }

    /// Verifies, indexes and stores the whole; durable when it returns.
    ///
    /// # Errors
    /// When length or digest are not as announced, or something refuses. What can be tried again without sending again is kept.
    pub async fn finish(mut self, trailer: &Trailer) -> Result<Receipt, IngestError> {
        let received = self.offset;
        if received < trailer.length {
            let announced = trailer.length;
            self.keep().await?;
            return Err(IngestError::Truncated {
                received,
                announced,
            });
        }
        let digest = self.hasher.clone().finish();
        if digest != trailer.digest || received != trailer.length {
            self.drop_part().await?;
            return Err(IngestError::DigestMismatch);
        }
        let indexed = self.index().await?;
        let blob = BlobKey::instance(&self.label.key.site, &self.label.key.agreement, &digest);
        self.store(&blob).await?;
        let stored = Arc::new(Stored {
            label: self.label.clone(),
            length: received,
            digest,
            blob,
            indexed,
        });
        let receipt = match self.hold.door.record(stored.clone()).await {
            Err(IngestError::Recalled) => return Err(self.taken_back(&stored.blob).await),
            other => other?,
        };
        if let Err(error) = self.drop_part().await {
            tracing::warn!(%error, "a part whose instance is stored could not be removed; it will age out");
        }
        Ok(receipt)
    }

    /// The site took the study back while this instance was arriving: nothing of it stays.
    async fn taken_back(self, blob: &BlobKey) -> IngestError {
        let archive = self.hold.door.archive().clone();
        let site = self.label.key.site.clone();
        let gone = deletion::take_unneeded(&archive, &site, std::slice::from_ref(blob)).await;
        if let Err(error) = gone {
            tracing::error!(%error, "an instance of a study that was taken back could not be removed; it is looked for later");
        }
        if let Err(error) = self.drop_part().await {
            tracing::warn!(%error, "a part of a study that was taken back could not be removed; it will age out");
        }
        IngestError::Recalled
    }

    /// The dataset's header; or why it cannot be read, which is no error of the transfer.
    async fn index(&mut self) -> Result<Result<Indexed, IndexError>, IngestError> {
        if let Place::Memory(chunks, held) = &mut self.place {
            let mut whole = bytes::BytesMut::with_capacity(*held);
            for chunk in chunks.drain(..) {
                whole.extend_from_slice(&chunk);
            }
            chunks.push(whole.freeze());
        }
        let file = match &mut self.place {
            Place::Memory(..) => None,
            Place::Disk(part) => {
                part.flush().await?;
                Some(part.reader())
            }
        };
        let memory = match &self.place {
            Place::Memory(chunks, _) => chunks.first().cloned().unwrap_or_default(),
            Place::Disk(_) => Bytes::new(),
        };
        let (length, message) = (self.offset, Arc::new(self.label.message.clone()));
        let found = tokio::task::spawn_blocking(move || {
            let open = || match &file {
                Some(reader) => reader.open().map(Content::File),
                None => Ok(Content::Memory(memory.clone())),
            };
            index(open, length, &message.syntax).and_then(|found| found.of(&message))
        })
        .await;
        match found {
            Ok(Err(IndexError::Read(error))) => Err(IngestError::Read(error)),
            Ok(found) => Ok(found),
            Err(_) => Ok(Err(IndexError::Failed)),
        }
    }

    async fn store(&mut self, blob: &BlobKey) -> Result<(), IngestError> {
        let blobs = &self.hold.door.archive().blobs;
        match &mut self.place {
            Place::Memory(chunks, _) => {
                let bytes = chunks.first().cloned().unwrap_or_default();
                blobs.put(blob, bytes).await?;
            }
            Place::Disk(part) => blobs.put_part(blob, part).await?,
        }
        Ok(())
    }

    async fn drop_part(self) -> Result<(), IngestError> {
        if let Place::Disk(part) = self.place {
            part.remove().await?;
        }
        Ok(())
    }
}
