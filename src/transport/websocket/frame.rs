//! Frames (RFC 6455, 5.2).

use super::Trouble;

/// The longest head: two bytes, a length of eight, a mask of four.
pub const LONGEST_HEAD: usize = 14;
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

/// Takes a head that the other end of `role` has sent from `wire`, of which `kept` bytes of `bytes` came before. `None` when it is not whole;
/// then everything there is of it is in `bytes`.
///
/// # Errors
/// The rule that it breaks, as soon as it is visible.
#[inline]
pub fn read(
    bytes: &mut [u8; LONGEST_HEAD],
    kept: &mut u8,
    wire: &mut &[u8],
    role: Role,
) -> Result<Option<Head>, Trouble> {
    let before = usize::from(*kept);
    if before == 0
        && let Some((head, used)) = parse(wire, role)?
    {
        *wire = &wire[used..];
        return Ok(Some(head));
    }
    let some = wire.len().min(LONGEST_HEAD - before);
    let there = before + some;
    bytes[before..there].copy_from_slice(&wire[..some]);
    let head = parse(&bytes[..there], role)?;
    match head {
        Some((head, used)) => {
            *wire = &wire[used - before..];
            Ok(Some(head))
        }
        None => {
            *kept = there as u8;
            *wire = &wire[some..];
            Ok(None)
        }
    }
}

/// The head at the front of `bytes`, and its length.
#[inline]
fn parse(bytes: &[u8], role: Role) -> Result<Option<(Head, usize)>, Trouble> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let (last, opcode) = (first & 0x80 != 0, opcode(first)?);
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    let (masked, short) = (second & 0x80 != 0, second & 0x7F);
    match (role, masked) {
        (Role::Client, true) => return Err(Trouble::Masked),
        (Role::Server, false) => return Err(Trouble::Unmasked),
        _ => {}
    }
    if !matches!(opcode, Opcode::Binary | Opcode::Continuation) {
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
            let at = out.len();
            out.extend_from_slice(payload);
            mask(&mut out[at..], key);
        }
        None => out.extend_from_slice(payload),
    }
}

/// Masks or unmasks `bytes`, which begin with the first byte of `key` (5.3).
#[inline]
pub fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let key = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (eights, rest) = bytes.as_chunks_mut::<8>();
    for eight in eights {
        *eight = (u64::from_ne_bytes(*eight) ^ key).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.to_ne_bytes()) {
        *byte ^= key;
    }
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
