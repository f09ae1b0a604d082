//! Asks the hospital whose study this is, by C-FIND at the study level, and whether it holds an object, at the level of the image: by
//! their UIDs, with few and short answers (PS3.4 C).

use causeway_proto::dataset::Dataset;
use causeway_proto::ids::{StudyUid, TransferSyntaxUid};
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_dictionary_std::uids::{
    EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
    STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND as STUDY_ROOT,
};

use super::dial::{Dialled, Offer};
use super::send::{SendError, sentence};
use crate::delivery::{Destination, Holds, Parcel};
use crate::restore::Asked;

/// More answers than this are not read: one study has one.
const MOST: usize = 8;
/// Longest answer, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// What is asked for besides the key, in the order of the tags: the attributes of PS3.4 table C.6-5 that restoration needs.
const WANTED: [(Tag, &[u8; 2]); 10] = [
    (tags::STUDY_DATE, b"DA"),
    (tags::STUDY_TIME, b"TM"),
    (tags::ACCESSION_NUMBER, b"SH"),
    (tags::QUERY_RETRIEVE_LEVEL, b"CS"),
    (tags::REFERRING_PHYSICIAN_NAME, b"PN"),
    (tags::PATIENT_NAME, b"PN"),
    (tags::PATIENT_ID, b"LO"),
    (tags::ISSUER_OF_PATIENT_ID, b"LO"),
    (tags::PATIENT_BIRTH_DATE, b"DA"),
    (tags::PATIENT_SEX, b"CS"),
];

/// Asks a peer for one study. Always answers.
pub async fn study(peer: &Destination, study: &StudyUid) -> Asked {
    let asked = async {
        match Line::open(peer).await? {
            Some(line) => {
                let identifier = identifier(study, line.is_explicit());
                line.ask(&identifier).await
            }
            None => Ok(Asked::NotOffered),
        }
    };
    asked
        .await
        .unwrap_or_else(|error| Asked::Failed(sentence(&error)))
}

/// Asks a peer whether it holds an object, by C-FIND at the level of the image. Always answers.
pub async fn holds(peer: &Destination, parcel: &Parcel) -> Holds {
    let line = match Line::open(peer).await {
        Ok(Some(line)) => line,
        Ok(None) => return Holds::Unsaid,
        // nobody is there; whoever is there and does not let us ask is as one who takes no questions
        Err(error @ (SendError::Address(..) | SendError::Connect(..))) => {
            return Holds::Unreached(sentence(&error));
        }
        Err(error) => {
            tracing::info!(%error, "a destination does not let itself be asked whether it holds an object");
            return Holds::Unsaid;
        }
    };
    let Some(identifier) = image(parcel, line.is_explicit()) else {
        line.dialled.release().await;
        return Holds::Unsaid;
    };
    match line.ask(&identifier).await {
        Ok(Asked::Found(found)) if found.is_empty() => Holds::No,
        Ok(Asked::Found(found)) => {
            let ours = |one: &Dataset| one.code(tags::SOP_INSTANCE_UID) == parcel.instance.as_str();
            // whoever answers with other objects has not looked for this one
            if found.iter().any(ours) {
                Holds::Yes
            } else {
                Holds::Unsaid
            }
        }
        Ok(_) => Holds::Unsaid,
        Err(error) => {
            tracing::info!(%error, "a destination does not say whether it holds an object");
            Holds::Unsaid
        }
    }
}

/// An association for one question.
struct Line {
    dialled: Dialled,
    context: u8,
    syntax: &'static str,
}

impl Line {
    /// None when the peer takes no such questions.
    async fn open(peer: &Destination) -> Result<Option<Self>, SendError> {
        let offer = Offer::new(
            STUDY_ROOT,
            [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN],
        );
        let dialled = Dialled::open(peer, &[offer]).await?;
        let chosen = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN]
            .into_iter()
            .find_map(|syntax| Some((dialled.accepted(STUDY_ROOT, syntax)?, syntax)));
        let Some((context, syntax)) = chosen else {
            dialled.release().await;
            return Ok(None);
        };
        Ok(Some(Self {
            dialled,
            context,
            syntax,
        }))
    }

    fn is_explicit(&self) -> bool {
        self.syntax == EXPLICIT_VR_LITTLE_ENDIAN
    }

    async fn ask(mut self, identifier: &[u8]) -> Result<Asked, SendError> {
        let answers = self
            .dialled
            .find(self.context, STUDY_ROOT, identifier, (MOST, MOST_BYTES))
            .await;
        self.dialled.release().await;
        let (answers, status) = answers?;
        if status != 0 {
            return Ok(Asked::Refused(status));
        }
        let Ok(syntax) = self.syntax.parse::<TransferSyntaxUid>() else {
            return Ok(Asked::NotOffered);
        };
        let read = |answer: &Vec<u8>| match Dataset::read(answer, &syntax) {
            Ok(dataset) => Ok(dataset),
            Err(error) => Err(SendError::Broken(error.to_string())),
        };
        let found: Result<Vec<Dataset>, SendError> = answers.iter().map(read).collect();
        Ok(Asked::Found(found?))
    }
}

/// The request for one object: the unique keys of its levels (PS3.4 C.6.2.1), and no more. None when its series cannot be read.
fn image(parcel: &Parcel, explicit: bool) -> Option<Vec<u8>> {
    let dataset = Dataset::read(&parcel.dataset, &parcel.syntax).ok()?;
    let series = dataset.code(tags::SERIES_INSTANCE_UID);
    let mut out = Vec::with_capacity(256);
    uid(
        &mut out,
        tags::SOP_INSTANCE_UID,
        explicit,
        parcel.instance.as_str(),
    );
    let level = tags::QUERY_RETRIEVE_LEVEL;
    put(&mut out, level, explicit.then_some(b"CS"), b"IMAGE ");
    uid(
        &mut out,
        tags::STUDY_INSTANCE_UID,
        explicit,
        parcel.study.as_str(),
    );
    uid(&mut out, tags::SERIES_INSTANCE_UID, explicit, &series);
    Some(out)
}

/// The request: everything empty but the level and the study. It holds ASCII only, so it names no character set.
fn identifier(study: &StudyUid, explicit: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    for (tag, vr) in WANTED {
        let value: &[u8] = if tag == tags::QUERY_RETRIEVE_LEVEL {
            b"STUDY "
        } else {
            b""
        };
        put(&mut out, tag, explicit.then_some(vr), value);
    }
    uid(&mut out, tags::STUDY_INSTANCE_UID, explicit, study.as_str());
    out
}

fn uid(out: &mut Vec<u8>, tag: Tag, explicit: bool, uid: &str) {
    let mut value = uid.as_bytes().to_vec();
    if !value.len().is_multiple_of(2) {
        value.push(0);
    }
    put(out, tag, explicit.then_some(b"UI"), &value);
}

/// One element with a short length (PS3.5 7.1.2 and 7.1.3).
fn put(out: &mut Vec<u8>, tag: Tag, vr: Option<&[u8; 2]>, value: &[u8]) {
    out.extend(tag.0.to_le_bytes());
    out.extend(tag.1.to_le_bytes());
    let length = u16::try_from(value.len()).unwrap_or(0);
    match vr {
        Some(vr) => {
            out.extend(vr);
            out.extend(length.to_le_bytes());
        }
        None => out.extend(u32::from(length).to_le_bytes()),
    }
    out.extend(value);
}

#[cfg(test)]
mod tests;
