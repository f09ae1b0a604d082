//! The gateway of the pair: an archive in memory that counts what it commits, and the glue that the quinn room writes for real.

use std::collections::BTreeMap;
use std::time::Duration;

use super::agent::{SYNTAX, content_digest};
use super::talk::Talk;
use super::trail::Trail;
use super::{Chance, Wire};
use crate::ids::StudyUid;
use crate::link::close::Code;
use crate::link::codec::{Message, Part, Reader, Speaker, chunk_header};
use crate::link::download::{Bounds, Outbox, noted};
use crate::link::message::{
    Agreement, Delivery, Have, Held, HelloGateway, Instance, InstanceKey, Open, Query, Receipt,
    Refused, Report, Trailer, terms,
};
use crate::link::session::{Fence, Known, Verdict, gateway_hello, greeted_by_agent};
use crate::link::upload::Landing;
use crate::time::Timestamp;

#[derive(Clone, Default)]
pub(super) struct Stored {
    pub(super) bytes: Vec<u8>,
    pub(super) receipt: Option<Receipt>,
    pub(super) commits: u32,
}

#[derive(Default)]
struct Connection {
    up: bool,
    arriving: BTreeMap<u64, (Reader, Option<(Instance, Landing)>)>,
    sending: BTreeMap<u64, (String, usize)>,
    /// Durable, but not said yet.
    unsaid: Vec<Receipt>,
}

pub(super) struct Gateway {
    pub(super) epoch: u64,
    number: u64,
    pub(super) archive: BTreeMap<InstanceKey, Stored>,
    pub(super) newest: Option<Known>,
    live: Option<Known>,
    pub(super) reports: BTreeMap<String, Vec<u8>>,
    pub(super) at_site: BTreeMap<String, Delivery>,
    pub(super) agreements: Vec<Agreement>,
    /// What was last said of each study.
    pub(super) opened: BTreeMap<StudyUid, Open>,
    pub(super) trail: Trail,
    pub(super) talk: Talk,
    outbox: Outbox,
    reader: Reader,
    connection: Connection,
    /// Kept bytes are a multiple of this after a crash.
    pub(super) journal: usize,
}

