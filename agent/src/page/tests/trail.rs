//! Every act of a person at the site leaves one record, with who and what, and without the words that person typed.

use super::*;

/// A reason that no record may repeat.
const REASON: &str = "it is Mrs Test One";

impl Site {
    /// What the trail has of one actor, behind a record.
    async fn records_of(&self, actor: &str, behind: i64) -> Vec<(String, String)> {
        sqlx::query_as(
            "SELECT event, subject FROM audit_event WHERE actor = $1 AND seq > $2 ORDER BY seq",
        )
        .bind(actor.to_owned())
        .bind(behind)
        .fetch_all(self.bench.spool.rows().read())
        .await
        .unwrap()
    }

    async fn last(&self) -> i64 {
        sqlx::query_scalar("SELECT COALESCE(MAX(seq), 0) FROM audit_event")
            .fetch_one(self.bench.spool.rows().read())
            .await
            .unwrap()
    }
}

fn one(event: &str, subject: &str) -> Vec<(String, String)> {
    vec![(event.to_owned(), subject.to_owned())]
}

#[tokio::test]
async fn each_act_about_a_case_leaves_one_record() {
    let site = Site::new().await;
    site.sql("UPDATE study SET blocked = 'two patients'").await;
    let mut rita = site.signed_in("rita").await;
    let case = site.case.to_string();
    let decide = |act: &'static str| vec![("object", "2"), ("act", act), ("reason", REASON)];
    for (path, fields, event, subject) in [
        ("withheld", decide("keep"), "withheld-kept", "1.2.3"),
        ("withheld", decide("release"), "withheld-released", "1.2.3"),
        ("block", decide("keep"), "block-kept", "1.2.3"),
        ("block", decide("lift"), "block-lifted", "1.2.3"),
        ("raise", vec![("to", "stat")], "case-raised", "1.2.3"),
        (
            "context",
            vec![("question", "Fracture?")],
            "context-given",
            "1.2.3",
        ),
        (
            "letter",
            vec![("text", "Please call.")],
            "letter-written",
            &case,
        ),
        ("send-now", vec![], "wait-ended", &case),
        (
            "recall",
            vec![("reason", REASON)],
            "study-recalled",
            "1.2.3",
        ),
    ] {
        let before = site.last().await;
        let answer = rita.post(&site.at(path), &fields).await;
        assert_eq!(
            answer.status,
            StatusCode::SEE_OTHER,
            "{event}: {}",
            answer.text
        );
        assert_eq!(site.records_of("rita", before).await, one(event, subject));
        // what was done already leaves none
        let before = site.last().await;
        if rita.post(&site.at(path), &fields).await.status != StatusCode::SEE_OTHER {
            assert!(site.records_of("rita", before).await.is_empty(), "{event}");
        }
    }
    let told: Vec<String> = sqlx::query_scalar("SELECT subject || detail FROM audit_event")
        .fetch_all(site.bench.spool.rows().read())
        .await
        .unwrap();
    for record in told {
        assert!(
            !record.contains("Mrs") && !record.contains("PID-1"),
            "{record}"
        );
    }
}

#[tokio::test]
async fn who_comes_and_goes_and_who_keeps_accounts_is_on_record() {
    let site = Site::new().await;
    let mut anna = site.browser();
    for (name, password, actor, event) in [
        ("anna", "not this one", "anna", "sign-in-failed"),
        // somebody types a password where the name belongs
        (PASSWORD, "anna", "nobody", "sign-in-failed"),
        ("anna", PASSWORD, "anna", "signed-in"),
    ] {
        let before = site.last().await;
        anna.sign_in(name, password).await;
        assert_eq!(site.records_of(actor, before).await, one(event, actor));
        assert_eq!(site.last().await, before + 1);
    }
    let new = [
        ("name", "nina"),
        ("role", "radiographer"),
        ("password", "at least ten"),
    ];
    for (path, event, subject) in [
        ("/accounts", "account-added", "nina"),
        ("/accounts/password", "password-reset", "nina"),
        ("/accounts/remove", "account-removed", "nina"),
        ("/sign-out", "signed-out", "anna"),
    ] {
        let before = site.last().await;
        let answer = anna.post(path, &new).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(site.records_of("anna", before).await, one(event, subject));
    }
}
