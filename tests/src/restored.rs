//! A gateway put back to a backup that is older than what it has receipted: everything that its agent still keeps comes back by itself.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::Instant;

use crate::hospital::Hospital;
use crate::killed::{self, Told};
use crate::pacs::Behaviour;
use crate::reader::Reader;
use crate::stack::{Options, gateway_cli, wait_until};

/// Instances of a study here.
pub const EACH: u32 = 8;
const LIMIT: Duration = Duration::from_secs(900);

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Instances in the backup.
    pub before: u64,
    /// Instances receipted after it.
    pub after: u64,
    /// What is lost, doubled or altered of both.
    pub judged: killed::Verdict,
    /// Instances that count in another epoch than that of the restored gateway.
    pub void: u64,
    /// Studies of which the site was not heard.
    pub unheard: u64,
    /// How long the backup took, and the restore.
    pub took: [Duration; 2],
    /// From the start of the restored gateway until the last one was back.
    pub back: Duration,
}

impl Verdict {
    /// Everything is back, once, and counts.
    #[must_use]
    pub fn holds(&self) -> bool {
        let all = self.before + self.after;
        self.after > 0
            && self.judged.acknowledged == all
            && self.judged.holds()
            && self.void + self.unheard == 0
    }
}

/// The folder that holds the backup of a stack.
#[must_use]
pub fn folder(options: &Options) -> PathBuf {
    options.folder.join("backup")
}

/// Makes a backup beside the running gateway.
///
/// # Errors
/// When the command refuses.
pub async fn back_up(hospital: &Hospital) -> anyhow::Result<()> {
    let folder = folder(&hospital.stack.options).display().to_string();
    let said = hospital.stack.gateway_cli(&["backup", &folder]).await?;
    ensure!(!said.contains("PROBLEM"), "{said}");
    Ok(())
}

/// Loses the whole data folder of a gateway that does not run, and puts it back to the backup.
///
/// # Errors
/// When the command refuses.
pub async fn put_back(options: &Options) -> anyhow::Result<()> {
    let data = options.folder.join("gateway-data");
    std::fs::rename(&data, options.folder.join("gateway-lost"))?;
    let folder = folder(options).display().to_string();
    let arguments = [
        "restore",
        &folder,
        "--revoked-sites",
        "none",
        "--disabled-users",
        "none",
        "--read-blobs",
    ];
    let said = gateway_cli(options, &arguments).await?;
    ensure!(!said.contains("PROBLEM"), "{said}");
    Ok(())
}

/// Sends so many studies, backs up, sends as many more as told, loses the gateway, restores it, and compares.
///
/// # Errors
/// When a part does not start, or something never comes back.
pub async fn run(before: u32, after: u32) -> anyhow::Result<Verdict> {
    let mut hospital = Hospital::redialling_at_once(Behaviour::default()).await?;
    let mut told = Told::default();
    store(&hospital, 0..before, &mut told).await?;
    let mut verdict = Verdict {
        before: told.stored.len() as u64,
        ..Verdict::default()
    };
    let begun = Instant::now();
    back_up(&hospital).await?;
    verdict.took[0] = begun.elapsed();
    store(&hospital, before..before + after, &mut told).await?;
    verdict.after = told.stored.len() as u64 - verdict.before;
    let restoring = &mut verdict.took[1];
    let restored = hospital.stack.restart_gateway_after(async |options| {
        let begun = Instant::now();
        put_back(options).await?;
        *restoring = begun.elapsed();
        Ok(())
    });
    restored.await?;
    let up = Instant::now();
    let mut rows = hospital.gateway_rows().await?;
    let all = i64::from((before + after) * EACH);
    wait_until("everything to be back", LIMIT, async || {
        let counted: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM instance")
            .fetch_one(&mut rows)
            .await?;
        Ok((counted >= all).then_some(()))
    })
    .await
    .with_context(|| hospital.logs())?;
    verdict.back = up.elapsed();
    killed::wait_empty(&hospital).await?;
    wait_until("the site to be heard of every study", LIMIT, async || {
        let unheard = "SELECT COUNT(*) FROM study WHERE restored <> ''";
        verdict.unheard = u64::try_from(
            sqlx::query_scalar::<_, i64>(unheard)
                .fetch_one(&mut rows)
                .await?,
        )?;
        Ok((verdict.unheard == 0).then_some(()))
    })
    .await
    .with_context(|| hospital.logs())?;
    let void = "SELECT COUNT(*) FROM instance WHERE CAST(receipt_epoch AS TEXT) <> (SELECT value FROM gateway_fact WHERE name = 'epoch')";
    verdict.void = u64::try_from(
        sqlx::query_scalar::<_, i64>(void)
            .fetch_one(&mut rows)
            .await?,
    )?;
    hospital.reader =
        Reader::sign_in(&hospital.stack.url(), "reader", &hospital.stack.password).await?;
    killed::judge(&hospital, &told.stored, &mut verdict.judged).await?;
    hospital.close().await?;
    Ok(verdict)
}

async fn store(
    hospital: &Hospital,
    studies: std::ops::Range<u32>,
    told: &mut Told,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for study in studies {
        // no study has the large object of the killed ones: there is nothing to cut here
        let files = killed::write(folder.path(), study * 16 + 1)?;
        killed::store(&files, &hospital.stack.dicom(), told).await?;
    }
    killed::wait_empty(hospital).await
}
