//! P2 as a table that is printed: which IDs make two patients one, and which make nobody known.

use super::worker::{leaving, protector, pseudonymous, received, sent};
use dicom_core::Tag;

/// One row per ID that two studies bear: whether the site calls an identity established, and how many pseudonyms leave.
#[tokio::test]
async fn two_patients_with_one_placeholder_share_no_pseudonym() {
    let cases = [
        ("", false),
        ("0", false),
        ("000000", false),
        ("99999", false),
        ("UNKNOWN", false),
        ("un known", false),
        ("UNK-17", false),
        ("EMERGENCY 3", false),
        ("Trauma^7", false),
        ("TEST4711", false),
        ("HOSP884213", true),
        ("0099812", true),
        ("9990", true),
    ];
    let instances = ["1.2.1.1", "1.2.2.1"];
    for (id, established) in cases {
        let bench = pseudonymous().await;
        bench.greet(1, 0).await;
        received(&bench, "1.2.1", instances[0], id).await;
        received(&bench, "1.2.2", instances[1], id).await;
        let protector = protector(&bench).await;
        let mut pseudonyms = Vec::new();
        for out in leaving(&bench).await {
            let dataset = sent(&protector, &out).await;
            pseudonyms.push(dataset.code(Tag(0x0010, 0x0020)));
        }
        assert_eq!(pseudonyms.len(), 2, "{id}");
        let open = bench.spool.studies_to_open().await.unwrap();
        let said = open.iter().filter(|it| it.open.identity.is_some()).count();
        let shared = pseudonyms[0] == pseudonyms[1];
        println!(
            "{:<14} identity {:<15} {}",
            format!("\"{id}\""),
            if said == 0 {
                "established"
            } else {
                "not established"
            },
            if shared {
                "one pseudonym: priors meet"
            } else {
                "two pseudonyms: no priors"
            },
        );
        assert_eq!(shared, established, "{id}");
        assert_eq!(said, if established { 0 } else { 2 }, "{id}");
    }
}
