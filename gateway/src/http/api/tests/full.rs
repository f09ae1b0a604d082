//! The reading room over a disk on which nothing is left.

use std::time::Duration;

use axum::http::StatusCode;
use causeway_disk::SmallDisk;

use super::signing::{ready, view};
use super::stage::Stage;
use crate::rows::{Config, Rows};

/// The disk fills before anything is asked for, or when nothing but the signature is missing.
#[tokio::test]
async fn on_a_full_disk_cases_are_read_and_reports_signed() {
    for late in [false, true] {
        read_and_signed(late).await;
    }
}

async fn read_and_signed(late: bool) {
    let at = tempfile::tempdir().unwrap();
    let disk = SmallDisk::over(at.path(), "size=128m").unwrap();
    let folder = tempfile::tempdir_in(disk.path()).unwrap();
    let rows = Rows::open(&Config::default(), folder.path()).await.unwrap();
    let rows = rows.with_reserve(folder.path(), 16 << 20);
    assert!(rows.reserve().unwrap().hold(0).unwrap());
    // the floors of a gateway that was configured for another disk: all of this one lies below them
    let stage = Stage::new((folder, rows)).await;
    let (reader, case, _) = ready(&stage).await;
    if !late {
        disk.leave(0).unwrap();
    }
    let seen = view(&stage, &reader, &case).await;
    assert_eq!(seen["workitem"]["state"], "IN PROGRESS");
    let body = stage.previewed(&reader, &case, "final").await;
    if late {
        disk.leave(0).unwrap();
    }
    let signed = stage.sign(&reader, &case, &body).await;
    assert_eq!(
        signed.status,
        StatusCode::CREATED,
        "late: {late}, {}",
        signed.json
    );
    let path = format!("/reports/{}/sr", signed.json["report"].as_str().unwrap());
    let file = stage.call("GET", &path, &reader, None).await;
    assert_eq!(&file.bytes[128..132], b"DICM");
    assert!(!stage.state.rows.reserve().unwrap().is_held());
}

/// Without a reserve nothing can be written: the answer says why, and room is all it takes.
#[tokio::test]
async fn what_has_no_room_is_answered_507() {
    let at = tempfile::tempdir().unwrap();
    let disk = SmallDisk::over(at.path(), "size=128m").unwrap();
    let folder = tempfile::tempdir_in(disk.path()).unwrap();
    let rows = Rows::open(&Config::default(), folder.path()).await.unwrap();
    let stage = Stage::new((folder, rows)).await;
    let (reader, case, _) = ready(&stage).await;
    let body = stage.previewed(&reader, &case, "final").await;
    disk.leave(0).unwrap();
    let signed = stage.sign(&reader, &case, &body).await;
    assert_eq!(signed.status, StatusCode::INSUFFICIENT_STORAGE);
    assert_eq!(signed.json["type"], "urn:causeway:problem:no-room");
    // the rows have some room in their log; the same look stands in the trail for a while
    let path = format!("/cases/{case}");
    let refused = async {
        loop {
            let seen = stage.call("GET", &path, &reader, None).await;
            if seen.status != StatusCode::OK {
                break seen;
            }
            stage.pass(600);
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(60), refused).await;
    let refused = refused.unwrap();
    assert_eq!(refused.status, StatusCode::INSUFFICIENT_STORAGE);
    assert_eq!(refused.json["type"], "urn:causeway:problem:no-room");
    disk.clear().unwrap();
    let signed = stage.sign(&reader, &case, &body).await;
    assert_eq!(signed.status, StatusCode::CREATED, "{}", signed.json);
}
