//! What a correction changes that a reader must see before he signs (P24): age, sex, side, body part and the day of the study. Names
//! and numbers of a patient are no part of it.

use std::collections::BTreeMap;

use causeway_proto::element::{Encoding, Header};
use causeway_proto::ids::TransferSyntaxUid;
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use sqlx::{Row, SqliteConnection};

use super::disk::Handle;
use super::{Spool, SpoolError, parsed, refused_row};

/// A header is compared so far; what is compared stands before the pixel data.
const AHEAD: usize = 256 << 10;
const SHOWN: [(Tag, &str); 6] = [
    (tags::STUDY_DATE, "study date"),
    (tags::PATIENT_SEX, "sex"),
    (tags::PATIENT_AGE, "age"),
    (tags::BODY_PART_EXAMINED, "body part"),
    (tags::LATERALITY, "side"),
    (tags::IMAGE_LATERALITY, "side of the image"),
];

/// Compares a correction with what was received first, and keeps what of it the reader is told.
pub(super) async fn compare(
    spool: &Spool,
    tx: &mut SqliteConnection,
    instance: i64,
    later: (&Handle, &TransferSyntaxUid),
) -> Result<(), SpoolError> {
    let row = sqlx::query("SELECT handle, syntax, study_id FROM instance WHERE id = $1")
        .bind(instance)
        .fetch_one(&mut *tx)
        .await
        .map_err(refused_row("looking for what is corrected"))?;
    let read = || -> Result<(Option<String>, TransferSyntaxUid, i64), sqlx::Error> {
        let syntax = parsed(&row, 1, "a transfer syntax")?;
        Ok((row.try_get(0)?, syntax, row.try_get(2)?))
    };
    let (handle, syntax, study) = read().map_err(refused_row("reading what is corrected"))?;
    let Some(first) = handle.map(Handle::from_row) else {
        return Ok(());
    };
    let (Some(before), Some(now)) = (
        values(spool, &first, &syntax).await,
        values(spool, later.0, later.1).await,
    ) else {
        return Ok(());
    };
    for sentence in differences(&before, &now) {
        sqlx::query(
            "UPDATE study SET corrected = corrected || $2 || CHAR(10) WHERE id = $1 AND instr(corrected, $2) = 0",
        )
        .bind(study)
        .bind(&sentence)
        .execute(&mut *tx)
        .await
        .map_err(refused_row("keeping what a correction changes"))?;
    }
    Ok(())
}

async fn values(
    spool: &Spool,
    handle: &Handle,
    syntax: &TransferSyntaxUid,
) -> Option<BTreeMap<Tag, String>> {
    let (encoding, deflated) = Encoding::of(syntax);
    if deflated {
        return None;
    }
    let bytes = spool.read(handle, 0, AHEAD).await.ok()?;
    Some(top_level(&bytes, encoding))
}

/// The values that are compared, from the top level of a dataset as far as `bytes` go.
fn top_level(bytes: &[u8], encoding: Encoding) -> BTreeMap<Tag, String> {
    let mut found = BTreeMap::new();
    let (mut at, mut depth) = (0_usize, 0_usize);
    while let Some(header) = bytes
        .get(at..)
        .and_then(|rest| Header::read(rest, encoding))
    {
        at = at.saturating_add(header.size.into());
        let Some(length) = header.length else {
            if header.tag == tags::PIXEL_DATA {
                break;
            }
            depth = depth.saturating_add(1);
            continue;
        };
        if matches!(header.tag, Tag(0xFFFE, 0xE00D | 0xE0DD)) {
            depth = depth.saturating_sub(1);
            continue;
        }
        let end = at.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        let Some(value) = bytes.get(at..end) else {
            break;
        };
        at = end;
        if depth == 0 && SHOWN.iter().any(|(tag, _)| *tag == header.tag) {
            let text = String::from_utf8_lossy(value);
            let text = text.trim_matches(['\0', ' ']).to_owned();
            found.insert(header.tag, text);
        }
    }
    found
}

fn differences(before: &BTreeMap<Tag, String>, now: &BTreeMap<Tag, String>) -> Vec<String> {
    let of = |values: &BTreeMap<Tag, String>, tag| values.get(tag).cloned().unwrap_or_default();
    SHOWN
        .iter()
        .filter_map(|(tag, word)| {
            let (was, is) = (of(before, tag), of(now, tag));
            if was == is {
                return None;
            }
            // a date is for the site to tell: under some agreements dates do not travel as they are
            if !known(*tag, &was) || !known(*tag, &is) {
                return Some(format!("the site has corrected the {word}: ask it"));
            }
            let said = |value: &str| match value {
                "" => "not stated".to_owned(),
                value => value.to_owned(),
            };
            Some(format!(
                "the site has corrected the {word}: it was {}, and is {}",
                said(&was),
                said(&is)
            ))
        })
        .collect()
}

