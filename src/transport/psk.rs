//! TLS 1.2 and 1.3 with a key that both ends know instead of certificates, by OpenSSL: rustls has none of it.

use super::tls::Versions;
use super::{Agreed, Keys, Trouble};
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{
    Error, ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions,
    SslSessionCacheMode, SslStream, SslVerifyMode, SslVersion,
};
use rustls::AlertDescription;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::{swap, take};

/// TLS 1.2. By name, because what OpenSSL would take first is a Diffie-Hellman exchange of 3,072 bits; the key alone is the
/// cheapest there is.
const CIPHERS: &str = "PSK-AES128-GCM-SHA256:PSK-CHACHA20-POLY1305:ECDHE-PSK-CHACHA20-POLY1305:PSK-AES128-CBC-SHA256:\
                       ECDHE-PSK-AES128-CBC-SHA256";
/// TLS 1.3: keys are for SHA-256.
const SUITES: &str = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
const GROUPS: &str = "X25519:P-256";

/// Bytes that are read at a time.
const CHUNK: usize = 4096;

/// How both ends speak.
#[derive(Clone, Default, Debug)]
pub struct Settings {
    /// Which versions.
    pub versions: Versions,
    /// Cipher suites by OpenSSL's names, in their order; none: the usual ones.
    pub ciphers: Vec<String>,
}

/// Why TLS-PSK cannot be set up as asked.
#[derive(Debug, thiserror::Error)]
#[error("TLS-PSK cannot be set up: {0}; see `openssl ciphers -v -psk` for the names of cipher suites")]
pub struct SettingError(#[from] ErrorStack);

impl Settings {
    fn context(&self) -> Result<SslContextBuilder, ErrorStack> {
        let mut context = SslContextBuilder::new(SslMethod::tls())?;
        context.set_mode(SslMode::RELEASE_BUFFERS);
        context.set_options(SslOptions::NO_TICKET | SslOptions::NO_RENEGOTIATION);
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        let (least, most) = match self.versions {
            Versions::Both => (SslVersion::TLS1_2, SslVersion::TLS1_3),
            Versions::V12 => (SslVersion::TLS1_2, SslVersion::TLS1_2),
            Versions::V13 => (SslVersion::TLS1_3, SslVersion::TLS1_3),
        };
        context.set_min_proto_version(Some(least))?;
        context.set_max_proto_version(Some(most))?;
        context.set_groups_list(GROUPS)?;
        let named = |of_13: bool| {
            let names = self.ciphers.iter().filter(|name| name.starts_with("TLS_") == of_13);
            names.map(String::as_str).collect::<Vec<_>>().join(":")
        };
        let (older, newer) = (named(false), named(true));
        // Who names suites of one version alone has the usual ones of the other.
        context.set_cipher_list(if older.is_empty() { CIPHERS } else { &older })?;
        context.set_ciphersuites(if newer.is_empty() { SUITES } else { &newer })?;
        Ok(context)
    }
}

/// Makes TLS-PSK of clients: one context for all of them.
pub struct Client {
    context: SslContext,
    /// Where a connection has the number of its client.
    number: Index<Ssl, u32>,
}

impl fmt::Debug for Client {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// Clients with `keys`.
    ///
    /// # Errors
    /// What cannot be as asked.
    pub fn new(settings: &Settings, keys: Keys) -> Result<Client, SettingError> {
        let number = Ssl::new_ex_index()?;
        let mut context = settings.context()?;
        // Nobody is trusted for a certificate: who shows one has no key.
        context.set_verify(SslVerifyMode::PEER);
        // Of both versions. Who has no key is sent away by OpenSSL itself.
        context.set_psk_client_callback(move |ssl, _, identity, key| {
            let known = ssl.ex_data(number).and_then(|client| keys.get(*client));
            let Some((own, secret)) = known else { return Ok(0) };
            if identity.len() <= own.len() || key.len() < secret.len() {
                return Ok(0);
            }
            identity[..own.len()].copy_from_slice(own);
            identity[own.len()] = 0;
            key[..secret.len()].copy_from_slice(secret);
            Ok(secret.len())
        });
        Ok(Client { context: context.build(), number })
    }

    /// That of client `client`.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(super) fn open(&self, client: u32) -> Result<Psk, Trouble> {
        let mut ssl = Ssl::new(&self.context).map_err(|_| Trouble::Own)?;
        ssl.set_ex_data(self.number, client);
        ssl.set_connect_state();
        Psk::new(ssl)
    }
}

