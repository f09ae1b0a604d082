//! P3 as a table: what the PACS says, what the site has chosen, and what was received decide whose report it is.

use causeway_proto::ids::StudyUid;
use causeway_proto::text::CharacterSet;
use dicom_dictionary_std::tags;

use super::find::Asked;
use super::home::Home;
use super::{Config, Truth};

/// A refused question is asked again so often before a person is told.
const TRIES: i64 = 10;

/// What the site itself knows of a study.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ours {
    /// The newest received header (P24), while its rows are there.
    pub received: Option<Home>,
    /// The originals sealed in the report, when the hospital's key opens them.
    pub sealed: Option<Home>,
    /// No identity was established: the ID was on the site's list of placeholders (P2).
    pub placeholder: bool,
}

impl Ours {
    /// The newest received header, completed by the sealed originals; these alone when the rows are gone.
    #[must_use]
    pub fn best(&self) -> Option<Home> {
        match (&self.received, &self.sealed) {
            (Some(received), Some(sealed)) => Some(received.clone().completed_by(sealed)),
            (one, other) => one.clone().or_else(|| other.clone()),
        }
    }

    fn knows(&self, patient: &Home) -> bool {
        let known = [&self.received, &self.sealed];
        known
            .into_iter()
            .flatten()
            .any(|ours| ours.is_same_patient(patient))
    }
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The report is this patient's; in whose word.
    Restore(Box<Home>, &'static str),
    /// A person decides; why, and what the PACS said.
    Held(&'static str, Vec<Home>),
    /// Asked again later; why.
    Waiting(String),
}

/// Judges one answer. `refusals` counts those of the PACS, this one included.
#[must_use]
pub fn decide(
    config: &Config,
    study: &StudyUid,
    asked: &Asked,
    ours: &Ours,
    refusals: i64,
) -> Verdict {
    match asked {
        Asked::Failed(sentence) => Verdict::Waiting(format!(
            "the PACS could not be asked for the patient: {sentence}"
        )),
        Asked::Refused(_) if refusals >= TRIES => Verdict::Held(
            "the PACS refuses to say who the patient is; a person at the site has to decide",
            Vec::new(),
        ),
        Asked::Refused(status) => Verdict::Waiting(format!(
            "the PACS refused the question for the patient with status {status:04X}"
        )),
        Asked::Nobody | Asked::NotOffered => unasked(config, asked, ours),
        Asked::Found(answers) => found(study, answers, ours),
    }
}

/// Nobody can be asked.
fn unasked(config: &Config, asked: &Asked, ours: &Ours) -> Verdict {
    let held = |sentence| Verdict::Held(sentence, Vec::new());
    if config.truth == Truth::Pacs {
        return held(if *asked == Asked::Nobody {
            "no PACS is configured that says who the patient is; a person at the site has to decide"
        } else {
            "the PACS takes no questions for the patient; a person at the site has to decide"
        });
    }
    match ours.best() {
        _ if ours.placeholder => held(
            "no identity was established when the study was sent; a person at the site has to decide",
        ),
        None => held(
            "what was received is gone and the sealed originals do not open; a person at the site has to decide",
        ),
        Some(home) if home.is_undecodable() => held(UNDECODABLE),
        Some(home) if home.id.is_empty() => {
            held("the study was received without a patient ID; a person at the site has to decide")
        }
        Some(home) => Verdict::Restore(Box::new(home), "original"),
    }
}

const UNDECODABLE: &str =
    "the patient's data are in no readable character set; a person at the site has to decide";

fn found(study: &StudyUid, answers: &[causeway_proto::dataset::Dataset], ours: &Ours) -> Verdict {
    let mut theirs: Vec<Home> = Vec::new();
    for answer in answers {
        // a PACS that does not know the key answers with all it has
        if answer.code(tags::STUDY_INSTANCE_UID) != study.as_str() {
            continue;
        }
        let home = Home::of(answer, &CharacterSet::default());
        if !theirs.contains(&home) {
            theirs.push(home);
        }
    }
    match theirs.as_slice() {
        [] => Verdict::Held(
            "the PACS does not know the study; a person at the site has to decide",
            theirs,
        ),
        [home] if home.is_undecodable() => Verdict::Held(UNDECODABLE, theirs),
        [home] if home.id.is_empty() => Verdict::Held(
            "the PACS files the study without a patient ID; a person at the site has to decide",
            theirs,
        ),
        [home] if ours.placeholder || ours.knows(home) => {
            let best = ours.best().filter(|best| !best.is_undecodable());
            let home = match best {
                Some(best) => home.clone().completed_by(&best),
                None => home.clone(),
            };
            Verdict::Restore(Box::new(home), "pacs")
        }
        [_] => Verdict::Held(
            "the PACS files the study under another patient ID; a person at the site has to decide",
            theirs,
        ),
        _ => Verdict::Held(
            "the PACS files the study under several patients; a person at the site has to decide",
            theirs,
        ),
    }
}
