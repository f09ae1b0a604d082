//! Ways out that were found by reading: each has its test.

use causeway_proto::dataset::Value;
use dicom_core::{Tag, VR};

use super::masked::BY;
use super::units::slice;
use super::worker::{leaving, protector, pseudonymous};
use super::*;
use crate::spool::tests::{Bench, What};
use crate::spool::{view, withheld};

/// What leaves of a slice, and whether it comes back whole.
fn out(dataset: &Dataset) -> (Plan, Dataset) {
    let received = dataset.write();
    let (plan, out) = leaves(&received, EXPLICIT, &Options::default());
    let protected = Dataset::read(&out, &plan.syntax).unwrap();
    let original = Dataset::read(&received, &uid(EXPLICIT)).unwrap();
    assert!(put_back(protected.clone(), &plan.originals) == original);
    (plan, protected)
}

fn text(dataset: &Dataset, group: u16, element: u16) -> String {
    let set = dataset.character_set();
    dataset.text(Tag(group, element), &set)
}

fn named(name: &str) -> Dataset {
    let mut dataset = slice();
    dataset.put_text(Tag(0x0010, 0x0010), VR::PN, name);
    dataset
}

#[test]
fn dates_of_birth_and_death_in_other_calendars_go() {
    let mut dataset = slice();
    dataset.put_text(Tag(0x0010, 0x0033), VR::LO, "1374/08/26");
    dataset.put_text(Tag(0x0010, 0x0034), VR::LO, "1440/01/01");
    dataset.put_text(Tag(0x0010, 0x0035), VR::CS, "HIJRI");
    let (_, protected) = out(&dataset);
    for element in [0x33, 0x34, 0x35] {
        assert!(protected.get(Tag(0x0010, element)).is_none(), "{element:x}");
    }
}

#[test]
fn a_birth_date_with_points_is_the_same_date() {
    let mut dataset = slice();
    dataset.put_text(Tag(0x0010, 0x0030), VR::DA, "1955.11.17");
    dataset.put_text(Tag(0x0008, 0x002A), VR::DT, "19551117101010");
    dataset.put_text(Tag(0x0020, 0x4000), VR::LT, "born 17.11.1955 at home");
    let (_, protected) = out(&dataset);
    assert_eq!(text(&protected, 0x0008, 0x002A), "");
    assert_eq!(text(&protected, 0x0020, 0x4000), "born [removed] at home");
    let mut same = slice();
    same.put_text(Tag(0x0010, 0x0030), VR::DA, "19551117");
    same.put_text(Tag(0x0018, 0x9074), VR::DT, "1955.11.17");
    let (_, protected) = out(&same);
    assert_eq!(text(&protected, 0x0018, 0x9074), "");
}

#[test]
fn names_of_two_letters_are_found_as_they_are_written() {
    for (name, note) in [
        ("Li^Na", "for Li Na today"),
        ("Ng^An", "seen: An, Ng today"),
        ("Wu^Yi", "WU^YI today"),
        ("Wu^Yi", "WU, YI today"),
    ] {
        let mut dataset = named(name);
        dataset.put_text(Tag(0x0020, 0x4000), VR::LT, note);
        dataset.put_text(Tag(0x0029, 0x0010), VR::LO, "SIEMENS CSA HEADER");
        let blob = format!("SV10{name}~~");
        dataset.put(
            Tag(0x0029, 0x1010),
            VR::OB,
            Value::Bytes(blob.clone().into_bytes()),
        );
        let (_, protected) = out(&dataset);
        let said = text(&protected, 0x0020, 0x4000);
        assert!(
            said.contains("[removed]") && said.ends_with(" today"),
            "{name}: {said}"
        );
        assert!(!said.to_lowercase().contains(&name[3..].to_lowercase()));
        let left = protected.bytes(Tag(0x0029, 0x1010));
        assert!(!left.windows(name.len()).any(|w| w == name.as_bytes()));
    }
    // the letters alone are no name
    let mut dataset = named("Li^Na");
    dataset.put_text(Tag(0x0020, 0x4000), VR::LT, "Na and Li measured");
    assert_eq!(text(&out(&dataset).1, 0x0020, 0x4000), "Na and Li measured");
}

