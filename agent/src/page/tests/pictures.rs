//! Withheld pictures: who may look, that looking is on record first, and what becomes of what is drawn.

use causeway_proto::dataset::{Dataset, Value};
use dicom_core::{Tag, VR};

use super::*;
use crate::mask::{Device, Family};

/// An ultrasound picture, 8 columns by 6 rows, in two frames.
fn ultrasound() -> Dataset {
    let mut it = Dataset::new();
    for (tag, vr, text) in [
        (Tag(0x0008, 0x0070), VR::LO, "Maker"),
        (Tag(0x0008, 0x1090), VR::LO, "Alpha"),
        (Tag(0x0028, 0x0004), VR::CS, "MONOCHROME2"),
        (Tag(0x0028, 0x0008), VR::IS, "2"),
    ] {
        it.put_text(tag, vr, text);
    }
    for (element, number) in [
        (0x0002, 1_u16),
        (0x0010, 6),
        (0x0011, 8),
        (0x0100, 8),
        (0x0101, 8),
        (0x0102, 7),
    ] {
        let value = Value::Bytes(number.to_le_bytes().to_vec());
        it.put(Tag(0x0028, element), VR::US, value);
    }
    let frames = [[b'a'; 48], [b'b'; 48]].concat();
    it.put(Tag(0x7FE0, 0x0010), VR::OB, Value::Bytes(frames));
    it
}

/// The site with a third object: an ultrasound picture that waits for the mask of its device.
async fn with_ultrasound() -> Site {
    let site = Site::new().await;
    let what = What::image("1.2.3", "1.2.3.3").with_bytes(&ultrasound().write());
    site.bench.store(&what).await.unwrap();
    let device = Device::new(Family::Ultrasound, "Maker", "Alpha", 6, 8).unwrap();
    assert_eq!(site.bench.spool.know_device(&device).await.unwrap(), 1);
    site.sql(
        "UPDATE instance SET state = 'withheld', reason = 'ultrasound, of an unknown device', sent_digest = NULL, device_id = 1, \
         sop_class = '1.2.840.10008.5.1.4.1.1.6.1' WHERE id = 3",
    )
    .await;
    site
}

impl Site {
    fn object(&self, id: i64, act: &str) -> String {
        self.at(&format!("object/{id}{act}"))
    }

    /// Records of one kind: who, and of what.
    async fn on_record(&self, event: &str) -> Vec<String> {
        sqlx::query_scalar("SELECT actor || ' ' || subject || ' ' || detail FROM audit_event WHERE event = $1 ORDER BY seq")
            .bind(event.to_owned())
            .fetch_all(self.bench.spool.rows().read())
            .await
            .unwrap()
    }
}

/// The fields of a drawn rectangle, and a reason.
fn drawn<'a>(edges: [&'a str; 4], scope: &'a str) -> Vec<(&'a str, &'a str)> {
    let [left, top, right, bottom] = edges;
    vec![
        ("left", left),
        ("top", top),
        ("right", right),
        ("bottom", bottom),
        ("scope", scope),
        ("act", "mask"),
        ("reason", "banner"),
    ]
}

