//! The downtime sheet: what a person needs on paper when nothing else works. Open cases by their codes, whom to call, and what to do
//! instead. Names no patient: the file may lie where many can read it, and `where` names them at the site.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use causeway_proto::time::{Clock, Timestamp};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::delivery::DeliveryError;
use crate::delivery::open::{self, Open};
use crate::rows::Rows;

/// How often the file is written anew.
const HOUR: Duration = Duration::from_secs(3600);

/// `[downtime]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the sheet is written every hour, best on another machine's disk; none writes none. `downtime-sheet` prints it at any time.
    pub file: Option<PathBuf>,
    /// What to do when the link or the agent is down, in the site's own words.
    pub fallback: String,
    /// `[[downtime.number]]`: whom to call.
    pub number: Vec<Number>,
}

/// Whom to call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// Who answers.
    pub who: String,
    /// The telephone number.
    pub number: String,
    /// When somebody answers there.
    #[serde(default)]
    pub hours: String,
}

/// The sheet as text.
///
/// # Errors
/// When the rows refuse.
pub async fn sheet(config: &Config, rows: &Rows, now: Timestamp) -> Result<String, DeliveryError> {
    Ok(text(config, &open::cases(rows, now).await?, now))
}

fn text(config: &Config, cases: &[Open], now: Timestamp) -> String {
    let mut out = format!(
        "CAUSEWAY DOWNTIME SHEET, as of {now}\n\nCall, and say the code of the case. Never say or write a name.\n\n"
    );
    if config.number.is_empty() {
        out.push_str("  No telephone number is configured: [[downtime.number]] in the agent's configuration.\n");
    }
    for one in &config.number {
        out.push_str(&format!(
            "  {:<36} {:<24} {}\n",
            one.who, one.number, one.hours
        ));
    }
    out.push_str("\nInstead:\n\n");
    let fallback = match config.fallback.trim() {
        "" => "Nothing is configured: `fallback` of [downtime] in the agent's configuration.",
        words => words,
    };
    for line in fallback.lines() {
        out.push_str(&format!("  {line}\n"));
    }
    out.push_str(&format!(
        "\nOpen cases: {}\n\n  {:<12} {:<9} {:<20} {:<21} {:<34} {}\n",
        cases.len(),
        "Code",
        "Level",
        "Kind",
        "Received",
        "Stands",
        "Told to / at"
    ));
    for case in cases {
        out.push_str(&format!(
            "  {:<12} {:<9} {:<20} {:<21} {:<34} ____________________\n",
            case.case.as_str(),
            level(&case.priority),
            case.modalities,
            case.received.to_string(),
            stands(case)
        ));
    }
    out
}

fn level(priority: &str) -> String {
    match priority {
        "stat" | "urgent" => priority.to_uppercase(),
        "unstated" => "-".to_owned(),
        other => other.to_owned(),
    }
}

fn stands(case: &Open) -> String {
    let (here, there) = (case.at_site, case.receipted);
    match (case.reported, there) {
        (true, _) => "reported, not final in the PACS".to_owned(),
        (_, 0) => format!("at the site alone, {here} object(s)"),
        _ if there < here => format!("{there} of {here} at the gateway"),
        _ => "at the gateway, no report yet".to_owned(),
    }
}

/// Writes the file now and every hour until `cancel` fires.
pub async fn run(config: Config, rows: Rows, clock: Clock, cancel: CancellationToken) {
    let Some(file) = config.file.clone() else {
        cancel.cancelled().await;
        return;
    };
    while !cancel.is_cancelled() {
        match sheet(&config, &rows, clock.now()).await {
            Ok(text) => {
                let place = file.clone();
                let written = tokio::task::spawn_blocking(move || write(&place, &text)).await;
                match written {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::error!(%error, "the downtime sheet could not be written");
                    }
                    Err(error) => {
                        tracing::error!(%error, "the downtime sheet could not be written");
                    }
                }
            }
            Err(error) => tracing::error!(%error, "the open cases could not be listed"),
        }
        tokio::select! {
            () = tokio::time::sleep(HOUR) => {}
            () = cancel.cancelled() => {}
        }
    }
}

