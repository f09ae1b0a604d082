//! What a site says of a study as a whole: opened, how far, sealed by a manifest, taken back.

use std::collections::HashSet;

use causeway_proto::ids::{AgreementId, Purpose, SiteId, SopInstanceUid, StudyKey, StudyUid};
use causeway_proto::link::message::{Manifest, Open, Progress, Recall, Recalled, Sealed};
use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::{Any, Transaction};

use super::record::one_after_the_other;
use super::{Ingest, IngestError};
use crate::archive::PartName;
use crate::archive::catalog::{self, ManifestRow, Standing};
use crate::audit;
use crate::deletion;
use crate::report::elsewhere;
use crate::talk;
use crate::worklist::{self, Changed};

/// A manifest has at most this many entries.
const MAX_ENTRIES: usize = 200_000;
/// A recall's reason is kept up to this length, in characters.
const MAX_REASON: usize = 500;

fn study_key(site: &SiteId, agreement: &AgreementId, study: &StudyUid) -> StudyKey {
    StudyKey {
        site: site.clone(),
        agreement: agreement.clone(),
        study: study.clone(),
    }
}

impl Ingest {
    /// Opens a study or takes what has changed about it; idempotent. A study that was taken back stays so.
    ///
    /// # Errors
    /// [`IngestError::Forbidden`], or when the database refuses.
    pub async fn open(&self, site: &SiteId, open: &Open) -> Result<(), IngestError> {
        self.in_force(site, &open.agreement).await?;
        let key = study_key(site, &open.agreement, &open.study);
        let mut tx = self.archive().rows.begin().await?;
        let at = self.clock().now();
        // no instance is recorded between what is read here and what follows from it
        one_after_the_other(&mut tx, site).await?;
        let standing = catalog::standing(&mut tx, &key).await?;
        catalog::open_study(&mut tx, &key, open.purpose, open.priority, &open.case, at).await?;
        if standing.is_none() {
            elsewhere::came_before(&mut tx, &key, open.first_received).await?;
        }
        let said = catalog::Said::of(open);
        if standing.is_none() && deletion::is_recalled(&mut tx, &key).await? {
            // taken back before it came
            let _new = catalog::recall(&mut tx, &key, "", at).await?;
        }
        let news = catalog::say(&mut tx, &key, &said).await?;
        let blocked = standing.as_ref().map_or("", |before| &before.blocked);
        if blocked.is_empty() != said.blocked.is_empty() {
            blocked_or_not(&mut tx, &key, !said.blocked.is_empty(), at).await?;
        }
        let mut changed = match standing {
            Some(standing) if standing.recalled_us.is_none() => {
                self.opened_again(&mut tx, &key, open, &standing, at)
                    .await?
            }
            _ => Changed::default(),
        };
        if news && changed.cases.is_empty() {
            changed.cases = worklist::cases_of(&mut tx, &key).await?;
        }
        tx.commit().await?;
        self.opened().notify_waiters();
        if !changed.cases.is_empty() {
            self.announce(&changed);
        }
        Ok(())
    }

    /// What another OPEN of a study that is there brings to the worklist: a task when it is now to be read and has images, and a
    /// higher priority.
    async fn opened_again(
        &self,
        tx: &mut Transaction<'_, Any>,
        key: &StudyKey,
        open: &Open,
        before: &Standing,
        at: Timestamp,
    ) -> Result<Changed, sqlx::Error> {
        let mut changed = Changed::default();
        if before.purpose != Purpose::Read.as_str() && open.purpose == Purpose::Read {
            let classes = catalog::classes(tx, key).await?;
            if classes.iter().any(|class| worklist::makes_task(class)) {
                changed = worklist::study_opened(tx, key, at, self.random()).await?;
                if before.sealed_us.is_some() {
                    changed = worklist::study_sealed(tx, key, at).await?;
                }
            }
        }
        let raised = worklist::study_raised(tx, key, open.priority, at).await?;
        if changed.cases.is_empty() {
            changed = raised;
        }
        Ok(changed)
    }

