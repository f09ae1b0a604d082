//! What a destination is offered of a report: the signed document under its patient's name, or the pages that show that document.

use causeway_proto::dataset::Dataset;
use causeway_proto::digest::{ContentHasher, Digest};
use causeway_proto::ids::{
    AgreementId, CaseCode, SopClassUid, SopInstanceUid, StudyUid, TransferSyntaxUid,
};
use dicom_dictionary_std::uids::EXPLICIT_VR_LITTLE_ENDIAN;

use super::offer::{DUPLICATE, Destination, Holds, Parcel, SendOutcome, Store};
use super::rehoming::{self, Signed};
use super::{Deliveries, DeliveryError, IMAGE, refused, withdrawn};
use crate::derive::{self, DeriveError, Fonts, Source};
use crate::restore::{self, Home};
use crate::spool::SpoolError;

/// What is to be prepared.
pub(super) struct Wanted<'a> {
    /// `sr` or `image`.
    pub(super) form: &'a str,
    /// The report's row.
    pub(super) report: i64,
    /// The case that it answers.
    pub(super) case: &'a CaseCode,
    /// Whose name it gets; none when it goes as it was signed. An error when its row cannot be read: then it goes to nobody.
    pub(super) home: &'a Result<Option<Home>, ()>,
    /// The agreement under which its study left with other UIDs than the site's, which the signed document names.
    pub(super) renamed: Option<&'a AgreementId>,
    /// The document as it was signed.
    pub(super) signed: Parcel,
}

/// What can be offered.
pub(super) enum Prepared {
    /// These, in this order.
    Parcels(Vec<Parcel>),
    /// It could not be put under its patient's name.
    NotRestored,
    /// There is no page image of it.
    NotDerived(DeriveError),
}

/// Prepares one form.
pub(super) async fn prepared(
    deliveries: &Deliveries,
    wanted: Wanted<'_>,
    fonts: &Fonts,
) -> Result<Prepared, DeliveryError> {
    // the digest by which the gateway keeps it
    let mut hasher = ContentHasher::new(&wanted.signed.syntax);
    hasher.update(&wanted.signed.dataset);
    let digest = hasher.finish();
    let signed = wanted.signed.instance.clone();
    let filed = match wanted.renamed {
        Some(agreement) => put_home(deliveries, &wanted, agreement).await?,
        None => put_back(wanted.home, wanted.signed).await?,
    };
    let Some(filed) = filed else {
        return Ok(Prepared::NotRestored);
    };
    if wanted.form != IMAGE {
        return Ok(Prepared::Parcels(vec![filed]));
    }
    match drawn(&filed, digest, wanted.case, fonts).await? {
        Ok(pages) => {
            note(deliveries, wanted.report, (&filed.study, &signed), &pages).await?;
            Ok(Prepared::Parcels(pages))
        }
        Err(error) => {
            tracing::error!(report = %filed.instance, %error, "there is no page image of a report");
            Ok(Prepared::NotDerived(error))
        }
    }
}

/// The document under the patient's name, as it is where the report has that already; none when it cannot be put back.
async fn put_back(
    home: &Result<Option<Home>, ()>,
    mut signed: Parcel,
) -> Result<Option<Parcel>, DeliveryError> {
    let home = match home {
        Ok(Some(home)) => home.clone(),
        Ok(None) => return Ok(Some(signed)),
        Err(()) => return Ok(None),
    };
    let (dataset, syntax) = (signed.dataset.clone(), signed.syntax.clone());
    // two RSA verifications are not work for the runtime's threads
    let work = tokio::task::spawn_blocking(move || restore::restored(&dataset, &syntax, &home));
    match work.await.or(Err(SpoolError::Ending))? {
        Ok((bytes, syntax)) => {
            signed.dataset = bytes.into();
            signed.syntax = syntax;
            Ok(Some(signed))
        }
        Err(error) => {
            tracing::error!(report = %signed.instance, %error, "a report was not restored");
            Ok(None)
        }
    }
}

/// The document of the site in the place of a signed one that names other UIDs; none when it cannot be made.
async fn put_home(
    deliveries: &Deliveries,
    wanted: &Wanted<'_>,
    agreement: &AgreementId,
) -> Result<Option<Parcel>, DeliveryError> {
    // without a patient it names nothing that the site knows
    let Ok(Some(home)) = wanted.home.clone() else {
        return Ok(None);
    };
    let signed = Signed {
        report: wanted.report,
        agreement,
        parcel: &wanted.signed,
        bytes: wanted.signed.dataset.clone(),
    };
    match rehoming::rehomed(deliveries, &signed, home).await? {
        Ok(rehomed) => Ok(Some(Parcel {
            instance: rehomed.instance,
            syntax: rehomed.syntax,
            dataset: rehomed.bytes.into(),
            ..wanted.signed.clone()
        })),
        Err(error) => {
            tracing::error!(report = %wanted.signed.instance, %error, "a report was not restored");
            Ok(None)
        }
    }
}

