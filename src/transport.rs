//! What carries a connection's bytes between the socket and MQTT, sans-IO: bytes in, bytes out.
//!
//! A [`Channel`] is one end of one connection: it makes what goes over the wire of what is to be said
//! ([`Channel::seal`]), and the reverse ([`Channel::receive`]). A [`Dialer`] makes those of clients, an [`Acceptor`]
//! those of a server. Nothing here knows what the bytes mean, and nobody above knows which transport it is.

pub mod keys;
#[cfg(feature = "psk")]
pub mod psk;
pub mod tls;
pub mod websocket;

mod secure;
mod trouble;

pub use keys::{KeyError, Keys};
pub use trouble::Trouble;

use crate::record::Transport;
#[cfg(feature = "psk")]
use crate::record::TransportKind;
use crate::seed::{Draw, Purpose};
use secure::Secure;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use websocket::{Upgrade, WebSocket};

/// Keys and masks of clients.
const WEBSOCKET: Purpose = Purpose::named("websocket");

/// What was agreed on in a handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Agreed {
    /// Everything anew, certificates included.
    Full,
    /// On what an earlier connection had left: a ticket or a session.
    Resumed,
}

/// One end of one connection.
pub struct Channel(Carrier);

/// An idle WebSocket is small, and so stands where it is; what has TLS is large.
enum Carrier {
    Tls(Box<Secure>),
    WebSocket(WebSocket),
    Both(Box<Both>),
}

/// WebSocket over TLS.
struct Both {
    tls: Secure,
    websocket: WebSocket,
    /// Whether the upgrade has begun, which TLS has to be there for.
    begun: bool,
    /// Unsealed, and less than the front of a frame.
    rest: Vec<u8>,
}

impl Channel {
    fn new(tls: Option<Secure>, websocket: Option<WebSocket>) -> Channel {
        Channel(match (tls, websocket) {
            (Some(tls), None) => Carrier::Tls(Box::new(tls)),
            (None, Some(websocket)) => Carrier::WebSocket(websocket),
            (Some(tls), Some(websocket)) => {
                Carrier::Both(Box::new(Both { tls, websocket, begun: false, rest: Vec::new() }))
            }
            (None, None) => unreachable!("a transport carries something"),
        })
    }

