//! C-STORE as a provider (PS3.4 B.2): bytes to the spool as they come, a bounded look at them, durable, and only then success.

use std::io::BufReader;
use std::net::IpAddr;

use causeway_proto::ids::{SopClassUid, SopInstanceUid, TransferSyntaxUid};
use causeway_proto::prescan::{self, Limits, Remark, Scan};

use super::command::Command;
use super::negotiate::{Agreed, Use};
use super::pull::Puller;
use super::status::{
    CANNOT_UNDERSTAND, CLASS_NOT_SUPPORTED, DOES_NOT_MATCH, MISTYPED_ARGUMENT, Refusal,
};
use super::wire::{Fault, Stop};
use crate::spool::{Arrival, AssociationId, Header, Private, Spool, StoreError, Turn, Writer};

/// How much of a data set that was refused for its size is still read, so that the sender can be told.
const SURPLUS_BYTES: u64 = 64 << 20;
/// How much of any other data set that will not be kept is read before the association is aborted.
const UNWANTED_BYTES: u64 = 8 << 30;
/// Buffer of the reader that looks at what was received.
const LOOK_BYTES: usize = 64 * 1024;

/// What one association's C-STOREs share.
#[derive(Debug)]
pub(super) struct Store<'a> {
    pub(super) spool: &'a Spool,
    pub(super) agreed: &'a Agreed,
    pub(super) association: AssociationId,
    pub(super) address: IpAddr,
}

/// The identifiers of a request, parsed.
#[derive(Debug)]
struct Named {
    class: SopClassUid,
    instance: SopInstanceUid,
    syntax: TransferSyntaxUid,
}

impl Store<'_> {
    /// Takes the data set that follows `command` and says how to answer, and what there is to remark.
    ///
    /// # Errors
    /// [`Stop`] when the association ends before an answer can be given; nothing of the instance is then kept.
    pub(super) async fn take(
        &self,
        puller: &mut Puller,
        context: u8,
        command: &Command,
    ) -> Result<Result<Vec<Remark>, Refusal>, Stop> {
        if !command.data_set {
            let refusal = Refusal::new(MISTYPED_ARGUMENT, "C-STORE without a data set");
            return Ok(Err(refusal));
        }
        let begun = match self.judge(context, command) {
            Ok(named) => self.begin(&named).await.map(|writer| (named, writer)),
            Err(refusal) => Err(refusal),
        };
        let (named, writer) = match begun {
            Ok(begun) => begun,
            Err(refusal) => {
                drain(puller, context, UNWANTED_BYTES).await?;
                return Ok(Err(refusal));
            }
        };
        match receive(puller, context, writer).await? {
            Ok(writer) => Ok(self.keep(&named, writer).await),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// What the command alone tells.
    fn judge(&self, context: u8, command: &Command) -> Result<Named, Refusal> {
        let not_negotiated = "the SOP class was not negotiated in this context";
        let Some(Use::Storage(class, syntax)) = self.agreed.context(context) else {
            return Err(Refusal::new(CLASS_NOT_SUPPORTED, not_negotiated));
        };
        if command.class.is_empty() || command.instance.is_empty() {
            let comment = "the command lacks a SOP class or instance UID";
            return Err(Refusal::new(MISTYPED_ARGUMENT, comment));
        }
        let Ok(named) = command.class.parse::<SopClassUid>() else {
            return Err(illegal("SOP class UID"));
        };
        let Ok(instance) = command.instance.parse::<SopInstanceUid>() else {
            return Err(illegal("SOP instance UID"));
        };
        if named != *class {
            return Err(Refusal::new(CLASS_NOT_SUPPORTED, not_negotiated));
        }
        Ok(Named {
            class: named,
            instance,
            syntax: syntax.clone(),
        })
    }

    async fn begin(&self, named: &Named) -> Result<Writer, Refusal> {
        let called = &self.agreed.called;
        let arrival = Arrival {
            association: self.association,
            class: named.class.clone(),
            instance: named.instance.clone(),
            syntax: named.syntax.clone(),
            calling: self.agreed.calling.clone(),
            called: called.ae_title.clone(),
            address: self.address,
            purpose: called.purpose,
            priority: called.priority,
            agreement: called.agreement.clone(),
        };
        self.spool
            .begin(arrival)
            .await
            .map_err(|error| refused(&error))
    }

    /// Looks at what was received under bounds, and makes it durable.
    async fn keep(&self, named: &Named, mut writer: Writer) -> Result<Vec<Remark>, Refusal> {
        let mut scan = look(&mut writer, named.syntax.clone()).await?;
        let remarks = std::mem::take(&mut scan.remarks);
        let header = check(named, scan)?;
        match self.spool.receive(writer, header).await {
            Ok(()) => Ok(remarks),
            Err(error) => Err(refused(&error)),
        }
    }
}

/// Logged here because the cause goes no further: the sender hears only the comment.
fn refused(error: &StoreError) -> Refusal {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "an instance could not be kept"
    );
    Refusal::from(error)
}

