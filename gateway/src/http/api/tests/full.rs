//! The reading room over a disk on which nothing is left.

use axum::http::StatusCode;
use causeway_disk::SmallDisk;

use super::signing::{ready, view};
use super::stage::Stage;
use crate::rows::{Config, Rows};

#[tokio::test]
async fn on_a_full_disk_cases_are_read_and_reports_signed() {
    let at = tempfile::tempdir().unwrap();
    let disk = SmallDisk::over(at.path(), "size=128m").unwrap();
    let folder = tempfile::tempdir_in(disk.path()).unwrap();
    let rows = Rows::open(&Config::default(), folder.path()).await.unwrap();
    let rows = rows.with_reserve(folder.path(), 16 << 20);
    assert!(rows.reserve().unwrap().hold(0).unwrap());
    // the floors of a gateway that was configured for another disk: all of this one lies below them
    let stage = Stage::new((folder, rows)).await;
    let (reader, case, _) = ready(&stage).await;
    disk.leave(0).unwrap();
    let seen = view(&stage, &reader, &case).await;
    assert_eq!(seen["workitem"]["state"], "IN PROGRESS");
    let body = stage.previewed(&reader, &case, "final").await;
    let signed = stage.sign(&reader, &case, &body).await;
    assert_eq!(signed.status, StatusCode::CREATED, "{}", signed.json);
    let path = format!("/reports/{}/sr", signed.json["report"].as_str().unwrap());
    let file = stage.call("GET", &path, &reader, None).await;
    assert_eq!(&file.bytes[128..132], b"DICM");
    assert!(!stage.state.rows.reserve().unwrap().is_held());
}
