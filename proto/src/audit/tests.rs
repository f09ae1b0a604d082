//! Tests of chain, verification and exports on records in memory.

use serde_json::json;

use super::*;

fn chain(length: i64) -> (Vec<Stored>, String) {
    let mut out: Vec<Stored> = Vec::new();
    for seq in 1..=length {
        let previous = out.last().map_or(String::new(), |last| last.chain.clone());
        let record = Record {
            seq,
            at_us: 1_700_000_000_000_000 + seq,
            event: "images-viewed".to_owned(),
            actor: "a1".to_owned(),
            site: "athens".to_owned(),
            subject: "1.2.3".to_owned(),
            detail: json!({ "agreement": "g1", "patient": "CW22<&>\"22", "n": seq }).to_string(),
        };
        let chain = record.chain(&previous).to_string();
        out.push(Stored {
            record,
            previous,
            chain,
        });
    }
    let head = out.last().map_or_else(
        || "0:".to_owned(),
        |last| format!("{}:{}", last.record.seq, last.chain),
    );
    (out, head)
}

fn verified(rows: &[Stored], head: Option<&str>, marks: &[Head]) -> Result<Head, Break> {
    let mut verifier = Verifier::new(marks);
    for row in rows {
        verifier.take(row)?;
    }
    verifier.end(head)
}

#[test]
fn an_untouched_chain_ends_at_its_head_and_heads_read_back() {
    assert_eq!(verified(&[], None, &[]), Ok(Head::empty()));
    assert_eq!(verified(&[], Some("0:"), &[]), Ok(Head::empty()));
    let (rows, head) = chain(9);
    let found = verified(&rows, Some(&head), &[]).unwrap();
    assert_eq!(found.to_string(), head);
    assert_eq!(head.parse(), Ok(found));
    assert_eq!("9".parse::<Head>(), Err(HeadError));
    let marks: Vec<Head> = [3, 9]
        .map(|n: usize| format!("{n}:{}", rows[n - 1].chain).parse().unwrap())
        .to_vec();
    assert_eq!(verified(&rows, Some(&head), &marks), Ok(found));
}

#[test]
fn a_chain_that_was_written_anew_is_whole_but_for_its_witnesses() {
    let (rows, _) = chain(9);
    let mark = |n: usize| -> Head { format!("{n}:{}", rows[n - 1].chain).parse().unwrap() };
    let (mut forged, _) = chain(20);
    let mut previous = forged[4].chain.clone();
    for row in &mut forged[5..] {
        row.record.actor = "nobody".to_owned();
        row.previous.clone_from(&previous);
        row.chain = row.record.chain(&previous).to_string();
        previous.clone_from(&row.chain);
    }
    let head = format!("20:{previous}");
    assert!(verified(&forged, Some(&head), &[]).is_ok());
    let found = verified(&forged, Some(&head), &[mark(4), mark(8)]).unwrap_err();
    let why = Why::Witnessed;
    assert_eq!((found.position, found.why, found.confirmed), (8, why, 4));
    let back = format!("5:{}", rows[4].chain);
    let found = verified(&rows[..5], Some(&back), &[mark(9)]).unwrap_err();
    assert_eq!((found.position, found.why), (6, Why::Rewound));
    assert!(found.to_string().starts_with("record 6 of the audit trail"));
}

#[test]
fn messages_of_ps3_15_name_act_actor_study_and_pseudonym() {
    let (rows, _) = chain(1);
    let teller = Teller {
        program: "causeway-gateway".to_owned(),
        place: "centre".to_owned(),
    };
    let text = dicom(&rows[0].record, &teller);
    for part in [
        "<EventID csd-code=\"110103\" codeSystemName=\"DCM\" originalText=\"DICOM Instances Accessed\"/>",
        "EventActionCode=\"R\" EventDateTime=\"2023-11-14T22:13:20.000001Z\" EventOutcomeIndicator=\"0\"",
        "<ActiveParticipant UserID=\"a1\" UserIsRequestor=\"true\"/>",
        "ParticipantObjectID=\"1.2.3\" ParticipantObjectTypeCode=\"2\" ParticipantObjectTypeCodeRole=\"3\"",
        "csd-code=\"110180\"",
        "ParticipantObjectID=\"CW22&lt;&amp;&gt;&quot;22\" ParticipantObjectTypeCode=\"1\" ParticipantObjectTypeCodeRole=\"1\"",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    for (event, id, kind) in [
        ("started", "110100", "110120"),
        ("stopped", "110100", "110121"),
        ("signed-in", "110114", "110122"),
        ("signed-out", "110114", "110123"),
        ("images-sent", "110102", ""),
        ("study-sealed", "110104", ""),
        ("report-signed", "110111", ""),
        ("study-recalled", "110105", ""),
        ("report-delivery", "110106", ""),
        ("audit-doubted", "110113", "110135"),
        ("something-new", "110100", ""),
    ] {
        let mut record = rows[0].record.clone();
        record.event = event.to_owned();
        let text = dicom(&record, &teller);
        let id = format!("<EventID csd-code=\"{id}\"");
        let kind = format!("<EventTypeCode csd-code=\"{kind}");
        assert!(
            text.contains(&id) && text.contains(&kind),
            "{event}: {text}"
        );
    }
}

#[test]
fn events_of_fhir_have_what_r4_demands_and_reads_the_shape_of_balp() {
    let (rows, _) = chain(1);
    let teller = Teller {
        program: "causeway-gateway".to_owned(),
        place: "centre".to_owned(),
    };
    let read = fhir(&rows[0].record, &teller);
    assert_eq!(read["type"]["code"], "rest");
    assert_eq!(read["subtype"][0]["code"], "read");
    assert_eq!(read["agent"].as_array().unwrap().len(), 3);
    assert_eq!(read["entity"][1]["role"]["code"], "1");
    assert!(
        read["meta"]["profile"][0]
            .as_str()
            .unwrap()
            .contains("PatientRead")
    );
    let mut record = rows[0].record.clone();
    record.event = "signed-in".to_owned();
    record.subject = "a1".to_owned();
    record.detail = "{}".to_owned();
    let plain = fhir(&record, &teller);
    // type, recorded, agent with requestor, source with observer: 1..1 or 1..* in R4
    assert_eq!(plain["type"]["code"], "110114");
    assert_eq!(plain["recorded"], "2023-11-14T22:13:20.000001Z");
    assert_eq!(plain["agent"][0]["requestor"], true);
    assert_eq!(plain["source"]["observer"]["display"], "causeway-gateway");
    assert_eq!(plain["outcome"], "0");
}
