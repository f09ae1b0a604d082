//! Works off what is not decided yet: a few instances at once, their decisions kept together.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::task::JoinError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::coded;
use super::form::Form;
use super::prepare::{DECIDES, Draft, Drafted, PrepareError, draft, form, study_may_be_named};
use super::{ProtectError, Protector, seal};
use crate::spool::masks::Rules;
use crate::spool::{Outgoing, Sent, Unprotected, Verdict};

/// So many decisions are kept in one transaction.
const AT_ONCE: usize = 64;
/// So many objects are read at the same time.
const PARALLEL: usize = 2;
/// After so many that could not be decided in one go the rows themselves are in trouble.
const GIVES_UP: usize = 512;
/// How often the rows are looked at when nothing rings.
const LOOK: Duration = Duration::from_secs(2);
/// How often what was withheld for a reason that may pass is tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// How long to wait after a failure that may pass.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

impl Protector {
    /// Decides about what arrives until `cancel` fires.
    pub async fn run(&self, cancel: CancellationToken) {
        if let Err(error) = self.begin().await {
            tracing::error!(%error, "what was protected before stays as it is");
        }
        let mut looked = Instant::now();
        while !cancel.is_cancelled() {
            if looked.elapsed() > LOOK_AGAIN {
                looked = Instant::now();
                if let Err(error) = self.look_again().await {
                    tracing::error!(%error, "what is withheld for now could not be looked at");
                }
            }
            let arrived = self.spool.arrived();
            let pause = match self.work().await {
                Ok(AT_ONCE) => continue,
                Ok(_) => LOOK,
                Err(error) => {
                    tracing::error!(%error, "protecting failed; tried again");
                    AFTER_FAILURE
                }
            };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = arrived => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// What another version or another key has decided, and what has not left, is decided anew: its form cannot be made again.
    ///
    /// # Errors
    /// When the spool or the keys refuse.
    pub(crate) async fn begin(&self) -> Result<(), ProtectError> {
        self.spool.protect_anew(DECIDES).await?;
        for agreement in self.spool.agreements_decided().await? {
            // tokens stand in the forms: they are other ones under another key
            let Ok(mut key) = self.keys.token(&agreement, "key", "") else {
                continue;
            };
            // so are dates, where the site has come to shift them
            if self.spool.shifts_dates_of(&agreement).await? {
                key.push_str(" and shifted dates");
            }
            if self.spool.other_key(&agreement, &key).await? {
                tracing::warn!(%agreement, "the agreement's key is another one, or dates are shifted as they were not; what has not left is protected anew");
            }
        }
        self.look_again().await?;
        Ok(())
    }

    /// Decides about what is there now, at most [`AT_ONCE`]; answers about how many. What cannot be decided now holds up nothing: it
    /// stands in front of the rows again, and the others are looked for behind it.
    ///
    /// # Errors
    /// When the spool refuses one or all: these are not decided then.
    pub(crate) async fn work(&self) -> Result<usize, ProtectError> {
        let mut failed = 0;
        let mut last = None;
        while self.spool.name_plain(AT_ONCE).await? == AT_ONCE {}
        loop {
            let found = self.spool.next_to_protect(AT_ONCE, failed).await?;
            let count = found.len();
            let decided: Vec<_> = futures::stream::iter(found)
                .map(|instance| self.decide(instance))
                .buffered(PARALLEL)
                .collect()
                .await;
            let mut kept = Vec::with_capacity(count);
            let mut failures = Vec::new();
            for one in decided {
                match one {
                    Ok(one) => kept.push(one),
                    Err(error) => failures.push(error),
                }
            }
            failures.extend(self.keep(&kept).await);
            failed = failed.saturating_add(failures.len());
            last = failures.pop().or(last);
            match last {
                None => return Ok(count),
                Some(error) if count < AT_ONCE || failed > GIVES_UP => return Err(error),
                Some(_) => {}
            }
        }
    }

    /// Keeps decisions together; where that is refused, each by itself. Answers what was not kept.
    async fn keep(&self, decided: &[(Unprotected, Verdict)]) -> Vec<ProtectError> {
        if decided.is_empty() || self.spool.protected(decided).await.is_ok() {
            return Vec::new();
        }
        let mut failures = Vec::new();
        for one in decided.chunks(1) {
            if let Err(error) = self.spool.protected(one).await {
                failures.push(error.into());
                if let [
                    (
                        _,
                        Verdict::Leaves {
                            pixels: Some(pixels),
                            ..
                        },
                    ),
                ] = one
                {
                    self.spool.forget_pixels(pixels).await;
                }
            }
        }
        failures
    }

    async fn decide(
        &self,
        mut instance: Unprotected,
    ) -> Result<(Unprotected, Verdict), ProtectError> {
        self.spool.give_way().await;
        let mut prepared = match self.with_digest(&mut instance).await {
            Ok(()) => self.prepared(&instance).await,
            Err(error) => Err(error),
        };
        prepared = match prepared {
            Err(error) if error.is_of_the_object() => {
                Err(self.unless_rotten(&instance).await.err().unwrap_or(error))
            }
            // of an object that is sound its masked pixels were meant: they are made again
            Err(PrepareError::Rotten) => Err(match self.unless_rotten(&instance).await {
                Ok(()) => PrepareError::Unread,
                Err(error) => error,
            }),
            prepared => prepared,
        };
        let (reason, blocks, looked) = match prepared {
            Ok(verdict) => return Ok((instance, verdict)),
            Err(PrepareError::Rotten) => return Ok((instance, Verdict::Lost)),
            Err(PrepareError::Spool(error)) => return Err(error.into()),
            Err(error @ PrepareError::OtherPatient) => {
                let blocks =
                    "The study holds an object of another patient; the hospital must decide.";
                (error.to_string(), Some(blocks.to_owned()), Vec::new())
            }
            Err(PrepareError::Withheld(reason)) => (reason, None, Vec::new()),
            Err(PrepareError::Unmasked(reason, looked)) => (reason, None, vec![*looked]),
            Err(error @ (PrepareError::Keys(_) | PrepareError::Unread)) => {
                tracing::error!(%error, "an object is withheld for now");
                (error.to_string(), None, Vec::new())
            }
        };
        let (this, of) = (self.clone(), instance.clone());
        // what made the decision panic may do it again: then nothing is said
        let named = self.blocking(move || study_may_be_named(&this, &of)).await;
        let verdict = Verdict::Withheld {
            reason,
            blocks,
            looked,
            named: named.ok().flatten(),
        };
        Ok((instance, verdict))
    }

    /// Gives an object its digest, which nobody has needed so far.
    async fn with_digest(&self, instance: &mut Unprotected) -> Result<(), PrepareError> {
        if instance.source.digest.is_none() {
            let (spool, kept) = (self.spool.clone(), instance.source.clone());
            let digest = self.blocking(move || spool.digest_of(&kept)).await?;
            let digest = digest.map_err(|error| PrepareError::of_reading(&error))?;
            instance.source.digest = Some(digest);
        }
        Ok(())
    }

    /// What an object is withheld for is said of what was received, and not of what its disk has made of it.
    async fn unless_rotten(&self, instance: &Unprotected) -> Result<(), PrepareError> {
        let (spool, kept) = (self.spool.clone(), instance.source.clone());
        let read = self.blocking(move || spool.checked(&kept)?.end()).await?;
        read.map_err(|error| PrepareError::of_reading(&error))
    }

    async fn prepared(&self, instance: &Unprotected) -> Result<Verdict, PrepareError> {
        let rules = self.spool.mask_rules().await?;
        let draft = self.drafted(instance, rules).await?;
        let pixels = draft.pixels.clone();
        let verdict = self.verdict(instance, draft).await;
        if let (Err(_), Some(pixels)) = (&verdict, pixels) {
            self.spool.forget_pixels(&pixels).await;
        }
        verdict
    }

    /// Reads the object, and codes its pixels anew where that is what masks them.
    async fn drafted(&self, instance: &Unprotected, rules: Rules) -> Result<Draft, PrepareError> {
        let (this, of, by) = (self.clone(), instance.clone(), rules.clone());
        let drafting = self.blocking(move || draft(&this, &of, &by, None));
        let coded = match drafting.await?? {
            Drafted::Ready(draft) => return Ok(*draft),
            Drafted::Coded(coded) => coded,
        };
        let pixels = coded::anew(self, *coded).await?;
        let (this, of, with) = (self.clone(), instance.clone(), pixels.clone());
        let drafting = self.blocking(move || draft(&this, &of, &rules, Some(&with)));
        let made = drafting.await;
        match made {
            Ok(Ok(Drafted::Ready(draft))) if draft.pixels.is_some() => Ok(*draft),
            other => {
                self.spool.forget_pixels(&pixels).await;
                let reason = "its masked pixels do not fit it";
                Err(match other {
                    Ok(Err(error)) | Err(error) => error,
                    Ok(Ok(_)) => PrepareError::Withheld(reason.to_owned()),
                })
            }
        }
    }

    async fn verdict(&self, instance: &Unprotected, draft: Draft) -> Result<Verdict, PrepareError> {
        let days = draft.shift.map(|shift| shift.days);
        let study = match self.spool.has_study_seal(instance).await? {
            Some(study) => {
                if let Some(days) = days.filter(|_| instance.date_shift.is_none()) {
                    self.spool.keep_shift(instance, days).await?;
                }
                study
            }
            None => {
                let (this, of) = (self.clone(), instance.clone());
                let originals = seal::of_study(&draft.plan.originals);
                let plain = seal::plain(&originals, &draft.plan.character_set);
                let sealing = self.blocking(move || {
                    this.keys
                        .seal_study(&of.agreement, of.study.as_str(), &plain)
                });
                let made = sealing.await??;
                self.spool
                    .study_seal(instance, (&draft.pseudonym, days), &made)
                    .await?
            }
        };
        let this = self.clone();
        self.blocking(move || {
            let own = this.keys.seal(&seal::plain(
                &draft.plan.originals,
                &draft.plan.character_set,
            ))?;
            let remarks = draft.plan.remarks.clone();
            let (looked, pixels) = (draft.looked.clone(), draft.pixels.clone());
            let uids = draft.plan.uids.clone();
            let (form, syntax) = form(&this, draft, &study, &own);
            let digest = form.digest(&syntax);
            let digest = digest.map_err(|error| PrepareError::of_reading(&error))?;
            this.remembered.keep(digest, &form);
            let sent = Sent {
                digest,
                length: form.length(),
                syntax,
            };
            Ok(Verdict::Leaves {
                sent,
                profile: DECIDES,
                sealed: Some(own),
                remarks,
                uids,
                looked,
                pixels,
            })
        })
        .await?
    }
}

/// The form of an instance that is decided: the one that was decided where it is still here, or made again from the same bytes and the
/// same seals.
pub(super) async fn decided(
    protector: &Protector,
    instance: &Outgoing,
) -> Result<Form, ProtectError> {
    let spool = &protector.spool;
    if instance.profile == DECIDES
        && let Some(form) = protector.remembered.take(&instance.sent.digest)
        && let Some(source) = spool.still_leaves(&instance.key, &instance.sent).await?
    {
        return Ok(form.lying(&source));
    }
    let given = spool.given(&instance.key).await?;
    let seals = spool.seals(&instance.key).await?;
    if let (Some(given), Some(study), Some(own)) = (given, seals.study, seals.own)
        && instance.profile == DECIDES
    {
        let this = protector.clone();
        let rules = spool.masks_of(given.ruled).await?;
        let pixels = spool.masked_pixels(&given).await?;
        let made = blocking(
            move || match draft(&this, &given, &rules, pixels.as_ref())? {
                Drafted::Ready(draft) => Ok(form(&this, *draft, &study, &own)),
                Drafted::Coded(_) => Err(PrepareError::Withheld(
                    "its masked pixels are gone".to_owned(),
                )),
            },
        )
        .await;
        match made {
            Ok(Ok((form, syntax)))
                if form.length() == instance.sent.length && syntax == instance.sent.syntax =>
            {
                return Ok(form);
            }
            Err(PrepareError::Spool(error)) | Ok(Err(PrepareError::Spool(error))) => {
                return Err(error.into());
            }
            Ok(_) | Err(_) => {}
        }
    }
    spool.protect_again(&instance.key).await?;
    Err(ProtectError::Other)
}

impl Protector {
    /// As [`blocking`], on the threads of the protection where it has some.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PrepareError> {
        match &self.threads {
            Some(threads) => ended(threads.spawn_blocking(work).await),
            None => blocking(work).await,
        }
    }
}

/// Runs something that blocks where it may; a panic there withholds the object, and no other.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PrepareError> {
    ended(tokio::task::spawn_blocking(work).await)
}

fn ended<T>(done: Result<T, JoinError>) -> Result<T, PrepareError> {
    match done {
        Ok(done) => Ok(done),
        Err(error) if error.is_panic() => Err(PrepareError::Withheld(
            "protecting it failed; its object may be damaged".to_owned(),
        )),
        Err(_) => Err(crate::spool::SpoolError::Ending.into()),
    }
}
