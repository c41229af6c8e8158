//! WebSocket (RFC 6455) below MQTT: one end of one connection.
//!
//! Frames are no packets: a broker may cut its bytes anywhere, and put several packets into one frame or one into
//! several. So what comes in frames is handed on as the stream of bytes that it is, and what goes out in one pass is
//! one binary frame [MQTT-6.0.0-1] [MQTT-6.0.0-2].

mod frame;
mod trouble;
mod upgrade;

pub use trouble::Trouble;
pub use upgrade::{Header, HeaderError, Upgrade};

use crate::seed::Draw;
use frame::{Head, Opcode, Role};
use std::sync::Arc;

/// Both sides have said what they had to (RFC 6455, 7.4.1).
const NORMAL: u16 = 1000;

/// One end of a WebSocket connection.
///
/// ```
/// use malaria_bench::seed::{Draw, Purpose};
/// use malaria_bench::transport::websocket::{Upgrade, WebSocket};
/// use std::sync::Arc;
///
/// let upgrade = Arc::new(Upgrade::new("broker.lab:8083", "/mqtt", &[]));
/// let mut client = WebSocket::client(&upgrade, Draw::of(7, Purpose::named("doc"), 0, 0));
/// let mut server = WebSocket::server();
/// let (mut up, mut down, mut plain) = (Vec::new(), Vec::new(), Vec::new());
/// client.start(&mut up);
/// server.receive(&up, &mut plain, &mut down)?;
/// client.receive(&down, &mut plain, &mut Vec::new())?;
/// assert!(client.is_established() && server.is_established());
///
/// up.clear();
/// client.seal(b"packets", &mut up);
/// server.receive(&up, &mut plain, &mut down)?;
/// assert_eq!(plain, b"packets");
/// # Ok::<(), malaria_bench::transport::websocket::Trouble>(())
/// ```
#[derive(Debug)]
pub struct WebSocket {
    end: End,
    /// Only there while the upgrade or a control frame is under way: an idle connection owns no heap.
    aside: Option<Box<Aside>>,
    incoming: Incoming,
    stage: Stage,
    /// A message has begun whose last frame has not.
    fragmented: bool,
}

/// Which end this is.
#[derive(Debug)]
enum End {
    /// Its frames are masked, each by a key of its own.
    Client {
        /// RFC 6455, 5.3, wants keys that cannot be foreseen, for the sake of proxies that others' scripts could speak
        /// through. All bytes here are the load's own, and the same seed is to give the same bytes.
        masks: Draw,
    },
    Server,
}

/// What is kept of the upgrade, or of a control frame.
#[derive(Debug)]
struct Aside {
    /// What a client asks for, and the key that it sends with it.
    upgrade: Option<(Arc<Upgrade>, upgrade::Key)>,
    /// What has come of the head, or of the control frame's payload.
    bytes: Vec<u8>,
}

/// The frame that is coming in.
#[derive(Debug)]
enum Incoming {
    /// Its first bytes, until they are a whole head.
    Head { bytes: [u8; frame::LONGEST_HEAD], length: u8 },
    /// What is left of its payload, and the mask that its next byte begins with.
    Payload { left: u64, mask: [u8; 4], opcode: Opcode },
}

/// The next byte begins a frame.
const BETWEEN: Incoming = Incoming::Head { bytes: [0; frame::LONGEST_HEAD], length: 0 };

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Upgrading,
    Open,
    /// This end has said close.
    Closing,
    /// The peer has said close, or something was wrong: nothing more is taken.
    Closed,
}

impl WebSocket {
    /// A client of the server that `upgrade` describes. Its key and its masks are drawn from `draw`.
    pub fn client(upgrade: &Arc<Upgrade>, mut draw: Draw) -> WebSocket {
        let key = upgrade::Key::drawn(&mut draw);
        WebSocket::new(End::Client { masks: draw }, Some((upgrade.clone(), key)))
    }

    /// A server, which takes every path.
    pub fn server() -> WebSocket {
        WebSocket::new(End::Server, None)
    }

    fn new(end: End, upgrade: Option<(Arc<Upgrade>, upgrade::Key)>) -> WebSocket {
        let aside = Some(Box::new(Aside { upgrade, bytes: Vec::new() }));
        WebSocket { end, aside, incoming: BETWEEN, stage: Stage::Upgrading, fragmented: false }
    }

    /// Appends the request of a client to `out`; a server has none. Once, before anything else.
    pub fn start(&mut self, out: &mut Vec<u8>) {
        if let Some(Aside { upgrade: Some((upgrade, key)), .. }) = self.aside.as_deref() {
            upgrade.request(key, out);
        }
    }

    /// Takes all of `wire`, whatever it ends in. Appends what it says to `plain`, and the answers that it asks for to
    /// `out`.
    ///
    /// # Errors
    /// What the peer did wrong, or said to be wrong. Once what is in `out` has gone, the connection is to be closed;
    /// whatever comes until then is not looked at.
    pub fn receive(&mut self, wire: &[u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), Trouble> {
        let taken = match self.stage {
            Stage::Upgrading => self.upgrade(wire, plain, out),
            _ => self.frames(wire, plain, out),
        };
        if let Err(trouble) = taken {
            if let (Stage::Open, Some(code)) = (self.stage, trouble.code()) {
                self.control(Opcode::Close, &code.to_be_bytes(), out);
            }
            self.stage = Stage::Closed;
            self.aside = None;
        }
        taken
    }

    /// Whether the upgrade is over, so that bytes may be sent.
    pub fn is_established(&self) -> bool {
        self.stage != Stage::Upgrading
    }

    /// Whether nothing more will come: the peer has said close, or was found to be wrong.
    pub fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// What it means that the peer has closed the connection below, if it should not have done so yet.
    pub fn ended(&self) -> Option<Trouble> {
        (self.stage == Stage::Upgrading).then_some(Trouble::NoAnswer)
    }

    /// Appends `plain` to `out`, as one frame. When either side has said close it goes nowhere.
    ///
    /// # Panics
    /// If the upgrade is not over.
    #[inline]
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        assert!(self.is_established(), "no frame before the upgrade is over");
        if self.stage == Stage::Open && !plain.is_empty() {
            frame::write(Opcode::Binary, plain, self.end.mask(), out);
        }
    }

