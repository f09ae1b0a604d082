//! The value of a content item by its value type (PS3.3 Table C.17.3-7).

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::Page;
use crate::dataset::Dataset;

/// What an item says; `None` for containers.
pub(super) fn value(page: &Page, item: &Dataset) -> Option<String> {
    let kind = item.code(tags::VALUE_TYPE);
    let text = |tag: Tag| page.text(item, tag);
    let value = match kind.as_str() {
        "CONTAINER" => return None,
        "TEXT" => text(tags::TEXT_VALUE),
        "CODE" => page
            .concept(item, tags::CONCEPT_CODE_SEQUENCE)
            .unwrap_or_default(),
        "NUM" => number(page, item),
        "PNAME" => text(tags::PERSON_NAME).replace('^', " ").trim().to_owned(),
        "DATE" => text(tags::DATE),
        "TIME" => text(tags::TIME),
        "DATETIME" => text(tags::DATE_TIME),
        "UIDREF" => text(tags::UID),
        "IMAGE" | "COMPOSITE" | "WAVEFORM" => reference(&kind, item),
        "SCOORD" | "SCOORD3D" => {
            let points =
                item.bytes(tags::GRAPHIC_DATA).len() / if kind == "SCOORD" { 8 } else { 12 };
            format!(
                "{} of {points} points",
                text(tags::GRAPHIC_TYPE).to_lowercase()
            )
        }
        "TCOORD" => format!("{} in time", text(tags::TEMPORAL_RANGE_TYPE).to_lowercase()),
        "" if item.get(tags::REFERENCED_CONTENT_ITEM_IDENTIFIER).is_some() => {
            format!("refers to item {}", path(item))
        }
        // a writer that put something else where the value type belongs
        _ if !item.items(tags::CONCEPT_CODE_SEQUENCE).is_empty() => page
            .concept(item, tags::CONCEPT_CODE_SEQUENCE)
            .unwrap_or_default(),
        _ if item.get(tags::TEXT_VALUE).is_some() => text(tags::TEXT_VALUE),
        other => format!("({other}, not shown here)"),
    };
    Some(if value.is_empty() {
        "(empty)".to_owned()
    } else {
        value
    })
}

/// A measurement with its unit, or why there is none.
fn number(page: &Page, item: &Dataset) -> String {
    let Some(measured) = item.items(tags::MEASURED_VALUE_SEQUENCE).first() else {
        let why = page.concept(item, tags::NUMERIC_VALUE_QUALIFIER_CODE_SEQUENCE);
        return why.unwrap_or_else(|| "no value".to_owned());
    };
    let value = page.text(measured, tags::NUMERIC_VALUE);
    let unit = measured
        .items(tags::MEASUREMENT_UNITS_CODE_SEQUENCE)
        .first();
    let unit = unit
        .map(|unit| page.text(unit, tags::CODE_VALUE))
        .unwrap_or_default();
    match unit.as_str() {
        // UCUM: no units, and annotations
        "1" | "" => value,
        unit => format!("{value} {}", unit.trim_matches(['{', '}'])),
    }
}

fn reference(kind: &str, item: &Dataset) -> String {
    let Some(target) = item.items(tags::REFERENCED_SOP_SEQUENCE).first() else {
        return String::new();
    };
    let uid = target.code(tags::REFERENCED_SOP_INSTANCE_UID);
    let frames = target
        .code(tags::REFERENCED_FRAME_NUMBER)
        .replace('\\', ", ");
    let kind = match kind {
        "IMAGE" => "image",
        "WAVEFORM" => "waveform",
        _ => "object",
    };
    if frames.is_empty() {
        format!("{kind} {uid}")
    } else {
        format!("{kind} {uid}, frame {frames}")
    }
}

/// (0040,DB73): the path to another item, numbers from one.
fn path(item: &Dataset) -> String {
    let numbers = item
        .bytes(tags::REFERENCED_CONTENT_ITEM_IDENTIFIER)
        .chunks_exact(4);
    let numbers: Vec<String> = numbers
        .filter_map(|number| number.try_into().ok().map(u32::from_le_bytes))
        .map(|number| number.to_string())
        .collect();
    numbers.join(".")
}