    /// Begins the handshake, if this end has the first word.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub fn start(&mut self, out: &mut Vec<u8>) -> Result<(), Trouble> {
        match &mut self.0 {
            Carrier::Tls(tls) => tls.receive(&mut Vec::new(), &mut Vec::new(), out)?,
            Carrier::WebSocket(websocket) => websocket.start(out),
            Carrier::Both(both) => both.tls.receive(&mut Vec::new(), &mut Vec::new(), out)?,
        }
        Ok(())
    }

    /// Takes from the front of `wire` what can be taken: what is said goes to the end of `plain`, and what the
    /// transport itself has to answer to the end of `out`, also beside an error. What is left of `wire` is to be given again in front of what follows.
    /// What `between` has is of no interest, before and after: it saves an allocation.
    ///
    /// # Errors
    /// The connection cannot go on. What was appended to `out` is for the peer still.
    pub fn receive(
        &mut self,
        wire: &mut Vec<u8>,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
        between: &mut Vec<u8>,
    ) -> Result<(), Trouble> {
        match &mut self.0 {
            Carrier::Tls(tls) => tls.receive(wire, plain, out),
            Carrier::WebSocket(websocket) => {
                let used = websocket.receive(wire, plain, out);
                wire.drain(..used.unwrap_or(wire.len()));
                Ok(used.map(|_| ())?)
            }
            Carrier::Both(both) => both.receive(wire, plain, out, between),
        }
    }

    /// Appends to `out` what says `plain`, in as few records as there can be. After the handshake only. `between` is as in
    /// [`Channel::receive`].
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>, between: &mut Vec<u8>) {
        match &mut self.0 {
            Carrier::Tls(tls) => tls.seal(plain, out),
            Carrier::WebSocket(websocket) => websocket.seal(plain, out),
            Carrier::Both(both) => {
                between.clear();
                both.websocket.seal(plain, between);
                both.tls.seal(between, out);
            }
        }
    }

    /// Appends to `out` that nothing more will be said.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        match &mut self.0 {
            Carrier::Tls(tls) => tls.close(out),
            Carrier::WebSocket(websocket) => websocket.close(out),
            Carrier::Both(both) => {
                let mut frame = Vec::new();
                both.websocket.close(&mut frame);
                both.tls.seal(&frame, out);
                both.tls.close(out);
            }
        }
    }

    /// What was agreed on; `None` while the handshake is under way.
    pub fn agreed(&self) -> Option<Agreed> {
        match &self.0 {
            Carrier::Tls(tls) => tls.agreed(),
            Carrier::WebSocket(websocket) => websocket.is_established().then_some(Agreed::Full),
            Carrier::Both(both) => both.tls.agreed().filter(|_| both.websocket.is_established()),
        }
    }

    /// Whether the peer has said that it will say nothing more.
    pub fn is_closed(&self) -> bool {
        match &self.0 {
            Carrier::Tls(tls) => tls.is_closed(),
            Carrier::WebSocket(websocket) => websocket.is_closed(),
            Carrier::Both(both) => both.tls.is_closed() || both.websocket.is_closed(),
        }
    }

    /// How many of the last `unsent` bytes of wire are of the application, where `plain` bytes became `wire`: of TLS whole
    /// records, of which nobody can read a part.
    pub fn unsent(&self, plain: usize, wire: usize, unsent: usize) -> usize {
        match &self.0 {
            Carrier::Tls(_) => whole_records(plain, wire, unsent),
            Carrier::WebSocket(_) => unsent.min(plain),
            Carrier::Both(both) => {
                let frame = plain + both.websocket.overhead(plain);
                whole_records(frame, wire, unsent).min(plain)
            }
        }
    }

    /// What it means that the connection below ended while the handshake was under way.
    pub fn ended(&self) -> Trouble {
        match &self.0 {
            Carrier::Both(both) if both.tls.agreed().is_none() => Trouble::Ended,
            Carrier::Tls(_) => Trouble::Ended,
            Carrier::WebSocket(_) | Carrier::Both(_) => websocket::Trouble::NoAnswer.into(),
        }
    }
}

impl Both {
    fn receive(
        &mut self,
        wire: &mut Vec<u8>,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
        between: &mut Vec<u8>,
    ) -> Result<(), Trouble> {
        between.clear();
        between.append(&mut self.rest);
        let unsealed = self.tls.receive(wire, between, out);
        // What TLS has to say at its end goes before what is said within it.
        if self.tls.agreed().is_none() {
            return unsealed;
        }
        let mut answer = Vec::new();
        if !self.begun {
            self.begun = true;
            self.websocket.start(&mut answer);
        }
        let used = self.websocket.receive(between, plain, &mut answer);
        if !answer.is_empty() {
            self.tls.seal(&answer, out);
        }
        self.rest.extend_from_slice(&between[used?..]);
        unsealed
    }
}

/// What a client has kept of an earlier connection, to resume it.
#[derive(Default, Debug)]
pub struct Keepsake(Option<Arc<tls::Tickets>>);

/// Makes the channels of clients.
#[derive(Default, Debug)]
pub struct Dialer {
    tls: Option<secure::Client>,
    websocket: Option<Upgrades>,
    about: Transport,
}

/// What clients ask for, of each broker by its number, and what their keys and masks are drawn from.
#[derive(Debug)]
struct Upgrades {
    of: Vec<Arc<Upgrade>>,
    seed: u64,
    /// Connections so far: each has a key of its own.
    made: AtomicU64,
}

