//! The upgrade from HTTP (RFC 6455, 4), as either end sees it.

use super::Trouble;
use crate::seed::Draw;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use httparse::Status;
use sha1::{Digest, Sha1};
use std::fmt;
use std::str::FromStr;

/// The longest head that is looked at, in bytes.
pub const LONGEST: usize = 8 << 10;
/// The most headers in one.
const HEADERS: usize = 64;
/// What a server appends to the key before it hashes it (1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// What the handshake says itself.
const OWN: [&str; 7] = [
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Accept",
];

/// What all clients of one server ask for.
#[derive(Debug)]
pub struct Upgrade {
    /// All but the key.
    head: Box<[u8]>,
}

impl Upgrade {
    /// Of the server at `host`, which has the port if it is not the scheme's, the resource `path`, and whatever else
    /// is to stand in the head. A Host among the `headers` stands in place of `host`.
    pub fn new(host: &str, path: &str, headers: &[Header]) -> Upgrade {
        let mut head = format!("GET {path} HTTP/1.1\r\n");
        if !headers.iter().any(|header| header.name.eq_ignore_ascii_case("Host")) {
            head += &format!("Host: {host}\r\n");
        }
        head += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Protocol: mqtt\r\n";
        for Header { name, value } in headers {
            head += &format!("{name}: {value}\r\n");
        }
        Upgrade { head: head.into_bytes().into() }
    }

    /// Appends the request with this key.
    pub(super) fn request(&self, key: &Key, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"Sec-WebSocket-Key: ");
        out.extend_from_slice(&key.0);
        out.extend_from_slice(b"\r\n\r\n");
    }
}

/// A line for the head of the request, as text: `Name: value`.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: String,
}

/// The value may be a secret.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a text is no header to send.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// It has no colon, or something else than a name before it. The text is not repeated: it may be a secret.
    #[error("expected `Name: value`, with a name of letters, digits and hyphens")]
    Malformed,
    /// A value that HTTP cannot carry.
    #[error("the value of `{0}` has characters that HTTP cannot carry")]
    Value(String),
    /// One of those that the upgrade has itself.
    #[error("`{0}` is part of every upgrade to WebSocket and cannot be given")]
    Own(String),
}

impl FromStr for Header {
    type Err = HeaderError;

    fn from_str(text: &str) -> Result<Header, HeaderError> {
        let (name, value) = text.split_once(':').ok_or(HeaderError::Malformed)?;
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(HeaderError::Malformed);
        }
        let (name, value) = (name.to_owned(), value.trim().to_owned());
        if value.chars().any(char::is_control) {
            return Err(HeaderError::Value(name));
        }
        match OWN.iter().any(|own| own.eq_ignore_ascii_case(&name)) {
            true => Err(HeaderError::Own(name)),
            false => Ok(Header { name, value }),
        }
    }
}

/// A key as the request has it: 16 bytes in base64.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key([u8; 24]);

impl Key {
    /// 16 bytes of `draw`.
    pub fn drawn(draw: &mut Draw) -> Key {
        let mut bytes = [0; 16];
        draw.fill(&mut bytes);
        Key::of(bytes)
    }

    /// This one.
    pub fn of(bytes: [u8; 16]) -> Key {
        let mut text = [0; 24];
        STANDARD.encode_slice(bytes, &mut text).expect("16 bytes are 24 of text");
        Key(text)
    }

    /// That of a request, if it is one.
    fn read(text: &[u8]) -> Option<Key> {
        let key = Key(text.try_into().ok()?);
        let bytes = STANDARD.decode(text).ok()?;
        (bytes.len() == 16).then_some(key)
    }

    /// What the server answers, to show that it is one.
    fn accept(&self) -> [u8; 28] {
        let hash = Sha1::new().chain_update(self.0).chain_update(GUID).finalize();
        let mut text = [0; 28];
        STANDARD.encode_slice(hash, &mut text).expect("20 bytes are 28 of text");
        text
    }
}

