//! The fonts of the site: files on its own disk, of which the first that has a character draws it.

use std::path::{Path, PathBuf};

use ab_glyph::{Font as _, FontVec, GlyphId};
use serde::Deserialize;

use super::DeriveError;

/// A longer file is not read, in bytes.
const LONGEST: u64 = 64 << 20;

/// Where Debian and its kin put fonts of wide coverage: `fonts-dejavu-core`, `fonts-noto-core`, `fonts-noto-cjk`,
/// `fonts-droid-fallback`.
const USUAL: [&str; 4] = [
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
];

/// `[page_image]`: how reports are drawn for a PACS that takes no structured reports.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Font files (TrueType, OpenType, the first face of a collection), the most wanted first. Left out: those of Debian's usual
    /// packages that are installed.
    pub fonts: Vec<PathBuf>,
}

/// The files, read anew for each report: a font that was installed since is used without a restart.
#[derive(Clone, Debug)]
pub struct Fonts {
    files: Vec<PathBuf>,
    /// Somebody has named them: each must be there.
    named: bool,
}

impl Fonts {
    /// Those of the configuration, or the usual ones.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        if config.fonts.is_empty() {
            return Self {
                files: USUAL.iter().map(PathBuf::from).collect(),
                named: false,
            };
        }
        Self {
            files: config.fonts.clone(),
            named: true,
        }
    }

    /// The files that are used, and those that were named and cannot be.
    #[must_use]
    pub fn look(&self) -> (Vec<&Path>, Vec<&Path>) {
        let (good, bad): (Vec<&Path>, Vec<&Path>) = self
            .files
            .iter()
            .map(PathBuf::as_path)
            .partition(|file| face(file).is_some());
        (good, if self.named { bad } else { Vec::new() })
    }

    /// Every face, opened.
    pub(super) fn open(&self) -> Result<Faces, DeriveError> {
        let faces: Vec<FontVec> = self.files.iter().filter_map(|file| face(file)).collect();
        if faces.is_empty() {
            return Err(DeriveError::NoFont);
        }
        Ok(Faces(faces))
    }
}

/// Faces in the order in which they are asked.
pub(super) struct Faces(Vec<FontVec>);

impl Faces {
    /// The first face that can draw a character, and its glyph. A blank needs no outline; anything else does.
    pub(super) fn of(&self, c: char) -> Option<(&FontVec, GlyphId)> {
        self.0.iter().find_map(|face| {
            let glyph = face.glyph_id(c);
            let drawn = c.is_whitespace() || face.outline(glyph).is_some();
            (glyph.0 != 0 && drawn).then_some((face, glyph))
        })
    }
}

/// The face of a file, none when it is no font.
fn face(file: &Path) -> Option<FontVec> {
    let about = std::fs::metadata(file).ok()?;
    if !about.is_file() || about.len() > LONGEST {
        return None;
    }
    FontVec::try_from_vec_and_index(std::fs::read(file).ok()?, 0).ok()
}
