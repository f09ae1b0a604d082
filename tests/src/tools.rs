//! Programs that are not ours: DCMTK, dicom3tools, PixelMed and Orthanc, run with a limit and with their words kept.

use std::ops::Range;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::process::{Child, Command};

use crate::stack::wait_until;

/// What a program said and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its exit code; none when it was killed.
    pub code: Option<i32>,
    /// Standard output and standard error.
    pub text: String,
}

/// Runs a program with arguments to its end, at most 120 s.
///
/// # Errors
/// When it is not installed or takes too long.
pub async fn run(program: &str, arguments: &[&str]) -> anyhow::Result<Said> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(120), command.output()).await;
    let output = output.with_context(|| format!("{program} took more than 120 s"))?;
    let output =
        output.with_context(|| format!("{program} could not be run; `make test` installs it"))?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(Said {
        code: output.status.code(),
        text,
    })
}

/// PixelMed's validator of structured reports; its findings as text.
///
/// # Errors
/// When Java or PixelMed is missing.
pub async fn validate_sr(file: &Path) -> anyhow::Result<Said> {
    let limits = [
        "-Djdk.xml.xpathExprOpLimit=0",
        "-Djdk.xml.xpathTotalOpLimit=0",
        "-Djdk.xml.xpathExprGrpLimit=0",
    ];
    let classes =
        "/usr/share/java/pixelmed.jar:/usr/share/java/pixelmed_imageio.jar:/usr/share/java/*";
    let file = file.display().to_string();
    let mut arguments = limits.to_vec();
    arguments.extend([
        "-cp",
        classes,
        "com.pixelmed.validate.DicomSRValidator",
        &file,
    ]);
    run("java", &arguments).await
}

/// Orthanc as a hospital's PACS. Dropping it kills it.
#[derive(Debug)]
pub struct Orthanc {
    child: Child,
    http: String,
    dicom: String,
    client: reqwest::Client,
}

impl Orthanc {
    /// Its AE title.
    pub const AE_TITLE: &str = "ORTHANC";

