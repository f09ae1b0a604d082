//! The two configuration files of a stack, written by hand so that they are what an operator would write.

use std::net::IpAddr;

use anyhow::Context as _;
use serde_json::Value;

use super::{Far, Options, PacsAddress};
use crate::tools::free_port;

/// Addresses that the gateway binds; port 0 means any.
#[derive(Debug)]
pub struct GatewayPorts {
    http: String,
    link: String,
    enrolment: String,
    health: String,
}

impl GatewayPorts {
    /// What is free on loopback, or for agents on the far side's address: a gateway that is started again binds the same.
    ///
    /// # Errors
    /// When no port is free.
    pub fn any(far: Option<Far>) -> anyhow::Result<Self> {
        let reached = far.map_or_else(|| "127.0.0.1".to_owned(), |far| far.centre.to_string());
        let on = |host: &str| Ok::<_, anyhow::Error>(format!("{host}:{}", free_port()?));
        Ok(Self {
            http: on("127.0.0.1")?,
            link: on(&reached)?,
            enrolment: on(&reached)?,
            health: on("127.0.0.1")?,
        })
    }

    /// The addresses that a running gateway has reported.
    ///
    /// # Errors
    /// When one is missing.
    pub fn read(ports: &Value) -> anyhow::Result<Self> {
        let of = |name: &str| {
            ports
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .with_context(|| format!("no {name} address"))
        };
        Ok(Self {
            http: of("http")?,
            link: of("link")?,
            enrolment: of("enrolment")?,
            health: of("health")?,
        })
    }
}

/// Writes `gateway.toml`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_gateway(options: &Options, ports: &GatewayPorts) -> anyhow::Result<()> {
    let GatewayPorts {
        http,
        link,
        enrolment,
        health,
    } = ports;
    let data = options.folder.join("gateway-data");
    let data = data.display();
    let viewer = options
        .viewer
        .as_ref()
        .map(|path| format!("viewer = \"{}\"\n", path.display()))
        .unwrap_or_default();
    let name = options
        .far
        .map(|far| format!(", \"{}\"", far.centre))
        .unwrap_or_default();
    let text = format!(
        "data = \"{data}\"\n\n[http]\nlisten = \"{http}\"\npublic_url = \"http://{http}\"\n{viewer}\n\
         [link]\nlisten = \"{link}\"\nenrolment_listen = \"{enrolment}\"\nnames = [\"localhost\", \"127.0.0.1\"{name}]\n\n\
         [health]\nlisten = \"{health}\"\n\n[archive.disk]\n{}",
        options.floors
    );
    std::fs::write(options.folder.join("gateway.toml"), text).context("writing gateway.toml")
}

/// Writes `agent.toml` for an agent that is silent for one second before it calls a study complete.
///
/// # Errors
/// When the file cannot be written.
pub fn write_agent(
    options: &Options,
    agreement: &str,
    link: &str,
    dicom: &str,
    page: &str,
) -> anyhow::Result<()> {
    let identified = if options.identified {
        format!("\"{agreement}\"")
    } else {
        String::new()
    };
    let require = if options.replaces_uids {
        "\"replace-uids\""
    } else {
        ""
    };
    let PacsAddress { ae_title, address } = &options.pacs;
    let host = address
        .rsplit_once(':')
        .map_or(address.as_str(), |(host, _)| host);
    let host = host
        .parse::<IpAddr>()
        .map_or_else(|_| "127.0.0.1".to_owned(), |ip| ip.to_string());
    let spool = options.folder.join("agent-spool");
    let spool = spool.display();
    let restore = if options.asks_pacs {
        format!(
            "[restore.pacs]\nae_title = \"{ae_title}\"\naddress = \"{address}\"\ncalling_ae_title = \"CAUSEWAY\"\n\n"
        )
    } else {
        "[restore]\ntruth = \"original\"\n\n".to_owned()
    };
    let shifts = options.shifts_dates;
    let lines = &options.gateway_lines;
    let page_image = options.page_image;
    let text = format!(
        "spool = \"{spool}\"\n\n[gateway]\naddress = \"{link}\"\nserver_name = \"localhost\"\n{lines}\n[dicom]\nlisten = \"{dicom}\"\n\n\
         [[dicom.called]]\nae_title = \"CAUSEWAY\"\npurpose = \"read\"\npriority = \"routine\"\n\n\
         [[dicom.called]]\nae_title = \"CW_STAT\"\npurpose = \"read\"\npriority = \"stat\"\n\n\
         [[dicom.called]]\nae_title = \"CW_PRIOR\"\npurpose = \"comparison\"\npriority = \"routine\"\n\n\
         [[dicom.calling]]\nae_title = \"{ae_title}\"\naddresses = [\"{host}\"]\nkind = \"pacs\"\n\n\
         [agreement]\nidentified = [{identified}]\nmodified_dates = {shifts}\nrequire = [{require}]\n\n[complete]\npacs_silence_s = 1\n\n{restore}\
         [site_page]\nlisten = \"{page}\"\n\n\
         [[destination]]\nname = \"pacs\"\nae_title = \"{ae_title}\"\naddress = \"{address}\"\ncalling_ae_title = \"CAUSEWAY\"\n\
         page_image = \"{page_image}\"\n\n[disk]\n{}",
        options.floors
    );
    std::fs::write(options.folder.join("agent.toml"), text).context("writing agent.toml")
}
