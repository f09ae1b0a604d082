//! What a person or a site does to the tasks, and what the rooms answer.

use causeway_proto::time::Timestamp;

use super::world::{PEOPLE, World, person, subject};
use crate::report::{self, Content, Expect, ReportError};
use crate::sign::{ActError, Done, SignError, Signer, Wanted, Withdrawn};
use crate::worklist::{self, ClaimError, Claimed};

/// What is wished for.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    /// To take this task.
    Claim(String),
    /// To read this task next.
    Reserve(String),
    /// To give this task up.
    PutBack(String),
    /// To take this task from everybody.
    Cancel(String),
    /// To write this text into the draft of a case.
    Save(String, Expect, String),
    /// To sign what was previewed, whose author is the second.
    Sign(Wanted, String),
    /// To correct the report of this case.
    Correct(String),
    /// To withdraw this report of a case.
    Withdraw(String, String),
    /// A late image of this study; its number.
    Late(&'static str, u64),
    /// The site takes this study back.
    Recall(&'static str),
}

/// A wish, and whose it is: an index of `PEOPLE`.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) who: usize,
    pub(super) wish: Wish,
}

impl Attempt {
    pub(super) fn account(&self) -> &'static str {
        PEOPLE[self.who].0
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Claimed(Claimed),
    /// Until when.
    Reserved(Timestamp),
    /// By which task it was replaced.
    PutBack(String),
    Canceled,
    /// The version.
    Saved(i64),
    Signed(Done),
    /// It was signed before.
    Already(Done),
    Corrected(Claimed, i64),
    Withdrawn(Done),
    /// What the site does is not refused.
    Noted,
    /// Somebody reads it next.
    KeptFor(String),
    Refused(String),
    /// The rooms fail, and no person or fault has caused it.
    Broken(String),
}

impl Answer {
    /// One word for each kind, for the count of what a sweep has tried.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Claimed(_) => "claimed",
            Self::Reserved(_) => "reserved",
            Self::PutBack(_) => "put back",
            Self::Canceled => "canceled",
            Self::Saved(_) => "saved",
            Self::Signed(_) => "signed",
            Self::Already(_) => "signed already",
            Self::Corrected(..) => "corrected",
            Self::Withdrawn(_) => "withdrawn",
            Self::Noted => "of the site",
            Self::KeptFor(_) => "kept for another",
            Self::Refused(_) => "refused",
            Self::Broken(_) => "broken",
        }
    }
}

/// A refusal; or what no person has caused.
fn refused(error: &(dyn std::error::Error + 'static), broken: bool) -> Answer {
    if broken {
        return Answer::Broken(format!("{error:?}"));
    }
    Answer::Refused(error.to_string())
}

fn of_claim(error: ClaimError) -> Answer {
    if let ClaimError::Reserved(other) = &error {
        return Answer::KeptFor(other.account.clone());
    }
    let broken = matches!(error, ClaimError::Database(_) | ClaimError::Audit(_));
    refused(&error, broken)
}

fn of_report(error: ReportError) -> Answer {
    match error {
        ReportError::Claim(error) => of_claim(error),
        ReportError::Database(_) | ReportError::Audit(_) | ReportError::Row(_) => {
            refused(&error, true)
        }
        error => refused(&error, false),
    }
}

fn of_act(error: ActError) -> Answer {
    match error {
        ActError::Already(done) => Answer::Already(done),
        ActError::Report(error) => of_report(error),
        ActError::Key(SignError::Locked | SignError::NoKey) => refused(&error, false),
        ActError::Database(_)
        | ActError::Audit(_)
        | ActError::Blob(_)
        | ActError::Document(_)
        | ActError::Key(_) => refused(&error, true),
        error => refused(&error, false),
    }
}

/// Asks the rooms.
pub(super) async fn perform(world: &World, attempt: &Attempt) -> Answer {
    let (who, at) = (subject(attempt.who), world.now());
    let (rows, random, promised) = (&world.rows, &world.random, &world.reservations);
    match &attempt.wish {
        Wish::Claim(uid) => worklist::claim(rows, promised, &who, uid, at, random)
            .await
            .map_or_else(of_claim, Answer::Claimed),
        Wish::Reserve(uid) => worklist::reserve(rows, promised, &who, uid, at, random)
            .await
            .map_or_else(of_claim, |(_, until)| Answer::Reserved(until)),
        Wish::PutBack(uid) => worklist::put_back(rows, &who, uid, "Not mine.", at, random)
            .await
            .map_or_else(of_claim, |(new, _)| Answer::PutBack(new)),
        Wish::Cancel(uid) => worklist::cancel(rows, &who, uid, "Sent twice.", at)
            .await
            .map_or_else(of_claim, |_| Answer::Canceled),
        Wish::Save(case, expect, text) => {
            report::put(rows, case, &who.account, &content(text), *expect, at)
                .await
                .map_or_else(of_report, Answer::Saved)
        }
        Wish::Correct(case) => report::correct(rows, &who, case, "Wrong side.", at, random)
            .await
            .map_or_else(of_report, |(task, version)| {
                Answer::Corrected(task, version)
            }),
        Wish::Sign(wanted, author) => sign(world, attempt, wanted, author).await,
        Wish::Withdraw(case, report) => withdraw(world, attempt, case, report).await,
        Wish::Late(study, number) => {
            world.grown(study, *number).await;
            Answer::Noted
        }
        Wish::Recall(study) => {
            world.recalled(study).await;
            Answer::Noted
        }
    }
}

pub(super) fn content(text: &str) -> Content {
    Content {
        findings: text.to_owned(),
        ..Content::default()
    }
}

async fn sign(world: &World, attempt: &Attempt, wanted: &Wanted, author: &str) -> Answer {
    let account = attempt.account();
    let signer = Signer {
        subject: &subject(attempt.who),
        session: account,
        person: person(account),
        author_id: author,
        author: person(author),
    };
    let signed = world.signing.sign(&world.archive, &signer, wanted).await;
    signed.map_or_else(of_act, Answer::Signed)
}

async fn withdraw(world: &World, attempt: &Attempt, case: &str, report: &str) -> Answer {
    let account = attempt.account();
    let signer = Signer {
        subject: &subject(attempt.who),
        session: account,
        person: person(account),
        author_id: account,
        author: person(account),
    };
    let wanted = Withdrawn {
        case,
        report,
        reason: "Wrong patient.",
    };
    let done = world.signing.withdraw(&world.archive, &signer, &wanted);
    done.await.map_or_else(of_act, Answer::Withdrawn)
}

/// What a reader would sign now, as his preview shows it, and who wrote it; none without a draft.
pub(super) async fn previewed(
    world: &World,
    case: &str,
    is_final: bool,
) -> Option<(Wanted, String)> {
    let mut reading = world.rows.read().acquire().await.unwrap();
    let facts = worklist::case(&mut reading, case).await.unwrap().unwrap();
    let draft = report::draft(&mut reading, case).await.unwrap()?;
    let wanted = Wanted {
        case: case.to_owned(),
        is_final,
        draft_version: draft.version,
        manifest_version: facts.manifest_version(),
        identity_version: facts.identity_version(),
        acknowledged_withheld: false,
        override_reason: None,
    };
    Some((wanted, draft.author))
}
