//! The link as the way home sees it: connections come and go, what is leased arrives or is lost, and the site says where it stands.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_proto::digest::ContentHasher;
use causeway_proto::ids::SiteId;
use causeway_proto::link::message::{Delivery as Word, DeliveryState};
use causeway_proto::random::Random;

use super::seen::Seen;
use super::world::{World, cut};
use crate::delivery::{self, Due, WITHDRAWN};

/// As the link has it.
const LEASE: Duration = Duration::from_secs(120);
const LEASE_S: i64 = 120;
/// At most so many are leased at once.
const MOST: usize = 16;

/// What the site says of a document, one word after the other, and what that makes of it at the gateway.
const WORDS: [(&str, DeliveryState, &str); 3] = [
    ("site", DeliveryState::AtSite, "at-site"),
    ("pacs", DeliveryState::Waiting, "at-site"),
    ("pacs", DeliveryState::Delivered, "delivered"),
];

/// A document at the site.
struct Home {
    /// How many words the site has to say of it, and how many were answered.
    words: usize,
    told: usize,
    /// Whether the gateway has answered a word of it at all.
    heard: bool,
}

/// The site and the way to it.
#[derive(Default)]
pub(super) struct Homeward {
    owner: Option<String>,
    /// It has taken over and leased nothing yet: whatever waits is free.
    new: bool,
    /// Handed out to this connection; on its way.
    sent: VecDeque<Due>,
    homes: BTreeMap<String, Home>,
    /// Documents leased now: by whom, when, in [`World::passed`].
    leased: BTreeMap<String, (String, i64)>,
    pub(super) arrived: u64,
}

impl Homeward {
    fn site() -> SiteId {
        "s1".parse().unwrap()
    }

    /// Another process or another clock: a lease may end before its time.
    pub(super) fn shaken(&mut self) {
        self.leased.clear();
    }

    /// The connection is gone with what is on its way; nobody has given its leases back.
    pub(super) fn broken(&mut self) {
        self.owner = None;
        self.sent.clear();
    }

    /// One move of the link. `polls`: the process ends after so many; answers whether it has.
    pub(super) async fn turn(
        &mut self,
        world: &World,
        chance: &Random,
        polls: Option<u64>,
    ) -> anyhow::Result<bool> {
        let polls = polls.unwrap_or(u64::MAX);
        let Some(owner) = self.owner.clone() else {
            let taken = cut(delivery::take_over(&world.rows, &Self::site()), polls).await;
            self.shaken();
            self.new = taken.transpose()?.is_some();
            self.owner = Some(chance.token());
            return Ok(polls < u64::MAX);
        };
        match chance.below(8) {
            0 => {
                self.broken();
                let given = cut(delivery::release(&world.rows, &owner), polls).await;
                self.leased.retain(|_, (by, _)| *by != owner);
                given.transpose()?;
                return Ok(polls < u64::MAX);
            }
            1..=2 => {
                let lease = cut(self.lease(world, &owner), polls).await;
                self.shaken_if(lease.is_none());
                lease.transpose()?;
            }
            3..=4 => {
                // streams come in any order, or are cut
                let at = usize::try_from(chance.below(1 + self.sent.len() as u64))?;
                if let Some(due) = self.sent.remove(at)
                    && chance.below(4) > 0
                {
                    self.arrive(due, world).await?;
                }
                return Ok(false);
            }
            _ => {
                let said = cut(self.say(world, chance), polls).await;
                said.transpose()?;
            }
        }
        Ok(polls < u64::MAX)
    }

    fn shaken_if(&mut self, shaken: bool) {
        if shaken {
            self.shaken();
        }
    }

    /// Leases what is due: nothing that another holds now, and of one case in the order in which it was signed, but for withdrawals.
    async fn lease(&mut self, world: &World, owner: &str) -> anyhow::Result<()> {
        let new = std::mem::take(&mut self.new);
        let waiting = Seen::of(&world.rows).await.documents.into_values();
        let waiting = waiting.filter(|document| document.delivery_state == "waiting");
        let waiting = waiting.count();
        let found = delivery::due(
            &world.rows,
            &Self::site(),
            owner,
            MOST,
            (world.now(), LEASE),
        )
        .await?;
        ensure!(
            !new || found.len() == waiting.min(MOST),
            "a new connection leases {} of {waiting} that wait",
            found.len()
        );
        let mut last: BTreeMap<String, i64> = BTreeMap::new();
        for due in &found {
            let id = &due.message.delivery;
            if let Some((by, since)) = self.leased.get(id) {
                let free = world.passed - since >= LEASE_S;
                ensure!(free, "{id} is leased to {by}, and to {owner} as well");
            }
            let known = self.homes.get(id).is_some_and(|home| home.heard);
            ensure!(!known, "{id} is at the site, and is offered again");
            if due.message.status != WITHDRAWN {
                let at = due.message.signed_at.0;
                let before = last.insert(due.message.case.to_string(), at);
                ensure!(before < Some(at), "{id} goes before an older version");
            }
            self.leased
                .insert(id.clone(), (owner.to_owned(), world.passed));
        }
        self.sent.extend(found);
        Ok(())
    }

