//! All that one side has of a study: its objects as a reader fetches them, and the rows of the gateway about it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use causeway_proto::dataset::{Dataset, Value};
use causeway_proto::digest::Digest;
use causeway_tests::reader::{Reader, only_part};
use causeway_tests::sender::file;
use dicom_core::Tag;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

const PIXELS: Tag = Tag(0x7FE0, 0x0010);

/// A reader under one agreement, and the gateway's rows of that agreement.
pub(super) struct Side {
    folder: PathBuf,
    agreement: String,
    pub(super) reader: Reader,
}

/// What stands where: values by element, by column of the gateway's rows, by measure.
#[derive(Default)]
pub(super) struct Study(BTreeMap<String, BTreeSet<String>>);

impl Study {
    /// What stands at a place.
    pub(super) fn values(&self, place: &str) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        self.0.get(place).unwrap_or(&NONE)
    }

    /// Places at which both say something that is the same.
    pub(super) fn shared(&self, other: &Self) -> Vec<String> {
        let common = |place: &&String| !self.values(place).is_disjoint(other.values(place));
        self.0.keys().filter(common).cloned().collect()
    }

    fn put(&mut self, place: impl Into<String>, value: impl Into<String>) {
        let value = value.into();
        // what stands wherever something was taken out
        if !value.is_empty() && value != "REMOVED" {
            self.0.entry(place.into()).or_default().insert(value);
        }
    }

    fn walk(&mut self, dataset: &Dataset) {
        for (tag, element) in dataset.iter() {
            let place = match tag.0 % 2 {
                1 if tag.1 > 0xFF => {
                    let creator = dataset.code(Tag(tag.0, tag.1 >> 8));
                    format!("({:04X},{creator},{:02X})", tag.0, tag.1 & 0xFF)
                }
                _ => format!("({:04X},{:04X})", tag.0, tag.1),
            };
            match &element.value {
                Value::Bytes(bytes) if bytes.len() > 256 => {
                    self.put(place, Digest::of(bytes).to_string());
                }
                Value::Bytes(bytes) => {
                    let text = String::from_utf8_lossy(bytes);
                    self.put(place, text.trim_matches(['\0', ' ']));
                }
                Value::Items(items) => items.iter().for_each(|item| self.walk(item)),
                Value::Fragments(fragments) => {
                    self.put(place, Digest::of(&fragments.concat()).to_string())
                }
            }
        }
    }
}

impl Side {
    /// What a reader sees, and the gateway has, under an agreement.
    pub(super) fn new(folder: &Path, agreement: &str, reader: Reader) -> Self {
        Self {
            folder: folder.to_owned(),
            agreement: agreement.to_owned(),
            reader,
        }
    }

    /// Takes in a study.
    pub(super) async fn study(&self, study: &str) -> anyhow::Result<Study> {
        let mut known = Study::default();
        let found = self
            .reader
            .get(&format!("/dicomweb/studies/{study}/instances"))
            .await?;
        for one in found.as_array().context("no instances")? {
            let uid = |tag: &str| {
                one[tag]["Value"][0]
                    .as_str()
                    .map(str::to_owned)
                    .context("no UID")
            };
            let (series, instance) = (uid("0020000E")?, uid("00080018")?);
            let path = format!("/dicomweb/studies/{study}/series/{series}/instances/{instance}");
            let accept = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
            let (status, kind, body) = self.reader.bytes(&path, accept).await?;
            anyhow::ensure!(status.is_success(), "{path}: {status}");
            let to = self.folder.join("fetched.dcm");
            std::fs::write(&to, only_part(&kind, &body).context("no part")?)?;
            let object = file::read(&to, 0)?;
            known.put("object: length", object.bytes.len().to_string());
            known.put("object: digest", Digest::of(&object.bytes).to_string());
            let dataset = Dataset::read(&object.bytes, &object.syntax.parse()?)?;
            known.put(
                "pixels: digest",
                Digest::of(dataset.bytes(PIXELS)).to_string(),
            );
            known.walk(&dataset);
        }
        self.rows(study, &mut known).await?;
        Ok(known)
    }

    /// Every column of every table that has rows of the study, whole and word by word.
    async fn rows(&self, study: &str, known: &mut Study) -> anyhow::Result<()> {
        let options = SqliteConnectOptions::new()
            .filename(self.folder.join("gateway-data/gateway.sqlite"))
            .read_only(true)
            .busy_timeout(Duration::from_secs(10));
        let mut rows = SqliteConnection::connect_with(&options).await?;
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table' \
             AND c.name NOT IN ('site_id', 'agreement_id') \
             AND (SELECT COUNT(*) FROM pragma_table_info(t.name) k WHERE k.name IN ('agreement_id', 'study_uid')) = 2",
        )
        .fetch_all(&mut rows)
        .await?;
        anyhow::ensure!(columns.len() > 50, "the gateway has other tables");
        for (table, column) in columns {
            let sql = format!(
                "SELECT DISTINCT CAST({column} AS TEXT) FROM {table} WHERE agreement_id = $1 AND study_uid = $2 AND {column} IS NOT NULL"
            );
            let said: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .bind(&self.agreement)
                .bind(study)
                .fetch_all(&mut rows)
                .await?;
            for value in said {
                // what the metadata say word by word was read from the objects
                if column != "metadata" {
                    let inner = |letter: char| !letter.is_alphanumeric() && !".-".contains(letter);
                    for word in value.split(inner).filter(|word| word.len() > 5) {
                        let what = if word.contains('.') { "UID" } else { "word" };
                        known.put(format!("{table}.{column}: {what}"), word);
                    }
                }
                known.put(format!("{table}.{column}"), value);
            }
        }
        Ok(())
    }
}
