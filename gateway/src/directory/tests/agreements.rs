//! What an agreement may say, and when it holds.

use causeway_proto::ids::SiteId;

use super::*;

/// What is in force for the site and for its readers at a moment.
async fn in_force(office: &Office, site: &SiteId, at: Timestamp) -> (Vec<String>, usize) {
    let found = agreements_of(&office.rows, site, at).await.unwrap();
    let reached = reach(&office.rows, "TEST reading", at).await.unwrap();
    let ids = found.into_iter().map(|one| one.terms.id.to_string());
    (ids.collect(), reached.len())
}

#[tokio::test]
async fn an_agreement_holds_from_its_first_day_at_the_site_to_its_last() {
    for office in offices().await {
        let (clock, random) = (&office.with.clock, &office.with.random);
        let site = office.site().await.id;
        let add = async |new: NewAgreement| {
            add_agreement(&office.rows, clock, random, "test", &new).await
        };
        let day = |text: &str| Some(text.parse().unwrap());
        let plain = add(NewAgreement {
            id: Some("plain".parse().unwrap()),
            ..NewAgreement::between(site.clone(), " TEST reading ")
        });
        let plain = plain.await.unwrap();
        assert_eq!(plain.terms.identity, "pseudonymous");
        assert_eq!(plain.terms.profile, "reading-1");
        assert_eq!(plain.terms.language, "el");
        assert_eq!(plain.terms.organisation, "TEST reading");
        let march = add(NewAgreement {
            id: Some("march".parse().unwrap()),
            options: vec!["device".to_owned(), "documents".to_owned()],
            language: Some("en".to_owned()),
            from: day("2031-03-01"),
            until: day("2031-03-31"),
            retention_days: 90,
            ..NewAgreement::between(site.clone(), "TEST reading")
        });
        let march = march.await.unwrap();
        let kept = agreement(&office.rows, &march.terms.id).await.unwrap();
        assert_eq!(kept, march);
        assert_eq!(kept.terms.options, ["device", "documents"]);
        assert_eq!(kept.terms.retention_days, 90);
        // the summer time of Athens begins on 30 March 2031
        let moment = |text: &str| Timestamp::from(text.parse::<jiff::Timestamp>().unwrap());
        let (first, after) = (
            moment("2031-02-28T22:00:00Z"),
            moment("2031-03-31T21:00:00Z"),
        );
        // made in the same instant: by their names
        let both = vec!["march".to_owned(), "plain".to_owned()];
        for (at, expect, state) in [
            (
                Timestamp(first.0 - 1),
                vec!["plain".to_owned()],
                "not yet in force",
            ),
            (first, both.clone(), "in force"),
            (Timestamp(after.0 - 1), both.clone(), "in force"),
            (after, vec!["plain".to_owned()], "run out"),
        ] {
            assert_eq!(
                in_force(&office, &site, at).await,
                (expect.clone(), expect.len())
            );
            assert_eq!(march.state(at), state);
        }
    }
}

#[tokio::test]
async fn an_agreement_ends_once_and_says_nothing_impossible() {
    for office in offices().await {
        let (clock, random) = (&office.with.clock, &office.with.random);
        let site = office.site().await.id;
        let add = async |new: NewAgreement| {
            add_agreement(&office.rows, clock, random, "test", &new).await
        };
        let day = |text: &str| Some(text.parse().unwrap());
        let between = || NewAgreement::between(site.clone(), "TEST reading");
        let (kept, made) = (add(between()).await.unwrap(), add(between()).await.unwrap());
        let end = async || {
            let id = &made.terms.id;
            end_agreement(&office.rows, clock, "test", id, "no reason").await
        };
        let now = clock.now();
        assert_eq!(end().await.unwrap().state(now), "ended");
        assert!(matches!(end().await, Err(DirectoryError::Ended(_))));
        assert_eq!(
            in_force(&office, &site, now).await.0,
            [kept.terms.id.to_string()]
        );
        for wrong in [
            NewAgreement::between(site.clone(), " "),
            NewAgreement {
                options: vec!["everything".to_owned()],
                ..between()
            },
            NewAgreement {
                identified: true,
                options: vec!["device".to_owned()],
                ..between()
            },
            NewAgreement {
                language: Some("e1".to_owned()),
                ..between()
            },
            NewAgreement {
                from: day("2031-03-02"),
                until: day("2031-03-01"),
                ..between()
            },
            NewAgreement {
                retention_days: 40_000,
                ..between()
            },
        ] {
            let refused = add(wrong.clone()).await.unwrap_err();
            assert!(matches!(refused, DirectoryError::Value { .. }), "{wrong:?}");
        }
        let known = "unknown".parse().unwrap();
        assert!(matches!(
            agreement(&office.rows, &known).await,
            Err(DirectoryError::NoAgreement(_))
        ));
    }
}
