//! The one door of the link: every message passes it on its way out and on its way in.
//!
//! Under an agreement that replaces UIDs no UID of the site leaves: on the way out others stand in the places of those of study, series
//! and instance, and in texts; on the way in they are led back, so that nothing else of the agent knows them. Nothing but [`Leaving`]
//! can be written to the line, and only this file makes one. Each message is taken apart field by field here: a new message, or a new
//! field of an old one, does not compile before somebody has said what becomes of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use causeway_proto::ids::{AgreementId, SopInstanceUid, StudyUid};
use causeway_proto::link::codec::{CodecError, Message, encode, sentence};
use causeway_proto::link::message::{
    Context, DeletedNoted, Delivery, Facts, Hello, Instance, InstanceKey, Letter, Manifest,
    ManifestEntry, NotKept, Open, Progress, Query, Recall, Withheld,
};
use thiserror::Error;

use crate::keys::KeysError;
use crate::protect::uids_in;
use crate::spool::{Spool, SpoolError};

mod back;
#[cfg(test)]
mod tests;

/// What stands in a text that belongs to no agreement.
const A_UID: &str = "[UID]";
/// So many studies are remembered on one connection.
const REMEMBERED: usize = 4096;

/// A message as it may leave.
#[derive(Debug)]
pub(super) struct Leaving(Message);

impl Leaving {
    /// The agent's HELLO, which goes before anything is known: it has no field for a UID.
    pub(super) fn hello(hello: Hello) -> Self {
        Self(hello.into())
    }

    /// Appends it as one frame.
    ///
    /// # Errors
    /// When it breaks a bound of its own; nothing is appended then.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        encode(&self.0, out)
    }
}

/// A message cannot be said, or what came cannot be led back.
#[derive(Debug, Error)]
pub(super) enum AliasError {
    /// Nothing here says whether its UIDs may leave.
    #[error("nothing at the site says under which UIDs it leaves")]
    Unknown,
    /// Only a gateway says such a message.
    #[error("an agent does not say such a message")]
    NotOurs,
    /// The agreement's key cannot be used.
    #[error("the keys of the site cannot be used")]
    Keys(#[from] KeysError),
    /// The rows refuse.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Leads UIDs out and back. Cheap to clone: one for each connection.
#[derive(Clone, Debug)]
pub(super) struct Alias {
    spool: Spool,
    known: Arc<Mutex<HashMap<(AgreementId, StudyUid), bool>>>,
}

/// How the UIDs of one study leave.
struct Names<'a> {
    spool: &'a Spool,
    agreement: &'a AgreementId,
    replaces: bool,
}

impl Names<'_> {
    fn uid<T: FromStr + Clone + Display>(&self, uid: &T) -> Result<T, AliasError> {
        if !self.replaces {
            return Ok(uid.clone());
        }
        let said = self.spool.said_for(self.agreement, &uid.to_string())?;
        said.parse().ok().ok_or(AliasError::Unknown)
    }

    /// A sentence. Whatever in it has the form of a UID is one of the site.
    fn text(&self, text: String) -> Result<String, AliasError> {
        self.words(text).map(sentence)
    }

    /// The same for words of any length.
    fn words(&self, text: String) -> Result<String, AliasError> {
        if !self.replaces {
            return Ok(text);
        }
        let changed = rewritten(&text, |uid| self.spool.said_for(self.agreement, uid))?;
        Ok(changed.unwrap_or(text))
    }

    fn facts(&self, facts: &Facts) -> Result<Facts, AliasError> {
        let mut failed = None;
        let changed = facts.map(|_, text| match self.words(text.to_owned()) {
            Ok(text) => text,
            Err(error) => {
                failed = Some(error);
                String::new()
            }
        });
        failed.map_or(Ok(changed), Err)
    }
}

impl Alias {
    pub(super) fn new(spool: Spool) -> Self {
        Self {
            spool,
            known: Arc::default(),
        }
    }

