//! What independent tools say about a signed report, and about the same report after it was tampered with.

use std::path::Path;

use causeway_tests::tools::{Said, run, validate_sr};

/// A signed report passes `dcmsign`, `dsrdump`, `dciodvfy` and PixelMed; each change of what it says breaks its signature.
pub(crate) async fn all_accept(report: &Path, ca: &Path, folder: &Path) -> anyhow::Result<()> {
    let (file, ca) = (report.display().to_string(), ca.display().to_string());
    let verified = run("dcmsign", &["-v", "--verify", "+rs", "+cf", &ca, &file]).await?;
    assert_eq!(verified.code, Some(0), "{}", verified.text);
    assert!(
        verified
            .text
            .contains("1 signatures verified in dataset, 0 corrupted"),
        "{}",
        verified.text
    );

    let dump = run("dsrdump", &["+Pl", &file]).await?;
    assert_eq!(dump.code, Some(0), "{}", dump.text);
    assert!(dump.text.contains("haemorrhage"), "{}", dump.text);

    let iod = run("dciodvfy", &[&file]).await?;
    let errors: Vec<&str> = iod
        .text
        .lines()
        .filter(|line| line.starts_with("Error"))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");

    let template = validate_sr(report).await?;
    println!("DicomSRValidator:\n{}", template.text);
    assert!(
        template.text.contains("Root Template Validation Complete"),
        "{}",
        template.text
    );
    assert!(!template.text.contains("Error"), "{}", template.text);
    tampering_shows(report, &ca, folder).await?;
    restoration_does_not(report, &ca, folder).await
}

/// The gateway's own document, under a pseudonym: its signature holds, and each change of what it says breaks it.
pub(crate) async fn signature_holds(report: &Path, ca: &Path, folder: &Path) -> anyhow::Result<()> {
    let (file, ca) = (report.display().to_string(), ca.display().to_string());
    let verified = run("dcmsign", &["-v", "--verify", "+rs", "+cf", &ca, &file]).await?;
    assert_eq!(verified.code, Some(0), "{}", verified.text);
    tampering_shows(report, &ca, folder).await
}

/// Each change of what was signed breaks the signature.
async fn tampering_shows(report: &Path, ca: &str, folder: &Path) -> anyhow::Result<()> {
    for (what, change) in [
        (
            "a content item",
            "(0040,a730)[7].(0040,a730)[0].(0040,a160)=No bleed.",
        ),
        ("the Preliminary Flag", "(0040,a496)=PRELIMINARY"),
        ("the Study UID", "(0020,000d)=1.2.3.4"),
    ] {
        let verdict = verdict_after(change, report, ca, folder).await?;
        assert_ne!(
            verdict.code,
            Some(0),
            "changing {what} did not break the signature: {}",
            verdict.text
        );
        println!("changing {what}: dcmsign ends with {:?}", verdict.code);
    }
    Ok(())
}

/// What a hospital puts back into the header leaves it whole.
async fn restoration_does_not(report: &Path, ca: &str, folder: &Path) -> anyhow::Result<()> {
    for change in [
        "(0010,0010)=Restored^Name",
        "(0010,0020)=MRN-1",
        "(0008,0050)=ACC-9",
    ] {
        let verdict = verdict_after(change, report, ca, folder).await?;
        assert_eq!(
            verdict.code,
            Some(0),
            "{change} broke the signature: {}",
            verdict.text
        );
    }
    Ok(())
}

async fn verdict_after(
    change: &str,
    report: &Path,
    ca: &str,
    folder: &Path,
) -> anyhow::Result<Said> {
    let changed = folder.join("changed.dcm").display().to_string();
    std::fs::copy(report, &changed)?;
    let modified = run("dcmodify", &["-nb", "-m", change, &changed]).await?;
    assert_eq!(modified.code, Some(0), "{change}: {}", modified.text);
    run("dcmsign", &["-v", "--verify", "+rs", "+cf", ca, &changed]).await
}