    /// A document has come whole, once or again.
    async fn arrive(&mut self, due: Due, world: &World) -> anyhow::Result<()> {
        let key = due.blob_key.parse()?;
        let bytes = world.archive.blobs.read(&key).await?;
        let mut hasher = ContentHasher::new(&due.message.syntax);
        hasher.update(&bytes);
        let whole = hasher.finish() == due.digest && bytes.len() as u64 == due.length;
        ensure!(whole, "{} is not what was signed", due.message.delivery);
        self.arrived += 1;
        let home = Home {
            words: 1,
            told: 0,
            heard: false,
        };
        // the same again is told again
        let home = self.homes.entry(due.message.delivery).or_insert(home);
        home.told = 0;
        Ok(())
    }

    /// The site says the next word of a document that it has, or its last one again; the answer may be lost.
    async fn say(&mut self, world: &World, chance: &Random) -> anyhow::Result<()> {
        let at = usize::try_from(chance.below(1 + self.homes.len() as u64))?;
        let Some((id, home)) = self.homes.iter_mut().nth(at) else {
            return Ok(());
        };
        if home.told == home.words && home.words < WORDS.len() {
            home.words += 1;
        }
        // whatever was not answered is said again, from the newest state of each destination
        let new = WORDS.iter().take(home.words).skip(home.told);
        let said: BTreeMap<&str, DeliveryState> = new.map(|(to, state, _)| (*to, *state)).collect();
        for (destination, state) in said {
            let word = Word {
                delivery: id.clone(),
                destination: destination.to_owned(),
                form: "sr".to_owned(),
                state,
                sentence: String::new(),
                next_try: None,
                since: world.now(),
            };
            let (site, now) = (Self::site(), world.now());
            let changed = delivery::record(&world.rows, &site, &word, now).await?;
            ensure!(changed.cases.len() == 1, "{id} is of no case");
            self.leased.remove(id);
        }
        if chance.below(4) > 0 {
            (home.told, home.heard) = (home.words, true);
        }
        Ok(())
    }

    /// A document stands where the site has said; a word that was not answered may count or not.
    pub(super) fn check(&self, seen: &Seen) -> anyhow::Result<()> {
        for (id, document) in &seen.documents {
            let state = &*document.delivery_state;
            let Some(home) = self.homes.get(id) else {
                ensure!(state == "waiting", "{document:?} was never at the site");
                continue;
            };
            let said = (0..home.words).any(|word| WORDS[word].2 == state);
            let known = home.told == 0 || WORDS[home.told - 1].2 == state;
            let stands = match state {
                "waiting" => !home.heard,
                _ => said && (known || home.told < home.words),
            };
            let (told, words) = (home.told, home.words);
            ensure!(stands, "{document:?} was told {told} of {words} words");
        }
        Ok(())
    }

    /// With no fault any more everything comes home and is told.
    pub(super) async fn drained(
        &mut self,
        world: &mut World,
        chance: &Random,
    ) -> anyhow::Result<()> {
        self.broken();
        self.shaken();
        let owner = chance.token();
        delivery::take_over(&world.rows, &Self::site()).await?;
        for _ in 0..40 {
            self.lease(world, &owner).await?;
            while let Some(due) = self.sent.pop_front() {
                self.arrive(due, world).await?;
            }
            let ids: Vec<String> = self.homes.keys().cloned().collect();
            for id in ids {
                self.end(world, &id).await?;
            }
        }
        let seen = Seen::of(&world.rows).await;
        for document in seen.documents.values() {
            let home = self.homes.get(&document.delivery);
            home.with_context(|| format!("{document:?} never came"))?;
            ensure!(document.delivery_state == "delivered", "{document:?}");
        }
        Ok(())
    }

    async fn end(&mut self, world: &World, id: &str) -> anyhow::Result<()> {
        let Some(home) = self.homes.get_mut(id) else {
            return Ok(());
        };
        home.words = WORDS.len();
        if home.told == home.words {
            return Ok(());
        }
        for (destination, state, _) in [WORDS[0], WORDS[2]] {
            let word = Word {
                delivery: id.to_owned(),
                destination: destination.to_owned(),
                form: "sr".to_owned(),
                state,
                sentence: String::new(),
                next_try: None,
                since: world.now(),
            };
            let (site, now) = (Self::site(), world.now());
            let changed = delivery::record(&world.rows, &site, &word, now).await?;
            ensure!(changed.cases.len() == 1, "{id} is of no case");
            self.leased.remove(id);
        }
        (home.told, home.heard) = (home.words, true);
        Ok(())
    }
}
