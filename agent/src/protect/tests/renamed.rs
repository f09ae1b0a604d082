//! No UID of the site leaves where UIDs are replaced: values, items, texts, bytes; and everything comes back.

use causeway_proto::dataset::Value;
use dicom_core::{Tag, VR};

use super::units::slice;
use super::*;
use crate::protect::{profile, table};

const HOME: &str = "1.3.12.2.1107.5.1.4";

fn replacing() -> Options {
    Options {
        uids: UidRule::Replace,
        ..Options::default()
    }
}

fn home(number: u32) -> String {
    format!("{HOME}.{number}")
}

fn said(number: u32) -> String {
    other(&home(number)).unwrap()
}

/// A slice that names others in every place that there is.
fn full() -> Dataset {
    let mut dataset = slice();
    let put = |dataset: &mut Dataset, tag: (u16, u16), vr, text: &str| {
        dataset.put_text(Tag(tag.0, tag.1), vr, text);
    };
    put(&mut dataset, (0x0008, 0x0018), VR::UI, &home(1));
    put(&mut dataset, (0x0020, 0x000D), VR::UI, &home(2));
    put(&mut dataset, (0x0020, 0x000E), VR::UI, &home(3));
    put(&mut dataset, (0x0020, 0x0052), VR::UI, &home(4));
    // its ID in a UID withholds it no more
    put(
        &mut dataset,
        (0x0008, 0x1195),
        VR::UI,
        &format!("{HOME}.7788991"),
    );
    put(
        &mut dataset,
        (0x0020, 0x0200),
        VR::UI,
        "1.2.840.10008.15.1.1",
    );
    put(&mut dataset, (0x0008, 0x0019), VR::UI, &home(5));
    put(
        &mut dataset,
        (0x0008, 0x010C),
        VR::UI,
        "1.2.276.0.7230010.3.0.0",
    );
    put(
        &mut dataset,
        (0x0008, 0x103E),
        VR::LO,
        &format!("of {}", home(6)),
    );
    put(
        &mut dataset,
        (0x0020, 0x4000),
        VR::LT,
        &format!("see {} and {}", home(2), home(7)),
    );
    let mut item = Dataset::new();
    put(&mut item, (0x0008, 0x1150), VR::UI, "1.2.276.0.7230010.1");
    put(
        &mut item,
        (0x0008, 0x1155),
        VR::UI,
        &format!("{}\\{}", home(1), home(8)),
    );
    let mut outer = Dataset::new();
    outer.put_items(Tag(0x0008, 0x1199), vec![item]);
    dataset.put_items(Tag(0x0008, 0x1115), vec![outer.clone()]);
    dataset.put_items(
        Tag(0x0008, 0x1140),
        outer.items(Tag(0x0008, 0x1199)).to_vec(),
    );
    dataset.put_text(Tag(0x0029, 0x0010), VR::LO, "SIEMENS CSA HEADER");
    let csa = [&[1, 0, 2][..], home(9).as_bytes(), &[0, 9, 9]].concat();
    dataset.put(Tag(0x0029, 0x1010), VR::OB, Value::Bytes(csa));
    dataset.put_text(Tag(0x0029, 0x1008), VR::UI, &home(10));
    dataset
}

#[test]
fn no_uid_of_the_site_is_left_and_all_come_back() {
    for syntax in [EXPLICIT, IMPLICIT] {
        let received = full();
        let bytes = if syntax == EXPLICIT {
            received.write()
        } else {
            implicit(&received)
        };
        let (plan, out) = leaves(&bytes, syntax, &replacing());
        let left = out.windows(HOME.len()).position(|it| it == HOME.as_bytes());
        let about = left.map(|at| String::from_utf8_lossy(&out[at.saturating_sub(16)..at + 24]));
        assert_eq!(about, None, "{syntax}: a UID of the site is left");
        let protected = Dataset::read(&out, &plan.syntax).unwrap();
        let code = |group, element| protected.code(Tag(group, element));
        assert_eq!(code(0x0008, 0x0018), said(1));
        assert_eq!(code(0x0020, 0x000D), said(2));
        assert_eq!(code(0x0020, 0x000E), said(3));
        assert_eq!(code(0x0020, 0x0052), said(4));
        assert_eq!(code(0x0008, 0x0016), "1.2.840.10008.5.1.4.1.1.2");
        assert_eq!(code(0x0020, 0x0200), "1.2.840.10008.15.1.1");
        assert_eq!(code(0x0008, 0x010C), "1.2.276.0.7230010.3.0.0");
        assert_eq!(code(0x0008, 0x103E), format!("of {}", said(6)));
        let references = &protected.items(Tag(0x0008, 0x1140))[0];
        assert_eq!(
            references.code(Tag(0x0008, 0x1155)),
            format!("{}\\{}", said(1), said(8)),
            "references lead to what leaves"
        );
        assert_eq!(references.code(Tag(0x0008, 0x1150)), "1.2.276.0.7230010.1");
        let methods = protected.items(Tag(0x0012, 0x0064));
        let methods: Vec<_> = methods
            .iter()
            .map(|it| it.code(Tag(0x0008, 0x0100)))
            .collect();
        assert!(!methods.contains(&"113110".to_owned()), "{methods:?}");
        assert_eq!(plan.uids.get(&home(2)), Some(&said(2)));
        let original = Dataset::read(&bytes, &uid(syntax)).unwrap();
        assert!(put_back(protected, &plan.originals) == original, "{syntax}");
    }
}

