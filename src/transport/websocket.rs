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

use crate::seed::{Draw, Purpose};
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
/// assert_eq!(server.receive(&up, &mut plain, &mut down)?, up.len());
/// assert_eq!(client.receive(&down, &mut plain, &mut Vec::new())?, down.len());
/// assert!(client.is_established() && server.is_established());
///
/// up.clear();
/// client.seal(b"packets", &mut up);
/// assert_eq!(server.receive(&up, &mut plain, &mut down)?, up.len());
/// assert_eq!(plain, b"packets");
/// # Ok::<(), malaria_bench::transport::websocket::Trouble>(())
/// ```
#[derive(Debug)]
pub struct WebSocket {
    /// What a client masks its frames with, each by a key of its own. RFC 6455, 5.3, wants keys that cannot be foreseen, for
    /// the sake of proxies that others' scripts could speak through; all bytes here are the load's own, so that eight bytes of
    /// state are enough. Of a server nothing is drawn.
    masks: Draw,
    /// What a client asks for, until it is answered: an idle connection owns no heap.
    asked: Option<Box<(Arc<Upgrade>, upgrade::Key)>>,
    /// What has not come of the frame under way, and the mask that its next byte begins with.
    left: u64,
    mask: [u8; 4],
    role: Role,
    stage: Stage,
    /// A message has begun whose last frame has not.
    fragmented: bool,
}

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
        WebSocket { asked: Some(Box::new((upgrade.clone(), key))), ..WebSocket::new(Role::Client, draw) }
    }

    /// A server, which takes every path.
    pub fn server() -> WebSocket {
        WebSocket::new(Role::Server, Draw::of(0, Purpose::named("nothing"), 0, 0))
    }

    fn new(role: Role, masks: Draw) -> WebSocket {
        let (stage, fragmented) = (Stage::Upgrading, false);
        WebSocket { masks, asked: None, left: 0, mask: [0; 4], role, stage, fragmented }
    }

    /// Appends the request of a client to `out`; a server has none. Once, before anything else.
    pub fn start(&mut self, out: &mut Vec<u8>) {
        if let Some((upgrade, key)) = self.asked.as_deref() {
            upgrade.request(key, out);
        }
    }

    /// Takes from the front of `wire` what can be taken, and answers how many bytes: what is left, less than 8 KiB of a head
    /// or 139 bytes of a frame, is to be given again in front of what follows. Appends what was said to `plain`, and the
    /// answers that it asks for to `out`.
    ///
    /// # Errors
    /// What the peer did wrong, or said to be wrong. Once what is in `out` has gone, the connection is to be closed;
    /// whatever comes until then is not looked at.
    pub fn receive(&mut self, wire: &[u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<usize, Trouble> {
        let taken = match self.stage {
            Stage::Upgrading => self.upgrade(wire, plain, out),
            _ => self.frames(wire, plain, out),
        };
        if let Err(trouble) = taken {
            if let (Stage::Open, Some(code)) = (self.stage, trouble.code()) {
                self.write(Opcode::Close, &code.to_be_bytes(), out);
            }
            self.stage = Stage::Closed;
            self.asked = None;
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

    /// Appends `plain` to `out`, as one frame. When either side has said close it goes nowhere.
    ///
    /// # Panics
    /// If the upgrade is not over.
    #[inline]
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        assert!(self.is_established(), "no frame before the upgrade is over");
        if self.stage == Stage::Open && !plain.is_empty() {
            self.write(Opcode::Binary, plain, out);
        }
    }

    /// What [`WebSocket::seal`] adds to so many bytes.
    pub fn overhead(&self, plain: usize) -> usize {
        frame::head_length(plain, self.role)
    }

    /// Says close. What has been sealed before still arrives.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if self.stage == Stage::Open {
            self.write(Opcode::Close, &NORMAL.to_be_bytes(), out);
            self.stage = Stage::Closing;
        }
    }

    #[inline]
    fn write(&mut self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        let key = match self.role {
            Role::Client => Some((self.masks.bits() as u32).to_ne_bytes()),
            Role::Server => None,
        };
        frame::write(opcode, payload, key, out);
    }

    /// Takes the head of the request or of its answer, and what stands behind it.
    fn upgrade(&mut self, wire: &[u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<usize, Trouble> {
        let head = match self.asked.as_deref() {
            Some((_, key)) => upgrade::answered(wire, key)?,
            None => upgrade::accept(wire, out)?,
        };
        let Some(length) = head else { return Ok(0) };
        self.asked = None;
        self.stage = Stage::Open;
        Ok(length + self.frames(&wire[length..], plain, out)?)
    }

    fn frames(&mut self, wire: &[u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<usize, Trouble> {
        let (answers, mut rest) = (out.len(), wire);
        while !rest.is_empty() {
            if self.stage == Stage::Closed {
                return Ok(wire.len());
            }
            if self.left > 0 {
                let some = usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
                self.open(&rest[..some], plain);
                self.left -= some as u64;
                rest = &rest[some..];
                continue;
            }
            let Some((head, at)) = frame::parse(rest, self.role)? else { break };
            if head.opcode.is_control() {
                let end = at + head.length as usize;
                let Some(payload) = rest.get(at..end) else { break };
                let mut bytes = [0; frame::LONGEST_CONTROL];
                let payload = frame::unmask(payload, head.mask, &mut bytes);
                self.control(head.opcode, payload, answers, out)?;
                rest = &rest[end..];
            } else {
                self.begin(head)?;
                rest = &rest[at..];
            }
        }
        Ok(wire.len() - rest.len())
    }

    /// Takes bytes of a message.
    #[inline]
    fn open(&mut self, bytes: &[u8], plain: &mut Vec<u8>) {
        match self.role {
            Role::Client => plain.extend_from_slice(bytes),
            Role::Server => {
                frame::mask(bytes, self.mask, plain);
                self.mask.rotate_left(bytes.len() % 4);
            }
        }
    }

    /// A frame of a message begins with `head`.
    #[inline]
    fn begin(&mut self, head: Head) -> Result<(), Trouble> {
        match (head.opcode, self.fragmented) {
            (Opcode::Binary, true) => return Err(Trouble::Interleaved),
            (Opcode::Continuation, false) => return Err(Trouble::Continuation),
            _ => {}
        }
        (self.fragmented, self.left, self.mask) = (!head.last, head.length, head.mask);
        Ok(())
    }

    /// Takes a whole control frame. `answers` is how long `out` was before any answer to what came at once.
    fn control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        answers: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Trouble> {
        match opcode {
            Opcode::Ping if self.stage == Stage::Open => {
                // Of several the last may be answered alone (5.5.3): who pings and does not read has no more of it.
                out.truncate(answers);
                self.write(Opcode::Pong, payload, out);
            }
            Opcode::Close => return self.closed(payload, out),
            _ => {}
        }
        Ok(())
    }

    /// The peer says close, and perhaps why. It hears the same (5.5.1), unless it has heard it already.
    fn closed(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Trouble> {
        let reason = frame::close_code(payload)?;
        if self.stage == Stage::Open {
            self.write(Opcode::Close, &payload[..payload.len().min(2)], out);
        }
        self.stage = Stage::Closed;
        match reason {
            // It has done its part, or goes away: as if it had closed the connection.
            None | Some(NORMAL | 1001) => Ok(()),
            Some(code) => Err(Trouble::Closed(code)),
        }
    }
}

#[cfg(test)]
mod tests;
