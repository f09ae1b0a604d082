//! The bits of entropy-coded data, with the stuffing of ITU-T T.81 F.1.2.3: a byte FF is followed by 00.

use super::JpegError;

/// Reads bits up to the next marker.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at,
            held: 0,
            count: 0,
        }
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(&byte) = self.bytes.get(self.at) else {
                return;
            };
            let stuffed = byte == 0xFF;
            if stuffed && self.bytes.get(self.at + 1) != Some(&0) {
                return; // a marker
            }
            self.at += if stuffed { 2 } else { 1 };
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// The next 16 bits, with zeros behind the last.
    pub(super) fn look(&mut self) -> u16 {
        if self.count < 16 {
            self.fill();
        }
        let bits = if self.count < 16 {
            self.held << (16 - self.count)
        } else {
            self.held >> (self.count - 16)
        };
        u16::try_from(bits & 0xFFFF).unwrap_or(0)
    }

    /// Takes up to 16 bits.
    pub(super) fn take(&mut self, wanted: u8) -> Result<u16, JpegError> {
        if wanted == 0 {
            return Ok(0);
        }
        let bits = self.look() >> 16_u8.saturating_sub(wanted);
        self.count = self
            .count
            .checked_sub(wanted.into())
            .ok_or(JpegError::Broken("its data end early"))?;
        self.held &= (1 << self.count) - 1;
        Ok(bits)
    }

    /// Drops what is left before the next marker, and answers where that marker stands.
    pub(super) fn end(self) -> usize {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let marker = rest
            .windows(2)
            .position(|pair| matches!(pair, [0xFF, second] if *second != 0));
        self.at + marker.unwrap_or(rest.len())
    }
}

/// Writes bits.
pub(super) struct Writer {
    bytes: Vec<u8>,
    held: u64,
    count: u32,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            held: 0,
            count: 0,
        }
    }

    /// Puts the lowest `count` bits of `bits`, at most 16.
    pub(super) fn put(&mut self, bits: u16, count: u8) {
        self.held = self.held << count | u64::from(bits) & ((1 << count) - 1);
        self.count += u32::from(count);
        while self.count >= 8 {
            self.count -= 8;
            let byte = u8::try_from(self.held >> self.count & 0xFF).unwrap_or(0);
            self.bytes.push(byte);
            if byte == 0xFF {
                self.bytes.push(0);
            }
        }
        self.held &= (1 << self.count) - 1;
    }

    /// Fills the last byte with ones (T.81 F.1.2.3).
    pub(super) fn pad(&mut self) {
        let missing = (8 - self.count % 8) % 8;
        self.put(u16::MAX, u8::try_from(missing).unwrap_or(0));
    }

    /// A restart marker, after the last byte was filled.
    pub(super) fn marker(&mut self, marker: u8) {
        self.pad();
        self.bytes.extend([0xFF, marker]);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.pad();
        self.bytes
    }
}
