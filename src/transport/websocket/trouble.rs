//! What can be wrong with the other end of a WebSocket.

/// What the peer did wrong, or said to be wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    /// What comes is not HTTP.
    #[error("WebSocket: what the broker answered is not HTTP; it speaks something else on this port")]
    NoHttp,
    /// It speaks TLS.
    #[error("WebSocket: the broker speaks TLS on this port; use wss://")]
    Tls,
    /// The connection ended during the upgrade.
    #[error(
        "ended within the upgrade to WebSocket: the broker speaks something else on this port, or refuses without a word"
    )]
    NoAnswer,
    /// An answer with another status than 101.
    #[error("WebSocket: the broker answered the upgrade with HTTP status {0}, not 101; {fix}", fix = fix(*.0))]
    Status(u16),
    /// The head breaks the grammar of HTTP.
    #[error(
        "WebSocket: the head of the broker's answer is malformed (RFC 9112, 2.1); does it speak HTTP on this port?"
    )]
    BadHead,
    /// The head has no end.
    #[error(
        "WebSocket: the head of the broker's answer has more than 64 lines or 8 KiB; does it speak WebSocket on this port?"
    )]
    LongHead,
    /// The head does not say what makes it an upgrade to WebSocket.
    #[error(
        "WebSocket: the broker's answer lacks `Upgrade: websocket` or `Connection: Upgrade` (RFC 6455, 4.1); does it, or a \
         proxy before it, know WebSocket?"
    )]
    NoUpgrade,
    /// The answer is not to this request.
    #[error(
        "WebSocket: Sec-WebSocket-Accept does not fit the key (RFC 6455, 4.1); does a cache or a proxy answer for the broker?"
    )]
    Accept,
    /// Not MQTT is spoken over the WebSocket.
    #[error(
        "WebSocket: the broker did not agree on the subprotocol mqtt [MQTT-6.0.0-4]; is there MQTT behind this path? Change \
         it with --host ws://host:port/path"
    )]
    Subprotocol,
    /// An extension that nobody asked for.
    #[error(
        "WebSocket: the broker uses an extension that was not offered (RFC 6455, 4.1); turn it off there"
    )]
    Extension,
    /// A key that is not 16 bytes in base64.
    #[error("WebSocket: Sec-WebSocket-Key is not 16 bytes in base64 (RFC 6455, 4.1)")]
    Key,
    /// Another version of the protocol.
    #[error("WebSocket: Sec-WebSocket-Version is not 13 (RFC 6455, 4.1)")]
    Version,
    /// A server must not mask.
    #[error("WebSocket: the broker masked a frame, which only clients do (RFC 6455, 5.1)")]
    Masked,
    /// A client must mask.
    #[error("WebSocket: a client did not mask a frame (RFC 6455, 5.1)")]
    Unmasked,
    /// Text is no MQTT.
    #[error(
        "WebSocket: the broker sent text; MQTT is in binary frames [MQTT-6.0.0-1]; is there MQTT behind this path?"
    )]
    Text,
    /// Bits that belong to extensions.
    #[error(
        "WebSocket: a frame has reserved bits set, though no extension was offered (RFC 6455, 5.2); turn compression off there"
    )]
    ReservedBits,
    /// A frame of no known kind.
    #[error("WebSocket: a frame has the reserved opcode {0:#x} (RFC 6455, 5.2)")]
    Opcode(u8),
    /// A control frame in parts.
    #[error("WebSocket: a control frame is fragmented (RFC 6455, 5.5)")]
    FragmentedControl,
    /// A control frame beyond its bound.
    #[error("WebSocket: a control frame has more than 125 bytes (RFC 6455, 5.5)")]
    LongControl,
    /// The length of a frame is written in a way that it must not be.
    #[error(
        "WebSocket: the length of a frame is 2^63 or more, or written in more bytes than it needs (RFC 6455, 5.2)"
    )]
    Length,
    /// A message that begins in another.
    #[error("WebSocket: a message begins before the fragmented one is over (RFC 6455, 5.4)")]
    Interleaved,
    /// The rest of nothing.
    #[error("WebSocket: a frame continues a message that was not begun (RFC 6455, 5.4)")]
    Continuation,
    /// A close frame with half a code, or one that is not to be sent.
    #[error("WebSocket: a close frame has the code {0}, which must not be sent (RFC 6455, 7.4)")]
    CloseCode(u16),
    /// It has something against this end.
    #[error("WebSocket: the broker closed with code {0} ({meaning})", meaning = meaning(*.0))]
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
