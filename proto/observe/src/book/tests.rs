//! When an alarm is told, told again, and over.

use super::*;
use crate::config::Config;
use crate::rule::Rule;

const RULES: &[Rule] = &[
    Rule::new("link-down", 300, ""),
    Rule::new("object-held", 0, ""),
    Rule::ahead("certificate", 1000, ""),
];

fn at(seconds: i64) -> Timestamp {
    Timestamp(2_000_000_000_000_000 + seconds * 1_000_000)
}

fn finding(rule: &'static str, about: &str, since: Timestamp, weight: u64) -> Finding {
    Finding {
        rule,
        about: About::kept(about.to_owned()),
        since,
        sentence: "it is so".to_owned(),
        weight,
    }
}

/// A book, its bounds, and what it said at a look: phase, subject, how many more.
struct Desk {
    book: Book,
    bounds: Bounds,
}

impl Desk {
    fn new(config: &str) -> Self {
        Self {
            book: Book::default(),
            bounds: toml(config).bounds(RULES),
        }
    }

    fn look(&mut self, findings: &[Finding], now: i64) -> Vec<(Phase, String, usize)> {
        self.look_blind(findings, &[], now)
    }

    fn look_blind(
        &mut self,
        findings: &[Finding],
        blind: &[&'static str],
        now: i64,
    ) -> Vec<(Phase, String, usize)> {
        let source = Source {
            program: "causeway-agent",
            name: "site-a".to_owned(),
        };
        let looked = Looked {
            findings: findings.to_vec(),
            blind: blind.to_vec(),
        };
        let none = BTreeSet::new();
        let judged = self
            .book
            .judge(&looked, &self.bounds, &source, &none, at(now));
        for telling in &judged.tellings {
            self.book.taken(telling, at(now));
        }
        let told = judged.tellings.into_iter();
        told.map(|it| (it.phase, it.about.to_string(), it.also.len()))
            .collect()
    }

    fn acknowledge(&mut self, now: i64) {
        for entry in self.book.standing.values_mut() {
            entry.acknowledged = Some(Acknowledged {
                at: at(now),
                by: "operator".to_owned(),
            });
        }
    }
}

fn toml(text: &str) -> Config {
    serde_json::from_str(text).unwrap()
}

fn one(phase: Phase, about: &str) -> Vec<(Phase, String, usize)> {
    vec![(phase, about.to_owned(), 0)]
}

#[test]
fn it_is_told_when_its_bound_is_over_then_again_until_acknowledged_and_once_when_it_is_over() {
    let mut desk = Desk::new("{}");
    let down = [finding("link-down", "link", at(0), 0)];
    assert!(desk.look(&down, 299).is_empty(), "not yet");
    assert_eq!(desk.look(&down, 300), one(Phase::Raised, "link"));
    assert!(desk.look(&down, 301).is_empty(), "told once");
    assert!(desk.look(&down, 300 + 3599).is_empty());
    assert_eq!(desk.look(&down, 300 + 3600), one(Phase::Again, "link"));
    desk.acknowledge(4000);
    assert!(desk.look(&down, 99_999).is_empty(), "somebody knows");
    assert_eq!(desk.look(&[], 100_000), one(Phase::Over, "link"));
    assert!(desk.look(&[], 100_001).is_empty());
    assert_eq!(desk.book.entries().count(), 0);
    // what comes back is new
    let down = [finding("link-down", "link", at(100_002), 0)];
    assert!(desk.look(&down, 100_003).is_empty());
    assert_eq!(desk.look(&down, 100_400), one(Phase::Raised, "link"));
}

#[test]
fn what_doubles_is_told_although_somebody_knew_of_less() {
    let mut desk = Desk::new("{}");
    let held = |count| [finding("object-held", "CASE", at(0), count)];
    assert_eq!(desk.look(&held(2), 1), one(Phase::Raised, "CASE"));
    desk.acknowledge(2);
    assert!(desk.look(&held(1), 3).is_empty(), "less is nothing new");
    assert!(desk.look(&held(2), 4).is_empty());
    assert!(desk.look(&held(3), 5).is_empty(), "a little more");
    assert_eq!(desk.look(&held(4), 6), one(Phase::Raised, "CASE"));
    let entry = desk.book.entries().next().unwrap();
    assert_eq!((entry.acknowledged.as_ref(), entry.times), (None, 2));
}

#[test]
fn what_grows_with_every_look_is_a_handful_of_messages_and_leaves_a_word_standing() {
    let mut desk = Desk::new("{}");
    let mut told = 0;
    for count in 1..=100 {
        let held = [finding("object-held", "CASE", at(0), count)];
        let now = i64::try_from(count).unwrap() * 15;
        told += desk.look(&held, now).len();
    }
    assert_eq!(told, 7, "1, 2, 4, 8, 16, 32, 64");
    desk.acknowledge(1501);
    let more = [finding("object-held", "CASE", at(0), 101)];
    assert!(desk.look(&more, 1502).is_empty());
    // an hour after it was told last, once, and he still knows of it
    let hour = 64 * 15 + 3600;
    assert!(desk.look(&more, hour - 1).is_empty());
    assert_eq!(desk.look(&more, hour), one(Phase::Raised, "CASE"));
    assert!(desk.look(&more, hour + 7200).is_empty());
    let entry = desk.book.entries().next().unwrap();
    assert!(entry.acknowledged.is_some(), "{entry:?}");
}

#[test]
fn what_cannot_be_seen_is_not_over_and_a_clock_that_was_set_back_silences_nothing() {
    let mut desk = Desk::new("{}");
    let held = [finding("object-held", "CASE", at(0), 0)];
    assert_eq!(desk.look(&held, 10_000), one(Phase::Raised, "CASE"));
    assert!(desk.look_blind(&[], &["object-held"], 10_001).is_empty());
    assert_eq!(desk.book.entries().count(), 1);
    assert_eq!(desk.look(&held, 500), one(Phase::Again, "CASE"));
    assert!(desk.look(&held, 501).is_empty());
}

#[test]
fn what_began_under_a_clock_that_was_set_back_since_is_told_when_it_was_seen_for_long_enough() {
    let mut desk = Desk::new("{}");
    let down = [finding("link-down", "link", at(86_400), 0)];
    assert!(desk.look(&down, 0).is_empty());
    assert!(desk.look_blind(&[], &["link-down"], 100).is_empty());
    assert!(desk.look(&down, 299).is_empty());
    assert_eq!(desk.look(&down, 300), one(Phase::Raised, "link"));
    let since = desk.book.entries().next().unwrap().since;
    assert_eq!(since, at(0), "as it was seen");
    // another's clock goes ahead by two seconds
    assert_eq!(desk.look(&[], 301), one(Phase::Over, "link"));
    let down = [finding("link-down", "link", at(403), 0)];
    assert!(desk.look(&down, 401).is_empty());
    assert!(desk.look(&down, 700).is_empty());
    assert_eq!(desk.look(&down, 703), one(Phase::Raised, "link"));
}

#[test]
fn many_of_one_rule_are_one_message() {
    let mut desk = Desk::new("{}");
    let mut many: Vec<_> = (0..200)
        .map(|n| finding("object-held", &format!("C{n:03}"), at(0), 0))
        .collect();
    many.push(finding("link-down", "link", at(-300), 0));
    let told = desk.look(&many, 1);
    assert_eq!(
        told,
        [
            (Phase::Raised, "link".to_owned(), 0),
            (Phase::Raised, "C000".to_owned(), 199)
        ]
    );
    assert_eq!(desk.book.entries().count(), 201);
}

#[test]
fn what_lies_ahead_is_told_as_soon_as_it_is_near_enough() {
    let mut desk = Desk::new("{}");
    assert_eq!(desk.bounds.of("certificate").unwrap().as_secs(), 1000);
    let near = [finding("certificate", "link", at(5), 0)];
    assert_eq!(desk.look(&near, 5), one(Phase::Raised, "link"));
}

#[test]
fn a_rule_is_what_the_configuration_makes_of_it() {
    let text = r#"{"again_every_s": 60, "rules": {"link-down": {"bound_s": 10}, "object-held": {"off": true}}}"#;
    let mut desk = Desk::new(text);
    let both = [
        finding("link-down", "link", at(0), 0),
        finding("object-held", "CASE", at(0), 0),
    ];
    assert!(desk.look(&both, 9).is_empty());
    assert_eq!(desk.look(&both, 10), one(Phase::Raised, "link"));
    assert_eq!(desk.look(&both, 70), one(Phase::Again, "link"));
}

#[test]
fn what_cannot_be_configured_is_named_with_what_would_be_right() {
    let faults = [
        (r#"{"rules": {"link-up": {}}}"#, "rules", "link-down"),
        (r#"{"again_every_s": 5}"#, "again_every_s", "60"),
        (
            r#"{"webhook": [{"name": "a", "url": "ftp://x"}]}"#,
            "webhook.url",
            "https",
        ),
        (
            r#"{"webhook": [{"name": "a", "url": "https://x"}], "syslog": [{"name": "a", "address": "b:1"}]}"#,
            "name",
            "of its own",
        ),
        (
            r#"{"syslog": [{"name": "a", "address": "b"}]}"#,
            "syslog.address",
            "host:port",
        ),
        (
            r#"{"command": [{"name": "a", "program": "page"}]}"#,
            "command.program",
            "whole path",
        ),
        (
            r#"{"mail": [{"name": "a", "server": "b:25", "from": "x@y", "to": []}]}"#,
            "mail.to",
            "at least one",
        ),
        (
            r#"{"mail": [{"name": "a", "server": "b:25", "tls": "none", "user": "u", "password_file": "/p", "from": "x@y", "to": ["z@y"]}]}"#,
            "mail.tls",
            "starttls",
        ),
        (
            r#"{"webhook": [{"name": "a", "url": "http://x/", "authorization_file": "/t"}]}"#,
            "webhook.url",
            "https://",
        ),
        (
            r#"{"webhook": [{"name": "a", "url": "http://u:p@x/"}]}"#,
            "webhook.url",
            "https://",
        ),
    ];
    for (text, key, word) in faults {
        let (found, what) = toml(text).fault(RULES).unwrap();
        assert!(
            found == key && what.contains(word),
            "{text}: {found}: {what}"
        );
    }
    let holds = [
        r#"{"mail": [{"name": "a", "server": "b:25", "tls": "none", "from": "x@y", "to": ["z@y"]}]}"#,
        r#"{"webhook": [{"name": "a", "url": "http://x/at@night"}]}"#,
        r#"{"webhook": [{"name": "a", "url": "https://u:p@x/", "authorization_file": "/t"}]}"#,
        "{}",
    ];
    for text in holds {
        assert_eq!(toml(text).fault(RULES), None, "{text}");
    }
}

#[test]
fn what_could_not_be_written_is_owed_as_it_is_now() {
    let mut desk = Desk::new("{}");
    let held = finding("object-held", "KTR-1", at(0), 1);
    let mut judge = |findings: &[Finding], now| {
        let looked = Looked {
            findings: findings.to_vec(),
            blind: Vec::new(),
        };
        let source = Source {
            program: "causeway-gateway",
            name: "here".to_owned(),
        };
        let none = BTreeSet::new();
        desk.book
            .judge(&looked, &desk.bounds, &source, &none, at(now))
    };
    let mut owed = Judged::default();
    assert!(owed.is_written());
    owed.owe(&judge(std::slice::from_ref(&held), 0));
    assert_eq!((owed.kept.len(), owed.gone.len()), (1, 0));
    let more = finding("object-held", "KTR-1", at(0), 2);
    owed.owe(&judge(&[more], 1));
    let weights: Vec<u64> = owed.kept.iter().map(|entry| entry.weight).collect();
    assert_eq!(weights, [2], "the newest of each");
    owed.owe(&judge(&[], 2));
    assert_eq!((owed.kept.len(), owed.gone.len()), (0, 1));
    owed.owe(&judge(&[held], 3));
    assert_eq!(
        (owed.kept.len(), owed.gone.len()),
        (1, 0),
        "it is there again"
    );
    assert!(!owed.is_written());
}
