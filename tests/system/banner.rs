//! Pictures with a banner (P6): one person says once what is black on a device; what leaves is black there, and otherwise what was
//! received. Of more pictures of that device nobody is asked.

use std::time::Duration;

use causeway_tests::hospital::Hospital;
use causeway_tests::masks::{
    REMARK, actions, arrived, compared, dataset, devices, draw, fetch, says_so, storescu, waiting,
};
use causeway_tests::pacs::Behaviour;
use causeway_tests::shared;
use causeway_tests::stack::wait_until;
use dicom_core::Tag;
use serde_json::json;
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(180);

#[tokio::test]
async fn a_banner_goes_by_one_act_and_every_other_pixel_stays() -> anyhow::Result<()> {
    let Some(sample) = shared::dicom("studies/us-burned-in-fake-identity") else {
        return Ok(());
    };
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let files = shared::files(&sample);
    let study = dataset(&files[0])?.code(Tag(0x0020, 0x000D));
    storescu(&hospital, &files, &[]).await?;
    let device = waiting(&hospital, "PHILIPS MEDICAL SYSTEMS", 1).await?;
    let held = hospital.stack.agent_cli(&["held"]).await?;
    assert!(held.contains("of an unknown device"), "{held}");

    let since = Instant::now();
    draw(&hospital, &device, "0,0,1024,23", &[]).await?;
    let page = arrived(&hospital, &study, 1, LIMIT).await?;
    println!("1 act, 1 object, {:.1} s", since.elapsed().as_secs_f64());
    assert_eq!(actions(&hospital).await?, 1);
    assert_eq!(page["studies"][0]["remarks"], json!([REMARK]));
    assert!(says_so(&fetch(&hospital, &files[0], "0").await?));
    println!("{}", compared(&hospital, 23).await?);
    hospital.close().await
}

#[tokio::test]
async fn the_loops_of_one_device_need_one_person_once() -> anyhow::Result<()> {
    let Some(loops) = shared::dicom("studies/us-stress-echo-acuson") else {
        return Ok(());
    };
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let files = shared::files(&loops);
    assert_eq!(files.len(), 24);
    let study = dataset(&files[0])?.code(Tag(0x0020, 0x000D));
    storescu(&hospital, &files, &["-xy"]).await?;
    let device = waiting(&hospital, "ACUSON", 24).await?;
    let since = Instant::now();
    draw(&hospital, &device, "0,0,384,16", &["--over-scan-area"]).await?;
    let page = arrived(&hospital, &study, 24, LIMIT).await?;
    println!("1 act, 24 loops, {:.1} s", since.elapsed().as_secs_f64());
    assert_eq!(actions(&hospital).await?, 1);
    assert_eq!(page["studies"][0]["remarks"], json!([REMARK]));
    for (number, path) in files.iter().enumerate() {
        assert!(says_so(&fetch(&hospital, path, &number.to_string()).await?));
    }
    println!("{}", compared(&hospital, 16).await?);

    // more of this device, of another patient whom storescu invents: nobody is asked
    let since = Instant::now();
    let again = ["-xy", "--repeat", "25", "--invent-instance"];
    storescu(&hospital, &files[..8], &again).await?;
    let other = wait_until("another study", LIMIT, async || {
        let list = hospital.reader.get("/api/v1/worklist").await?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let uids = items
            .iter()
            .filter_map(|one| one["studies"][0]["uid"].as_str());
        Ok(uids.map(str::to_owned).find(|uid| *uid != study))
    });
    let page = arrived(&hospital, &other.await?, 200, LIMIT).await?;
    println!("0 acts, 200 loops, {:.1} s", since.elapsed().as_secs_f64());
    assert_eq!(actions(&hospital).await?, 1);
    assert_eq!(page["studies"][0]["quarantined"], json!([]));
    let met = devices(&hospital).await?;
    assert_eq!((met.len(), &met[0]["waiting"]), (1, &json!(0)));
    hospital.close().await
}
