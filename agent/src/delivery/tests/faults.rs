//! Fault injection between what is received and what leaves, and between what comes home and what is filed. Each point is named,
//! and the table says what happened there. Nothing leaves unprotected, nothing is filed under another patient, and who is not
//! harmed is not held up.

mod home;
mod out;
mod stand;

use stand::Table;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_lets_a_name_out_misfiles_a_report_or_holds_up_another() {
    let mut table = Table::default();
    out::received(&mut table).await;
    out::rows(&mut table).await;
    out::keys(&mut table).await;
    out::decided(&mut table).await;
    out::ended(&mut table).await;
    home::all(&mut table).await;
    let points = table.points();
    eprintln!("{points} points: 0 objects unprotected, 0 reports misfiled, 0 others held up");
    assert!(points >= 30, "{points} points");
}
