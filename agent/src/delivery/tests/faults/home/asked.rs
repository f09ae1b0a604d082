//! What the PACS says, and what the site itself knows.

use super::*;

/// What the PACS says of the harmed study.
pub(super) async fn answers(table: &mut Table) {
    let mut garbage = says(HARMED, "PID-1", "");
    garbage.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 999");
    let name = Value::Bytes(b"M\xFC\xFFller^\x81".to_vec());
    garbage.put(tags::PATIENT_NAME, VR::PN, name);
    let found = Asked::Found;
    for (name, answer) in [
        (
            "home: the PACS refuses the question",
            Asked::Refused(0xC000),
        ),
        (
            "home: the PACS cannot be reached",
            Asked::Failed("no connection".to_owned()),
        ),
        ("home: the PACS takes no questions", Asked::NotOffered),
        ("home: nobody is configured to be asked", Asked::Nobody),
        ("home: the PACS does not know the study", found(vec![])),
        (
            "home: the PACS answers about another study",
            found(vec![says(NEIGHBOUR, "PID-4", "")]),
        ),
        (
            "home: the PACS says another patient",
            found(vec![says(HARMED, "PID-4", "")]),
        ),
        (
            "home: the PACS says several patients",
            found(vec![says(HARMED, "PID-1", ""), says(HARMED, "PID-4", "")]),
        ),
        (
            "home: the PACS says no patient",
            found(vec![says(HARMED, "", "")]),
        ),
        (
            "home: the PACS answers in no character set",
            found(vec![garbage]),
        ),
    ] {
        let site = Site::with_reports(TAKES, None).await;
        point(table, name, &site, &asking(answer), false).await;
    }
    let site = Site::with_reports(TAKES, None).await;
    sql(
        &site.bench,
        "UPDATE study SET patient_issuer = 'SOUTH' WHERE study_uid = '1.2.3'",
    )
    .await;
    let north = asking(Asked::Found(vec![says(HARMED, "PID-1", "NORTH")]));
    point(
        table,
        "home: the same ID of another issuer",
        &site,
        &north,
        false,
    )
    .await;
    silent(table).await;
}

/// A question that never gets an answer, under the workers as they run.
async fn silent(table: &mut Table) {
    let site = Site::with_reports(TAKES, None).await;
    let mut restoring = right();
    restoring.find = Find::new(|study| match study.as_str() {
        HARMED => Box::pin(std::future::pending()),
        _ => Box::pin(async { Asked::Found(vec![says(NEIGHBOUR, "PID-4", "")]) }),
    });
    let cancel = CancellationToken::new();
    let running = site.deliveries.run(
        site.archive.store(),
        restoring,
        fonts().clone(),
        cancel.clone(),
    );
    let passes = async {
        while site.archive.studies().is_empty() {
            drop(tokio::time::timeout(Duration::from_millis(50), site.deliveries.changed()).await);
        }
        cancel.cancel();
    };
    let both = async { tokio::join!(running, passes) };
    let ended = tokio::time::timeout(Duration::from_secs(30), both).await;
    assert!(ended.is_ok(), "the other waits for a question of the first");
    assert_eq!(site.archive.studies(), [NEIGHBOUR]);
    table.add("home: the PACS never answers", site.standing().await);
}

/// Points at which nobody else is asked: the sealed set that the report carries, what happens to the mapping, whether it is filed.
const KNOWN: [(&str, &str, &str, bool); 9] = [
    ("home: the sealed set is missing", "none", "", true),
    ("home: the mapping is missing", "own", GONE, true),
    (
        "home: mapping and sealed set are missing",
        "none",
        GONE,
        false,
    ),
    (
        "home: the sealed set is damaged, no mapping",
        "rubbish",
        GONE,
        false,
    ),
    (
        "home: the sealed set is another study's, no mapping",
        "exchanged",
        GONE,
        false,
    ),
    (
        "home: the sealed set is another hospital's, no mapping",
        "foreign",
        GONE,
        false,
    ),
    (
        "home: what was received cannot be decoded",
        "none",
        "UPDATE study SET patient_name = 'M' || char(65533) WHERE study_uid = '1.2.3'",
        false,
    ),
    (
        "home: nobody's identity was established",
        "none",
        "UPDATE study SET patient_id = 'UNKNOWN' WHERE study_uid = '1.2.3'",
        false,
    ),
    (
        "home: received without a patient ID",
        "none",
        "UPDATE study SET patient_id = '' WHERE study_uid = '1.2.3'",
        false,
    ),
];

const GONE: &str = "UPDATE study SET study_uid = '1.2.99' WHERE study_uid = '1.2.3'";

fn sealed(keys: &Keys, study: &str, id: &str) -> Option<Vec<u8>> {
    let mut plain = Dataset::new();
    let of = says(study, id, "");
    plain.put_items(tags::MODIFIED_ATTRIBUTES_SEQUENCE, vec![of]);
    let agreement = "a1".parse().unwrap();
    keys.seal_study(&agreement, study, &plain.write()).ok()
}

/// What the site itself knows, where nobody else is asked.
pub(super) async fn knowledge(table: &mut Table) {
    let elsewhere = tempfile::tempdir().unwrap();
    for (name, which, change, files) in KNOWN {
        let mut site = Site::new(TAKES).await;
        let keys = site.bench.spool.keys().clone();
        let set = match which {
            "own" => sealed(&keys, HARMED, "PID-1"),
            "exchanged" => sealed(&keys, NEIGHBOUR, "PID-4"),
            "foreign" => {
                let folder = elsewhere.path().join("keys");
                let other = Keys::open(&folder, seeded(77), site.bench.clock()).unwrap();
                sealed(&other, HARMED, "PID-4")
            }
            "rubbish" => Some(b"rubbish".to_vec()),
            _ => None,
        };
        for (report, bytes) in [nameless(HARMED, set.as_deref()), nameless(NEIGHBOUR, None)] {
            site.deliveries.accept(&report, bytes).await.unwrap();
        }
        if !change.is_empty() {
            sql(&site.bench, change).await;
        }
        site = site.restart().await;
        let mut restoring = asking(Asked::Nobody);
        restoring.find = Find::nobody();
        restoring.config.truth = Truth::Original;
        restoring.unseal = Unseal::new(move |agreement, study, sealed| {
            keys.open_study(agreement, study.as_str(), sealed).ok()
        });
        point(table, name, &site, &restoring, files).await;
    }
}
