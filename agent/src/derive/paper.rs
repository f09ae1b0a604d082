//! Words onto pages: the same head and foot on each, the body between them.

use super::fonts::Fonts;
use super::ink::{Ink, Line, Sheet, Style};
use super::words::{Block, Words};
use super::{DeriveError, MOST_PAGES};

/// A4 at 150 dots an inch.
pub(super) const WIDTH: u16 = 1240;
/// See [`WIDTH`].
pub(super) const HEIGHT: u16 = 1754;

/// White on every side, in pixels.
const MARGIN: i32 = 84;
/// Between the rules and what they part, in pixels.
const GAP: i32 = 16;
/// How dark a rule is.
const RULE: u8 = 150;

/// A line and the white above it.
struct Placed {
    line: Line,
    above: i32,
    heads: bool,
}

/// The pixels of every page.
pub(super) fn pictures(words: &Words, fonts: &Fonts) -> Result<Vec<Vec<u8>>, DeriveError> {
    let mut ink = Ink::new(fonts.open()?);
    let mut setter = Setter { ink: &mut ink };
    let patient = setter.set(&words.patient, "the patient's line", false)?;
    let banner = setter.set(&words.banner, "the report", true)?;
    // accession, description and referrer are the hospital's own as well
    let study = setter.set(&words.study, "the study's line", false)?;
    let body = setter.set(&words.body, "the report", true)?;
    let foot = setter.set(&words.foot, "the report", true)?;
    let head: Vec<&Placed> = banner.iter().chain(&patient).chain(&study).collect();
    let number_height = 28;
    let top = MARGIN + height(head.iter().copied()) + 2 * GAP;
    let bottom = i32::from(HEIGHT) - MARGIN - height(&foot) - number_height - 2 * GAP;
    let pages = broken(body, bottom - top)?;
    let count = pages.len();
    let mut pictures = Vec::new();
    for (page, number) in pages.iter().zip(1..) {
        let mut sheet = Sheet::white(WIDTH, HEIGHT);
        let right = i32::from(WIDTH) - MARGIN;
        draw(&mut sheet, head.iter().copied(), MARGIN);
        sheet.rule(MARGIN, right, top - GAP, RULE);
        draw(&mut sheet, page.iter(), top);
        sheet.rule(MARGIN, right, bottom + GAP, RULE);
        draw(&mut sheet, foot.iter(), bottom + 2 * GAP);
        number_of(&mut ink, &mut sheet, number, count);
        if ink.missing().is_some() {
            // digits and Latin letters
            return Err(DeriveError::NoFont);
        }
        pictures.push(sheet.pixels);
    }
    Ok(pictures)
}

/// "Page n of m", in the lower right corner.
fn number_of(ink: &mut Ink, sheet: &mut Sheet, number: usize, count: usize) {
    let style = Style {
        size: 20.0,
        bold: true,
        indent: 0,
    };
    let text = format!("Page {number} of {count}");
    for line in ink.lines(&text, style, sheet.width) {
        let (x, y) = (
            sheet.width - MARGIN - line.width,
            sheet.height - MARGIN - line.height,
        );
        sheet.draw(&line, x, y);
    }
}

struct Setter<'a> {
    ink: &'a mut Ink,
}

impl Setter<'_> {
    /// The lines of blocks; `public` says whether the scripts of what no font has may be named.
    fn set(
        &mut self,
        blocks: &[Block],
        place: &'static str,
        public: bool,
    ) -> Result<Vec<Placed>, DeriveError> {
        let width = i32::from(WIDTH) - 2 * MARGIN;
        let mut placed = Vec::new();
        for block in blocks {
            let lines = self.ink.lines(&block.text, block.style, width);
            let last = lines.len().saturating_sub(1);
            placed.extend(lines.into_iter().enumerate().map(|(index, line)| Placed {
                line,
                above: if index == 0 { block.above } else { 0 },
                heads: block.heads && index == last,
            }));
        }
        match self.ink.missing() {
            None => Ok(placed),
            Some(scripts) => Err(DeriveError::Characters {
                place,
                scripts: if public {
                    scripts
                } else {
                    "look at them on the site page".to_owned()
                },
            }),
        }
    }
}

fn height<'a>(lines: impl IntoIterator<Item = &'a Placed>) -> i32 {
    lines
        .into_iter()
        .map(|placed| placed.above + placed.line.height)
        .sum()
}

/// The body in pages; a heading goes to the next page with what it heads.
fn broken(body: Vec<Placed>, room: i32) -> Result<Vec<Vec<Placed>>, DeriveError> {
    let mut pages: Vec<Vec<Placed>> = vec![Vec::new()];
    let mut used = 0;
    let mut lines = body.into_iter().peekable();
    while let Some(placed) = lines.next() {
        let own = placed.above + placed.line.height;
        let next = lines.peek().map_or(0, |next| next.above + next.line.height);
        let wanted = if placed.heads { own + next } else { own };
        let full = used + wanted > room;
        if full {
            if pages.len() == MOST_PAGES {
                return Err(DeriveError::TooLong);
            }
            pages.push(Vec::new());
            used = 0;
        }
        used += own;
        if let Some(page) = pages.last_mut() {
            page.push(placed);
        }
    }
    Ok(pages)
}

fn draw<'a>(sheet: &mut Sheet, lines: impl IntoIterator<Item = &'a Placed>, from: i32) {
    let mut y = from;
    for placed in lines {
        y += placed.above;
        sheet.draw(&placed.line, MARGIN, y);
        y += placed.line.height;
    }
}
