//! Whoever has no certificate, and keeps as many handshakes under way as he can.

use std::sync::Arc;

use causeway_tests::hostile::deaf::{Deaf, Loses};
use causeway_tests::stack::wait_until;
use quinn::ClientConfig;
use quinn::crypto::rustls::QuicClientConfig;

use super::LIMIT;
use super::centre::Centre;
use super::hospital::Hospital;

#[tokio::test]
async fn handshakes_that_never_end_keep_no_other_address_out() -> anyhow::Result<()> {
    let centre = Centre::with(|config| {
        config.retry_from_connections = 0;
        config.max_connections = 6;
        config.max_handshakes_per_address = 3;
        config.greeting_timeout_s = 60;
    })
    .await?;
    let (_, tls) = centre.site("north").await?;
    let mut begun = Vec::new();
    for _ in 0..8 {
        let (socket, endpoint) = Deaf::endpoint([127, 0, 0, 2])?;
        // the address is proved, and then nothing more is heard
        socket.lose(Loses::Later);
        let crypto = QuicClientConfig::try_from(Arc::clone(&tls.config))?;
        let config = ClientConfig::new(Arc::new(crypto));
        let connecting = endpoint.connect_with(config, centre.address, "localhost")?;
        wait_until("an answer that is not heard", LIMIT, async || {
            Ok((socket.heard() > 1).then_some(()))
        })
        .await?;
        begun.push((connecting, endpoint));
    }
    let mut hospital = Hospital::start(&tls, centre.address).await?;
    hospital.wait_up().await?;
    hospital.stop().await?;
    drop(begun);
    centre.stop().await?;
    Ok(())
}
