//! A statement built of pieces of this file, with everything received as a bound value.

use sqlx::{AssertSqlSafe, FromRow};

use super::{Criterion, Field, Level, Rule, Scope};
use crate::archive::name::folded;
use crate::rows::Rows;

pub(super) const SERIES_JOIN: &str = "series r ON r.site_id = s.site_id AND r.agreement_id = s.agreement_id AND r.study_uid = s.study_uid";
pub(super) const INSTANCE_JOIN: &str = "instance i ON i.site_id = r.site_id AND i.agreement_id = r.agreement_id AND i.study_uid = r.study_uid AND i.series_uid = r.series_uid";

/// A statement and its values, in the order of their placeholders.
pub(super) struct Statement {
    pub(super) sql: String,
    values: Vec<Bound>,
}

pub(super) enum Bound {
    Text(String),
    Number(i64),
}

impl Statement {
    pub(super) fn new(sql: String) -> Self {
        Self {
            sql,
            values: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, text: &str) {
        self.sql.push_str(text);
    }

    pub(super) fn bind(&mut self, value: Bound) {
        self.values.push(value);
        self.sql.push_str(&format!("${}", self.values.len()));
    }

    pub(super) fn text(&mut self, value: &str) {
        self.bind(Bound::Text(value.to_owned()));
    }

    pub(super) async fn fetch<T>(self, rows: &Rows) -> Result<Vec<T>, sqlx::Error>
    where
        T: for<'r> FromRow<'r, sqlx::any::AnyRow> + Send + Unpin,
    {
        // built of this file's own pieces; everything received is a bound value
        let mut query = sqlx::query_as(AssertSqlSafe(self.sql));
        for value in self.values {
            query = match value {
                Bound::Text(text) => query.bind(text),
                Bound::Number(number) => query.bind(number),
            };
        }
        query.fetch_all(rows.read()).await
    }

    /// Puts text of this room before and behind.
    pub(super) fn around(&mut self, before: &str, behind: &str) {
        self.sql.insert_str(0, before);
        self.sql.push_str(behind);
    }

    /// `pinned`: another condition finds the studies faster. Then this one is written so that no index serves it.
    pub(super) fn scope(&mut self, scope: &Scope, pinned: bool) {
        let Scope::Pairs(pairs) = scope else {
            return;
        };
        self.push(" AND (");
        if pairs.is_empty() {
            self.push("1 = 0");
        }
        for (index, (site, agreement)) in pairs.iter().enumerate() {
            if index > 0 {
                self.push(" OR ");
            }
            let plain = if pinned { " || ''" } else { "" };
            self.push(&format!("(s.site_id{plain} = "));
            self.text(site.as_str());
            self.push(&format!(" AND s.agreement_id{plain} = "));
            self.text(agreement.as_str());
            self.push(")");
        }
        self.push(")");
    }

    /// A condition of a level below the one that is found holds when something below fulfils it.
    pub(super) fn criterion(&mut self, criterion: &Criterion, found: Level) {
        let (level, column) = criterion.field.place();
        self.push(" AND ");
        match (found, level) {
            (Level::Study, Level::Series) => {
                self.push(&format!(
                    "EXISTS (SELECT 1 FROM series r WHERE {} AND ",
                    on(SERIES_JOIN)
                ));
            }
            (Level::Study, Level::Instance) => {
                self.push("EXISTS (SELECT 1 FROM instance i WHERE i.site_id = s.site_id AND i.agreement_id = s.agreement_id AND i.study_uid = s.study_uid AND ");
            }
            (Level::Series, Level::Instance) => {
                self.push(&format!(
                    "EXISTS (SELECT 1 FROM instance i WHERE {} AND ",
                    on(INSTANCE_JOIN)
                ));
            }
            _ => self.push("("),
        }
        self.push("(");
        self.rule(criterion.field, column, &criterion.rule);
        self.push("))");
    }

    fn rule(&mut self, field: Field, column: &str, rule: &Rule) {
        match rule {
            Rule::Number(number) => {
                self.push(&format!("{column} = "));
                self.bind(Bound::Number(*number));
            }
            Rule::Range(from, to) => {
                self.push(&format!("{column} <> ''"));
                if let Some(from) = from {
                    self.push(&format!(" AND {column} >= "));
                    self.text(from);
                }
                if let Some(to) = to {
                    self.push(&format!(" AND {column} <= "));
                    // a day or a minute includes all that begins with it
                    self.text(&format!("{to}~"));
                }
            }
            Rule::Words(name) => {
                self.push("1 = 1");
                for word in folded(name).split(' ') {
                    self.push(&format!(" AND (' ' || {column}) LIKE "));
                    self.text(&format!("% {}%", escaped(word)));
                    self.push(" ESCAPE '\\'");
                }
            }
            Rule::Text(values) => {
                if values.is_empty() {
                    self.push("1 = 0");
                }
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        self.push(" OR ");
                    }
                    self.value(field, column, value);
                }
            }
        }
    }

    fn value(&mut self, field: Field, column: &str, value: &str) {
        let name = field == Field::PatientName;
        if value.contains(['*', '?']) {
            let pattern = if name {
                name_pattern(value)
            } else {
                wildcards(value)
            };
            // both databases fold ASCII by lower(); SQLite's LIKE folds it anyway
            self.push(&format!("lower({column}) LIKE lower("));
            self.text(&pattern);
            self.push(") ESCAPE '\\'");
        } else {
            self.push(&format!("{column} = "));
            self.text(&if name {
                folded(value)
            } else {
                value.to_owned()
            });
        }
    }
}

/// The condition of a join without its table.
fn on(join: &str) -> &str {
    join.split_once(" ON ")
        .map_or(join, |(_, condition)| condition)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// PS3.4 C.2.2.2.4: `*` is any sequence, `?` any one character.
pub(super) fn wildcards(text: &str) -> String {
    escaped(text)
        .chars()
        .map(|c| match c {
            '*' => '%',
            '?' => '_',
            other => other,
        })
        .collect()
}

/// The wildcards of a name around its folded pieces; a separator at a piece's end stays one.
pub(super) fn name_pattern(text: &str) -> String {
    let mut out = String::new();
    for piece in text.split_inclusive(['*', '?']) {
        let (words, wildcard) = match piece.char_indices().last() {
            Some((at, c @ ('*' | '?'))) => (piece.get(..at).unwrap_or(""), Some(c)),
            _ => (piece, None),
        };
        if words.starts_with(['^', '=', ' ']) {
            out.push(' ');
        }
        out.push_str(&escaped(&folded(words)));
        if words.ends_with(['^', '=', ' ']) && words.len() > 1 {
            out.push(' ');
        }
        match wildcard {
            Some('*') => out.push('%'),
            Some(_) => out.push('_'),
            None => {}
        }
    }
    out
}
