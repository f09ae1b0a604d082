//! Every public object: it leaves or stays with a reason; what leaves is readable, names nobody, and can be put back whole.

use std::collections::{BTreeMap, BTreeSet};

use causeway_proto::dataset::{Element, Value};
use causeway_proto::prescan::{Limits, prescan};
use dicom_core::{Tag, VR};

use super::*;

/// The names and numbers of a file that must not be found in what leaves: whole, and long enough to mean something.
fn own_identity(original: &Dataset) -> Vec<String> {
    let set = original.character_set();
    let mut found = Vec::new();
    for tag in [
        Tag(0x0010, 0x0010),
        Tag(0x0010, 0x0020),
        Tag(0x0010, 0x0030),
        Tag(0x0008, 0x0050),
        Tag(0x0010, 0x1000),
        Tag(0x0010, 0x1040),
    ] {
        let text = original.text(tag, &set).trim().to_owned();
        let study = original.code(Tag(0x0008, 0x0020));
        let placeholder = text
            .chars()
            .all(|c| !c.is_alphanumeric() || text.starts_with(c));
        let silent = [
            "REMOVED",
            "ANONYMOUS",
            "ANONYMIZED",
            "UNKNOWN",
            "TEST",
            "HEAD",
        ];
        if text.chars().count() >= 4
            && text != study
            && !placeholder
            && !silent.contains(&text.to_uppercase().as_str())
        {
            found.push(text);
        }
    }
    found
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    let utf16 = |text: &str| {
        text.encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>()
    };
    [needle.as_bytes().to_vec(), utf16(needle)]
        .iter()
        .any(|needle| {
            haystack
                .windows(needle.len())
                .any(|window| window == &needle[..])
        })
}

/// Whether a text is the value of an element at any depth.
fn says(dataset: &Dataset, text: &str) -> bool {
    dataset.iter().any(|(tag, element)| match &element.value {
        Value::Bytes(_) => dataset.code(tag) == text,
        Value::Items(items) => items.iter().any(|item| says(item, text)),
        Value::Fragments(_) => false,
    })
}

/// How many days of the original were looked for in what leaves.
fn no_date_stays(path: &Path, original: &Dataset, protected: &Dataset) -> usize {
    let mut dates = BTreeSet::new();
    dates_of(original, &mut dates);
    assert_eq!(dated(protected, &dates), Vec::<Tag>::new(), "{path:?}");
    assert_eq!(protected.code(Tag(0x0028, 0x0303)), "MODIFIED");
    dates.len()
}

/// The days that stand in DA and DT at any depth, but those to which others are shifted.
fn dates_of(dataset: &Dataset, dates: &mut BTreeSet<String>) {
    for (_, element) in dataset.iter() {
        match &element.value {
            Value::Items(items) => items.iter().for_each(|item| dates_of(item, dates)),
            Value::Bytes(bytes) if matches!(element.vr, VR::DA | VR::DT) => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                let days = text.split('\\').filter_map(|day| day.get(..8));
                let days = days.filter(|day| day.parse::<u32>().is_ok_and(|it| it > 18_000_000));
                dates.extend(days.map(str::to_owned));
            }
            Value::Bytes(_) | Value::Fragments(_) => {}
        }
    }
    let shifted: Vec<String> = dates.iter().map(|day| thirteen(day)).collect();
    for day in shifted {
        dates.remove(&day);
    }
}

/// A day as the stand of these tests shifts it.
fn thirteen(day: &str) -> String {
    let date = jiff::civil::Date::strptime("%Y%m%d", day);
    let shifted = date.map(|date| date.saturating_sub(jiff::Span::new().days(13)));
    shifted.map_or_else(|_| String::new(), |it| it.strftime("%Y%m%d").to_string())
}

/// The elements that name one of these days. UIDs were accepted, versions of codes and programs are no days of the patient.
fn dated(dataset: &Dataset, dates: &BTreeSet<String>) -> Vec<Tag> {
    let mut found = Vec::new();
    for (tag, element) in dataset.iter() {
        let timeless = matches!(tag, Tag(0x0008, 0x0103) | Tag(0x0018, 0x1020));
        let numbers = matches!(element.vr, VR::UI | VR::DS | VR::OW | VR::AT);
        match &element.value {
            Value::Items(items) => found.extend(items.iter().flat_map(|it| dated(it, dates))),
            Value::Bytes(bytes) if !timeless && !numbers && tag.0 != 0x7FE0 => {
                let there = |day: &String| bytes.windows(8).any(|it| it == day.as_bytes());
                found.extend(dates.iter().any(there).then_some(tag));
            }
            Value::Bytes(_) | Value::Fragments(_) => {}
        }
    }
    found
}

struct Seen {
    reasons: BTreeMap<String, usize>,
    remarks: BTreeMap<String, usize>,
    leaves: usize,
    dates: usize,
}

