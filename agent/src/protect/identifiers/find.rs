//! Finding this patient's identifiers in text, in bytes and in UIDs.

use std::collections::BTreeSet;
use std::ops::Range;

use super::fold::{Folded, find, fold, squeezed};

/// How a pattern counts as found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    /// Anywhere.
    Anywhere,
    /// As a word: no letter or digit before or behind.
    Word,
    /// In the text without its separators.
    Squeezed,
    /// As digits without more digits around them.
    Digits,
    /// As a word in capitals, in a note that is not all in capitals.
    Capitals,
}

/// Where a text stands, which says how it is looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Context {
    /// Sentences: LT, ST, UT, UC.
    Note,
    /// A description, a title: LO, SH, PN.
    Descriptor,
    /// A code.
    Code,
    /// A number, date or time: digits prove nothing.
    Number,
}

/// A folded text to be found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pattern {
    pub(super) text: String,
    pub(super) rule: Rule,
}

/// Everything that is looked for.
#[derive(Clone, Default)]
pub(super) struct Patterns {
    /// In text.
    text: BTreeSet<Pattern>,
    /// In bytes: in lower case as far as it is ASCII.
    bytes: BTreeSet<Vec<u8>>,
    /// There was more than there is room for.
    full: bool,
}

/// Patterns are at most so many: each is looked for in every value.
const PATTERNS_MAX: usize = 20_000;

impl Patterns {
    /// Looks for a text too.
    pub(super) fn add_text(&mut self, text: String, rule: Rule) {
        if self.has_room() {
            self.text.insert(Pattern { text, rule });
        }
    }

    /// Looks for bytes as they stand in an object too.
    pub(super) fn add_bytes(&mut self, bytes: &[u8]) {
        if bytes.len() >= 4 && self.has_room() {
            self.bytes.insert(bytes.to_ascii_lowercase());
        }
    }

    /// Looks for what others look for too.
    pub(super) fn also(&mut self, others: &Self) {
        for Pattern { text, rule } in &others.text {
            self.add_text(text.clone(), *rule);
        }
        for bytes in &others.bytes {
            self.add_bytes(bytes);
        }
        self.full |= others.full;
    }

    fn has_room(&mut self) -> bool {
        self.full |= self.count() >= PATTERNS_MAX;
        !self.full
    }

    fn count(&self) -> usize {
        self.text.len() + self.bytes.len()
    }

    /// Whether something is not looked for, because there was no room for it.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// The indices of characters that belong to an identifier; empty when there is none.
    pub(super) fn in_text<'a>(
        looked_for: impl Iterator<Item = &'a Self>,
        text: &str,
        context: Context,
    ) -> Vec<Range<usize>> {
        let folded = fold(text.chars());
        let tight = squeezed(&folded);
        let plain: String = folded.iter().map(|(c, _)| *c).collect();
        let narrow: String = tight.iter().map(|(c, _)| *c).collect();
        let mut found = Vec::new();
        for pattern in looked_for.flat_map(|it| &it.text) {
            let number = !pattern.text.chars().any(char::is_alphabetic);
            let capitals = pattern.rule == Rule::Capitals;
            if (number && context == Context::Number) || (capitals && context != Context::Note) {
                continue;
            }
            let (here, whole) = match pattern.rule {
                Rule::Squeezed => (&tight, &narrow),
                _ => (&folded, &plain),
            };
            if !whole.contains(pattern.text.as_str()) {
                continue;
            }
            let wanted: Vec<char> = pattern.text.chars().collect();
            for range in find(here, &wanted) {
                if stands(here, &range, pattern.rule) {
                    let range = characters(here, &range);
                    found.extend(range.filter(|range| !capitals || shouted(text, range)));
                }
            }
        }
        join(found)
    }

    /// Ranges of bytes that belong to an identifier.
    pub(super) fn in_bytes<'a>(
        looked_for: impl Iterator<Item = &'a Self>,
        bytes: &[u8],
    ) -> Vec<Range<usize>> {
        let mut first: [Vec<&Vec<u8>>; 256] = std::array::from_fn(|_| Vec::new());
        for pattern in looked_for.flat_map(|it| &it.bytes) {
            let begin = pattern.first().copied().unwrap_or(0);
            if let Some(list) = first.get_mut(usize::from(begin)) {
                list.push(pattern);
            }
        }
        let mut found = Vec::new();
        for at in 0..bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let begin = rest.first().copied().unwrap_or(0).to_ascii_lowercase();
            for pattern in first.get(usize::from(begin)).into_iter().flatten() {
                let here = rest.get(..pattern.len()).unwrap_or_default();
                if here.eq_ignore_ascii_case(pattern) && alone(bytes, at, pattern) {
                    found.push(at..at + pattern.len());
                }
            }
        }
        join(found)
    }
}

/// Digits in bytes count only when no number goes on around them; anything else anywhere.
fn alone(bytes: &[u8], at: usize, pattern: &[u8]) -> bool {
    if !pattern.iter().all(u8::is_ascii_digit) {
        return true;
    }
    let number = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_digit() || *b == b'.');
    !number(at.checked_sub(1).and_then(|before| bytes.get(before)))
        && !number(bytes.get(at + pattern.len()))
}

fn stands(text: &[Folded], range: &Range<usize>, rule: Rule) -> bool {
    let before = range.start.checked_sub(1).and_then(|at| text.get(at));
    let behind = text.get(range.end);
    let around = |test: fn(char) -> bool| {
        before.is_some_and(|(c, _)| test(*c)) || behind.is_some_and(|(c, _)| test(*c))
    };
    match rule {
        Rule::Anywhere => true,
        Rule::Word | Rule::Capitals => !around(char::is_alphabetic),
        Rule::Digits => !around(|c| c.is_ascii_digit()),
        Rule::Squeezed => {
            let digits = text
                .get(range.clone())
                .is_some_and(|hit| hit.iter().all(|(c, _)| c.is_ascii_digit()));
            !digits || !around(|c| c.is_ascii_digit())
        }
    }
}

/// Whether the characters of a range are capitals, where the text around them is not.
fn shouted(text: &str, range: &Range<usize>) -> bool {
    let word = text.chars().skip(range.start).take(range.len());
    let capitals = word.filter(|c| c.is_alphabetic()).all(char::is_uppercase);
    capitals && text.chars().any(char::is_lowercase)
}

/// The range of received characters that a range of folded ones comes from.
fn characters(text: &[Folded], range: &Range<usize>) -> Option<Range<usize>> {
    let (_, first) = text.get(range.start)?;
    let (_, last) = text.get(range.end.checked_sub(1)?)?;
    Some(*first..last + 1)
}

/// Sorted, and without overlaps.
pub(super) fn join(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut out: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match out.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_names_there_are_and_however_long_the_patterns_have_a_bound() {
        let mut patterns = Patterns::default();
        let mut most = 0;
        for n in 0..200_u32 {
            let before = patterns.count();
            let letter = |n: u32| char::from_u32(0x3B1 + n % 24).unwrap_or('α');
            let words: Vec<String> = (0..40)
                .map(|m| {
                    let (a, b, c, d) = (letter(n), letter(n / 24), letter(m), letter(m / 24));
                    format!("Ά{a}{b}λέ{c}{d}ς")
                })
                .collect();
            let name = ["=", "=", "=", "=", "="]
                .map(|end| words.join("^") + end)
                .concat();
            patterns.name(&name, encoding_rs::UTF_8);
            most = most.max(patterns.count() - before);
        }
        assert!(patterns.is_full());
        assert_eq!(patterns.count(), PATTERNS_MAX);
        assert!(most < 4000, "{most} of one name");
    }
}