#[test]
fn a_voice_stays_until_a_person_has_heard_it() {
    for class in [
        "1.2.840.10008.5.1.4.1.1.9.4.1",
        "1.2.840.10008.5.1.4.1.1.9.4.2",
    ] {
        let mut dataset = slice();
        dataset.remove(Tag(0x7FE0, 0x0010));
        dataset.put_text(Tag(0x0008, 0x0016), VR::UI, class);
        let mut wave = Dataset::new();
        wave.put(Tag(0x5400, 0x1010), VR::OB, Value::Bytes(vec![0x7F; 64]));
        dataset.put_items(Tag(0x5400, 0x0100), vec![wave]);
        let received = dataset.write();
        assert_eq!(
            reason(&received, &Options::default()),
            "a voice recording may say who the patient is"
        );
        let released = Options {
            released: true,
            ..Options::default()
        };
        assert_eq!(reason(&received, &released), "leaves");
    }
}

#[test]
fn an_object_of_a_crowd_stays_and_one_of_a_department_leaves() {
    let with = |count: usize| {
        let mut dataset = slice();
        let letters: Vec<char> = "αβγδεζηθικλμνξοπ".chars().collect();
        let items = (0..count).map(|n| {
            let (a, b) = (letters[n % 16], letters[n / 16]);
            let mut item = Dataset::new();
            let name = format!(
                "Π{a}{b}απαδόπουλος Θεοδω{a}ρόπουλος^Κων{b}σταντίνος {a}Δημή{b}τριος^Ευάγγελος{a}{b} Χρήστος"
            );
            let name = Value::Bytes(name.into_bytes());
            item.put(Tag(0x0040, 0xA123), VR::PN, name);
            item
        });
        dataset.put_text(Tag(0x0008, 0x0005), VR::CS, "ISO_IR 192");
        dataset.put_items(Tag(0x0040, 0xA073), items.collect());
        reason(&dataset.write(), &Options::default())
    };
    assert_eq!(with(12), "leaves");
    assert_eq!(with(200), "names more persons than can be looked for");
}

#[test]
fn the_patient_is_looked_for_however_often_others_stand_before() {
    let with = |order: fn(usize) -> String| {
        let mut dataset = slice();
        let items = (0..250).map(|n| {
            let mut item = Dataset::new();
            item.put_text(Tag(0x0008, 0x0050), VR::SH, &order(n));
            item.put_text(Tag(0x0008, 0x0090), VR::PN, "Observer^One");
            item
        });
        dataset.put_items(Tag(0x0008, 0x1110), items.collect());
        let note = "see PID-7788991 of Mustermann";
        dataset.put_text(Tag(0x0020, 0x4000), VR::LT, note);
        dataset
    };
    let (_, protected) = out(&with(|_| "ORDER77".to_owned()));
    assert_eq!(
        text(&protected, 0x0020, 0x4000),
        "see [removed] of [removed]"
    );
    let crowd = with(|n| format!("ORDER{n}")).write();
    assert_eq!(
        reason(&crowd, &Options::default()),
        "names more persons than can be looked for"
    );
}

#[test]
fn names_in_escapes_go_from_private_bytes() {
    let mut dataset = slice();
    let put = |dataset: &mut Dataset, group, element, vr, bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(2), b' ');
        dataset.put(Tag(group, element), vr, Value::Bytes(bytes));
    };
    put(&mut dataset, 0x0008, 0x0005, VR::CS, b"\\ISO 2022 IR 87");
    put(
        &mut dataset,
        0x0010,
        0x0010,
        VR::PN,
        b"Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B=\x1B$B$d$^$@\x1B(B^\x1B$B$?$m$&\x1B(B",
    );
    put(&mut dataset, 0x0029, 0x0010, VR::LO, b"SIEMENS CSA HEADER");
    let blob = b"SV10\0\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B\0\x1B$B$d$^$@\x1B(B\0 1.25 CT 12";
    put(&mut dataset, 0x0029, 0x1010, VR::OB, blob);
    let (_, protected) = out(&dataset);
    let left = protected.bytes(Tag(0x0029, 0x1010));
    for needle in [&b";3ED"[..], b"B@O:", b"$d$^$@"] {
        assert!(!left.windows(needle.len()).any(|window| window == needle));
    }
    assert!(left.trim_ascii_end().ends_with(b" 1.25 CT 12"));

    // the object writes its name in UTF-8, the vendor in escapes
    let mut dataset = slice();
    put(&mut dataset, 0x0008, 0x0005, VR::CS, b"ISO_IR 192");
    let name = "Yamada^Tarou=山田^太郎".as_bytes();
    put(&mut dataset, 0x0010, 0x0010, VR::PN, name);
    put(&mut dataset, 0x0029, 0x0010, VR::LO, b"SIEMENS CSA HEADER");
    put(&mut dataset, 0x0029, 0x1010, VR::OB, blob);
    let (_, protected) = out(&dataset);
    let left = protected.bytes(Tag(0x0029, 0x1010));
    for needle in [&b";3ED"[..], b"B@O:"] {
        assert!(!left.windows(needle.len()).any(|window| window == needle));
    }
}

