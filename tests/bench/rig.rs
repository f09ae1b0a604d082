//! What every group shares: figures taken in turn, medians and ratios of them, what a process has used, and the pages that are written.
//!
//! A group makes a [`Report`], adds one [`Series`] per contender with a figure for each round, and [`Report::close`]s it: a table on the
//! screen, and the same table and a plot in `target/bench/`.

mod plot;
mod usage;

use std::fmt::Write as _;

use anyhow::Context as _;
use causeway_tests::stack::build;

pub(crate) use usage::Usage;

/// Rounds of every measurement that does not say otherwise.
pub(crate) const ROUNDS: u32 = 5;

/// One contender's figures, a value for each round.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
}

impl Series {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            values: Vec::new(),
        }
    }

    pub(crate) fn median(&self) -> f64 {
        median(&self.values)
    }

    /// Round by round `self : other`, then the median: what disturbs a round disturbs both.
    pub(crate) fn ratio(&self, other: &Self) -> f64 {
        let pairs = self.values.iter().zip(&other.values);
        median(
            &pairs
                .map(|(ours, theirs)| ours / theirs)
                .collect::<Vec<_>>(),
        )
    }

    fn range(&self) -> (f64, f64) {
        let least = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.values.iter().copied().fold(0.0, f64::max);
        (least, most)
    }
}

/// The middle of the values, or the mean of the middle two; 0 of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(at(middle.saturating_sub(1)), at(middle))
    } else {
        at(middle)
    }
}

/// The value that this share of all does not exceed; 0 of none.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let below = sorted.len().saturating_sub(1) as f64 * share;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between nothing and the count"
    )]
    let at = below.ceil() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// A quotient that a row of the goals is about.
#[derive(Debug)]
struct Ratio {
    what: String,
    value: f64,
    goal: String,
}

/// The figures of one group.
#[derive(Debug)]
pub(crate) struct Report {
    name: &'static str,
    title: String,
    /// Series that may be compared with each other, and their unit.
    parts: Vec<(String, Vec<Series>)>,
    ratios: Vec<Ratio>,
    notes: Vec<String>,
}

impl Report {
    /// `name` names the files; `title` says what was done, how often, under which conditions.
    pub(crate) fn new(name: &'static str, title: &str) -> Self {
        Self {
            name,
            title: title.to_owned(),
            parts: Vec::new(),
            ratios: Vec::new(),
            notes: vec![usage::machine()],
        }
    }

    /// Adds series that share a unit, such as `MB/s`.
    pub(crate) fn part(&mut self, unit: &str, series: impl IntoIterator<Item = Series>) {
        self.parts
            .push((unit.to_owned(), series.into_iter().collect()));
    }

    /// Adds a quotient and what it is to be, in words such as `≥ 1.4`.
    pub(crate) fn ratio(&mut self, what: &str, value: f64, goal: &str) {
        self.ratios.push(Ratio {
            what: what.to_owned(),
            value,
            goal: goal.to_owned(),
        });
    }

    /// Adds a sentence: what could not be measured, or under which condition something was.
    pub(crate) fn note(&mut self, sentence: impl Into<String>) {
        self.notes.push(sentence.into());
    }

    fn table(&self) -> String {
        let mut text = format!("# {}\n\n", self.title);
        for (unit, series) in &self.parts {
            let head =
                format!("| {unit} | median | least | most | rounds |\n|---|---|---|---|---|\n");
            text.push_str(&head);
            for one in series {
                let (least, most) = one.range();
                let line = format!(
                    "| {} | {} | {} | {} | {} |\n",
                    one.name,
                    figure(one.median()),
                    figure(least),
                    figure(most),
                    one.values.len()
                );
                text.push_str(&line);
            }
            text.push('\n');
        }
        if !self.ratios.is_empty() {
            text.push_str("| ratio | reached | goal |\n|---|---|---|\n");
            for ratio in &self.ratios {
                let reached = figure(ratio.value);
                let line = format!("| {} | {reached} | {} |\n", ratio.what, ratio.goal);
                text.push_str(&line);
            }
            text.push('\n');
        }
        for note in &self.notes {
            writeln!(text, "{note}").expect("a string takes every character");
        }
        text
    }

    /// Prints the table, and writes it and its plot to `target/bench/`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        let table = self.table();
        crate::say(&format!("\n{table}"));
        let folder = build::root().join("target/bench");
        std::fs::create_dir_all(&folder).context("making target/bench")?;
        std::fs::write(folder.join(format!("{}.md", self.name)), table)
            .context("writing a table")?;
        let plot = plot::bars(&self.title, &self.parts);
        std::fs::write(folder.join(format!("{}.svg", self.name)), plot).context("writing a plot")
    }
}

/// Three significant digits.
fn figure(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 || size == 0.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}
