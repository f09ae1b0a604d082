//! Answers to reports that are lost: the PACS keeps each report that it is sent and hangs up before it has said so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;
use causeway_proto::digest::Digest;

use crate::hospital::Hospital;
use crate::pacs::Behaviour;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Reports whose signing was answered with success.
    pub signed: u64,
    /// Answers of the PACS that were lost.
    pub unanswered: u64,
    /// C-STOREs of reports that the PACS kept.
    pub kept: u64,
    /// Signed reports that are not in the PACS.
    pub lost: u64,
    /// Studies with more than one report in the PACS.
    pub doubled: u64,
    /// Reports that came a second time with other bytes.
    pub altered: u64,
}

impl Found {
    /// One report each, and each of their answers was lost; a PACS that `finds` is not sent what it has.
    #[must_use]
    pub fn holds(&self, finds: bool) -> bool {
        let each = self.signed > 0 && self.unanswered == self.signed;
        let kept = self.signed * if finds { 1 } else { 2 };
        each && self.kept == kept && self.lost + self.doubled + self.altered == 0
    }
}

const LIMIT: Duration = Duration::from_secs(300);

/// So many reports, of each of which the first answer is lost. A PACS that `finds` can be asked whether it has one, another cannot.
///
/// # Errors
/// When a report is not delivered in the end.
pub async fn run(count: u32, finds: bool) -> anyhow::Result<Found> {
    let behaviour = Behaviour {
        unanswered: 1,
        finds,
        ..Behaviour::default()
    };
    let hospital = Hospital::pseudonymous(behaviour).await?;
    let (mut found, mut signed) = (Found::default(), Vec::new());
    for number in 1..=count {
        let mut study = hospital.study(number);
        // each of another patient: one of five hundred studies at a time is no load of a hospital's
        study.patient_id = format!("PHANTOM-{number}");
        hospital.send(&study, 0..1, "CAUSEWAY").await?;
        signed.push(study.study());
    }
    let mut cases = Vec::new();
    for study in &signed {
        cases.push(hospital.read_and_sign(study).await?.case);
        found.signed += 1;
    }
    for case in cases {
        let delivered = hospital.reader.wait_delivery(&case, "delivered", LIMIT);
        delivered.await.with_context(|| hospital.logs())?;
    }
    let mut kept: BTreeMap<String, BTreeSet<Digest>> = BTreeMap::new();
    for arrival in hospital.pacs.arrivals() {
        found.kept += 1;
        kept.entry(arrival.instance)
            .or_default()
            .insert(arrival.digest);
    }
    let reports = hospital.reports_by_study();
    found.unanswered = hospital.pacs.unanswered();
    found.lost = count_of(signed.iter(), |study| !reports.contains_key(*study));
    found.doubled = count_of(reports.values(), |count| **count > 1);
    found.altered = count_of(kept.values(), |bytes| bytes.len() > 1);
    hospital.close().await?;
    Ok(found)
}

fn count_of<T>(all: impl Iterator<Item = T>, which: impl Fn(&T) -> bool) -> u64 {
    all.filter(which).count() as u64
}
