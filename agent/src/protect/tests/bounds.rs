//! Bounds: the memory of large objects, and that damaged ones never panic and never leak.

use std::io::{Read, Seek, SeekFrom};

use dicom_core::{Tag, VR};
use proptest::prelude::*;

use super::units::slice;
use super::*;

/// A dataset whose pixels are zeros that stand nowhere.
struct Long {
    head: Vec<u8>,
    length: u64,
    at: u64,
}

impl Read for Long {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.length - self.at)
            .unwrap()
            .min(out.len());
        for byte in &mut out[..left] {
            *byte = usize::try_from(self.at)
                .ok()
                .and_then(|at| self.head.get(at))
                .copied()
                .unwrap_or(0);
            self.at += 1;
        }
        Ok(left)
    }
}

impl Seek for Long {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => self.length.checked_add_signed(by).unwrap(),
            SeekFrom::Current(by) => self.at.checked_add_signed(by).unwrap(),
        };
        Ok(self.at)
    }
}

#[test]
fn a_large_object_costs_no_more_than_its_header() {
    let pixels: u32 = 200 << 20;
    let mut dataset = slice();
    dataset.remove(Tag(0x7FE0, 0x0010));
    let mut head = dataset.write();
    head.extend([0xE0, 0x7F, 0x10, 0x00, b'O', b'W', 0, 0]);
    head.extend(pixels.to_le_bytes());
    let length = head.len() as u64 + u64::from(pixels);
    let mut long = Long {
        head,
        length,
        at: 0,
    };
    let syntax = uid(EXPLICIT);
    let ids = identifiers(&mut long, &syntax).unwrap();
    let told = transform(
        &mut long,
        length,
        &syntax,
        &ids,
        &stand(),
        &Options::default(),
    );
    let Outcome::Leaves(plan) = told else {
        panic!("withheld")
    };
    let literal: usize = plan
        .pieces
        .iter()
        .map(|piece| match piece {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Source(_) | Piece::Blacked(..) | Piece::Masked(_) => 0,
        })
        .sum();
    assert!(literal < 1 << 20, "{literal} bytes of ours");
    assert!(matches!(plan.pieces.last(), Some(Piece::Source(range)) if range.end == length));
}

#[test]
fn more_than_can_be_sealed_stays() {
    let mut dataset = slice();
    let much = causeway_proto::dataset::Value::Bytes(vec![1; 33 << 20]);
    dataset.put(Tag(0x0009, 0x1001), VR::OB, much);
    let told = reason(&dataset.write(), &Options::default());
    assert_eq!(told, "holds more to be removed than can be sealed");
}

proptest! {
    /// Whatever is damaged: no panic, and what leaves does not hold the name.
    #[test]
    fn damage_never_leaks(changes in prop::collection::vec((0usize..2000, any::<u8>()), 1..12), cut in 0usize..2000, implicit: bool) {
        let mut dataset = slice();
        dataset.put_items(Tag(0x0008, 0x1140), vec![slice_item(), slice_item()]);
        dataset.put_text(Tag(0x0020, 0x4000), VR::LT, "Mustermann, Erika again");
        dataset.put_text(Tag(0x0009, 0x0010), VR::LO, "Mustermann");
        let mut bytes_in = dataset.write();
        for (at, byte) in changes {
            let length = bytes_in.len();
            bytes_in[at % length] = byte;
        }
        if cut < 600 {
            bytes_in.truncate(cut);
        }
        let syntax = if implicit { IMPLICIT } else { EXPLICIT };
        if let Outcome::Leaves(plan) = protect(&bytes_in, syntax, &Options::default()) {
            let out = bytes(&plan, &bytes_in);
            // what no reader takes was never accepted from its sender
            let Ok(original) = Dataset::read(&bytes_in, &uid(syntax)) else { return Ok(()) };
            let read = Dataset::read(&out, &plan.syntax);
            prop_assert!(read.is_ok());
            let back = put_back(read.unwrap(), &plan.originals);
            prop_assert!(back == original);
            let named = original.bytes(Tag(0x0010, 0x0010)).starts_with(b"Mustermann^Erika");
            let pixels = original.bytes(Tag(0x7FE0, 0x0010)).len();
            let leaks = out[..out.len() - pixels].windows(10).any(|window| window == b"Mustermann");
            prop_assert!(!(named && leaks));
        }
    }
}

fn slice_item() -> Dataset {
    let mut item = Dataset::new();
    item.put_text(Tag(0x0008, 0x1150), VR::UI, "1.2.840.10008.5.1.4.1.1.2");
    item.put_text(Tag(0x0008, 0x1155), VR::UI, "1.2.3.9");
    item.put_text(Tag(0x0010, 0x0010), VR::PN, "Mustermann^Erika");
    item
}
