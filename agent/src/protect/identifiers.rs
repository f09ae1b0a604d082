//! The identifiers of the patient whom a dataset is about, read from it, and finding them in everything else that it says.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use causeway_proto::dates::dates;
use causeway_proto::element::{Encoding, Header, implicit_vr};
use causeway_proto::ids::TransferSyntaxUid;
use causeway_proto::text::CharacterSet;
use dicom_core::{Tag, VR};

use super::source::{DEPTH, Kind, Source, Unreadable};
use crate::spool::Private;

mod dates;
mod escapes;
mod find;
mod fold;
mod numbers;
mod pattern;
mod words;

use dates::{Dates, is_date};
pub(super) use find::Context;
use find::Patterns;
pub(crate) use fold::{folded, spellings};
use numbers::{bare, digits, fill, is_telling, without_points};

/// Different names that are looked for are at most so many; an object that names more persons stays.
const NAMES_MAX: usize = 64;
/// The same for numbers, for texts that identify as a whole, and for texts that cannot be decoded.
const MOST: usize = 200;
/// Dates of the study are at most so many: more of them only let less be taken for one.
const DATES_MAX: usize = 4096;
/// No name or number is longer; what is longer is a text, which is cleaned as one.
const LONGEST: u64 = 1024;

/// What a dataset says of its patient.
#[derive(Clone, Default)]
pub struct Identifiers {
    /// (0010,0010) in Unicode, trimmed.
    pub patient_name: Private,
    /// (0010,0020).
    pub patient_id: Private,
    /// (0010,0021).
    pub issuer: Private,
    /// (0010,0030), DA.
    pub birth_date: Private,
    /// (0008,0050).
    pub accession: Private,
    /// (0010,0040).
    pub sex: Private,
    /// (0010,1010).
    pub age: Private,
    /// (0008,0020), DA.
    pub study_date: Private,
    /// (0008,0090).
    pub referrer: Private,
    /// Every other name of a person that stands in the dataset.
    pub names: Vec<Private>,
    /// Every number that stands for the patient, an admission or an order.
    pub numbers: Vec<Private>,
    patterns: Arc<Patterns>,
    places: Arc<Patterns>,
    /// The names of institutions are among what is looked for.
    everywhere: bool,
    dates: BTreeSet<String>,
    all_dates: Dates,
    /// Dates identify too: they leave shifted.
    shifting: bool,
    digits: BTreeSet<String>,
    undecodable: bool,
    /// More stands in the dataset than is looked for.
    overflows: bool,
}

/// Numbers of the patient and of orders, wherever they stand.
const NUMBERS: [Tag; 13] = [
    Tag(0x0010, 0x0020),
    Tag(0x0010, 0x1000),
    Tag(0x0008, 0x0050),
    Tag(0x0010, 0x1050),
    Tag(0x0010, 0x1090),
    Tag(0x0010, 0x2154),
    Tag(0x0010, 0x2155),
    Tag(0x0038, 0x0010),
    Tag(0x0038, 0x0060),
    Tag(0x0040, 0x2016),
    Tag(0x0040, 0x2017),
    Tag(0x0012, 0x0040),
    Tag(0x0012, 0x0042),
];
/// Texts that identify as a whole.
const PHRASES: [Tag; 4] = [
    Tag(0x0010, 0x1040),
    Tag(0x0008, 0x0080),
    Tag(0x0008, 0x0081),
    Tag(0x0040, 0xA027),
];
const DATES: [Tag; 5] = [
    Tag(0x0008, 0x0020),
    Tag(0x0008, 0x0021),
    Tag(0x0008, 0x0022),
    Tag(0x0008, 0x0023),
    Tag(0x0008, 0x0012),
];

/// Reads the identifiers of a dataset that is not deflated.
///
/// # Errors
/// [`Unreadable`] when it cannot be walked to its end.
pub fn identifiers<S: Read + Seek>(
    source: &mut S,
    syntax: &TransferSyntaxUid,
) -> Result<Identifiers, Unreadable> {
    let (encoding, deflated) = Encoding::of(syntax);
    if deflated || encoding == Encoding::ExplicitBig {
        return Err(Unreadable::Syntax);
    }
    let length = source.seek(SeekFrom::End(0)).map_err(Unreadable::Read)?;
    let mut reading = Reading {
        source: Source::new(source, length),
        found: Identifiers::default(),
        raw: BTreeSet::new(),
        phrases: Vec::new(),
        top_set: CharacterSet::default(),
    };
    reading.level(
        Some(length),
        encoding,
        length,
        DEPTH,
        CharacterSet::default(),
    )?;
    Ok(reading.finish())
}

