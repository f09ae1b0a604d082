//! Under which agreement an instance leaves, and what the site itself says of agreements.

use causeway_proto::ids::AgreementId;
use causeway_proto::link::message::terms::{MODIFIED_DATES, REPLACE_UIDS};
use serde::Deserialize;

use super::entry::{AeTitle, Arrival, Header};

/// `[agreement]`: the site's own word about agreements. What the gateway announces never widens it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The agreement for what no rule names; needed when the gateway announces more than one.
    pub default: Option<AgreementId>,
    /// Agreements under which identities may leave. Under every other one a pseudonym does, whatever the gateway announces.
    pub identified: Vec<AgreementId>,
    /// What an agreement may allow beyond the profile: `device`, `institution`, `documents`, `accept-uids`, `headshots`. A word that
    /// the gateway announces and that is not here changes nothing.
    pub allow: Vec<String>,
    /// Every date leaves shifted by a constant of its patient (P11), whatever an agreement says. Where an agreement asks for it, it is
    /// done without this word too.
    pub modified_dates: bool,
    /// What the site asks for itself under every agreement that is pseudonymous: `replace-uids`. The gateway may ask for it as well.
    pub require: Vec<String>,
    /// The first rule that fits decides; `dicom.called.agreement` goes before them all.
    pub rule: Vec<Rule>,
}

/// One rule: everything it names must fit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The agreement.
    pub agreement: AgreementId,
    /// Our title that was called.
    #[serde(default)]
    pub called: Option<AeTitle>,
    /// The sender's title.
    #[serde(default)]
    pub calling: Option<AeTitle>,
    /// (0008,0060).
    #[serde(default)]
    pub modality: Option<String>,
}

impl Rule {
    fn fits(&self, arrival: &Arrival, header: &Header) -> bool {
        let called = self.called.as_ref().is_none_or(|it| *it == arrival.called);
        let calling = self
            .calling
            .as_ref()
            .is_none_or(|it| *it == arrival.calling);
        let modality = self
            .modality
            .as_ref()
            .is_none_or(|it| *it == header.modality);
        called && calling && modality
    }
}

impl Config {
    /// The agreement of the first rule that fits.
    pub(super) fn ruled(&self, arrival: &Arrival, header: &Header) -> Option<&AgreementId> {
        self.rule
            .iter()
            .find(|rule| rule.fits(arrival, header))
            .map(|rule| &rule.agreement)
    }

    /// Of the words that the gateway announces those that the site allows.
    pub(super) fn allowed(&self, announced: &str) -> Vec<String> {
        let words = announced.split_whitespace().map(str::to_owned);
        words.filter(|word| self.allow.contains(word)).collect()
    }

    /// Whether dates leave shifted: it takes away, so that the word of either side is enough.
    pub(super) fn shifts_dates(&self, announced: &str) -> bool {
        self.modified_dates
            || announced
                .split_whitespace()
                .any(|word| word == MODIFIED_DATES)
    }

    /// Whether the site itself asks for what keeps less.
    pub(super) fn requires(&self, word: &str) -> bool {
        self.require.iter().any(|it| it == word)
    }

    /// A word of `require` that this version does not know: what was to keep less must not be passed over.
    #[must_use]
    pub fn unknown_requirement(&self) -> Option<&str> {
        let mut words = self.require.iter().map(String::as_str);
        words.find(|word| *word != REPLACE_UIDS)
    }

    /// How identity travels under an agreement that the gateway announces with `word`: fails closed.
    pub(super) fn identity(&self, agreement: &AgreementId, word: &str) -> &'static str {
        if word == "identified" && self.identified.contains(agreement) {
            "identified"
        } else {
            "pseudonymous"
        }
    }
}

/// `[identity]`: which patient IDs establish nobody's identity (P2).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// Words beside the shipped ones (empty, zeros, nines, UNKNOWN, UNK*, EMERGENCY*, TRAUMA*, TEST*); a star stands for any ending.
    pub placeholders: Vec<String>,
    /// Whether `00123` and `123` are the same ID when compared with the list.
    pub ignore_leading_zeros: bool,
}
