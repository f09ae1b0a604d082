//! Fencing: of two sessions of one site the newer one wins, and two machines with one certificate are told apart by their spool.

use super::{Code, Farewell, HelloAgent};

/// A session as the gateway remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The spool that it came from.
    pub spool: String,
    /// The number that it gave itself.
    pub session: u64,
}

/// What the gateway knows of a site's sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    /// The session that is connected now.
    pub live: Option<Known>,
    /// The newest session that was ever admitted.
    pub newest: Option<Known>,
}

/// What becomes of a new session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is admitted, and the live one, if any, is closed with DUPLICATE_SITE. `remark` is for the log of the gateway.
    Admitted {
        /// What is odd about it: the spool is another one than before, or its count went back.
        remark: Option<&'static str>,
    },
    /// It is not admitted.
    Refused(Farewell),
}

impl Fence {
    /// Judges a new session.
    ///
    /// | Live session | New session | Verdict |
    /// |---|---|---|
    /// | none | any | admitted; another spool or a lower count is remarked on |
    /// | same spool | higher count | admitted, the live one is closed: it is what is left of a broken connection |
    /// | same spool | same or lower count | refused: a late attempt, or a copy of the machine |
    /// | other spool | any | refused: two machines use one certificate, and the one that works goes on |
    #[must_use]
    pub fn judge(&self, hello: &HelloAgent) -> Verdict {
        match &self.live {
            Some(live) if live.spool != hello.spool => Verdict::Refused(Farewell::new(
                Code::DuplicateSite,
                "Another machine is connected with the certificate of this site.",
            )),
            Some(live) if live.session >= hello.session => Verdict::Refused(Farewell::new(
                Code::DuplicateSite,
                "A newer connection of this site is there, or this machine is a copy of the one connected.",
            )),
            _ => Verdict::Admitted {
                remark: self.remark(hello),
            },
        }
    }

    fn remark(&self, hello: &HelloAgent) -> Option<&'static str> {
        let newest = self.newest.as_ref()?;
        if newest.spool != hello.spool {
            Some("the site comes with another spool than before")
        } else if newest.session >= hello.session {
            Some(
                "the count of this spool's sessions went back: was the agent restored from a copy?",
            )
        } else {
            None
        }
    }
}
