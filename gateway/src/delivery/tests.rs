//! What one word says of many destinations, and whose messages count.

use super::*;

fn check(forms: &[(&str, &str)], expect: &str) {
    let forms: Vec<Form> = forms
        .iter()
        .map(|(destination, state)| Form {
            destination: (*destination).to_owned(),
            form: "sr".to_owned(),
            state: (*state).to_owned(),
        })
        .collect();
    assert_eq!(overall(&forms), expect, "{forms:?}");
}

#[test]
fn one_word_for_all_destinations() {
    check(&[], "waiting");
    check(&[("site", "at-site")], "at-site");
    check(&[("site", "rejected")], "rejected");
    check(&[("site", "held")], "held");
    check(&[("site", "waiting")], "waiting");
    check(&[("site", "waiting"), ("pacs", "delivered")], "waiting");
    check(&[("site", "at-site"), ("pacs", "delivered")], "delivered");
    check(&[("site", "at-site"), ("pacs", "waiting")], "at-site");
    check(&[("pacs", "not-taken")], "not-taken");
    check(
        &[("pacs", "delivered"), ("other", "not-taken")],
        "delivered",
    );
    check(&[("pacs", "delivered"), ("other", "waiting")], "at-site");
    check(&[("pacs", "held"), ("other", "waiting")], "held");
}
