//! Pages of reports: what stands in them, that they are the same each time, and that nothing is left out in silence.

use causeway_proto::ids::TransferSyntaxUid;
use causeway_proto::report::model::{Report, Section, SectionKind, Standing};
use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::*;
use crate::restore::sample::document;
use crate::spool::tests::seeded;

const LATIN: &str = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf";

fn usual() -> Fonts {
    let fonts = Fonts::of(&Config::default());
    let (found, _) = fonts.look();
    assert!(
        found.len() > 1,
        "the tests need fonts-dejavu-core and fonts-droid-fallback; `make test` installs them"
    );
    fonts
}

fn latin_alone() -> Fonts {
    Fonts::of(&Config {
        fonts: vec![LATIN.into()],
    })
}

fn report(text: &str) -> Report {
    let mut report = document("1.2.3", "2.25.1");
    report.patient.name = "Muster^Erika=山田^花子=やまだ^はなこ".into();
    report.patient.id = "P-1".into();
    report.patient.birth_date = "19700102".into();
    report.study.description = "CT Schädel".into();
    report.sections = Section::typed(SectionKind::Findings, text)
        .into_iter()
        .collect();
    report
}

fn drawn(report: &Report, fonts: &Fonts) -> Result<Vec<Dataset>, DeriveError> {
    let source = Source {
        document: &sr::encode(report),
        digest: Digest::of(b"signed"),
        case: &CaseCode::draw(&seeded(3)),
    };
    let syntax: TransferSyntaxUid = "1.2.840.10008.1.2.1".parse().unwrap();
    let pages = pages(&source, fonts)?;
    Ok(pages
        .into_iter()
        .map(|page| Dataset::read(&page.dataset, &syntax).unwrap())
        .collect())
}

fn dark(page: &Dataset) -> usize {
    let pixels = page.bytes(tags::PIXEL_DATA).iter();
    pixels.filter(|pixel| **pixel < 128).count()
}

#[test]
fn a_page_is_an_image_of_the_patient_and_the_study_that_names_its_document() {
    let pages = drawn(
        &report("Χωρίς αιμορραγία. Кровоизлияния нет. 出血なし。"),
        &usual(),
    )
    .unwrap();
    let [page] = pages.as_slice() else {
        panic!("one page, not {}", pages.len());
    };
    let code = |tag: Tag| page.code(tag);
    assert_eq!(code(tags::SOP_CLASS_UID), CLASS);
    assert_eq!(code(tags::STUDY_INSTANCE_UID), "1.2.3");
    assert_eq!(code(tags::PATIENT_ID), "P-1");
    assert_eq!(code(tags::CONVERSION_TYPE), "SYN");
    assert_eq!(code(tags::BURNED_IN_ANNOTATION), "YES");
    assert_eq!(code(tags::PHOTOMETRIC_INTERPRETATION), "MONOCHROME2");
    assert_ne!(code(tags::SERIES_INSTANCE_UID), "2.25.7");
    let of = page.items(tags::REFERENCED_INSTANCE_SEQUENCE);
    assert_eq!(of[0].code(tags::REFERENCED_SOP_INSTANCE_UID), "2.25.1");
    let comments = code(tags::IMAGE_COMMENTS);
    assert!(comments.contains("2.25.1"), "{comments}");
    assert!(comments.contains(&Digest::of(b"signed").to_string()));
    assert_eq!(
        page.bytes(tags::PIXEL_DATA).len(),
        usize::from(paper::WIDTH) * usize::from(paper::HEIGHT)
    );
    assert!(dark(page) > 10_000, "{} dark pixels", dark(page));
}

#[test]
fn the_same_document_gives_the_same_objects_and_another_gives_others() {
    let fonts = usual();
    let uids = |report: &Report| {
        let pages = drawn(report, &fonts).unwrap();
        let of = |page: &Dataset| {
            [tags::SERIES_INSTANCE_UID, tags::SOP_INSTANCE_UID].map(|tag| page.code(tag))
        };
        pages.iter().map(of).collect::<Vec<_>>()
    };
    let mut one = report("Nothing.");
    let first = uids(&one);
    // the PACS has corrected the name in between: the same objects, of the corrected patient
    one.patient.name = "Muster^Erica".into();
    assert_eq!(uids(&one), first);
    one.document.instance = "2.25.2".parse().unwrap();
    let second = uids(&one);
    assert!(first[0].iter().zip(&second[0]).all(|(a, b)| a != b));
    let uid = instance(&one.document.instance, 1).unwrap();
    assert_eq!(uid.as_str(), second[0][1]);
    let number: u128 = uid.as_str()["2.25.".len()..].parse().unwrap();
    assert_eq!((number >> 76) & 0xF, 8, "a UUID of version 8");
    assert_eq!((number >> 62) & 0b11, 0b10, "of the variant of RFC 9562");
}

