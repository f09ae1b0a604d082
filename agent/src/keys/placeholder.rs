//! Patient IDs that establish nobody's identity (P2): the shipped list, and what the site adds to it.

/// What the field writes for a patient whom nobody knows yet. A star stands for any ending.
const SHIPPED: [&str; 5] = ["UNKNOWN", "UNK*", "EMERGENCY*", "TRAUMA*", "TEST*"];

/// Whether a patient ID establishes no identity: empty, all zeros, all nines, on the shipped list, or in `extra` (words, with a star
/// for any ending). Compared without blanks and case; leading zeros count unless the site says otherwise.
#[must_use]
pub fn is_placeholder(patient_id: &str, extra: &[String], ignore_leading_zeros: bool) -> bool {
    let form = |text: &str| compared(text, ignore_leading_zeros);
    let id = form(patient_id);
    id.is_empty()
        || id.chars().all(|c| c == '0')
        || id.chars().all(|c| c == '9')
        || SHIPPED
            .into_iter()
            .chain(extra.iter().map(String::as_str))
            .any(|word| match word.trim_end().strip_suffix('*') {
                // a star alone would stand for every patient there is: surely a slip
                Some(start) if !form(start).is_empty() => id.starts_with(&form(start)),
                Some(_) => false,
                None => form(word) == id,
            })
}

fn compared(text: &str, ignore_leading_zeros: bool) -> String {
    let text: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '\0')
        .flat_map(char::to_uppercase)
        .collect();
    if ignore_leading_zeros {
        return text.trim_start_matches('0').to_owned();
    }
    text
}