struct Reading<'s, S> {
    source: Source<'s, S>,
    found: Identifiers,
    raw: BTreeSet<Vec<u8>>,
    phrases: Vec<(Tag, String)>,
    top_set: CharacterSet,
}

impl<S: Read + Seek> Reading<'_, S> {
    fn level(
        &mut self,
        end: Option<u64>,
        encoding: Encoding,
        limit: u64,
        depth: usize,
        set: CharacterSet,
    ) -> Result<(), Unreadable> {
        let mut set = set;
        while let Some(header) = self.source.element(end, encoding, limit)? {
            match self.source.kind(&header, encoding, limit)? {
                Kind::Value(end) => {
                    let date = is_date(&header);
                    let short = end - self.source.at() <= LONGEST;
                    if date && short {
                        let bytes = self.source.read(self.source.at()..end)?;
                        self.found.all_dates.note(&bytes);
                    }
                    self.found.all_dates.more |= date && !short;
                    let wanted = self.wanted(&header);
                    self.found.overflows |= wanted && !short && names_somebody(header.tag);
                    if wanted && short {
                        let bytes = self.source.read(self.source.at()..end)?;
                        if header.tag == Tag(0x0008, 0x0005) {
                            set = CharacterSet::parse(&bytes);
                            if depth == DEPTH {
                                self.top_set = set;
                            }
                        }
                        self.note(header.tag, &bytes, &set, depth == DEPTH);
                    } else if hidden_sequence(&header, encoding) {
                        self.hidden(end, depth, set)?;
                    }
                    self.source.go(end);
                }
                Kind::Items(end, inside) => {
                    let depth = depth.checked_sub(1).ok_or(Unreadable::Limit)?;
                    let limit = end.unwrap_or(limit);
                    while let Some(item) = self.source.item(end, inside, limit)? {
                        self.level(item, inside, item.unwrap_or(limit), depth, set)?;
                    }
                }
                fragments @ Kind::Fragments => self.source.pass(fragments, limit, depth)?,
            }
        }
        Ok(())
    }

    /// A sequence that a peer stored as UN with its length (PS3.5 6.2.2): implicit little endian. What does not read as one is
    /// nothing that names are read from; the transform removes it.
    fn hidden(&mut self, end: u64, depth: usize, set: CharacterSet) -> Result<(), Unreadable> {
        let depth = depth.checked_sub(1).ok_or(Unreadable::Limit)?;
        loop {
            match self.source.item(Some(end), Encoding::ImplicitLittle, end) {
                Ok(Some(item)) => {
                    let told = self.level(
                        item,
                        Encoding::ImplicitLittle,
                        item.unwrap_or(end),
                        depth,
                        set,
                    );
                    match told {
                        Err(Unreadable::Malformed) => return Ok(()),
                        told => told?,
                    }
                }
                Ok(None) | Err(Unreadable::Malformed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn wanted(&self, header: &Header) -> bool {
        let tag = header.tag;
        header.vr == VR::PN
            || implicit_vr(tag) == VR::PN
            || NUMBERS.contains(&tag)
            || PHRASES.contains(&tag)
            || DATES.contains(&tag)
            || matches!(
                tag,
                Tag(0x0008, 0x0005) | Tag(0x0010, 0x0021 | 0x0030 | 0x0040 | 0x1010)
            )
    }

    fn note(&mut self, tag: Tag, bytes: &[u8], set: &CharacterSet, top: bool) {
        let decoded = set.decode_counted(bytes);
        let text = decoded.text.trim_matches([' ', '\0']).to_owned();
        if text.is_empty() {
            return;
        }
        let person = implicit_vr(tag) == VR::PN;
        if decoded.undecodable > 0 {
            self.found.undecodable |= top && tag.0 == 0x0010;
            self.raw_text(bytes);
        }
        if top {
            self.top(tag, &text);
        }
        if person {
            self.raw_parts(bytes);
            let full = fill(&mut self.found.names, &text, NAMES_MAX);
            self.found.overflows |= full;
        } else if NUMBERS.contains(&tag) {
            let full = fill(&mut self.found.numbers, &text, MOST);
            self.found.overflows |= full;
        } else if PHRASES.contains(&tag) {
            let known = self.phrases.iter().any(|(_, it)| *it == text);
            self.found.overflows |= !known && self.phrases.len() >= MOST;
            if !known && self.phrases.len() < MOST {
                self.phrases.push((tag, text));
            }
        } else if DATES.contains(&tag) && self.found.dates.len() < DATES_MAX {
            self.found.dates.insert(without_points(&text));
        }
    }

    fn top(&mut self, tag: Tag, text: &str) {
        let place = match tag {
            Tag(0x0010, 0x0010) => &mut self.found.patient_name,
            Tag(0x0010, 0x0020) => &mut self.found.patient_id,
            Tag(0x0010, 0x0021) => &mut self.found.issuer,
            Tag(0x0010, 0x0030) => &mut self.found.birth_date,
            Tag(0x0010, 0x0040) => &mut self.found.sex,
            Tag(0x0010, 0x1010) => &mut self.found.age,
            Tag(0x0008, 0x0050) => &mut self.found.accession,
            Tag(0x0008, 0x0020) => &mut self.found.study_date,
            Tag(0x0008, 0x0090) => &mut self.found.referrer,
            _ => return,
        };
        *place = match tag {
            Tag(0x0010, 0x0030) | Tag(0x0008, 0x0020) => Private::new(without_points(text)),
            _ => Private::new(text),
        };
    }

    /// The components of a name in the very bytes of the object.
    fn raw_parts(&mut self, bytes: &[u8]) {
        for part in escapes::parts(bytes) {
            if part.len() >= 4 {
                self.raw_text(part);
            }
        }
    }

    fn raw_text(&mut self, bytes: &[u8]) {
        if self.raw.len() < MOST {
            self.raw.insert(bytes.trim_ascii().to_vec());
        } else {
            self.found.overflows |= !self.raw.contains(bytes.trim_ascii());
        }
    }

    fn finish(mut self) -> Identifiers {
        let own = encoding_rs::UTF_8;
        let mut patterns = Patterns::default();
        // those of the patient before those of all others
        let found = &self.found;
        let birth = found.birth_date.reveal();
        if !found.dates.contains(birth) {
            patterns.date(birth);
        }
        for name in [&found.patient_name, &found.referrer] {
            patterns.name(name.reveal(), own);
        }
        for number in [&found.patient_id, &found.accession] {
            number
                .reveal()
                .split('\\')
                .for_each(|it| patterns.number(it, own));
        }
        for number in &found.numbers {
            patterns.number(number.reveal(), own);
        }
        for name in &found.names {
            patterns.name(name.reveal(), own);
        }
        let mut places = Patterns::default();
        for (tag, phrase) in &self.phrases {
            let of_patient = tag.0 == 0x0010;
            let kind = if of_patient {
                &mut patterns
            } else {
                &mut places
            };
            kind.phrase(phrase, own);
        }
        for raw in &self.raw {
            patterns.add_bytes(raw);
        }
        let found = &mut self.found;
        let birth = found.birth_date.reveal().to_owned();
        if !found.dates.contains(&birth) {
            found.digits.insert(birth);
        }
        for number in [found.patient_id.reveal(), found.accession.reveal()] {
            found.digits.extend(digits(number));
        }
        // an accession number that begins with the day of the study says no more than the day
        let dates = &found.dates;
        found
            .digits
            .retain(|it| is_telling(it) && !dates.contains(it));
        found.patterns = Arc::new(patterns);
        found.places = Arc::new(places);
        self.found
    }
}

/// Whether a value that is too long to be one would have to be looked for.
fn names_somebody(tag: Tag) -> bool {
    implicit_vr(tag) == VR::PN || NUMBERS.contains(&tag)
}

/// Whether a value of known length is a sequence that its writer did not know.
pub(super) fn hidden_sequence(header: &Header, encoding: Encoding) -> bool {
    header.vr == VR::UN && encoding != Encoding::ImplicitLittle && implicit_vr(header.tag) == VR::SQ
}

impl Identifiers {
    /// The same, with what else the study says of its patient: an object may draw a name that it does not state.
    #[must_use]
    pub(super) fn also(mut self, name: &str, numbers: [&str; 2]) -> Self {
        let patterns = Arc::make_mut(&mut self.patterns);
        patterns.name(name, encoding_rs::UTF_8);
        for number in numbers {
            patterns.number(number, encoding_rs::UTF_8);
            let dates = &self.dates;
            let found = digits(number).filter(|digits| !dates.contains(digits));
            self.digits.extend(found);
        }
        self
    }

    /// The same, with what another object or another record says of the same patient.
    #[must_use]
    pub(super) fn and(mut self, mut other: Self) -> Self {
        Arc::make_mut(&mut self.patterns).also(&other.patterns);
        self.numbers.append(&mut other.numbers);
        self.all_dates.append(&mut other.all_dates);
        self.overflows |= other.overflows;
        self
    }

    /// The same, with names, numbers and a birth date (DA) that a record of the patient says.
    #[must_use]
    pub(super) fn said(mut self, names: &[&str], numbers: &[&str], birth_date: &str) -> Self {
        let own = encoding_rs::UTF_8;
        let patterns = Arc::make_mut(&mut self.patterns);
        names.iter().for_each(|name| patterns.name(name, own));
        for number in numbers {
            patterns.number(number, own);
            self.numbers.push(Private::new(*number));
        }
        patterns.date(&without_points(birth_date));
        self
    }

    /// The same, with the names of institutions among what is looked for.
    pub(super) fn with_places(&self) -> Self {
        let mut all = self.clone();
        all.everywhere = true;
        all
    }

    /// The same, with dates among what is looked for: any in a text, those of the dataset in bytes and in UIDs.
    pub(super) fn with_dates(&self) -> Self {
        let mut all = self.clone();
        let patterns = Arc::make_mut(&mut all.patterns);
        for date in self.all_dates.iter() {
            patterns.date_in_bytes(date);
        }
        all.digits.extend(self.all_dates.iter().cloned());
        all.shifting = true;
        all
    }

    /// Whether there are dates that nobody looked at: too many, or too long.
    pub(super) fn has_more_dates(&self) -> bool {
        self.all_dates.more
    }

    /// Whether more stands in the dataset than is looked for: nothing that was cleaned by these is clean.
    pub(super) fn overflow(&self) -> bool {
        self.overflows || self.patterns.is_full() || self.places.is_full()
    }

    fn looked_for(&self) -> impl Iterator<Item = &Patterns> {
        let places = self.everywhere.then_some(&*self.places);
        std::iter::once(&*self.patterns).chain(places)
    }

    /// Where identifiers stand in a text, as ranges of its characters.
    pub(super) fn in_text(&self, text: &str, context: Context) -> Vec<Range<usize>> {
        let mut found = Patterns::in_text(self.looked_for(), text, context);
        if self.shifting && context != Context::Number {
            found.extend(dates(text));
            found.extend(self.all_dates.runs(text.chars()));
            found = find::join(found);
        }
        found
    }

    /// Where identifiers stand in bytes of unknown meaning.
    pub(super) fn in_bytes(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found = Patterns::in_bytes(self.looked_for(), bytes);
        if self.shifting {
            found.extend(self.all_dates.runs(bytes.iter().map(|b| char::from(*b))));
            found = find::join(found);
        }
        found
    }

    /// Whether a UID holds the patient's ID, accession number or birth date as six digits or more.
    pub(super) fn in_uid(&self, uid: &str) -> bool {
        !uid.starts_with("1.2.840.10008.")
            && uid.split('.').any(|part| {
                self.digits
                    .iter()
                    .any(|digits| part.contains(digits.as_str()))
            })
    }

    /// Whether one of the values of a text is one of the numbers.
    pub(super) fn is_number(&self, text: &str) -> bool {
        if self.shifting && self.all_dates.contains(text) {
            return true;
        }
        let long = |text: &&str| text.len() >= 4;
        text.split('\\').map(str::trim).filter(long).any(|text| {
            let mut numbers = self.numbers.iter().map(Private::reveal);
            numbers.any(|it| it == text || (long(&bare(text)) && bare(it) == bare(text)))
        })
    }

    /// Whether a DA or DT begins with the patient's birth date, and that is no date of the study.
    pub(super) fn is_birth_date(&self, text: &str) -> bool {
        let birth = self.birth_date.reveal();
        birth.len() == 8 && without_points(text).starts_with(birth) && !self.dates.contains(birth)
    }
}

/// Nothing of it.
impl fmt::Debug for Identifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identifiers")
    }
}