/// Whether a value is one of those that mean what they say: whatever else somebody has typed there is not repeated outside the site, for
/// it may be a name.
fn known(tag: Tag, value: &str) -> bool {
    match tag {
        _ if value.is_empty() => tag != tags::STUDY_DATE,
        tags::PATIENT_SEX => matches!(value, "M" | "F" | "O"),
        tags::PATIENT_AGE => is_age(value),
        tags::LATERALITY | tags::IMAGE_LATERALITY => matches!(value, "R" | "L" | "B" | "U"),
        tags::BODY_PART_EXAMINED => BODY_PARTS.binary_search(&value).is_ok(),
        _ => false,
    }
}

/// PS3.5 6.2: three digits, and days, weeks, months or years.
fn is_age(value: &str) -> bool {
    let (digits, unit) = value.split_at_checked(3).unwrap_or_default();
    digits.bytes().all(|b| b.is_ascii_digit()) && matches!(unit, "D" | "W" | "M" | "Y")
}

/// Defined terms of Body Part Examined (PS3.16 Annex L), those that are read; in their order.
const BODY_PARTS: [&str; 62] = [
    "ABDOMEN",
    "ABDOMENPELVIS",
    "ANKLE",
    "AORTA",
    "ARM",
    "BLADDER",
    "BRAIN",
    "BREAST",
    "BRONCHUS",
    "CALCANEUS",
    "CAROTID",
    "CERVIX",
    "CHEST",
    "CHESTABDOMEN",
    "CHESTABDPELVIS",
    "CLAVICLE",
    "COCCYX",
    "COLON",
    "CSPINE",
    "CTSPINE",
    "ELBOW",
    "ESOPHAGUS",
    "EXTREMITY",
    "EYE",
    "FEMUR",
    "FINGER",
    "FOOT",
    "FOREARM",
    "GALLBLADDER",
    "HAND",
    "HEAD",
    "HEADNECK",
    "HEART",
    "HIP",
    "HUMERUS",
    "JAW",
    "KIDNEY",
    "KNEE",
    "LEG",
    "LIVER",
    "LSPINE",
    "LSSPINE",
    "LUNG",
    "MANDIBLE",
    "MAXILLA",
    "NECK",
    "ORBIT",
    "PANCREAS",
    "PELVIS",
    "PROSTATE",
    "SCAPULA",
    "SHOULDER",
    "SKULL",
    "SPINE",
    "SPLEEN",
    "SSPINE",
    "STERNUM",
    "TOE",
    "TSPINE",
    "UTERUS",
    "WHOLEBODY",
    "WRIST",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn said(was: &[(Tag, &str)], is: &[(Tag, &str)]) -> Vec<String> {
        let map = |all: &[(Tag, &str)]| {
            let all = all.iter().map(|(tag, value)| (*tag, (*value).to_owned()));
            all.collect()
        };
        differences(&map(was), &map(is))
    }

    #[test]
    fn what_reading_needs_is_told_and_nothing_else_is_repeated() {
        let (sex, side, date) = (tags::PATIENT_SEX, tags::LATERALITY, tags::STUDY_DATE);
        assert_eq!(said(&[(sex, "M")], &[(sex, "M")]), Vec::<String>::new());
        assert_eq!(
            said(&[(sex, "M")], &[(sex, "F"), (side, "L")]),
            [
                "the site has corrected the sex: it was M, and is F",
                "the site has corrected the side: it was not stated, and is L"
            ]
        );
        for (tag, was, is) in [
            (date, "20260101", "20260102"),
            (sex, "M", "Jane Doe"),
            (sex, "DOE JANE DOE JANE", "F"),
            (sex, "X", "F"),
            (tags::BODY_PART_EXAMINED, "MUSTERMANN", "CHEST"),
            (tags::BODY_PART_EXAMINED, "CHEST", "CHEST MUELLER"),
            (tags::PATIENT_AGE, "MUSTERMANN", "042Y"),
            (tags::PATIENT_AGE, "042Y", "4711"),
            (tags::IMAGE_LATERALITY, "L", "DOE"),
        ] {
            let told = said(&[(tag, was)], &[(tag, is)]);
            let word = SHOWN.iter().find(|(it, _)| *it == tag).unwrap().1;
            let wanted = format!("the site has corrected the {word}: ask it");
            assert_eq!(told, [wanted]);
        }
        for (tag, was, is) in [
            (tags::BODY_PART_EXAMINED, "CHEST", "WHOLEBODY"),
            (tags::PATIENT_AGE, "", "003W"),
        ] {
            let told = said(&[(tag, was)], &[(tag, is)]);
            assert!(told[0].ends_with(&format!("and is {is}")), "{told:?}");
        }
        assert!(BODY_PARTS.is_sorted());
    }
}
