//! Hostile associations: silent, slow, broken, endless; strangers, and one who may call.

use std::net::SocketAddr;
use std::time::Duration;

use dicom_ul::pdu::{AssociationRQ, PresentationContextProposed, UserVariableItem, write_pdu};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::Target;

/// Addresses of strangers.
const STRANGERS: u32 = 8;
/// Between two bytes of those who trickle.
const DRIP: Duration = Duration::from_millis(500);
/// After an end.
const PAUSE: Duration = Duration::from_millis(200);
/// Whoever holds on lets go after so long, and begins again.
const HOLD: Duration = Duration::from_secs(30);

/// What it does, again and again, until it is cancelled.
pub(super) async fn run(number: u32, target: Target) {
    let cancel = target.cancel.clone();
    let again = async {
        loop {
            // how it ends is the agent's business
            once(number, &target).await.ok();
            tokio::time::sleep(PAUSE).await;
        }
    };
    cancel.run_until_cancelled(again).await;
}

async fn once(number: u32, target: &Target) -> std::io::Result<()> {
    // a quarter may call, all from one address
    let insider = number.is_multiple_of(4);
    let from = match insider {
        true => [127, 0, 2, 1],
        false => [127, 0, 3, u8::try_from(number % STRANGERS + 1).unwrap_or(1)],
    };
    let mut peer = connect(from, target.dicom).await?;
    target.begin(0);
    let ask = request(if insider { "MODALITY" } else { "PACS" })?;
    match number / 4 % 6 {
        // says nothing
        0 => {}
        // half of a request, byte by byte
        1 => drip(&mut peer, ask.get(..ask.len() / 2).unwrap_or_default()).await?,
        // asks, and says nothing more
        2 => peer.write_all(&ask).await?,
        // asks, and then half of a PDU as large as may be
        3 => {
            peer.write_all(&ask).await?;
            let head = [4, 0, 0, 1, 0, 0, 0, 0, 0xFF, 0xFC, 1, 2];
            peer.write_all(&head).await?;
            drip(&mut peer, &[0; 64]).await?;
        }
        // a PDU longer than any, and then bytes without end
        4 => {
            peer.write_all(&[1, 0, 0x7F, 0xFF, 0xFF, 0xFF]).await?;
            peer.write_all(&[0; 4096]).await?;
        }
        // no DICOM
        _ => peer.write_all(b"GET / HTTP/1.1\r\n\r\n").await?,
    }
    hold(&mut peer).await;
    Ok(())
}

/// Until the agent ends it, or it has been held for long.
async fn hold(peer: &mut TcpStream) {
    let mut heard = [0; 1024];
    let ended = async { while matches!(peer.read(&mut heard).await, Ok(1..)) {} };
    tokio::time::timeout(HOLD, ended).await.ok();
}

async fn drip(peer: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes {
        peer.write_all(&[*byte]).await?;
        tokio::time::sleep(DRIP).await;
    }
    Ok(())
}

pub(super) async fn connect(from: [u8; 4], to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // a port may be waited for otherwise, after so many connections
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(to).await
}

fn request(calling: &str) -> std::io::Result<Vec<u8>> {
    let ask = AssociationRQ {
        protocol_version: 1,
        calling_ae_title: calling.to_owned(),
        called_ae_title: "CAUSEWAY".to_owned(),
        application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
        presentation_contexts: vec![PresentationContextProposed {
            id: 1,
            abstract_syntax: "1.2.840.10008.5.1.4.1.1.2".to_owned(),
            transfer_syntaxes: vec!["1.2.840.10008.1.2.1".to_owned()],
        }],
        user_variables: vec![UserVariableItem::MaxLength(65_536)],
    };
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &ask.into()).map_err(std::io::Error::other)?;
    Ok(bytes)
}
