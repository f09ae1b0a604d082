//! Images whose bytes are damaged: no address serves them, each says why, and what is whole of the study is served.

use axum::http::header;

use super::desk::Desk;
use crate::ingest::tests::{CT, Object};

#[tokio::test]
async fn no_address_serves_damaged_bytes_and_each_says_why() {
    for desk in Desk::on_both().await {
        let image = [(0x7FE0_0010, "OB", b"ab".as_slice())];
        let [bad, good] = ["1.2.3.4.5", "1.2.3.4.6"].map(|sop| Object::made(sop, CT, &image));
        desk.keep(&bad).await;
        desk.keep(&good).await;
        let (path, whole) = (
            bad.path(),
            ["/studies/1.2.3", "/studies/1.2.3/series/1.2.3.4"],
        );
        let of_it = [
            path.clone(),
            format!("{path}/frames/1"),
            format!("{path}/frames/1/rendered"),
            format!("{path}/rendered"),
            format!("{path}/thumbnail"),
            format!("{path}/bulk/pixels"),
        ];
        let fault = "INSERT INTO blob_fault (blob_key, site_id, kind, found_us) SELECT blob_key, 's1', 'altered', 1 FROM instance WHERE sop_uid = '1.2.3.4.5'";
        desk.sql(fault).await;
        for (status, kind) in [(503, "images-damaged"), (410, "images-lost")] {
            for address in of_it.iter().map(String::as_str).chain(whole) {
                let answer = desk.get(address, "*/*").await;
                assert_eq!(answer.status, status, "{address}");
                assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
                let asked_again = answer.headers.contains_key(header::RETRY_AFTER);
                assert_eq!(asked_again, status == 503, "{address}");
                let said = answer.json();
                assert_eq!(said["type"], format!("urn:causeway:problem:{kind}"));
                let words = said["detail"].as_str().unwrap();
                assert!(words.contains("damaged on the disk"), "{words}");
                assert_eq!(desk.get_as("other", address, "*/*").await.status, 404);
            }
            // what does not need its bytes, and what is whole, is served
            for address in [format!("{path}/metadata"), good.path()] {
                assert_eq!(desk.get(&address, "*/*").await.status, 200, "{address}");
            }
            desk.sql("UPDATE blob_fault SET gone_us = 2").await;
        }
        desk.sql("DELETE FROM blob_fault").await;
        let answer = desk.get(&path, "application/dicom").await;
        assert_eq!(answer.status, 200);
        assert!(answer.bytes.ends_with(&bad.bytes));
        assert_eq!(
            desk.get("/studies", "*/*")
                .await
                .json()
                .as_array()
                .map(Vec::len),
            Some(1)
        );
    }
}
