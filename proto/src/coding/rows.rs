//! How samples lie in the bytes.

/// Samples in rows, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    samples: usize,
    step: usize,
    wide: bool,
}

/// The bit beside `step` that says samples of 16 bits.
const WIDE: u8 = 0x80;
/// The left neighbour is at most so far away: four components of two halves.
const STEP_MAX: usize = 8;

impl Rows {
    /// Rows of so many samples, the left neighbour `step` samples back, of 16 bits if `wide` and of 8 if not. None when no such row
    /// fits into a record.
    #[must_use]
    pub fn new(samples: usize, step: usize, wide: bool) -> Option<Self> {
        let rows = Self {
            samples,
            step,
            wide,
        };
        let fits = (1..=super::RECORD_MAX_BYTES).contains(&rows.bytes());
        (fits && (1..=STEP_MAX).contains(&step)).then_some(rows)
    }

    /// Samples in a row.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// How many samples back the left neighbour lies.
    #[must_use]
    pub fn step(&self) -> usize {
        self.step
    }

    /// Whether a sample has 16 bits.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        self.wide
    }

    /// Bytes of a row.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.samples.saturating_mul(self.sample_bytes())
    }

    fn sample_bytes(&self) -> usize {
        if self.wide { 2 } else { 1 }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let samples = u32::try_from(self.samples).unwrap_or(u32::MAX);
        out.extend_from_slice(&samples.to_be_bytes());
        let step = u8::try_from(self.step).unwrap_or_default();
        out.push(step | if self.wide { WIDE } else { 0 });
    }

    /// Takes them off the front of `bytes`.
    pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (samples, rest) = bytes.split_first_chunk()?;
        let (step, rest) = rest.split_first()?;
        *bytes = rest;
        let samples = usize::try_from(u32::from_be_bytes(*samples)).ok()?;
        Self::new(samples, usize::from(step & !WIDE), step & WIDE != 0)
    }
}
