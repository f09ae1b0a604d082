//! Asks the hospital whose study this is: C-FIND at the study level by Study Instance UID, with few and short answers (PS3.4 C).

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
use crate::delivery::Destination;
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
    match ask(peer, study).await {
        Ok(asked) => asked,
        Err(error) => Asked::Failed(sentence(&error)),
    }
}

async fn ask(peer: &Destination, study: &StudyUid) -> Result<Asked, SendError> {
    let offer = Offer::new(
        STUDY_ROOT,
        [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN],
    );
    let mut dialled = Dialled::open(peer, &[offer]).await?;
    let chosen = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN]
        .into_iter()
        .find_map(|syntax| Some((dialled.accepted(STUDY_ROOT, syntax)?, syntax)));
    let Some((context, syntax)) = chosen else {
        dialled.release().await;
        return Ok(Asked::NotOffered);
    };
    let identifier = identifier(study, syntax == EXPLICIT_VR_LITTLE_ENDIAN);
    let answers = dialled
        .find(context, STUDY_ROOT, &identifier, (MOST, MOST_BYTES))
        .await;
    dialled.release().await;
    let (answers, status) = answers?;
    if status != 0 {
        return Ok(Asked::Refused(status));
    }
    let Ok(syntax) = syntax.parse::<TransferSyntaxUid>() else {
        return Ok(Asked::NotOffered);
    };
    let read = |answer: &Vec<u8>| match Dataset::read(answer, &syntax) {
        Ok(dataset) => Ok(dataset),
        Err(error) => Err(SendError::Broken(error.to_string())),
    };
    let found: Result<Vec<Dataset>, SendError> = answers.iter().map(read).collect();
    Ok(Asked::Found(found?))
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
    let mut uid = study.as_str().as_bytes().to_vec();
    if !uid.len().is_multiple_of(2) {
        uid.push(0);
    }
    put(
        &mut out,
        tags::STUDY_INSTANCE_UID,
        explicit.then_some(b"UI"),
        &uid,
    );
    out
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