/// Makes TLS-PSK of a server.
pub struct Server {
    context: SslContext,
}

impl fmt::Debug for Server {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}

impl Server {
    /// A server that knows `keys`.
    ///
    /// # Errors
    /// What cannot be as asked.
    pub fn new(settings: &Settings, keys: &Keys) -> Result<Server, SettingError> {
        let all = (0..keys.len() as u32).filter_map(|index| keys.get(index));
        let known: HashMap<Vec<u8>, Vec<u8>> = all.map(|(name, key)| (name.into(), key.into())).collect();
        let mut context = settings.context()?;
        context.set_psk_server_callback(move |_, identity, key| {
            let secret = identity.and_then(|identity| known.get(identity));
            let Some(secret) = secret.filter(|secret| secret.len() <= key.len()) else { return Ok(0) };
            key[..secret.len()].copy_from_slice(secret);
            Ok(secret.len())
        });
        Ok(Server { context: context.build() })
    }

    /// That of the next connection.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(super) fn open(&self) -> Result<Psk, Trouble> {
        let mut ssl = Ssl::new(&self.context).map_err(|_| Trouble::Own)?;
        ssl.set_accept_state();
        Psk::new(ssl)
    }
}

/// One end of one connection.
pub struct Psk {
    stream: SslStream<Pipe>,
    established: bool,
    closed: bool,
}

