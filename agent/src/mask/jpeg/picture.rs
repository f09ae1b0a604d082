//! What a JPEG frame says of itself: its size, its components, and how a scan runs over them.

use super::scan::Grid;
use super::{Black, JpegError};

/// What SOF says.
pub(super) struct Picture {
    pub(super) precision: u8,
    pub(super) height: u32,
    pub(super) width: u32,
    pub(super) components: Vec<Component>,
}

pub(super) struct Component {
    pub(super) id: u8,
    pub(super) across: u32,
    pub(super) down: u32,
    pub(super) divisor: u8,
    pub(super) seen: bool,
}

/// One component that a scan names, and its tables.
pub(super) struct Choice {
    pub(super) component: usize,
    pub(super) dc: u8,
    pub(super) ac: u8,
}

impl Picture {
    pub(super) fn read(segment: &[u8]) -> Result<Self, JpegError> {
        const WRONG: JpegError = JpegError::Broken("its description is wrong");
        let (&[precision, y1, y0, x1, x0, count], rest) =
            segment.split_first_chunk().ok_or(WRONG)?;
        if !matches!(count, 1 | 3) || !matches!(precision, 8 | 12) {
            return Err(JpegError::Unsupported);
        }
        let height = u32::from(u16::from_be_bytes([y1, y0]));
        let width = u32::from(u16::from_be_bytes([x1, x0]));
        if height == 0 {
            return Err(JpegError::Unsupported); // DNL
        }
        if width == 0 || rest.len() != 3 * usize::from(count) {
            return Err(WRONG);
        }
        let mut components: Vec<Component> = Vec::new();
        for &[id, sampling, divisor] in rest.as_chunks().0 {
            let (across, down) = (u32::from(sampling >> 4), u32::from(sampling & 15));
            let known = components.iter().any(|one| one.id == id);
            if known || !(1..=4).contains(&across) || !(1..=4).contains(&down) || divisor > 3 {
                return Err(WRONG);
            }
            // a component alone has blocks of its own size (T.81 A.2.2)
            let (across, down) = if count == 1 { (1, 1) } else { (across, down) };
            components.push(Component {
                id,
                across,
                down,
                divisor,
                seen: false,
            });
        }
        Ok(Self {
            precision,
            height,
            width,
            components,
        })
    }

    pub(super) fn is_whole(&self) -> bool {
        self.components.iter().all(|one| one.seen)
    }

    /// The components that SOS names, each for the first time, in the frame's order (T.81 B.2.3). What it says of spectral selection
    /// means nothing in a sequential frame.
    pub(super) fn chosen(&self, header: &[u8]) -> Result<Vec<Choice>, JpegError> {
        const WRONG: JpegError = JpegError::Broken("the head of its data is wrong");
        let (&count, rest) = header.split_first().ok_or(WRONG)?;
        let (named, _) = rest.split_at_checked(2 * usize::from(count)).ok_or(WRONG)?;
        if named.is_empty() {
            return Err(WRONG);
        }
        let mut chosen: Vec<Choice> = Vec::new();
        for &[id, tables] in named.as_chunks().0 {
            let found = self
                .components
                .iter()
                .position(|one| one.id == id && !one.seen);
            let component = found.ok_or(WRONG)?;
            let (dc, ac) = (tables >> 4, tables & 15);
            let out_of_order = chosen
                .last()
                .is_some_and(|last| last.component >= component);
            if out_of_order || dc > 3 || ac > 3 {
                return Err(WRONG);
            }
            chosen.push(Choice { component, dc, ac });
        }
        Ok(chosen)
    }

    /// The units of a scan. Alone, a component is coded block by block over its own size (T.81 A.2.2), and all blocks of one place are
    /// masked together.
    pub(super) fn grid(&self, chosen: &[Choice], restart: u32) -> Grid {
        let most = |of: fn(&Component) -> u32| self.components.iter().map(of).max().unwrap_or(1);
        let (across, down) = (most(|one| one.across), most(|one| one.down));
        let alone = match chosen {
            [choice] => self.components.get(choice.component),
            _ => None,
        };
        let (blocks_across, blocks_down) = alone.map_or((1, 1), |one| (one.across, one.down));
        let units = |pixels: u32, most: u32, blocks: u32| match alone {
            Some(_) => (pixels * blocks).div_ceil(most).div_ceil(8),
            None => pixels.div_ceil(8 * most),
        };
        Grid {
            across: units(self.width, across, blocks_across),
            down: units(self.height, down, blocks_down),
            width: 8 * across,
            height: 8 * down,
            shared: (blocks_across, blocks_down),
            restart,
        }
    }

    /// What black is here: what the frame says by itself goes first, as decoders do.
    pub(super) fn black(&self, said: Black, adobe: Option<u8>, jfif: bool) -> Black {
        if self.components.len() != 3 {
            return match said {
                Black::Most => Black::Most,
                _ => Black::Least,
            };
        }
        match adobe {
            Some(0) => Black::Least,
            Some(_) => Black::Ybr,
            None if jfif => Black::Ybr,
            None => said,
        }
    }
}
