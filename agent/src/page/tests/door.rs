//! The door: sessions and their end, forms of another session, wrong passwords, and where a sign-in leads.

use super::*;

#[tokio::test]
async fn a_session_ends_at_sign_out_when_idle_when_old_and_with_the_password() {
    let site = Site::new().await;
    let mut browser = site.signed_in("rita").await;
    let mut stolen = site.browser();
    stolen.cookies.clone_from(&browser.cookies);
    browser.post("/sign-out", &[]).await;
    assert_eq!(
        stolen.get("/work").await.status,
        StatusCode::SEE_OTHER,
        "signed out"
    );

    let mut browser = site.signed_in("rita").await;
    site.bench.pass(1799);
    let refresh = Request::get("/work")
        .header("causeway-refresh", "1")
        .body(Body::empty())
        .unwrap();
    assert_eq!(browser.send(refresh).await.status, StatusCode::OK);
    site.bench.pass(2);
    assert_eq!(
        browser.get("/work").await.status,
        StatusCode::SEE_OTHER,
        "a page that refreshes itself is nobody's doing"
    );

    let mut browser = site.signed_in("rita").await;
    for _ in 0..25 {
        site.bench.pass(1790);
        browser.get("/work").await;
    }
    assert_eq!(
        browser.get("/work").await.status,
        StatusCode::SEE_OTHER,
        "twelve hours"
    );

    let mut browser = site.signed_in("rita").await;
    site.page
        .accounts
        .set_password("rita", "another password", "anna")
        .await
        .unwrap();
    assert_eq!(
        browser.get("/work").await.status,
        StatusCode::SEE_OTHER,
        "another password"
    );
}

#[tokio::test]
async fn a_form_of_another_session_changes_nothing() {
    let site = Site::new().await;
    let (mut rita, mut anna) = (site.signed_in("rita").await, site.signed_in("anna").await);
    let foreign = hidden(&anna.get("/find").await.text);
    let before = site.rows().await;
    for word in ["", "guessed", &foreign] {
        let fields = [
            (guard::FORM, word),
            ("object", "2"),
            ("act", "release"),
            ("reason", "looked"),
        ];
        let answer = rita.post_as_is(&site.at("withheld"), &fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{word}");
        let answer = rita.post_as_is("/sign-out", &[(guard::FORM, word)]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{word}");
    }
    assert_eq!(site.change(&before).await, Vec::<String>::new());
    let mut stranger = site.browser();
    let answer = stranger
        .post_as_is("/sign-in", &[("name", "rita"), ("password", PASSWORD)])
        .await;
    assert_eq!(
        answer.status,
        StatusCode::FORBIDDEN,
        "a sign-in from elsewhere"
    );
    assert!(
        stranger
            .cookies
            .iter()
            .all(|(name, _)| name != "causeway-session")
    );
}

#[tokio::test]
async fn wrong_passwords_cost_time_and_say_nothing() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let mut said = Vec::new();
    for name in ["rita", "nobody"] {
        for _ in 0..5 {
            let answer = browser.sign_in(name, "wrong password").await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name}");
            said.push(answer.text.contains("Name or password are not right."));
        }
        let answer = browser.sign_in(name, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{name}");
    }
    assert!(said.iter().all(|same| *same));
    site.bench.pass(3);
    let answer = browser.sign_in("rita", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.place(), "/work");
}

#[tokio::test]
async fn afterwards_the_browser_goes_to_a_page_of_ours_only() {
    let site = Site::new().await;
    for (to, expect) in [
        ("/status", "/status"),
        ("//elsewhere", "/work"),
        ("https:elsewhere", "/work"),
        ("/\\elsewhere", "/work"),
    ] {
        let mut browser = site.browser();
        let word = hidden(&browser.get("/sign-in").await.text);
        let fields = [
            (guard::FORM, word.as_str()),
            ("name", "rita"),
            ("password", PASSWORD),
            ("to", to),
        ];
        assert_eq!(
            browser.post_as_is("/sign-in", &fields).await.place(),
            expect
        );
    }
}
