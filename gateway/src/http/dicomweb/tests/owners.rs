//! One Study Instance UID under two sites: who may see one of them gets it, who may see both gets neither.

use super::ALL;
use super::desk::Desk;
use crate::ingest::tests::{CT, Object};

#[tokio::test]
async fn a_study_uid_of_two_visible_sites_is_answered_with_neither() {
    for desk in Desk::on_both().await {
        let object = Object::made("1.2.3.4.5", CT, &[(0x7FE0_0010, "OB", b"ab")]);
        desk.keep(&object).await;
        // the same UIDs at the other site, which another organisation reads for
        for sql in [
            "INSERT INTO study (site_id, agreement_id, study_uid, purpose, priority, case_code, first_us, last_us) VALUES ('s2', 'g2', '1.2.3', 'comparison', 'routine', 'c', 1, 1)",
            "INSERT INTO series (site_id, agreement_id, study_uid, series_uid) VALUES ('s2', 'g2', '1.2.3', '1.2.3.4')",
            "INSERT INTO instance (site_id, agreement_id, sop_uid, study_uid, series_uid, sop_class, transfer_syntax, length, sent_digest, source_tag, blob_key, metadata, received_us)
             SELECT 's2', 'g2', sop_uid, study_uid, series_uid, sop_class, transfer_syntax, length, sent_digest, source_tag, blob_key, metadata, received_us FROM instance",
        ] {
            desk.sql(sql).await;
        }
        let path = object.path();
        for who in ["reader", "other"] {
            let answer = desk.get_as(who, &path, ALL).await;
            assert_eq!(answer.status, 200, "{who}");
        }
        desk.sql("UPDATE agreement SET organisation = 'Night Readers' WHERE id = 'g2'")
            .await;
        let series = "/studies/1.2.3/series/1.2.3.4";
        for below in [
            "/studies/1.2.3",
            "/studies/1.2.3/metadata",
            "/studies/1.2.3/thumbnail",
            "/studies/1.2.3/series",
            "/studies/1.2.3/instances",
            series,
            &format!("{series}/metadata"),
            &format!("{series}/thumbnail"),
            &format!("{series}/instances"),
            &path,
            &format!("{path}/metadata"),
            &format!("{path}/frames/1"),
            &format!("{path}/frames/1/rendered"),
            &format!("{path}/frames/1/thumbnail"),
            &format!("{path}/rendered"),
            &format!("{path}/thumbnail"),
            &format!("{path}/bulk/pixels"),
            &format!("{path}/bulk/0/1/1"),
        ] {
            for who in ["reader", "operator"] {
                let answer = desk.get_as(who, below, "*/*").await;
                assert_eq!(answer.status, 409, "{who} {below}");
                let kind = &answer.json()["type"];
                assert_eq!(*kind, "urn:causeway:problem:ambiguous-study", "{below}");
            }
            assert_eq!(desk.get_as("other", below, "*/*").await.status, 404);
        }
        for sql in [
            "INSERT INTO reading_case (id, site_id, agreement_id, code, created_us) VALUES ('k1', 's1', 'g1', 'c', 1)",
            "INSERT INTO reading_case (id, site_id, agreement_id, code, created_us) VALUES ('k2', 's2', 'g2', 'c', 1)",
        ] {
            desk.sql(sql).await;
        }
        for case in ["k1", "k2"] {
            let answer = desk.get(&format!("/cases/{case}{path}"), ALL).await;
            assert_eq!(answer.status, 200, "{case}");
            let answer = desk
                .get(
                    &format!("/cases/{case}/studies?StudyInstanceUID=1.2.3"),
                    "*/*",
                )
                .await;
            let found = answer.json();
            assert_eq!(found.as_array().map(Vec::len), Some(1));
            let address = found[0]["00081190"]["Value"][0].as_str().unwrap();
            let ours = format!("/dicomweb/cases/{case}/studies/1.2.3");
            assert!(address.ends_with(&ours), "{address}");
            let operator = desk
                .get_as("operator", &format!("/cases/{case}{path}"), ALL)
                .await;
            assert_eq!(operator.status, 403, "{case}");
        }
        let none = desk.get(&format!("/cases/k3{path}"), ALL).await;
        assert_eq!(none.status, 404);
        let none = desk.get_as("other", &format!("/cases/k1{path}"), ALL).await;
        assert_eq!(none.status, 404);
        let both = desk.get("/studies?StudyInstanceUID=1.2.3", "*/*").await;
        assert_eq!(both.json().as_array().map(Vec::len), Some(2));
        desk.sql("UPDATE study SET recalled_us = 1 WHERE site_id = 's2'")
            .await;
        assert_eq!(desk.get(&path, ALL).await.status, 200);
    }
}
