//! A record as a FHIR R4 AuditEvent; a read of images in the shape of IHE BALP's PatientRead.

use serde_json::{Value, json};

use super::codes::{Object, coded};
use super::dicom::date_time;
use super::{Record, Teller};

const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const PATIENT_READ: &str =
    "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead";
const ENTITY: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";

/// The resource.
#[must_use]
pub fn fhir(record: &Record, teller: &Teller) -> Value {
    let row = coded(&record.event);
    let detail = serde_json::from_str(&record.detail).unwrap_or(Value::Null);
    let entities = entities(record, row.object, &detail);
    // BALP speaks of successful RESTful reads about somebody: WADO-RS is one
    let read = record.event == "images-viewed" && entities.len() > 1;
    let mut out = json!({
        "resourceType": "AuditEvent",
        "id": format!("{}-{}", teller.program, record.seq),
        "action": row.action.to_string(),
        "recorded": date_time(record.at_us),
        "outcome": row.outcome.to_string(),
        "source": {
            "site": teller.place,
            "observer": { "display": teller.program },
            "type": [{ "system": "http://terminology.hl7.org/CodeSystem/security-source-type", "code": "4", "display": "Application Server" }],
        },
    });
    let ours = json!({ "system": "urn:causeway:audit", "code": record.event });
    let (kind, subtype, agents) = if read {
        let restful =
            json!({ "system": "http://hl7.org/fhir/restful-interaction", "code": "read" });
        (
            json!({ "system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest", "display": "Restful Operation" }),
            vec![restful, ours],
            readers(record, teller),
        )
    } else {
        let subtype = row
            .kind
            .map(|(code, display)| json!({ "system": DCM, "code": code, "display": display }));
        (
            json!({ "system": DCM, "code": row.id.0, "display": row.id.1 }),
            subtype.into_iter().chain([ours]).collect(),
            actors(record, teller),
        )
    };
    if let Some(members) = out.as_object_mut() {
        if read {
            members.insert("meta".to_owned(), json!({ "profile": [PATIENT_READ] }));
        }
        members.insert("type".to_owned(), kind);
        members.insert("subtype".to_owned(), json!(subtype));
        members.insert("agent".to_owned(), json!(agents));
        if !entities.is_empty() {
            members.insert("entity".to_owned(), json!(entities));
        }
    }
    out
}

fn agent(code: &str, display: &str, who: &str, asked: bool) -> Value {
    json!({
        "type": { "coding": [{ "system": DCM, "code": code, "display": display }] },
        "who": { "display": who }, "requestor": asked,
    })
}

/// BALP: the client is the destination of what is read, the server its source, and the person who receives it is named.
fn readers(record: &Record, teller: &Teller) -> Vec<Value> {
    let person = json!({
        "type": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP", "display": "information recipient" }] },
        "who": { "identifier": { "value": record.actor } }, "requestor": true,
    });
    vec![
        agent("110152", "Destination Role ID", "browser", false),
        agent("110153", "Source Role ID", &teller.program, false),
        person,
    ]
}

fn actors(record: &Record, teller: &Teller) -> Vec<Value> {
    vec![
        json!({ "who": { "identifier": { "value": record.actor } }, "requestor": true }),
        agent("110150", "Application", &teller.program, false),
    ]
}

fn entity(what: Value, (kind, shown): (&str, &str), (role, played): (&str, &str)) -> Value {
    json!({
        "what": what,
        "type": { "system": ENTITY, "code": kind, "display": shown },
        "role": { "system": ROLE, "code": role, "display": played },
    })
}

fn entities(record: &Record, object: Object, detail: &Value) -> Vec<Value> {
    let word = |name: &str| detail.get(name).and_then(Value::as_str);
    let named = |value: &str| json!({ "identifier": { "value": value } });
    let mut out = Vec::new();
    let study = (object == Object::Study).then_some(record.subject.as_str());
    if let Some(study) = study
        .or_else(|| word("study"))
        .filter(|uid| !uid.is_empty())
    {
        let uid = json!({ "identifier": { "system": "urn:dicom:uid", "value": format!("urn:oid:{study}") } });
        out.push(entity(
            uid,
            ("2", "System Object"),
            ("4", "Domain Resource"),
        ));
    }
    if let Some(patient) = word("patient").or_else(|| word("case")) {
        out.push(entity(named(patient), ("1", "Person"), ("1", "Patient")));
    }
    if record.subject.is_empty() {
        return out;
    }
    match object {
        Object::Study => {}
        Object::Case | Object::Report => out.push(entity(
            named(&record.subject),
            ("2", "System Object"),
            ("3", "Report"),
        )),
        Object::User => out.push(entity(
            named(&record.subject),
            ("1", "Person"),
            ("6", "User"),
        )),
        Object::Node => out.push(entity(
            named(&record.subject),
            ("2", "System Object"),
            ("13", "Security Resource"),
        )),
    }
    out
}
