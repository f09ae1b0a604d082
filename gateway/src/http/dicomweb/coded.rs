//! Frames that are stored as plain samples, coded without loss for a reader whose line is slow (P23): once, and kept for the next.

use bytes::Bytes;

use super::render::RenderError;
use super::wanted::{Inflated, Wanted, invalid};
use crate::archive::frames::Frames;
use crate::archive::jpegls;
use crate::http::error::Problem;

/// A longer frame is not coded: it would take too long, and too much memory while it does.
const MOST_BYTES: u64 = 64 << 20;

/// What has to be known of a frame to be coded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    columns: u16,
    rows: u16,
    /// Bytes of a sample.
    bytes: u8,
}

impl Wanted {
    /// The shape of this object's frames, where they can be coded: grey, of 8 or 16 bits.
    pub(super) fn codable(&self) -> Option<Shape> {
        let Frames::Native { frame_bits, .. } = &self.frames else {
            return None;
        };
        let of = |number: Option<i64>| u16::try_from(number?).ok();
        let (columns, rows) = (of(self.served.image_columns)?, of(self.served.image_rows)?);
        let bits = of(self.served.bits_allocated)?;
        let one_sample = u64::from(columns) * u64::from(rows) * u64::from(bits) == *frame_bits;
        let bytes = match bits {
            8 => 1,
            16 => 2,
            _ => return None,
        };
        let fits = *frame_bits > 0 && *frame_bits / 8 <= MOST_BYTES;
        (one_sample && fits).then_some(Shape {
            columns,
            rows,
            bytes,
        })
    }

    /// A frame in lossless JPEG-LS.
    pub(super) async fn coded(
        &self,
        inflated: Option<&Inflated>,
        number: u64,
    ) -> Result<Bytes, Problem> {
        let derived = &self.web.state.archive.derived;
        let name = format!("jpeg-ls {number}");
        if let Some(kept) = derived.get(&self.key, &name).await {
            return Ok(kept);
        }
        let unlike = || invalid("the pixel data are not as long as their description says");
        let shape = self.codable().ok_or_else(unlike)?;
        // first the right to code: who waits for it holds no samples meanwhile
        let Ok(right) = self.web.coding.clone().acquire_owned().await else {
            return Err(RenderError::Busy.into());
        };
        let samples = self.frame(inflated, number).await?;
        let coded = tokio::task::spawn_blocking(move || {
            // who asked may leave: the work goes on, and so does its right
            let _right = right;
            jpegls::encode(&samples, shape.columns, shape.rows, shape.bytes.into())
        });
        let coded = match coded.await {
            Ok(coded) => Bytes::from(coded.ok_or_else(unlike)?),
            Err(error) => return Err(Problem::internal(&error)),
        };
        derived.keep(&self.key, &name, &coded).await;
        Ok(coded)
    }
}
