//! What a person at the site types for a reader, without what names its patient: the same identifiers are looked for as in objects, in
//! the same spellings.

use std::io::Cursor;
use std::ops::Range;

use dicom_dictionary_std::tags;

use super::identifiers::{Context, Identifiers, identifiers};
use super::prepare::received;
use super::{Protector, seal};
use crate::spool::{Kept, Private, SpoolError};

/// What stands where something was taken out.
pub const REMOVED: &str = "[removed]";

const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";

/// Where this site's names for one patient stand.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Objects of the study, as received.
    pub objects: Vec<Kept>,
    /// The sealed originals of the study, when they have been made.
    pub sealed: Option<Vec<u8>>,
    /// Names in the rows.
    pub names: Vec<Private>,
    /// Patient IDs and accession numbers in the rows.
    pub numbers: Vec<Private>,
}

/// Everything by which one patient may be named in a text. Debug shows none of it.
#[derive(Clone, Debug)]
pub struct Named(Identifiers);

/// A text without names.
#[derive(Clone, PartialEq, Eq)]
pub struct Cut {
    /// What is left.
    pub text: String,
    /// What was taken out, for the person who wrote it.
    pub removed: Vec<String>,
}

impl std::fmt::Debug for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cut({} removed)", self.removed.len())
    }
}

impl Protector {
    /// Reads what names the patient; none when neither an object nor the sealed originals can be read: no text can be checked then.
    ///
    /// # Errors
    /// When the agent is ending.
    pub async fn named(&self, known: Known) -> Result<Option<Named>, SpoolError> {
        let this = self.clone();
        let read = tokio::task::spawn_blocking(move || gather(&this, &known));
        match read.await {
            Ok(named) => Ok(named),
            // a panic on a damaged object: what it says is not known
            Err(error) if error.is_panic() => Ok(None),
            Err(_) => Err(SpoolError::Ending),
        }
    }
}

fn gather(protector: &Protector, known: &Known) -> Option<Named> {
    let objects = known.objects.iter();
    let mut found: Vec<Identifiers> = objects
        .filter_map(|kept| of_object(protector, kept))
        .collect();
    if let Some(sealed) = &known.sealed {
        found.extend(of_sealed(protector, sealed));
    }
    let first = found.pop()?;
    let all = found.into_iter().fold(first, Identifiers::and);
    let names: Vec<&str> = known.names.iter().map(Private::reveal).collect();
    let numbers: Vec<&str> = known.numbers.iter().map(Private::reveal).collect();
    let all = all.said(&names, &numbers, "");
    // a text that is looked through for some of the names only is not clean
    (!all.overflow()).then_some(Named(all))
}

fn of_object(protector: &Protector, kept: &Kept) -> Option<Identifiers> {
    let (received, syntax) = received(protector, kept).ok()?;
    identifiers(&mut received.reader(&protector.spool), &syntax).ok()
}

/// The originals as they were sealed for the hospital, opened with its key: they stay when the objects have had their time.
fn of_sealed(protector: &Protector, sealed: &[u8]) -> Option<Identifiers> {
    let plain = protector.keys.open_sealed(sealed).ok()?;
    let syntax = EXPLICIT_LITTLE.parse().ok()?;
    let found = identifiers(&mut Cursor::new(plain.as_slice()), &syntax).ok()?;
    let originals = seal::originals(&plain)?;
    let set = originals.character_set();
    let birth = originals.text(tags::PATIENT_BIRTH_DATE, &set);
    Some(found.said(&[], &[], birth.trim()))
}

impl Named {
    /// The same, and every date: for where dates leave shifted.
    #[must_use]
    pub fn undated(&self) -> Self {
        Self(self.0.with_dates())
    }

    /// The text without what names the patient.
    #[must_use]
    pub fn cut(&self, text: &str) -> Cut {
        let characters: Vec<char> = text.chars().collect();
        let found = bridged(&characters, self.0.in_text(text, Context::Note));
        let mut out = String::with_capacity(text.len());
        let mut removed = Vec::new();
        let mut at = 0;
        for range in found {
            out.extend(characters.get(at..range.start).unwrap_or_default());
            out.push_str(REMOVED);
            removed.push(
                characters
                    .get(range.clone())
                    .unwrap_or_default()
                    .iter()
                    .collect(),
            );
            at = range.end;
        }
        out.extend(characters.get(at..).unwrap_or_default());
        // what is left must name nobody: a cut can bring two halves together
        if !removed.is_empty() && !self.0.in_text(&out, Context::Note).is_empty() {
            return Cut {
                text: REMOVED.to_owned(),
                removed: vec![text.to_owned()],
            };
        }
        Cut { text: out, removed }
    }
}

/// Cuts that only separators keep apart are one.
fn bridged(text: &[char], found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        let between = out.last().map(|last| last.end..range.start);
        let between = between.and_then(|gap| text.get(gap)).unwrap_or(&['x']);
        match out.last_mut() {
            Some(last) if between.len() <= 3 && between.iter().all(|c| " ^,._-=/".contains(*c)) => {
                last.end = range.end;
            }
            _ => out.push(range),
        }
    }
    out
}
