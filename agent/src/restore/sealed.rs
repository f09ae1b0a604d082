//! The originals that travel sealed in the report's header: opened with the hospital's key (PS3.15 E.1.2, PS3.3 C.12.1.1.4).

use std::fmt;
use std::sync::Arc;

use causeway_proto::dataset::Dataset;
use causeway_proto::ids::TransferSyntaxUid;
use dicom_dictionary_std::tags;

use super::home::Home;

type Open = dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync;

/// Opens CMS EnvelopedData with the hospital's key; none when it is not for this hospital or was changed.
#[derive(Clone)]
pub struct Unseal(Arc<Open>);

impl Unseal {
    /// Wraps the keys' function.
    pub fn new(open: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }
}

impl fmt::Debug for Unseal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unseal")
    }
}

/// What the last sealed set says that the key opens; none when there is none.
#[must_use]
pub fn originals(report: &Dataset, unseal: &Unseal) -> Option<Home> {
    report
        .items(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE)
        .iter()
        .rev()
        .find_map(|item| {
            let syntax: TransferSyntaxUid = item
                .code(tags::ENCRYPTED_CONTENT_TRANSFER_SYNTAX_UID)
                .parse()
                .ok()?;
            let sealed = without_padding(item.bytes(tags::ENCRYPTED_CONTENT));
            let opened = (unseal.0)(sealed)?;
            let plain = Dataset::read(&opened, &syntax).ok()?;
            let set = plain.character_set();
            let first = plain.items(tags::MODIFIED_ATTRIBUTES_SEQUENCE).first()?;
            Some(Home::of(first, &set))
        })
}

/// An OB value is even; the message in it is as long as its outer header says (X.690 8.1.3).
fn without_padding(value: &[u8]) -> &[u8] {
    let length = match value {
        [_, short @ 0..=0x7F, ..] => Some(usize::from(*short) + 2),
        [_, long @ 0x81..=0x84, rest @ ..] => {
            let count = usize::from(*long & 0x7F);
            rest.get(..count).map(|bytes| {
                let content = bytes
                    .iter()
                    .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
                content.saturating_add(2 + count)
            })
        }
        _ => None,
    };
    length
        .and_then(|length| value.get(..length))
        .unwrap_or(value)
}