fn check(path: &Path, options: &Options, seen: &mut Seen) {
    let file = std::fs::read(path).unwrap();
    let (syntax, dataset) = dataset_of(&file);
    let plan = match protect(dataset, &syntax, options) {
        Outcome::Withheld(reason) => {
            *seen.reasons.entry(reason).or_default() += 1;
            return;
        }
        Outcome::Shows(shown) => {
            *seen.reasons.entry(shown.reason).or_default() += 1;
            return;
        }
        Outcome::Unread => panic!("{} cannot be read", path.display()),
        Outcome::Leaves(plan) => plan,
    };
    seen.leaves += 1;
    for remark in &plan.remarks {
        *seen.remarks.entry(remark.clone()).or_default() += 1;
    }
    let out = bytes(&plan, dataset);
    let Outcome::Leaves(again) = protect(dataset, &syntax, options) else {
        panic!("{path:?}: once it leaves, once it does not");
    };
    assert_eq!(again.pieces, plan.pieces, "{path:?}");

    let limits = Limits {
        digest_pixels: true,
        ..Limits::default()
    };
    let before = prescan(dataset, &uid(&syntax), &limits).unwrap();
    let after = prescan(&out[..], &plan.syntax, &limits)
        .unwrap_or_else(|error| panic!("{path:?}: {error}"));
    assert_eq!(before.pixel_digest, after.pixel_digest, "{path:?}");
    assert_eq!(
        (before.study, before.series, before.instance),
        (after.study, after.series, after.instance)
    );
    assert_eq!(after.patient_id.reveal(), stand().patient_id);

    let original = Dataset::read(dataset, &uid(&syntax)).unwrap();
    let protected = Dataset::read(&out, &plan.syntax).unwrap();
    let header_end = after
        .pixel_data
        .map_or(out.len(), |pixels| usize::try_from(pixels.offset).unwrap());
    for identity in own_identity(&original) {
        // five digits stand in every UID: they must be nobody's value
        let digits = identity.chars().all(|c| c.is_ascii_digit()) && identity.len() < 6;
        let found = if digits {
            says(&protected, &identity)
        } else {
            holds(&out[..header_end], &identity)
        };
        assert!(!found, "{path:?} still says who it is");
    }
    if options.modified_dates {
        seen.dates += no_date_stays(path, &original, &protected);
    }
    let back = put_back(protected, &plan.originals);
    for (tag, element) in original.iter() {
        assert!(
            back.get(tag) == Some(element),
            "{path:?}: {tag} does not come back"
        );
    }
    assert!(back == original, "{path:?}: more comes back than was there");
    let boundary: usize = plan.pieces[..plan.seal_at].iter().map(bytes_of).sum();
    let head = Dataset::read(&out[..boundary], &plan.syntax).unwrap();
    assert!(
        head.iter().all(|(tag, _)| tag <= Tag(0x0400, 0x0500)),
        "{path:?}"
    );
}

fn bytes_of(piece: &Piece) -> usize {
    match piece {
        Piece::Bytes(bytes) => bytes.len(),
        Piece::Source(range) | Piece::Blacked(range, _) | Piece::Masked(range) => {
            usize::try_from(range.end - range.start).unwrap()
        }
    }
}

/// Every public object under these options; none when there is none.
fn all(options: &Options) -> Option<Seen> {
    let data = public_data()?;
    let mut seen = Seen {
        reasons: BTreeMap::new(),
        remarks: BTreeMap::new(),
        leaves: 0,
        dates: 0,
    };
    for part in ["studies", "syntaxes", "charsets", "sr"] {
        for path in files(&data.join(part)) {
            check(&path, options, &mut seen);
        }
    }
    println!(
        "{} leave\nwithheld {:#?}\nremarks {:#?}",
        seen.leaves, seen.reasons, seen.remarks
    );
    Some(seen)
}

#[test]
fn every_public_object_leaves_clean_or_stays() {
    let seen = all(&Options::default());
    assert!(seen.is_none_or(|seen| seen.leaves > 300));
}

/// UIDs with a date of the study are let out here, to see everything else.
#[test]
fn no_public_object_names_its_day_where_dates_are_shifted() {
    let seen = all(&shifted());
    assert!(seen.is_none_or(|seen| seen.leaves > 300 && seen.dates > 300));
}

pub(super) fn shifted() -> Options {
    Options {
        modified_dates: true,
        uids: UidRule::Accept,
        ..Options::default()
    }
}

#[test]
fn hostile_objects_get_an_answer() {
    let Some(data) = public_data() else { return };
    for path in files(&data.join("bad")) {
        let file = std::fs::read(&path).unwrap();
        let (syntax, dataset) = dataset_of(&file);
        if syntax.parse::<TransferSyntaxUid>().is_ok() {
            protect(dataset, &syntax, &Options::default());
        }
    }
}