impl Gateway {
    pub(super) fn new() -> Self {
        let bounds = Bounds {
            streams: 2,
            held: 4,
            answer: Duration::from_secs(2),
        };
        Self {
            epoch: 1,
            number: 0,
            archive: BTreeMap::new(),
            newest: None,
            live: None,
            reports: BTreeMap::new(),
            at_site: BTreeMap::new(),
            agreements: vec![Agreement {
                identity: terms::PSEUDONYMOUS.to_owned(),
                profile: terms::PROFILE_READING.to_owned(),
                options: vec!["device".to_owned()],
                until: Some(Timestamp(1_800_000_000_000_000)),
                ..Agreement::identified("a1".parse().unwrap(), "Readers")
            }],
            opened: BTreeMap::new(),
            trail: Trail::default(),
            talk: Talk::default(),
            outbox: Outbox::new(bounds),
            reader: Reader::control(Speaker::Agent),
            connection: Connection::default(),
            journal: 1000,
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.reports.keys().all(|id| self.at_site.contains_key(id))
    }

    pub(super) fn state(&self) -> String {
        format!(
            "{} of {} reports at the site, {} instances",
            self.at_site.len(),
            self.reports.len(),
            self.archive.len()
        )
    }

    pub(super) fn connected(&mut self) {}

    pub(super) fn disconnected(&mut self) {
        self.live = None;
        self.talk.disconnected();
        self.reader = Reader::control(Speaker::Agent);
        self.connection = Connection::default();
        let bounds = Bounds {
            streams: 2,
            held: 4,
            answer: Duration::from_secs(2),
        };
        self.outbox = Outbox::new(bounds);
    }

    /// Loses what was not yet written.
    pub(super) fn crash(&mut self) {
        for stored in self.archive.values_mut() {
            if stored.receipt.is_none() {
                let keep = stored.bytes.len() / self.journal * self.journal;
                stored.bytes.truncate(keep);
            }
        }
    }

    /// A backup as of now.
    pub(super) fn backup(&self) -> (u64, BTreeMap<InstanceKey, Stored>) {
        (self.number, self.archive.clone())
    }

    /// Comes back from a backup: a new epoch.
    pub(super) fn restore(&mut self, backup: (u64, BTreeMap<InstanceKey, Stored>)) {
        (self.number, self.archive) = backup;
        self.epoch += 1;
    }

    pub(super) fn turn(
        &mut self,
        now: Duration,
        wire: &mut Wire,
        chance: &mut Chance,
        repeat: bool,
    ) {
        if !self.connection.up {
            return;
        }
        self.talk.say(now, &mut wire.to_agent);
        for receipt in std::mem::take(&mut self.connection.unsaid) {
            wire.to_agent.say(receipt.clone());
            if repeat {
                wire.to_agent.say(receipt);
            }
        }
        for id in self.reports.keys() {
            if !self.at_site.contains_key(id) {
                self.outbox.offered(id.clone());
            }
        }
        while let Some(delivery) = self.outbox.step(now) {
            let id = wire.open_down();
            wire.down.get_mut(&id).unwrap().say(Report {
                delivery: delivery.clone(),
                study: "1.2".parse().unwrap(),
                agreement: "a1".parse().unwrap(),
                instance: "1.2.9".parse().unwrap(),
                class: "1.4".parse().unwrap(),
                syntax: SYNTAX.parse().unwrap(),
                case: "33333333".parse().unwrap(),
                signed_at: Timestamp(0),
                status: "final".to_owned(),
                signer_crl: None,
            });
            self.connection.sending.insert(id, (delivery, 0));
        }
        let ids: Vec<u64> = self.connection.sending.keys().copied().collect();
        for id in ids {
            self.write_some(now, id, wire, chance.below(3000));
        }
    }

    fn write_some(&mut self, now: Duration, id: u64, wire: &mut Wire, most: usize) {
        let (delivery, offset) = self.connection.sending.get_mut(&id).unwrap();
        let dataset = &self.reports[delivery];
        let pipe = wire.down.get_mut(&id).unwrap();
        let end = dataset.len().min(*offset + most);
        if end > *offset {
            pipe.write(&chunk_header(end - *offset));
            pipe.write(&dataset[*offset..end]);
        }
        *offset = end;
        if end == dataset.len() {
            pipe.write(&chunk_header(0));
            pipe.say(Trailer {
                length: dataset.len() as u64,
                digest: content_digest(dataset),
            });
            pipe.ended = true;
            self.outbox.ended(now, delivery);
            self.connection.sending.remove(&id);
        }
    }

    pub(super) fn control(
        &mut self,
        now: Duration,
        stamp: Timestamp,
        bytes: &[u8],
        wire: &mut Wire,
    ) {
        self.reader.push(bytes);
        loop {
            let message = match self.reader.next_part() {
                Ok(Some(Part::Message(message))) => message,
                Ok(Some(Part::Data(_)) | None) => return,
                Err(error) => {
                    wire.closed = Some(error.code());
                    return;
                }
            };
            if let Err(code) = self.answer(now, stamp, message, wire) {
                wire.closed = Some(code);
                return;
            }
        }
    }

    fn answer(
        &mut self,
        _now: Duration,
        stamp: Timestamp,
        message: Message,
        wire: &mut Wire,
    ) -> Result<(), Code> {
        if !self.connection.up {
            let greeted = greeted_by_agent(stamp, message).map_err(|farewell| farewell.code)?;
            let fence = Fence {
                live: self.live.clone(),
                newest: self.newest.clone(),
            };
            if let Verdict::Refused(farewell) = fence.judge(&greeted.half) {
                return Err(farewell.code);
            }
            self.live = Some(Known {
                spool: greeted.half.spool,
                session: greeted.half.session,
            });
            self.newest = self.live.clone();
            let half = HelloGateway {
                epoch: self.epoch,
                high_water: self.number,
                agreements: self.agreements.clone(),
                codings: Vec::new(),
            };
            wire.to_agent.say(gateway_hello(stamp, "gateway", half));
            self.connection.up = true;
            self.trail.write("connected");
            wire.to_agent.say(self.trail.say(stamp, None));
            return Ok(());
        }
        let Some(message) = self.talk.hear(message, &mut wire.to_agent) else {
            return Ok(());
        };
        match message {
            Message::Query(query) => {
                let have = self.have(&query);
                wire.to_agent.say(have);
            }
            Message::Open(open) => {
                self.opened.insert(open.study.clone(), open);
            }
            Message::Delivery(word) => {
                self.outbox.told(&word.delivery);
                wire.to_agent.say(noted(&word));
                self.at_site.insert(word.delivery.clone(), word);
            }
            Message::AuditHead(said) => {
                if let Some(answer) = self.trail.hear(stamp, &said) {
                    wire.to_agent.say(answer);
                }
            }
            _ => return Err(Code::ProtocolError),
        }
        Ok(())
    }

    fn have(&self, query: &Query) -> Have {
        let entries = query.keys.iter().map(|key| {
            let stored = self.archive.get(key);
            Held {
                key: key.clone(),
                offset: stored.map_or(0, |stored| stored.bytes.len() as u64),
                receipt: stored.and_then(|stored| stored.receipt.clone()),
            }
        });
        Have {
            entries: entries.collect(),
        }
    }

    fn refuse(&self, wire: &mut Wire, id: u64, instance: &Instance, code: Code) {
        wire.to_agent.say(Refused {
            key: Some(key_of(instance)),
            study: instance.study.clone(),
            agreement: instance.agreement.clone(),
            code: code.number(),
            sentence: code.sentence().to_owned(),
            retry_after_ms: Some(20),
        });
        if let Some(pipe) = wire.up.get_mut(&id) {
            pipe.stopped = Some(code);
            pipe.end_seen = true;
        }
    }

    /// Takes bytes of an instance.
    pub(super) fn stream(
        &mut self,
        _now: Duration,
        id: u64,
        bytes: &[u8],
        end: bool,
        refuse: bool,
        wire: &mut Wire,
    ) {
        let fresh = || (Reader::stream(Speaker::Agent), None);
        let (mut reader, mut arriving) = self.connection.arriving.remove(&id).unwrap_or_else(fresh);
        reader.push(bytes);
        loop {
            match reader.next_part() {
                Ok(Some(Part::Message(Message::Instance(instance)))) => {
                    let landing = Landing::begin(&instance, 10_000_000).unwrap();
                    let stored = self.archive.entry(key_of(&instance)).or_default();
                    if let Some(receipt) = &stored.receipt {
                        self.connection.unsaid.push(receipt.clone());
                        let pipe = wire.up.get_mut(&id).unwrap();
                        pipe.stopped = Some(Code::Done);
                        pipe.end_seen = true;
                        return;
                    }
                    if stored.bytes.len() as u64 != instance.offset {
                        self.refuse(wire, id, &instance, Code::BadOffset);
                        return;
                    }
                    if refuse {
                        self.refuse(wire, id, &instance, Code::Busy);
                        return;
                    }
                    arriving = Some((instance, landing));
                }
                Ok(Some(Part::Data(data))) => {
                    let (instance, landing) = arriving.as_mut().unwrap();
                    landing.data(data.len()).unwrap();
                    let stored = self.archive.get_mut(&key_of(instance)).unwrap();
                    stored.bytes.extend_from_slice(data);
                }
                Ok(Some(Part::Message(Message::Trailer(trailer)))) => {
                    let (instance, landing) = arriving.take().unwrap();
                    assert_eq!(landing.trailer(&trailer), Ok(()));
                    if let Err(code) = self.commit(&instance, &trailer) {
                        self.refuse(wire, id, &instance, code);
                        return;
                    }
                }
                Ok(Some(Part::Message(_))) | Err(_) => {
                    wire.closed = Some(Code::ProtocolError);
                    return;
                }
                Ok(None) => break,
            }
        }
        if end {
            assert_eq!(reader.finish(), Ok(()));
        } else {
            self.connection.arriving.insert(id, (reader, arriving));
        }
    }

    fn commit(&mut self, instance: &Instance, trailer: &Trailer) -> Result<(), Code> {
        let key = key_of(instance);
        let stored = self.archive.get_mut(&key).unwrap();
        if content_digest(&stored.bytes) != trailer.digest {
            stored.bytes.clear();
            return Err(Code::DigestMismatch);
        }
        self.number += 1;
        stored.commits += 1;
        let receipt = Receipt {
            key,
            sent_digest: trailer.digest,
            length: trailer.length,
            number: self.number,
            epoch: self.epoch,
            quarantined: false,
        };
        stored.receipt = Some(receipt.clone());
        self.connection.unsaid.push(receipt);
        Ok(())
    }
}

fn key_of(instance: &Instance) -> InstanceKey {
    InstanceKey {
        agreement: instance.agreement.clone(),
        instance: instance.instance.clone(),
        source_tag: instance.source_tag,
    }
}