#[test]
fn a_name_in_private_words_goes_and_numbers_stay() {
    for vr in [VR::OW, VR::OF, VR::US, VR::UL] {
        let mut dataset = slice();
        dataset.put_text(Tag(0x0029, 0x0010), VR::LO, "SIEMENS CSA HEADER");
        let value = b"SV10Mustermann^Erika....".to_vec();
        dataset.put(Tag(0x0029, 0x1010), vr, Value::Bytes(value));
        let numbers: Vec<u8> = (0..64_u16).flat_map(|n| (n * 997).to_le_bytes()).collect();
        dataset.put(Tag(0x0029, 0x1020), vr, Value::Bytes(numbers.clone()));
        let (_, protected) = out(&dataset);
        let left = protected.bytes(Tag(0x0029, 0x1010));
        assert!(!left.windows(10).any(|w| w == b"Mustermann"), "{vr:?}");
        assert_eq!(protected.bytes(Tag(0x0029, 0x1020)), numbers);
    }
}

#[test]
fn pictures_inside_sequences_go_with_a_remark() {
    let mut dataset = slice();
    let mut item = Dataset::new();
    item.put_text(Tag(0x0008, 0x1155), VR::UI, "1.2.3.9");
    item.put(Tag(0x7FE0, 0x0010), VR::OW, Value::Bytes(vec![9; 64]));
    dataset.put_items(Tag(0x0008, 0x1140), vec![item]);
    let (plan, protected) = out(&dataset);
    let left = &protected.items(Tag(0x0008, 0x1140))[0];
    assert!(left.get(Tag(0x7FE0, 0x0010)).is_none());
    assert_eq!(left.code(Tag(0x0008, 0x1155)), "1.2.3.9");
    assert!(protected.get(Tag(0x7FE0, 0x0010)).is_some());
    let told = "1 image inside a sequence removed at the site";
    assert!(
        plan.remarks.iter().any(|it| it == told),
        "{:?}",
        plan.remarks
    );
}

#[test]
fn a_number_among_numbers_is_found() {
    let mut dataset = slice();
    dataset.put_text(Tag(0x0010, 0x0020), VR::LO, "4711000");
    dataset.put_text(Tag(0x0028, 0x0009), VR::IS, "1\\4711000");
    dataset.put_text(Tag(0x0018, 0x1310), VR::IS, "1\\4711001");
    dataset.put_text(Tag(0x0018, 0x0050), VR::DS, "4711000");
    let (_, protected) = out(&dataset);
    assert_eq!(protected.code(Tag(0x0028, 0x0009)), "");
    assert_eq!(protected.code(Tag(0x0018, 0x0050)), "");
    assert_eq!(protected.code(Tag(0x0018, 0x1310)), "1\\4711001");
}

/// A CT object as it is received, of a patient who was born on 1955-11-17.
pub(super) fn object(study: &str, instance: &str, patient: &str) -> Dataset {
    let mut it = slice();
    for (tag, vr, text) in [
        ((0x0008, 0x0018), VR::UI, instance),
        ((0x0010, 0x0010), VR::PN, "Blomqvist^Zoe"),
        ((0x0010, 0x0020), VR::LO, patient),
        ((0x0010, 0x0030), VR::DA, "19551117"),
        ((0x0020, 0x000D), VR::UI, study),
        ((0x0020, 0x000E), VR::UI, "1.2.3.4"),
        ((0x0028, 0x0004), VR::CS, "MONOCHROME2"),
    ] {
        it.put_text(Tag(tag.0, tag.1), vr, text);
    }
    it
}

async fn store(bench: &Bench, study: &str, instance: &'static str, dataset: &Dataset) {
    let what = What {
        patient: "HOSP884213",
        ..What::image(study, instance)
    };
    let bytes = dataset.write();
    bench.store(&what.with_bytes(&bytes)).await.unwrap();
}

