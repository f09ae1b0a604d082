//! Pixels that were coded anew to be masked: a file beside the received one, durable before its row and removed with it.

use std::io;

use causeway_proto::digest::ContentHasher;
use causeway_proto::ids::TransferSyntaxUid;
use sqlx::SqliteConnection;

use super::disk::{Disk, Handle, Partial};
use super::entry::{MaskedPixels, Unprotected};
use super::floor::{self, Admission};
use super::{Checked, Spool, SpoolError, refused_row};
use crate::rows::{from_row, to_row};

/// Masked pixels on their way to the disk; dropped before they are kept, nothing of them stays. Every call blocks.
#[derive(Debug)]
pub struct Masking {
    disk: Disk,
    partial: Option<Partial>,
    hasher: ContentHasher,
    length: u64,
    bounds: floor::Config,
}

impl Masking {
    /// Writes at the end.
    ///
    /// # Errors
    /// As the disk says, and when it becomes longer than the site takes.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length = self.length.saturating_add(bytes.len() as u64);
        if self.length > self.bounds.max_instance_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bounds.look(&self.disk)?;
        self.hasher.update(bytes);
        match &mut self.partial {
            Some(partial) => partial.append(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Makes it durable; `made` says what stands before it and in the header.
    ///
    /// # Errors
    /// As the disk says; nothing of it is kept then.
    pub fn keep(mut self, made: String) -> io::Result<MaskedPixels> {
        let partial = self.partial.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let digest = self.hasher.clone().finish();
        Ok(MaskedPixels {
            handle: self.disk.keep(partial, &digest)?,
            length: self.length,
            made,
        })
    }
}

impl Drop for Masking {
    fn drop(&mut self) {
        if let Some(partial) = self.partial.take() {
            self.disk.discard(partial.name());
        }
    }
}

impl Spool {
    /// Begins masked pixels of an object in `syntax`. Blocks.
    ///
    /// # Errors
    /// When the disk refuses, or is too full for anything but rows and reports.
    pub fn masking(&self, syntax: &TransferSyntaxUid) -> io::Result<Masking> {
        if self.admission() == Admission::Full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let disk = self.inner.disk.clone();
        Ok(Masking {
            partial: Some(disk.begin()?),
            disk,
            hasher: ContentHasher::new(syntax),
            length: 0,
            bounds: self.inner.config.disk.clone(),
        })
    }

    /// Masked pixels, to be compared with what they were as they are read. Blocks.
    ///
    /// # Errors
    /// When they cannot be read, and [`super::is_rotten`].
    pub fn checked_pixels(&self, pixels: &MaskedPixels) -> io::Result<Checked> {
        self.inner.disk.checked(&pixels.handle, pixels.length)
    }

    /// Removes masked pixels that no row will name.
    pub async fn forget_pixels(&self, pixels: &MaskedPixels) {
        self.remove_bytes(&pixels.handle).await;
    }

    /// The masked pixels of an object as it was received, if there are any.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn masked_pixels(
        &self,
        instance: &Unprotected,
    ) -> Result<Option<MaskedPixels>, SpoolError> {
        let row: Option<(String, i64, String)> = sqlx::query_as(
            "SELECT handle, length, made FROM masked WHERE instance_id = $1 AND source_digest = $2",
        )
        .bind(instance.id)
        .bind(instance.source.digest.map(|digest| digest.to_string()))
        .fetch_optional(self.inner.rows.read())
        .await
        .map_err(refused_row("looking for masked pixels"))?;
        Ok(row.map(|(handle, length, made)| MaskedPixels {
            handle: Handle::from_row(handle),
            length: from_row(length),
            made,
        }))
    }
}

/// The masked pixels of an object from now on; answers which file nobody names any more.
pub(super) async fn keep(
    tx: &mut SqliteConnection,
    instance: &Unprotected,
    pixels: Option<&MaskedPixels>,
) -> Result<Option<Handle>, sqlx::Error> {
    let old: Option<String> =
        sqlx::query_scalar("DELETE FROM masked WHERE instance_id = $1 RETURNING handle")
            .bind(instance.id)
            .fetch_optional(&mut *tx)
            .await?;
    if let Some(pixels) = pixels {
        sqlx::query(
            "INSERT INTO masked (instance_id, source_digest, handle, length, made) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(instance.id)
        .bind(instance.source.digest.map(|digest| digest.to_string()))
        .bind(pixels.handle.as_row())
        .bind(to_row(pixels.length))
        .bind(&pixels.made)
        .execute(&mut *tx)
        .await?;
    }
    Ok(old.map(Handle::from_row))
}
