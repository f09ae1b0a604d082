//! A plot as SVG: one bar for each median, a thin line from the least to the most.

use std::fmt::Write as _;

use super::{Series, figure};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 330.0;
const RIGHT: f64 = 70.0;
const LINE: f64 = 22.0;

/// Draws each part with a scale of its own.
pub(super) fn bars(title: &str, parts: &[(String, Vec<Series>)]) -> String {
    let mut body = String::new();
    let mut y = 28.0;
    for (unit, series) in parts {
        y += LINE;
        text(&mut body, (8.0, y), "start", unit);
        let most = series.iter().map(|one| one.range().1).fold(0.0, f64::max);
        let scale = if most > 0.0 {
            (WIDTH - LEFT - RIGHT) / most
        } else {
            0.0
        };
        for one in series {
            y += LINE;
            bar(&mut body, y, scale, one);
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"20\" font-weight=\"bold\">{}</text>\n{body}</svg>\n",
        y + LINE,
        escaped(title)
    )
}

fn bar(body: &mut String, y: f64, scale: f64, one: &Series) {
    text(body, (LEFT - 8.0, y), "end", &one.name);
    let (least, most) = one.range();
    let (median, top, middle) = (one.median(), y - 12.0, y - 4.5);
    let (from, to) = (LEFT + least * scale, LEFT + most * scale);
    writeln!(
        body,
        "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{:.1}\" height=\"15\" fill=\"#4a7ba6\"/>\
         <path d=\"M{from:.1} {middle}H{to:.1}\" stroke=\"black\"/>",
        median * scale
    )
    .expect("a string takes every character");
    text(body, (to.max(LEFT) + 6.0, y), "start", &figure(median));
}

fn text(body: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    writeln!(
        body,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escaped(words)
    )
    .expect("a string takes every character");
}

fn escaped(words: &str) -> String {
    words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
