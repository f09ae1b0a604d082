//! A study in which one patient's identity stands in forty places: every kind of attribute, script and encoding that a name hides in.

use std::path::{Path, PathBuf};

use causeway_proto::dataset::{Dataset, Value, write_element};
use dicom_core::{Tag, VR};
use encoding_rs::{Encoding, ISO_2022_JP, ISO_8859_5, ISO_8859_7, SHIFT_JIS, WINDOWS_1252};

/// The hospital's own number of the patient.
pub const PATIENT_ID: &str = "HOSP884213";
/// (0008,0050).
pub const ACCESSION: &str = "ACC7731945";
/// (0010,0030).
pub const BIRTH_DATE: &str = "19551117";
/// (0008,0090).
pub const REFERRER: &str = "Quillfeather^Rosalind";
/// (0010,0010) of the first object.
pub const NAME: &str = "Blomqvist-Ärlig^Zoë";

/// Every word that must not be found anywhere at the gateway.
pub const SECRETS: [&str; 20] = [
    "Blomqvist",
    "Ärlig",
    "Παπαδόπουλος",
    "Γεώργιος",
    "Виноградова",
    "Людмила",
    "山田",
    "太郎",
    PATIENT_ID,
    ACCESSION,
    BIRTH_DATE,
    "Quillfeather",
    "Rosalind",
    "OTHER556677",
    "Tulpenstrasse",
    "+43 664 1234567",
    "Motherwell",
    "Nightingale",
    "Copperfield",
    "4111-INSURED",
];

/// The study's UID.
pub const STUDY: &str = "2.25.993311.1";

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const SR: &str = "1.2.840.10008.5.1.4.1.1.88.11";
const PRESENTATION: &str = "1.2.840.10008.5.1.4.1.1.11.1";

/// Writes the objects into `folder`. Answers their files, the one whose UID holds the patient's number last, and in how many places
/// the identity was planted.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path) -> anyhow::Result<(Vec<PathBuf>, usize)> {
    std::fs::create_dir_all(folder)?;
    let mut planted = Planted::default();
    let objects = [
        planted.latin(),
        planted.script(2, "ISO_IR 126", ISO_8859_7, "Παπαδόπουλος^Γεώργιος"),
        planted.script(3, "ISO_IR 144", ISO_8859_5, "Виноградова^Людмила"),
        planted.script(4, "\\ISO 2022 IR 87", ISO_2022_JP, "山田^太郎"),
        planted.report(),
        planted.presentation(),
        image(
            8,
            "ISO_IR 192",
            &format!("2.25.993311.9.{}", &PATIENT_ID[4..]),
        ),
    ];
    planted.places += 1;
    let mut files = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        let path = folder.join(format!("{number}.dcm"));
        std::fs::write(&path, part10(object))?;
        files.push(path);
    }
    Ok((files, planted.places))
}

/// `text` as it may stand in bytes: in every encoding of the field, in both cases.
#[must_use]
pub fn spellings(text: &str) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for text in [text.to_owned(), text.to_uppercase(), text.to_lowercase()] {
        all.push(text.as_bytes().to_vec());
        all.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
        all.push(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
        for encoding in [ISO_8859_7, ISO_8859_5, WINDOWS_1252, SHIFT_JIS] {
            let (bytes, _, unmappable) = encoding.encode(&text);
            if !unmappable {
                all.push(bytes.into_owned());
            }
        }
    }
    // within ISO 2022 the text has no bytes of its own before its escape sequence
    let (bytes, _, unmappable) = ISO_2022_JP.encode(text);
    if let (false, Some(inner)) = (unmappable, bytes.strip_prefix(b"\x1b$B")) {
        all.push(inner.strip_suffix(b"\x1b(B").unwrap_or(inner).to_vec());
    }
    all.sort();
    all.dedup();
    all.retain(|bytes| bytes.len() > 3);
    all
}

#[derive(Default)]
struct Planted {
    places: usize,
}