/// The pages of a document as it is filed.
async fn drawn(
    filed: &Parcel,
    digest: Digest,
    case: &CaseCode,
    fonts: &Fonts,
) -> Result<Result<Vec<Parcel>, DeriveError>, DeliveryError> {
    let (filed, case, fonts) = (filed.clone(), case.clone(), fonts.clone());
    // files are read and millions of pixels drawn
    let work = tokio::task::spawn_blocking(move || {
        let document = Dataset::read(&filed.dataset, &filed.syntax)
            .map_err(|error| DeriveError::Document(error.into()))?;
        let source = Source {
            document: &document,
            digest,
            case: &case,
        };
        let class: SopClassUid = derive::CLASS.parse().or(Err(DeriveError::Uid))?;
        let syntax: TransferSyntaxUid = EXPLICIT_VR_LITTLE_ENDIAN
            .parse()
            .or(Err(DeriveError::Uid))?;
        let pages = derive::pages(&source, &fonts)?;
        let parcels = pages.into_iter().map(|page| Parcel {
            study: filed.study.clone(),
            class: class.clone(),
            instance: page.instance,
            syntax: syntax.clone(),
            dataset: page.dataset,
        });
        Ok(parcels.collect())
    });
    Ok(work.await.or(Err(SpoolError::Ending))?)
}

/// From here on the PACS sending a page back is recognised (P5).
async fn note(
    deliveries: &Deliveries,
    report: i64,
    (study, signed): (&StudyUid, &SopInstanceUid),
    pages: &[Parcel],
) -> Result<(), DeliveryError> {
    let mut tx = deliveries.begin().await?;
    let spool = &deliveries.inner.spool;
    for page in pages {
        spool
            .own_page(&mut tx, study, signed, &page.instance)
            .await
            .map_err(refused("naming a page image"))?;
    }
    tx.commit().await.map_err(refused("naming a page image"))?;
    tracing::info!(report, pages = pages.len(), "a report was drawn");
    Ok(())
}

/// What came of an offer, and whether the destination may hold it all the same.
pub(super) struct Offer {
    pub(super) outcome: SendOutcome,
    pub(super) unknown: bool,
}

/// What is known of a report at its destination before it is offered.
#[derive(Clone, Copy)]
pub(super) struct Before {
    /// It may be there.
    pub(super) unknown: bool,
    /// Then the destination is asked.
    pub(super) asks: bool,
}

/// Of which report the parcels are, and where they go.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) deliveries: &'a Deliveries,
    /// The report's row.
    pub(super) report: i64,
    pub(super) store: &'a Store,
    pub(super) destination: &'a Destination,
}

/// It was not offered: its reader has withdrawn it meanwhile, or nobody knows whether.
struct Stopped {
    why: String,
    /// The destination has said that it has it not.
    absent: bool,
}

/// Offers each in its turn, until one is not stored or the report is withdrawn; of which it is `unknown` whether they are there, only those
/// that are not. Answers for all of them: a warning that one met is the warning of the whole.
pub(super) async fn offered(way: Way<'_>, parcels: Vec<Parcel>, before: Before) -> Offer {
    let unknown = before.unknown;
    // of several, those before the one that ends it are there
    let (mut warned, mut there, mut some) = (0, false, false);
    let alone = parcels.len() == 1;
    for parcel in parcels {
        let (outcome, absent) = match one(way, parcel, before).await {
            Ok(answered) => answered,
            Err(Stopped { why, absent }) => {
                return Offer {
                    outcome: SendOutcome::Failed(why),
                    unknown: some || (unknown && !(absent && alone)),
                };
            }
        };
        match outcome {
            SendOutcome::Stored(status) => warned = warned.max(status),
            SendOutcome::There => there = true,
            SendOutcome::Unanswered(_) => {
                return Offer {
                    outcome,
                    unknown: true,
                };
            }
            outcome => {
                let unknown = some || (unknown && !(absent && alone));
                return Offer { outcome, unknown };
            }
        }
        some = true;
    }
    let outcome = match (warned, there) {
        (0, true) => SendOutcome::There,
        (status, _) => SendOutcome::Stored(status),
    };
    Offer {
        outcome,
        unknown: false,
    }
}

/// Offers one, unless it is there. Answers also whether the destination has said that it was not.
async fn one(way: Way<'_>, parcel: Parcel, before: Before) -> Result<(SendOutcome, bool), Stopped> {
    let (store, destination) = (way.store, way.destination);
    let mut absent = false;
    if before.unknown && before.asks {
        match store.holds(destination, &parcel).await {
            Holds::Yes => return Ok((SendOutcome::There, false)),
            Holds::Unreached(sentence) => return Ok((SendOutcome::Failed(sentence), false)),
            Holds::No => absent = true,
            // the same UID again does no harm
            Holds::Unsaid => {}
        }
    }
    // much time may have passed since it was leased
    let stopped = |why: String| Err(Stopped { why, absent });
    match withdrawn::is_taken_back(way.deliveries, way.report).await {
        Ok(false) => {}
        Ok(true) => return stopped("its reader has withdrawn it".to_owned()),
        Err(error) => return stopped(error.to_string()),
    }
    let outcome = match store.store(destination, parcel.clone()).await {
        SendOutcome::Refused(DUPLICATE) => match store.holds(destination, &parcel).await {
            Holds::Yes => SendOutcome::There,
            Holds::Unsaid => SendOutcome::Stored(DUPLICATE),
            Holds::No => SendOutcome::Refused(DUPLICATE),
            Holds::Unreached(sentence) => SendOutcome::Unanswered(sentence),
        },
        outcome => outcome,
    };
    Ok((outcome, absent))
}
