//! Decides about one instance: reads who its patient is, takes the identity out, seals it for the hospital, and names the form.
//!
//! Fails closed: whatever goes wrong withholds this object with its reason and no other (practice.md P1).

use std::io::{self, Read as _};

use bytes::Bytes;
use causeway_proto::element::Encoding;
use causeway_proto::ids::{AgreementId, StudyUid, TransferSyntaxUid};
use causeway_proto::link::message::terms::PROFILE_READING;
use flate2::read::DeflateDecoder;

use super::age::age;
use super::choice::{self, Chosen};
use super::form::{Form, ReadSeek, Received, Stretch};
use super::identifiers::{Identifiers, identifiers};
use super::overlays;
use super::passing::{KEYLESS, UNREAD};
use super::picture::Shown;
use super::profile::{Options, PROFILE, UidRule};
use super::shift::Shift;
use super::transform::{Outcome, Plan, Stand, transform};
use super::{Protector, Unreadable, seal};
use crate::keys::KeysError;
use crate::mask::Rectangle;
use crate::spool::masks::Rules;
use crate::spool::{Kept, Looked, MaskedPixels, SpoolError, Unprotected, is_rotten};

/// A deflated object is at most so long, inflated: it is held in memory while it is protected and sent.
const INFLATED_MAX_BYTES: u64 = 64 << 20;

pub(super) const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";

/// Why no form could be made. Nothing here names a patient.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrepareError {
    /// The object stays at the site.
    #[error("{0}")]
    Withheld(String),
    /// The object stays until a person has drawn what is to be masked on the pictures of its device.
    #[error("{0}")]
    Unmasked(String, Box<Looked>),
    /// It belongs to another patient than its study: a person must decide before anybody signs.
    #[error("it names another patient than the first object of its study")]
    OtherPatient,
    /// The disk did not give its bytes; this may pass.
    #[error("{UNREAD}")]
    Unread,
    /// Its bytes are not those that were received.
    #[error("its bytes have changed on the agent's disk")]
    Rotten,
    /// The agreement key or the hospital's key cannot be used; this may pass.
    #[error("{KEYLESS}")]
    Keys(#[source] KeysError),
    /// The spool refused; tried again.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl PrepareError {
    /// What it means that bytes could not be read.
    pub(super) fn of_reading(error: &io::Error) -> Self {
        match is_rotten(error) {
            true => Self::Rotten,
            false => Self::Unread,
        }
    }

    /// Whether it speaks of what the object holds.
    pub(super) fn is_of_the_object(&self) -> bool {
        matches!(
            self,
            Self::Withheld(_) | Self::Unmasked(..) | Self::OtherPatient
        )
    }
}

impl From<KeysError> for PrepareError {
    /// What the sealing does not take is no trouble of the keys, and does not pass.
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::NotAttributes => {
                Self::Withheld("it is nested too deeply to be sealed".to_owned())
            }
            error => Self::Keys(error),
        }
    }
}

/// What is known of an object before its form is put together.
pub(super) struct Draft {
    pub(super) received: Received,
    pub(super) plan: Plan,
    pub(super) pseudonym: String,
    pub(super) shift: Option<Shift>,
    pub(super) looked: Vec<Looked>,
    pub(super) pixels: Option<MaskedPixels>,
}

/// What has to be done before a form can be put together.
pub(super) enum Drafted {
    /// Nothing.
    Ready(Box<Draft>),
    /// Its pixels have to be coded anew.
    Coded(Box<Coded>),
}

/// An object whose pixels have to be coded anew to be masked.
pub(super) struct Coded {
    pub(super) received: Received,
    pub(super) syntax: TransferSyntaxUid,
    pub(super) shown: Shown,
    pub(super) rectangles: Vec<Rectangle>,
}

