//! `open`: the originals of one object that was fetched from the gateway, with nothing but the object and the hospital's key.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::Context as _;
use causeway_proto::dataset::{Dataset, Element, MAX_BYTES, Value};
use causeway_proto::element::Encoding;
use causeway_proto::ids::TransferSyntaxUid;
use causeway_proto::text::CharacterSet;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::FileMetaTable;
use serde_json::{Value as Json, json};

use super::keyring::write_new;
use crate::app::open_keys;
use crate::config::Config;
use crate::keys::{Keys, KeysError};
use crate::protect::put_back;

pub(super) fn open(
    config: &Config,
    file: &Path,
    to: Option<&Path>,
    as_json: bool,
) -> anyhow::Result<()> {
    let keys = open_keys(config)?;
    let object = Object::read(file).with_context(|| format!("reading {}", file.display()))?;
    let originals = object.originals(&keys)?;
    let mut out = io::stdout();
    if let Some(to) = to {
        let bytes = object.rebuilt(&originals)?;
        write_new(to, &bytes).with_context(|| format!("writing {}", to.display()))?;
        writeln!(out, "written to {}", to.display())?;
    } else if as_json {
        writeln!(out, "{}", json_of(&originals, &object.character_set()))?;
    } else {
        print(&mut out, &originals, &object.character_set(), 0)?;
    }
    Ok(())
}

/// A Part 10 file.
#[derive(Debug)]
struct Object {
    meta: FileMetaTable,
    dataset: Dataset,
}

impl Object {
    fn read(file: &Path) -> anyhow::Result<Self> {
        let mut bytes = Vec::new();
        File::open(file)?
            .take(MAX_BYTES as u64 + (1 << 20))
            .read_to_end(&mut bytes)?;
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut rest = bytes
            .get(128..)
            .filter(|rest| rest.starts_with(b"DICM"))
            .context("this is no DICOM file (PS3.10 7.1)")?;
        let meta = FileMetaTable::from_reader(&mut rest).context("its group 0002 is broken")?;
        let syntax: TransferSyntaxUid = meta.transfer_syntax().parse()?;
        Ok(Self {
            meta,
            dataset: Dataset::read(rest, &syntax)?,
        })
    }

    /// From the last sealed set that opens (PS3.3 C.12.1.1.4.1): the first serves the study, a later one this object alone.
    fn originals(&self, keys: &Keys) -> anyhow::Result<Dataset> {
        let items = self.dataset.items(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE);
        anyhow::ensure!(!items.is_empty(), "this object carries no sealed originals");
        for item in items.iter().rev() {
            let plain = match keys.open_sealed(item.bytes(tags::ENCRYPTED_CONTENT)) {
                Ok(plain) => plain,
                Err(KeysError::Sealed) => continue,
                Err(error) => return Err(error.into()),
            };
            let syntax = item.code(tags::ENCRYPTED_CONTENT_TRANSFER_SYNTAX_UID);
            let whole = Dataset::read(&plain, &syntax.parse()?)?;
            if let Some(originals) = whole.items(tags::MODIFIED_ATTRIBUTES_SEQUENCE).first() {
                return Ok(originals.clone());
            }
        }
        Err(KeysError::Sealed.into())
    }

    /// The object as it was received, in explicit VR little endian when its syntax has another encoding.
    fn rebuilt(self, originals: &Dataset) -> anyhow::Result<Vec<u8>> {
        let mut meta = self.meta;
        let plain = (Encoding::ExplicitLittle, false);
        if Encoding::of(&meta.transfer_syntax().parse()?) != plain {
            meta.transfer_syntax = uids::EXPLICIT_VR_LITTLE_ENDIAN.to_owned();
            meta.update_information_group_length();
        }
        let mut out = vec![0; 128];
        out.extend(b"DICM");
        meta.write(&mut out)?;
        out.extend(put_back(self.dataset, originals).write());
        Ok(out)
    }

