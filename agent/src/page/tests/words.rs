//! Words of people: checked and shown before they leave, and what readers ask.

use axum::http::StatusCode;

use super::*;

/// A site whose identity stays at home, with the header of an image that names its patient.
async fn pseudonymous() -> Site {
    let site = Site::new().await;
    site.sql("UPDATE agreement SET identity = 'pseudonymous'")
        .await;
    let mut bytes = Vec::new();
    for (tag, vr, value) in [
        ((0x0010_u16, 0x0010_u16), "PN", "Papadopoulou^Eleni"),
        ((0x0010, 0x0020), "LO", "4711-0815 "),
    ] {
        bytes.extend(tag.0.to_le_bytes());
        bytes.extend(tag.1.to_le_bytes());
        bytes.extend(vr.as_bytes());
        bytes.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
        bytes.extend(value.as_bytes());
    }
    let mut what = What::image("1.2.3", "1.2.3.3");
    what.bytes = bytes;
    site.bench.store(&what).await.unwrap();
    site
}

#[tokio::test]
async fn words_that_name_the_patient_are_shown_before_they_leave() {
    let site = pseudonymous().await;
    let mut rita = site.signed_in("rita").await;
    let before = site.rows().await;
    let asked = [("question", "Papadopoulou: stroke?"), ("weight_kg", "71")];
    let page = rita.post(&site.at("context"), &asked).await;
    assert_eq!(page.status, StatusCode::OK);
    let marked = "<mark class=\"removed\">[removed]</mark>: stroke?";
    assert!(
        page.text.contains("Not sent yet") && page.text.contains(marked),
        "{}",
        page.text
    );
    assert!(page.text.contains("<q dir=\"auto\">Papadopoulou</q>"));
    assert_eq!(site.change(&before).await, Vec::<String>::new());
    // what was seen for other words sends nothing
    let seen = page.text.split("name=\"seen\" value=\"").nth(1).unwrap();
    let seen = seen.split('"').next().unwrap().to_owned();
    let other = [("question", "Eleni: bleeding?"), ("seen", &seen)];
    let page = rita.post(&site.at("context"), &other).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(site.change(&before).await, Vec::<String>::new());
    let sure = [asked.as_slice(), &[("seen", &seen)]].concat();
    let sent = rita.post(&site.at("context"), &sure).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    assert_eq!(
        site.change(&before).await,
        [
            "+decision context rita:  on -",
            "+context Papadopoulou: stroke? rita"
        ]
    );
    let page = rita.get(&format!("/case/{}", site.case)).await.text;
    assert!(page.contains("What the reader sees of it") && page.contains(marked));
    // a letter likewise
    let page = rita
        .post(
            &site.at("letter"),
            &[("text", "Eleni is back at the scanner.")],
        )
        .await;
    assert!(page.text.contains("Not sent yet"), "{}", page.text);
    let sent = rita
        .post(
            &site.at("letter"),
            &[("text", "She is back at the scanner.")],
        )
        .await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let mut anna = site.signed_in("anna").await;
    for (act, field) in [
        ("letter", "text"),
        ("letters-read", "x"),
        ("context", "question"),
    ] {
        let refused = anna.post(&site.at(act), &[(field, "x")]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{act}");
    }
}

#[tokio::test]
async fn a_question_of_a_reader_stands_on_the_work_list_until_it_is_answered() {
    use causeway_proto::link::message::Letter;
    let site = Site::new().await;
    let mut rita = site.signed_in("rita").await;
    let letter = Letter {
        id: "r1".to_owned(),
        agreement: "a1".parse().unwrap(),
        case: site.case.clone(),
        written: causeway_proto::time::Timestamp(5),
        who: "Dr. <b>Weiß</b>".to_owned(),
        text: "Which arm? <script>".to_owned(),
    };
    let talk = crate::talk::Talk::new(site.bench.spool.clone());
    talk.take(&letter).await.unwrap().unwrap();
    let work = rita.get("/work").await.text;
    assert!(
        work.contains("Questions from readers") && work.contains("Which arm? &lt;script&gt;"),
        "{work}"
    );
    let page = rita.get(&format!("/case/{}", site.case)).await.text;
    assert!(page.contains("needs no answer") && page.contains("Dr. &lt;b&gt;Weiß"));
    let status = page_status(&site).await;
    assert_eq!(status, 1);
    let read = rita.post(&site.at("letters-read"), &[]).await;
    assert_eq!(read.status, StatusCode::SEE_OTHER, "{}", read.text);
    assert!(
        !rita
            .get("/work")
            .await
            .text
            .contains("Questions from readers")
    );
    assert_eq!(page_status(&site).await, 0);
    let again = rita.post(&site.at("letters-read"), &[]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
}

async fn page_status(site: &Site) -> u64 {
    site.page.desk.status().await.unwrap().unanswered
}
