//! The rows as they stand between two steps, read by the run itself.

use std::collections::BTreeMap;

use sqlx::FromRow;

use crate::rows::Rows;

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(super) struct Task {
    pub(super) uid: String,
    pub(super) case_id: String,
    pub(super) code: String,
    pub(super) state: String,
    pub(super) readiness: String,
    pub(super) priority: String,
    pub(super) holder: String,
    pub(super) transaction_uid: String,
    pub(super) replaces: String,
    pub(super) reason_code: String,
}

impl Task {
    pub(super) fn is_open(&self) -> bool {
        ["SCHEDULED", "IN PROGRESS"].contains(&&*self.state)
    }
}

/// A draft.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(super) struct Draft {
    pub(super) case_id: String,
    pub(super) version: i64,
    pub(super) author_id: String,
    pub(super) content: String,
}

/// A signed report.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(super) struct Report {
    pub(super) id: String,
    pub(super) case_id: String,
    pub(super) workitem_uid: String,
    pub(super) version: i64,
    pub(super) predecessor: String,
    pub(super) status: String,
    pub(super) author_id: String,
    pub(super) verifier: String,
    pub(super) draft_version: i64,
    pub(super) content: String,
    pub(super) model: String,
    pub(super) signed_us: i64,
}

/// A signed document and its delivery.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(super) struct Document {
    pub(super) report_id: String,
    pub(super) blob_key: String,
    pub(super) digest: String,
    pub(super) delivery: String,
    pub(super) delivery_state: String,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) tasks: BTreeMap<String, Task>,
    pub(super) drafts: BTreeMap<String, Draft>,
    pub(super) reports: Vec<Report>,
    pub(super) documents: BTreeMap<String, Document>,
    pub(super) events: BTreeMap<String, i64>,
    /// The case of each study.
    pub(super) cases: BTreeMap<String, String>,
}

impl Seen {
    pub(super) async fn of(rows: &Rows) -> Self {
        let read = rows.read();
        let tasks: Vec<Task> = sqlx::query_as(
            "SELECT uid, case_id, code, state, readiness, priority, COALESCE(claimed_by, '') AS holder, COALESCE(transaction_uid, '') AS transaction_uid,
                    COALESCE(replaces_uid, '') AS replaces, COALESCE(reason_code, '') AS reason_code FROM workitem",
        )
        .fetch_all(read)
        .await
        .unwrap();
        let drafts: Vec<Draft> =
            sqlx::query_as("SELECT case_id, version, author_id, content FROM draft")
                .fetch_all(read)
                .await
                .unwrap();
        let reports = sqlx::query_as(
            "SELECT id, case_id, workitem_uid, version, COALESCE(predecessor_id, '') AS predecessor, status, author_id, COALESCE(verifier_id, '') AS verifier,
                    draft_version, content, model, signed_us FROM report ORDER BY case_id, version",
        )
        .fetch_all(read)
        .await
        .unwrap();
        let documents: Vec<Document> = sqlx::query_as(
            "SELECT r.report_id, r.blob_key, r.digest, d.id AS delivery, d.state AS delivery_state FROM report_document r JOIN delivery d ON d.sop_uid = r.sop_uid",
        )
        .fetch_all(read)
        .await
        .unwrap();
        let events: Vec<(String, i64)> =
            sqlx::query_as("SELECT event, count(*) FROM audit_event GROUP BY event")
                .fetch_all(read)
                .await
                .unwrap();
        let cases: Vec<(String, String)> =
            sqlx::query_as("SELECT study_uid, case_id FROM case_study")
                .fetch_all(read)
                .await
                .unwrap();
        let tasks = tasks.into_iter().map(|it| (it.uid.clone(), it));
        let drafts = drafts.into_iter().map(|it| (it.case_id.clone(), it));
        let documents = documents.into_iter().map(|it| (it.delivery.clone(), it));
        Self {
            tasks: tasks.collect(),
            drafts: drafts.collect(),
            reports,
            documents: documents.collect(),
            events: events.into_iter().collect(),
            cases: cases.into_iter().collect(),
        }
    }

    /// The open tasks of a case.
    pub(super) fn open(&self, case: &str) -> Vec<&Task> {
        let all = self.tasks.values();
        all.filter(|task| task.case_id == case && task.is_open())
            .collect()
    }

    /// Who holds the task of a case; empty when nobody does.
    pub(super) fn holder(&self, case: &str) -> &str {
        let held = self.open(case).into_iter();
        held.filter(|task| task.state == "IN PROGRESS")
            .map(|task| &*task.holder)
            .next()
            .unwrap_or_default()
    }

    /// The newest report of a case.
    pub(super) fn last(&self, case: &str) -> Option<&Report> {
        self.reports.iter().rfind(|one| one.case_id == case)
    }

    /// How often this was recorded.
    pub(super) fn recorded(&self, event: &str) -> i64 {
        self.events.get(event).copied().unwrap_or(0)
    }
}