#[test]
fn one_uid_is_the_same_everywhere_and_the_keys_are_asked_once_for_each() {
    let bytes = full().write();
    let (plan, _) = leaves(&bytes, EXPLICIT, &replacing());
    let (again, _) = leaves(&bytes, EXPLICIT, &replacing());
    assert_eq!(plan.uids, again.uids);
    assert_eq!(plan.uids.len(), 10, "{:?}", plan.uids);
}

#[test]
fn without_its_keys_nothing_leaves() {
    let bytes = full().write();
    let syntax = uid(EXPLICIT);
    let mut source = Cursor::new(&bytes);
    let ids = identifiers(&mut source, &syntax).unwrap();
    let none = |_: &str| None;
    let stand = Stand {
        uid: &none,
        ..stand()
    };
    let options = replacing();
    let out = transform(
        &mut source,
        bytes.len() as u64,
        &syntax,
        &ids,
        &stand,
        &options,
    );
    assert!(matches!(out, Outcome::Withheld(_)), "{out:?}");
}

#[test]
fn a_uid_in_the_comment_of_a_coded_frame_withholds_it() {
    let comment = [
        b"\xFF\xD8\xFF\xFE\x00\x1C".as_slice(),
        b"made of 1.3.12.2.1107.5.1.",
    ]
    .concat();
    let frame = [comment, b"\xFF\xDA\x00\x02\xFF\xD9".to_vec()].concat();
    let mut dataset = slice();
    dataset.remove(Tag(0x7FE0, 0x0010));
    let value = Value::Fragments(vec![Vec::new(), frame]);
    dataset.put(Tag(0x7FE0, 0x0010), VR::OB, value);
    let reason = reason(&dataset.write(), &replacing());
    assert!(reason.contains("comment"), "{reason}");
}

/// What Retain UIDs keeps is kept no more: of every row of the table that the option changes.
#[test]
fn the_table_decides_with_the_option_off() {
    let (on, off) = (Options::default(), replacing());
    let mut removed = 0;
    for number in table::tags() {
        let tag = Tag(
            u16::try_from(number >> 16).unwrap(),
            u16::try_from(number & 0xFFFF).unwrap(),
        );
        let row = table::row(tag).unwrap();
        let [with, without] = [&on, &off].map(|it| profile::action(tag, VR::UI, it));
        if !row.options.contains('u') {
            assert_eq!(with, without, "{number:08X}");
        } else if !matches!(row.basic, table::Basic::U | table::Basic::Xzu) {
            assert_ne!(without, profile::Action::Keep, "{number:08X}");
            removed += 1;
        }
    }
    println!("{removed} attributes go without Retain UIDs");
}

/// The dataset in implicit VR, as a sender of that syntax writes it.
fn implicit(dataset: &Dataset) -> Vec<u8> {
    let mut out = Vec::new();
    for (tag, element) in dataset.iter() {
        let value = match &element.value {
            Value::Bytes(bytes) => bytes.clone(),
            Value::Items(items) => items
                .iter()
                .flat_map(|item| {
                    let inner = implicit(item);
                    let length = u32::try_from(inner.len()).unwrap().to_le_bytes();
                    [b"\xFE\xFF\x00\xE0".to_vec(), length.to_vec(), inner].concat()
                })
                .collect(),
            Value::Fragments(_) => panic!("coded pixels in implicit VR"),
        };
        out.extend(tag.0.to_le_bytes());
        out.extend(tag.1.to_le_bytes());
        out.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        out.extend(value);
    }
    out
}