#[tokio::test]
async fn a_study_uid_with_the_patients_number_is_said_to_nobody() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    for (study, instance) in [
        ("1.2.884213.1", "1.2.1.1"),
        ("1.2.19551117.7", "1.2.1.2"),
        ("1.2.7", "1.2.1.3"),
    ] {
        store(
            &bench,
            study,
            instance,
            &object(study, instance, "HOSP884213"),
        )
        .await;
    }
    let open = bench.spool.studies_to_open().await.unwrap();
    assert!(open.is_empty(), "nothing is said before it is decided");
    protector(&bench).await;
    let open = bench.spool.studies_to_open().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].open.study.as_str(), "1.2.7");
    assert_eq!(leaving(&bench).await.len(), 1);
}

#[tokio::test]
async fn a_study_of_which_everything_stays_is_said_all_the_same() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    let mut it = object("1.2.8", "1.2.8.1", "HOSP884213");
    it.put_text(Tag(0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.6.1");
    store(&bench, "1.2.8", "1.2.8.1", &it).await;
    protector(&bench).await;
    assert!(leaving(&bench).await.is_empty());
    let open = bench.spool.studies_to_open().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].progress.at_site, open[0].progress.held), (1, 1));
}

#[tokio::test]
async fn nothing_else_is_said_of_such_a_study_until_a_person_releases_it() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    let study = "1.2.19551117.7";
    store(
        &bench,
        study,
        "1.2.1.1",
        &object(study, "1.2.1.1", "HOSP884213"),
    )
    .await;
    protector(&bench).await;
    // what does not state the date of birth knows nothing of it
    let mut second = object(study, "1.2.1.2", "HOSP884213");
    second.remove(Tag(0x0010, 0x0030));
    store(&bench, study, "1.2.1.2", &second).await;
    let protector = protector(&bench).await;
    assert!(bench.spool.studies_to_open().await.unwrap().is_empty());
    assert!(leaving(&bench).await.is_empty());
    let held = view::held(bench.spool.rows()).await.unwrap();
    let told = "not announced: its study UID holds an identifier of the patient";
    assert!(held.iter().any(|one| one.why == told), "{held:?}");
    let found = view::find(bench.spool.rows(), &held[0].case).await.unwrap();
    assert!(found[0].waits_for.ends_with(told), "{}", found[0].waits_for);

    let case = held[0].case.parse().unwrap();
    let objects = withheld::objects(bench.spool.rows(), &case).await.unwrap();
    let released = bench.spool.release(&case, &[objects[0].id], BY).await;
    assert_eq!(released.unwrap(), 1);
    while protector.work().await.unwrap() > 0 {}
    assert_eq!(bench.spool.studies_to_open().await.unwrap().len(), 1);
    assert_eq!(leaving(&bench).await.len(), 2);
    assert!(bench.spool.recall(&case, BY).await.unwrap());
    assert_eq!(bench.spool.recalls().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_study_that_was_never_announced_is_not_recalled_aloud() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    let study = "1.2.884213.7";
    store(
        &bench,
        study,
        "1.2.1.1",
        &object(study, "1.2.1.1", "HOSP884213"),
    )
    .await;
    protector(&bench).await;
    let held = view::held(bench.spool.rows()).await.unwrap();
    let case = held[0].case.parse().unwrap();
    assert!(bench.spool.recall(&case, BY).await.unwrap());
    assert!(bench.spool.recalls().await.unwrap().is_empty());
    let found = view::find(bench.spool.rows(), &held[0].case).await.unwrap();
    assert_eq!(found[0].waits_for, "");
}

#[tokio::test]
async fn what_is_nested_too_deeply_to_be_sealed_stays_for_good() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    let mut it = object("1.2.9", "1.2.9.1", "HOSP884213");
    let mut item = Dataset::new();
    item.put_text(Tag(0x0010, 0x0010), VR::PN, "Blomqvist^Zoe");
    for _ in 0..63 {
        let mut outer = Dataset::new();
        outer.put_items(Tag(0x0040, 0x0275), vec![item]);
        item = outer;
    }
    it.put_items(Tag(0x0040, 0x0275), vec![item]);
    store(&bench, "1.2.9", "1.2.9.1", &it).await;
    let protector = protector(&bench).await;
    let held = view::held(bench.spool.rows()).await.unwrap();
    let why: Vec<String> = held.into_iter().map(|one| one.why).collect();
    assert_eq!(why, ["withheld: it is nested too deeply to be sealed"]);
    assert_eq!(protector.look_again().await.unwrap(), 0);
}