    fn character_set(&self) -> CharacterSet {
        self.dataset.character_set()
    }
}

/// The character set of a dataset, else that of what it stands in (PS3.3 C.12.1.1.2).
fn set_of(dataset: &Dataset, outer: &CharacterSet) -> CharacterSet {
    if dataset.get(tags::SPECIFIC_CHARACTER_SET).is_some() {
        dataset.character_set()
    } else {
        *outer
    }
}

/// Text of the value; none for sequences and for bytes that are no text.
fn text(element: &Element, set: &CharacterSet) -> Option<String> {
    let Value::Bytes(bytes) = &element.value else {
        return None;
    };
    let decoded = match element.vr {
        VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UT => set.decode(bytes),
        VR::AE | VR::AS | VR::CS | VR::DA | VR::DS | VR::DT | VR::IS | VR::TM | VR::UI | VR::UR => {
            CharacterSet::default().decode(bytes)
        }
        _ => return None,
    };
    Some(decoded.trim_end_matches([' ', '\0']).to_owned())
}

fn json_of(dataset: &Dataset, outer: &CharacterSet) -> Json {
    let set = set_of(dataset, outer);
    let elements = dataset.iter().map(|(tag, element)| {
        let mut said = json!({ "tag": key(tag), "vr": element.vr.to_string() });
        let (name, value) = match (&element.value, text(element, &set)) {
            (_, Some(text)) => ("value", Json::from(text)),
            (Value::Items(items), None) => {
                let items = items.iter().map(|item| json_of(item, &set));
                ("items", items.collect())
            }
            (Value::Bytes(bytes), None) => ("hex", Json::from(hex::encode(bytes))),
            (Value::Fragments(fragments), None) => ("fragments", Json::from(fragments.len())),
        };
        if let Json::Object(said) = &mut said {
            said.insert(name.to_owned(), value);
        }
        said
    });
    elements.collect()
}

fn key(tag: Tag) -> String {
    format!("{:04X}{:04X}", tag.0, tag.1)
}

