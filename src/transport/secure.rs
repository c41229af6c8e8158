//! TLS of either kind: with certificates, or with keys that both ends know.

#[cfg(feature = "psk")]
use super::psk::{self, Psk};
use super::tls::{self, Tls};
use super::{Agreed, Keepsake, Trouble};

/// One end of one connection.
#[cfg_attr(
    feature = "psk",
    expect(
        clippy::large_enum_variant,
        reason = "it is boxed with its connection, and OpenSSL's own state is ten times as large"
    )
)]
pub(super) enum Secure {
    Tls(Tls),
    #[cfg(feature = "psk")]
    Psk(Psk),
}

/// Has whichever it is do something.
macro_rules! whichever {
    ($secure:expr, $end:ident => $does:expr) => {
        match $secure {
            Secure::Tls($end) => $does,
            #[cfg(feature = "psk")]
            Secure::Psk($end) => $does,
        }
    };
}

impl Secure {
    /// As [`Channel::receive`](super::Channel::receive).
    pub(super) fn receive(
        &mut self,
        wire: &mut Vec<u8>,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), Trouble> {
        whichever!(self, end => end.receive(wire, plain, out))
    }

    pub(super) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        whichever!(self, end => end.seal(plain, out));
    }

    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        whichever!(self, end => end.close(out));
    }

    pub(super) fn agreed(&self) -> Option<Agreed> {
        whichever!(self, end => end.agreed())
    }

    pub(super) fn is_closed(&self) -> bool {
        whichever!(self, end => end.is_closed())
    }
}

/// Makes it of clients.
#[derive(Debug)]
pub(super) enum Client {
    Tls(tls::Client),
    #[cfg(feature = "psk")]
    Psk(psk::Client),
}

impl Client {
    /// That of client `client` to broker number `host`.
    pub(super) fn open(&self, host: u32, client: u32, keepsake: &mut Keepsake) -> Result<Secure, Trouble> {
        match self {
            Client::Tls(tls) => tls.open(host, client, keepsake).map(Secure::Tls),
            #[cfg(feature = "psk")]
            Client::Psk(psk) => psk.open(client).map(Secure::Psk),
        }
    }
}

/// Makes it of a server.
#[derive(Debug)]
pub(super) enum Server {
    Tls(tls::Server),
    #[cfg(feature = "psk")]
    Psk(psk::Server),
}

impl Server {
    /// That of the next connection.
    pub(super) fn open(&self) -> Result<Secure, Trouble> {
        match self {
            Server::Tls(tls) => tls.open().map(Secure::Tls),
            #[cfg(feature = "psk")]
            Server::Psk(psk) => psk.open().map(Secure::Psk),
        }
    }
}
