//! What carried the connections of a run.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What carried the connections, and how far it was to be trusted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Transport {
    /// Between the socket and MQTT.
    pub kind: TransportKind,
    /// Whether MQTT was in frames of WebSocket, over that.
    pub websocket: bool,
    /// Whether brokers had to prove who they are; null without TLS. False says that the measured broker may have been
    /// anyone.
    pub verified: Option<bool>,
    /// Whether clients resumed their own earlier sessions.
    pub resumption: bool,
    /// Certificates that clients showed, in turn; 0: none.
    pub client_certificates: u32,
}

/// What stands between the socket and MQTT.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransportKind {
    /// Nothing.
    #[default]
    Plain,
    /// TLS with certificates.
    Tls,
    /// TLS with a key that both ends know.
    Psk,
}

impl fmt::Display for Transport {
    /// `WebSocket over TLS, certificates not verified, 1 client certificate`; nothing where there is nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.kind, self.websocket) {
            (TransportKind::Plain, false) => "",
            (TransportKind::Plain, true) => "WebSocket",
            (TransportKind::Tls, false) => "TLS",
            (TransportKind::Tls, true) => "WebSocket over TLS",
            (TransportKind::Psk, false) => "TLS-PSK",
            (TransportKind::Psk, true) => "WebSocket over TLS-PSK",
        })?;
        if self.verified == Some(false) {
            f.write_str(", certificates not verified (--insecure)")?;
        }
        match self.client_certificates {
            0 => {}
            1 => f.write_str(", 1 client certificate")?,
            count => write!(f, ", {count} client certificates")?,
        }
        if self.resumption { f.write_str(", sessions resumed") } else { Ok(()) }
    }
}