    /// Notes how far a study has come at the site.
    ///
    /// # Errors
    /// When the database refuses. A study that is not open is no error.
    pub async fn progress(&self, site: &SiteId, progress: &Progress) -> Result<(), IngestError> {
        let key = study_key(site, &progress.agreement, &progress.study);
        let mut tx = self.archive().rows.begin().await?;
        let (at_site, held) = (progress.at_site.into(), progress.held.into());
        let changed = catalog::set_progress(&mut tx, &key, at_site, held).await?;
        let cases = worklist::cases_of(&mut tx, &key).await?;
        let urgent = worklist::urgent(&mut tx, &key).await?;
        tx.commit().await?;
        if changed > 0 {
            self.announce(&Changed { cases });
            if let Some(priority) = urgent.filter(|_| held > 0) {
                tracing::warn!(%site, priority, held, "the site withholds objects of an urgent study");
            }
        }
        Ok(())
    }

    /// Takes a manifest: stores it, says what of it is missing, and seals the study when nothing is. A version that sealed the
    /// study already has no further effect; one that is older than it neither, while the study is sealed. The answer names the agent's version.
    ///
    /// # Errors
    /// [`IngestError::NotOpen`], [`IngestError::Malformed`], or when the database refuses.
    pub async fn manifest(
        &self,
        site: &SiteId,
        manifest: &Manifest,
    ) -> Result<Sealed, IngestError> {
        if manifest.entries.len() > MAX_ENTRIES {
            return Err(IngestError::Malformed("too many entries in a manifest"));
        }
        // what came while an agreement was in force is sealed after its end too
        if let Err(foreign @ IngestError::Foreign) = self.in_force(site, &manifest.agreement).await
        {
            return Err(foreign);
        }
        let key = study_key(site, &manifest.agreement, &manifest.study);
        let now = self.clock().now();
        let version = i64::from(manifest.version);
        let mut tx = self.archive().rows.begin().await?;
        one_after_the_other(&mut tx, site).await?;
        let Some(study) = catalog::study(&mut tx, &key).await? else {
            return Err(IngestError::NotOpen);
        };
        if study.recalled_us.is_some() {
            return Err(IngestError::Recalled);
        }
        let may_sign = match &manifest.reports {
            Some(reports) => elsewhere::heard(&mut tx, &key, reports, now).await?,
            None => false,
        };
        let held = catalog::contents(&mut tx, &key).await?;
        let answer = Sealed {
            study: manifest.study.clone(),
            agreement: manifest.agreement.clone(),
            version: manifest.version,
            missing: missing(manifest, held),
        };
        if study.sealed_us.is_some() && study.manifest_version >= version {
            if may_sign {
                let cases = worklist::cases_of(&mut tx, &key).await?;
                tx.commit().await?;
                self.announce(&Changed { cases });
            }
            return Ok(answer);
        }
        let row = manifest_row(manifest);
        let stored = catalog::manifest(&mut tx, &key, version).await?;
        let other = stored.is_some_and(|stored| stored != row);
        // an agent that counts from the beginning again, as after a loss of its data, seals a study that has grown all the same
        let again =
            study.manifest_version > version || (study.manifest_version == version && other);
        let version = if again {
            study.manifest_version + 1
        } else {
            version
        };
        catalog::put_manifest(&mut tx, &key, version, &row, now).await?;
        if !answer.missing.is_empty() {
            tx.commit().await?;
            return Ok(answer);
        }
        catalog::seal(&mut tx, &key, version, now).await?;
        let changed = worklist::study_sealed(&mut tx, &key, now).await?;
        let detail = json!({ "version": version, "instances": manifest.entries.len(), "withheld": manifest.withheld.len() });
        audit::record(
            &mut tx,
            now,
            "study-sealed",
            "site",
            site.as_str(),
            key.study.as_str(),
            &detail,
        )
        .await?;
        tx.commit().await?;
        self.announce(&changed);
        Ok(answer)
    }

