//! Four letters drawn into the pixels, so that nobody takes the phantom for a person.

use super::SIDE;

/// The value that letters are drawn with: above anything the phantom itself reaches.
pub(super) const INK: u16 = 4095;

const LETTERS: [[u8; 7]; 4] = [
    [
        0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100,
    ],
    [
        0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111,
    ],
    [
        0b01111, 0b10000, 0b10000, 0b01110, 0b00001, 0b00001, 0b11110,
    ],
    [
        0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100,
    ],
];
const SCALE: usize = 4;
const LEFT: usize = 20;
const TOP: usize = 20;

/// Draws the word TEST into the upper left corner.
pub(super) fn draw_test(pixels: &mut [u16]) {
    for (x, y) in ink() {
        for dy in 0..SCALE {
            for dx in 0..SCALE {
                let at = (TOP + y * SCALE + dy) * usize::from(SIDE) + LEFT + x * SCALE + dx;
                if let Some(pixel) = pixels.get_mut(at) {
                    *pixel = INK;
                }
            }
        }
    }
}

/// Cells of the letter grid that carry ink.
fn ink() -> impl Iterator<Item = (usize, usize)> {
    LETTERS.iter().enumerate().flat_map(|(index, rows)| {
        rows.iter().enumerate().flat_map(move |(y, row)| {
            (0..5)
                .filter(move |x| row & (0b1_0000 >> x) != 0)
                .map(move |x| (index * 6 + x, y))
        })
    })
}

/// How many pixels of a slice carry ink.
#[cfg(test)]
pub(super) fn ink_pixels() -> usize {
    ink().count() * SCALE * SCALE
}
