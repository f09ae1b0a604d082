//! A record as an audit message of DICOM PS3.15 A.5.

use serde_json::Value;

use super::codes::{Code, Coded, Object, coded};
use super::{Record, Teller};
use crate::time::Timestamp;

/// The scheme of our own words for acts.
const OURS: &str = "99CAUSEWAY";

/// The message (PS3.15 A.5.1), one element `AuditMessage` on one line, UTF-8.
#[must_use]
pub fn dicom(record: &Record, teller: &Teller) -> String {
    let row = coded(&record.event);
    let detail = serde_json::from_str(&record.detail).unwrap_or(Value::Null);
    let mut out = String::with_capacity(1024);
    out.push_str("<AuditMessage>");
    tag(
        &mut out,
        "EventIdentification",
        &[
            ("EventActionCode", &row.action.to_string()),
            ("EventDateTime", &date_time(record.at_us)),
            ("EventOutcomeIndicator", &row.outcome.to_string()),
        ],
        false,
    );
    code(&mut out, "EventID", row.id, "DCM");
    if let Some(kind) = row.kind {
        code(&mut out, "EventTypeCode", kind, "DCM");
    }
    code(
        &mut out,
        "EventTypeCode",
        (record.event.as_str(), record.event.as_str()),
        OURS,
    );
    out.push_str("</EventIdentification>");
    participants(&mut out, record, teller, &row);
    let source = [
        ("AuditEnterpriseSiteID", teller.place.as_str()),
        ("AuditSourceID", teller.program.as_str()),
    ];
    tag(&mut out, "AuditSourceIdentification", &source, false);
    // 4: application server
    out.push_str("<AuditSourceTypeCode csd-code=\"4\"/></AuditSourceIdentification>");
    objects(&mut out, record, row.object, &detail);
    out.push_str("</AuditMessage>");
    out
}

/// Whoever acted asked for it; the program that tells of it took part. What is read or sent goes from us to him, what is made here
/// came from him.
fn participants(out: &mut String, record: &Record, teller: &Teller, row: &Coded) {
    const SOURCE: Code = ("110153", "Source Role ID");
    const DESTINATION: Code = ("110152", "Destination Role ID");
    let transfer = ["110102", "110104", "110106", "110107"].contains(&row.id.0);
    let (actor, ours) = match (transfer, row.action) {
        (false, _) => (None, ("110150", "Application")),
        (true, 'R') => (Some(DESTINATION), SOURCE),
        (true, _) => (Some(SOURCE), DESTINATION),
    };
    participant(out, &record.actor, true, actor);
    participant(out, &teller.program, false, Some(ours));
}

fn participant(out: &mut String, id: &str, asked: bool, role: Option<Code>) {
    let asked = if asked { "true" } else { "false" };
    let attributes = [("UserID", id), ("UserIsRequestor", asked)];
    tag(out, "ActiveParticipant", &attributes, role.is_none());
    if let Some(role) = role {
        code(out, "RoleIDCode", role, "DCM");
        out.push_str("</ActiveParticipant>");
    }
}

fn objects(out: &mut String, record: &Record, object: Object, detail: &Value) {
    let word = |name: &str| detail.get(name).and_then(Value::as_str);
    let study = (object == Object::Study).then_some(record.subject.as_str());
    if let Some(study) = study.or_else(|| word("study")) {
        // 2 system object, 3 report: what PS3.15 A.5.3 demands of a study
        let kind = ("110180", "Study Instance UID");
        part(out, study, ("2", "3"), (kind, "DCM"), word("agreement"));
    }
    if let Some(patient) = word("patient").or_else(|| word("case")) {
        // 1 person, 1 patient; the number is a pseudonym or the word for the case
        part(
            out,
            patient,
            ("1", "1"),
            (("2", "Patient Number"), "RFC-3881"),
            None,
        );
    }
    match object {
        Object::Study => {}
        Object::Case | Object::Report => {
            let kind = (("10", "Report Number"), "RFC-3881");
            part(out, &record.subject, ("2", "3"), kind, None);
        }
        Object::User => {
            let kind = (("11", "User Identifier"), "RFC-3881");
            part(out, &record.subject, ("1", "6"), kind, None);
        }
        Object::Node => {
            let kind = (("110182", "Node ID"), "DCM");
            part(out, &record.subject, ("2", "13"), kind, None);
        }
    }
}

fn part(
    out: &mut String,
    id: &str,
    (kind, role): (&str, &str),
    (idkind, scheme): (Code, &str),
    agreement: Option<&str>,
) {
    if id.is_empty() {
        return;
    }
    let attributes = [
        ("ParticipantObjectID", id),
        ("ParticipantObjectTypeCode", kind),
        ("ParticipantObjectTypeCodeRole", role),
    ];
    tag(out, "ParticipantObjectIdentification", &attributes, false);
    code(out, "ParticipantObjectIDTypeCode", idkind, scheme);
    // a name or a query has to stand here; ours is never a person's
    out.push_str("<ParticipantObjectName>");
    escape(out, agreement.unwrap_or(id));
    out.push_str("</ParticipantObjectName></ParticipantObjectIdentification>");
}

fn code(out: &mut String, name: &str, (value, meaning): (&str, &str), scheme: &str) {
    let attributes = [
        ("csd-code", value),
        ("codeSystemName", scheme),
        ("originalText", meaning),
    ];
    tag(out, name, &attributes, true);
}

fn tag(out: &mut String, name: &str, attributes: &[(&str, &str)], empty: bool) {
    out.push('<');
    out.push_str(name);
    for (attribute, value) in attributes {
        out.push(' ');
        out.push_str(attribute);
        out.push_str("=\"");
        escape(out, value);
        out.push('"');
    }
    out.push_str(if empty { "/>" } else { ">" });
}

/// Characters that XML 1.0 cannot hold become spaces.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
}

pub(super) fn date_time(at_us: i64) -> String {
    let at = Timestamp(at_us).calendar();
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
