//! Sequences and items: one that is unchanged inside keeps its very bytes, one that is changed gets undefined lengths.

use std::io::{Read, Seek};

use causeway_proto::dataset::Dataset;
use causeway_proto::element::{Encoding, Header, ITEM, ITEM_END, SEQUENCE_END};
use dicom_core::{Tag, VR};

use super::super::documents::Concept;
use super::super::private::Blocks;
use super::super::source::Unreadable;
use super::{Level, Stop, Transform, write};

/// The items of a sequence: where they end, if that is declared; how they are encoded; whether their texts are to say nothing.
#[derive(Clone, Copy)]
pub(super) struct Items {
    pub(super) end: Option<u64>,
    pub(super) inside: Encoding,
    pub(super) dummy: bool,
}

impl<S: Read + Seek> Transform<'_, '_, S> {
    /// Walks the items behind a header that was taken.
    pub(super) fn items(
        &mut self,
        start: u64,
        header: &Header,
        items: Items,
        level: &Level,
        originals: &mut Dataset,
    ) -> Result<(), Stop> {
        let depth = level.depth.checked_sub(1).ok_or(Unreadable::Limit)?;
        let limit = items.end.unwrap_or(level.limit);
        let mark = self.out.mark();
        if items.end.is_some() {
            let vr = if header.vr == VR::UN { VR::UN } else { VR::SQ };
            let header = write::header(header.tag, vr, None, level.encoding);
            self.out.bytes(&header);
        } else {
            self.out.source(start..self.source.at());
        }
        let mut skeleton = Vec::new();
        loop {
            let item_start = self.source.at();
            let Some(end) = self.source.item(items.end, items.inside, limit)? else {
                self.out.source(item_start..self.source.at());
                break;
            };
            let mut inner = Level {
                encoding: items.inside,
                limit: end.unwrap_or(limit),
                depth,
                set: level.set,
                dummy: items.dummy,
                content: Concept::Plain,
                blocks: Blocks::default(),
            };
            skeleton.push(self.one_item(item_start, end, &mut inner)?);
        }
        if skeleton.iter().all(Dataset::is_empty) {
            self.out.reset(&mark);
            self.out.source(start..self.source.at());
        } else {
            if items.end.is_some() {
                let end = write::header(SEQUENCE_END, VR::UN, Some(0), items.inside);
                self.out.bytes(&end);
            }
            originals.put_items(header.tag, skeleton);
        }
        self.hold(0)
    }

    fn one_item(
        &mut self,
        start: u64,
        end: Option<u64>,
        level: &mut Level,
    ) -> Result<Dataset, Stop> {
        let mark = self.out.mark();
        if end.is_some() {
            let header = write::header(ITEM, VR::UN, None, level.encoding);
            self.out.bytes(&header);
        } else {
            self.out.source(start..self.source.at());
        }
        let mut originals = Dataset::new();
        let mut last: Option<Tag> = None;
        loop {
            let at = self.source.at();
            let Some(header) = self.source.element(end, level.encoding, level.limit)? else {
                self.out.source(at..self.source.at());
                break;
            };
            if last.is_some_and(|last| last >= header.tag) {
                return Err(Stop::disorder());
            }
            last = Some(header.tag);
            self.element(at, &header, level, &mut originals)?;
        }
        if end.is_some() && originals.is_empty() {
            self.out.reset(&mark);
            self.out.source(start..self.source.at());
        } else if end.is_some() {
            let end = write::header(ITEM_END, VR::UN, Some(0), level.encoding);
            self.out.bytes(&end);
        }
        Ok(originals)
    }
}