    /// A message as it may leave. What stands for its study is durable when this returns.
    ///
    /// # Errors
    /// [`AliasError`]; then it may not leave.
    pub(super) async fn out(&self, message: Message) -> Result<Leaving, AliasError> {
        let message = match message {
            Message::Open(it) => self.open(it).await?.into(),
            Message::Query(it) => self.query(it).await?.into(),
            Message::Progress(it) => self.progress(it).await?.into(),
            Message::Recall(it) => self.recall(it).await?.into(),
            Message::Instance(it) => self.instance(it).await?.into(),
            Message::Manifest(it) => self.manifest(it).await?.into(),
            Message::DeletedNoted(it) => self.deleted_noted(it).await?.into(),
            Message::NotKept(it) => self.not_kept(it).await?.into(),
            Message::Context(it) => self.context(it).await?.into(),
            Message::Letter(it) => self.letter(it).await?.into(),
            Message::Delivery(it) => delivery(it)?.into(),
            // none of these has a UID, or words of people
            it @ (Message::Hello(_)
            | Message::Trailer(_)
            | Message::AuditHead(_)
            | Message::GoAway(_)
            | Message::LetterState(_)) => it,
            Message::Have(_)
            | Message::Receipt(_)
            | Message::Refused(_)
            | Message::Sealed(_)
            | Message::Recalled(_)
            | Message::Noted(_)
            | Message::Report(_)
            | Message::Deleted(_)
            | Message::Again(_)
            | Message::ContextHeld(_) => return Err(AliasError::NotOurs),
        };
        Ok(Leaving(message))
    }

