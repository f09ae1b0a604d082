//! What a person decides about a case, row by row.

use causeway_proto::dataset::Dataset;
use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::*;

#[tokio::test]
async fn what_is_released_waits_again_and_a_sealed_study_gets_a_new_version() {
    let site = Site::new().await;
    let mut rita = site.signed_in("rita").await;
    let work = rita.get("/work").await.text;
    assert!(
        work.contains("1 × CT") && work.contains("names may be burned in"),
        "{work}"
    );
    site.sql("UPDATE study SET state = 'handed-off', manifest_version = 1")
        .await;
    let before = site.rows().await;
    let object = site.withheld.to_string();
    let fields = [
        ("object", object.as_str()),
        ("act", "release"),
        ("reason", "looked at it"),
    ];
    let answer = rita.post(&site.at("withheld"), &fields).await;
    assert_eq!(answer.place(), format!("/case/{}?said=released", site.case));
    assert_eq!(
        site.change(&before).await,
        [
            "-instance 2 withheld names may be burned in released=",
            "-study handed-off routine v1 now=0 blocked=",
            "+instance 2 waiting  released=rita",
            "+study complete routine v2 now=0 blocked=",
            "+decision release rita: looked at it on 2",
        ]
    );
    let again = rita.post(&site.at("withheld"), &fields).await;
    assert_eq!(
        again.status,
        StatusCode::CONFLICT,
        "it is not withheld any more"
    );
    let case = rita
        .get(&format!("/case/{}?said=released", site.case))
        .await
        .text;
    assert!(case.contains("1 released by rita: looked at it"), "{case}");
}

