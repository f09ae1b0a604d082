//! What is received stays a value; names keep their wildcards.

use super::statement::{name_pattern, wildcards};
use super::*;

#[test]
fn what_is_received_is_never_sql() {
    let search = Search {
        scope: Scope::Pairs(Vec::new()),
        level: Level::Study,
        criteria: vec![Criterion {
            field: Field::PatientId,
            rule: Rule::Text(vec!["'; DROP TABLE study; --".into(), "50%_*".into()]),
        }],
        limit: 1,
        offset: 0,
    };
    let statement = statement(&search);
    assert!(!statement.sql.contains("DROP") && statement.sql.contains("1 = 0"));
    assert_eq!(wildcards("50%_*a?"), "50\\%\\_%a_");
}

#[test]
fn names_are_folded_around_their_wildcards() {
    assert_eq!(name_pattern("MÜLLER^J*"), "muller j%");
    assert_eq!(name_pattern("*^Jane"), "% jane");
    assert_eq!(name_pattern("D?e^*"), "d_e %");
}