#[tokio::test]
async fn a_picture_is_shown_to_those_who_are_signed_in_once_that_is_on_record() {
    let site = with_ultrasound().await;
    let (page, picture) = (site.object(3, ""), site.object(3, "/picture?frame=2"));
    let mut nobody = site.browser();
    for path in [&page, &picture] {
        let answer = nobody.get(path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert!(answer.text.is_empty(), "{path}");
    }
    assert!(site.on_record("withheld-viewed").await.is_empty());

    let mut rita = site.signed_in("rita").await;
    let shown = rita.get(&page).await.text;
    for part in [
        "Test, One",
        "ultrasound, of an unknown device",
        "MAKER ALPHA 8 × 6, ultrasound",
        "/picture?frame=1",
        "of 2",
        "1 object waits",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let answer = rita.get(&picture).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "image/png");
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    assert!(answer.text.ends_with(&"b".repeat(48)), "{}", answer.text);
    assert!(answer.text.contains("\"faint\":false"), "{}", answer.text);
    let faint = rita.get(&site.object(3, "/picture?look=faint")).await;
    assert!(faint.text.contains("\"faint\":true"), "{}", faint.text);
    assert!(faint.text.ends_with(&"a".repeat(48)), "the first");

    let once = format!("rita 1.2.3 {{\"case\":\"{}\"}}", site.case);
    assert_eq!(
        site.on_record("withheld-viewed").await,
        [once.as_str()],
        "within five minutes it is one look"
    );
    site.bench.pass(301);
    rita.get(&picture).await;
    site.signed_in("anna").await.get(&picture).await;
    let records = site.on_record("withheld-viewed").await;
    assert_eq!((records.len(), &records[1]), (3, &once));
    assert!(records[2].starts_with("anna "), "{records:?}");
}

#[tokio::test]
async fn nothing_is_shown_that_is_not_on_record_not_withheld_or_not_there() {
    let site = with_ultrasound().await;
    site.bench
        .store(&What::image("1.2.9", "1.2.9.1"))
        .await
        .unwrap();
    let other: String = sqlx::query_scalar("SELECT case_code FROM study WHERE study_uid = '1.2.9'")
        .fetch_one(site.bench.spool.rows().read())
        .await
        .unwrap();
    let mut rita = site.signed_in("rita").await;
    for path in [
        site.object(1, "/picture"),
        site.object(1, ""),
        site.object(99, "/picture"),
        format!("/case/{other}/object/3/picture"),
        site.object(3, "/picture?frame=3"),
        site.object(3, "/picture?frame=0"),
    ] {
        let answer = rita.get(&path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!answer.text.contains("PNG"), "{path}");
    }
    // an object that is none is named, and can be decided about all the same
    let broken = rita.get(&site.object(2, "")).await.text;
    assert!(broken.contains("It cannot be shown: "), "{broken}");
    assert!(!broken.contains("id=\"draw\"") && broken.contains("value=\"release\""));
    let answer = rita.get(&site.object(2, "/picture")).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    site.sql("ALTER TABLE audit_event RENAME TO gone").await;
    site.bench.pass(301);
    for act in ["", "/picture"] {
        let answer = rita.get(&site.object(3, act)).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{act}");
        assert!(!answer.text.contains("PNG") && !answer.text.contains("stage"));
    }
}

#[tokio::test]
async fn what_is_drawn_for_a_device_is_its_rule_and_can_be_taken_away() {
    let site = with_ultrasound().await;
    let mut rita = site.signed_in("rita").await;
    let masks = rita.get("/masks").await.text;
    assert!(masks.contains("MAKER ALPHA 8 × 6, ultrasound") && masks.contains("1 object waits"));
    assert!(masks.contains(&site.object(3, "")), "{masks}");
    let before = site.rows().await;
    let answer = rita
        .post(
            &site.object(3, "/mask"),
            &drawn(["0", "0", "8", "2"], "device"),
        )
        .await;
    assert_eq!(
        answer.place(),
        format!("/case/{}?said=masked&count=1", site.case)
    );
    assert_eq!(
        site.change(&before).await,
        [
            "-instance 3 withheld ultrasound, of an unknown device released=",
            "+instance 3 waiting  released=",
            "+decision mask rita: banner on 3"
        ]
    );
    let case = rita.get(answer.place()).await.text;
    assert!(case.contains("1 object is decided again now."), "{case}");
    assert!(case.contains("1 masked by rita: banner"), "{case}");
    let masks = rita.get("/masks").await.text;
    assert!(
        masks.contains("columns 0 to 7 of rows 0 to 1, says rita"),
        "{masks}"
    );
    let answer = rita
        .post("/masks/1/drop", &[("reason", "it has moved")])
        .await;
    assert_eq!(answer.place(), "/masks?said=mask-dropped");
    assert!(rita.get("/masks").await.text.contains("No mask yet."));
    let answer = rita
        .post("/masks/1/drop", &[("reason", "it has moved")])
        .await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(site.on_record("mask-drawn").await.len(), 1);
    assert_eq!(site.on_record("mask-dropped").await.len(), 1);
}

#[tokio::test]
async fn hiding_scan_area_is_asked_once_more() {
    let site = with_ultrasound().await;
    site.sql(
        "UPDATE mask_device SET regions = '[{\"left\":1,\"top\":1,\"right\":7,\"bottom\":6}]'",
    )
    .await;
    let mut rita = site.signed_in("rita").await;
    let page = rita.get(&site.object(3, "")).await.text;
    assert!(page.contains("class=\"region\" x=\"1\" y=\"1\" width=\"6\" height=\"5\""));
    let before = site.rows().await;
    let fields = drawn(["0", "0", "8", "2"], "device");
    let asked = rita.post(&site.object(3, "/mask"), &fields).await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.text);
    assert!(asked.text.contains("this would hide what was scanned"));
    assert!(
        asked
            .text
            .contains("class=\"drawn\" x=\"0\" y=\"0\" width=\"8\" height=\"2\"")
    );
    assert_eq!(site.change(&before).await, Vec::<String>::new());
    let mut again = fields;
    again.push(("confirmed", "yes"));
    let done = rita.post(&site.object(3, "/mask"), &again).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    let masks = rita.get("/masks").await.text;
    assert!(
        masks.contains("hides a part of the declared scan area"),
        "{masks}"
    );
}

