//! The protected form of one object, byte by byte: what stays stays as it was received, what changes is written anew.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Seek};

use causeway_proto::dataset::Dataset;
use causeway_proto::element::Encoding;
use causeway_proto::ids::TransferSyntaxUid;
use causeway_proto::text::CharacterSet;
use dicom_core::{Tag, VR};

use super::identifiers::Identifiers;
use super::original;
use super::overlays::Plane;
use super::picture::Shown;
use super::pieces::{Piece, Pieces};
use super::pixels::Look;
use super::private::Blocks;
use super::profile::Options;
use super::shift::Shift;
use super::source::{DEPTH, Source, Unreadable};

mod act;
mod dates;
mod element;
mod inserts;
mod level;
mod shown;
mod uid;
pub(super) mod write;

use inserts::Inserts;

/// What stands in the place of identity.
pub struct Stand<'a> {
    /// The pseudonym.
    pub patient_id: String,
    /// What is shown as a name.
    pub patient_name: String,
    /// In the place of the accession number.
    pub accession: String,
    /// In the place of any other identifier, of a kind and a value: at most 16 characters of SH.
    pub token: &'a dyn Fn(&str, &str) -> String,
    /// In the place of a UID of the site, where UIDs are replaced; none when the keys cannot be used.
    pub uid: &'a dyn Fn(&str) -> Option<String>,
    /// The age at the study (AS), for an object that does not say it (P9).
    pub age: Option<String>,
    /// By how much dates are shifted, where they are.
    pub shift: Option<Shift>,
}

impl fmt::Debug for Stand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stand")
    }
}

/// Whether an object leaves.
#[derive(Debug)]
pub enum Outcome {
    /// In this form.
    Leaves(Box<Plan>),
    /// It stays, for this reason: in words for the reader, naming no identity.
    Withheld(String),
    /// It stays unless it is masked.
    Shows(Box<Shown>),
    /// Its bytes could not be read now.
    Unread,
}

/// The protected form of an object.
#[derive(Debug)]
pub struct Plan {
    /// The dataset.
    pub pieces: Vec<Piece>,
    /// The piece before which Encrypted Attributes Sequence (0400,0500) goes.
    pub seal_at: usize,
    /// The syntax of the pieces.
    pub syntax: TransferSyntaxUid,
    /// What was removed or replaced; of sequences that were changed inside, one item per item.
    pub originals: Dataset,
    /// (0008,0005) of the object, as it stands: the originals are in its character set.
    pub character_set: Vec<u8>,
    /// The UIDs that were replaced, and by which.
    pub uids: BTreeMap<String, String>,
    /// What the reader should know, naming no identity.
    pub remarks: Vec<String>,
    /// The overlays at its top level.
    pub(super) overlays: Vec<Plane>,
    /// What its header says of its device.
    pub(super) header: Dataset,
}

/// Bytes of ours, and of originals, are at most so many.
const HELD: usize = 32 << 20;

/// Why the walk ends early.
enum Stop {
    Withheld(String),
    Shows(Box<Shown>),
    Unreadable(Unreadable),
}

impl Stop {
    fn disorder() -> Self {
        Self::Withheld("its elements are not in order".to_owned())
    }
}

impl From<Unreadable> for Stop {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(error)
    }
}

/// What was done, for the remarks.
#[derive(Default)]
struct Counts {
    overlays: u32,
    curves: u32,
    icons: u32,
    inner: u32,
    unknown: u32,
    undecodable: u32,
    cleaned: u32,
    uids: u32,
    dates: u32,
    no_dates: u32,
}

struct Transform<'s, 'o, S> {
    source: Source<'s, S>,
    out: Pieces,
    ids: &'o Identifiers,
    /// The same without dates, for texts in which a date is none of the patient's.
    timeless: &'o Identifiers,
    stand: &'o Stand<'o>,
    options: &'o Options,
    counts: Counts,
    look: Look,
    /// Overlay groups at the top level.
    overlays: Vec<Plane>,
    held: usize,
    /// UIDs that were replaced.
    uids: BTreeMap<String, String>,
}