    /// What [`WebSocket::seal`] adds to so many bytes.
    pub fn overhead(&self, plain: usize) -> usize {
        frame::head_length(plain, self.end.role())
    }

    /// Says close. What has been sealed before still arrives.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if self.stage == Stage::Open {
            self.control(Opcode::Close, &NORMAL.to_be_bytes(), out);
            self.stage = Stage::Closing;
        }
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        frame::write(opcode, payload, self.end.mask(), out);
    }

    /// Takes bytes of the head of the request or its answer, and what may have come behind it.
    fn upgrade(&mut self, wire: &[u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), Trouble> {
        let aside = self.aside.as_mut().expect("it is there until the upgrade is over");
        aside.bytes.extend_from_slice(wire);
        let head = match &aside.upgrade {
            Some((_, key)) => upgrade::answered(&aside.bytes, key)?,
            None => upgrade::accept(&aside.bytes, out)?,
        };
        let Some(length) = head else { return Ok(()) };
        let aside = self.aside.take().expect("it was there");
        self.stage = Stage::Open;
        self.frames(&aside.bytes[length..], plain, out)
    }

    fn frames(&mut self, mut wire: &[u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), Trouble> {
        let answers = out.len();
        while self.stage != Stage::Closed {
            match &mut self.incoming {
                Incoming::Head { bytes, length } => {
                    match frame::read(bytes, length, &mut wire, self.end.role())? {
                        Some(head) => self.begin(head)?,
                        None => break,
                    }
                }
                Incoming::Payload { left, mask, opcode } => {
                    let some = usize::try_from(*left).map_or(wire.len(), |left| left.min(wire.len()));
                    let (now, later) = wire.split_at(some);
                    let into = match opcode {
                        Opcode::Binary | Opcode::Continuation => &mut *plain,
                        Opcode::Ping | Opcode::Pong | Opcode::Close => {
                            &mut self.aside.get_or_insert_with(Aside::for_control).bytes
                        }
                    };
                    let at = into.len();
                    into.extend_from_slice(now);
                    if matches!(self.end, End::Server) {
                        frame::mask(&mut into[at..], *mask);
                        mask.rotate_left(some % 4);
                    }
                    wire = later;
                    *left -= some as u64;
                    if *left > 0 {
                        break;
                    }
                    let opcode = *opcode;
                    self.incoming = BETWEEN;
                    self.end_frame(opcode, answers, out)?;
                }
            }
        }
        Ok(())
    }

    /// A frame begins with `head`.
    fn begin(&mut self, head: Head) -> Result<(), Trouble> {
        match (head.opcode, self.fragmented) {
            (Opcode::Binary, true) => return Err(Trouble::Interleaved),
            (Opcode::Continuation, false) => return Err(Trouble::Continuation),
            (Opcode::Binary | Opcode::Continuation, _) => self.fragmented = !head.last,
            (Opcode::Ping | Opcode::Pong | Opcode::Close, _) => {}
        }
        self.incoming = Incoming::Payload { left: head.length, mask: head.mask, opcode: head.opcode };
        Ok(())
    }

    /// A frame is over. `answers` is how long `out` was before any answer to these bytes.
    fn end_frame(&mut self, opcode: Opcode, answers: usize, out: &mut Vec<u8>) -> Result<(), Trouble> {
        if matches!(opcode, Opcode::Binary | Opcode::Continuation) {
            return Ok(());
        }
        let payload = self.aside.take().map_or_else(Vec::new, |aside| aside.bytes);
        match opcode {
            Opcode::Ping if self.stage == Stage::Open => {
                // Of several the last may be answered alone (5.5.3): who pings and does not read has no more of it.
                out.truncate(answers);
                self.control(Opcode::Pong, &payload, out);
            }
            Opcode::Close => return self.closed(&payload, out),
            _ => {}
        }
        Ok(())
    }

    /// The peer says close, and perhaps why. It hears the same (5.5.1), unless it has heard it already.
    fn closed(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Trouble> {
        let reason = frame::close_code(payload)?;
        if self.stage == Stage::Open {
            self.control(Opcode::Close, &payload[..payload.len().min(2)], out);
        }
        self.stage = Stage::Closed;
        match reason {
            // It has done its part, or goes away: as if it had closed the connection.
            None | Some(NORMAL | 1001) => Ok(()),
            Some(code) => Err(Trouble::Closed(code)),
        }
    }
}

impl Aside {
    fn for_control() -> Box<Aside> {
        Box::new(Aside { upgrade: None, bytes: Vec::with_capacity(frame::LONGEST_CONTROL) })
    }
}

impl End {
    fn role(&self) -> Role {
        match self {
            End::Client { .. } => Role::Client,
            End::Server => Role::Server,
        }
    }

    /// The key for the next frame that leaves, if those of this end have one.
    #[inline]
    fn mask(&mut self) -> Option<[u8; 4]> {
        match self {
            End::Client { masks } => Some((masks.bits() as u32).to_ne_bytes()),
            End::Server => None,
        }
    }
}

#[cfg(test)]
mod tests;
