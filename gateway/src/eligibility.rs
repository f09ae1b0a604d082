//! May this person do this to this case, and why not: a pure decision in which every unmet condition is named in words.
//!
//! Today the conditions are an agreement in force between the site and the person's organisation, a role, and an account that
//! is not disabled. Licence, language and purpose join as further conditions in [`decide`]; nothing else changes.

use causeway_proto::ids::{AgreementId, SiteId};
use serde::Serialize;

/// What an account may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Reads studies and writes reports.
    pub reader: bool,
    /// Signs final.
    pub verifier: bool,
    /// Runs the gateway: sees every case's facts, reads none.
    pub operator: bool,
}

impl Roles {
    /// The words stored and shown, in a fixed order.
    #[must_use]
    pub fn words(self) -> Vec<&'static str> {
        [
            (self.reader, "reader"),
            (self.verifier, "verifier"),
            (self.operator, "operator"),
        ]
        .into_iter()
        .filter_map(|(has, word)| has.then_some(word))
        .collect()
    }
}

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The account's identifier.
    pub account: String,
    /// The reading organisation he works for.
    pub organisation: String,
    /// What he may be.
    pub roles: Roles,
    /// The account was disabled.
    pub disabled: bool,
    /// The agreements in force between a site and his organisation.
    pub reach: Vec<(SiteId, AgreementId)>,
}

impl Subject {
    /// Whether his organisation has this agreement in force.
    #[must_use]
    pub fn reaches(&self, site: &str, agreement: &str) -> bool {
        self.reach
            .iter()
            .any(|(s, a)| s.as_str() == site && a.as_str() == agreement)
    }

    /// Whether a case or study of this agreement exists for him at all: what he may not see is answered as if it did not exist.
    #[must_use]
    pub fn sees(&self, site: &str, agreement: &str) -> bool {
        decide(self, site, agreement, Act::See).allowed
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Know that it exists, and its facts.
    See,
    /// Look at its images.
    View,
    /// Take its task.
    Claim,
    /// Write its report.
    Write,
    /// Sign a preliminary report.
    SignPreliminary,
    /// Sign a final report.
    SignFinal,
    /// Cancel its task for everybody.
    Operate,
}

/// The answer, with every unmet condition in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Whether every condition is met.
    pub allowed: bool,
    /// The conditions that are not met.
    pub reasons: Vec<&'static str>,
}

/// Decides. The placeholder for licence and language: they become two more lines here.
#[must_use]
pub fn decide(subject: &Subject, site: &str, agreement: &str, act: Act) -> Decision {
    let reaches = subject.reaches(site, agreement);
    let roles = subject.roles;
    let mut reasons = Vec::new();
    let mut need = |met: bool, reason| {
        if !met {
            reasons.push(reason);
        }
    };
    need(!subject.disabled, "your account is disabled");
    match act {
        Act::See => need(
            reaches || roles.operator,
            "your organisation has no agreement in force with this site",
        ),
        Act::Operate => need(roles.operator, "this needs the role of operator"),
        Act::View | Act::Claim | Act::Write | Act::SignPreliminary | Act::SignFinal => {
            need(
                reaches,
                "your organisation has no agreement in force with this site",
            );
            need(
                roles.reader || roles.verifier,
                "this needs the role of reader",
            );
        }
    }
    if act == Act::SignFinal {
        need(
            roles.verifier,
            "signing a final report needs the right to verify",
        );
    }
    Decision {
        allowed: reasons.is_empty(),
        reasons,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(roles: Roles) -> Subject {
        Subject {
            account: "a".into(),
            organisation: "o".into(),
            roles,
            disabled: false,
            reach: vec![("s1".parse().unwrap(), "g1".parse().unwrap())],
        }
    }

    const READER: Roles = Roles {
        reader: true,
        verifier: false,
        operator: false,
    };
    const OPERATOR: Roles = Roles {
        reader: false,
        verifier: false,
        operator: true,
    };

    fn check(subject: &Subject, site: &str, act: Act, reasons: usize) {
        let decision = decide(subject, site, "g1", act);
        assert_eq!(
            (decision.allowed, decision.reasons.len()),
            (reasons == 0, reasons),
            "{act:?} {decision:?}"
        );
    }

    #[test]
    fn a_reader_reaches_his_agreement_and_no_other() {
        check(&subject(READER), "s1", Act::Claim, 0);
        check(&subject(READER), "s2", Act::See, 1);
        check(&subject(READER), "s2", Act::Claim, 1);
        check(&subject(READER), "s1", Act::SignPreliminary, 0);
    }

    #[test]
    fn every_unmet_condition_is_named() {
        let nobody = subject(Roles::default());
        check(&nobody, "s2", Act::SignFinal, 3);
        let disabled = Subject {
            disabled: true,
            ..nobody
        };
        check(&disabled, "s2", Act::SignFinal, 4);
    }

    #[test]
    fn an_operator_sees_everything_and_reads_nothing() {
        check(&subject(OPERATOR), "s2", Act::See, 0);
        check(&subject(OPERATOR), "s2", Act::Operate, 0);
        check(&subject(OPERATOR), "s1", Act::View, 1);
        check(&subject(READER), "s1", Act::Operate, 1);
    }
}
