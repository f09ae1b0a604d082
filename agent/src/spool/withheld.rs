//! What waits for a person at the site: withheld objects by case and kind, each with what its header says, and blocked studies.

use causeway_proto::element::{Encoding, Header};
use causeway_proto::ids::{CaseCode, TransferSyntaxUid};
use causeway_proto::text::CharacterSet;
use causeway_proto::time::Timestamp;
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::disk::Handle;
use super::entry::Private;
use super::{Spool, SpoolError, parsed, refused_row};
use crate::rows::{Rows, from_row};

/// A header is looked at so far; what a person needs stands before the pixel data.
const AHEAD: usize = 256 << 10;

/// Withheld objects of one case and one kind, about which nobody has decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The word for the case.
    pub case: CaseCode,
    /// (0010,0010), for a person at the site.
    pub patient: Private,
    /// (0008,0016).
    pub class: String,
    /// (0008,0060).
    pub modality: String,
    /// How many.
    pub count: u64,
    /// Why.
    pub reason: String,
    /// When the first of them came.
    pub since: Timestamp,
    /// How urgent the case is.
    pub priority: String,
    /// Who released them before; empty when nobody did.
    pub released: String,
}

/// A study that nobody may sign before a person at the site has decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The word for the case.
    pub case: CaseCode,
    /// (0010,0010).
    pub patient: Private,
    /// (0010,0020).
    pub patient_id: Private,
    /// Why, as the reader is told.
    pub sentence: String,
    /// Whether somebody has decided that it stays so.
    pub kept: bool,
}

/// One withheld object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its row.
    pub id: i64,
    /// (0008,0016).
    pub class: String,
    /// (0008,0060).
    pub modality: String,
    /// Why it is withheld.
    pub reason: String,
    /// Length in bytes.
    pub length: u64,
    /// When it came.
    pub received: Timestamp,
    /// What was decided last: `keep`, `release`, or nothing.
    pub decided: Option<(String, String)>,
    handle: Option<Handle>,
    syntax: TransferSyntaxUid,
}

/// What the header of an object says, as far as it can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Rows and columns.
    pub size: Option<(u16, u16)>,
    /// (0028,0008).
    pub frames: Option<String>,
    /// (0008,103E).
    pub series: Private,
    /// (0008,0070) and (0008,1090).
    pub device: String,
    /// (0028,0301): what the sender says about names in the pixels.
    pub burned_in: Option<String>,
}

/// Everything withheld about which nobody has decided, the most urgent first; at most 200.
///
/// # Errors
/// When the rows refuse.
pub async fn undecided(rows: &Rows) -> Result<Vec<Group>, SpoolError> {
    let found = sqlx::query(
        "SELECT s.case_code, s.patient_name, i.sop_class, i.modality, COUNT(*), i.reason, MIN(i.received_us), s.priority, i.released \
         FROM instance i JOIN study s ON s.id = i.study_id WHERE i.state = 'withheld' AND s.state <> 'recalled' \
         AND COALESCE((SELECT d.what FROM decision d WHERE d.instance_id = i.id ORDER BY d.id DESC LIMIT 1), '') <> 'keep' \
         GROUP BY s.id, i.sop_class, i.modality, i.reason, i.released \
         ORDER BY CASE s.priority WHEN 'stat' THEN 0 WHEN 'urgent' THEN 1 ELSE 2 END, s.id, i.sop_class LIMIT 200",
    )
    .fetch_all(rows.read())
    .await
    .map_err(refused_row("listing what is withheld"))?;
    found
        .iter()
        .map(group)
        .collect::<Result<_, _>>()
        .map_err(refused_row("reading what is withheld"))
}

fn group(row: &SqliteRow) -> Result<Group, sqlx::Error> {
    Ok(Group {
        case: parsed(row, 0, "a case code")?,
        patient: Private::new(row.try_get::<String, _>(1)?),
        class: row.try_get(2)?,
        modality: row.try_get(3)?,
        count: from_row(row.try_get(4)?),
        reason: row.try_get(5)?,
        since: Timestamp(row.try_get(6)?),
        priority: row.try_get(7)?,
        released: row.try_get(8)?,
    })
}

/// The blocked studies, those that nobody has decided about first.
///
/// # Errors
/// When the rows refuse.
pub async fn blocked(rows: &Rows) -> Result<Vec<Blocked>, SpoolError> {
    let found = sqlx::query(
        "SELECT s.case_code, s.patient_name, s.patient_id, s.blocked, COALESCE((SELECT d.what FROM decision d WHERE d.study_id = s.id \
         AND d.what IN ('unblock', 'keep-blocked') ORDER BY d.id DESC LIMIT 1), '') = 'keep-blocked' AS kept \
         FROM study s WHERE s.blocked <> '' AND s.state <> 'recalled' ORDER BY kept, s.id LIMIT 200",
    )
    .fetch_all(rows.read())
    .await
    .map_err(refused_row("listing what is blocked"))?;
    let read = |row: &SqliteRow| -> Result<Blocked, sqlx::Error> {
        Ok(Blocked {
            case: parsed(row, 0, "a case code")?,
            patient: Private::new(row.try_get::<String, _>(1)?),
            patient_id: Private::new(row.try_get::<String, _>(2)?),
            sentence: row.try_get(3)?,
            kept: row.try_get::<i64, _>(4)? != 0,
        })
    };
    found
        .iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(refused_row("reading what is blocked"))
}

