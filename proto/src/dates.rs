//! Absolute dates in a text, in the spellings that are usual in Europe: where dates are shifted, one in a text is wrong or tells the
//! shift.
//!
//! A year alone is none, nor a time of day, nor a day without month and year. What might be a date counts as one.

mod months;

use std::ops::Range;

use months::{Month, ambiguous, introduces, joins, month};

/// Where absolute dates stand in a text, as ranges of its characters, in order and apart.
#[must_use]
pub fn dates(text: &str) -> Vec<Range<usize>> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match date_at(&tokens, at) {
            Some((first, last)) if last >= at => {
                let begin = tokens.get(first).map_or(0, |token| token.at.start);
                let end = tokens.get(last).map_or(begin, |token| token.at.end);
                match found.last_mut() {
                    Some(Range { end: before, .. }) if begin <= *before => *before = end,
                    _ => found.push(begin..end),
                }
                at = last + 1;
            }
            _ => at += 1,
        }
    }
    found
}

/// A text without its absolute dates: `instead` stands where one stood.
#[must_use]
pub fn without(text: &str, instead: &str) -> String {
    let found = dates(text);
    if found.is_empty() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for (at, character) in text.chars().enumerate() {
        match found.iter().find(|range| range.contains(&at)) {
            None => out.push(character),
            Some(range) if range.start == at => out.push_str(instead),
            Some(_) => {}
        }
    }
    out
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// Digits: their number, and their value while it is small.
    Number(usize, u64),
    /// Letters, folded; whether the first of them is a capital.
    Word(String, bool),
    /// White space.
    Gap,
    /// Anything else, one character.
    Mark(char),
}

struct Token {
    what: What,
    at: Range<usize>,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    for (at, received) in text.chars().enumerate() {
        let last = out.last_mut().filter(|last| last.at.end == at);
        // accents that stand by themselves belong to the letter before
        if ('\u{300}'..='\u{36F}').contains(&received) {
            if let Some(last) = last {
                last.at.end = at + 1;
            }
            continue;
        }
        let digit = match received {
            '\u{FF10}'..='\u{FF19}' => Some(u64::from(u32::from(received) - 0xFF10)),
            other => other.to_digit(10).map(u64::from),
        };
        let what = match (digit, last) {
            (
                Some(digit),
                Some(Token {
                    what: What::Number(length, value),
                    at: range,
                }),
            ) => {
                *length += 1;
                *value = value.saturating_mul(10).saturating_add(digit);
                range.end = at + 1;
                continue;
            }
            (Some(digit), _) => What::Number(1, digit),
            (
                None,
                Some(Token {
                    what: What::Word(word, _),
                    at: range,
                }),
            ) if received.is_alphabetic() => {
                word.push(months::plain(received));
                range.end = at + 1;
                continue;
            }
            _ if received.is_alphabetic() => {
                What::Word(months::plain(received).to_string(), received.is_uppercase())
            }
            (
                None,
                Some(Token {
                    what: What::Gap,
                    at: range,
                }),
            ) if received.is_whitespace() => {
                range.end = at + 1;
                continue;
            }
            _ if received.is_whitespace() => What::Gap,
            _ => What::Mark(match received {
                '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
                '\u{2019}' => '\'',
                '\u{FF0F}' | '\u{2044}' => '/',
                '\u{FF0E}' => '.',
                other => other,
            }),
        };
        out.push(Token {
            what,
            at: at..at + 1,
        });
    }
    out
}

/// How many digits a number has, and its value.
type Number = (usize, u64);

/// Tokens, looked at from one of them.
#[derive(Clone, Copy)]
struct View<'t>(&'t [Token]);

impl<'t> View<'t> {
    fn what(self, at: usize) -> Option<&'t What> {
        self.0.get(at).map(|token| &token.what)
    }

    fn number(self, at: usize) -> Option<Number> {
        match self.what(at)? {
            What::Number(length, value) => Some((*length, *value)),
            _ => None,
        }
    }

    fn mark(self, at: usize) -> Option<char> {
        match self.what(at)? {
            What::Mark(mark) => Some(*mark),
            _ => None,
        }
    }

    fn word(self, at: usize) -> Option<(&'t str, bool)> {
        match self.what(at)? {
            What::Word(word, capital) => Some((word, *capital)),
            _ => None,
        }
    }

    /// The place behind a gap, if there is one here.
    fn past_gap(self, at: usize) -> usize {
        at + usize::from(self.what(at) == Some(&What::Gap))
    }

    fn letter_before(self, at: usize) -> bool {
        at > 0 && self.word(at - 1).is_some()
    }

    /// Whether a number goes on before `first` or behind `last` over this mark.
    fn goes_on(self, first: usize, last: usize, mark: char) -> bool {
        let before =
            first > 1 && self.mark(first - 1) == Some(mark) && self.number(first - 2).is_some();
        let behind = self.mark(last + 1) == Some(mark) && self.number(last + 2).is_some();
        before || behind
    }
}