/// What OpenSSL takes for a socket: the caller's buffers, for as long as a call takes.
#[derive(Default)]
struct Pipe {
    arrived: Vec<u8>,
    taken: usize,
    leaving: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let rest = &self.arrived[self.taken..];
        if rest.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let some = rest.len().min(space.len());
        space[..some].copy_from_slice(&rest[..some]);
        self.taken += some;
        Ok(some)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.leaving.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Psk {
    fn new(ssl: Ssl) -> Result<Psk, Trouble> {
        let stream = SslStream::new(ssl, Pipe::default()).map_err(|_| Trouble::Own)?;
        Ok(Psk { stream, established: false, closed: false })
    }

    /// Lends OpenSSL the buffers for what `act` does.
    fn lend<T>(
        &mut self,
        wire: &mut Vec<u8>,
        out: &mut Vec<u8>,
        act: impl FnOnce(&mut SslStream<Pipe>) -> T,
    ) -> T {
        let pipe = self.stream.get_mut();
        swap(&mut pipe.arrived, wire);
        swap(&mut pipe.leaving, out);
        let result = act(&mut self.stream);
        let pipe = self.stream.get_mut();
        swap(&mut pipe.arrived, wire);
        swap(&mut pipe.leaving, out);
        wire.drain(..take(&mut pipe.taken));
        result
    }

    /// As [`Channel::receive`](super::Channel::receive).
    pub(super) fn receive(
        &mut self,
        wire: &mut Vec<u8>,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), Trouble> {
        let mut established = self.established;
        let result = self.lend(wire, out, |stream| drive(stream, &mut established, plain));
        self.established = established;
        match result {
            // It has taken everything, and wants more.
            Err(error) if error.code() == ErrorCode::WANT_READ => Ok(()),
            Err(error) => {
                wire.clear();
                if error.code() == ErrorCode::ZERO_RETURN {
                    self.closed = true;
                    return Ok(());
                }
                Err(trouble(&error, established))
            }
            Ok(never) => match never {},
        }
    }

    pub(super) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        self.lend(&mut Vec::new(), out, |stream| {
            let mut rest = plain;
            while !rest.is_empty() {
                // What cannot be sealed any more goes nowhere.
                let Ok(some) = stream.ssl_write(rest) else { return };
                rest = &rest[some..];
            }
        });
    }

    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        // Within a handshake there is nothing to say.
        let _ = self.lend(&mut Vec::new(), out, SslStream::shutdown);
    }

    pub(super) fn agreed(&self) -> Option<Agreed> {
        self.established.then_some(Agreed::Full)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

/// Goes on until there is nothing left to take.
fn drive(
    stream: &mut SslStream<Pipe>,
    established: &mut bool,
    plain: &mut Vec<u8>,
) -> Result<std::convert::Infallible, Error> {
    if !*established {
        stream.do_handshake()?;
        *established = true;
    }
    loop {
        let begin = plain.len();
        plain.resize(begin + CHUNK, 0);
        let read = stream.ssl_read(&mut plain[begin..]);
        plain.truncate(begin + read.as_ref().map_or(0, |read| *read));
        read?;
    }
}

/// OpenSSL's reasons (`sslerr.h`), where they say more than that the protocol was broken.
mod reason {
    pub const DATA_LENGTH_TOO_LONG: i32 = 146;
    pub const DECRYPTION_FAILED: i32 = 147;
    pub const ENCRYPTED_LENGTH_TOO_LONG: i32 = 150;
    pub const HTTPS_PROXY_REQUEST: i32 = 155;
    pub const HTTP_REQUEST: i32 = 156;
    pub const CERTIFICATE_VERIFY_FAILED: i32 = 134;
    pub const NO_SHARED_CIPHER: i32 = 193;
    pub const PACKET_LENGTH_TOO_LONG: i32 = 198;
    pub const UNKNOWN_PROTOCOL: i32 = 252;
    pub const UNSUPPORTED_PROTOCOL: i32 = 258;
    pub const WRONG_VERSION_NUMBER: i32 = 267;
    pub const BAD_RECORD_MAC: i32 = 281;
    /// Of the alerts that the peer sent.
    pub const ALERTS: std::ops::Range<i32> = 1000..1256;
}

fn trouble(error: &Error, established: bool) -> Trouble {
    let first = error.ssl_error().and_then(|stack| stack.errors().first());
    let Some(code) = first.map(openssl::error::Error::reason_code) else { return Trouble::Own };
    match code {
        code if reason::ALERTS.contains(&code) => {
            let alert = AlertDescription::from((code - reason::ALERTS.start) as u8);
            if established { Trouble::Alert(alert) } else { of_alert(alert) }
        }
        reason::WRONG_VERSION_NUMBER
        | reason::UNKNOWN_PROTOCOL
        | reason::HTTP_REQUEST
        | reason::HTTPS_PROXY_REQUEST
            if !established =>
        {
            Trouble::NotTls
        }
        reason::CERTIFICATE_VERIFY_FAILED => Trouble::Certificate,
        reason::UNSUPPORTED_PROTOCOL | reason::NO_SHARED_CIPHER => Trouble::Incompatible,
        reason::DATA_LENGTH_TOO_LONG | reason::ENCRYPTED_LENGTH_TOO_LONG | reason::PACKET_LENGTH_TOO_LONG => {
            Trouble::OversizedRecord
        }
        reason::BAD_RECORD_MAC | reason::DECRYPTION_FAILED => Trouble::Undecryptable,
        _ => Trouble::Misbehaved,
    }
}

/// What an alert within the handshake means where there is a key and no certificate.
fn of_alert(alert: AlertDescription) -> Trouble {
    match alert {
        AlertDescription::UnknownPSKIdentity | AlertDescription::HandshakeFailure => {
            Trouble::UnknownPsk(alert)
        }
        // TLS 1.3 finds that the binder is wrong, 1.2 that what was sealed is.
        AlertDescription::IllegalParameter
        | AlertDescription::DecryptError
        | AlertDescription::BadRecordMac => Trouble::WrongPsk(alert),
        _ => Trouble::Alert(alert),
    }
}

#[cfg(test)]
mod tests;
