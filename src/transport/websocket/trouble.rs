//! What can be wrong with the other end of a WebSocket.

/// What the peer did wrong, or said to be wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    /// What comes is not HTTP.
    #[error("what came is not HTTP, which a WebSocket begins with: is the port the right one?")]
    NoHttp,
    /// It speaks TLS.
    #[error("it speaks TLS on this port: use wss://")]
    Tls,
    /// The connection ended during the upgrade.
    #[error(
        "it closed the connection instead of answering the upgrade to WebSocket: is the port the right one?"
    )]
    NoAnswer,
    /// An answer with another status than 101.
    #[error("it answered the upgrade to WebSocket with HTTP status {0}, not 101: {fix}", fix = fix(*.0))]
    Status(u16),
    /// The head breaks the grammar of HTTP.
    #[error(
        "the head of its upgrade to WebSocket is no valid HTTP [RFC 9112, 2.1]: is the port the right one?"
    )]
    BadHead,
    /// The head has no end.
    #[error(
        "the head of its upgrade to WebSocket has more than 64 headers or 8 KiB: is the port the right one?"
    )]
    LongHead,
    /// The head does not say what makes it an upgrade to WebSocket.
    #[error(
        "its HTTP head has no `Upgrade: websocket` and `Connection: Upgrade` [RFC 6455, 4.1]: does it, or a proxy \
         before it, know WebSocket?"
    )]
    NoUpgrade,
    /// The answer is not to this request.
    #[error(
        "its Sec-WebSocket-Accept does not fit the key [RFC 6455, 4.1]: does a cache or a proxy answer in its place?"
    )]
    Accept,
    /// Not MQTT is spoken over the WebSocket.
    #[error(
        "it did not agree on the subprotocol mqtt [MQTT-6.0.0-3]: is there MQTT behind this path? Change it with \
         --host ws://host:port/path"
    )]
    Subprotocol,
    /// An extension that nobody asked for.
    #[error("it agreed on an extension that was not offered [RFC 6455, 4.1]: turn it off there")]
    Extension,
    /// A key that is not 16 bytes in base64.
    #[error("its Sec-WebSocket-Key is not 16 bytes in base64 [RFC 6455, 4.1]")]
    Key,
    /// Another version of the protocol.
    #[error("its Sec-WebSocket-Version is not 13 [RFC 6455, 4.1]")]
    Version,
    /// A server must not mask.
    #[error("it masked a frame, which only clients do [RFC 6455, 5.1]")]
    Masked,
    /// A client must mask.
    #[error("it did not mask a frame, as clients must [RFC 6455, 5.1]")]
    Unmasked,
    /// Text is no MQTT.
    #[error("it sent a text frame; MQTT is in binary ones [MQTT-6.0.0-1]: is there MQTT behind this path?")]
    Text,
    /// Bits that belong to extensions.
    #[error(
        "it set reserved bits of a frame, though no extension was agreed on [RFC 6455, 5.2]: turn compression off there"
    )]
    ReservedBits,
    /// A frame of no known kind.
    #[error("it sent a frame with the reserved opcode {0:#x} [RFC 6455, 5.2]")]
    Opcode(u8),
    /// A control frame in parts.
    #[error("it fragmented a control frame [RFC 6455, 5.5]")]
    FragmentedControl,
    /// A control frame beyond its bound.
    #[error("it sent a control frame of more than 125 bytes [RFC 6455, 5.5]")]
    LongControl,
    /// The length of a frame is written in a way that it must not be.
    #[error("the length of a frame is beyond 2^63 bytes, or in more bytes than it needs [RFC 6455, 5.2]")]
    Length,
    /// A message that begins in another.
    #[error("it began a message before the fragmented one was over [RFC 6455, 5.4]")]
    Interleaved,
    /// The rest of nothing.
    #[error("it continued a message that it had not begun [RFC 6455, 5.4]")]
    Continuation,
    /// A close frame with half a code, or one that is not to be sent.
    #[error("it closed with the code {0}, which must not be sent [RFC 6455, 7.4]")]
    CloseCode(u16),
    /// It has something against this end.
    #[error("it closed the WebSocket with code {0} ({meaning})", meaning = meaning(*.0))]
    Closed(u16),
}

impl Trouble {
    /// The code to close with: none when there is nobody to tell.
    pub(super) fn code(self) -> Option<u16> {
        match self {
            Trouble::Text => Some(1003),
            Trouble::Closed(_) => None,
            _ => Some(1002),
        }
    }
}

/// What helps against an HTTP status.
fn fix(status: u16) -> &'static str {
    match status {
        300..=399 => "it sends clients elsewhere; give that address with --host",
        401 | 403 | 407 => "what it wants to see may be given with --ws-header 'Authorization: ...'",
        404 | 405 => "change the path, with --host ws://host:port/path",
        429 | 503 => "it, or a proxy before it, has too much to do; try a lower --connect-rate",
        500.. => "its log, or that of a proxy before it, may say why",
        _ => "check the path of --host ws://host:port/path, and --ws-header",
    }
}

/// What a close code means (RFC 6455, 7.4.1, and IANA's list).
fn meaning(code: u16) -> &'static str {
    match code {
        1002 => "protocol error: it found a mistake in what it received",
        1003 => "unsupported data",
        1007 => "invalid data",
        1008 => "policy violation: its log may say which",
        1009 => "message too big: let the broker take longer frames, or send smaller messages",
        1011 => "internal error: its log may say which",
        1012 => "it restarts",
        1013 => "try again later: it has too much to do",
        3000 => "unauthorized: check user and password, or --ws-header",
        _ => "its log may say why",
    }
}
