//! What the rows say of an instance, taken from its header as DICOM JSON. What cannot be understood is left empty.

use serde_json::{Map, Value};

/// No indexed text is longer than this, in characters.
const LONGEST: usize = 512;
/// How many requests one instance may name.
const MAX_REQUESTS: usize = 64;

/// What the rows say. Text is trimmed; dates are `YYYYMMDD` or empty.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) study: String,
    pub(crate) series: String,
    pub(crate) instance: String,
    pub(crate) class: String,
    pub(crate) patient: Patient,
    pub(crate) study_date: String,
    pub(crate) study_time: String,
    pub(crate) utc_offset: String,
    /// The site has shifted its dates (113107).
    pub(crate) shifted_dates: bool,
    pub(crate) accession: String,
    pub(crate) study_id: String,
    pub(crate) description: String,
    pub(crate) referrer: String,
    pub(crate) modality: String,
    pub(crate) series_number: Option<i64>,
    pub(crate) series_description: String,
    pub(crate) body_part: String,
    pub(crate) laterality: String,
    pub(crate) series_date: String,
    pub(crate) series_time: String,
    pub(crate) number: Option<i64>,
    pub(crate) frames: u64,
    pub(crate) rows: u64,
    pub(crate) columns: u64,
    pub(crate) samples: u64,
    pub(crate) bits_allocated: u64,
    pub(crate) photometric: String,
    pub(crate) requests: Vec<Request>,
}

/// Who the images are of, as the header says.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Patient {
    pub(crate) id: String,
    pub(crate) issuer: String,
    pub(crate) name: String,
    pub(crate) birth_date: String,
    pub(crate) sex: String,
    pub(crate) age: String,
}

/// One order that the instance answers (P15).
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) accession: String,
    pub(crate) issuer: String,
    pub(crate) placer: String,
    pub(crate) filler: String,
    pub(crate) procedure: String,
    pub(crate) description: String,
}

impl std::fmt::Debug for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Facts of {}", self.instance)
    }
}

impl Facts {
    /// Takes them from the top level of a dataset.
    pub(super) fn of(root: &Map<String, Value>) -> Self {
        let text = |key| text(root, key);
        Self {
            study: text("0020000D"),
            series: text("0020000E"),
            instance: text("00080018"),
            class: text("00080016"),
            patient: Patient {
                id: text("00100020"),
                issuer: text("00100021"),
                name: text("00100010"),
                birth_date: date(&text("00100030")),
                sex: text("00100040"),
                age: text("00101010"),
            },
            study_date: date(&text("00080020")),
            study_time: time(&text("00080030")),
            utc_offset: text("00080201"),
            shifted_dates: has_shifted_dates(root),
            accession: text("00080050"),
            study_id: text("00200010"),
            description: text("00081030"),
            referrer: text("00080090"),
            modality: text("00080060"),
            series_number: number(root, "00200011"),
            series_description: text("0008103E"),
            body_part: text("00180015"),
            laterality: text("00200060"),
            series_date: date(&text("00080021")),
            series_time: time(&text("00080031")),
            number: number(root, "00200013"),
            frames: count(root, "00280008"),
            rows: count(root, "00280010"),
            columns: count(root, "00280011"),
            samples: count(root, "00280002"),
            bits_allocated: count(root, "00280100"),
            photometric: text("00280004"),
            requests: requests(root),
        }
    }
}

pub(super) fn values<'a>(item: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    item.get(key)
        .and_then(|attribute| attribute.get("Value"))
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The first value as text; a name with its groups joined again.
pub(super) fn text(item: &Map<String, Value>, key: &str) -> String {
    let text = match values(item, key).first() {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Object(name)) => ["Alphabetic", "Ideographic", "Phonetic"]
            .map(|group| name.get(group).and_then(Value::as_str).unwrap_or(""))
            .join("=")
            .trim_end_matches('=')
            .to_owned(),
        _ => String::new(),
    };
    text.chars().filter(|c| *c != '\0').take(LONGEST).collect()
}

fn number(item: &Map<String, Value>, key: &str) -> Option<i64> {
    values(item, key).first().and_then(Value::as_i64)
}

fn count(item: &Map<String, Value>, key: &str) -> u64 {
    number(item, key)
        .and_then(|n| u64::try_from(n).ok())
        .unwrap_or(0)
}

