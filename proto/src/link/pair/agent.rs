//! The agent of the pair: a spool in memory, the machines of the agent, and the glue that the quinn room writes for real.

use std::collections::BTreeMap;
use std::time::Duration;

use super::talk::Talk;
use super::trail::Trail;
use super::{Chance, Wire};
use crate::digest::{ContentHasher, Digest};
use crate::ids::Priority;
use crate::link::close::Code;
use crate::link::codec::{Message, Part, Reader, Speaker, chunk_header};
use crate::link::download::{Parcel, Row, Words};
use crate::link::message::{
    Agreement, Delivery, DeliveryState, HelloAgent, Instance, InstanceKey, Open, Query, Receipt,
    Report, Trailer,
};
use crate::link::session::{self, agent_hello, greeted_by_gateway};
use crate::link::upload::{Bounds, Job, Step, Uploader};
use crate::time::Timestamp;

pub(super) const SYNTAX: &str = "1.2.840.10008.1.2.1";

pub(super) fn content_digest(bytes: &[u8]) -> Digest {
    let mut hasher = ContentHasher::new(&SYNTAX.parse().unwrap());
    hasher.update(bytes);
    hasher.finish()
}

pub(super) struct Item {
    pub(super) priority: Priority,
    pub(super) bytes: Vec<u8>,
    /// What is announced; differs from the content's digest when the disk has rotted.
    pub(super) announced: Digest,
    pub(super) receipt: Option<Receipt>,
    pub(super) parked: Option<String>,
    pub(super) due: Duration,
    pub(super) bytes_sent: u64,
    pub(super) streams: u32,
}

#[derive(Default)]
struct Connection {
    up: bool,
    sending: BTreeMap<u64, (InstanceKey, usize)>,
    arriving: BTreeMap<u64, (Reader, Option<(Report, Parcel)>)>,
    words: Words,
    opened: Vec<Open>,
}

pub(super) struct Agent {
    pub(super) spool: String,
    pub(super) session: u64,
    epoch_seen: u64,
    receipt_seen: u64,
    pub(super) items: BTreeMap<InstanceKey, Item>,
    pub(super) started: Vec<Priority>,
    uploader: Uploader,
    reader: Reader,
    connection: Connection,
    pub(super) reports: BTreeMap<String, (u32, Vec<u8>)>,
    pub(super) untold: BTreeMap<Row, Delivery>,
    pub(super) agreements: Vec<Agreement>,
    /// What is to be said of the studies.
    pub(super) open: Vec<Open>,
    pub(super) trail: Trail,
    pub(super) talk: Talk,
}

impl Agent {
    pub(super) fn new(spool: &str) -> Self {
        let bounds = Bounds {
            streams: 4,
            window: 8,
            reserve: 1,
            held: 20,
            questions: 2,
            answer: Duration::from_secs(60),
            answer_cut: Duration::from_secs(5),
        };
        Self {
            spool: spool.to_owned(),
            session: 0,
            epoch_seen: 0,
            receipt_seen: 0,
            items: BTreeMap::new(),
            started: Vec::new(),
            uploader: Uploader::new(bounds),
            reader: Reader::control(Speaker::Gateway),
            connection: Connection::default(),
            reports: BTreeMap::new(),
            untold: BTreeMap::new(),
            agreements: Vec::new(),
            open: Vec::new(),
            trail: Trail::default(),
            talk: Talk::default(),
        }
    }

    pub(super) fn spool(&mut self, number: u64, priority: Priority, bytes: Vec<u8>) -> InstanceKey {
        let key = InstanceKey {
            agreement: "a1".parse().unwrap(),
            instance: format!("1.2.{number}").parse().unwrap(),
            source_tag: Digest::of(&number.to_be_bytes()),
        };
        let item = Item {
            priority,
            announced: content_digest(&bytes),
            bytes,
            receipt: None,
            parked: None,
            due: Duration::ZERO,
            bytes_sent: 0,
            streams: 0,
        };
        self.items.insert(key.clone(), item);
        key
    }

    pub(super) fn is_settled(&self) -> bool {
        self.untold.is_empty()
            && self
                .items
                .values()
                .all(|item| item.receipt.is_some() || item.parked.is_some())
    }

