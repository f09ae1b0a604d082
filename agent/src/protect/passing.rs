//! Failures that pass by themselves: a disk that could not be read for a moment, a key that was away. What was withheld for one of
//! them is tried again, and nobody has to release it.

use std::io;

use causeway_proto::dataset::Dataset;

use super::prepare::{PrepareError, draft, received};
use super::worker::blocking;
use super::{ProtectError, Protector, seal};
use crate::spool::masks::Rules;
use crate::spool::{SpoolError, Unprotected};

/// The bytes as received cannot be read now.
pub(super) const UNREAD: &str = "its bytes cannot be read from the agent's disk; it is tried again";
/// The agreement's key or the hospital's cannot be used now.
pub(super) const KEYLESS: &str = "the keys of the site cannot be used; it is tried again";

/// So many are read from the rows at once.
const AT_ONCE: usize = 64;

impl Protector {
    /// Looks again at what was withheld for a reason that may have passed; answers how many are decided anew.
    ///
    /// # Errors
    /// When the spool refuses.
    pub(crate) async fn look_again(&self) -> Result<u64, ProtectError> {
        let rules = self.spool.mask_rules().await?;
        let (mut last, mut passed) = (0, 0);
        loop {
            let found = self.spool.withheld_for([UNREAD, KEYLESS], last, AT_ONCE);
            let found = found.await?;
            let count = found.len();
            for instance in found {
                last = instance.id;
                if self.has_passed(&instance, &rules).await? {
                    passed += u64::from(self.spool.decide_again(&instance).await?);
                }
            }
            if count < AT_ONCE {
                return Ok(passed);
            }
        }
    }

    /// Whether the keys can be used and every byte can be read; whatever else is wrong is for the decision to say.
    async fn has_passed(&self, instance: &Unprotected, rules: &Rules) -> Result<bool, SpoolError> {
        let (this, of, by) = (self.clone(), instance.clone(), rules.clone());
        let tried = blocking(move || {
            this.keys.seal(&seal::plain(&Dataset::new(), &[]))?;
            let (received, _) = received(&this, &of.source)?;
            let read = io::copy(&mut received.reader(&this.spool), &mut io::sink());
            if !read.is_ok_and(|read| read == received.length()) {
                return Err(PrepareError::Unread);
            }
            draft(&this, &of, &by, None).map(drop)
        });
        match tried.await.and_then(std::convert::identity) {
            Err(PrepareError::Spool(error)) => Err(error),
            Err(PrepareError::Unread | PrepareError::Keys(_)) => Ok(false),
            Ok(()) | Err(_) => Ok(true),
        }
    }
}