impl Planted {
    /// Puts a value that holds the identity, and counts the place.
    fn put(&mut self, into: &mut Dataset, tag: (u16, u16), vr: VR, bytes: &[u8]) {
        self.places += 1;
        let mut bytes = bytes.to_vec();
        if bytes.len() % 2 == 1 {
            bytes.push(if vr == VR::UI || vr == VR::OB || vr == VR::UN {
                0
            } else {
                b' '
            });
        }
        into.put(Tag(tag.0, tag.1), vr, Value::Bytes(bytes));
    }

    fn item(&mut self, places: &[((u16, u16), VR, &str)]) -> Dataset {
        let mut item = Dataset::new();
        for (tag, vr, text) in places {
            self.put(&mut item, *tag, *vr, text.as_bytes());
        }
        item
    }

    /// A CT slice in UTF-8 with the identity in attributes, sequences of sequences, private elements, an overlay and an icon.
    fn latin(&mut self) -> Dataset {
        let mut it = image(1, "ISO_IR 192", "2.25.993311.3.1");
        for (tag, vr, text) in [
            ((0x0008, 0x0050), VR::SH, ACCESSION),
            ((0x0008, 0x0090), VR::PN, REFERRER),
            ((0x0008, 0x0092), VR::ST, "Tulpenstrasse 9, Linz"),
            ((0x0008, 0x0094), VR::SH, "+43 664 1234567"),
            ((0x0008, 0x1030), VR::LO, "CT head BLOMQVIST-ÄRLIG"),
            ((0x0008, 0x103E), VR::LO, "axial (HOSP884213)"),
            ((0x0008, 0x1050), VR::PN, "Nightingale^Nora"),
            ((0x0010, 0x0010), VR::PN, NAME),
            ((0x0010, 0x0030), VR::DA, BIRTH_DATE),
            ((0x0010, 0x1000), VR::LO, "OTHER556677"),
            ((0x0010, 0x1005), VR::PN, "Motherwell^Zoe"),
            ((0x0010, 0x1040), VR::LO, "Tulpenstrasse 9"),
            ((0x0010, 0x1060), VR::PN, "Motherwell^Maud"),
            ((0x0010, 0x1090), VR::LO, "4111-INSURED"),
            ((0x0010, 0x2154), VR::SH, "+43 664 1234567"),
            ((0x0010, 0x21B0), VR::LT, "came in as blomqvist"),
            (
                (0x0010, 0x4000),
                VR::LT,
                "born 19551117, calls herself ärlig",
            ),
            ((0x0018, 0x1030), VR::LO, "protocol for HOSP884213"),
            ((0x0020, 0x4000), VR::LT, "Zoë Blomqvist-Ärlig moved"),
            ((0x0032, 0x1032), VR::PN, "Copperfield^Carl"),
            ((0x0040, 0x2016), VR::LO, "ACC7731945"),
            ((0x4008, 0x010C), VR::PN, "Copperfield^Cora"),
        ] {
            self.put(&mut it, tag, vr, text.as_bytes());
        }
        let deep = self.item(&[
            ((0x0040, 0x1001), VR::SH, "ACC7731945-P"),
            ((0x0032, 0x1060), VR::LO, "head of Blomqvist"),
        ]);
        let mut request = self.item(&[((0x0008, 0x0050), VR::SH, ACCESSION)]);
        request.put_items(Tag(0x0008, 0x1110), vec![deep]);
        it.put_items(Tag(0x0040, 0x0275), vec![request]);
        let other = self.item(&[((0x0010, 0x0020), VR::LO, "OTHER556677")]);
        it.put_items(Tag(0x0010, 0x1002), vec![other]);
        it.put_text(Tag(0x0009, 0x0010), VR::LO, "WARD SYSTEM 1");
        self.put(
            &mut it,
            (0x0009, 0x1001),
            VR::LO,
            "Blomqvist private".as_bytes(),
        );
        let wide: Vec<u8> = "Ärlig".encode_utf16().flat_map(u16::to_le_bytes).collect();
        self.put(&mut it, (0x0009, 0x1002), VR::UN, &wide);
        // a name where no name belongs: an AE title and a decimal string
        self.put(&mut it, (0x0008, 0x0055), VR::AE, b"BLOMQVIST");
        self.put(&mut it, (0x0018, 0x9074), VR::DT, b"19551117");
        self.put(
            &mut it,
            (0x6000, 0x4000),
            VR::LT,
            "Blomqvist overlay".as_bytes(),
        );
        it.put(Tag(0x6000, 0x0010), VR::US, Value::Bytes(vec![8, 0]));
        self.put(
            &mut it,
            (0x6000, 0x3000),
            VR::OW,
            "BlomqvistÄrlig".as_bytes(),
        );
        let icon = self.item(&[((0x7FE0, 0x0010), VR::OW, "Blomqvist icon")]);
        it.put_items(Tag(0x0088, 0x0200), vec![icon]);
        it
    }