/// What reading needs (P25), by what it is for.
const NEEDED: [(&str, &[(u16, u16)]); 8] = [
    (
        "SUVbw",
        &[
            (0x0008, 0x0021),
            (0x0008, 0x0022),
            (0x0008, 0x0031),
            (0x0008, 0x0032),
            (0x0010, 0x0040),
            (0x0010, 0x1020),
            (0x0010, 0x1030),
            (0x0018, 0x1072),
            (0x0018, 0x1074),
            (0x0018, 0x1075),
            (0x0018, 0x1242),
            (0x0028, 0x0051),
            (0x0054, 0x0016),
            (0x0054, 0x1001),
            (0x0054, 0x1102),
            (0x0054, 0x1300),
            (0x0054, 0x1321),
        ],
    ),
    ("GE b-value", &[(0x0043, 0x1039)]),
    ("Siemens CSA header", &[(0x0029, 0x1010), (0x0029, 0x1020)]),
    (
        "rescale and window",
        &[
            (0x0028, 0x1050),
            (0x0028, 0x1051),
            (0x0028, 0x1052),
            (0x0028, 0x1053),
            (0x0028, 0x1054),
        ],
    ),
    (
        "orientation and place",
        &[
            (0x0018, 0x5100),
            (0x0018, 0x5101),
            (0x0020, 0x0020),
            (0x0020, 0x0032),
            (0x0020, 0x0037),
            (0x0020, 0x0052),
            (0x0054, 0x0220),
        ],
    ),
    (
        "laterality and region",
        &[(0x0008, 0x2218), (0x0020, 0x0060), (0x0020, 0x0062)],
    ),
    (
        "size",
        &[
            (0x0018, 0x0050),
            (0x0018, 0x1164),
            (0x0028, 0x0010),
            (0x0028, 0x0011),
            (0x0028, 0x0030),
        ],
    ),
    (
        "what it is",
        &[
            (0x0008, 0x0060),
            (0x0008, 0x0070),
            (0x0008, 0x1090),
            (0x0020, 0x0013),
            (0x0028, 0x0004),
        ],
    ),
];

/// Every element of this number, at any depth; icons, which nobody reads, are removed.
fn every(dataset: &Dataset, tag: Tag) -> Vec<Element> {
    let mut found = Vec::new();
    for (of, element) in dataset.iter() {
        if of == tag {
            found.push(plain(element));
        }
        let icon = of == Tag(0x0088, 0x0200) || of.0 % 2 == 1;
        if let (Value::Items(items), false) = (&element.value, icon) {
            found.extend(items.iter().flat_map(|item| every(item, tag)));
        }
    }
    found
}

/// Without group lengths, which say nothing.
fn plain(element: &Element) -> Element {
    let Value::Items(items) = &element.value else {
        return element.clone();
    };
    let items = items.iter().map(|item| {
        let said = item.iter().filter(|(tag, _)| tag.1 != 0);
        said.map(|(tag, element)| (tag, plain(element))).collect()
    });
    Element {
        vr: element.vr,
        value: Value::Items(items.collect()),
    }
}

/// P25: equal before and after, wherever it stands; and each of it stands in some object.
#[test]
fn nothing_that_reading_needs_is_removed() {
    let Some(data) = public_data() else { return };
    let mut seen = BTreeMap::new();
    for folder in [
        "petct-siemens-with-dose-sr",
        "mr-epi-phantom-ge",
        "mr-epi-phantom-siemens",
        "mr-enhanced-siemens-xa10",
        "nm-myocardial-siemens",
        "dx-ge-xr220",
        "dx-fuji-veterinary",
        "mg-ge-seno-openrem",
        "mg-ge-screening",
        "cr-chest-nema-rg1",
        "cr-tibia-nema-rg3",
        "ct-head-phantom-philips",
        "ct-tiny-50-headers-only",
    ] {
        for path in files(&data.join("studies").join(folder)) {
            let file = std::fs::read(&path).unwrap();
            let (syntax, dataset) = dataset_of(&file);
            let (plan, out) = leaves(dataset, &syntax, &Options::default());
            let before = Dataset::read(dataset, &uid(&syntax)).unwrap();
            let after = Dataset::read(&out, &plan.syntax).unwrap();
            let numbers = NEEDED.iter().flat_map(|(_, numbers)| numbers.iter());
            for tag in numbers.map(|(group, element)| Tag(*group, *element)) {
                if tag.0 == 0x0029 && before.code(Tag(0x0029, tag.1 >> 8)) != "SIEMENS CSA HEADER" {
                    continue;
                }
                let (before, after) = (every(&before, tag), every(&after, tag));
                // this phantom bears the name of its model
                let namesake = tag == Tag(0x0008, 0x1090) && folder == "dx-ge-xr220";
                assert!(namesake || before == after, "{path:?}: {tag}");
                *seen.entry(tag).or_insert(0) += before.len();
            }
        }
    }
    for (what, numbers) in NEEDED {
        let counts = numbers.iter().map(|(group, element)| {
            let count = seen[&Tag(*group, *element)];
            assert!(count > 0, "({group:04X},{element:04X}) was in no object");
            format!("({group:04X},{element:04X}) {count}")
        });
        println!("{what}: {}", counts.collect::<Vec<_>>().join(", "));
    }
}