#[tokio::test]
async fn what_is_kept_back_is_asked_about_no_more_and_may_still_be_released() {
    let site = Site::new().await;
    let mut rita = site.signed_in("rita").await;
    let before = site.rows().await;
    let keep = [("object", "2"), ("act", "keep"), ("reason", "a dose page")];
    rita.post(&site.at("withheld"), &keep).await;
    assert_eq!(
        site.change(&before).await,
        ["+decision keep rita: a dose page on 2"]
    );
    assert!(
        !rita
            .get("/work")
            .await
            .text
            .contains("names may be burned in")
    );
    let case = rita.get(&format!("/case/{}", site.case)).await.text;
    assert!(case.contains("kept back for good by rita"), "{case}");
    let release = [("object", "2"), ("act", "release"), ("reason", "asked for")];
    assert_eq!(
        rita.post(&site.at("withheld"), &release).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn objects_of_another_case_and_of_a_recalled_study_are_not_released() {
    let site = Site::new().await;
    site.bench
        .store(&What::image("1.2.9", "1.2.9.1"))
        .await
        .unwrap();
    let other: String = sqlx::query_scalar("SELECT case_code FROM study WHERE study_uid = '1.2.9'")
        .fetch_one(site.bench.spool.rows().read())
        .await
        .unwrap();
    let mut rita = site.signed_in("rita").await;
    let before = site.rows().await;
    let fields = [("object", "2"), ("act", "release"), ("reason", "looked")];
    let answer = rita.post(&format!("/case/{other}/withheld"), &fields).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    // neither without a reason, nor without a choice
    let answer = rita
        .post(
            &site.at("withheld"),
            &[("object", "2"), ("act", "release"), ("reason", " ")],
        )
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let answer = rita
        .post(
            &site.at("withheld"),
            &[("object", "2"), ("reason", "looked")],
        )
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(site.change(&before).await, Vec::<String>::new());
    site.sql("UPDATE study SET state = 'recalled' WHERE study_uid = '1.2.3'")
        .await;
    assert_eq!(
        rita.post(&site.at("withheld"), &fields).await.status,
        StatusCode::CONFLICT
    );
}

#[tokio::test]
async fn a_block_is_lifted_or_kept() {
    let site = Site::new().await;
    site.sql("UPDATE study SET blocked = 'the sender names another patient now'")
        .await;
    let mut rita = site.signed_in("rita").await;
    assert!(
        rita.get("/work")
            .await
            .text
            .contains("the sender names another patient now")
    );
    let before = site.rows().await;
    rita.post(
        &site.at("block"),
        &[("act", "keep"), ("reason", "asking the ward")],
    )
    .await;
    assert_eq!(
        site.change(&before).await,
        ["+decision keep-blocked rita: asking the ward on -"]
    );
    assert!(
        rita.get("/work")
            .await
            .text
            .contains("decided: it stays so")
    );
    let before = site.rows().await;
    let lift = [("act", "lift"), ("reason", "same person, new number")];
    rita.post(&site.at("block"), &lift).await;
    assert_eq!(
        site.change(&before).await,
        [
            "-study arriving routine v0 now=0 blocked=the sender names another patient now",
            "+study arriving routine v0 now=0 blocked=",
            "+decision unblock rita: same person, new number on -",
        ]
    );
    assert_eq!(
        rita.post(&site.at("block"), &lift).await.status,
        StatusCode::CONFLICT
    );
}

#[tokio::test]
async fn a_case_is_raised_and_never_lowered_and_the_link_says_so() {
    let site = Site::new().await;
    let mut rita = site.signed_in("rita").await;
    let before = site.rows().await;
    rita.post(&site.at("raise"), &[("to", "stat")]).await;
    assert_eq!(
        site.change(&before).await,
        [
            "-study arriving routine v0 now=0 blocked=",
            "+study arriving stat v0 now=0 blocked=",
            "+decision raise rita: stat on -",
        ]
    );
    let open = site.bench.spool.studies_to_open().await.unwrap();
    assert_eq!(open[0].open.priority.as_str(), "stat");
    // also when the study was handed off before it was raised, and no more once it is handed off again
    for (handed_off, said) in [
        (
            "UPDATE study SET state = 'handed-off', handed_off_us = 0",
            1,
        ),
        (
            "UPDATE study SET handed_off_us = 1 + (SELECT MAX(at_us) FROM decision)",
            0,
        ),
    ] {
        site.sql("UPDATE instance SET state = 'receipted' WHERE id = 1")
            .await;
        site.sql(handed_off).await;
        assert_eq!(
            site.bench.spool.studies_to_open().await.unwrap().len(),
            said,
            "{handed_off}"
        );
    }
    assert_eq!(
        rita.post(&site.at("raise"), &[("to", "urgent")])
            .await
            .status,
        StatusCode::CONFLICT
    );
    assert_eq!(
        rita.post(&site.at("raise"), &[("to", "routine")])
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn both_roles_end_a_wait_and_take_a_study_back() {
    for name in ["rita", "anna"] {
        let site = Site::new().await;
        let mut browser = site.signed_in(name).await;
        let before = site.rows().await;
        browser.post(&site.at("send-now"), &[]).await;
        assert_eq!(
            site.change(&before).await,
            [
                "-study arriving routine v0 now=0 blocked=".to_owned(),
                "+study arriving routine v0 now=1 blocked=".to_owned(),
                format!("+decision send-now {name}:  on -"),
            ]
        );
        let before = site.rows().await;
        assert_eq!(
            browser
                .post(&site.at("recall"), &[("reason", "")])
                .await
                .status,
            StatusCode::BAD_REQUEST
        );
        let fields = [("reason", "wrong study")];
        browser.post(&site.at("recall"), &fields).await;
        assert_eq!(
            site.change(&before).await,
            [
                "-study arriving routine v0 now=1 blocked=".to_owned(),
                "+study recalled routine v0 now=1 blocked=".to_owned(),
                format!("+decision recall {name}: wrong study on -"),
            ]
        );
        assert_eq!(
            site.bench.spool.recalls().await.unwrap()[0].reason,
            "wrong study"
        );
        assert_eq!(
            browser.post(&site.at("recall"), &fields).await.status,
            StatusCode::CONFLICT
        );
    }
}

#[tokio::test]
async fn what_the_reader_should_know_is_kept_whole_and_sent() {
    let site = Site::new().await;
    let mut rita = site.signed_in("rita").await;
    let page = rita.get(&format!("/case/{}", site.case)).await.text;
    assert!(page.contains("No clinical question supplied"), "{page}");
    let before = site.rows().await;
    let long = "q".repeat(3000);
    rita.post(
        &site.at("context"),
        &[
            ("question", "bleeding?"),
            ("weight_kg", "71"),
            ("allergy", &long),
        ],
    )
    .await;
    assert_eq!(
        site.change(&before).await,
        ["+decision context rita:  on -", "+context bleeding? rita"]
    );
    let page = rita.get(&format!("/case/{}", site.case)).await.text;
    assert!(
        page.contains("On its way: the gateway has not confirmed it yet")
            && page.contains("bleeding?")
            && page.contains("value=\"71\""),
        "{page}"
    );
    assert!(!page.contains(&"q".repeat(201)), "cut to its length");
}

/// A structured report of one line.
fn report() -> Vec<u8> {
    let mut name = Dataset::new();
    name.put_text(tags::CODE_MEANING, VR::LO, "Impression");
    let mut item = Dataset::new();
    item.put_text(tags::RELATIONSHIP_TYPE, VR::CS, "CONTAINS");
    item.put_text(tags::VALUE_TYPE, VR::CS, "TEXT");
    item.put_text(tags::TEXT_VALUE, VR::UT, "No bleeding.");
    item.put_items(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![name]);
    let mut title = Dataset::new();
    title.put_text(tags::CODE_MEANING, VR::LO, "CT head report");
    let mut dataset = Dataset::new();
    dataset.put_text(tags::VALUE_TYPE, VR::CS, "CONTAINER");
    dataset.put_items(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![title]);
    dataset.put_items(tags::CONTENT_SEQUENCE, vec![item]);
    dataset.write()
}

#[tokio::test]
async fn a_report_is_shown_as_text_for_paper_under_the_patients_name() {
    let site = Site::new().await;
    let spool = &site.bench.spool;
    let bytes = report();
    let syntax = "1.2.840.10008.1.2.1".parse().unwrap();
    let (handle, _) = spool
        .keep_report(&syntax, bytes.clone().into())
        .await
        .unwrap();
    let mut tx = spool.rows().begin().await.unwrap();
    let (study, sop) = ("1.2.3".parse().unwrap(), "1.2.7".parse().unwrap());
    spool
        .own_report(&mut tx, &study, &sop, &handle, bytes.len())
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO report (id, delivery, agreement, study_uid, sop_uid, sop_class, syntax, case_code, status, signed_us, signer, \
         received_us) VALUES (1, 'd1', 'a1', '1.2.3', '1.2.7', '1.2', $1, $2, 'preliminary', 0, 'Dr Rita Reader', 0)",
    )
    .bind("1.2.840.10008.1.2.1")
    .bind(site.case.as_str())
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let mut rita = site.signed_in("rita").await;
    let case = rita.get(&format!("/case/{}", site.case)).await.text;
    assert!(case.contains("href=\"/report/1\""), "{case}");
    let before = site.rows().await;
    let paper = rita.get("/report/1").await.text;
    for shown in [
        "Test, One",
        "PRELIMINARY",
        "Dr Rita Reader",
        "CT head report",
        "No bleeding.",
    ] {
        assert!(paper.contains(shown), "{shown} in {paper}");
    }
    assert_eq!(site.change(&before).await, ["+decision print rita:  on -"]);
    assert_eq!(rita.get("/report/2").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_header_of_a_withheld_object_is_told_as_far_as_it_reads() {
    let site = Site::new().await;
    let mut dataset = Dataset::new();
    dataset.put_text(tags::SERIES_DESCRIPTION, VR::LO, "Dose Report");
    dataset.put_text(tags::MANUFACTURER, VR::LO, "Maker");
    dataset.put_text(tags::MANUFACTURER_MODEL_NAME, VR::LO, "Model 7");
    dataset.put_items(tags::REQUEST_ATTRIBUTES_SEQUENCE, vec![Dataset::new()]);
    dataset.put_text(tags::BURNED_IN_ANNOTATION, VR::CS, "YES");
    dataset.put(
        tags::ROWS,
        VR::US,
        causeway_proto::dataset::Value::Bytes(vec![0, 2]),
    );
    dataset.put(
        tags::COLUMNS,
        VR::US,
        causeway_proto::dataset::Value::Bytes(vec![0, 3]),
    );
    let what = What::image("1.2.3", "1.2.3.3").with_bytes(&dataset.write());
    site.bench.store(&what).await.unwrap();
    site.sql(
        "UPDATE instance SET state = 'withheld', reason = 'a dose page' WHERE sop_uid = '1.2.3.3'",
    )
    .await;
    let mut rita = site.signed_in("rita").await;
    let case = rita.get(&format!("/case/{}", site.case)).await.text;
    for shown in [
        "768 × 512 pixels",
        "series “Dose Report”",
        "Maker Model 7",
        "the sender says YES",
    ] {
        assert!(case.contains(shown), "{shown} in {case}");
    }
}

#[tokio::test]
async fn what_became_of_a_recall_is_told_and_can_be_printed() {
    let site = Site::new().await;
    let mut browser = site.signed_in("rita").await;
    let record = format!("/case/{}/record", site.case);
    let none = browser.get(&record).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    browser
        .post(&site.at("recall"), &[("reason", "wrong patient")])
        .await;
    let page = browser.get(&format!("/case/{}", site.case)).await.text;
    assert!(page.contains("Taken back") && page.contains("Not confirmed yet"));
    site.sql("INSERT INTO erasure (study_id, why, objects, bytes, parts, reports, at_us, opened, more, heard_us)
        VALUES (1, 'recalled', 2, 2048, 1, 1, 1800000000000000,
        '[{\"account\":\"bo\",\"name\":\"Bo <Reader>\",\"organisation\":\"Night Readers\",\"first\":1,\"last\":2,\"what\":[\"images\",\"download\"]}]', 3, 5)")
        .await;
    for address in [format!("/case/{}", site.case), record] {
        let page = browser.get(&address).await;
        assert_eq!(page.status, StatusCode::OK);
        for words in [
            "<strong>2 objects</strong>",
            "1 that had arrived only in part",
            "1 signed report stays",
            "Bo &lt;Reader&gt;",
            "Night Readers",
            "images, whole objects, which can be kept",
            "And 3 more",
        ] {
            assert!(page.text.contains(words), "{address}: {words}");
        }
    }
}

#[tokio::test]
async fn what_is_withheld_of_a_stat_study_stands_above_everything_until_it_is_decided() {
    let site = Site::new().await;
    let mut browser = site.signed_in("rita").await;
    let routine = browser.get("/work").await.text;
    assert!(!routine.contains("not all of it has left"), "{routine}");
    site.sql("UPDATE study SET priority = 'stat'").await;
    let stat = browser.get("/work").await.text;
    let alarm = stat.find("role=\"alert\"").expect("an alarm");
    assert!(stat.contains("not all of it has left") && stat.contains("1 object is withheld"));
    assert!(alarm < stat.find("<section").unwrap(), "above everything");
    let at = site.at("withheld");
    browser
        .post(
            &at,
            &[
                ("object", &site.withheld.to_string()),
                ("reason", "a dose page"),
                ("act", "keep"),
            ],
        )
        .await;
    let decided = browser.get("/work").await.text;
    assert!(!decided.contains("not all of it has left"), "{decided}");
}

#[tokio::test]
async fn whoever_is_signed_in_may_say_that_he_knows_of_an_alarm() {
    let site = Site::new().await;
    site.sql(
        "INSERT INTO alarm (rule, about, sentence, since_us, raised_us, told_us, times, weight) \
         VALUES ('disk', 'disk', 'the disk <fills>', 0, 0, 0, 2, 1), ('object-held', 'x', 'held', 0, 0, 0, 1, 0)",
    )
    .await;
    let mut anna = site.signed_in("anna").await;
    let status = anna.get("/status").await.text;
    assert!(status.contains("the disk &lt;fills&gt;"), "{status}");
    assert_eq!(status.matches("I know").count(), 2, "{status}");
    let fields = [("rule", "disk"), ("about", "disk")];
    let answer = anna.post("/alarms/acknowledge", &fields).await;
    assert_eq!(answer.place(), "/status?said=alarm-known");
    let status = anna.get("/status").await.text;
    assert_eq!(status.matches("I know").count(), 1, "{status}");
    assert!(status.contains("anna knows"), "{status}");
    let again = anna.post("/alarms/acknowledge", &fields).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let other = [("rule", ""), ("about", "")];
    let all = anna.post("/alarms/acknowledge", &other).await;
    assert_eq!(all.status, StatusCode::CONFLICT, "one at a time");
}