/// The withheld objects of a case, at most 500.
///
/// # Errors
/// When the rows refuse.
pub async fn objects(rows: &Rows, case: &CaseCode) -> Result<Vec<Object>, SpoolError> {
    let found = sqlx::query(
        "SELECT i.id, i.sop_class, i.modality, i.reason, i.length, i.received_us, i.handle, i.syntax, d.what, d.who FROM instance i \
         JOIN study s ON s.id = i.study_id LEFT JOIN decision d \
         ON d.id = (SELECT MAX(id) FROM decision WHERE instance_id = i.id) \
         WHERE s.case_code = $1 AND i.state = 'withheld' ORDER BY i.reason, i.id LIMIT 500",
    )
    .bind(case.as_str())
    .fetch_all(rows.read())
    .await
    .map_err(refused_row("listing the withheld objects of a case"))?;
    found
        .iter()
        .map(object)
        .collect::<Result<_, _>>()
        .map_err(refused_row("reading the withheld objects of a case"))
}

/// Ten columns.
pub(super) fn object(row: &SqliteRow) -> Result<Object, sqlx::Error> {
    let what: Option<String> = row.try_get(8)?;
    let who: Option<String> = row.try_get(9)?;
    Ok(Object {
        id: row.try_get(0)?,
        class: row.try_get(1)?,
        modality: row.try_get(2)?,
        reason: row.try_get(3)?,
        length: from_row(row.try_get(4)?),
        received: Timestamp(row.try_get(5)?),
        handle: row.try_get::<Option<String>, _>(6)?.map(Handle::from_row),
        syntax: parsed(row, 7, "a transfer syntax")?,
        decided: what.zip(who),
    })
}

impl Spool {
    /// What the header of a withheld object says; nothing where it cannot be read.
    pub async fn facts(&self, object: &Object) -> Facts {
        let (encoding, deflated) = Encoding::of(&object.syntax);
        let Some(handle) = object.handle.as_ref().filter(|_| !deflated) else {
            return Facts::default();
        };
        match self.read(handle, 0, AHEAD).await {
            Ok(bytes) => facts(&bytes, encoding),
            Err(_) => Facts::default(),
        }
    }
}

/// Walks the top level of a dataset as far as `bytes` go; what is inside sequences is passed over.
fn facts(bytes: &[u8], encoding: Encoding) -> Facts {
    let mut found = Facts::default();
    let mut set = CharacterSet::parse(b"");
    let mut device = [String::new(), String::new()];
    let (mut at, mut depth) = (0_usize, 0_usize);
    while let Some(header) = bytes
        .get(at..)
        .and_then(|rest| Header::read(rest, encoding))
    {
        at = at.saturating_add(header.size.into());
        let Some(length) = header.length else {
            if header.tag == tags::PIXEL_DATA {
                break;
            }
            depth = depth.saturating_add(1);
            continue;
        };
        if matches!(header.tag, Tag(0xFFFE, 0xE00D | 0xE0DD)) {
            depth = depth.saturating_sub(1);
            continue;
        }
        let end = at.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        let Some(value) = bytes.get(at..end) else {
            break;
        };
        at = end;
        if depth > 0 {
            continue;
        }
        let text = || set.decode(value).trim_matches(['\0', ' ']).to_owned();
        match header.tag {
            tags::SPECIFIC_CHARACTER_SET => set = CharacterSet::parse(value),
            tags::SERIES_DESCRIPTION => found.series = Private::new(text()),
            tags::MANUFACTURER => device = [text(), String::new()],
            tags::MANUFACTURER_MODEL_NAME => {
                device = [std::mem::take(&mut device).concat(), text()]
            }
            tags::NUMBER_OF_FRAMES => found.frames = Some(text()).filter(|t| !t.is_empty()),
            tags::BURNED_IN_ANNOTATION => found.burned_in = Some(text()).filter(|t| !t.is_empty()),
            tags::ROWS => found.size = short(value, encoding).map(|rows| (rows, 0)),
            tags::COLUMNS => {
                found.size = found
                    .size
                    .zip(short(value, encoding))
                    .map(|((rows, _), columns)| (rows, columns));
            }
            _ => {}
        }
    }
    found.device = device.join(" ").trim().to_owned();
    found
}

fn short(value: &[u8], encoding: Encoding) -> Option<u16> {
    let bytes = *value.first_chunk()?;
    Some(match encoding {
        Encoding::ExplicitBig => u16::from_be_bytes(bytes),
        Encoding::ImplicitLittle | Encoding::ExplicitLittle => u16::from_le_bytes(bytes),
    })
}