    /// Takes a study back (P17): its images are no longer served, its tasks are cancelled, and what is held of it is in the queue
    /// of `deletion`.
    ///
    /// # Errors
    /// When the database refuses. An unknown study is confirmed as recalled.
    pub async fn recall(&self, site: &SiteId, recall: &Recall) -> Result<Recalled, IngestError> {
        let key = study_key(site, &recall.agreement, &recall.study);
        let now = self.clock().now();
        let reason: String = recall
            .reason
            .chars()
            .filter(|c| !c.is_control())
            .take(MAX_REASON)
            .collect();
        let mut tx = self.archive().rows.begin().await?;
        one_after_the_other(&mut tx, site).await?;
        let new = catalog::recall(&mut tx, &key, &reason, now).await?;
        deletion::recalled(&mut tx, &key, now).await?;
        if new {
            let changed = worklist::study_recalled(&mut tx, &key, now).await?;
            talk::forget(&mut tx, &key).await?;
            audit::record(
                &mut tx,
                now,
                "study-recalled",
                "site",
                site.as_str(),
                key.study.as_str(),
                &json!({}),
            )
            .await?;
            tx.commit().await?;
            self.announce(&changed);
        } else {
            tx.commit().await?;
        }
        Ok(Recalled {
            study: recall.study.clone(),
            agreement: recall.agreement.clone(),
        })
    }
}

impl Ingest {
    /// Whether the site has taken the study back.
    pub(super) async fn is_taken_back(&self, key: &StudyKey) -> Result<bool, sqlx::Error> {
        let (found,): (i64,) = sqlx::query_as(
            "SELECT count(*) FROM study WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 AND recalled_us IS NOT NULL",
        )
        .bind(key.site.as_str())
        .bind(key.agreement.as_str())
        .bind(key.study.as_str())
        .fetch_one(self.archive().rows.read())
        .await?;
        Ok(found > 0)
    }

    /// Notes whose a part is before its file is made, so that it goes when the study does.
    pub(super) async fn part_begins(
        &self,
        name: &PartName,
        key: &StudyKey,
    ) -> Result<(), IngestError> {
        let mut tx = self.archive().rows.begin().await?;
        one_after_the_other(&mut tx, &key.site).await?;
        let standing = catalog::standing(&mut tx, key).await?;
        if standing.is_some_and(|study| study.recalled_us.is_some()) {
            return Err(IngestError::Recalled);
        }
        sqlx::query(
            "INSERT INTO incoming_part (name, site_id, agreement_id, study_uid, begun_us) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(name.to_string())
        .bind(key.site.as_str())
        .bind(key.agreement.as_str())
        .bind(key.study.as_str())
        .bind(self.clock().now().0)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }
}

/// Audits that the site has put a block on a study, or taken it away.
async fn blocked_or_not(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    blocked: bool,
    at: Timestamp,
) -> Result<(), IngestError> {
    let event = if blocked {
        "study-blocked"
    } else {
        "study-unblocked"
    };
    let (site, study) = (key.site.as_str(), key.study.as_str());
    audit::record(tx, at, event, "site", site, study, &json!({})).await?;
    Ok(())
}

/// What a manifest names and the gateway does not hold.
fn missing(manifest: &Manifest, held: Vec<(String, String)>) -> Vec<SopInstanceUid> {
    let held: HashSet<(String, String)> = held.into_iter().collect();
    let entries = manifest.entries.iter();
    entries
        .filter(|entry| {
            !held.contains(&(entry.instance.to_string(), entry.sent_digest.to_string()))
        })
        .map(|entry| entry.instance.clone())
        .collect()
}

fn manifest_row(manifest: &Manifest) -> ManifestRow {
    let entries: Vec<_> = manifest
        .entries
        .iter()
        .map(|entry| json!([entry.instance, entry.sent_digest, entry.length]))
        .collect();
    let withheld: Vec<_> = manifest
        .withheld
        .iter()
        .map(|group| json!({ "class": group.class, "modality": group.modality, "count": group.count, "reason": group.reason }))
        .collect();
    ManifestRow {
        basis: manifest.basis.clone(),
        entries: json!(entries).to_string(),
        withheld: json!(withheld).to_string(),
        sealed_us: manifest.sealed_at.0,
    }
}