/// Reads the object and takes the identity out of it, masked by `rules`; `pixels` are those that were coded anew for it. Blocks.
pub(super) fn draft(
    protector: &Protector,
    instance: &Unprotected,
    rules: &Rules,
    pixels: Option<&MaskedPixels>,
) -> Result<Drafted, PrepareError> {
    let withheld = |reason: &str| PrepareError::Withheld(reason.to_owned());
    known_profile(&instance.terms)?;
    let (received, syntax) = received(protector, &instance.source)?;
    let mut source = received.reader(&protector.spool);
    let found = patient(instance, &mut source, &syntax)?;
    let pseudonym = pseudonym(protector, instance)?;
    let shift = protector.shift(instance)?;
    // a value without a token is left out: nothing falls through
    let token = |kind: &str, value: &str| {
        let token = protector.keys.token(&instance.agreement, kind, value);
        token.unwrap_or_default()
    };
    let stand = Stand {
        patient_id: pseudonym.clone(),
        patient_name: pseudonym.clone(),
        accession: match found.accession.reveal() {
            "" => String::new(),
            accession => token("accession", accession),
        },
        token: &token,
        uid: &|home| protector.spool.said_for(&instance.agreement, home).ok(),
        age: age(found.birth_date.reveal(), found.study_date.reveal()),
        shift,
    };
    let mut options = options(instance);
    let length = received.length();
    let (mut looked, mut used) = (Vec::new(), None);
    let mut outcome = transform(&mut source, length, &syntax, &found, &stand, &options);
    if let Outcome::Shows(shown) = outcome {
        let chosen = choice::choose(instance, rules, &shown)?;
        let (masked, anew) = match chosen.masked(&shown, pixels) {
            Chosen::Masked(masked, anew) => (masked, anew),
            Chosen::Coded => {
                let rectangles = chosen.rectangles;
                return Ok(Drafted::Coded(Box::new(Coded {
                    received,
                    syntax,
                    shown: *shown,
                    rectangles,
                })));
            }
            Chosen::No(reason) => return Err(withheld(reason)),
        };
        looked.extend(chosen.looked);
        used = pixels.filter(|_| anew).cloned();
        options.masked = Some(masked);
        outcome = transform(&mut source, length, &syntax, &found, &stand, &options);
    }
    if let Outcome::Leaves(plan) = &outcome
        && let Some((device, kept)) = overlays::choose(&plan.header, &plan.overlays, rules)
    {
        looked.push(device);
        if !kept.is_empty() {
            options.overlays = kept;
            outcome = transform(&mut source, length, &syntax, &found, &stand, &options);
        }
    }
    match outcome {
        Outcome::Leaves(plan) => Ok(Drafted::Ready(Box::new(Draft {
            received,
            plan: *plan,
            pseudonym,
            shift,
            looked,
            pixels: used,
        }))),
        Outcome::Withheld(reason) => Err(PrepareError::Withheld(reason)),
        Outcome::Unread => Err(PrepareError::Unread),
        Outcome::Shows(shown) => Err(PrepareError::Withheld(shown.reason)),
    }
}

/// An agreement that names none is protected by the one there is.
fn known_profile(named: &str) -> Result<(), PrepareError> {
    if matches!(named, "" | PROFILE_READING) {
        return Ok(());
    }
    let reason = "its agreement names a profile that the site does not know; update causeway-agent";
    Err(PrepareError::Withheld(reason.to_owned()))
}

/// Whose the object is, which is the patient of its study.
fn patient(
    instance: &Unprotected,
    mut source: &mut dyn ReadSeek,
    syntax: &TransferSyntaxUid,
) -> Result<Identifiers, PrepareError> {
    let found = match identifiers(&mut source, syntax) {
        Ok(found) => found,
        Err(Unreadable::Read(_)) => return Err(PrepareError::Unread),
        Err(_) => {
            let reason = "its header cannot be read as far as its identity goes";
            return Err(PrepareError::Withheld(reason.to_owned()));
        }
    };
    same_patient(instance, &found)?;
    Ok(with_rows(instance, found))
}

/// With what the rows say of the patient of the study.
fn with_rows(instance: &Unprotected, found: Identifiers) -> Identifiers {
    let numbers = [instance.accession.reveal(), instance.bound_id.reveal()];
    found.also(instance.patient_name.reveal(), numbers)
}

/// Whether the UID of the study may be said to the gateway although this object stays; none when nobody can tell. Blocks.
pub(super) fn study_may_be_named(protector: &Protector, instance: &Unprotected) -> Option<bool> {
    // where UIDs are replaced it is heard of under another
    if instance.replaces_uids || instance.accepts_uids() {
        return Some(true);
    }
    let (received, syntax) = received(protector, &instance.source).ok()?;
    let found = identifiers(&mut received.reader(&protector.spool), &syntax).ok()?;
    let mut found = with_rows(instance, found);
    if options(instance).modified_dates {
        if found.has_more_dates() {
            return None;
        }
        found = found.with_dates();
    }
    Some(!found.in_uid(instance.study.as_str()))
}

/// What the agreement and the site both allow beyond the profile, and what a person has released.
fn options(instance: &Unprotected) -> Options {
    let allowed = |word: &str| instance.options.iter().any(|it| it == word);
    Options {
        retain_device: allowed("device"),
        retain_institution: allowed("institution"),
        encapsulated_documents: allowed("documents"),
        uids: if instance.replaces_uids {
            UidRule::Replace
        } else if instance.accepts_uids() {
            UidRule::Accept
        } else {
            UidRule::Withhold
        },
        headshots: allowed("headshots"),
        // what was drawn later goes before what was released without
        released: instance.released && instance.mask.is_none(),
        drawn: instance.mask.is_some(),
        modified_dates: instance.shifts_dates || instance.date_shift.is_some(),
        ..Options::default()
    }
}

