//! The originals that travel sealed in the report's header: opened with the hospital's key (PS3.15 E.1.2, PS3.3 C.12.1.1.4).

use std::fmt;
use std::sync::Arc;

use causeway_proto::dataset::Dataset;
use causeway_proto::ids::{AgreementId, StudyUid, TransferSyntaxUid};
use dicom_dictionary_std::tags;

use super::home::Home;

type Open = dyn Fn(&AgreementId, &StudyUid, &[u8]) -> Option<Vec<u8>> + Send + Sync;

/// Opens CMS EnvelopedData, perhaps with a padding byte behind it, with the hospital's key; none when it is not for this hospital, or
/// this site did not seal it for this study under this agreement.
#[derive(Clone)]
pub struct Unseal(Arc<Open>);

impl Unseal {
    /// Wraps the keys' function.
    pub fn new(
        open: impl Fn(&AgreementId, &StudyUid, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(open))
    }
}

impl fmt::Debug for Unseal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unseal")
    }
}

/// What the last sealed set says that the key opens and the site's proof holds for; none when there is none. A report's header is not
/// signed: without the proof it could carry the sealed set of another study.
#[must_use]
pub fn originals(
    report: &Dataset,
    agreement: &AgreementId,
    study: &StudyUid,
    unseal: &Unseal,
) -> Option<Home> {
    report
        .items(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE)
        .iter()
        .rev()
        .find_map(|item| {
            let syntax: TransferSyntaxUid = item
                .code(tags::ENCRYPTED_CONTENT_TRANSFER_SYNTAX_UID)
                .parse()
                .ok()?;
            let opened = (unseal.0)(agreement, study, item.bytes(tags::ENCRYPTED_CONTENT))?;
            let plain = Dataset::read(&opened, &syntax).ok()?;
            let set = plain.character_set();
            let first = plain.items(tags::MODIFIED_ATTRIBUTES_SEQUENCE).first()?;
            Some(Home::of(first, &set))
        })
}
