//! What a site says about its DICOM neighbours: who may call, under which of our titles, and from where.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use causeway_proto::ids::{AeTitle, AgreementId, Priority, Purpose};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use crate::commitment::Peer;
use crate::spool::CallingKind;

/// `[dicom]`: the listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on; port 0 lets the system choose.
    #[serde(default = "defaults::listen")]
    pub listen: SocketAddr,
    /// Associations at one time; one more is refused as transient (PS3.8 9.3.4, 2/3/2).
    #[serde(default = "defaults::max_associations")]
    pub max_associations: usize,
    /// Associations at one time from one address.
    #[serde(default = "defaults::max_associations_per_peer")]
    pub max_associations_per_peer: usize,
    /// Longest P-DATA-TF that we announce and accept, in bytes.
    #[serde(default = "defaults::max_pdu_bytes")]
    pub max_pdu_bytes: u32,
    /// How long an association may be silent between messages, in seconds.
    #[serde(default = "defaults::idle_timeout_s")]
    pub idle_timeout_s: u64,
    /// Over how long a peer within a message must keep up 1 KiB/s, in seconds of waiting for it.
    #[serde(default = "defaults::pace_window_s")]
    pub pace_window_s: u64,
    /// How long a connection may take to ask for an association, and to close after our last word (ARTIM), in seconds.
    #[serde(default = "defaults::artim_timeout_s")]
    pub artim_timeout_s: u64,
    /// Our own titles, each with what it is for (P4).
    #[serde(default)]
    pub called: Vec<Called>,
    /// Who may call. Empty: nobody.
    #[serde(default)]
    pub calling: Vec<Calling>,
}

/// One of our own AE titles (P4).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Called {
    /// The title by which we are called.
    pub ae_title: AeTitle,
    /// `read` makes a reading task, `comparison` only ever a prior.
    pub purpose: Purpose,
    /// `stat`, `urgent`, `routine` or `unstated`.
    #[serde(default = "defaults::priority")]
    pub priority: Priority,
    /// Under which agreement; may be left out while the site has only one.
    #[serde(default)]
    pub agreement: Option<AgreementId>,
}

/// One sender of the hospital.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calling {
    /// Its AE title, or `*` for any.
    #[serde(deserialize_with = "title_or_any")]
    pub ae_title: Option<AeTitle>,
    /// Where it calls from: addresses, networks as `10.0.0.0/24`, or `*`. Empty: from nowhere.
    #[serde(default)]
    pub addresses: Vec<Origin>,
    /// Decides how long its silence must last before a study is complete (P30).
    pub kind: CallingKind,
    /// `host:port` where it hears whether the gateway holds what it sent. Left out: it may not ask (P14).
    #[serde(default)]
    pub commitment: Option<String>,
}

/// An address, a network, or anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin(Option<(IpAddr, u8)>);

/// A text that is no address, no network and no `*`.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("an origin is an address like 10.0.0.5, a network like 10.0.0.0/24, or *")]
pub struct OriginError;

impl Origin {
    /// Whether `address` lies in it.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.0, address.to_canonical()) {
            (None, _) => true,
            (Some((IpAddr::V4(net), bits)), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                net.to_bits() & mask == address.to_bits() & mask
            }
            (Some((IpAddr::V6(net), bits)), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                net.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text == "*" {
            return Ok(Self(None));
        }
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, bits.parse().ok()),
            None => (text, Some(u8::MAX)),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Err(OriginError);
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        match bits {
            Some(u8::MAX) => Ok(Self(Some((address.to_canonical(), longest)))),
            Some(bits) if bits <= longest => Ok(Self(Some((address, bits)))),
            _ => Err(OriginError),
        }
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

fn title_or_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AeTitle>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "*" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// What is wrong with a configuration that parses.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Two called titles are equal.
    #[error("dicom.called: the title {0} stands twice; each title has one purpose")]
    CalledTwice(AeTitle),
    /// A sender that is not named may ask for storage commitment.
    #[error("dicom.calling: commitment needs the title of one sender: its result is sent to that")]
    CommitmentForAny,
    /// It is not known where the result of a request for storage commitment goes.
    #[error(
        "dicom.calling: commitment of {0} is no address; write host:port, such as \"10.0.0.5:104\""
    )]
    CommitmentAddress(AeTitle),
    /// A number is outside of its range.
    #[error("dicom.{key}: {value} is not between {least} and {most}")]
    Range {
        /// Which key.
        key: &'static str,
        /// What it says.
        value: u64,
        /// The least that is right.
        least: u64,
        /// The most that is right.
        most: u64,
    },
}