    /// A CT slice that spells the name in its own script and character set.
    fn script(
        &mut self,
        number: u16,
        set: &str,
        encoding: &'static Encoding,
        name: &str,
    ) -> Dataset {
        let mut it = image(number, set, &format!("2.25.993311.3.{number}"));
        let (bytes, _, _) = encoding.encode(name);
        self.put(&mut it, (0x0010, 0x0010), VR::PN, &bytes);
        let (family, _) = name.split_once('^').unwrap_or((name, ""));
        let (bytes, _, _) = encoding.encode(family);
        self.put(&mut it, (0x0020, 0x4000), VR::LT, &bytes);
        it
    }

    /// An old report that names the patient in its text.
    fn report(&mut self) -> Dataset {
        let mut it = common(5, SR, "SR", "ISO_IR 192", "2.25.993311.5.1");
        self.put(&mut it, (0x0010, 0x0010), VR::PN, NAME.as_bytes());
        for (tag, vr, text) in [
            ((0x0040, 0xA040), VR::CS, "CONTAINER"),
            ((0x0040, 0xA050), VR::CS, "SEPARATE"),
            ((0x0040, 0xA491), VR::CS, "COMPLETE"),
            ((0x0040, 0xA493), VR::CS, "UNVERIFIED"),
        ] {
            it.put_text(Tag(tag.0, tag.1), vr, text);
        }
        let mut text = self.item(&[(
            (0x0040, 0xA160),
            VR::UT,
            "Mrs BLOMQVIST-ärlig, HOSP884213, has no bleed.",
        )]);
        text.put_text(Tag(0x0040, 0xA010), VR::CS, "CONTAINS");
        text.put_text(Tag(0x0040, 0xA040), VR::CS, "TEXT");
        let mut person = self.item(&[((0x0040, 0xA123), VR::PN, "Nightingale^Nora")]);
        person.put_text(Tag(0x0040, 0xA010), VR::CS, "HAS OBS CONTEXT");
        person.put_text(Tag(0x0040, 0xA040), VR::CS, "PNAME");
        it.put_items(Tag(0x0040, 0xA730), vec![person, text]);
        it
    }

    /// A presentation state with the name drawn over the image.
    fn presentation(&mut self) -> Dataset {
        let mut it = common(6, PRESENTATION, "PR", "ISO_IR 192", "2.25.993311.6.1");
        self.put(
            &mut it,
            (0x0070, 0x0084),
            VR::PN,
            "Nightingale^Nora".as_bytes(),
        );
        let text = self.item(&[((0x0070, 0x0006), VR::ST, "Zoë Blomqvist left")]);
        let mut layer = Dataset::new();
        layer.put_items(Tag(0x0070, 0x0008), vec![text]);
        it.put_items(Tag(0x0070, 0x0001), vec![layer]);
        it
    }
}

