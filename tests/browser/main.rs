//! The reading room in a real browser: the pages when things go wrong, the packaged viewer, and one case read to its end by keyboard.

#[cfg(test)]
mod masked;
#[cfg(test)]
mod sent;
#[cfg(test)]
mod site;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Stdio;
    use std::time::Duration;

    use anyhow::{Context as _, ensure};
    use causeway_tests::hospital::Hospital;
    use causeway_tests::pacs::Behaviour;
    use causeway_tests::stack::build::root;
    use causeway_tests::stack::wait_until;
    use tokio::process::Command;

    /// A browser that draws in software on two busy cores is slow; one that hangs is slower.
    const LIMIT: Duration = Duration::from_secs(900);

    /// One browser at a time: two that draw in software share the cores, and each then waits longer than its limits.
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    /// Runs node at the project's root; what it says is shown when it fails.
    async fn node(arguments: &[&str], environment: &[(&str, String)]) -> anyhow::Result<String> {
        ensure!(
            root().join("tests/browser/node_modules").exists(),
            "the browser tests' packages are missing: npm ci in tests/browser, or make test"
        );
        let mut command = Command::new("node");
        command
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir(root())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(LIMIT, command.output()).await;
        let output = output.with_context(|| format!("node {arguments:?} took too long"))?;
        let output = output.context("node could not be run; make test installs it")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "node {arguments:?}\n{said}{complained}"
        );
        Ok(said)
    }

    /// Who the scripts sign in as, and where.
    fn reader(hospital: &Hospital) -> [(&'static str, String); 3] {
        [
            ("CAUSEWAY_URL", hospital.stack.url()),
            ("CAUSEWAY_USER", "reader".to_owned()),
            ("CAUSEWAY_PASSWORD", hospital.stack.password.clone()),
        ]
    }

    fn pictures(name: &str) -> String {
        let folder: PathBuf = root().join("target/browser").join(name);
        folder.display().to_string()
    }

    #[tokio::test]
    async fn the_pages_hold_when_things_go_wrong() -> anyhow::Result<()> {
        let _one = ONE.lock().await;
        let said = node(&["tests/browser/pages.mjs", &pictures("pages")], &[]).await?;
        ensure!(said.contains("all stories hold"), "{said}");
        Ok(())
    }

    #[tokio::test]
    async fn the_viewer_is_packaged_with_every_replacement() -> anyhow::Result<()> {
        let _one = ONE.lock().await;
        node(&["--test", "gateway/viewer/"], &[]).await.map(|_| ())
    }

    #[tokio::test]
    async fn a_case_is_read_to_its_end_by_keyboard() -> anyhow::Result<()> {
        let _one = ONE.lock().await;
        node(
            &["gateway/viewer/package.mjs", "target/viewer/ohif.tar"],
            &[],
        )
        .await?;
        let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
        let (mut study, mut prior) = (hospital.study(1), hospital.study(2));
        // an identifier that begins with TEST is nobody's, and joins no prior (P2)
        study.patient_id = "CW-4711".to_owned();
        prior.patient_id = "CW-4711".to_owned();
        hospital.send(&prior, 0..6, "CW_PRIOR").await?;
        hospital.send(&study, 20..40, "CAUSEWAY").await?;
        let said = node(
            &["tests/browser/reading.mjs", &pictures("reading")],
            &reader(&hospital),
        )
        .await?;
        println!("{said}");
        ensure!(
            hospital.reports(&study.study()).len() == 1,
            "the PACS does not hold the report"
        );
        hospital.close().await
    }

    #[tokio::test]
    async fn what_arrives_later_joins_the_images_on_the_screen() -> anyhow::Result<()> {
        let _one = ONE.lock().await;
        node(
            &["gateway/viewer/package.mjs", "target/viewer/ohif.tar"],
            &[],
        )
        .await?;
        let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
        let study = hospital.study(1);
        hospital.send(&study, 0..20, "CAUSEWAY").await?;
        let folder = pictures("arriving");
        let open = PathBuf::from(&folder).join("open");
        drop(std::fs::remove_file(&open));
        let (environment, arguments) = (reader(&hospital), ["20", "40", folder.as_str()]);
        let looking = async {
            let script = ["tests/browser/arriving.mjs"];
            node(&[&script[..], &arguments].concat(), &environment).await
        };
        let sending = async {
            wait_until("the reader to look", LIMIT, async || {
                Ok(open.exists().then_some(()))
            })
            .await?;
            hospital.send(&study, 20..40, "CAUSEWAY").await
        };
        let (said, _) = tokio::try_join!(looking, sending)?;
        println!("{said}");
        hospital.close().await
    }

    #[tokio::test]
    async fn the_site_page_is_looked_at_and_decided_on() -> anyhow::Result<()> {
        let _one = ONE.lock().await;
        let hospital = Hospital::start(Behaviour::default()).await?;
        let site = crate::site::prepare(&hospital).await?;
        let environment = [
            ("CAUSEWAY_SITE", hospital.stack.page()),
            (
                "CAUSEWAY_RADIOGRAPHER",
                hospital.stack.page_password.clone(),
            ),
            ("CAUSEWAY_ADMINISTRATOR", crate::site::PASSWORD.to_owned()),
            ("CAUSEWAY_CASE", site.held),
            ("CAUSEWAY_READ", site.read),
        ];
        let said = node(&["tests/browser/site.mjs", &pictures("site")], &environment).await?;
        println!("{said}");
        crate::site::raised(&hospital).await?;
        hospital.close().await
    }

    #[tokio::test]
    async fn a_banner_is_drawn_over_in_the_browser_and_leaves_masked() -> anyhow::Result<()> {
        let _one = ONE.lock().await;
        let Some(files) = crate::masked::samples() else {
            return Ok(());
        };
        let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
        let [banner, scan] = crate::masked::withheld(&hospital, &files).await?;
        let environment = [
            ("CAUSEWAY_SITE", hospital.stack.page()),
            (
                "CAUSEWAY_RADIOGRAPHER",
                hospital.stack.page_password.clone(),
            ),
            ("CAUSEWAY_CASE", banner),
            ("CAUSEWAY_SCAN", scan),
        ];
        let said = node(
            &["tests/browser/masked.mjs", &pictures("masked")],
            &environment,
        )
        .await?;
        println!("{said}");
        crate::masked::left_masked(&hospital, &files[0]).await?;
        hospital.close().await
    }

    /// JPEG, JPEG lossless, JPEG-LS, JPEG 2000 and plain; one frame and many; grey and colour.
    const CODED: [&str; 6] = [
        "studies/xa-cath-philips",
        "studies/mg-ge-screening",
        "studies/cr-chest-nema-rg1",
        "studies/us-colour-doppler-acuson",
        "studies/us-stress-echo-acuson",
        "studies/mr-enhanced-siemens-xa10",
    ];

    #[tokio::test]
    async fn images_of_every_coding_are_shown() -> anyhow::Result<()> {
        let _one = ONE.lock().await;
        let mut files = Vec::new();
        for folder in CODED {
            let Some(folder) = causeway_tests::shared::dicom(folder) else {
                return Ok(());
            };
            files.extend(causeway_tests::shared::files(&folder));
        }
        node(
            &["gateway/viewer/package.mjs", "target/viewer/ohif.tar"],
            &[],
        )
        .await?;
        let hospital = Hospital::start(Behaviour::default()).await?;
        hospital.send_files(&files, "CAUSEWAY").await?;
        let said = node(
            &["tests/browser/pictures.mjs", "6", &pictures("coded")],
            &reader(&hospital),
        )
        .await?;
        println!("{said}");
        hospital.close().await
    }

    #[tokio::test]
    async fn every_series_of_the_public_data_has_its_row() -> anyhow::Result<()> {
        let _one = ONE.lock().await;
        let Some(sent) = crate::sent::sent() else {
            return Ok(());
        };
        let hospital = Hospital::start(Behaviour::default()).await?;
        let answers = hospital.send_files(&sent.files, "CAUSEWAY").await?;
        let refused: Vec<_> = answers.iter().filter(|answer| !answer.stored()).collect();
        ensure!(refused.is_empty(), "{refused:#?}");
        let folder = pictures("series");
        std::fs::create_dir_all(&folder)?;
        let expected = format!("{folder}/expected.json");
        std::fs::write(&expected, serde_json::to_vec(&sent.expected())?)?;
        let said = node(
            &["tests/browser/series.mjs", &expected, &folder],
            &reader(&hospital),
        )
        .await?;
        println!("{said}");
        hospital.close().await
    }
}