    async fn names<'a>(
        &'a self,
        agreement: &'a AgreementId,
        study: &StudyUid,
    ) -> Result<Names<'a>, AliasError> {
        let key = (agreement.clone(), study.clone());
        let known = self.known().get(&key).copied();
        let replaces = match known {
            Some(replaces) => replaces,
            None => {
                let replaces = self.spool.replaces(agreement, study).await?;
                let replaces = replaces.ok_or(AliasError::Unknown)?;
                if replaces {
                    let said = self.spool.said_for(agreement, study.as_str())?;
                    let pair = BTreeMap::from([(study.as_str().to_owned(), said)]);
                    self.spool.note_uids(agreement, &pair).await?;
                }
                let mut known = self.known();
                if known.len() >= REMEMBERED {
                    known.clear();
                }
                known.insert(key, replaces);
                replaces
            }
        };
        Ok(Names {
            spool: &self.spool,
            agreement,
            replaces,
        })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(AgreementId, StudyUid), bool>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self, said: Open) -> Result<Open, AliasError> {
        let Open {
            study,
            agreement,
            purpose,
            priority,
            case,
            first_received,
            blocked,
            remarks,
            identity,
        } = said;
        let names = self.names(&agreement, &study).await?;
        let (study, blocked) = (
            names.uid(&study)?,
            blocked.map(|why| names.text(why)).transpose()?,
        );
        let remarks = remarks.into_iter().map(|it| names.text(it));
        let remarks = remarks.collect::<Result<_, _>>()?;
        Ok(Open {
            study,
            agreement,
            purpose,
            priority,
            case,
            first_received,
            blocked,
            remarks,
            identity,
        })
    }

    async fn query(&self, said: Query) -> Result<Query, AliasError> {
        let Query { keys } = said;
        let agreements: BTreeSet<AgreementId> =
            keys.iter().map(|key| key.agreement.clone()).collect();
        let mut replaces = HashMap::new();
        for agreement in agreements {
            let of = keys.iter().filter(|key| key.agreement == agreement);
            let of: Vec<&SopInstanceUid> = of.map(|key| &key.instance).collect();
            let found = self.spool.replaces_instances(&agreement, &of).await?;
            replaces.insert(agreement, found);
        }
        let keys = keys.into_iter().map(|key| {
            let InstanceKey {
                agreement,
                instance,
                source_tag,
            } = key;
            let found = replaces.get(&agreement);
            let found = found.and_then(|found| found.get(instance.as_str()));
            let names = Names {
                spool: &self.spool,
                agreement: &agreement,
                replaces: *found.ok_or(AliasError::Unknown)?,
            };
            Ok(InstanceKey {
                instance: names.uid(&instance)?,
                agreement,
                source_tag,
            })
        });
        let keys = keys.collect::<Result<_, AliasError>>()?;
        Ok(Query { keys })
    }

    async fn progress(&self, said: Progress) -> Result<Progress, AliasError> {
        let Progress {
            study,
            agreement,
            at_site,
            held,
        } = said;
        let study = self.names(&agreement, &study).await?.uid(&study)?;
        Ok(Progress {
            study,
            agreement,
            at_site,
            held,
        })
    }

    async fn recall(&self, said: Recall) -> Result<Recall, AliasError> {
        let Recall {
            study,
            agreement,
            reason,
        } = said;
        let names = self.names(&agreement, &study).await?;
        let (study, reason) = (names.uid(&study)?, names.text(reason)?);
        Ok(Recall {
            study,
            agreement,
            reason,
        })
    }

    async fn instance(&self, said: Instance) -> Result<Instance, AliasError> {
        let Instance {
            study,
            series,
            instance,
            class,
            syntax,
            agreement,
            source_tag,
            coding,
            offset,
        } = said;
        let names = self.names(&agreement, &study).await?;
        let (study, series) = (names.uid(&study)?, names.uid(&series)?);
        let instance = names.uid(&instance)?;
        Ok(Instance {
            study,
            series,
            instance,
            class,
            syntax,
            agreement,
            source_tag,
            coding,
            offset,
        })
    }

    async fn manifest(&self, said: Manifest) -> Result<Manifest, AliasError> {
        let Manifest {
            study,
            agreement,
            version,
            entries,
            withheld,
            basis,
            sealed_at,
            reports,
        } = said;
        let names = self.names(&agreement, &study).await?;
        let study = names.uid(&study)?;
        let entries = entries.into_iter().map(|entry| {
            let ManifestEntry {
                instance,
                sent_digest,
                length,
            } = entry;
            Ok(ManifestEntry {
                instance: names.uid(&instance)?,
                sent_digest,
                length,
            })
        });
        let entries = entries.collect::<Result<_, AliasError>>()?;
        let withheld = withheld.into_iter().map(|group| {
            let Withheld {
                class,
                modality,
                count,
                reason,
            } = group;
            Ok(Withheld {
                class,
                modality,
                count,
                reason: names.text(reason)?,
            })
        });
        let withheld = withheld.collect::<Result<_, AliasError>>()?;
        Ok(Manifest {
            study,
            agreement,
            version,
            entries,
            withheld,
            basis,
            sealed_at,
            reports,
        })
    }

    async fn deleted_noted(&self, said: DeletedNoted) -> Result<DeletedNoted, AliasError> {
        let DeletedNoted {
            study,
            agreement,
            at,
        } = said;
        let study = self.names(&agreement, &study).await?.uid(&study)?;
        Ok(DeletedNoted {
            study,
            agreement,
            at,
        })
    }

    async fn not_kept(&self, said: NotKept) -> Result<NotKept, AliasError> {
        let NotKept {
            study,
            agreement,
            instances,
        } = said;
        let names = self.names(&agreement, &study).await?;
        let study = names.uid(&study)?;
        let instances = instances.iter().map(|uid| names.uid(uid));
        let instances = instances.collect::<Result<_, AliasError>>()?;
        Ok(NotKept {
            study,
            agreement,
            instances,
        })
    }

    async fn context(&self, said: Context) -> Result<Context, AliasError> {
        let Context {
            study,
            agreement,
            version,
            facts,
        } = said;
        let names = self.names(&agreement, &study).await?;
        let study = names.uid(&study)?;
        let facts = names.facts(&facts)?;
        Ok(Context {
            study,
            agreement,
            version,
            facts,
        })
    }

    async fn letter(&self, said: Letter) -> Result<Letter, AliasError> {
        let Letter {
            id,
            agreement,
            case,
            written,
            who,
            text,
        } = said;
        let replaces = self.spool.replaces_case(&agreement, &case).await?;
        let names = Names {
            spool: &self.spool,
            agreement: &agreement,
            replaces: replaces.ok_or(AliasError::Unknown)?,
        };
        let text = names.words(text)?;
        Ok(Letter {
            id,
            agreement,
            case,
            written,
            who,
            text,
        })
    }
}

/// Its sentence may say what another system answered, and names no agreement.
fn delivery(said: Delivery) -> Result<Delivery, AliasError> {
    let Delivery {
        delivery,
        destination,
        form,
        state,
        sentence: words,
        next_try,
        since,
    } = said;
    let without = rewritten(&words, |_| Ok::<_, AliasError>(A_UID.to_owned()))?;
    Ok(Delivery {
        delivery,
        destination,
        form,
        state,
        sentence: without.map_or(words, sentence),
        next_try,
        since,
    })
}

/// A text with something else in the place of each UID; none when it has none.
fn rewritten<E>(
    text: &str,
    mut with: impl FnMut(&str) -> Result<String, E>,
) -> Result<Option<String>, E> {
    let found = uids_in(text);
    if found.is_empty() {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for range in found {
        out.push_str(text.get(at..range.start).unwrap_or_default());
        out.push_str(&with(text.get(range.clone()).unwrap_or_default())?);
        at = range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Ok(Some(out))
}