    pub(super) fn state(&self) -> String {
        let open = self.items.values().filter(|item| item.receipt.is_none());
        format!(
            "{} without receipt, {} unanswered, {} untold",
            open.count(),
            self.uploader.unanswered(),
            self.untold.len()
        )
    }

    pub(super) fn connected(&mut self, now: Timestamp, wire: &mut Wire) {
        self.session += 1;
        let half = HelloAgent {
            spool: self.spool.clone(),
            session: self.session,
            epoch_seen: self.epoch_seen,
            receipt_seen: self.receipt_seen,
        };
        wire.to_gateway.say(agent_hello(now, "agent", half));
    }

    pub(super) fn disconnected(&mut self) {
        self.talk.disconnected();
        self.uploader.restart();
        self.reader = Reader::control(Speaker::Gateway);
        self.connection = Connection::default();
    }

    /// Offers what is due, does what the machine says, and writes some bytes of each stream.
    pub(super) fn turn(&mut self, now: Duration, wire: &mut Wire, chance: &mut Chance) {
        if !self.connection.up {
            return;
        }
        for open in &self.open {
            if !self.connection.opened.contains(open) {
                self.connection.opened.push(open.clone());
                wire.to_gateway.say(open.clone());
            }
        }
        let (room, under_way) = (self.uploader.room(), self.uploader.under_way());
        let mut due: Vec<_> = self
            .items
            .iter()
            .filter(|(key, item)| {
                item.receipt.is_none()
                    && item.parked.is_none()
                    && item.due <= now
                    && !under_way.contains(*key)
            })
            .map(|(key, item)| Job {
                key: key.clone(),
                priority: item.priority,
                place: 0,
                length: item.bytes.len() as u64,
            })
            .collect();
        due.sort_by_key(|job| job.priority);
        let all = due.len() < room;
        due.truncate(room);
        self.uploader.offered(due, all);
        while let Some(step) = self.uploader.step(now) {
            match step {
                Step::Ask(keys) => wire.to_gateway.say(Query { keys }),
                Step::Send { key, offset } => self.begin(wire, key, offset),
                Step::Park(key) => {
                    self.items.get_mut(&key).unwrap().parked = Some("cut".to_owned());
                }
            }
        }
        self.talk.say(now, &mut wire.to_gateway);
        for word in self.untold.values() {
            if self.connection.words.say(word, 4) {
                wire.to_gateway.say(word.clone());
            }
        }
        let ids: Vec<u64> = self.connection.sending.keys().copied().collect();
        for id in ids {
            self.write_some(now, id, wire, chance.below(3000));
        }
    }

    fn begin(&mut self, wire: &mut Wire, key: InstanceKey, offset: u64) {
        let item = self.items.get_mut(&key).unwrap();
        assert!(item.receipt.is_none(), "sends what has a receipt");
        self.started.push(item.priority);
        item.streams += 1;
        let id = wire.open_up();
        wire.up.get_mut(&id).unwrap().say(Instance {
            study: "1.2".parse().unwrap(),
            series: "1.3".parse().unwrap(),
            instance: key.instance.clone(),
            class: "1.4".parse().unwrap(),
            syntax: SYNTAX.parse().unwrap(),
            agreement: key.agreement.clone(),
            source_tag: key.source_tag,
            coding: 0,
            offset,
        });
        let offset = usize::try_from(offset).unwrap();
        self.connection.sending.insert(id, (key, offset));
    }

    fn write_some(&mut self, now: Duration, id: u64, wire: &mut Wire, most: usize) {
        let (key, offset) = self.connection.sending.get_mut(&id).unwrap();
        let item = self.items.get_mut(key).unwrap();
        let pipe = wire.up.get_mut(&id);
        let stopped = pipe.as_ref().is_none_or(|pipe| pipe.stopped.is_some());
        let Some(pipe) = pipe.filter(|_| !stopped) else {
            self.uploader.sent(now, key);
            self.connection.sending.remove(&id);
            return;
        };
        let end = item.bytes.len().min(*offset + most);
        let piece = &item.bytes[*offset..end];
        if !piece.is_empty() {
            pipe.write(&chunk_header(piece.len()));
            pipe.write(piece);
            item.bytes_sent += piece.len() as u64;
        }
        *offset = end;
        if end == item.bytes.len() {
            pipe.write(&chunk_header(0));
            pipe.say(Trailer {
                length: item.bytes.len() as u64,
                digest: item.announced,
            });
            pipe.ended = true;
            self.uploader.sent(now, key);
            self.connection.sending.remove(&id);
        }
    }

