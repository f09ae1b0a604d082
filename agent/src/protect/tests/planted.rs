//! Identifiers in every place and spelling in which they were ever found: none leaves.

use causeway_proto::dataset::Value;
use dicom_core::{Tag, VR};
use encoding_rs::Encoding;

use super::units::slice;
use super::*;

/// Somebody, and how the object writes him.
struct Person {
    set: &'static str,
    encoding: &'static Encoding,
    name: &'static str,
    parts: [&'static str; 2],
}

const PEOPLE: [Person; 5] = [
    Person {
        set: "ISO_IR 100",
        encoding: encoding_rs::WINDOWS_1252,
        name: "Müllerström^Erika",
        parts: ["Müllerström", "Erika"],
    },
    Person {
        set: "ISO_IR 126",
        encoding: encoding_rs::ISO_8859_7,
        name: "Παπαδόπουλος^Διονύσιος",
        parts: ["Παπαδόπουλος", "Διονύσιος"],
    },
    Person {
        set: "ISO_IR 144",
        encoding: encoding_rs::ISO_8859_5,
        name: "Люксембургский^Борис",
        parts: ["Люксембургский", "Борис"],
    },
    Person {
        set: "ISO_IR 192",
        encoding: encoding_rs::UTF_8,
        name: "Kowalczyńska^Żaneta",
        parts: ["Kowalczyńska", "Żaneta"],
    },
    Person {
        set: "GB18030",
        encoding: encoding_rs::GB18030,
        name: "王五^小东",
        parts: ["王五", "小东"],
    },
];
const ID: &str = "PID-7788991";
const ACCESSION: &str = "ACC-556677";

impl Person {
    fn bytes(&self, text: &str) -> Vec<u8> {
        self.encoding.encode(text).0.into_owned()
    }

