//! Text into lines of glyphs, and glyphs into grey pixels: scripts whose letters stand one after the other, from the left. Those that
//! join their letters, stack them or run from the right are missing here, and what is missing is said.

use std::collections::BTreeSet;

use ab_glyph::{Font as _, OutlinedGlyph, ScaleFont as _, point};
use unicode_linebreak::{BreakOpportunity, linebreaks};
use unicode_normalization::UnicodeNormalization as _;
use unicode_script::{Script, UnicodeScript as _};

use super::fonts::Faces;

/// Scripts that are right when letter follows letter. A mark that has no letter of its own is drawn over the one before it.
const PLAIN: [Script; 13] = [
    Script::Common,
    Script::Inherited,
    Script::Latin,
    Script::Greek,
    Script::Cyrillic,
    Script::Armenian,
    Script::Georgian,
    Script::Han,
    Script::Hiragana,
    Script::Katakana,
    Script::Bopomofo,
    Script::Hangul,
    Script::Cherokee,
];

/// How a text is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Style {
    /// In pixels.
    pub(super) size: f32,
    /// Struck twice: the one weight that every font has is its regular one.
    pub(super) bold: bool,
    /// From the left margin, in pixels.
    pub(super) indent: i16,
}

/// One line of glyphs, placed against its own top left corner.
pub(super) struct Line {
    pub(super) height: i32,
    pub(super) width: i32,
    bold: bool,
    glyphs: Vec<OutlinedGlyph>,
}

/// Pixels of one page: 0 is black.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) pixels: Vec<u8>,
}

impl Sheet {
    /// An empty one.
    pub(super) fn white(width: u16, height: u16) -> Self {
        Self {
            width: width.into(),
            height: height.into(),
            pixels: vec![u8::MAX; usize::from(width) * usize::from(height)],
        }
    }

    /// Darkens one pixel; what lies outside is not drawn.
    fn darken(&mut self, x: i32, y: i32, by: u8) {
        if x < 0 || y < 0 || x >= self.width || y >= self.height {
            return;
        }
        let at = usize::try_from(y * self.width + x).ok();
        if let Some(pixel) = at.and_then(|at| self.pixels.get_mut(at)) {
            let left = u16::from(*pixel) * u16::from(u8::MAX - by) / u16::from(u8::MAX);
            *pixel = u8::try_from(left).unwrap_or(u8::MAX);
        }
    }

    /// A horizontal rule.
    pub(super) fn rule(&mut self, from: i32, to: i32, y: i32, by: u8) {
        for x in from..to {
            self.darken(x, y, by);
            self.darken(x, y + 1, by);
        }
    }

    /// A line of text with its top left corner at `x`, `y`.
    pub(super) fn draw(&mut self, line: &Line, x: i32, y: i32) {
        for glyph in &line.glyphs {
            let corner = glyph.px_bounds().min;
            let (left, top) = (x + whole(corner.x), y + whole(corner.y));
            glyph.draw(|dx, dy, covered| {
                let (dx, dy) = (i32::try_from(dx), i32::try_from(dy));
                let (dx, dy) = (dx.unwrap_or(i32::MAX / 4), dy.unwrap_or(i32::MAX / 4));
                let by = u8::try_from(whole(covered * 255.0).clamp(0, 255)).unwrap_or(u8::MAX);
                self.darken(left + dx, top + dy, by);
                if line.bold {
                    self.darken(left + dx + 1, top + dy, by);
                }
            });
        }
    }
}

/// Sets text. What cannot be drawn is remembered.
pub(super) struct Ink {
    faces: Faces,
    missing: BTreeSet<char>,
}

impl Ink {
    pub(super) fn new(faces: Faces) -> Self {
        Self {
            faces,
            missing: BTreeSet::new(),
        }
    }

    /// The lines of a text, broken where its language allows so that none is wider than `width`.
    pub(super) fn lines(&mut self, text: &str, style: Style, width: i32) -> Vec<Line> {
        // letters and their marks as one where there is such a character
        let text: String = text.nfc().filter(|c| !is_unseen(*c)).collect();
        let room = width - i32::from(style.indent);
        let mut lines = Vec::new();
        let mut line = String::new();
        let mut from = 0;
        for (to, kind) in linebreaks(&text) {
            let piece = text.get(from..to).unwrap_or_default();
            from = to;
            let ends = piece.ends_with('\n');
            let piece = piece.trim_end_matches(['\n', '\r']).replace('\t', "    ");
            let longer = format!("{line}{piece}");
            if self.width(longer.trim_end(), style) <= room || line.is_empty() {
                line = longer;
            } else {
                lines.push(std::mem::replace(&mut line, piece));
            }
            while self.width(line.trim_end(), style) > room {
                let fits = self.fitting(&line, style, room);
                let rest = line.split_off(fits);
                lines.push(std::mem::replace(&mut line, rest));
            }
            if kind == BreakOpportunity::Mandatory && (ends || !line.is_empty()) {
                lines.push(std::mem::take(&mut line));
            }
        }
        lines.iter().map(|line| self.line(line, style)).collect()
    }

    /// How many bytes of a line that has no place to break go into `room`: one character at least.
    fn fitting(&self, line: &str, style: Style, room: i32) -> usize {
        let ends = line.char_indices().map(|(at, c)| at + c.len_utf8());
        let mut fits = 0;
        for end in ends {
            let short = line.get(..end).unwrap_or_default();
            if fits > 0 && self.width(short, style) > room {
                break;
            }
            fits = end;
        }
        fits
    }

    fn width(&self, text: &str, style: Style) -> i32 {
        let mut width = 0.0;
        for c in text.chars() {
            if let Some((face, glyph)) = self.faces.of(c) {
                width += face.as_scaled(style.size).h_advance(glyph);
            }
        }
        whole(width.ceil())
    }

    fn line(&mut self, text: &str, style: Style) -> Line {
        let (mut x, mut glyphs) = (f32::from(style.indent), Vec::new());
        let height = whole(style.size * 1.36);
        let baseline = (style.size * 1.05).round();
        for c in text.trim_end().chars() {
            let plain = PLAIN.contains(&c.script());
            let Some((face, glyph)) = self.faces.of(c).filter(|_| plain) else {
                self.missing.insert(c);
                continue;
            };
            let placed = glyph.with_scale_and_position(style.size, point(x, baseline));
            x += face.as_scaled(style.size).h_advance(glyph);
            glyphs.extend(face.outline_glyph(placed));
        }
        Line {
            height,
            width: whole(x.ceil()),
            bold: style.bold,
            glyphs,
        }
    }

    /// The scripts of what could not be drawn since the last time this was asked; none when everything was.
    pub(super) fn missing(&mut self) -> Option<String> {
        let missing = std::mem::take(&mut self.missing);
        let scripts: BTreeSet<&str> = missing.iter().map(|c| c.script().full_name()).collect();
        (!missing.is_empty()).then(|| Vec::from_iter(scripts).join(", "))
    }
}

/// Characters that say where a word may break or how letters join, and show nothing themselves.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}')
}

/// A length of some thousands of pixels at most.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float becomes the nearest whole number there is, whatever it is"
)]
fn whole(length: f32) -> i32 {
    length.round() as i32
}
