//! What stands at the top level of every protected object: the pseudonym, and that and how it was protected (PS3.15 E.1.1).

use causeway_proto::element::Encoding;
use dicom_core::{Tag, VR};

use super::super::identifiers::Identifiers;
use super::super::profile::{self, Options, PROFILE};
use super::{Stand, write};

const ACCESSION: Tag = Tag(0x0008, 0x0050);
const METHODS: Tag = Tag(0x0012, 0x0064);

/// An element of ours.
struct Insert {
    tag: Tag,
    bytes: Vec<u8>,
    /// An element of this tag that was received stays.
    yields: bool,
    /// An element of this tag that was received is kept among the originals.
    put_back: bool,
}

/// Elements of ours that are not yet written.
pub(super) struct Inserts {
    /// The next one last.
    waiting: Vec<Insert>,
    accession: Vec<u8>,
    added: Vec<Tag>,
}

impl Inserts {
    pub(super) fn new(
        stand: &Stand<'_>,
        options: &Options,
        ids: &Identifiers,
        encoding: Encoding,
    ) -> Self {
        let text = |tag, vr, text: &str| Insert {
            tag,
            bytes: write::element(tag, vr, text.as_bytes(), encoding),
            yields: false,
            put_back: true,
        };
        let mut waiting = vec![
            text(Tag(0x0010, 0x0010), VR::PN, &stand.patient_name),
            text(Tag(0x0010, 0x0020), VR::LO, &stand.patient_id),
        ];
        if let Some(age) = stand.age.as_ref().filter(|_| ids.age.reveal().is_empty()) {
            waiting.push(text(Tag(0x0010, 0x1010), VR::AS, age));
        }
        let method = format!("Causeway protection {PROFILE}");
        waiting.push(text(Tag(0x0012, 0x0062), VR::CS, "YES"));
        waiting.push(text(Tag(0x0012, 0x0063), VR::LO, &method));
        waiting.push(Insert {
            tag: METHODS,
            bytes: codes(&profile::methods(options), encoding),
            yields: false,
            put_back: true,
        });
        // PS3.15 E.3.6: Full Dates says that times were not modified; whoever modified them before has said so
        let modified = options.modified_dates;
        let word = if modified { "MODIFIED" } else { "UNMODIFIED" };
        waiting.push(Insert {
            yields: !modified,
            ..text(Tag(0x0028, 0x0303), VR::CS, word)
        });
        for change in options.masked.iter().flat_map(|masked| &masked.changes) {
            waiting.push(Insert {
                tag: change.tag(),
                bytes: write::element(change.tag(), change.vr(), &change.value, encoding),
                yields: false,
                put_back: !change.of_pixels,
            });
        }
        waiting.sort_by_key(|insert| std::cmp::Reverse(insert.tag));
        Self {
            waiting,
            accession: write::element(ACCESSION, VR::SH, stand.accession.as_bytes(), encoding),
            added: Vec::new(),
        }
    }

    /// What goes before an element of the received dataset.
    pub(super) fn before(&mut self, tag: Tag) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(next) = self.waiting.pop_if(|next| next.tag < tag) {
            self.added.push(next.tag);
            out.extend(next.bytes);
        }
        self.waiting.pop_if(|next| next.tag == tag && next.yields);
        out
    }

    /// What stands in the place of an element of the received dataset, and whether that one is an original to be put back.
    pub(super) fn instead(&mut self, tag: Tag) -> Option<(Vec<u8>, bool)> {
        if tag == ACCESSION {
            return Some((self.accession.clone(), true));
        }
        let next = self.waiting.pop_if(|next| next.tag == tag)?;
        Some((next.bytes, next.put_back))
    }

    /// The tags that were written and had not been received.
    pub(super) fn added(&self) -> &[Tag] {
        &self.added
    }
}

fn codes(codes: &[(&str, &str)], encoding: Encoding) -> Vec<u8> {
    let item = |(code, meaning): &(&str, &str)| {
        [
            write::element(Tag(0x0008, 0x0100), VR::SH, code.as_bytes(), encoding),
            write::element(Tag(0x0008, 0x0102), VR::SH, b"DCM", encoding),
            write::element(Tag(0x0008, 0x0104), VR::LO, meaning.as_bytes(), encoding),
        ]
        .concat()
    };
    let items: Vec<Vec<u8>> = codes.iter().map(item).collect();
    write::sequence(METHODS, &items, encoding)
}