    /// Every form in which a part of the name may stand.
    fn forms(&self, part: &str) -> Vec<String> {
        vec![part.to_owned(), part.to_uppercase(), part.to_lowercase()]
    }
}

fn utf16(text: &str, big: bool) -> Vec<u8> {
    let bytes = |unit: u16| {
        if big {
            unit.to_be_bytes()
        } else {
            unit.to_le_bytes()
        }
    };
    text.encode_utf16().flat_map(bytes).collect()
}

fn even(mut bytes: Vec<u8>, pad: u8) -> Vec<u8> {
    if bytes.len() % 2 == 1 {
        bytes.push(pad);
    }
    bytes
}

/// A slice with the person in more than forty places.
fn planted(person: &Person) -> Dataset {
    let mut dataset = slice();
    let [family, given] = person.parts;
    let mut text = |group, element, vr, text: &str| {
        dataset.put(
            Tag(group, element),
            vr,
            Value::Bytes(even(person.bytes(text), b' ')),
        );
    };
    text(0x0008, 0x0005, VR::CS, person.set);
    text(0x0010, 0x0010, VR::PN, person.name);
    text(0x0008, 0x103E, VR::LO, &format!("CT {family}"));
    text(
        0x0008,
        0x1030,
        VR::LO,
        &format!("{} {}", given.to_uppercase(), family.to_uppercase()),
    );
    text(0x0018, 0x1030, VR::LO, &format!("{family}_{given}_5mm"));
    text(0x0018, 0x0015, VR::CS, family);
    text(
        0x0020,
        0x4000,
        VR::LT,
        &format!("seen: {family}, {given} ({ID}, {ACCESSION})\r\nborn 15.05.1962"),
    );
    text(
        0x0040,
        0x0254,
        VR::LO,
        &format!("for {}", family.to_lowercase()),
    );
    text(0x0028, 0x1055, VR::LO, &format!("{family}=x"));
    text(0x0032, 0x1060, VR::LO, &format!("{family}'s CT"));
    text(0x0010, 0x4000, VR::LT, family);
    text(0x0010, 0x1000, VR::LO, "OTHER-12345");
    text(
        0x0010,
        0x21B0,
        VR::LT,
        &format!("known as {family} OTHER-12345"),
    );
    text(
        0x0008,
        0x2111,
        VR::ST,
        &format!("made for {given} {family}"),
    );
    text(0x0008, 0x0090, VR::PN, "Referrer^Rudolf");
    text(0x0018, 0x4000, VR::LT, "asked by Referrer");
    more(&mut dataset, person);
    dataset
}

/// In private elements, bytes, sequences, graphics and content items.
fn more(dataset: &mut Dataset, person: &Person) {
    let [family, _] = person.parts;
    let mut text = |group, element, vr, text: &str| {
        dataset.put(
            Tag(group, element),
            vr,
            Value::Bytes(even(person.bytes(text), b' ')),
        );
    };
    text(0x0009, 0x0010, VR::LO, "ACME 1.0");
    text(0x0009, 0x1001, VR::LO, person.name);
    text(0x0019, 0x0010, VR::LO, "SIEMENS MR HEADER");
    text(0x0019, 0x100D, VR::CS, family);
    text(0x0029, 0x0010, VR::LO, "SIEMENS CSA HEADER");
    let blob = [
        b"SV10\x04\x03\x02\x01".to_vec(),
        person.bytes(family),
        utf16(family, false),
        utf16(family, true),
        family.as_bytes().to_vec(),
        ID.to_ascii_lowercase().into_bytes(),
    ];
    dataset.put(
        Tag(0x0029, 0x1010),
        VR::OB,
        Value::Bytes(even(blob.join(&0), 0)),
    );
    dataset.put(
        Tag(0x0028, 0x2000),
        VR::OB,
        Value::Bytes(even(utf16(family, false), 0)),
    );
    dataset.put(
        Tag(0x0054, 0x0400),
        VR::UN,
        Value::Bytes(even(person.bytes(family), 0)),
    );
    dataset.put_items(Tag(0x0008, 0x1140), vec![nested(person, 5)]);
    dataset.put_items(
        Tag(0x0040, 0x0275),
        vec![nested(person, 1), nested(person, 2)],
    );
    dataset.put_items(Tag(0x0088, 0x0200), vec![nested(person, 1)]);
    dataset.put_items(Tag(0x0070, 0x0001), vec![graphic(person)]);
    dataset.put(
        Tag(0x5000, 0x3000),
        VR::OW,
        Value::Bytes(even(person.bytes(family), 0)),
    );
    dataset.put(Tag(0x6000, 0x3000), VR::OW, Value::Bytes(vec![0xFF; 32]));
    dataset.put(
        Tag(0x6000, 0x1500),
        VR::LO,
        Value::Bytes(even(person.bytes(family), b' ')),
    );
    dataset.put_items(Tag(0x0040, 0xA730), content(person));
}

fn nested(person: &Person, depth: usize) -> Dataset {
    let mut item = Dataset::new();
    let [family, given] = person.parts;
    let mut text = |group, element, vr, text: &str| {
        item.put(
            Tag(group, element),
            vr,
            Value::Bytes(even(person.bytes(text), b' ')),
        );
    };
    text(0x0008, 0x0050, VR::SH, ACCESSION);
    text(0x0008, 0x1155, VR::UI, "1.2.3.4.5\0");
    text(0x0010, 0x0010, VR::PN, person.name);
    text(0x0010, 0x0020, VR::LO, ID);
    text(0x0040, 0x0007, VR::LO, &format!("{given} {family}: CT"));
    text(0x0041, 0x0010, VR::LO, "ACME 1.0");
    text(0x0041, 0x1001, VR::UT, family);
    if depth > 0 {
        item.put_items(Tag(0x0040, 0x0275), vec![nested(person, depth - 1)]);
    }
    item
}

fn graphic(person: &Person) -> Dataset {
    let mut label = Dataset::new();
    let text = person.bytes(&format!("L {}", person.parts[0]));
    label.put(Tag(0x0070, 0x0006), VR::ST, Value::Bytes(even(text, b' ')));
    let mut item = Dataset::new();
    item.put_items(Tag(0x0070, 0x0008), vec![label]);
    item
}

fn content(person: &Person) -> Vec<Dataset> {
    let item = |code: &str, kind: &str, tag: Tag, vr: VR, value: Vec<u8>| {
        let mut concept = Dataset::new();
        concept.put_text(Tag(0x0008, 0x0100), VR::SH, code);
        concept.put_text(Tag(0x0008, 0x0102), VR::SH, "DCM");
        let mut item = Dataset::new();
        item.put_text(Tag(0x0040, 0xA040), VR::CS, kind);
        item.put_items(Tag(0x0040, 0xA043), vec![concept]);
        item.put(tag, vr, Value::Bytes(even(value, b' ')));
        item
    };
    let text = Tag(0x0040, 0xA160);
    let said = person.bytes(&format!(
        "No change. {} {} is well.",
        person.parts[1], person.parts[0]
    ));
    let mut container = item("121070", "CONTAINER", text, VR::UT, said.clone());
    container.put_items(
        Tag(0x0040, 0xA730),
        vec![item("121071", "TEXT", text, VR::UT, said)],
    );
    vec![
        container,
        item(
            "121029",
            "PNAME",
            Tag(0x0040, 0xA123),
            VR::PN,
            person.bytes(person.name),
        ),
        item("121030", "TEXT", text, VR::UT, b"SOME-OTHER-ID".to_vec()),
        item(
            "121031",
            "DATE",
            Tag(0x0040, 0xA121),
            VR::DA,
            b"19620515".to_vec(),
        ),
        item(
            "111060",
            "DATE",
            Tag(0x0040, 0xA121),
            VR::DA,
            b"20260102".to_vec(),
        ),
    ]
}

fn assert_silent(person: &Person, out: &[u8]) {
    let mut needles: Vec<Vec<u8>> = Vec::new();
    for part in person.parts {
        for form in person.forms(part) {
            needles.extend([
                form.clone().into_bytes(),
                utf16(&form, false),
                utf16(&form, true),
                person.bytes(&form),
            ]);
        }
    }
    for word in [
        ID,
        "7788991",
        ACCESSION,
        "556677",
        "OTHER-12345",
        "19620515",
        "15.05.1962",
        "SOME-OTHER-ID",
        "Referrer",
        "ACME",
    ] {
        needles.extend([
            word.as_bytes().to_vec(),
            word.to_lowercase().into_bytes(),
            utf16(word, false),
        ]);
    }
    for needle in needles {
        let at = out
            .windows(needle.len())
            .position(|window| window == &needle[..]);
        assert!(
            at.is_none(),
            "{}: {:?} at {at:?}",
            person.set,
            String::from_utf8_lossy(&needle)
        );
    }
}

#[test]
fn planted_identifiers_are_not_in_what_leaves() {
    for person in &PEOPLE {
        let dataset = planted(person);
        let received = dataset.write();
        let (plan, out) = leaves(&received, EXPLICIT, &Options::default());
        assert_silent(person, &out);
        let protected = Dataset::read(&out, &plan.syntax).unwrap();
        let set = protected.character_set();
        assert_eq!(
            protected.text(Tag(0x0008, 0x103E), &set),
            "CT [removed]",
            "{}",
            person.set
        );
        assert_eq!(protected.text(Tag(0x0008, 0x1030), &set), "[removed]");
        let items = protected.items(Tag(0x0040, 0xA730));
        assert_eq!(
            items[0].items(Tag(0x0040, 0xA730))[0].text(Tag(0x0040, 0xA160), &set),
            "No change. [removed] is well."
        );
        assert_eq!(items[4].code(Tag(0x0040, 0xA121)), "20260102");
        for remark in [
            "1 overlay removed at the site",
            "1 curve removed at the site",
            "1 icon image removed at the site",
        ] {
            assert!(
                plan.remarks.iter().any(|told| told == remark),
                "{remark}: {:?}",
                plan.remarks
            );
        }
        // the header of a vendor stays as long as it was
        assert_eq!(
            protected.bytes(Tag(0x0029, 0x1010)).len(),
            dataset.bytes(Tag(0x0029, 0x1010)).len()
        );
        let original = Dataset::read(&received, &uid(EXPLICIT)).unwrap();
        assert!(
            put_back(protected, &plan.originals) == original,
            "{}",
            person.set
        );
    }
}

#[test]
fn japanese_names_go_and_the_words_around_them_stay() {
    let mut dataset = slice();
    let put = |dataset: &mut Dataset, group, element, vr, bytes: &[u8]| {
        dataset.put(
            Tag(group, element),
            vr,
            Value::Bytes(even(bytes.to_vec(), b' ')),
        );
    };
    put(&mut dataset, 0x0008, 0x0005, VR::CS, b"\\ISO 2022 IR 87");
    let name =
        b"Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B=\x1B$B$d$^$@\x1B(B^\x1B$B$?$m$&\x1B(B";
    put(&mut dataset, 0x0010, 0x0010, VR::PN, name);
    put(
        &mut dataset,
        0x0020,
        0x4000,
        VR::LT,
        b"\x1B$B;3ED$5$s\x1B(B CT",
    );
    put(&mut dataset, 0x0008, 0x103E, VR::LO, b"TAROU YAMADA 5mm");
    put(&mut dataset, 0x0008, 0x1030, VR::LO, b"\x1B$B%d%^%@\x1B(B");
    let (plan, out) = leaves(&dataset.write(), EXPLICIT, &Options::default());
    let protected = Dataset::read(&out, &plan.syntax).unwrap();
    let set = protected.character_set();
    assert_eq!(
        protected.text(Tag(0x0020, 0x4000), &set),
        "[removed]\u{3055}\u{3093} CT"
    );
    assert_eq!(protected.text(Tag(0x0008, 0x103E), &set), "[removed] 5mm");
    assert_eq!(protected.text(Tag(0x0008, 0x1030), &set), "[removed]");
    for needle in [
        &b";3ED"[..],
        b"B@O:",
        b"Yamada",
        b"YAMADA",
        "山田".as_bytes(),
    ] {
        assert!(!out.windows(needle.len()).any(|window| window == needle));
    }
    assert!(put_back(protected, &plan.originals) == dataset);
}

#[test]
fn implicit_datasets_are_protected_alike() {
    for person in &PEOPLE {
        let received = implicit(&planted(person));
        let (plan, out) = leaves(&received, IMPLICIT, &Options::default());
        assert_silent(person, &out);
        let original = Dataset::read(&received, &uid(IMPLICIT)).unwrap();
        let protected = Dataset::read(&out, &plan.syntax).unwrap();
        assert!(
            put_back(protected, &plan.originals) == original,
            "{}",
            person.set
        );
    }
}

/// A dataset in implicit VR little endian.
fn implicit(dataset: &Dataset) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |tag: Tag, value: &[u8]| {
        out.extend(tag.0.to_le_bytes());
        out.extend(tag.1.to_le_bytes());
        out.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        out.extend(value);
    };
    for (tag, element) in dataset.iter() {
        match &element.value {
            Value::Bytes(bytes) => put(tag, bytes),
            Value::Items(items) => {
                let items: Vec<u8> = items
                    .iter()
                    .flat_map(|item| {
                        let inner = implicit(item);
                        let length = u32::try_from(inner.len()).unwrap();
                        [&[0xFE, 0xFF, 0x00, 0xE0], &length.to_le_bytes()[..], &inner].concat()
                    })
                    .collect();
                put(tag, &items);
            }
            Value::Fragments(_) => {}
        }
    }
    out
}

#[test]
fn a_sequence_stored_as_unknown_is_looked_into() {
    let person = &PEOPLE[0];
    let mut dataset = planted(person);
    let mut hidden = Dataset::new();
    hidden.put_items(Tag(0x0008, 0x1140), vec![nested(person, 2)]);
    let value = implicit(&hidden).split_off(8);
    dataset.put(Tag(0x0008, 0x1140), VR::UN, Value::Bytes(value));
    let received = dataset.write();
    let (plan, out) = leaves(&received, EXPLICIT, &Options::default());
    assert_silent(person, &out);
    let original = Dataset::read(&received, &uid(EXPLICIT)).unwrap();
    let protected = Dataset::read(&out, &plan.syntax).unwrap();
    assert_eq!(protected.items(Tag(0x0008, 0x1140)).len(), 1);
    assert!(put_back(protected, &plan.originals) == original);
}