/// The date that begins at a token, or at a day before it, and its last token.
fn date_at(tokens: &[Token], at: usize) -> Option<(usize, usize)> {
    let view = View(tokens);
    match view.what(at)? {
        What::Number(..) => run(view, at)
            .or_else(|| three(view, at))
            .or_else(|| month_and_year(view, at))
            .or_else(|| ideographs(view, at)),
        What::Word(word, capital) => month(word)
            .and_then(|month| named(view, at, month, *capital))
            .or_else(|| day_and_month(view, at, word)),
        What::Gap | What::Mark(_) => None,
    }
}

fn is_year(value: u64) -> bool {
    (1800..2200).contains(&value)
}

fn is_day_of_month(day: u64, month: u64) -> bool {
    (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// `20240312`, with a time behind it or not; `12032024`.
fn run(view: View<'_>, at: usize) -> Option<(usize, usize)> {
    let (length, value) = view.number(at)?;
    let whole = match length {
        8 => value,
        10 if value % 100 < 24 => value / 100,
        12 if value / 100 % 100 < 24 && value % 100 < 60 => value / 10_000,
        14 if value / 10_000 % 100 < 24 => value / 1_000_000,
        _ => return None,
    };
    let forward = is_year(whole / 10_000) && is_day_of_month(whole % 100, whole / 100 % 100);
    let (first, second, year) = (whole / 1_000_000, whole / 10_000 % 100, whole % 10_000);
    let backward = length == 8
        && (1900..2100).contains(&year)
        && (is_day_of_month(first, second) || is_day_of_month(second, first));
    (forward || backward).then_some((at, at))
}

/// Day, month and year as numbers, in any order: `12.3.2024`, `2024-03-12`, `12/03/24`, `12 03 2024`.
fn three(view: View<'_>, at: usize) -> Option<(usize, usize)> {
    let (mark, second) = separator(view, at + 1)?;
    let (again, third) = separator(view, second + 1)?;
    let (a, b, c) = (view.number(at)?, view.number(second)?, view.number(third)?);
    if mark != again || b.0 > 2 || view.goes_on(at, third, mark) {
        return None;
    }
    let date = match (a.0, c.0) {
        (4, 1 | 2) => is_year(a.1) && (is_day_of_month(c.1, b.1) || is_day_of_month(b.1, c.1)),
        (1 | 2, 4) => is_year(c.1) && (is_day_of_month(a.1, b.1) || is_day_of_month(b.1, a.1)),
        // a year of two digits
        (1 | 2, 2) if mark != ' ' && !view.letter_before(at) => {
            is_day_of_month(a.1, b.1) || is_day_of_month(b.1, a.1) || is_day_of_month(c.1, b.1)
        }
        _ => false,
    };
    let two = [a.0, c.0]
        .into_iter()
        .chain([b.0])
        .filter(|length| *length == 2)
        .count()
        == 2;
    (date && (mark != ' ' || two)).then_some((at, third))
}

/// What stands between two numbers of a date, and where the second one is.
fn separator(view: View<'_>, at: usize) -> Option<(char, usize)> {
    let mark_at = view.past_gap(at);
    match view.mark(mark_at) {
        Some(mark @ ('.' | '/' | '-' | '_')) => {
            let next = view.past_gap(mark_at + 1);
            view.number(next).map(|_| (mark, next))
        }
        Some(_) => None,
        None => (mark_at > at && view.number(mark_at).is_some()).then_some((' ', mark_at)),
    }
}

/// `03/2024`, `03.2024`, `2024-03`.
fn month_and_year(view: View<'_>, at: usize) -> Option<(usize, usize)> {
    let mark = view.mark(at + 1).filter(|mark| "./-".contains(*mark))?;
    let (a, b) = (view.number(at)?, view.number(at + 2)?);
    let is_month =
        |(length, value): Number| (length == 2 || mark == '/') && (1..=12).contains(&value);
    let near = |(length, value): Number| length == 4 && (1900..2100).contains(&value);
    let date = (is_month(a) && near(b)) || (near(a) && is_month(b) && b.0 == 2 && mark != '.');
    (date && !view.goes_on(at, at + 2, mark) && !view.letter_before(at)).then_some((at, at + 2))
}

/// `2024年3月12日`, `3월 12일`.
fn ideographs(view: View<'_>, at: usize) -> Option<(usize, usize)> {
    let follows = |at: usize, sign: [char; 2]| {
        let at = view.past_gap(at);
        view.word(at)
            .filter(|(word, _)| word.starts_with(sign))
            .map(|_| view.past_gap(at + 1))
    };
    let (length, value) = view.number(at)?;
    if length == 4 && is_year(value) {
        let month = follows(at + 1, ['年', '년'])?;
        view.number(month)?;
        let day = follows(month + 1, ['月', '월'])?;
        let end = view
            .number(day)
            .and_then(|_| follows(day + 1, ['日', '일']));
        return Some((at, end.unwrap_or(day).saturating_sub(1)));
    }
    let day = follows(at + 1, ['月', '월'])?;
    view.number(day)?;
    follows(day + 1, ['日', '일']).map(|end| (at, end.saturating_sub(1)))
}

/// A month by its name, with a day before or behind it, or a year: `12 March 2024`, `March 12th`, `12-Mar-24`, `März 2024`.
fn named(view: View<'_>, at: usize, month: Month, capital: bool) -> Option<(usize, usize)> {
    let before = day_before(view, at);
    let (behind, day_behind) = number_behind(view, at);
    let (last, year) = match behind {
        Some((place, (4, value))) if is_year(value) => (place, true),
        Some((place, (2, _))) if before.is_some() && day_behind => (place, true),
        _ => (at, false),
    };
    if year {
        return Some((before.unwrap_or(at), last));
    }
    // words that mean something else too have to look like a month
    if ambiguous(month) && !capital {
        return None;
    }
    if let Some(first) = before {
        return Some((first, at));
    }
    let (place, (length, value)) = behind.filter(|_| day_behind)?;
    if month.short || length > 2 || !(1..=31).contains(&value) {
        return None;
    }
    // a year behind the day
    let (after, _) = number_behind(view, place);
    let year = after.filter(|(_, (length, value))| *length == 4 && is_year(*value));
    Some((at, year.map_or(place, |(place, _)| place)))
}

/// The day that stands before a month.
fn day_before(view: View<'_>, at: usize) -> Option<usize> {
    let mut place = at;
    for _ in 0..5 {
        place = place.checked_sub(1)?;
        match view.what(place)? {
            What::Number(1 | 2, 1..=31) => {
                let decimal = place > 1
                    && view.mark(place - 1).is_some_and(|mark| ".,".contains(mark))
                    && view.number(place - 2).is_some();
                return (!view.letter_before(place) && !decimal).then_some(place);
            }
            What::Gap | What::Mark('.' | '-' | '/' | 'º' | 'ª' | '°' | '_') => {}
            What::Word(word, _) if joins(word) => {}
            _ => return None,
        }
    }
    None
}

/// The number behind a month or a day, and whether it may be a day: nothing but a gap, a point or a hyphen stands between.
fn number_behind(view: View<'_>, at: usize) -> (Option<(usize, Number)>, bool) {
    let mut day = true;
    for place in at + 1..at + 6 {
        match view.what(place) {
            Some(What::Number(length, value)) => {
                let decimal = view.mark(place + 1).is_some_and(|mark| ".,".contains(mark))
                    && view.number(place + 2).is_some();
                let unit = view.word(place + 1).is_some_and(|(word, _)| !joins(word));
                let split = view.mark(place + 1).is_some_and(|mark| "/%".contains(mark));
                return (
                    Some((place, (*length, *value))),
                    day && !decimal && !unit && !split,
                );
            }
            Some(What::Gap | What::Mark('.' | '-' | '/' | '_')) => {}
            Some(What::Mark(',' | '\'')) => day = false,
            Some(What::Word(word, _)) if joins(word) => day = false,
            _ => break,
        }
    }
    (None, false)
}

/// A day and a month as numbers, behind a word that says so: `vom 12.3.`, `on 12/03`.
fn day_and_month(view: View<'_>, at: usize, word: &str) -> Option<(usize, usize)> {
    if !introduces(word) {
        return None;
    }
    let first = view.past_gap(at + 1);
    let (a, b) = (view.number(first)?, view.number(first + 2)?);
    let date = first > at + 1
        && a.0 <= 2
        && b.0 <= 2
        && (is_day_of_month(a.1, b.1) || is_day_of_month(b.1, a.1));
    let last = match view.mark(first + 1)? {
        '.' if view.mark(first + 3) == Some('.') && view.number(first + 4).is_none() => first + 3,
        '/' if a.0 == 2 && b.0 == 2 && view.mark(first + 3) != Some('/') => first + 2,
        _ => return None,
    };
    date.then_some((first, last))
}

#[cfg(test)]
mod tests;
