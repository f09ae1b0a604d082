//! The edge towards the agents: the QUIC link, and enrolment beside it.
//!
//! [`accept`] lets verified sites in, one session each; where UDP does not pass their datagrams come through [`tunnel`]. [`receive`] takes what they send into `ingest`, [`deliver`] sends reports
//! home. Who a connection speaks for stands in its certificate and nowhere else. What a connection holds that is not in rows or in
//! `ingest` may be lost with it.

mod accept;
mod again;
mod config;
mod deleted;
mod deliver;
pub mod enrol;
mod handshakes;
mod receive;
mod session;
mod sites;
mod talking;
mod told;
mod tunnel;
mod witness;

use std::io;

use causeway_certs::tls::TlsError;
use thiserror::Error;

use crate::archive::Archive;
use crate::ingest::Ingest;
use crate::parts::Parts;
use crate::worklist::Events;

pub use accept::{Door, run};
pub use config::{Config, Congestion};
pub use sites::{Connected, Sites};
pub use tunnel::Tunnels;

/// The link could not be opened.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The port could not be had.
    #[error("listening for agents on {address} (UDP)")]
    Listen {
        /// Where.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The TLS configuration could not be made.
    #[error("preparing TLS for the link")]
    Tls(#[from] TlsError),
    /// The TLS configuration lacks what QUIC needs.
    #[error("preparing TLS for QUIC")]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// The rooms that the link brings bytes to and takes them from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rooms {
    /// Rows, clock, chance, wakes and how to stop.
    pub parts: Parts,
    /// Bounds.
    pub config: Config,
    /// The door of the archive.
    pub ingest: Ingest,
    /// Where reports are read from.
    pub archive: Archive,
    /// Where open pages learn of what a site says.
    pub events: Events,
    /// Who is connected.
    pub sites: Sites,
}