    fn receipted(&mut self, receipt: &Receipt) {
        self.receipt_seen = self.receipt_seen.max(receipt.number);
        let item = self.items.get_mut(&receipt.key).unwrap();
        assert_eq!(receipt.sent_digest, item.announced);
        item.receipt = Some(receipt.clone());
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
        now: Duration,
        stamp: Timestamp,
        message: Message,
        wire: &mut Wire,
    ) -> Result<(), Code> {
        if !self.connection.up {
            let greeted = greeted_by_gateway(stamp, message).map_err(|farewell| farewell.code)?;
            let seen = HelloAgent {
                spool: String::new(),
                session: 0,
                epoch_seen: self.epoch_seen,
                receipt_seen: self.receipt_seen,
            };
            if session::has_forgotten(&seen, &greeted.half) {
                self.items.values_mut().for_each(|item| item.receipt = None);
                self.receipt_seen = 0;
                self.talk.forgotten();
            }
            self.epoch_seen = greeted.half.epoch;
            self.agreements = greeted.half.agreements;
            self.connection.up = true;
            self.trail.write("connected");
            wire.to_gateway.say(self.trail.say(stamp, None));
            return Ok(());
        }
        let Some(message) = self.talk.hear(message, &mut wire.to_gateway) else {
            return Ok(());
        };
        match message {
            Message::Have(have) => {
                let receipts = self
                    .uploader
                    .have(&have)
                    .map_err(|farewell| farewell.code)?;
                receipts.iter().for_each(|receipt| self.receipted(receipt));
            }
            Message::Receipt(receipt) => {
                self.uploader.receipt(&receipt);
                self.receipted(&receipt);
            }
            Message::Refused(refused) => {
                let refused = self.uploader.refused(refused);
                let item = self.items.get_mut(refused.key.as_ref().unwrap()).unwrap();
                match refused.retry_after_ms {
                    Some(ms) => item.due = now + Duration::from_millis(ms),
                    None => item.parked = Some(refused.sentence),
                }
            }
            Message::Noted(noted) => {
                if self.connection.words.noted(&noted) {
                    self.untold.retain(|row, word| {
                        row.delivery != noted.delivery || word.since != noted.since
                    });
                }
            }
            Message::AuditHead(said) => {
                if let Some(answer) = self.trail.hear(stamp, &said) {
                    wire.to_gateway.say(answer);
                }
            }
            _ => return Err(Code::ProtocolError),
        }
        Ok(())
    }

    /// Takes bytes of a report.
    pub(super) fn stream(
        &mut self,
        stamp: Timestamp,
        id: u64,
        bytes: &[u8],
        end: bool,
        wire: &mut Wire,
    ) {
        let fresh = || (Reader::stream(Speaker::Gateway), None);
        let (mut reader, mut arriving) = self.connection.arriving.remove(&id).unwrap_or_else(fresh);
        reader.push(bytes);
        loop {
            match reader.next_part() {
                Ok(Some(Part::Message(Message::Report(report)))) => {
                    let parcel = Parcel::begin(&report);
                    arriving = Some((report, parcel));
                }
                Ok(Some(Part::Data(data))) => arriving.as_mut().unwrap().1.data(data).unwrap(),
                Ok(Some(Part::Message(Message::Trailer(trailer)))) => {
                    let (report, parcel) = arriving.take().unwrap();
                    let dataset = parcel.finish(&trailer).unwrap();
                    self.accept(stamp, report, dataset);
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

    fn accept(&mut self, stamp: Timestamp, report: Report, dataset: Vec<u8>) {
        let kept = self
            .reports
            .entry(report.delivery.clone())
            .or_insert((0, dataset));
        kept.0 += 1;
        let row = Row {
            delivery: report.delivery.clone(),
            destination: "pacs".to_owned(),
            form: "sr".to_owned(),
        };
        let word = Delivery {
            delivery: report.delivery,
            destination: row.destination.clone(),
            form: row.form.clone(),
            state: DeliveryState::AtSite,
            sentence: String::new(),
            next_try: None,
            since: stamp,
        };
        self.untold.insert(row, word);
    }
}
