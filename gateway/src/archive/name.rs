//! Names as they are searched: without accents, case and final sigma, which neither database folds for all scripts.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The searched form of a name or a part of one: decomposed, marks stripped, lower case, ς as σ, with single blanks for the
/// separators of PS3.5 6.2.1.
#[must_use]
pub fn folded(name: &str) -> String {
    let plain: String = name
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
        .map(|c| match c {
            'ς' => 'σ',
            '^' | '=' | ',' => ' ',
            other => other,
        })
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_meet() {
        for (one, other) in [
            ("Müller^Jörg", "muller jorg"),
            ("Παπαδόπουλος^Γιώργος", "ΠΑΠΑΔΟΠΟΥΛΟΣ ΓΙΩΡΓΟΣ"),
            ("Йосиф", "иосиф"),
            ("Yamada^Tarou=山田^太郎", "yamada tarou 山田 太郎"),
            ("  Doe ^ John  ", "doe john"),
        ] {
            assert_eq!(folded(one), folded(other));
        }
    }
}
