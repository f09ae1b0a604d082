//! `ports.json`: the addresses that were really bound, for whoever started the agent with port 0.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

/// Writes the file whole or not at all.
pub(super) fn write(
    spool: &Path,
    dicom: SocketAddr,
    page: Option<SocketAddr>,
    health: Option<SocketAddr>,
) -> std::io::Result<()> {
    let temporary = spool.join("ports.json.new");
    let mut file = std::fs::File::create(&temporary)?;
    writeln!(
        file,
        "{}",
        serde_json::json!({ "dicom": dicom, "page": page, "health": health })
    )?;
    file.sync_all()?;
    std::fs::rename(&temporary, spool.join("ports.json"))
}

/// Removes the file of an earlier process: its addresses are nobody's.
pub(super) fn remove(spool: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(spool.join("ports.json")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
