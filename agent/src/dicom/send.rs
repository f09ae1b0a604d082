//! Sends to the hospital: C-STORE of bytes as they are, C-ECHO, and an offer of contexts to learn what a PACS takes.

use std::time::Duration;

use causeway_proto::ids::{SopClassUid, TransferSyntaxUid};
use thiserror::Error;

use super::dial::{Dialled, Offer};
use super::negotiate::VERIFICATION;
use super::wire::Stop;
use crate::delivery::{Destination, Parcel, SendOutcome};

/// Why a peer could not be asked.
#[derive(Debug, Error)]
pub enum SendError {
    /// The name does not resolve.
    #[error("{0} cannot be resolved")]
    Address(String, #[source] std::io::Error),
    /// No connection.
    #[error("{0} does not accept a connection")]
    Connect(String, #[source] std::io::Error),
    /// No answer in time.
    #[error("no answer within {0} s")]
    TimedOut(u64),
    /// A-ASSOCIATE-RJ.
    #[error("the association was refused: {0}")]
    Rejected(String),
    /// A-ABORT.
    #[error("the association was aborted by the peer")]
    Aborted,
    /// The peer does not accept Verification.
    #[error("the peer does not take C-ECHO")]
    NoVerification,
    /// C-ECHO was answered with a failure.
    #[error("C-ECHO was answered with status {0:04X}")]
    Status(u16),
    /// The connection ended or the peer broke the protocol.
    #[error("the exchange failed: {0}")]
    Broken(String),
}

impl From<Stop> for SendError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Aborted => Self::Aborted,
            other => Self::Broken(other.to_string()),
        }
    }
}

/// One class in one syntax as [`offer`] proposes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// What people call it.
    pub name: &'static str,
    /// Abstract syntax.
    pub class: &'static str,
}

/// The forms in which a report can be delivered, best first (P8).
pub const REPORT_FORMS: [Form; 5] = [
    Form {
        name: "Enhanced SR",
        class: "1.2.840.10008.5.1.4.1.1.88.22",
    },
    Form {
        name: "Basic Text SR",
        class: "1.2.840.10008.5.1.4.1.1.88.11",
    },
    Form {
        name: "Comprehensive SR",
        class: "1.2.840.10008.5.1.4.1.1.88.33",
    },
    Form {
        name: "Secondary Capture",
        class: "1.2.840.10008.5.1.4.1.1.7",
    },
    Form {
        name: "Encapsulated PDF",
        class: "1.2.840.10008.5.1.4.1.1.104.1",
    },
];

/// Stores one object over an association of its own.
pub async fn store(destination: &Destination, parcel: &Parcel) -> SendOutcome {
    let mut line = match Line::open(destination, &parcel.class, &parcel.syntax).await {
        Ok(Some(line)) => line,
        Ok(None) => return SendOutcome::NotNegotiated,
        Err(error) => return SendOutcome::Failed(sentence(&error)),
    };
    let outcome = line.store(parcel).await;
    line.close().await;
    outcome
}

/// An association that stays open for several objects of one class and syntax.
#[derive(Debug)]
pub struct Line {
    dialled: Dialled,
    context: u8,
}

impl Line {
    /// Opens an association that offers one class in one syntax; none when the peer does not take it.
    ///
    /// # Errors
    /// [`SendError`] when there is no association.
    pub async fn open(
        destination: &Destination,
        class: &SopClassUid,
        syntax: &TransferSyntaxUid,
    ) -> Result<Option<Self>, SendError> {
        let offer = Offer::new(class.as_str(), [syntax.as_str()]);
        let dialled = Dialled::open(destination, &[offer]).await?;
        match dialled.accepted(class.as_str(), syntax.as_str()) {
            Some(context) => Ok(Some(Self { dialled, context })),
            None => {
                dialled.release().await;
                Ok(None)
            }
        }
    }

    /// Stores one object of the class and syntax for which the line was opened.
    pub async fn store(&mut self, parcel: &Parcel) -> SendOutcome {
        match self.dialled.store(self.context, parcel).await {
            Ok(Ok((status, _))) if is_stored(status) => SendOutcome::Stored(status),
            Ok(Ok((status, _comment))) => {
                // The comment is the PACS's own text and may name the patient, so it is not logged.
                tracing::info!(
                    status = format!("{status:04X}"),
                    "a destination refused an object"
                );
                SendOutcome::Refused(status)
            }
            Ok(Err(error)) => SendOutcome::Unanswered(sentence(&error)),
            Err(error) => SendOutcome::Failed(sentence(&error)),
        }
    }

    /// Releases the association.
    pub async fn close(self) {
        self.dialled.release().await;
    }
}

/// Success and warnings (PS3.7 C, PS3.4 B.2.3).
fn is_stored(status: u16) -> bool {
    matches!(status, 0x0000 | 0x0107 | 0x0116 | 0xB000..=0xBFFF)
}

/// Asks the peer whether it is there (PS3.4 A).
///
/// # Errors
/// [`SendError`] when it is not, or does not say so; the time from the request to the answer otherwise.
pub async fn echo(destination: &Destination) -> Result<Duration, SendError> {
    let offer = Offer::new(
        VERIFICATION,
        [dicom_dictionary_std::uids::IMPLICIT_VR_LITTLE_ENDIAN],
    );
    let mut dialled = Dialled::open(destination, &[offer]).await?;
    let Some(context) = dialled.accepted(
        VERIFICATION,
        dicom_dictionary_std::uids::IMPLICIT_VR_LITTLE_ENDIAN,
    ) else {
        dialled.release().await;
        return Err(SendError::NoVerification);
    };
    let began = tokio::time::Instant::now();
    let status = dialled.echo(context).await;
    let took = began.elapsed();
    dialled.release().await;
    match status? {
        0x0000 => Ok(took),
        status => Err(SendError::Status(status)),
    }
}

/// Offers a context for each form in both little endian syntaxes and tells which the peer takes, in the order of `forms`.
///
/// # Errors
/// [`SendError`] when there is no association.
pub async fn offer(
    destination: &Destination,
    forms: &[Form],
) -> Result<Vec<(Form, bool)>, SendError> {
    use dicom_dictionary_std::uids::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};
    let syntaxes = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN];
    let offers: Vec<Offer> = forms
        .iter()
        .flat_map(|form| syntaxes.map(|syntax| Offer::new(form.class, [syntax])))
        .collect();
    let dialled = Dialled::open(destination, &offers).await?;
    let taken = forms
        .iter()
        .map(|form| {
            let explicit = dialled.accepted(form.class, EXPLICIT_VR_LITTLE_ENDIAN);
            (form.clone(), explicit.is_some())
        })
        .collect();
    dialled.release().await;
    Ok(taken)
}

/// An error with its causes in one sentence.
pub(super) fn sentence(error: &SendError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
