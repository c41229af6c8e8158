//! What carries a connection's bytes between the socket and MQTT, sans-IO: bytes in, bytes out.
//!
//! A [`Channel`] is one end of one connection: it makes what goes over the wire of what is to be said
//! ([`Channel::seal`]), and the reverse ([`Channel::receive`]). A [`Dialer`] makes those of clients, an [`Acceptor`]
//! those of a server. Nothing here knows what the bytes mean, and nobody above knows which transport it is.

pub mod keys;
#[cfg(feature = "psk")]
pub mod psk;
pub mod tls;

mod trouble;

pub use keys::{KeyError, Keys};
pub use trouble::Trouble;

use crate::record::Transport;
#[cfg(feature = "psk")]
use crate::record::TransportKind;
#[cfg(feature = "psk")]
use psk::Psk;
use std::sync::Arc;
use tls::Tls;

/// What was agreed on in a handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Agreed {
    /// Everything anew, certificates included.
    Full,
    /// On what an earlier connection had left: a ticket or a session.
    Resumed,
}

/// One end of one connection.
pub struct Channel {
    secure: Secure,
}

/// What keeps its secrets.
enum Secure {
    Tls(Box<Tls>),
    #[cfg(feature = "psk")]
    Psk(Box<Psk>),
}

/// Has whatever keeps the secrets do something.
macro_rules! of {
    ($secure:expr, $end:ident => $does:expr) => {
        match $secure {
            Secure::Tls($end) => $does,
            #[cfg(feature = "psk")]
            Secure::Psk($end) => $does,
        }
    };
}

impl Channel {
    /// Begins the handshake, if this end has the first word.
    pub fn start(&mut self, out: &mut Vec<u8>) -> Result<(), Trouble> {
        of!(&mut self.secure, end => end.receive(&mut Vec::new(), &mut Vec::new(), out))
    }

    /// Takes from the front of `wire` what can be taken: what is said goes to the end of `plain`, and what the
    /// transport itself has to answer to the end of `out`, also beside an error. What is left of `wire` is to be given again in front of what follows.
    ///
    /// # Errors
    /// The connection cannot go on. What was appended to `out` is for the peer still.
    pub fn receive(
        &mut self,
        wire: &mut Vec<u8>,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), Trouble> {
        of!(&mut self.secure, end => end.receive(wire, plain, out))
    }

    /// Appends to `out` what says `plain`, in as few records as there can be. After the handshake only.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        of!(&mut self.secure, end => end.seal(plain, out));
    }

    /// Appends to `out` that nothing more will be said.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        of!(&mut self.secure, end => end.close(out));
    }

    /// What was agreed on; `None` while the handshake is under way.
    pub fn agreed(&self) -> Option<Agreed> {
        of!(&self.secure, end => end.agreed())
    }

    /// Whether the peer has said that it will say nothing more.
    pub fn is_closed(&self) -> bool {
        of!(&self.secure, end => end.is_closed())
    }
}

/// What a client has kept of an earlier connection, to resume it.
#[derive(Default, Debug)]
pub struct Keepsake(Option<Arc<tls::Tickets>>);

/// Makes the channels of clients.
#[derive(Debug)]
pub struct Dialer {
    kind: Dials,
    about: Transport,
}

#[derive(Debug)]
enum Dials {
    Tls(tls::Client),
    #[cfg(feature = "psk")]
    Psk(psk::Client),
}

impl Dialer {
    /// Of clients that speak TLS.
    pub fn new(tls: tls::Client) -> Dialer {
        Dialer { about: tls.about(), kind: Dials::Tls(tls) }
    }

    /// Of clients that speak TLS with a key of their own instead of certificates.
    #[cfg(feature = "psk")]
    pub fn psk(psk: psk::Client) -> Dialer {
        // Who has the key has shown who it is.
        let about = Transport { kind: TransportKind::Psk, verified: Some(true), ..Transport::default() };
        Dialer { about, kind: Dials::Psk(psk) }
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
        let secure = match &self.kind {
            Dials::Tls(tls) => Secure::Tls(Box::new(tls.open(host, client, keepsake)?)),
            #[cfg(feature = "psk")]
            Dials::Psk(psk) => Secure::Psk(Box::new(psk.open(client)?)),
        };
        Ok(Channel { secure })
    }
}

/// Makes the channels of a server.
#[derive(Debug)]
pub struct Acceptor {
    kind: Accepts,
}

#[derive(Debug)]
enum Accepts {
    Tls(tls::Server),
    #[cfg(feature = "psk")]
    Psk(psk::Server),
}

impl Acceptor {
    /// Of a server that speaks TLS.
    pub fn new(tls: tls::Server) -> Acceptor {
        Acceptor { kind: Accepts::Tls(tls) }
    }

    /// Of a server that speaks TLS with a key for each client instead of certificates.
    #[cfg(feature = "psk")]
    pub fn psk(psk: psk::Server) -> Acceptor {
        Acceptor { kind: Accepts::Psk(psk) }
    }

    /// That of the next connection.
    ///
    /// # Errors
    /// What keeps it from being one.
    pub fn channel(&self) -> Result<Channel, Trouble> {
        let secure = match &self.kind {
            Accepts::Tls(tls) => Secure::Tls(Box::new(tls.open()?)),
            #[cfg(feature = "psk")]
            Accepts::Psk(psk) => Secure::Psk(Box::new(psk.open()?)),
        };
        Ok(Channel { secure })
    }
}

/// How many of the last `unsent` bytes of wire are of the application, rounded up to whole records, where `plain`
/// bytes became `wire`.
pub fn unsent(plain: usize, wire: usize, unsent: usize) -> usize {
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
