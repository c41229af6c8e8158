//! What clients do to get and stay connected.

use super::{Five, Identities};
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
    /// What clients have of their own.
    pub identities: Identities,
    /// What the broker publishes when a connection ends without DISCONNECT.
    pub will: Option<Will>,
    /// What MQTT 5 has beside.
    pub five: Five,
}

impl Connection {
    /// What a client of this connection may do, with so many unacknowledged messages.
    pub fn limits(&self, inflight: u16) -> Limits {
        let keep_alive = Limits::silence(self.keep_alive_s);
        Limits {
            inflight,
            keep_alive,
            clean_session: self.clean_session,
            aliases: 0,
            receive_maximum: u16::MAX,
        }
    }

    /// User name and password of client `index`: its own, or else those of all. Without a user name there is no password.
    pub fn login(&self, index: u32) -> (Option<&str>, Option<&[u8]>) {
        let Credentials { username, password } = &self.credentials;
        let username = self.identities.username(index).or(username.as_deref());
        let password = self.identities.password(index).or(password.as_deref());
        (username, password.filter(|_| username.is_some()))
    }

    /// What carries the connections, for the record.
    pub fn carried_by(&self) -> Transport {
        self.transport.as_ref().map_or_else(Transport::default, |dialer| dialer.about().clone())
    }

    /// CONNECT of client `index`.
    pub fn connect<'a>(&'a self, index: u32, client_id: &'a str) -> Connect<'a> {
        let (username, password) = self.login(index);
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
            credentials: Credentials::default(),
            identities: Identities::default(),
            will: None,
            five: Five::default(),
        }
    }
}

/// What clients log in with that have nothing of their own.
#[derive(Clone, Default)]
pub struct Credentials {
    pub username: Option<String>,
    pub password: Option<Vec<u8>>,
}

impl std::fmt::Debug for Credentials {
    /// Without what they are.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
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
