//! The reports of a run: two cases, each with its versions in the order in which they are signed.

use bytes::Bytes;
use causeway_proto::ids::{CaseCode, StudyUid};
use causeway_proto::link::message::Report;
use causeway_proto::report::closing::WITHDRAWN as FIRST_WORDS;
use causeway_proto::report::model::Paragraph;
use causeway_proto::report::sr;
use causeway_proto::time::Timestamp;
use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::super::WITHDRAWN;
use super::super::tests::rehomed;
use crate::restore::sample::{as_sent, document};
use crate::spool::tests::{Bench, seeded};

/// How each case goes.
const STORY: [&str; 6] = [
    "preliminary",
    "final",
    "final",
    WITHDRAWN,
    "final",
    WITHDRAWN,
];

/// One signed report, as the gateway sends it.
#[derive(Debug)]
pub(super) struct Paper {
    pub(super) report: Report,
    /// The study that the signed document names.
    pub(super) said: StudyUid,
    pub(super) bytes: Bytes,
    pub(super) nameless: bool,
}

/// Both cases of a site. Under UIDs of its own none is filed as it was signed; else the second case is under a pseudonym.
pub(super) fn cases(bench: &Bench, renamed: bool) -> [Vec<Paper>; 2] {
    [0, 1].map(|case: u32| {
        let all = (0_u32..).zip(STORY);
        all.map(|(n, status)| {
            let uid = format!("2.25.77{case}{n}77");
            let nameless = renamed || case == 1;
            let (mut report, bytes) = if renamed {
                rehomed::signed(bench, &uid, rehomed::seen(bench), None)
            } else {
                signed(&uid, status, nameless, n == 2)
            };
            report.status = status.to_owned();
            report.case = CaseCode::draw(&seeded(100 + u64::from(case)));
            report.signed_at = Timestamp(report.signed_at.0 + i64::from(n) * 60_000_000);
            let said = if renamed {
                rehomed::said(bench, rehomed::STUDY).parse().unwrap()
            } else {
                report.study.clone()
            };
            Paper {
                report,
                said,
                bytes,
                nameless,
            }
        })
        .collect()
    })
}

/// A long one has more than one page.
fn signed(uid: &str, status: &str, nameless: bool, long: bool) -> (Report, Bytes) {
    let mut model = document("1.2.3", uid);
    if status == WITHDRAWN {
        model.notices = Paragraph::split(&format!("{FIRST_WORDS}\nWrong side."));
    }
    if long {
        model.notices = Paragraph::split(&"One line of many.\n".repeat(80));
    }
    let mut dataset = sr::encode(&model);
    if nameless {
        dataset.put_text(tags::PATIENT_NAME, VR::PN, "CWABCDEFGH2345X");
        dataset.put_text(tags::PATIENT_ID, VR::LO, "CWABCDEFGH2345X");
        dataset.put_text(tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES");
    }
    as_sent(&dataset)
}
