//! TLS 1.2 and 1.3 by rustls, without buffers of a connection's own.

mod client;
mod server;
mod verify;

pub use client::{Client, Host, Roots, Settings, Tickets};
pub use server::{Identity, Server, roots};

use super::{Agreed, Trouble};
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus,
    WriteTraffic,
};
use rustls::{Error, HandshakeKind, SupportedProtocolVersion};

/// Most bytes that a record has around what it says: header, explicit nonce, type, tag, and what cipher suites with
/// padding add.
const AROUND: usize = 64;

/// Why TLS cannot be set up as asked.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A cipher suite that there is not, or not in the versions allowed.
    #[error("there is no cipher suite `{asked}`; there are {known}")]
    Cipher {
        /// As typed.
        asked: String,
        /// All of them.
        known: String,
    },
    /// No name that a certificate could be for.
    #[error(
        "`{0}` is neither a DNS name nor an address, so no certificate can be for it; give one with --sni"
    )]
    Name(String),
    /// A certificate or key that is none, or does not fit.
    #[error("{what}: {reason}")]
    Pem {
        /// Which file.
        what: String,
        /// Why.
        reason: String,
    },
    /// A set-up that rustls refuses.
    #[error("TLS cannot be set up: {0}")]
    Refused(#[from] Error),
}

/// Which versions may be spoken.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Versions {
    /// 1.3, or else 1.2.
    #[default]
    Both,
    /// 1.2 alone.
    V12,
    /// 1.3 alone.
    V13,
}

impl Versions {
    fn supported(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
        match self {
            Versions::Both => &BOTH,
            Versions::V12 => &BOTH[1..],
            Versions::V13 => &BOTH[..1],
        }
    }
}

/// The cryptography, with cipher suites `names` in their order, or all.
fn provider(names: &[String]) -> Result<CryptoProvider, SettingError> {
    let provider = aws_lc_rs::default_provider();
    if names.is_empty() {
        return Ok(provider);
    }
    let suites = &provider.cipher_suites;
    let plain = |name: &str| name.to_ascii_uppercase().replace("TLS13_", "TLS_");
    let known =
        || suites.iter().map(|suite| plain(suite.suite().as_str().unwrap_or_default())).collect::<Vec<_>>();
    let chosen = names.iter().map(|name| {
        let at = known().iter().position(|known| *known == plain(name));
        at.map(|at| suites[at])
            .ok_or_else(|| SettingError::Cipher { asked: name.clone(), known: known().join(", ") })
    });
    let cipher_suites = chosen.collect::<Result<_, _>>()?;
    Ok(CryptoProvider { cipher_suites, ..provider })
}

/// One end of one connection.
pub struct Tls {
    end: End,
    closed: bool,
}

// A connection is boxed with this: both ends are of about one size.
enum End {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

impl Tls {
    fn new(end: End) -> Tls {
        Tls { end, closed: false }
    }

    /// As [`Channel::receive`](super::Channel::receive).
    pub(super) fn receive(
        &mut self,
        wire: &mut Vec<u8>,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), Trouble> {
        let first = wire.first().copied();
        let closed = match &mut self.end {
            End::Client(end) => drive(end, wire, plain, out),
            End::Server(end) => drive(end, wire, plain, out),
        };
        self.closed |= closed.map_err(|error| Trouble::of_tls(&error, first, self.agreed().is_some()))?;
        Ok(())
    }

    pub(super) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        match &mut self.end {
            End::Client(end) => {
                write(end, out, |mut traffic, space| traffic.encrypt(plain, space), plain.len());
            }
            End::Server(end) => {
                write(end, out, |mut traffic, space| traffic.encrypt(plain, space), plain.len());
            }
        }
    }

    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        match &mut self.end {
            End::Client(end) => write(end, out, |mut traffic, space| traffic.queue_close_notify(space), 0),
            End::Server(end) => write(end, out, |mut traffic, space| traffic.queue_close_notify(space), 0),
        }
    }

    pub(super) fn agreed(&self) -> Option<Agreed> {
        let (handshaking, kind) = match &self.end {
            End::Client(end) => (end.is_handshaking(), end.handshake_kind()),
            End::Server(end) => (end.is_handshaking(), end.handshake_kind()),
        };
        match kind {
            _ if handshaking => None,
            Some(HandshakeKind::Resumed) => Some(Agreed::Resumed),
            _ => Some(Agreed::Full),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

/// What both kinds of rustls' connections can do.
trait Process {
    type Data;
    fn process<'c, 'i>(&'c mut self, wire: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Process for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    fn process<'c, 'i>(&'c mut self, wire: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(wire)
    }
}

impl Process for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    fn process<'c, 'i>(&'c mut self, wire: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(wire)
    }
}

/// Takes `wire` as far as it goes; answers whether the peer has closed its side.
fn drive<E: Process>(
    end: &mut E,
    wire: &mut Vec<u8>,
    plain: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<bool, Error> {
    let (mut used, mut closed) = (0, false);
    let result = loop {
        let UnbufferedStatus { mut discard, state } = end.process(&mut wire[used..]);
        let result = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                // What does not decrypt is told by the next state.
                while let Some(Ok(record)) = traffic.next_record() {
                    discard += record.discard;
                    plain.extend_from_slice(record.payload);
                }
                None
            }
            Ok(ConnectionState::EncodeTlsData(data)) => {
                encode(data, out);
                None
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                None
            }
            Ok(ConnectionState::PeerClosed) => {
                closed = true;
                None
            }
            Ok(_) => Some(Ok(closed)),
            Err(error) => Some(Err(error)),
        };
        used += discard;
        if let Some(result) = result {
            break result;
        }
    };
    if result.is_err() {
        // The alert that tells the peer why, which is one chunk. Nothing else is heard any more.
        if let Ok(ConnectionState::EncodeTlsData(data)) = end.process(&mut wire[used..]).state {
            encode(data, out);
        }
        used = wire.len();
    }
    wire.drain(..used);
    result
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, out: &mut Vec<u8>) {
    append(out, 1024, |space| {
        data.encode(space).map_err(|error| match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Some(required_size),
            EncodeError::AlreadyEncoded => None,
        })
    });
}

/// Writes what has to be written first, and then what `what` encrypts of `len` bytes. Nothing if nothing may be written
/// any more.
fn write<E: Process>(
    end: &mut E,
    out: &mut Vec<u8>,
    what: impl Fn(WriteTraffic<'_, E::Data>, &mut [u8]) -> Result<usize, EncryptError>,
    len: usize,
) {
    let mut room = len + (len / super::LARGEST_RECORD + 1) * AROUND;
    loop {
        match end.process(&mut []).state {
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::WriteTraffic(traffic)) => {
                let begin = out.len();
                out.resize(begin + room, 0);
                match what(traffic, &mut out[begin..]) {
                    Ok(written) => return out.truncate(begin + written),
                    Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                        assert!(required_size > room, "{required_size} bytes do not fit into {room}");
                        (room, _) = (required_size, out.truncate(begin));
                    }
                    Err(_) => return out.truncate(begin),
                }
            }
            _ => return,
        }
    }
}

/// Appends what `write` writes into a space of `room` bytes, or of as many as it asks for.
fn append(
    out: &mut Vec<u8>,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) {
    let begin = out.len();
    loop {
        out.resize(begin + room, 0);
        match write(&mut out[begin..]) {
            Ok(written) => return out.truncate(begin + written),
            Err(Some(required)) => {
                assert!(required > room, "{required} bytes do not fit into {room}");
                room = required;
            }
            Err(None) => return out.truncate(begin),
        }
    }
}
