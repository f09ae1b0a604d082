//! Spellings that are dates, and what only looks like one.

use super::*;

fn found(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let cut = |range: Range<usize>| characters.get(range).unwrap_or_default().iter().collect();
    dates(text).into_iter().map(cut).collect()
}

#[test]
fn dates_in_usual_spellings_are_found() {
    for (text, expect) in [
        ("CT of 12 March 2024", "12 March 2024"),
        ("compared with 12 March", "12 March"),
        ("March 12th, 2024: normal", "March 12th, 2024"),
        ("on March 3.", "March 3"),
        ("the 12th of March 2024", "12th of March 2024"),
        ("in March 2024", "March 2024"),
        ("12-Mar-2024", "12-Mar-2024"),
        ("12-MAR-24", "12-MAR-24"),
        ("12MAR2024", "12MAR2024"),
        ("scan_2024-03-12_a", "2024-03-12"),
        ("2024-03-12T10:15:00", "2024-03-12"),
        ("12.3.2024", "12.3.2024"),
        ("12. 3. 2024", "12. 3. 2024"),
        ("12.03.24", "12.03.24"),
        ("03/12/24", "03/12/24"),
        ("03/12/2024", "03/12/2024"),
        ("99/12/31", "99/12/31"),
        ("12 03 2024", "12 03 2024"),
        ("2024.03.12", "2024.03.12"),
        ("12\u{2013}03\u{2013}2024", "12\u{2013}03\u{2013}2024"),
        ("HEAD 20240312", "20240312"),
        ("IMG20240312101500", "20240312101500"),
        ("12032024", "12032024"),
        ("MRT 03/2024", "03/2024"),
        ("MRT 03.2024", "03.2024"),
        ("MRT vom 12.3. zum Vergleich", "12.3."),
        ("CT on 12/03, unchanged", "12/03"),
        ("vom 3. März 2024", "3. März 2024"),
        ("vom 3. Ma\u{308}rz", "3. Ma\u{308}rz"),
        ("du 1er février 2024", "1er février 2024"),
        ("del 3 de enero de 2024", "3 de enero de 2024"),
        ("il 3 agosto", "3 agosto"),
        ("z dnia 3 października 2024", "3 października 2024"),
        ("της 12ης Μαρτίου 2024", "12ης Μαρτίου 2024"),
        ("στις 12 ΜΑΡΤΙΟΥ 2024", "12 ΜΑΡΤΙΟΥ 2024"),
        ("от 12 марта 2024", "12 марта 2024"),
        ("2024年3月12日", "2024年3月12日"),
        ("２０２４年３月１２日", "２０２４年３月１２日"),
        ("3월 12일", "3월 12일"),
        ("5 May", "5 May"),
        ("29.02.1900", "29.02.1900"),
    ] {
        assert_eq!(found(text), [expect], "{text}");
    }
    assert_eq!(
        found("from 1.2.2024 to 3 May 2025"),
        ["1.2.2024", "3 May 2025"]
    );
}

#[test]
fn what_is_no_date_stays() {
    for text in [
        "",
        "13 days before this study",
        "grade 5 may represent progress; 3 march fractures",
        "may 5 mm, 12 mm, 3.5 x 2.0 x 1.2 cm",
        "since 2019; in 2024",
        "1.2.840.113619.2.55.3",
        "software 4.12.3.7",
        "L1/2, C5/6/7, BI-RADS 4/5",
        "ratio 3/4, 120/80 mmHg, 10:15:00",
        "T1 3.2024 mm",
        "series 12 of 24, image 2 of 300",
        "SUVmax 12.03",
        "OCT 3 of the left eye",
        "99999999 and 20241399",
        "tel. 02 34 56",
        "5 x 6 x 10 mm; 12, 13 and 14",
        "the 2nd of three",
    ] {
        assert_eq!(found(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_text_without_its_dates_has_none() {
    let text = "Ödem, 12.3.2024 und 3. März: 20240312.";
    let left = without(text, "[removed]");
    assert_eq!(left, "Ödem, [removed] und [removed]: [removed].");
    assert_eq!(dates(&left), []);
    assert_eq!(without("keine", "[removed]"), "keine");
}

proptest::proptest! {
    #[test]
    fn any_text_has_an_answer(text in "\\PC{0,64}") {
        let count = text.chars().count();
        let mut end = 0;
        for range in dates(&text) {
            proptest::prop_assert!(end <= range.start && range.start < range.end && range.end <= count);
            end = range.end;
        }
    }
}