/// One level of the dataset, as it is walked.
struct Level {
    encoding: Encoding,
    limit: u64,
    depth: usize,
    set: CharacterSet,
    /// Inside a sequence whose texts say nothing any more.
    dummy: bool,
    /// Inside an item of Content Sequence.
    content: super::documents::Concept,
    blocks: Blocks,
}

impl Level {
    fn top(&self) -> bool {
        self.depth == DEPTH
    }
}

/// Protects a dataset of `length` bytes that is not deflated. The same input gives the same output.
#[must_use]
pub fn transform<S: Read + Seek>(
    source: &mut S,
    length: u64,
    syntax: &TransferSyntaxUid,
    ids: &Identifiers,
    stand: &Stand<'_>,
    options: &Options,
) -> Outcome {
    let (encoding, deflated) = Encoding::of(syntax);
    if deflated || encoding == Encoding::ExplicitBig {
        return Outcome::Withheld("is in a transfer syntax that is not protected here".to_owned());
    }
    if options.modified_dates && (stand.shift.is_none() || ids.has_more_dates()) {
        return Outcome::Withheld("its dates cannot be shifted".to_owned());
    }
    if ids.overflow() {
        return Outcome::Withheld("names more persons than can be looked for".to_owned());
    }
    let with_places = (!options.retain_institution).then(|| ids.with_places());
    let timeless = with_places.as_ref().unwrap_or(ids);
    let with_dates = options.modified_dates.then(|| timeless.with_dates());
    if with_dates.as_ref().is_some_and(Identifiers::overflow) {
        return Outcome::Withheld("holds more dates than can be looked for".to_owned());
    }
    let transform = Transform {
        source: Source::new(source, length),
        out: Pieces::default(),
        ids: with_dates.as_ref().unwrap_or(timeless),
        timeless,
        stand,
        options,
        counts: Counts::default(),
        look: Look::default(),
        overlays: Vec::new(),
        held: 0,
        uids: BTreeMap::new(),
    };
    match transform.run(encoding, syntax) {
        Ok(plan) => Outcome::Leaves(Box::new(plan)),
        Err(Stop::Withheld(reason)) => Outcome::Withheld(reason),
        Err(Stop::Shows(shown)) => Outcome::Shows(shown),
        Err(Stop::Unreadable(Unreadable::Read(_))) => Outcome::Unread,
        Err(Stop::Unreadable(error)) => {
            Outcome::Withheld(format!("could not be protected: {error}"))
        }
    }
}

impl<S: Read + Seek> Transform<'_, '_, S> {
    fn run(mut self, encoding: Encoding, syntax: &TransferSyntaxUid) -> Result<Plan, Stop> {
        let mut inserts = Inserts::new(self.stand, self.options, self.ids, encoding);
        let mut level = Level {
            encoding,
            limit: self.source.length(),
            depth: DEPTH,
            set: CharacterSet::default(),
            dummy: false,
            content: super::documents::Concept::Plain,
            blocks: Blocks::default(),
        };
        let mut originals = Dataset::new();
        let end = self.source.length();
        let mut last = None;
        let mut seal_at = None;
        loop {
            let start = self.source.at();
            let Some(header) = self.source.element(Some(end), encoding, end)? else {
                break;
            };
            // PS3.5 7.1: in the order of their tags, each once; otherwise what we put in might stand twice
            if last.is_some_and(|last| last >= header.tag) {
                return Err(Stop::disorder());
            }
            last = Some(header.tag);
            self.put(&inserts.before(header.tag));
            if header.tag > Tag(0x0400, 0x0500) && seal_at.is_none() {
                seal_at = Some(self.out.boundary());
            }
            if header.tag.0 == 0x7FE0 && self.pixels(start, &header, &level)? {
                continue;
            }
            if let Some((bytes, put_back)) = inserts.instead(header.tag) {
                let mut forgotten = Dataset::new();
                let to = if put_back {
                    &mut originals
                } else {
                    &mut forgotten
                };
                self.remove(start, &header, &level, to)?;
                self.put(&bytes);
            } else {
                self.element(start, &header, &mut level, &mut originals)?;
            }
        }
        self.put(&inserts.before(Tag(0xFFFF, 0xFFFF)));
        // a dataset that ends before (0400,0500) is sealed at its end
        let seal_at = seal_at.unwrap_or_else(|| self.out.boundary());
        if !self.look.pixels {
            self.judge()?;
        }
        original::note_added(&mut originals, inserts.added());
        let remarks = self.remarks(&originals);
        let syntax = self.syntax(syntax);
        Ok(Plan {
            pieces: self.out.finish(),
            seal_at,
            syntax,
            originals,
            character_set: self.look.header.bytes(Tag(0x0008, 0x0005)).to_vec(),
            remarks,
            uids: self.uids,
            overlays: self.overlays,
            header: self.look.header,
        })
    }

