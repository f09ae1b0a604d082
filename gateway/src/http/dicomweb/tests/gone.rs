//! Studies that were taken back, or whose time is over: every address says so at once, and nothing may be kept on the way.

use axum::http::header;
use serde_json::json;

use super::desk::Desk;
use crate::ingest::tests::{CT, Object};

#[tokio::test]
async fn every_address_of_a_study_that_is_gone_says_why_and_to_nobody_else() {
    for desk in Desk::on_both().await {
        let object = Object::made("1.2.3.4.5", CT, &[(0x7FE0_0010, "OB", b"ab")]);
        desk.keep(&object).await;
        let path = object.path();
        let (study, series) = ("/studies/1.2.3", "/studies/1.2.3/series/1.2.3.4");
        let below = [
            study.to_owned(),
            format!("{study}/metadata"),
            format!("{study}/thumbnail"),
            format!("{study}/series"),
            format!("{study}/instances"),
            series.to_owned(),
            format!("{series}/metadata"),
            format!("{series}/thumbnail"),
            format!("{series}/instances"),
            path.clone(),
            format!("{path}/metadata"),
            format!("{path}/frames/1"),
            format!("{path}/frames/1/rendered"),
            format!("{path}/rendered"),
            format!("{path}/thumbnail"),
            format!("{path}/bulk/pixels"),
        ];
        for address in &below {
            let answer = desk.get(address, "*/*").await;
            assert_eq!(
                answer.headers[header::CACHE_CONTROL],
                "no-store",
                "{address}"
            );
        }
        // put back to a backup: what it brought back stays shut, what its site sends since is shown
        desk.sql("INSERT INTO gateway_fact (name, value) VALUES ('restored_us', '1')")
            .await;
        desk.sql("UPDATE study SET restored = 'unheard'").await;
        assert_eq!(desk.get(study, "*/*").await.status, 200);
        desk.sql("UPDATE gateway_fact SET value = '9000000000000000' WHERE name = 'restored_us'")
            .await;
        for address in &below {
            let answer = desk.get(address, "*/*").await;
            assert_eq!(answer.status, 503, "{address}");
            assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
            assert_eq!(answer.json()["type"], "urn:causeway:problem:not-heard");
            assert_eq!(desk.get_as("other", address, "*/*").await.status, 404);
        }
        for search in ["/studies", "/series", "/instances?includefield=all"] {
            let found = desk.get(search, "*/*").await;
            assert_eq!(found.json(), json!([]), "{search}");
        }
        desk.sql("UPDATE study SET restored = ''").await;
        for (sql, kind, words) in [
            (
                "UPDATE study SET deleted_us = 1, deleted_days = 14",
                "images-deleted",
                "images deleted 14 days after the report, under the agreement",
            ),
            (
                "UPDATE study SET recalled_us = 1",
                "withdrawn",
                "the site has taken this study back; its images are not shown any more",
            ),
        ] {
            desk.sql("DELETE FROM instance").await;
            desk.sql(sql).await;
            for address in &below {
                for who in ["reader", "operator"] {
                    let answer = desk.get_as(who, address, "*/*").await;
                    // an operator looks at no image, whether there is one or not
                    if who == "operator" && answer.status == 403 {
                        continue;
                    }
                    assert_eq!(answer.status, 410, "{who} {address}");
                    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
                    let said = answer.json();
                    assert_eq!(said["detail"], json!(words), "{address}");
                    assert_eq!(said["type"], format!("urn:causeway:problem:{kind}"));
                }
                assert_eq!(desk.get_as("other", address, "*/*").await.status, 404);
            }
            assert_eq!(desk.get("/studies", "*/*").await.json(), json!([]));
        }
    }
}