/// Puts the form together, with the sealed originals in it: those of its study, and its own.
pub(super) fn form(
    protector: &Protector,
    draft: Draft,
    study: &[u8],
    own: &[u8],
) -> (Form, TransferSyntaxUid) {
    let Draft {
        received,
        plan,
        pixels,
        ..
    } = draft;
    let (encoding, _) = Encoding::of(&plan.syntax);
    let mut stretches = Vec::with_capacity(plan.pieces.len() + 1);
    let sealed = seal::element(&[study, own], encoding);
    let mut sealed = Some(Stretch::Made(Bytes::from(sealed)));
    for (index, piece) in plan.pieces.into_iter().enumerate() {
        if index == plan.seal_at {
            stretches.extend(sealed.take());
        }
        stretches.push(piece.into());
    }
    stretches.extend(sealed);
    (
        Form::new(&protector.spool, received, pixels, stretches),
        plan.syntax,
    )
}

/// The bytes as received, inflated when they came deflated, and the syntax in which they are read.
pub(super) fn received(
    protector: &Protector,
    kept: &Kept,
) -> Result<(Received, TransferSyntaxUid), PrepareError> {
    let (_, deflated) = Encoding::of(&kept.syntax);
    if !deflated {
        return Ok((Received::Kept(kept.clone()), kept.syntax.clone()));
    }
    let unread = |error| PrepareError::of_reading(&error);
    let mut checked = protector.spool.checked(kept).map_err(unread)?;
    let mut inflated = Vec::new();
    let read = DeflateDecoder::new(&mut checked)
        .take(INFLATED_MAX_BYTES + 1)
        .read_to_end(&mut inflated);
    checked.end().map_err(unread)?;
    if read.as_ref().is_err_and(|error| !is_content(error)) {
        return Err(PrepareError::Unread);
    }
    if read.is_err() || inflated.len() as u64 > INFLATED_MAX_BYTES {
        let reason = "it is deflated, and damaged or too large to be inflated here";
        return Err(PrepareError::Withheld(reason.to_owned()));
    }
    let Ok(syntax) = EXPLICIT_LITTLE.parse() else {
        return Err(PrepareError::Withheld("it cannot be inflated".to_owned()));
    };
    Ok((Received::Inflated(inflated.into()), syntax))
}

/// Whether reading failed for what the bytes are, and not for the disk.
fn is_content(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

/// The first object binds a study to one patient.
fn same_patient(instance: &Unprotected, found: &Identifiers) -> Result<(), PrepareError> {
    let same = found.patient_id.reveal().trim() == instance.bound_id.reveal().trim();
    let issuer = found.issuer.reveal().trim() == instance.bound_issuer.reveal().trim();
    if same && issuer {
        Ok(())
    } else {
        Err(PrepareError::OtherPatient)
    }
}

/// What stands for the patient: kept with the study since its first object, so that no change of keys parts its objects. Without an
/// established identity every study has a pseudonym of its own (P2).
fn pseudonym(protector: &Protector, instance: &Unprotected) -> Result<String, KeysError> {
    if let Some(kept) = &instance.pseudonym {
        return Ok(kept.clone());
    }
    let (keys, id) = (&protector.keys, instance.bound_id.reveal());
    let made = if protector.spool.is_established(id) {
        keys.pseudonym(&instance.agreement, instance.bound_issuer.reveal(), id)?
    } else {
        keys.study_pseudonym(&instance.agreement, instance.study.as_str())?
    };
    Ok(made.to_string())
}

impl Protector {
    /// By how much the dates of a study are shifted: kept with it like its pseudonym. What left shifted once is never said otherwise,
    /// whatever the agreement says later.
    fn shift(&self, instance: &Unprotected) -> Result<Option<Shift>, KeysError> {
        if !instance.shifts_dates && instance.date_shift.is_none() {
            return Ok(None);
        }
        let (id, issuer) = (instance.bound_id.reveal(), instance.bound_issuer.reveal());
        let (agreement, study) = (&instance.agreement, &instance.study);
        self.shift_of(agreement, study, (issuer, id), instance.date_shift)
            .map(Some)
    }

    /// The shift of a study whose dates are shifted, of its first object's issuer and patient ID; `kept` when it was made before.
    pub(crate) fn shift_of(
        &self,
        agreement: &AgreementId,
        study: &StudyUid,
        (issuer, id): (&str, &str),
        kept: Option<u16>,
    ) -> Result<Shift, KeysError> {
        let of_patient = self.spool.is_established(id);
        let days = match kept {
            Some(kept) => kept,
            None if of_patient => self.keys.date_shift(agreement, issuer, id)?,
            None => self.keys.study_date_shift(agreement, study.as_str())?,
        };
        Ok(Shift { days, of_patient })
    }
}

/// The profile that decides now.
pub(super) const DECIDES: u32 = PROFILE;
