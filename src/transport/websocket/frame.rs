//! Frames (RFC 6455, 5.2).

use super::Trouble;

/// The longest head: two bytes, a length of eight, a mask of four.
const LONGEST_HEAD: usize = 14;
/// The longest payload of a control frame (5.5).
pub const LONGEST_CONTROL: usize = 125;

/// What a frame is of. There is no text: MQTT must be in binary frames [MQTT-6.0.0-1].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opcode {
    /// More of a message.
    Continuation = 0,
    /// A message, or the beginning of one.
    Binary = 2,
    /// No more will come.
    Close = 8,
    /// To be answered.
    Ping = 9,
    /// The answer.
    Pong = 10,
}

/// Which end this is: it masks what it sends or what it receives is masked (5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Client,
    Server,
}

/// What stands before a payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    pub opcode: Opcode,
    /// Whether it is the last frame of its message.
    pub last: bool,
    /// Bytes of payload.
    pub length: u64,
    /// Zero where there is none.
    pub mask: [u8; 4],
}

impl Opcode {
    /// Whether it is of the connection, not of a message (5.5).
    #[inline]
    pub fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// The head at the front of `bytes`, which the other end of `role` has sent, and its length.
///
/// # Errors
/// The rule that it breaks, as soon as it is visible.
#[inline]
pub fn parse(bytes: &[u8], role: Role) -> Result<Option<(Head, usize)>, Trouble> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let (last, opcode) = (first & 0x80 != 0, opcode(first)?);
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    let (masked, short) = (second & 0x80 != 0, second & 0x7F);
    match (role, masked) {
        (Role::Client, true) => return Err(Trouble::Masked),
        (Role::Server, false) => return Err(Trouble::Unmasked),
        _ => {}
    }
    if opcode.is_control() {
        if !last {
            return Err(Trouble::FragmentedControl);
        }
        if usize::from(short) > LONGEST_CONTROL {
            return Err(Trouble::LongControl);
        }
    }
    let (length, at) = match short {
        126 => match bytes.get(2..).and_then(<[u8]>::first_chunk) {
            Some(length) => (u16::from_be_bytes(*length).into(), 4),
            None => return Ok(None),
        },
        127 => match bytes.get(2..).and_then(<[u8]>::first_chunk) {
            Some(length) => (u64::from_be_bytes(*length), 10),
            None => return Ok(None),
        },
        short => (short.into(), 2),
    };
    match short {
        126 if length < 126 => return Err(Trouble::Length),
        127 if length <= u64::from(u16::MAX) || length >> 63 != 0 => return Err(Trouble::Length),
        _ => {}
    }
    if !masked {
        return Ok(Some((Head { opcode, last, length, mask: [0; 4] }, at)));
    }
    let mask = bytes.get(at..).and_then(<[u8]>::first_chunk);
    Ok(mask.map(|mask| (Head { opcode, last, length, mask: *mask }, at + 4)))
}

/// What the first byte says. No extension is ever agreed on, so the reserved bits are 0.
#[inline]
fn opcode(first: u8) -> Result<Opcode, Trouble> {
    if first & 0x70 != 0 {
        return Err(Trouble::ReservedBits);
    }
    match first & 0x0F {
        0 => Ok(Opcode::Continuation),
        1 => Err(Trouble::Text),
        2 => Ok(Opcode::Binary),
        8 => Ok(Opcode::Close),
        9 => Ok(Opcode::Ping),
        10 => Ok(Opcode::Pong),
        reserved => Err(Trouble::Opcode(reserved)),
    }
}

/// Bytes of the head of a frame with so many bytes of payload.
pub const fn head_length(payload: usize, from: Role) -> usize {
    let mask = match from {
        Role::Client => 4,
        Role::Server => 0,
    };
    mask + match payload {
        ..126 => 2,
        126..0x1_0000 => 4,
        _ => 10,
    }
}

/// Appends a whole message, of one frame.
#[inline]
pub fn write(opcode: Opcode, payload: &[u8], key: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let masked = if key.is_some() { 0x80 } else { 0 };
    let first = 0x80 | opcode as u8;
    out.reserve(LONGEST_HEAD + payload.len());
    match payload.len() {
        length @ ..126 => out.extend_from_slice(&[first, masked | length as u8]),
        length @ 126..0x1_0000 => {
            let [high, low] = (length as u16).to_be_bytes();
            out.extend_from_slice(&[first, masked | 126, high, low]);
        }
        length => {
            out.extend_from_slice(&[first, masked | 127]);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    match key {
        Some(key) => {
            out.extend_from_slice(&key);
            mask(payload, key, out);
        }
        None => out.extend_from_slice(payload),
    }
}

/// Appends `bytes`, masked or unmasked with `key` from its first byte on (5.3). Eight at a time, into bytes that are there:
/// 10.6 ns for 100 bytes and 27 for 800, 11.8 and 29 when copied bytes are masked where they are.
#[inline]
pub fn mask(bytes: &[u8], key: [u8; 4], out: &mut Vec<u8>) {
    let [a, b, c, d] = key;
    let key = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let at = out.len();
    out.resize(at + bytes.len(), 0);
    let (eights, rest) = bytes.as_chunks::<8>();
    let (into, into_rest) = out[at..].as_chunks_mut::<8>();
    for (into, eight) in into.iter_mut().zip(eights) {
        *into = (u64::from_ne_bytes(*eight) ^ key).to_ne_bytes();
    }
    for ((into, byte), key) in into_rest.iter_mut().zip(rest).zip(key.to_ne_bytes()) {
        *into = byte ^ key;
    }
}

/// The payload of a control frame, in `bytes`.
pub fn unmask<'b>(payload: &[u8], key: [u8; 4], bytes: &'b mut [u8; LONGEST_CONTROL]) -> &'b [u8] {
    let bytes = &mut bytes[..payload.len()];
    for ((into, byte), key) in bytes.iter_mut().zip(payload).zip(key.iter().cycle()) {
        *into = byte ^ key;
    }
    bytes
}

/// Why the peer says close, if it tells.
///
/// # Errors
/// It is not a code that may be sent (7.4).
pub fn close_code(payload: &[u8]) -> Result<Option<u16>, Trouble> {
    let code = match payload {
        [] => return Ok(None),
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        [_] => return Err(Trouble::CloseCode(0)),
    };
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(Some(code)),
        _ => Err(Trouble::CloseCode(code)),
    }
}