    fn remarks(&self, originals: &Dataset) -> Vec<String> {
        let counts = &self.counts;
        let kept = &self.options.overlays;
        let gone = self
            .overlays
            .iter()
            .filter(|it| !kept.contains_key(&it.group));
        let overlays = u32::try_from(gone.count()).unwrap_or(u32::MAX) + counts.overlays;
        let mut remarks: Vec<String> = [
            (overlays, "overlay", "overlays"),
            (counts.curves, "curve", "curves"),
            (counts.icons, "icon image", "icon images"),
            (
                counts.inner,
                "image inside a sequence",
                "images inside sequences",
            ),
            (
                counts.unknown,
                "element that no dictionary knows",
                "elements that no dictionary knows",
            ),
            (counts.undecodable, "unreadable text", "unreadable texts"),
            (counts.no_dates, "unreadable date", "unreadable dates"),
        ]
        .into_iter()
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, one, many)| {
            format!(
                "{count} {} removed at the site",
                if count == 1 { one } else { many }
            )
        })
        .collect();
        if counts.cleaned > 0 {
            let values = if counts.cleaned == 1 {
                "value"
            } else {
                "values"
            };
            remarks.push(format!(
                "identifiers removed from {} {values} at the site",
                counts.cleaned
            ));
        }
        remarks.extend(self.shifted());
        if counts.uids > 0 {
            remarks.push(
                "a UID holds an identifier of the patient; the agreement accepts it".to_owned(),
            );
        }
        remarks.extend(self.masked().and_then(|it| it.remark).map(str::to_owned));
        let masked = kept.values().filter(|black| black.hides()).count();
        if masked > 0 {
            let overlays = if masked == 1 { "overlay" } else { "overlays" };
            remarks.push(format!("{masked} {overlays} masked at the site"));
        }
        if self.options.released {
            remarks.push("looked at and released by a person at the site".to_owned());
        }
        if originals.code(Tag(0x0012, 0x0062)) == "YES" {
            remarks.push("was de-identified before it came to the site".to_owned());
        }
        if originals
            .get(Tag(0xFFFA, 0xFFFA))
            .is_some_and(|element| element.vr == VR::SQ)
        {
            remarks.push("carried a digital signature, removed at the site".to_owned());
        }
        remarks
    }

    fn put(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.out.bytes(bytes);
        }
    }

    /// Counts what is held in memory.
    fn hold(&mut self, bytes: usize) -> Result<(), Stop> {
        self.held = self.held.saturating_add(bytes);
        if self.held.saturating_add(self.out.literal()) > HELD {
            return Err(Stop::Withheld(
                "holds more to be removed than can be sealed".to_owned(),
            ));
        }
        Ok(())
    }
}