#[tokio::test]
async fn one_object_is_masked_alone_and_a_device_may_have_nothing_burned_in() {
    let site = with_ultrasound().await;
    let mut rita = site.signed_in("rita").await;
    let before = site.rows().await;
    let fields = drawn(["2", "1", "4", "3"], "object");
    let answer = rita.post(&site.object(3, "/mask"), &fields).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert_eq!(
        site.change(&before).await,
        [
            "-instance 3 withheld ultrasound, of an unknown device released=",
            "+instance 3 waiting  released=",
            "+decision mask rita: banner on 3"
        ]
    );
    let mask: String = sqlx::query_scalar("SELECT mask FROM instance WHERE id = 3")
        .fetch_one(site.bench.spool.rows().read())
        .await
        .unwrap();
    let mask: Vec<crate::mask::Rectangle> = serde_json::from_str(&mask).unwrap();
    let drawn = crate::mask::Rectangle {
        left: 2,
        top: 1,
        right: 4,
        bottom: 3,
    };
    assert_eq!(mask, [drawn]);
    let case = rita.get(answer.place()).await.text;
    assert!(case.contains("1 masked by rita: banner"), "{case}");

    let site = with_ultrasound().await;
    let mut rita = site.signed_in("rita").await;
    let nothing = [("act", "nothing"), ("reason", "a phantom scanner")];
    let answer = rita.post(&site.object(3, "/mask"), &nothing).await;
    assert_eq!(
        answer.place(),
        format!("/case/{}?said=unmasked&count=1", site.case)
    );
    let masks = rita.get("/masks").await.text;
    assert!(masks.contains("Nothing is burned in, says rita"), "{masks}");
}

#[tokio::test]
async fn what_is_no_rectangle_of_the_picture_changes_nothing() {
    let site = with_ultrasound().await;
    let (mut rita, mut anna) = (site.signed_in("rita").await, site.signed_in("anna").await);
    let before = site.rows().await;
    for edges in [
        ["0", "0", "9", "2"],
        ["0", "0", "8", "7"],
        ["4", "0", "4", "2"],
        ["5", "0", "4", "2"],
        ["0", "0", "", "2"],
        ["0", "-1", "8", "2"],
        ["0", "0", "8", "two"],
        ["", "", "", ""],
    ] {
        for scope in ["device", "object"] {
            let answer = rita
                .post(&site.object(3, "/mask"), &drawn(edges, scope))
                .await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{edges:?}");
        }
    }
    let good = drawn(["0", "0", "8", "2"], "device");
    let elsewhere = drawn(["0", "0", "8", "2"], "everywhere");
    let mask = site.object(3, "/mask");
    let unreasoned = good[..6].to_vec();
    for (fields, status) in [
        (&unreasoned, StatusCode::BAD_REQUEST),
        (&elsewhere, StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(rita.post(&mask, fields).await.status, status);
    }
    for path in [&mask, "/masks/1/drop"] {
        let answer = anna.post(path, &good).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    for (object, status) in [(1, StatusCode::NOT_FOUND), (2, StatusCode::BAD_REQUEST)] {
        let answer = rita.post(&site.object(object, "/mask"), &good).await;
        assert_eq!(answer.status, status, "{object}");
    }
    assert_eq!(site.change(&before).await, Vec::<String>::new());
    site.sql("UPDATE study SET state = 'recalled' WHERE study_uid = '1.2.3'")
        .await;
    let page = rita.get(&site.object(3, "")).await.text;
    assert!(page.contains("The study was recalled") && !page.contains("id=\"draw\""));
    let alone = drawn(["0", "0", "8", "2"], "object");
    let answer = rita.post(&site.object(3, "/mask"), &alone).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_scanned_request_stands_beside_the_form_in_which_it_is_typed_off() {
    let site = with_ultrasound().await;
    let mut rita = site.signed_in("rita").await;
    let case = format!("/case/{}", site.case);
    let page = rita.get(&case).await.text;
    assert!(
        !page.contains("perhaps the request"),
        "an ultrasound picture is none"
    );
    site.sql("UPDATE instance SET sop_class = '1.2.840.10008.5.1.4.1.1.7' WHERE id = 3")
        .await;
    site.sql("UPDATE instance SET sop_class = '1.2.840.10008.5.1.4.1.1.104.1' WHERE id = 2")
        .await;
    let page = rita.get(&format!("{case}?beside=3")).await.text;
    let picture = format!("<img src=\"{}\"", site.object(3, "/picture"));
    assert!(page.contains(&picture), "{page}");
    let document = rita.get(&format!("{case}?beside=2")).await.text;
    assert!(document.contains("A PDF document: it is not opened"));
    assert!(!document.contains("<img src=\"/case"), "{document}");
    assert!(
        site.on_record("withheld-viewed").await.is_empty(),
        "the list itself shows none"
    );
    site.sql("UPDATE study SET state = 'recalled'").await;
    assert!(!rita.get(&case).await.text.contains("perhaps the request"));
}
