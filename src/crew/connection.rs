//! What clients do to get and stay connected.

use super::Five;
use crate::client::Limits;
use crate::clock::{Nanos, SECOND};
use crate::engine::Sources;
use crate::record::{Close, Transport};
use crate::transport::Dialer;
use crate::wire::{self, Connect, Protocol, QoS};
use std::sync::Arc;

/// What every client does to get and stay connected.
#[derive(Clone, Debug)]
pub struct Connection {
    pub protocol: Protocol,
    /// In seconds, as CONNECT says it; 0 turns it off.
    pub keep_alive_s: u16,
    pub clean_session: bool,
    /// Longest wait for TCP, for CONNACK and for SUBACK.
    pub timeout: Nanos,
    /// Connections a second over all workers; `None` is unlimited.
    pub rate_per_s: Option<f64>,
    /// Attempts at the first connection before a client fails; 0 is unlimited.
    pub attempts: u32,
    /// Whether a lost connection is established again,
    pub reconnect: bool,
    /// and by how many attempts in a row; 0 is unlimited.
    pub reconnect_attempts: u32,
    /// Local addresses to come from.
    pub sources: Sources,
    /// What carries connections; `None`: TCP or a Unix socket alone.
    pub transport: Option<Arc<Dialer>>,
    /// How connections end.
    pub close: Close,
    pub credentials: Credentials,
    /// What the broker publishes when a connection ends without DISCONNECT.
    pub will: Option<Will>,
    /// What MQTT 5 has beside.
    pub five: Five,
}

impl Connection {
    /// What a client of this connection may do, with so many unacknowledged messages.
    pub fn limits(&self, inflight: u16) -> Limits {
        let keep_alive = Limits::silence(self.keep_alive_s);
        Limits { inflight, keep_alive, clean_session: self.clean_session, aliases: 0 }
    }

    /// What carries the connections, for the record.
    pub fn carried_by(&self) -> Transport {
        self.transport.as_ref().map_or_else(Transport::default, |dialer| dialer.about().clone())
    }

    /// CONNECT of client `index`.
    pub fn connect<'a>(&'a self, index: u32, client_id: &'a str) -> Connect<'a> {
        let (username, password) = self.credentials.of(index);
        let will = self.will.as_ref().map(|Will { topic, payload, qos, retain }| wire::Will {
            topic,
            payload,
            qos: *qos,
            retain: *retain,
            properties: self.five.will(),
        });
        Connect {
            protocol: self.protocol,
            bridge: false,
            client_id,
            keep_alive: self.keep_alive_s,
            clean_session: self.clean_session,
            will,
            username,
            password,
            properties: self.five.connect(self.clean_session),
        }
    }
}

impl Default for Connection {
    /// MQTT 3.1.1, clean sessions, a keepalive of 60 s; one attempt at the first connection, ten at later ones.
    fn default() -> Connection {
        Connection {
            protocol: Protocol::V311,
            keep_alive_s: 60,
            clean_session: true,
            timeout: 10 * SECOND,
            rate_per_s: None,
            attempts: 1,
            reconnect: true,
            reconnect_attempts: 10,
            sources: Sources::default(),
            transport: None,
            close: Close::Fin,
            credentials: Credentials::None,
            will: None,
            five: Five::default(),
        }
    }
}

/// User names and passwords.
#[derive(Clone)]
pub enum Credentials {
    None,
    Same {
        username: String,
        password: Option<Vec<u8>>,
    },
    /// One pair for each client by index, from the first again when there are more clients.
    Each(Vec<(String, Vec<u8>)>),
}

impl std::fmt::Debug for Credentials {
    /// Without the passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::Same { .. } => "Same",
            Credentials::Each(_) => "Each",
        })
    }
}

impl Credentials {
    /// User name and password of client `index`.
    pub fn of(&self, index: u32) -> (Option<&str>, Option<&[u8]>) {
        match self {
            Credentials::None => (None, None),
            Credentials::Same { username, password } => (Some(username), password.as_deref()),
            Credentials::Each(pairs) => {
                let (username, password) = &pairs[index as usize % pairs.len()];
                (Some(username), Some(password))
            }
        }
    }
}

/// The will of every client: the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Will {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: QoS,
    pub retain: bool,
}
