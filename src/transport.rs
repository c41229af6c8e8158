//! What carries a connection's bytes between the socket and MQTT, sans-IO: bytes in, bytes out.
//!
//! A [`Channel`] is one end of one connection: it makes what goes over the wire of what is to be said
//! ([`Channel::seal`]), and the reverse ([`Channel::receive`]). A [`Dialer`] makes those of clients, an [`Acceptor`]
//! those of a server. Nothing here knows what the bytes mean, and nobody above knows which transport it is.

pub mod tls;

mod trouble;

pub use trouble::Trouble;

use crate::record::Transport;
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
    secure: Box<Tls>,
}

impl Channel {
    /// Begins the handshake, if this end has the first word.
    pub fn start(&mut self, out: &mut Vec<u8>) -> Result<(), Trouble> {
        self.secure.receive(&mut Vec::new(), &mut Vec::new(), out)
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
        self.secure.receive(wire, plain, out)
    }

    /// Appends to `out` what says `plain`, in as few records as there can be. After the handshake only.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        self.secure.seal(plain, out);
    }

    /// Appends to `out` that nothing more will be said.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        self.secure.close(out);
    }

    /// What was agreed on; `None` while the handshake is under way.
    pub fn agreed(&self) -> Option<Agreed> {
        self.secure.agreed()
    }

    /// Whether the peer has said that it will say nothing more.
    pub fn is_closed(&self) -> bool {
        self.secure.is_closed()
    }
}

/// What a client has kept of an earlier connection, to resume it.
#[derive(Default, Debug)]
pub struct Keepsake(Option<Arc<tls::Tickets>>);

/// Makes the channels of clients.
#[derive(Debug)]
pub struct Dialer {
    tls: tls::Client,
    about: Transport,
}

impl Dialer {
    /// Of clients that speak TLS.
    pub fn new(tls: tls::Client) -> Dialer {
        let about = tls.about();
        Dialer { tls, about }
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
        Ok(Channel { secure: Box::new(self.tls.open(host, client, keepsake)?) })
    }
}

/// Makes the channels of a server.
#[derive(Debug)]
pub struct Acceptor {
    tls: tls::Server,
}

impl Acceptor {
    /// Of a server that speaks TLS.
    pub fn new(tls: tls::Server) -> Acceptor {
        Acceptor { tls }
    }

    /// That of the next connection.
    ///
    /// # Errors
    /// What keeps it from being one.
    pub fn channel(&self) -> Result<Channel, Trouble> {
        Ok(Channel { secure: Box::new(self.tls.open()?) })
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
