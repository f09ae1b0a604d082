//! Dates that are shifted: values of DA and DT, and which texts hold none of the patient's.

use std::io::{Read, Seek};
use std::ops::Range;

use causeway_proto::dataset::Dataset;
use causeway_proto::element::Header;
use dicom_core::{Tag, VR};

use super::super::identifiers::Identifiers;
use super::super::private;
use super::super::shift::Shift;
use super::element::vr_of;
use super::{Level, Stop, Transform};

impl<S: Read + Seek> Transform<'_, '_, S> {
    /// By how much dates are shifted; none where they stay.
    pub(super) fn shift(&self) -> Option<Shift> {
        self.stand.shift.filter(|_| self.options.modified_dates)
    }

    /// The VR by which a value is understood: private dates too, where they are known.
    pub(super) fn vr(&self, header: &Header, level: &Level) -> VR {
        let Tag(group, element) = header.tag;
        match vr_of(header) {
            VR::UN if group % 2 == 1 => {
                let [block, low] = element.to_be_bytes();
                let creator = level.blocks.creator(group, block);
                let date = creator.and_then(|creator| private::date(creator, group, low));
                date.unwrap_or(VR::UN)
            }
            vr => vr,
        }
    }

    /// What is looked for in a text: versions of programs and of codes look like dates, and are none of the patient's.
    pub(super) fn sought(&self, tag: Tag) -> &Identifiers {
        match tag {
            Tag(0x0008, 0x0070 | 0x0100 | 0x0102 | 0x0103 | 0x1090) | Tag(0x0018, 0x1020) => {
                self.timeless
            }
            _ => self.ids,
        }
    }

    /// Shifts a value of dates that ends at `end`; the patient's birth date goes.
    pub(super) fn dates(
        &mut self,
        start: u64,
        header: &Header,
        level: &Level,
        (end, shift): (u64, Shift),
        originals: &mut Dataset,
    ) -> Result<(), Stop> {
        let bytes = self.source.read(self.source.at()..end)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut dates = text.split('\\');
        if dates.any(|date| self.ids.is_birth_date(date.trim())) {
            self.counts.cleaned += 1;
            return self.replace(start, header, level, &[], originals);
        }
        let (shifted, lost) = shift.value(&text);
        self.counts.no_dates += lost;
        self.counts.dates += u32::from(!shifted.is_empty());
        self.replace(start, header, level, shifted.as_bytes(), originals)
    }

    /// What a UID holds for which its object stays.
    pub(super) fn why_uid(&mut self, value: Range<u64>) -> Result<&'static str, Stop> {
        let bytes = self.source.read(value)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut uids = text.split('\\');
        let identity = uids.any(|uid| self.timeless.in_uid(uid.trim_matches(['\0', ' '])));
        Ok(if identity {
            "a UID holds an identifier of the patient"
        } else {
            "a UID holds a date, and dates are shifted"
        })
    }

    /// What the reader is told of it.
    pub(super) fn shifted(&self) -> Option<String> {
        let shift = self.shift().filter(|_| self.counts.dates > 0)?;
        let within = if shift.of_patient { "patient" } else { "study" };
        Some(format!(
            "dates are shifted; intervals within this {within} are true"
        ))
    }
}