    /// Starts Orthanc on loopback with its data in `folder`.
    ///
    /// # Errors
    /// When it is not installed or does not come up.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        Self::with_plugins(folder, &[]).await
    }

    /// The same with its DICOMweb plugin, below `/dicom-web`.
    ///
    /// # Errors
    /// When one of the two is not installed, or does not come up.
    pub async fn with_dicomweb(folder: &Path) -> anyhow::Result<Self> {
        Self::with_plugins(
            folder,
            &["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
        )
        .await
    }

    async fn with_plugins(folder: &Path, plugins: &[&str]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (http, dicom) = (free_port()?, free_port()?);
        let config = json!({
            "Name": "TEST hospital", "StorageDirectory": folder.join("storage"), "IndexDirectory": folder.join("storage"),
            "HttpPort": http, "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
            "DicomAet": Self::AE_TITLE, "DicomPort": dicom, "DefaultEncoding": "Utf8", "Plugins": plugins, "KeepAlive": true,
            "StableAge": 1, "DicomAlwaysAllowStore": true, "DicomCheckCalledAet": false, "OverwriteInstances": false,
        });
        let file = folder.join("orthanc.json");
        std::fs::write(&file, serde_json::to_vec_pretty(&config)?)?;
        let log = std::fs::File::create(folder.join("orthanc.log"))?;
        let program = if Path::new("/usr/sbin/Orthanc").exists() {
            "/usr/sbin/Orthanc"
        } else {
            "Orthanc"
        };
        let child = Command::new(program)
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("Orthanc could not be started; `make test` installs it")?;
        let orthanc = Self {
            child,
            http: format!("http://127.0.0.1:{http}"),
            dicom: format!("127.0.0.1:{dicom}"),
            client: reqwest::Client::new(),
        };
        wait_until("Orthanc to answer", Duration::from_secs(30), async || {
            Ok(orthanc.get("/system").await.ok())
        })
        .await?;
        Ok(orthanc)
    }

    /// Base of its addresses, such as `http://127.0.0.1:8042`.
    #[must_use]
    pub fn http(&self) -> &str {
        &self.http
    }

    /// Its process number, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Where its DICOM node listens.
    #[must_use]
    pub fn dicom(&self) -> &str {
        &self.dicom
    }

    /// `GET path` as JSON.
    ///
    /// # Errors
    /// When Orthanc answers anything but success.
    pub async fn get(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        Ok(self
            .client
            .get(format!("{}{path}", self.http))
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?)
    }

    /// `GET path` as bytes.
    ///
    /// # Errors
    /// When Orthanc answers anything but success.
    pub async fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        Ok(self
            .client
            .get(format!("{}{path}", self.http))
            .send()
            .await?
            .error_for_status()?
            .bytes()
            .await?
            .to_vec())
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// When Orthanc answers anything but success.
    pub async fn post(
        &self,
        path: &str,
        body: serde_json::Value,
    ) -> anyhow::Result<serde_json::Value> {
        let answer = self
            .client
            .post(format!("{}{path}", self.http))
            .json(&body)
            .send()
            .await?;
        if !answer.status().is_success() {
            bail!(
                "Orthanc answered {} to {path}: {}",
                answer.status(),
                answer.text().await.unwrap_or_default()
            );
        }
        Ok(answer.json().await.unwrap_or_default())
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// When Orthanc answers anything but success.
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.client
            .delete(format!("{}{path}", self.http))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Puts a DICOM file into it.
    ///
    /// # Errors
    /// When Orthanc does not take it.
    pub async fn put(&self, file: &Path) -> anyhow::Result<()> {
        let bytes = std::fs::read(file)?;
        self.client
            .post(format!("{}/instances", self.http))
            .body(bytes)
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Makes a DICOM node known to it.
    ///
    /// # Errors
    /// When Orthanc does not take it.
    pub async fn add_modality(
        &self,
        name: &str,
        ae_title: &str,
        address: &str,
    ) -> anyhow::Result<()> {
        let (host, port) = address
            .rsplit_once(':')
            .context("an address is host:port")?;
        let body = json!({"AET": ae_title, "Host": host, "Port": port.parse::<u16>()?});
        self.client
            .put(format!("{}/modalities/{name}", self.http))
            .json(&body)
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Orthanc's own identifiers of everything at `level` that matches `query`.
    ///
    /// # Errors
    /// When Orthanc does not answer.
    pub async fn find(&self, level: &str, query: serde_json::Value) -> anyhow::Result<Vec<String>> {
        let found = self
            .post("/tools/find", json!({"Level": level, "Query": query}))
            .await?;
        Ok(serde_json::from_value(found)?)
    }

    /// Has it send a study of its own to a known node, by its own REST call.
    ///
    /// # Errors
    /// When Orthanc cannot send all of it.
    pub async fn send(&self, study_uid: &str, modality: &str) -> anyhow::Result<()> {
        let studies = self
            .find("Study", json!({"StudyInstanceUID": study_uid}))
            .await?;
        let [study] = studies.as_slice() else {
            bail!("Orthanc holds {} studies {study_uid}", studies.len())
        };
        self.post(
            &format!("/modalities/{modality}/store"),
            json!({"Resources": [study], "Synchronous": true}),
        )
        .await?;
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("ending Orthanc")
    }
}

/// A port of loopback that is free, to be bound later or again: below those that the system gives to whoever asks for any (32,768 and
/// above on Linux), from a place that the process has to itself. Each is given once.
///
/// # Errors
/// When none is free.
pub fn free_port() -> anyhow::Result<u16> {
    const PORTS: Range<u32> = 20_000..32_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(61);
    for _ in PORTS {
        let next = begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(PORTS.start + next % (PORTS.end - PORTS.start))?;
        let free = std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
            && std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok();
        if free {
            return Ok(port);
        }
    }
    bail!("no port from {} on is free", PORTS.start)
}