fn illegal(what: &str) -> Refusal {
    Refusal::new(
        CANNOT_UNDERSTAND,
        &format!("the {what} of the command is not legal"),
    )
}

/// Streams the data set into the writer. When the spool refuses it half-way, the rest is read and dropped within bounds.
async fn receive(
    puller: &mut Puller,
    context: u8,
    mut writer: Writer,
) -> Result<Result<Writer, Refusal>, Stop> {
    loop {
        let piece = puller.piece(false).await?;
        expect_data(piece.command, piece.context, context)?;
        let last = piece.last;
        if let Err(error) = writer.append(piece.bytes).await {
            let refusal = refused(&error);
            if !last {
                let bound = match error {
                    StoreError::TooLarge(_) => SURPLUS_BYTES,
                    _ => UNWANTED_BYTES,
                };
                drain(puller, context, bound).await?;
            }
            return Ok(Err(refusal));
        }
        if last {
            return Ok(Ok(writer));
        }
    }
}

/// Reads the rest of a data set and keeps nothing of it.
///
/// # Errors
/// [`Stop`] when the association ends, or the data set goes on beyond `bound` bytes.
pub(super) async fn drain(puller: &mut Puller, context: u8, bound: u64) -> Result<(), Stop> {
    let mut seen = 0_u64;
    loop {
        let piece = puller.piece(false).await?;
        expect_data(piece.command, piece.context, context)?;
        if piece.last {
            return Ok(());
        }
        seen = seen.saturating_add(u64::try_from(piece.bytes.len()).unwrap_or(u64::MAX));
        if seen > bound {
            return Err(Stop::Violation(
                Fault::ReasonNotSpecified,
                "a refused data set that does not end",
            ));
        }
    }
}

/// Reads a data set into memory; none when it is longer than `most`, after it has gone by.
///
/// # Errors
/// As [`drain`].
pub(super) async fn read_whole(
    puller: &mut Puller,
    context: u8,
    most: usize,
) -> Result<Option<Vec<u8>>, Stop> {
    let mut whole = Vec::new();
    loop {
        let piece = puller.piece(false).await?;
        expect_data(piece.command, piece.context, context)?;
        let (fits, last) = (whole.len() + piece.bytes.len() <= most, piece.last);
        if fits {
            whole.extend_from_slice(piece.bytes);
        }
        match (fits, last) {
            (true, true) => return Ok(Some(whole)),
            (true, false) => {}
            (false, true) => return Ok(None),
            (false, false) => {
                drain(puller, context, SURPLUS_BYTES).await?;
                return Ok(None);
            }
        }
    }
}

/// As [`drain`], with the bound for data sets that nobody asked for.
pub(super) async fn drain_unwanted(puller: &mut Puller, context: u8) -> Result<(), Stop> {
    drain(puller, context, UNWANTED_BYTES).await
}

fn expect_data(command: bool, of: u8, context: u8) -> Result<(), Stop> {
    if command {
        return Err(Stop::Violation(
            Fault::UnexpectedPdu,
            "a command where a data set must follow",
        ));
    }
    if of != context {
        return Err(Stop::Violation(
            Fault::InvalidPduParameter,
            "a data set in another context than its command",
        ));
    }
    Ok(())
}

