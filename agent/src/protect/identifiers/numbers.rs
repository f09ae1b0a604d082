//! Numbers and dates in the forms in which they stand in other values.

use crate::spool::Private;

/// The digits of a number as UIDs are made of them: together, without zeros before them, and run by run.
pub(super) fn digits(number: &str) -> impl Iterator<Item = String> {
    let all: String = number.chars().filter(char::is_ascii_digit).collect();
    let bare = all.trim_start_matches('0').to_owned();
    let runs = number
        .split(|c: char| !c.is_ascii_digit())
        .map(str::to_owned);
    let each = [bare, all].into_iter().chain(runs);
    each.filter(|it| is_telling(it))
        .collect::<Vec<_>>()
        .into_iter()
}

/// Whether digits are enough to tell who somebody is.
pub(super) fn is_telling(digits: &str) -> bool {
    let first = digits.chars().next();
    digits.len() >= 6 && !digits.chars().all(|c| Some(c) == first)
}

/// A date as DA writes it: ACR-NEMA put points into it (PS3.5 6.2).
pub(super) fn without_points(date: &str) -> String {
    let bytes = date.as_bytes();
    let old = bytes.len() >= 10 && bytes.get(4) == Some(&b'.') && bytes.get(7) == Some(&b'.');
    if old {
        date.replacen('.', "", 2)
    } else {
        date.to_owned()
    }
}

/// A number as IS and DS may write it too (PS3.5 6.2): with a sign, and with zeros before it.
pub(super) fn bare(number: &str) -> &str {
    number.trim().trim_start_matches(['+', '0'])
}

/// Adds the values of a text that are not there yet; answers whether there was no room for one.
pub(super) fn fill(values: &mut Vec<Private>, text: &str, most: usize) -> bool {
    for value in text.split('\\').map(str::trim) {
        if value.is_empty() || values.iter().any(|it| it.reveal() == value) {
            continue;
        }
        if values.len() >= most {
            return true;
        }
        values.push(Private::new(value));
    }
    false
}
