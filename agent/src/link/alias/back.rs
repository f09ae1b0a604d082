//! The way in: what was said in the place of a UID of the site is led back to it.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use causeway_proto::ids::AgreementId;
use causeway_proto::link::codec::{Message, sentence};
use causeway_proto::link::message::{
    Again, AgainKey, ContextHeld, Deleted, Have, Held, InstanceKey, Letter, Recalled, Receipt,
    Refused, Report, Sealed,
};

use super::{Alias, AliasError, rewritten};
use crate::protect::uids_in;

/// What some UIDs stand for; one that is not among them stands for itself.
struct Homes(HashMap<String, String>);

impl Homes {
    fn uid<T: FromStr + Clone + Display>(&self, said: &T) -> T {
        let home = self.0.get(&said.to_string());
        home.and_then(|home| home.parse().ok())
            .unwrap_or_else(|| said.clone())
    }

    fn key(&self, said: InstanceKey) -> InstanceKey {
        let InstanceKey {
            agreement,
            instance,
            source_tag,
        } = said;
        InstanceKey {
            instance: self.uid(&instance),
            agreement,
            source_tag,
        }
    }

    fn receipt(&self, said: Receipt) -> Receipt {
        let Receipt {
            key,
            sent_digest,
            length,
            number,
            epoch,
            quarantined,
        } = said;
        Receipt {
            key: self.key(key),
            sent_digest,
            length,
            number,
            epoch,
            quarantined,
        }
    }

    fn text(&self, text: String) -> String {
        let home = |uid: &str| {
            let home = self.0.get(uid).map_or(uid, String::as_str);
            Ok::<_, std::convert::Infallible>(home.to_owned())
        };
        match rewritten(&text, home) {
            Ok(changed) => changed.unwrap_or(text),
            Err(never) => match never {},
        }
    }
}

impl Alias {
    /// A message as the rest of the agent understands it.
    ///
    /// # Errors
    /// When the rows refuse.
    pub(in super::super) async fn home(&self, message: Message) -> Result<Message, AliasError> {
        Ok(match message {
            Message::Have(it) => self.have(it).await?.into(),
            Message::Receipt(it) => {
                let homes = self.homes(&it.key.agreement, [&it.key.instance]).await?;
                homes.receipt(it).into()
            }
            Message::Refused(it) => self.refused(it).await?.into(),
            Message::Sealed(it) => self.sealed(it).await?.into(),
            Message::Recalled(Recalled { study, agreement }) => {
                let study = self.homes(&agreement, [&study]).await?.uid(&study);
                Recalled { study, agreement }.into()
            }
            Message::Deleted(it) => {
                let study = self.homes(&it.agreement, [&it.study]).await?.uid(&it.study);
                Deleted { study, ..it }.into()
            }
            Message::Again(it) => self.again(it).await?.into(),
            Message::ContextHeld(it) => {
                let ContextHeld {
                    study,
                    agreement,
                    version,
                } = it;
                let study = self.homes(&agreement, [&study]).await?.uid(&study);
                ContextHeld {
                    study,
                    agreement,
                    version,
                }
                .into()
            }
            Message::Letter(it) => self.letter_home(it).await?.into(),
            Message::Report(it) => self.report(&it).await?.into(),
            it @ (Message::Hello(_)
            | Message::Noted(_)
            | Message::GoAway(_)
            | Message::AuditHead(_)
            | Message::Trailer(_)
            | Message::LetterState(_)) => it,
            // a gateway says none of these; whoever takes it will say so
            it @ (Message::Open(_)
            | Message::Query(_)
            | Message::Progress(_)
            | Message::Recall(_)
            | Message::Delivery(_)
            | Message::Instance(_)
            | Message::Manifest(_)
            | Message::DeletedNoted(_)
            | Message::NotKept(_)
            | Message::Context(_)) => it,
        })
    }

    /// A report of a study of the site. Its own UID is the gateway's, and what it says inside is signed: neither changes here.
    ///
    /// # Errors
    /// When the rows refuse.
    pub(in super::super) async fn report(&self, said: &Report) -> Result<Report, AliasError> {
        let homes = self.homes(&said.agreement, [&said.study]).await?;
        Ok(Report {
            study: homes.uid(&said.study),
            ..said.clone()
        })
    }

    async fn homes<T: Display>(
        &self,
        agreement: &AgreementId,
        said: impl IntoIterator<Item = T>,
    ) -> Result<Homes, AliasError> {
        let said: Vec<String> = said.into_iter().map(|uid| uid.to_string()).collect();
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        Ok(Homes(self.spool.homes_of(agreement, &said).await?))
    }

    async fn have(&self, said: Have) -> Result<Have, AliasError> {
        let Have { entries } = said;
        let mut homes = HashMap::new();
        for Held { key, .. } in &entries {
            if !homes.contains_key(&key.agreement) {
                let of = entries.iter().map(|held| &held.key);
                let of = of.filter(|other| other.agreement == key.agreement);
                let of = of.map(|key| &key.instance);
                homes.insert(key.agreement.clone(), self.homes(&key.agreement, of).await?);
            }
        }
        let entries = entries.into_iter().map(|held| {
            let Held {
                key,
                offset,
                receipt,
            } = held;
            let none = Homes(HashMap::new());
            let homes = homes.get(&key.agreement).unwrap_or(&none);
            Held {
                key: homes.key(key),
                offset,
                receipt: receipt.map(|receipt| homes.receipt(receipt)),
            }
        });
        Ok(Have {
            entries: entries.collect(),
        })
    }

    async fn refused(&self, said: Refused) -> Result<Refused, AliasError> {
        let Refused {
            key,
            study,
            agreement,
            code,
            sentence: words,
            retry_after_ms,
        } = said;
        let mut uids: Vec<String> = named(&words);
        uids.extend(key.iter().map(|key| key.instance.to_string()));
        uids.push(study.to_string());
        let homes = self.homes(&agreement, uids).await?;
        Ok(Refused {
            key: key.map(|key| homes.key(key)),
            study: homes.uid(&study),
            agreement,
            code,
            sentence: sentence(homes.text(words)),
            retry_after_ms,
        })
    }

    async fn sealed(&self, said: Sealed) -> Result<Sealed, AliasError> {
        let Sealed {
            study,
            agreement,
            version,
            missing,
        } = said;
        let of = missing.iter().map(ToString::to_string);
        let homes = self
            .homes(&agreement, of.chain([study.to_string()]))
            .await?;
        Ok(Sealed {
            study: homes.uid(&study),
            agreement,
            version,
            missing: missing.iter().map(|uid| homes.uid(uid)).collect(),
        })
    }

    async fn again(&self, said: Again) -> Result<Again, AliasError> {
        let Again {
            study,
            agreement,
            instances,
        } = said;
        let of = instances.iter().map(|one| one.instance.to_string());
        let homes = self
            .homes(&agreement, of.chain([study.to_string()]))
            .await?;
        let instances = instances.into_iter().map(|one| AgainKey {
            instance: homes.uid(&one.instance),
            ..one
        });
        Ok(Again {
            study: homes.uid(&study),
            instances: instances.collect(),
            agreement,
        })
    }

    async fn letter_home(&self, said: Letter) -> Result<Letter, AliasError> {
        let homes = self.homes(&said.agreement, named(&said.text)).await?;
        Ok(Letter {
            text: homes.text(said.text),
            ..said
        })
    }
}

/// The UIDs that stand in a text.
fn named(text: &str) -> Vec<String> {
    let found = uids_in(text).into_iter();
    found
        .filter_map(|range| text.get(range).map(str::to_owned))
        .collect()
}
