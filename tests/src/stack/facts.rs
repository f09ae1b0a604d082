//! What a running stack tells the scripts that use it: one JSON file.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::{PacsAddress, RADIOGRAPHER, Stack, log};

/// Writes the facts of `stack` to `file`. `received` is the folder of a stand-in PACS, if there is one; `token` the reader's.
///
/// # Errors
/// When a certificate cannot be read or the file not written.
pub fn write(
    stack: &Stack,
    received: Option<&Path>,
    token: &str,
    file: &Path,
) -> anyhow::Result<()> {
    let folder = &stack.options.folder;
    let keys = folder.join("gateway-data/keys");
    let PacsAddress { ae_title, address } = &stack.options.pacs;
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
    };
    let port = |name: &str| stack.gateway_ports.get(name).cloned().unwrap_or_default();
    let mut facts = Map::new();
    let mut put = |name: &str, value: Value| {
        facts.insert(name.to_owned(), value);
    };
    put("gateway.url", json!(stack.url()));
    put(
        "gateway.dicomweb",
        json!(format!("{}/dicomweb", stack.url())),
    );
    put("gateway.link", port("link"));
    put("gateway.enrolment", port("enrolment"));
    put("gateway.health", port("health"));
    put("gateway.data", json!(folder.join("gateway-data")));
    put("gateway.log", json!(log(folder, "gateway")));
    put("gateway.pid", json!(stack.gateway.pid()));
    put("gateway.config", json!(folder.join("gateway.toml")));
    put("gateway.program", json!(stack.options.binaries.gateway));
    put("agent.log", json!(log(folder, "agent")));
    put("agent.data", json!(folder.join("agent-spool")));
    put("agent.spool", json!(folder.join("agent-spool")));
    put("agent.pid", json!(stack.agent.pid()));
    put("agent.config", json!(folder.join("agent.toml")));
    put("agent.program", json!(stack.options.binaries.agent));
    put("agent.ae_title", json!("CAUSEWAY"));
    put("agent.dicom", json!(stack.dicom()));
    put("agent.page", json!(stack.page()));
    put("agent.page_user", json!(RADIOGRAPHER));
    put("agent.page_password", json!(stack.page_password));
    let hospital = folder.join("agent-spool/keys/hospital.key");
    put("agent.hospital_key", json!(read(&hospital)?));
    put("agreement.id", json!(stack.agreement));
    put("site.id", json!(stack.site));
    put("pacs.ae_title", json!(ae_title));
    put("pacs.dicom", json!(address));
    put("pacs.received", json!(received));
    put("reader.user", json!("reader"));
    put("reader.password", json!(stack.password));
    put("reader.token", json!(token));
    put("signing_ca", json!(read(&keys.join("signer-ca.pem"))?));
    put("site_ca", json!(read(&keys.join("link-ca.pem"))?));
    let text = serde_json::to_string_pretty(&Value::Object(facts))?;
    super::process::write_secret(file, &text).with_context(|| format!("writing {}", file.display()))
}
