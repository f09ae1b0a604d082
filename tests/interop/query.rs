//! The question for a report's patient (P3), asked of Orthanc: how it spells the patient, and what it does not know.

use causeway_agent::delivery::{Destination, PageImage};
use causeway_agent::dicom::query;
use causeway_agent::restore::{Asked, Config, Home, Ours, Verdict, decide};
use causeway_tests::shared;
use causeway_tests::tools::Orthanc;
use dicom_dictionary_std::tags;

#[tokio::test]
async fn orthanc_says_whose_a_study_is_readably_whatever_was_stored() -> anyhow::Result<()> {
    let Some(files) = shared::dicom("charsets") else {
        return Ok(());
    };
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let folder = tempfile::tempdir()?;
    let orthanc = Orthanc::start(folder.path()).await?;
    // it answers those only whom it knows
    orthanc
        .add_modality("causeway", "CAUSEWAY", "127.0.0.1:104")
        .await?;
    let peer = Destination {
        name: "orthanc".to_owned(),
        ae_title: Orthanc::AE_TITLE.parse()?,
        address: orthanc.dicom().to_owned(),
        calling_ae_title: "CAUSEWAY".parse()?,
        page_image: PageImage::Never,
    };
    let mut asked = 0;
    for file in shared::files(&files) {
        let Ok(object) = dicom_object::OpenFileOptions::new()
            .read_until(tags::PIXEL_DATA)
            .open_file(&file)
        else {
            continue;
        };
        let text = |tag| -> Option<String> {
            let value = object.element(tag).ok()?.to_str().ok()?;
            Some(value.trim_matches([' ', '\0']).to_owned())
        };
        let (Some(uid), Some(id)) = (text(tags::STUDY_INSTANCE_UID), text(tags::PATIENT_ID)) else {
            continue;
        };
        if orthanc.put(&file).await.is_err() {
            continue;
        }
        let study = uid.parse()?;
        let answer = query::study(&peer, &study).await;
        assert!(
            matches!(&answer, Asked::Found(found) if found.len() == 1),
            "{}: {answer:?}",
            file.display()
        );
        let ours = Ours {
            received: Some(Home {
                id: id.as_str().into(),
                ..Home::default()
            }),
            ..Ours::default()
        };
        match decide(&Config::default(), &study, &answer, &ours, 0) {
            Verdict::Restore(home, "pacs") => assert_eq!(home.id.reveal(), id),
            other => panic!("{}: {other:?}", file.display()),
        }
        asked += 1;
    }
    println!("{asked} studies asked for");
    assert!(asked > 10, "only {asked} studies were asked for");
    let unknown = query::study(&peer, &"1.2.826.0.1.3680043.9.99.1".parse()?).await;
    assert_eq!(unknown, Asked::Found(vec![]));
    orthanc.stop().await
}