impl Dialer {
    /// Of clients that speak TLS.
    pub fn new(tls: tls::Client) -> Dialer {
        let about = tls.about();
        Dialer { tls: Some(secure::Client::Tls(tls)), websocket: None, about }
    }

    /// Of clients that speak TLS with keys of their own instead of certificates.
    #[cfg(feature = "psk")]
    pub fn psk(psk: psk::Client) -> Dialer {
        // Who has the key has shown who it is.
        let about = Transport { kind: TransportKind::Psk, verified: Some(true), ..Transport::default() };
        Dialer { tls: Some(secure::Client::Psk(psk)), websocket: None, about }
    }

    /// Over it, or over nothing, WebSocket: each broker is asked for what `upgrades` has for its number. Keys and masks are
    /// drawn from `seed`, for each connection anew.
    #[must_use]
    pub fn with_websocket(self, upgrades: Vec<Upgrade>, seed: u64) -> Dialer {
        let of = upgrades.into_iter().map(Arc::new).collect();
        let websocket = Some(Upgrades { of, seed, made: AtomicU64::new(0) });
        Dialer { websocket, about: Transport { websocket: true, ..self.about }, ..self }
    }

    /// What it makes, for the record.
    pub fn about(&self) -> &Transport {
        &self.about
    }

    /// That of client `client` to broker number `host`.
    ///
    /// # Errors
    /// What keeps this client from having one.
    pub fn channel(&self, host: u32, client: u32, keepsake: &mut Keepsake) -> Result<Channel, Trouble> {
        let tls = self.tls.as_ref().map(|tls| tls.open(host, client, keepsake)).transpose()?;
        let websocket = self.websocket.as_ref().map(|upgrades| {
            let draw =
                Draw::of(upgrades.seed, WEBSOCKET, client, upgrades.made.fetch_add(1, Ordering::Relaxed));
            WebSocket::client(&upgrades.of[host as usize], draw)
        });
        Ok(Channel::new(tls, websocket))
    }
}

/// Makes the channels of a server.
#[derive(Default, Debug)]
pub struct Acceptor {
    tls: Option<secure::Server>,
    websocket: bool,
}

impl Acceptor {
    /// Of a server that speaks TLS.
    pub fn new(tls: tls::Server) -> Acceptor {
        Acceptor { tls: Some(secure::Server::Tls(tls)), websocket: false }
    }

    /// Of a server that speaks TLS with keys of its clients instead of certificates.
    #[cfg(feature = "psk")]
    pub fn psk(psk: psk::Server) -> Acceptor {
        Acceptor { tls: Some(secure::Server::Psk(psk)), websocket: false }
    }

    /// Over it, or over nothing, WebSocket, at every path.
    #[must_use]
    pub fn with_websocket(self) -> Acceptor {
        Acceptor { websocket: true, ..self }
    }

    /// That of the next connection.
    ///
    /// # Errors
    /// What keeps it from being one.
    pub fn channel(&self) -> Result<Channel, Trouble> {
        let tls = self.tls.as_ref().map(secure::Server::open).transpose()?;
        Ok(Channel::new(tls, self.websocket.then(WebSocket::server)))
    }
}

/// How many of the last `unsent` bytes of wire are of what was sealed, rounded up to whole records, where `plain`
/// bytes became `wire`.
fn whole_records(plain: usize, wire: usize, unsent: usize) -> usize {
    if unsent >= wire {
        return plain;
    }
    let records = plain.div_ceil(LARGEST_RECORD).max(1);
    let around = (wire - plain) / records;
    // The last record is the short one.
    let last = plain - (records - 1) * LARGEST_RECORD;
    let (mut left, mut said, mut record) = (unsent, 0, last);
    while left > 0 {
        said += record;
        left = left.saturating_sub(record + around);
        record = LARGEST_RECORD;
    }
    said.min(plain)
}

/// Bytes that a record holds at most (RFC 8446, 5.1).
const LARGEST_RECORD: usize = 1 << 14;

#[cfg(test)]
mod tests;
