//! The parameters of a search (PS3.18 8.3.4): attributes, ranges, wildcards, fields and pages.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use crate::archive::search::{Criterion, Field, Level, Rule};
use crate::http::error::Problem;

/// No more parameters, and no more values in one, than these.
const MOST_PARAMETERS: usize = 100;
const MOST_VALUES: usize = 500;

/// What a search asks for.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) criteria: Vec<Criterion>,
    pub(super) limit: Option<u32>,
    pub(super) offset: u32,
    /// Attributes to be returned beyond the usual.
    pub(super) include: Vec<Tag>,
    /// Every attribute that there is.
    pub(super) include_all: bool,
    /// What was asked for and not done; goes into Warning.
    pub(super) ignored: Vec<String>,
}

/// Reads the parameters of a search at `level`.
///
/// # Errors
/// 400 for what is not an attribute, not a range, not a number or too much.
pub(super) fn parse(raw: &str, level: Level) -> Result<Query, Problem> {
    let mut query = Query::default();
    let pairs: Vec<(String, String)> = match serde_urlencoded(raw) {
        Some(pairs) if pairs.len() <= MOST_PARAMETERS => pairs,
        Some(_) => return Err(Problem::bad_request("too many parameters")),
        None => return Err(Problem::bad_request("the query is not UTF-8")),
    };
    let fuzzy = pairs
        .iter()
        .any(|(name, value)| name == "fuzzymatching" && value == "true");
    for (name, value) in &pairs {
        match name.as_str() {
            "limit" => query.limit = Some(number(value, "limit")?),
            "offset" => query.offset = number(value, "offset")?,
            "includefield" => include(&mut query, value)?,
            "fuzzymatching" if matches!(value.as_str(), "true" | "false") => {}
            "fuzzymatching" => {
                return Err(Problem::bad_request("fuzzymatching is true or false"));
            }
            "accept" => {}
            _ => criterion(&mut query, name, value, level, fuzzy)?,
        }
    }
    Ok(query)
}

/// Decodes `a=b&c=d`; none when it is not UTF-8.
fn serde_urlencoded(raw: &str) -> Option<Vec<(String, String)>> {
    raw.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name)?, decoded(value)?))
        })
        .collect()
}

/// Percent-decoding, with `+` as a blank.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let (digits, after) = after.split_at_checked(2)?;
                out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                rest = after;
            }
            other => out.push(other),
        }
    }
    String::from_utf8(out)
        .ok()
        .filter(|text| !text.contains('\0'))
}

fn number(text: &str, name: &str) -> Result<u32, Problem> {
    text.parse()
        .ok()
        .ok_or_else(|| Problem::bad_request(format!("{name} is a number of 0 or more")))
}