/// A date of the calendar as `YYYYMMDD`, the form of 1985 (`YYYY.MM.DD`) included; else empty.
fn date(text: &str) -> String {
    let digits: String = text.chars().filter(|c| *c != '.').collect();
    let parsed = jiff::fmt::strtime::parse("%Y%m%d", &digits).and_then(|parsed| parsed.to_date());
    match parsed {
        Ok(_) if digits.len() == 8 => digits,
        _ => String::new(),
    }
}

/// A time of day as `HH[MM[SS[.F]]]`, the form of 1985 (`HH:MM:SS`) included; else empty.
fn time(text: &str) -> String {
    let plain: String = text.chars().filter(|c| *c != ':').collect();
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let pairs: Vec<u32> = (0..whole.len())
        .step_by(2)
        .filter_map(|at| whole.get(at..at + 2)?.parse().ok())
        .collect();
    let within = pairs
        .iter()
        .zip([23, 59, 60])
        .all(|(value, most)| *value <= most);
    let legal = whole.bytes().all(|b| b.is_ascii_digit())
        && matches!(whole.len(), 2 | 4 | 6)
        && within
        && fraction.len() <= 6
        && fraction.bytes().all(|b| b.is_ascii_digit());
    if legal { plain } else { String::new() }
}

/// Whether the methods of de-identification (0012,0064) name Modified Dates of DCM.
fn has_shifted_dates(root: &Map<String, Value>) -> bool {
    let mut methods = values(root, "00120064").iter().filter_map(Value::as_object);
    methods.any(|it| text(it, "00080100") == "113107" && text(it, "00080102") == "DCM")
}

/// The orders that the header names: at the top level, in Request Attributes Sequence and in Referenced Request Sequence.
fn requests(root: &Map<String, Value>) -> Vec<Request> {
    let items = ["00400275", "0040A370"]
        .into_iter()
        .flat_map(|key| values(root, key))
        .filter_map(Value::as_object);
    let mut out: Vec<Request> = Vec::new();
    for item in items.chain([root]) {
        let mut one = request(item);
        if one.accession.is_empty() && !std::ptr::eq(item, root) {
            let top = request(root);
            (one.accession, one.issuer) = (top.accession, top.issuer);
        }
        let named =
            !(one.accession.is_empty() && one.placer.is_empty() && one.procedure.is_empty());
        // the top level repeats the accession of an item that says more
        let said = out.iter().any(|other| {
            other == &one || std::ptr::eq(item, root) && other.accession == one.accession
        });
        if named && !said && out.len() < MAX_REQUESTS {
            out.push(one);
        }
    }
    out
}

fn request(item: &Map<String, Value>) -> Request {
    let first = |keys: &[&str]| {
        keys.iter()
            .map(|key| text(item, key))
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    };
    let issuer = values(item, "00080051")
        .first()
        .and_then(Value::as_object)
        .map(|issuer| {
            let local = text(issuer, "00400031");
            if local.is_empty() {
                text(issuer, "00400032")
            } else {
                local
            }
        });
    Request {
        accession: text(item, "00080050"),
        issuer: issuer.unwrap_or_default(),
        placer: text(item, "00402016"),
        filler: text(item, "00402017"),
        procedure: text(item, "00401001"),
        description: first(&["00321060", "00400007"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_that_are_none_are_left_empty() {
        for (given, expect) in [
            ("20260228", "20260228"),
            ("2026.02.28", "20260228"),
            ("20260230", ""),
            ("00000000", ""),
            ("2026", ""),
            ("", ""),
        ] {
            assert_eq!(date(given), expect, "{given}");
        }
        for (given, expect) in [
            ("093015.25", "093015.25"),
            ("09:30:15", "093015"),
            ("09", "09"),
            ("2561", ""),
            ("9", ""),
            ("0930é", ""),
        ] {
            assert_eq!(time(given), expect, "{given}");
        }
    }

    #[test]
    fn two_requests_in_one_study_stay_two() {
        let root = serde_json::json!({
            "00080050": {"vr": "SH", "Value": ["A1"]},
            "00400275": {"vr": "SQ", "Value": [
                {"00080050": {"vr": "SH", "Value": ["A1"]}, "00401001": {"vr": "SH", "Value": ["P1"]}},
                {"00080050": {"vr": "SH", "Value": ["A2"]}, "00401001": {"vr": "SH", "Value": ["P2"]}},
            ]},
        });
        let requests = Facts::of(root.as_object().unwrap()).requests;
        let named: Vec<_> = requests
            .iter()
            .map(|r| (r.accession.as_str(), r.procedure.as_str()))
            .collect();
        assert_eq!(named, [("A1", "P1"), ("A2", "P2")]);
    }
}