impl Config {
    /// Who may ask for storage commitment, and where each hears its results.
    #[must_use]
    pub fn commitment_peers(&self) -> Vec<Peer> {
        let peers = self.calling.iter().filter_map(|calling| {
            Some(Peer {
                title: calling.ae_title.clone()?,
                address: calling.commitment.clone()?,
            })
        });
        peers.collect()
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// [`ConfigError`] names the key and what would be right.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (index, called) in self.called.iter().enumerate() {
            let same = |other: &Called| other.ae_title == called.ae_title;
            if self.called.iter().skip(index + 1).any(same) {
                return Err(ConfigError::CalledTwice(called.ae_title.clone()));
            }
        }
        for calling in &self.calling {
            match (&calling.ae_title, &calling.commitment) {
                (None, Some(_)) => return Err(ConfigError::CommitmentForAny),
                (Some(title), Some(address)) if !is_address(address) => {
                    return Err(ConfigError::CommitmentAddress(title.clone()));
                }
                _ => {}
            }
        }
        let wide = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        range("max_pdu_bytes", self.max_pdu_bytes.into(), 16_384, 16 << 20)?;
        range("max_associations", wide(self.max_associations), 1, 1024)?;
        range(
            "max_associations_per_peer",
            wide(self.max_associations_per_peer),
            1,
            1024,
        )?;
        range("idle_timeout_s", self.idle_timeout_s, 1, 86_400)?;
        range("pace_window_s", self.pace_window_s, 1, 300)?;
        range("artim_timeout_s", self.artim_timeout_s, 1, 300)
    }
}

fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|it| it > 0))
}

fn range(key: &'static str, value: u64, least: u64, most: u64) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::Range {
        key,
        value,
        least,
        most,
    })
}

/// What holds when a key is left out.
mod defaults {
    use std::net::{Ipv4Addr, SocketAddr};

    use causeway_proto::ids::Priority;

    pub(super) fn listen() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 11_112))
    }

    pub(super) fn max_associations() -> usize {
        32
    }

    pub(super) fn max_associations_per_peer() -> usize {
        16
    }

    pub(super) fn max_pdu_bytes() -> u32 {
        256 * 1024
    }

    pub(super) fn idle_timeout_s() -> u64 {
        300
    }

    pub(super) fn pace_window_s() -> u64 {
        60
    }

    pub(super) fn artim_timeout_s() -> u64 {
        10
    }

    pub(super) fn priority() -> Priority {
        Priority::Unstated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_hold_what_they_say() {
        let check = |origin: &str, address: &str, expect: bool| {
            let origin: Origin = origin.parse().unwrap();
            assert_eq!(
                origin.holds(address.parse().unwrap()),
                expect,
                "{origin:?} {address}"
            );
        };
        check("*", "203.0.113.9", true);
        check("10.0.0.5", "10.0.0.5", true);
        check("10.0.0.5", "::ffff:10.0.0.5", true);
        check("10.0.0.5", "10.0.0.6", false);
        check("10.0.0.0/24", "10.0.0.200", true);
        check("10.0.0.0/24", "10.0.1.200", false);
        check("0.0.0.0/0", "10.0.1.200", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("2001:db8::/32", "2001:db8:1::1", true);
        for wrong in ["", "pacs.local", "10.0.0.0/33", "10.0.0.0/x", "**"] {
            assert_eq!(wrong.parse::<Origin>(), Err(OriginError), "{wrong}");
        }
    }

    #[test]
    fn nobody_may_call_unless_the_file_says_so() {
        let config: Config = toml::from_str("").unwrap();
        assert!(config.calling.is_empty() && config.called.is_empty());
        assert_eq!(config.check(), Ok(()));
        assert!(toml::from_str::<Config>("max_pdus = 3").is_err());
    }

    #[test]
    fn whoever_may_ask_for_commitment_has_a_title_and_an_address() {
        let check = |title: &str, address: &str| {
            let text = format!(
                "[[calling]]\nae_title = \"{title}\"\nkind = \"modality\"\ncommitment = \"{address}\""
            );
            let config: Config = toml::from_str(&text).unwrap();
            (config.check(), config.commitment_peers().len())
        };
        assert_eq!(check("CT1", "10.0.0.5:104"), (Ok(()), 1));
        let any = (Err(ConfigError::CommitmentForAny), 0);
        assert_eq!(check("*", "10.0.0.5:104"), any);
        for address in ["10.0.0.5", "", ":104", "ct:0"] {
            let nowhere = ConfigError::CommitmentAddress("CT1".parse().unwrap());
            assert_eq!(check("CT1", address).0, Err(nowhere));
        }
    }

    #[test]
    fn a_title_has_one_purpose() {
        let config: Config = toml::from_str(
            "[[called]]\nae_title = \"CW\"\npurpose = \"read\"\n[[called]]\nae_title = \"CW \"\npurpose = \"comparison\"",
        )
        .unwrap();
        assert_eq!(
            config.check(),
            Err(ConfigError::CalledTwice("CW".parse().unwrap()))
        );
    }
}