#[test]
fn one_other_letter_is_another_picture() {
    let fonts = usual();
    let pixels = |text: &str| {
        let pages = drawn(&report(text), &fonts).unwrap();
        pages[0].bytes(tags::PIXEL_DATA).to_vec()
    };
    let (left, again, right) = (
        pixels("left lung"),
        pixels("left lung"),
        pixels("lift lung"),
    );
    assert_eq!(left, again);
    assert_ne!(left, right);
    assert_ne!(pixels("出血なし"), pixels("出血あり"));
}

#[test]
fn a_preliminary_report_says_so_before_everything_else() {
    let fonts = usual();
    let last = report("Nothing.");
    let mut first = last.clone();
    first.standing = Standing::Preliminary;
    let rows = |report: &Report| {
        let page = drawn(report, &fonts).unwrap().remove(0);
        let pixels = page.bytes(tags::PIXEL_DATA).to_vec();
        // the first line of text of the page
        pixels[84 * 1240..130 * 1240].to_vec()
    };
    assert_ne!(rows(&last), rows(&first));
    first.patient.name = "Somebody^Else".into();
    let preliminary = drawn(&first, &fonts).unwrap().remove(0);
    assert!(
        preliminary
            .code(tags::SERIES_DESCRIPTION)
            .starts_with("PRELIMINARY")
    );
    let mut same = last;
    same.standing = Standing::Preliminary;
    assert_eq!(rows(&same), rows(&first), "before the patient's name");
}

#[test]
fn what_no_font_has_is_an_error_that_does_not_spell_the_patient() {
    let told = |report: &Report| drawn(report, &latin_alone()).unwrap_err().to_string();
    let mut one = report("Nothing.");
    let name = told(&one);
    assert!(name.contains("the patient's line"), "{name}");
    assert!(!name.contains("Han"), "{name}");
    one.patient.name = "Muster^Erika".into();
    assert_eq!(drawn(&one, &latin_alone()).unwrap().len(), 1);
    let text = told(&report_of(&one, "出血なし"));
    assert!(text.contains("(Han, Hiragana)"), "{text}");
    let none = Fonts::of(&Config {
        fonts: vec!["/nowhere/at/all.ttf".into()],
    });
    assert!(matches!(drawn(&one, &none), Err(DeriveError::NoFont)));
}

fn report_of(like: &Report, text: &str) -> Report {
    Report {
        patient: like.patient.clone(),
        ..report(text)
    }
}

#[test]
fn a_long_report_has_pages_and_a_longer_one_is_refused() {
    let fonts = usual();
    let line = "A finding that takes some room on the paper, as findings do.\n\n";
    let pages = drawn(&report(&line.repeat(60)), &fonts).unwrap();
    assert!(pages.len() > 1, "{} pages", pages.len());
    for (page, number) in pages.iter().zip(1..) {
        assert_eq!(page.code(tags::INSTANCE_NUMBER), format!("{number}"));
        let of = format!("Page {number} of {}", pages.len());
        assert!(page.code(tags::IMAGE_COMMENTS).starts_with(&of));
    }
    let series: std::collections::BTreeSet<String> = pages
        .iter()
        .map(|page| page.code(tags::SERIES_INSTANCE_UID))
        .collect();
    assert_eq!(series.len(), 1);
    for times in [1000, 10_000] {
        let refused = drawn(&report(&line.repeat(times)), &fonts);
        assert!(matches!(refused, Err(DeriveError::TooLong)));
    }
}

#[test]
fn names_are_read_in_every_group() {
    for (raw, read) in [
        ("Muster^Erika", "Muster, Erika"),
        ("Muster^Erika^Maria^Dr.", "Muster, Erika Maria Dr."),
        (
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            "Yamada, Tarou   山田, 太郎   やまだ, たろう",
        ),
        ("=山田^太郎", "山田, 太郎"),
        ("", "(no name)"),
    ] {
        assert_eq!(words::person_name(raw), read);
    }
}
