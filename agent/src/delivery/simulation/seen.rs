//! Every row of deliveries as it stands after a step.

use std::collections::BTreeMap;

use crate::rows::Rows;

/// A report, where it goes, and in which form.
pub(super) type Key = (String, String, String);

/// One row towards a destination, or of the agent itself.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Line {
    pub(super) sop_uid: String,
    pub(super) delivery: String,
    pub(super) destination: String,
    pub(super) form: String,
    pub(super) state: String,
    pub(super) sentence: String,
    pub(super) attempts: i64,
    pub(super) due_us: Option<i64>,
    pub(super) lease_until_us: i64,
    pub(super) unknown: i64,
}

impl Line {
    pub(super) fn key(&self) -> Key {
        let Self {
            sop_uid,
            destination,
            form,
            ..
        } = self.clone();
        (sop_uid, destination, form)
    }

    /// Towards somebody else.
    pub(super) fn leaves(&self) -> bool {
        self.destination != super::super::SITE
    }

    /// It is on its way to somebody else.
    pub(super) fn waits(&self) -> bool {
        self.leaves() && self.moves()
    }

    pub(super) fn moves(&self) -> bool {
        matches!(self.state.as_str(), "at-site" | "waiting")
    }
}

/// One report.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Known {
    pub(super) id: i64,
    pub(super) sop_uid: String,
    pub(super) case_code: String,
    pub(super) status: String,
    pub(super) signer: String,
    pub(super) signed_us: i64,
    pub(super) lost: Option<i64>,
    /// Of its restoration, where it has one.
    pub(super) restored: Option<String>,
    pub(super) decided_by: Option<String>,
    pub(super) decided_us: Option<i64>,
    /// Of the document of the site.
    pub(super) home: Option<String>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) lines: BTreeMap<Key, Line>,
    pub(super) reports: BTreeMap<String, Known>,
    /// Pages: of which report.
    pub(super) pages: BTreeMap<String, String>,
}

impl Seen {
    pub(super) async fn of(rows: &Rows) -> Self {
        let lines: Vec<Line> = sqlx::query_as(
            "SELECT r.sop_uid, r.delivery, d.destination, d.form, d.state, d.sentence, d.attempts, d.due_us, d.lease_until_us, d.unknown \
             FROM delivery d JOIN report r ON r.id = d.report_id",
        )
        .fetch_all(rows.read())
        .await
        .unwrap();
        let reports: Vec<Known> = sqlx::query_as(
            "SELECT r.id, r.sop_uid, r.case_code, r.status, r.signer, r.signed_us, o.lost, x.state AS restored, x.decided_by, \
             x.since_us AS decided_us, h.sop_uid AS home FROM report r LEFT JOIN own_report o ON o.sop_uid = r.sop_uid \
             LEFT JOIN restoration x ON x.report_id = r.id LEFT JOIN home_report h ON h.report_id = r.id",
        )
        .fetch_all(rows.read())
        .await
        .unwrap();
        let pages: Vec<(String, String)> =
            sqlx::query_as("SELECT sop_uid, report_uid FROM own_page")
                .fetch_all(rows.read())
                .await
                .unwrap();
        Self {
            lines: lines.into_iter().map(|line| (line.key(), line)).collect(),
            reports: reports
                .into_iter()
                .map(|one| (one.sop_uid.clone(), one))
                .collect(),
            pages: pages.into_iter().collect(),
        }
    }

    /// Whether a withdrawal that is here takes this report back.
    pub(super) fn taken_back(&self, uid: &str) -> bool {
        let of = &self.reports[uid];
        self.reports.values().any(|by| {
            by.status == super::super::WITHDRAWN
                && !by.signer.is_empty()
                && by.case_code == of.case_code
                && by.signed_us > of.signed_us
        })
    }

    /// Under which UIDs a line is at its destination.
    pub(super) fn uids(&self, line: &Line) -> Vec<String> {
        if line.form == super::super::IMAGE {
            let of = |(page, report): (&String, &String)| {
                (*report == line.sop_uid).then(|| page.clone())
            };
            return self.pages.iter().filter_map(of).collect();
        }
        let home = self.reports[&line.sop_uid].home.clone();
        vec![home.unwrap_or_else(|| line.sop_uid.clone())]
    }

    /// Of which report and in which form an object is.
    pub(super) fn of_object(&self, uid: &str) -> Option<(String, &'static str)> {
        if let Some(report) = self.pages.get(uid) {
            return Some((report.clone(), super::super::IMAGE));
        }
        let mut all = self.reports.values();
        let found = all.find(|one| one.home.as_deref().unwrap_or(&one.sop_uid) == uid);
        found.map(|one| (one.sop_uid.clone(), super::super::SR))
    }
}