/// The bounded look: what is in memory is looked at there, what is not on a thread where reading a file may block.
async fn look(writer: &mut Writer, syntax: TransferSyntaxUid) -> Result<Scan, Refusal> {
    let limits = Limits {
        total_bytes: Some(writer.length()),
        ..Limits::default()
    };
    if let Some(content) = writer.content() {
        return prescan::prescan(content, &syntax, &limits).map_err(|error| Refusal::from(&error));
    }
    let reader = writer.reader().await.map_err(|error| refused(&error))?;
    let looking = tokio::task::spawn_blocking(move || {
        prescan::prescan(
            BufReader::with_capacity(LOOK_BYTES, reader),
            &syntax,
            &limits,
        )
    });
    match looking.await {
        Ok(scan) => scan.map_err(|error| Refusal::from(&error)),
        Err(_) => Err(Refusal::new(
            CANNOT_UNDERSTAND,
            "the data set could not be read",
        )),
    }
}

/// Compares the data set with the command and demands what filing needs.
fn check(named: &Named, scan: Scan) -> Result<Header, Refusal> {
    let missing =
        |what: &str| Refusal::new(CANNOT_UNDERSTAND, &format!("{what} is missing or empty"));
    if let Some(at) = scan.odd_unknown {
        let comment = format!("a value of VR UN has an odd length at byte {at}");
        return Err(Refusal::new(CANNOT_UNDERSTAND, &comment));
    }
    let class = scan
        .class
        .ok_or_else(|| missing("SOP Class UID (0008,0016)"))?;
    let instance = scan
        .instance
        .ok_or_else(|| missing("SOP Instance UID (0008,0018)"))?;
    let study = scan
        .study
        .ok_or_else(|| missing("Study Instance UID (0020,000D)"))?;
    let series = scan
        .series
        .ok_or_else(|| missing("Series Instance UID (0020,000E)"))?;
    if class != named.class {
        let comment = "the SOP class of the data set is not that of the command";
        return Err(Refusal::new(DOES_NOT_MATCH, comment));
    }
    if instance != named.instance {
        let comment = "the SOP instance of the data set is not the command's";
        return Err(Refusal::new(DOES_NOT_MATCH, comment));
    }
    let image = is_image(&class, scan.pixel_data.is_some());
    Ok(Header {
        study,
        series,
        instance,
        class,
        modality: scan.modality,
        turn: Turn::of(scan.localizer, scan.number),
        image,
        pixel_digest: scan.pixel_digest,
        patient_id: Private::new(scan.patient_id.reveal()),
        issuer: Private::new(scan.issuer.reveal()),
        patient_name: Private::new(scan.patient_name.reveal()),
        accession: Private::new(scan.accession.reveal()),
        description: Private::new(scan.description.reveal()),
    })
}

/// Families of standard classes that are not images to be read (PS3.4 B.5): waveforms, presentation states, raw data,
/// registrations, segmentations and maps, reports and key objects, documents, procedure records, plans.
const NOT_IMAGES: [&str; 12] = [
    "1.2.840.10008.5.1.4.1.1.9.",
    "1.2.840.10008.5.1.4.1.1.11.",
    "1.2.840.10008.5.1.4.1.1.66",
    "1.2.840.10008.5.1.4.1.1.67",
    "1.2.840.10008.5.1.4.1.1.68.",
    "1.2.840.10008.5.1.4.1.1.78.",
    "1.2.840.10008.5.1.4.1.1.79.",
    "1.2.840.10008.5.1.4.1.1.88.",
    "1.2.840.10008.5.1.4.1.1.90.",
    "1.2.840.10008.5.1.4.1.1.104.",
    "1.2.840.10008.5.1.4.1.1.200.",
    "1.2.840.10008.5.1.4.1.1.201.",
];

fn is_image(class: &SopClassUid, pixels: bool) -> bool {
    let class = class.as_str();
    if !class.starts_with("1.2.840.10008.5.1.4.1.1.") {
        return pixels;
    }
    !NOT_IMAGES.iter().any(|family| class.starts_with(family))
}
