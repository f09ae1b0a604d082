//! Objects of another patient under a study: the case shows them, nothing is signed until somebody has decided on them.

use axum::http::StatusCode;
use serde_json::json;

use super::signing::{ready, view};
use super::stage::Stage;
use crate::ingest::quarantine;
use crate::worklist::ANOTHER_PATIENT;

#[tokio::test]
async fn objects_of_another_patient_stop_the_signature_until_they_are_settled() {
    for stage in Stage::on_both().await {
        let (reader, case, _) = ready(&stage).await;
        let aside = "INSERT INTO quarantine (id, site_id, agreement_id, study_uid, sop_uid, sent_digest, source_tag, length, blob_key, reason, receipt_number, receipt_epoch, received_us)
             VALUES ($1, 'athens', 'athens', $2, '1.9', $1, 't', 5, 'k', $3, 1, 1, 7)";
        // neither a second content nor what came under another study stands in the way
        let conflict = "another object with the same SOP Instance UID was received first";
        stage.sql(aside, &["a", "1.2.3", conflict]).await;
        stage.sql(aside, &["b", "1.2.4", ANOTHER_PATIENT]).await;
        let may = &view(&stage, &reader, &case).await["may"];
        assert_eq!(may["sign_final"], true, "{may}");
        let body = stage.previewed(&reader, &case, "final").await;
        stage.sql(aside, &["c", "1.2.3", ANOTHER_PATIENT]).await;
        stage.sql(aside, &["d", "1.2.3", ANOTHER_PATIENT]).await;
        for status in ["final", "preliminary"] {
            let body = stage.previewed(&reader, &case, status).await;
            let answer = stage.sign(&reader, &case, &body).await;
            assert_eq!(
                (answer.status, answer.kind()),
                (StatusCode::CONFLICT, "another-patient")
            );
        }
        let seen = view(&stage, &reader, &case).await;
        let expected = json!([
            { "count": 2, "reason": ANOTHER_PATIENT },
            { "count": 1, "reason": conflict },
        ]);
        assert_eq!(seen["studies"][0]["quarantined"], expected);
        assert_eq!(seen["may"]["sign_final"], false);
        assert_eq!(seen["may"]["sign_preliminary"], false);
        assert_eq!(stage.count("SELECT count(*) FROM report").await, 0);

        let (rows, now) = (&stage.state.rows, stage.state.clock.now());
        for (id, settled) in [("c", true), ("d", true), ("d", false), ("x", false)] {
            let done = quarantine::settle(rows, now, "operator", id, "sent in error").await;
            assert_eq!(done.unwrap(), settled, "{id}");
        }
        let noted = "SELECT count(*) FROM audit_event WHERE event = 'quarantine-settled'";
        assert_eq!(stage.count(noted).await, 2);
        let answer = stage.sign(&reader, &case, &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
    }
}
