//! The next case of a reader: reserved for two minutes, and what is fetched of it before he looks (P23).

use axum::http::StatusCode;

use super::stage::Stage;

/// P23: the next case is held for two minutes for the one who reads it next, and for nobody longer.
#[tokio::test]
async fn a_reserved_task_is_its_readers_for_two_minutes() {
    for stage in Stage::on_both().await {
        let (ada, bo) = (stage.reader("ada").await, stage.reader("bo").await);
        stage.waiting("1.2.3", &ada).await;
        stage.waiting("1.2.4", &ada).await;
        let list = stage.call("GET", "/worklist", &ada, None).await.json;
        let of = |study: &str, name: &str| {
            let items = list["items"].as_array().unwrap();
            let item = items.iter().find(|one| one["studies"][0]["uid"] == study);
            item.unwrap()[name].as_str().unwrap().to_owned()
        };
        let (case, first) = (of("1.2.3", "case"), of("1.2.3", "workitem"));
        let second = of("1.2.4", "workitem");
        let reserve = async |uid: &str, who| {
            let path = format!("/workitems/{uid}/reserve");
            stage.call("POST", &path, who, None).await
        };
        let claim = async |uid: &str, who| {
            let path = format!("/workitems/{uid}/claim");
            stage.call("POST", &path, who, None).await
        };
        let said = reserve(&first, &ada).await;
        assert_eq!(
            (said.status, &said.json["case"]),
            (StatusCode::OK, &case.clone().into())
        );
        let list = stage.call("GET", "/worklist", &bo, None).await.json;
        let items = list["items"].as_array().unwrap();
        let shown = items.iter().find(|one| one["workitem"] == first.as_str());
        let shown = &shown.unwrap()["reserved"];
        assert_eq!(
            (&shown["name"], &shown["mine"]),
            (&"Ada ada".into(), &false.into())
        );
        assert_eq!(shown["until"], said.json["until"]);
        for refused in [reserve(&first, &bo).await, claim(&first, &bo).await] {
            assert_eq!(refused.status, StatusCode::CONFLICT);
            assert_eq!(refused.json["holder"], "Ada ada");
            assert_eq!(refused.json["until"], said.json["until"]);
        }
        // one at a time: whoever reserves another gives the first free
        assert_eq!(reserve(&second, &ada).await.status, StatusCode::OK);
        assert_eq!(reserve(&first, &bo).await.status, StatusCode::OK);
        assert_eq!(claim(&first, &bo).await.status, StatusCode::OK);
        stage.pass(119);
        assert_eq!(claim(&second, &bo).await.status, StatusCode::CONFLICT);
        stage.pass(1);
        assert_eq!(
            claim(&second, &bo).await.status,
            StatusCode::OK,
            "its time is over"
        );
        assert_eq!(reserve(&second, &ada).await.json["holder"], "Ada bo");
        let written = "SELECT count(*) FROM audit_event WHERE event = 'workitem-reserved'";
        assert_eq!(stage.count(written).await, 3);
    }
}

#[tokio::test]
async fn a_stat_task_is_kept_from_nobody() {
    let stage = Stage::on_sqlite().await;
    let (ada, bo) = (stage.reader("ada").await, stage.reader("bo").await);
    let (_, workitem) = stage.waiting("1.2.3", &ada).await;
    stage
        .sql("UPDATE workitem SET priority = 'stat'", &[])
        .await;
    let path = |act: &str| format!("/workitems/{workitem}/{act}");
    let reserved = stage.call("POST", &path("reserve"), &ada, None).await;
    assert_eq!(reserved.status, StatusCode::OK);
    let claimed = stage.call("POST", &path("claim"), &bo, None).await;
    assert_eq!(claimed.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_fetched_ahead_is_written_down_as_that() {
    let stage = Stage::on_sqlite().await;
    let ada = stage.reader("ada").await;
    let (case, _) = stage.waiting("1.2.3", &ada).await;
    let path = format!("/cases/{case}");
    let ahead = [("x-causeway-ahead", "1")];
    let answer = stage.call_with("GET", &path, &ada, None, &ahead).await;
    assert_eq!(answer.status, StatusCode::OK);
    const AHEAD: &str = "SELECT count(*) FROM audit_event WHERE event = 'case-prefetched'";
    const OPENED: &str = "SELECT count(*) FROM audit_event WHERE event = 'case-opened'";
    let looks = async || (stage.count(AHEAD).await, stage.count(OPENED).await);
    assert_eq!(looks().await, (1, 0));
    stage.call("GET", &path, &ada, None).await;
    assert_eq!(looks().await, (1, 1));
}