fn print(
    out: &mut impl Write,
    dataset: &Dataset,
    outer: &CharacterSet,
    depth: usize,
) -> io::Result<()> {
    let set = set_of(dataset, outer);
    let margin = "  ".repeat(depth);
    for (tag, element) in dataset.iter() {
        let value = match (&element.value, text(element, &set)) {
            // a terminal must not obey what stands in a header
            (_, Some(text)) => text.replace(char::is_control, " "),
            (Value::Bytes(bytes), None) => format!("{} bytes", bytes.len()),
            (Value::Items(items), None) => format!("{} item(s)", items.len()),
            (Value::Fragments(fragments), None) => format!("{} fragment(s)", fragments.len()),
        };
        writeln!(out, "{margin}{tag} {} {value}", element.vr.to_string())?;
        if let Value::Items(items) = &element.value {
            for item in items {
                print(out, item, &set, depth + 1)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{clock, random};

    const EXPLICIT: &str = "1.2.840.10008.1.2.1";

    fn keys(folder: &tempfile::TempDir) -> Keys {
        Keys::open(&folder.path().join("keys"), random(), clock()).unwrap()
    }

    fn sealed(keys: &Keys, name: &str) -> Dataset {
        let mut nested = Dataset::new();
        nested.put(
            tags::PERSON_NAME,
            VR::PN,
            Value::Bytes(b"Op\xe9rateur".to_vec()),
        );
        let mut originals = Dataset::new();
        originals.put_text(tags::PATIENT_NAME, VR::PN, name);
        originals.put(Tag(9, 0x1001), VR::UN, Value::Bytes(vec![1, 2]));
        originals.put_items(tags::OPERATOR_IDENTIFICATION_SEQUENCE, vec![nested]);
        let mut whole = Dataset::new();
        whole.put_items(tags::MODIFIED_ATTRIBUTES_SEQUENCE, vec![originals]);
        let mut item = Dataset::new();
        let syntax = tags::ENCRYPTED_CONTENT_TRANSFER_SYNTAX_UID;
        item.put_text(syntax, VR::UI, EXPLICIT);
        let content = keys.seal(&whole.write()).unwrap();
        item.put(tags::ENCRYPTED_CONTENT, VR::OB, Value::Bytes(content));
        item
    }

    fn file(items: Vec<Dataset>) -> Vec<u8> {
        let mut dataset = Dataset::new();
        dataset.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100");
        dataset.put_text(tags::PATIENT_NAME, VR::PN, "CW");
        dataset.put_items(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE, items);
        let meta = dicom_object::FileMetaTableBuilder::new()
            .media_storage_sop_class_uid("1.2.3")
            .media_storage_sop_instance_uid("1.2.3.4")
            .transfer_syntax(EXPLICIT)
            .build()
            .unwrap();
        let mut out = [vec![0; 128], b"DICM".to_vec()].concat();
        meta.write(&mut out).unwrap();
        out.extend(dataset.write());
        out
    }

    #[test]
    fn the_last_set_that_opens_is_read_in_the_objects_own_character_set() {
        let (here, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (ours, theirs) = (keys(&here), keys(&elsewhere));
        let items = vec![
            sealed(&ours, "STUDY"),
            sealed(&ours, "OBJECT\u{1b}"),
            sealed(&theirs, "STRANGER"),
        ];
        let object = Object::parse(&file(items)).unwrap();
        let originals = object.originals(&ours).unwrap();
        let mut said = Vec::new();
        print(&mut said, &originals, &object.character_set(), 0).unwrap();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("(0010,0010) PN OBJECT \n"), "{said}");
        assert!(said.contains("(0009,1001) UN 2 bytes\n"), "{said}");
        assert!(said.contains("\n  (0040,A123) PN Opérateur\n"), "{said}");
        let json = json_of(&originals, &object.character_set());
        let name = json!({ "tag": "00100010", "vr": "PN", "value": "OBJECT\u{1b}" });
        assert!(json.as_array().unwrap().contains(&name), "{json}");
        assert!(json.to_string().contains("Opérateur"), "{json}");
    }

    #[test]
    fn the_object_comes_back_with_its_originals_in_a_file_that_reads() {
        let here = tempfile::tempdir().unwrap();
        let keys = keys(&here);
        let object = Object::parse(&file(vec![sealed(&keys, "NAME^HOME")])).unwrap();
        let originals = object.originals(&keys).unwrap();
        let back = Object::parse(&object.rebuilt(&originals).unwrap()).unwrap();
        let text = back.dataset.text(tags::PATIENT_NAME, &back.character_set());
        assert_eq!(text, "NAME^HOME");
        assert!(
            back.dataset
                .get(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE)
                .is_none()
        );
        assert_eq!(back.dataset.bytes(Tag(9, 0x1001)), [1, 2]);
    }

    #[test]
    fn what_is_not_ours_is_said_to_be_so() {
        let (here, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (ours, theirs) = (keys(&here), keys(&elsewhere));
        let foreign = Object::parse(&file(vec![sealed(&theirs, "STRANGER")])).unwrap();
        let refused = |keys: &Keys| foreign.originals(keys).unwrap_err();
        let kind = refused(&ours).downcast::<KeysError>().unwrap();
        assert!(matches!(kind, KeysError::NoHospital), "{kind:?}");
        ours.hospital_certificate().unwrap();
        let kind = refused(&ours).downcast::<KeysError>().unwrap();
        assert!(matches!(kind, KeysError::Sealed), "{kind:?}");
        let bare = Object::parse(&file(Vec::new())).unwrap();
        assert!(bare.originals(&ours).is_err());
        assert!(Object::parse(b"no DICOM at all").is_err());
        assert!(Object::parse(&file(Vec::new())[..140]).is_err());
    }
}