/// Checks what a server has answered to the request with `key`. Yields the length of the head once it is whole.
///
/// # Errors
/// What is wrong with it, as soon as it is visible.
pub fn answered(bytes: &[u8], key: &Key) -> Result<Option<usize>, Trouble> {
    if !begins_with(bytes, b"HTTP/")? {
        return Ok(None);
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let parsed = answer.parse(bytes);
    if let Some(status) = answer.code.filter(|status| *status != 101) {
        return Err(Trouble::Status(status));
    }
    let Some(length) = whole(bytes, parsed)? else { return Ok(None) };
    let headers = Headers(answer.headers);
    headers.upgrade()?;
    if headers.value("Sec-WebSocket-Accept") != Some(&key.accept()) {
        return Err(Trouble::Accept);
    }
    if headers.value("Sec-WebSocket-Extensions").is_some_and(|extensions| !extensions.is_empty()) {
        return Err(Trouble::Extension);
    }
    match headers.value("Sec-WebSocket-Protocol") {
        Some(b"mqtt") => Ok(Some(length)),
        _ => Err(Trouble::Subprotocol),
    }
}

/// Answers what a client has asked for, of whatever resource. Yields the length of the head once it is whole.
///
/// # Errors
/// What is wrong with it; then the refusal is in `out`.
pub fn accept(bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Trouble> {
    match asked(bytes) {
        Ok(Some((length, key))) => {
            out.extend_from_slice(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: ",
            );
            out.extend_from_slice(&key.accept());
            out.extend_from_slice(b"\r\n\r\n");
            Ok(Some(length))
        }
        Ok(None) => Ok(None),
        Err(trouble) => {
            let status: &[u8] = match trouble {
                Trouble::NoHttp | Trouble::Tls => b"",
                Trouble::Version => b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\n",
                _ => b"HTTP/1.1 400 Bad Request\r\n",
            };
            if !status.is_empty() {
                out.extend_from_slice(status);
                out.extend_from_slice(b"Connection: close\r\nContent-Length: 0\r\n\r\n");
            }
            Err(trouble)
        }
    }
}

fn asked(bytes: &[u8]) -> Result<Option<(usize, Key)>, Trouble> {
    if !begins_with(bytes, b"GET ")? {
        return Ok(None);
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(bytes);
    let Some(length) = whole(bytes, parsed)? else { return Ok(None) };
    let headers = Headers(request.headers);
    headers.upgrade()?;
    if headers.value("Sec-WebSocket-Version") != Some(b"13") {
        return Err(Trouble::Version);
    }
    let key = headers.value("Sec-WebSocket-Key").and_then(Key::read).ok_or(Trouble::Key)?;
    // A client must offer it [MQTT-6.0.0-3].
    match headers.lists("Sec-WebSocket-Protocol", "mqtt") {
        true => Ok(Some((length, key))),
        false => Err(Trouble::Subprotocol),
    }
}

/// Whether `bytes` have begun as `start` does; false where one more has to come to tell.
fn begins_with(bytes: &[u8], start: &[u8]) -> Result<bool, Trouble> {
    let visible = bytes.len().min(start.len());
    match bytes {
        _ if bytes[..visible] == start[..visible] => Ok(true),
        // A record of type alert or handshake, version 3.x (RFC 8446, 5.1).
        [0x15 | 0x16] => Ok(false),
        [0x15 | 0x16, 3, ..] => Err(Trouble::Tls),
        _ => Err(Trouble::NoHttp),
    }
}

/// The length of the head, when it is whole.
fn whole(bytes: &[u8], parsed: Result<Status<usize>, httparse::Error>) -> Result<Option<usize>, Trouble> {
    match parsed {
        Ok(Status::Complete(length)) if length <= LONGEST => Ok(Some(length)),
        Ok(Status::Partial) if bytes.len() < LONGEST => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(Trouble::LongHead),
        Err(_) => Err(Trouble::BadHead),
    }
}

/// The lines of a head.
struct Headers<'a, 'b>(&'a [httparse::Header<'b>]);

impl<'b> Headers<'_, 'b> {
    fn all(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        let named = self.0.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value.trim_ascii())
    }

    /// The value of the first of this name.
    fn value(&self, name: &str) -> Option<&'b [u8]> {
        self.all(name).next()
    }

    /// Whether `token` is in the list of this name.
    fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    fn upgrade(&self) -> Result<(), Trouble> {
        match self.lists("Upgrade", "websocket") && self.lists("Connection", "Upgrade") {
            true => Ok(()),
            false => Err(Trouble::NoUpgrade),
        }
    }
}
