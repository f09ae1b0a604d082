//! Whether the process takes work, and how much of what it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::rows::Rows;

/// Whether the process takes work; shared between `app` and the health port.
#[derive(Clone, Debug)]
pub struct Readiness {
    rows: Rows,
    open: Arc<AtomicBool>,
}

impl Readiness {
    /// Not ready yet.
    #[must_use]
    pub fn new(rows: Rows) -> Self {
        Self {
            rows,
            open: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Whether there is work to be given to this process, or why not, as a line of text.
    ///
    /// # Errors
    /// The sentence.
    pub async fn ask(&self) -> Result<(), &'static str> {
        if !self.open.load(Ordering::Relaxed) {
            return Err("starting or ending\n");
        }
        match sqlx::query("SELECT 1").execute(self.rows.read()).await {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "the rows do not answer");
                Err("the rows do not answer\n")
            }
        }
    }

    /// Counts in the text form of Prometheus, without identifiers.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn metrics(&self) -> Result<String, sqlx::Error> {
        let mut out = String::from(
            "# HELP causeway_up the process answers\n# TYPE causeway_up gauge\ncauseway_up 1\n",
        );
        for &(name, help, label, sql) in COUNTS {
            let found: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(self.rows.read()).await?;
            out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
            for (value, count) in found {
                let labels = if label.is_empty() {
                    String::new()
                } else {
                    format!("{{{label}=\"{value}\"}}")
                };
                out.push_str(&format!("{name}{labels} {count}\n"));
            }
        }
        Ok(out)
    }

    /// Says that everything is up, or that the process is about to end.
    pub fn set(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }
}

/// Name, help, and the rows behind it: a label (or nothing) and a count.
const COUNTS: &[(&str, &str, &str, &str)] = &[
    (
        "causeway_sites",
        "sites in the directory",
        "",
        "SELECT CAST('' AS TEXT), count(*) FROM site WHERE closed_us IS NULL",
    ),
    (
        "causeway_studies",
        "studies received",
        "",
        "SELECT CAST('' AS TEXT), count(*) FROM study",
    ),
    (
        "causeway_instances",
        "instances held",
        "",
        "SELECT CAST('' AS TEXT), count(*) FROM instance",
    ),
    (
        "causeway_quarantine",
        "instances in quarantine",
        "",
        "SELECT CAST('' AS TEXT), count(*) FROM quarantine WHERE resolved_us IS NULL",
    ),
    (
        "causeway_workitems",
        "reading tasks by state",
        "state",
        "SELECT state, count(*) FROM workitem GROUP BY state ORDER BY state",
    ),
    (
        "causeway_urgent_withheld",
        "open reading tasks, urgent or STAT, of which the site withholds objects",
        "priority",
        "SELECT w.priority, count(DISTINCT w.uid) FROM workitem w JOIN workitem_study t ON t.workitem_uid = w.uid \
         JOIN study s ON s.site_id = t.site_id AND s.agreement_id = t.agreement_id AND s.study_uid = t.study_uid \
         WHERE w.state IN ('SCHEDULED', 'IN PROGRESS') AND w.priority IN ('stat', 'urgent') AND s.held_at_site > 0 \
         AND s.recalled_us IS NULL GROUP BY w.priority ORDER BY w.priority",
    ),
    (
        "causeway_deliveries",
        "report deliveries by state",
        "state",
        "SELECT state, count(*) FROM delivery GROUP BY state ORDER BY state",
    ),
    (
        "causeway_reports",
        "signed reports",
        "",
        "SELECT CAST('' AS TEXT), count(*) FROM report",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::on_both;

    #[tokio::test]
    async fn what_is_counted_is_counted_on_both_databases() {
        for (_folder, rows) in on_both().await {
            let readiness = Readiness::new(rows.clone());
            assert_eq!(readiness.ask().await, Err("starting or ending\n"));
            readiness.set(true);
            assert_eq!(readiness.ask().await, Ok(()));
            let mut tx = rows.begin().await.unwrap();
            sqlx::query("INSERT INTO site (id, name, country, time_zone, language, phone, created_us) VALUES ('north', '', '', '', '', '', 0)")
                .execute(&mut *tx)
                .await
                .unwrap();
            tx.commit().await.unwrap();
            let metrics = readiness.metrics().await.unwrap();
            assert!(metrics.contains("\ncauseway_sites 1\n"), "{metrics}");
            assert!(!metrics.contains("north"), "no names: {metrics}");
            rows.close().await;
            assert_eq!(readiness.ask().await, Err("the rows do not answer\n"));
        }
    }
}
