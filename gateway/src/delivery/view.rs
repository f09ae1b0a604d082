//! Where reports stand, in sentences for the case page and in one word for the list.

use std::collections::HashMap;

use causeway_proto::time::Timestamp;
use sqlx::FromRow;

use super::{ACKNOWLEDGED, DeliveryError};
use crate::rows::Rows;

/// One destination and form of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormView {
    /// The destination's name at the site.
    pub destination: String,
    /// The form.
    pub form: String,
    /// The state's word.
    pub state: String,
    /// The same for a person.
    pub sentence: String,
    /// When it is tried next.
    pub next_try: Option<Timestamp>,
    /// Since when it stands there.
    pub since: Timestamp,
}

/// One signed document on its way home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentView {
    /// The report it is a copy of.
    pub report: String,
    /// (0008,0018).
    pub sop_uid: String,
    /// The study under which it is filed.
    pub study_uid: String,
    /// The state's word.
    pub state: String,
    /// The same for a person.
    pub sentence: String,
    /// What the site says of each destination and form.
    pub forms: Vec<FormView>,
    /// Since when a person at the site has acknowledged it, of a withdrawal.
    pub acknowledged: Option<Timestamp>,
}

#[derive(FromRow)]
struct DocumentRow {
    report_id: String,
    sop_uid: String,
    study_uid: String,
    delivery_id: String,
    state: String,
    changed_us: i64,
}

#[derive(FromRow)]
struct FormRow {
    delivery_id: String,
    destination: String,
    form: String,
    state: String,
    sentence: String,
    next_try_us: Option<i64>,
    since_us: i64,
}

/// Every signed document of a case, with where it stands.
///
/// # Errors
/// When the database refuses.
pub async fn of_case(rows: &Rows, case: &str) -> Result<Vec<DocumentView>, DeliveryError> {
    let documents: Vec<DocumentRow> = sqlx::query_as(
        "SELECT r.report_id, r.sop_uid, r.study_uid, d.id AS delivery_id, d.state, d.changed_us
         FROM delivery d JOIN report_document r ON r.sop_uid = d.sop_uid JOIN report p ON p.id = r.report_id WHERE p.case_id = $1 ORDER BY p.version, r.study_uid",
    )
    .bind(case)
    .fetch_all(rows.read())
    .await?;
    let forms: Vec<FormRow> = sqlx::query_as(
        "SELECT f.delivery_id, f.destination, f.form, f.state, f.sentence, f.next_try_us, f.since_us
         FROM delivery_form f JOIN delivery d ON d.id = f.delivery_id JOIN report_document r ON r.sop_uid = d.sop_uid JOIN report p ON p.id = r.report_id
         WHERE p.case_id = $1 AND (f.destination <> 'site' OR f.form = $2) ORDER BY f.destination, f.form",
    )
    .bind(case)
    .bind(ACKNOWLEDGED)
    .fetch_all(rows.read())
    .await?;
    Ok(documents
        .into_iter()
        .map(|d| {
            let mine = forms.iter().filter(|f| f.delivery_id == d.delivery_id);
            let (seen, mine): (Vec<_>, Vec<_>) = mine.partition(|f| f.form == ACKNOWLEDGED);
            let forms: Vec<FormView> = mine.into_iter().map(FormRow::view).collect();
            let seen = seen.into_iter().find(|f| f.state == "delivered");
            DocumentView {
                acknowledged: seen.map(|f| Timestamp(f.since_us)),
                sentence: document_sentence(&d, &forms),
                report: d.report_id,
                sop_uid: d.sop_uid,
                study_uid: d.study_uid,
                state: d.state,
                forms,
            }
        })
        .collect())
}

/// The worst state of each listed case's newest report: case → (status, state).
///
/// # Errors
/// When the database refuses.
pub async fn states(rows: &Rows) -> Result<HashMap<String, (String, String)>, DeliveryError> {
    let all: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT p.case_id, p.status, d.state FROM report p JOIN report_document r ON r.report_id = p.id JOIN delivery d ON d.sop_uid = r.sop_uid
         WHERE p.version = (SELECT max(q.version) FROM report q WHERE q.case_id = p.case_id)",
    )
    .fetch_all(rows.read())
    .await?;
    let mut out: HashMap<String, (String, String)> = HashMap::new();
    for (case, status, state) in all {
        let entry = out.entry(case).or_insert_with(|| (status, state.clone()));
        if rank(&state) < rank(&entry.1) {
            entry.1 = state;
        }
    }
    Ok(out)
}

/// The one that needs a person most comes first.
#[must_use]
pub fn rank(state: &str) -> u8 {
    match state {
        "rejected" => 0,
        "held" => 1,
        "not-taken" => 2,
        "waiting" => 3,
        "at-site" => 4,
        _ => 5,
    }
}

impl FormRow {
    fn view(&self) -> FormView {
        let since = Timestamp(self.since_us);
        let next = self.next_try_us.map(Timestamp);
        let form = form_in_words(&self.form);
        let to = &self.destination;
        let why = ending(&self.sentence);
        let sentence = match self.state.as_str() {
            "delivered" if self.form == "image" => {
                format!("as page images in {to} since {since}{why}")
            }
            "delivered" => format!("in {to} since {since}{why}"),
            "at-site" => format!("at the site, not yet offered to {to}"),
            "waiting" => match next {
                Some(at) => format!("{to} has not taken it{why}; tried again at {at}"),
                None => format!("{to} has not taken it{why}; it is tried again"),
            },
            "not-taken" => format!("{to}: this PACS takes no {form}{why}"),
            "held" => format!("held at the site for a person to decide{why}"),
            _ => format!("the site did not deliver it{why}"),
        };
        FormView {
            destination: self.destination.clone(),
            form: self.form.clone(),
            state: self.state.clone(),
            sentence,
            next_try: next,
            since,
        }
    }
}

fn form_in_words(form: &str) -> &str {
    match form {
        "sr" => "structured reports",
        "pdf" => "PDF documents",
        "image" => "report images",
        _ => "such form",
    }
}

fn ending(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(" ({said})")
    }
}

/// The signed document is what counts; pages that show it are said to be that.
fn delivered(forms: &[FormView], since: Timestamp) -> String {
    let there = |form: &str| {
        let mut there = forms.iter().filter(|f| f.state == "delivered");
        there.find(|f| f.form == form)
    };
    match (there("sr"), there("image")) {
        (Some(report), _) => format!("in the PACS since {}", report.since),
        (None, Some(image)) => format!(
            "as page images in the PACS since {}; this PACS takes no structured reports",
            image.since
        ),
        (None, None) => format!("in the PACS since {since}"),
    }
}

fn document_sentence(document: &DocumentRow, forms: &[FormView]) -> String {
    let since = Timestamp(document.changed_us);
    let first = |state: &str| forms.iter().find(|f| f.state == state);
    match document.state.as_str() {
        "waiting" => "signed, on its way".to_owned(),
        "at-site" => first("waiting").map_or_else(
            || format!("at the site since {since}"),
            |f| f.sentence.clone(),
        ),
        "delivered" => delivered(forms, since),
        "not-taken" => "this PACS takes no structured reports".to_owned(),
        "held" => first("held").map_or_else(
            || "held at the site for a person to decide".to_owned(),
            |f| f.sentence.clone(),
        ),
        _ => "the site could not verify it; nothing was delivered".to_owned(),
    }
}
