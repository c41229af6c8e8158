//! Flags about what carries connections.

use clap::{ArgAction, Args, ValueEnum};
use std::path::PathBuf;

/// What stands between TCP and MQTT.
#[derive(Clone, Args)]
pub struct TransportArgs {
    /// Speak TLS with hosts that name no scheme, at port 8883 unless one is given; mqtts://host does so, too
    /// [default: off].
    #[arg(long, help_heading = "TLS")]
    pub tls: bool,
    /// File (PEM) of the CAs that brokers' certificates are to be signed by; repeat it for several
    /// [default: those that the system trusts].
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub cafile: Vec<PathBuf>,
    /// File (PEM) with the clients' certificate and its chain, the same for all; with %i in its name one for each
    /// client, by its number from 0 [default: none].
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "TLS")]
    pub cert: Option<String>,
    /// File (PEM) with its private key; with %i as --cert [default: none].
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "TLS")]
    pub key: Option<String>,
    /// Trust any broker, whoever it is: its certificate is not verified, and the summary and the record say so
    /// [default: off].
    #[arg(long, conflicts_with = "cafile", help_heading = "TLS")]
    pub insecure: bool,
    /// Name that brokers are called by and their certificates have to be for [default: the host's].
    #[arg(long, value_name = "NAME", help_heading = "TLS")]
    pub sni: Option<String>,
    /// Protocol to offer, such as mqtt; repeat it for several [default: none].
    #[arg(long, value_name = "PROTOCOL", help_heading = "TLS")]
    pub alpn: Vec<String>,
    /// Only version of TLS to speak: 1.2 or 1.3 [default: 1.3, or else 1.2].
    #[arg(long, value_enum, value_name = "VERSION", help_heading = "TLS")]
    pub tls_version: Option<TlsVersionArg>,
    /// Cipher suites by their names, with a colon between, the first preferred [default: all that are safe].
    #[arg(long, value_name = "LIST", help_heading = "TLS")]
    pub ciphers: Option<String>,
    /// TLS with keys instead of certificates (TLS-PSK): file of `identity:key` lines as mosquitto's, one for each client in
    /// turn, who has the identity as its id, unless --clientid or --clients-file says another [default: no TLS-PSK].
    #[arg(long = "psk_file", value_name = "FILE", help_heading = "TLS")]
    #[arg(conflicts_with_all = ["cafile", "cert", "key", "insecure", "sni", "alpn", "tls_resume"])]
    pub psk_file: Option<PathBuf>,
    /// Let clients that come back resume their own sessions: full and resumed handshakes are measured apart.
    #[arg(long, default_value_t = false, action = ArgAction::Set, value_name = "BOOL", help_heading = "TLS")]
    pub tls_resume: bool,
    /// Speak WebSocket with hosts that name no scheme, at port 8083, or 8084 with TLS, and path /mqtt; ws://host:port/path and
    /// wss://host:port/path do so, too [default: off].
    #[arg(long, help_heading = "WebSocket")]
    pub websocket: bool,
    /// Line to add to the head of each request for a WebSocket, such as 'X-Tenant: lab', or @FILE with such lines, which are in
    /// no record; repeat it for several [default: none].
    #[arg(long, value_name = "HEADER", help_heading = "WebSocket")]
    pub ws_header: Vec<String>,
}

impl TransportArgs {
    /// Flags that were given and mean nothing without TLS.
    pub fn of_tls(&self) -> impl Iterator<Item = &'static str> {
        [
            ("--cafile", !self.cafile.is_empty()),
            ("--cert", self.cert.is_some()),
            ("--insecure", self.insecure),
            ("--sni", self.sni.is_some()),
            ("--alpn", !self.alpn.is_empty()),
            ("--tls-version", self.tls_version.is_some()),
            ("--ciphers", self.ciphers.is_some()),
            ("--tls-resume", self.tls_resume),
        ]
        .into_iter()
        .filter_map(|(flag, given)| given.then_some(flag))
    }

    /// The same of WebSocket.
    pub fn of_websocket(&self) -> Option<&'static str> {
        (!self.ws_header.is_empty()).then_some("--ws-header")
    }
}

/// What the built-in broker is reached by.
#[derive(Clone, Args)]
pub struct DoorArgs {
    /// Speak TLS, with a certificate made at the start for localhost, 127.0.0.1 and --bind, which clients take with
    /// --insecure, or with --cert [default: off].
    #[arg(long, help_heading = "TLS")]
    pub tls: bool,
    /// File (PEM) with the broker's certificate and its chain [default: one that is made].
    #[arg(long, value_name = "FILE", requires_all = ["key", "tls"], help_heading = "TLS")]
    pub cert: Option<PathBuf>,
    /// File (PEM) with its private key [default: none].
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "TLS")]
    pub key: Option<PathBuf>,
    /// File (PEM) of the CAs that clients' certificates have to be signed by [default: they need none].
    #[arg(long, value_name = "FILE", requires = "tls", help_heading = "TLS")]
    pub cafile: Option<PathBuf>,
    /// Only version of TLS to speak: 1.2 or 1.3 [default: both].
    #[arg(long, value_enum, value_name = "VERSION", requires = "tls", help_heading = "TLS")]
    pub tls_version: Option<TlsVersionArg>,
    /// Speak WebSocket, at every path; with --tls over that [default: off].
    #[arg(long, help_heading = "WebSocket")]
    pub websocket: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TlsVersionArg {
    /// RFC 5246.
    #[value(name = "1.2", alias = "tlsv1.2")]
    V12,
    /// RFC 8446.
    #[value(name = "1.3", alias = "tlsv1.3")]
    V13,
}