/// Whole or not at all: whoever prints it while it is written has the one before.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let temporary = file.with_extension("new");
    let mut new = std::fs::File::create(&temporary)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    std::fs::rename(&temporary, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::tests::{destination, open_with, signed};
    use crate::spool::tests::{Bench, What};

    fn config(file: Option<PathBuf>) -> Config {
        Config {
            file,
            fallback: "Send a courier with a disc to Example Radiology,\n12 High Street."
                .to_owned(),
            number: vec![Number {
                who: "Example Radiology, desk".to_owned(),
                number: "+44 20 7946 0000".to_owned(),
                hours: "day and night".to_owned(),
            }],
        }
    }

    async fn sql(bench: &Bench, sql: &'static str) {
        let mut tx = bench.spool.rows().begin().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    #[tokio::test]
    async fn it_has_codes_numbers_and_the_fallback_and_no_patient() {
        let bench = Bench::new().await;
        bench.greet(1, 0).await;
        for (study, instance) in [("1.2.3", "1.2.3.1"), ("1.2.4", "1.2.4.1")] {
            bench.store(&What::image(study, instance)).await.unwrap();
        }
        bench.spool.settle().await.unwrap();
        sql(
            &bench,
            "UPDATE study SET patient_name = 'Doe^Jane', description = 'Chest', accession = 'ACC1'",
        )
        .await;
        sql(
            &bench,
            "UPDATE study SET priority = 'stat' WHERE study_uid = '1.2.4'",
        )
        .await;
        let rows = bench.spool.rows();
        let codes: Vec<String> =
            sqlx::query_scalar("SELECT case_code FROM study ORDER BY study_uid DESC")
                .fetch_all(rows.read())
                .await
                .unwrap();
        let text = sheet(&config(None), rows, bench.clock().now())
            .await
            .unwrap();
        let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("{word}: {text}"));
        assert!(at("+44 20 7946 0000") < at("12 High Street."));
        assert!(at(&codes[0]) < at(&codes[1]), "STAT comes first: {text}");
        assert!(
            text.contains("Open cases: 2") && text.contains("STAT"),
            "{text}"
        );
        assert!(text.contains("at the site alone, 1 object(s)"), "{text}");
        for word in ["Doe", "Chest", "ACC1", "PID", "1.2.3"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }

    #[tokio::test]
    async fn a_case_leaves_it_when_its_final_report_is_in_the_pacs() {
        let bench = Bench::new().await;
        bench.greet(1, 0).await;
        bench.store(&What::image("1.2.3", "1.2.3.1")).await.unwrap();
        bench.spool.settle().await.unwrap();
        let deliveries = open_with(&bench, vec![destination()]).await;
        let (mut report, bytes) = signed("1.2.3", "2.25.1");
        let (rows, now) = (bench.spool.rows(), bench.clock().now());
        let code: String = sqlx::query_scalar("SELECT case_code FROM study")
            .fetch_one(rows.read())
            .await
            .unwrap();
        report.case = code.parse().unwrap();
        report.status = "final".to_owned();
        deliveries.accept(&report, bytes).await.unwrap();
        let text = sheet(&config(None), rows, now).await.unwrap();
        assert!(text.contains("reported, not final in the PACS"), "{text}");
        sql(
            &bench,
            "UPDATE delivery SET state = 'delivered' WHERE destination = 'pacs'",
        )
        .await;
        let text = sheet(&config(None), rows, now).await.unwrap();
        assert!(
            text.contains("Open cases: 0") && !text.contains(&code),
            "{text}"
        );
    }

    #[tokio::test]
    async fn the_file_is_written_at_the_start_and_every_hour() {
        let bench = Bench::new().await;
        let file = bench.folder.path().join("sheet.txt");
        let cancel = CancellationToken::new();
        let running = run(
            config(Some(file.clone())),
            bench.spool.rows().clone(),
            bench.clock(),
            cancel.clone(),
        );
        let watching = async {
            while !file.exists() {
                tokio::task::yield_now().await;
            }
            std::fs::read_to_string(&file).unwrap()
        };
        let text = tokio::select! {
            () = running => panic!("it ended"),
            text = watching => text,
        };
        assert!(text.contains("Open cases: 0"), "{text}");
        let begun = bench.clock().now().to_string();
        assert!(text.contains(&begun), "{text}");
    }
}