fn common(series: u16, class: &str, modality: &str, set: &str, instance: &str) -> Dataset {
    let mut it = Dataset::new();
    for (tag, vr, text) in [
        ((0x0008, 0x0005), VR::CS, set),
        ((0x0008, 0x0016), VR::UI, class),
        ((0x0008, 0x0018), VR::UI, instance),
        ((0x0008, 0x0020), VR::DA, "20261121"),
        ((0x0008, 0x0030), VR::TM, "093000"),
        ((0x0008, 0x0050), VR::SH, ACCESSION),
        ((0x0008, 0x0060), VR::CS, modality),
        ((0x0008, 0x0070), VR::LO, "Causeway TEST"),
        ((0x0008, 0x0090), VR::PN, ""),
        ((0x0010, 0x0010), VR::PN, ""),
        ((0x0010, 0x0020), VR::LO, PATIENT_ID),
        ((0x0010, 0x0030), VR::DA, BIRTH_DATE),
        ((0x0010, 0x0040), VR::CS, "F"),
        ((0x0020, 0x000D), VR::UI, STUDY),
        ((0x0020, 0x000E), VR::UI, &format!("2.25.993311.2.{series}")),
        ((0x0020, 0x0010), VR::SH, ""),
        ((0x0020, 0x0011), VR::IS, &series.to_string()),
        ((0x0020, 0x0013), VR::IS, "1"),
    ] {
        it.put_text(Tag(tag.0, tag.1), vr, text);
    }
    it
}

/// A CT slice of 8 by 8 pixels.
fn image(number: u16, set: &str, instance: &str) -> Dataset {
    let mut it = common(number, CT, "CT", set, instance);
    for (tag, vr, text) in [
        ((0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY\\AXIAL"),
        ((0x0028, 0x0004), VR::CS, "MONOCHROME2"),
        ((0x0028, 0x0301), VR::CS, "NO"),
        ((0x0028, 0x1052), VR::DS, "-1024"),
        ((0x0028, 0x1053), VR::DS, "1"),
    ] {
        it.put_text(Tag(tag.0, tag.1), vr, text);
    }
    for (element, value) in [
        (0x0002, 1_u16),
        (0x0010, 8),
        (0x0011, 8),
        (0x0100, 16),
        (0x0101, 12),
        (0x0102, 11),
        (0x0103, 0),
    ] {
        it.put(
            Tag(0x0028, element),
            VR::US,
            Value::Bytes(value.to_le_bytes().to_vec()),
        );
    }
    it.put(
        Tag(0x7FE0, 0x0010),
        VR::OW,
        Value::Bytes(vec![number.to_le_bytes()[0]; 128]),
    );
    it
}

/// A Part 10 file in explicit VR little endian, with the name in its preamble.
fn part10(dataset: &Dataset) -> Vec<u8> {
    let mut meta = Vec::new();
    let mut put = |element: u16, vr, bytes: Vec<u8>| {
        let element_of = causeway_proto::dataset::Element {
            vr,
            value: Value::Bytes(bytes),
        };
        write_element(&mut meta, Tag(0x0002, element), &element_of);
    };
    put(0x0001, VR::OB, vec![0, 1]);
    put(0x0002, VR::UI, dataset.bytes(Tag(0x0008, 0x0016)).to_vec());
    put(0x0003, VR::UI, dataset.bytes(Tag(0x0008, 0x0018)).to_vec());
    put(0x0010, VR::UI, b"1.2.840.10008.1.2.1\0".to_vec());
    put(0x0016, VR::AE, b"BLOMQVIST ".to_vec());
    let mut out = format!("{:<128}DICM", "Blomqvist").into_bytes();
    let length = u32::try_from(meta.len()).unwrap_or_default();
    let group = causeway_proto::dataset::Element {
        vr: VR::UL,
        value: Value::Bytes(length.to_le_bytes().to_vec()),
    };
    write_element(&mut out, Tag(0x0002, 0x0000), &group);
    out.extend(meta);
    out.extend(dataset.write());
    out
}