/// A tag by keyword or by eight hexadecimal digits.
fn tag(name: &str) -> Option<Tag> {
    if let Some(entry) = StandardDataDictionary.by_name(name) {
        return Some(entry.tag());
    }
    let digits = name.len() == 8 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let number = digits
        .then(|| u32::from_str_radix(name, 16).ok())
        .flatten()?;
    let [a, b, c, d] = number.to_be_bytes();
    Some(Tag(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

fn include(query: &mut Query, value: &str) -> Result<(), Problem> {
    for name in value.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        if name == "all" {
            query.include_all = true;
            continue;
        }
        let first = name.split('.').next().unwrap_or(name);
        let tag = tag(first).ok_or_else(|| {
            Problem::bad_request("includefield names an attribute that does not exist")
        })?;
        if query.include.len() < MOST_VALUES {
            query.include.push(tag);
        }
    }
    Ok(())
}

/// PS3.18 Tables 10.6.1-2 and 10.6.1-5: what can be matched, and what kind of value it has.
fn field(tag: Tag, level: Level) -> Option<(Field, VR)> {
    Some(match (tag.0, tag.1) {
        (0x0020, 0x000D) => (Field::StudyUid, VR::UI),
        (0x0008, 0x0020) => (Field::StudyDate, VR::DA),
        (0x0008, 0x0030) => (Field::StudyTime, VR::TM),
        (0x0008, 0x0050) => (Field::Accession, VR::SH),
        (0x0008, 0x1030) => (Field::StudyDescription, VR::LO),
        (0x0020, 0x0010) => (Field::StudyId, VR::SH),
        (0x0008, 0x0090) => (Field::Referrer, VR::LO),
        (0x0010, 0x0010) => (Field::PatientName, VR::PN),
        (0x0010, 0x0020) => (Field::PatientId, VR::LO),
        (0x0010, 0x0021) => (Field::PatientIssuer, VR::LO),
        (0x0010, 0x0030) => (Field::BirthDate, VR::DA),
        (0x0010, 0x0040) => (Field::Sex, VR::CS),
        (0x0008, 0x0060 | 0x0061) => (Field::Modality, VR::CS),
        (0x0020, 0x000E) => (Field::SeriesUid, VR::UI),
        (0x0020, 0x0011) if level >= Level::Series => (Field::SeriesNumber, VR::IS),
        (0x0008, 0x103E) => (Field::SeriesDescription, VR::LO),
        (0x0018, 0x0015) => (Field::BodyPart, VR::CS),
        (0x0008, 0x0016 | 0x0062) => (Field::SopClass, VR::UI),
        (0x0008, 0x0018) => (Field::SopUid, VR::UI),
        (0x0020, 0x0013) if level == Level::Instance => (Field::InstanceNumber, VR::IS),
        _ => return None,
    })
}

fn criterion(
    query: &mut Query,
    name: &str,
    value: &str,
    level: Level,
    fuzzy: bool,
) -> Result<(), Problem> {
    let unknown = || Problem::bad_request("a parameter names an attribute that does not exist");
    let mut tags = name.split('.').map(tag);
    let first = tags.next().flatten().ok_or_else(unknown)?;
    let nested: Option<Vec<Tag>> = tags.collect();
    let nested = nested.ok_or_else(unknown)?;
    let known = field(first, level).filter(|_| nested.is_empty());
    let Some((field, vr)) = known else {
        query
            .ignored
            .push(format!("{:04X}{:04X}", first.0, first.1));
        return Ok(());
    };
    // PS3.4 C.2.2.2.3: an empty value and a lone asterisk match everything
    if value.is_empty() || value.bytes().all(|b| b == b'*') {
        return Ok(());
    }
    let rule = rule(field, vr, value, fuzzy)?;
    query.criteria.push(Criterion { field, rule });
    Ok(())
}

fn rule(field: Field, vr: VR, value: &str, fuzzy: bool) -> Result<Rule, Problem> {
    match vr {
        VR::DA | VR::TM => range(vr, value),
        VR::IS => value
            .parse()
            .map(Rule::Number)
            .ok()
            .ok_or_else(|| Problem::bad_request("a number was expected")),
        VR::UI => {
            let all: Vec<String> = value
                .split([',', '\\'])
                .filter(|uid| !uid.is_empty())
                .map(str::to_owned)
                .collect();
            let legal = all.len() <= MOST_VALUES
                && all.iter().all(|uid| {
                    uid.len() <= 64 && uid.bytes().all(|b| b.is_ascii_digit() || b == b'.')
                });
            if legal {
                Ok(Rule::Text(all))
            } else {
                Err(Problem::bad_request("a list of UIDs was expected"))
            }
        }
        VR::PN if fuzzy => Ok(Rule::Words(value.replace(['*', '?'], " "))),
        _ if field == Field::Modality => Ok(Rule::Text(
            value.split([',', '\\']).map(str::to_owned).collect(),
        )),
        _ => Ok(Rule::Text(vec![value.trim_matches(' ').to_owned()])),
    }
}

/// PS3.4 C.2.2.2.5: `a-b`, `a-`, `-b` or one value.
fn range(vr: VR, value: &str) -> Result<Rule, Problem> {
    let wrong = || {
        Problem::bad_request(
            "a date is YYYYMMDD, a time HH[MM[SS[.F]]], a range two of them around a hyphen",
        )
    };
    let legal = |text: &str| match vr {
        VR::DA => {
            text.len() == 8
                && text.bytes().all(|b| b.is_ascii_digit())
                && jiff::civil::Date::strptime("%Y%m%d", text).is_ok()
        }
        _ => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            matches!(whole.len(), 2 | 4 | 6)
                && fraction.len() <= 6
                && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        }
    };
    let (from, to) = value.split_once('-').unwrap_or((value, value));
    if from.is_empty() && to.is_empty() {
        return Err(wrong());
    }
    let end = |text: &str| match text {
        "" => Ok(None),
        text if legal(text) => Ok(Some(text.to_owned())),
        _ => Err(wrong()),
    };
    Ok(Rule::Range(end(from)?, end(to)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(raw: &str) -> Vec<Criterion> {
        parse(raw, Level::Study).unwrap().criteria
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for raw in [
            "limit=-1",
            "limit=x",
            "offset=-5",
            "NoSuchAttribute=1",
            "StudyDate=2026",
            "StudyDate=20260230",
            "StudyDate=-",
            "StudyDate=20260101-x",
            "StudyInstanceUID=1.2.x",
            "includefield=Nonsense",
            "PatientName=%FF",
            "PatientName=%00",
            "PatientName=%2",
            "StudyTime=9",
            "fuzzymatching=maybe",
        ] {
            assert!(parse(raw, Level::Study).is_err(), "{raw}");
        }
    }

    #[test]
    fn what_is_meant_is_understood() {
        assert_eq!(rules("PatientName=*&StudyDate="), []);
        let range = Rule::Range(Some("20260101".into()), None);
        assert_eq!(rules("00080020=20260101-")[0].rule, range);
        assert_eq!(
            rules("PatientID=a%20b+c")[0].rule,
            Rule::Text(vec!["a b c".into()])
        );
        assert_eq!(
            rules("PatientName=doe&fuzzymatching=true")[0].rule,
            Rule::Words("doe".into())
        );
        let query = parse(
            "SeriesNumber=1&00400275.00401001=x&includefield=all,00081030&limit=5",
            Level::Study,
        )
        .unwrap();
        assert_eq!(query.ignored, ["00200011", "00400275"]);
        assert_eq!(
            (query.include_all, query.include.len(), query.limit),
            (true, 1, Some(5))
        );
    }
}
