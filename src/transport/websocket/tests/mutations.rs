//! Conversations that were right until something happened to their bytes.

use super::*;
use crate::crew::sim::{explored, soak};

/// The longest answer to what comes at once: a head or a pong, and a close.
const LONGEST_ANSWER: usize = 200;

/// What the other end of a client or of a server says, with its head in front.
fn conversation(draw: &mut Draw, to_server: bool) -> Vec<u8> {
    let mut wire = if to_server { GET } else { ANSWER }.as_bytes().to_vec();
    let mut open = false;
    for _ in 0..draw.below(8) {
        let opcode = match draw.below(5) {
            0 => Opcode::Ping,
            1 => Opcode::Pong,
            _ if open => Opcode::Continuation,
            _ => Opcode::Binary,
        };
        let is_data = matches!(opcode, Opcode::Binary | Opcode::Continuation);
        let length = match draw.below(8) {
            0 if is_data => 65_535 + draw.below(3),
            1 if is_data => 124 + draw.below(4),
            _ => draw.below(60),
        };
        let mut payload = vec![0; length as usize];
        draw.fill(&mut payload);
        let key = to_server.then(|| (draw.bits() as u32).to_ne_bytes());
        let at = wire.len();
        frame::write(opcode, &payload, key, &mut wire);
        if is_data {
            open = draw.below(3) == 0;
            wire[at] &= if open { 0x7f } else { 0xff };
        }
    }
    if draw.below(3) == 0 {
        let key = to_server.then_some([1, 2, 3, 4]);
        frame::write(Opcode::Close, &(990 + draw.below(40) as u16).to_be_bytes(), key, &mut wire);
    }
    wire
}

fn mutate(draw: &mut Draw, wire: &mut Vec<u8>) {
    for _ in 0..draw.below(4) {
        // Near the front, where the heads are, as often as not.
        let within = if draw.below(2) == 0 { wire.len().min(400) } else { wire.len() };
        let at = draw.below(within as u64 + 1) as usize;
        match draw.below(4) {
            0 => wire.insert(at, draw.bits() as u8),
            1 if at < wire.len() => drop(wire.remove(at)),
            2 => wire.truncate(at.max(100)),
            _ if at < wire.len() => wire[at] ^= 1 << draw.below(8),
            _ => {}
        }
    }
}

/// However it is cut, it ends in the same and says the same; and no answer is longer than it may be.
fn check(seed: u64) {
    let mut draw = Draw::of(seed, Purpose::named("mutations"), 0, 0);
    let to_server = draw.below(2) == 0;
    let open = || if to_server { WebSocket::server() } else { client() };
    let mut wire = conversation(&mut draw, to_server);
    mutate(&mut draw, &mut wire);
    let (whole, said, out) = receive(&mut open(), &wire);
    assert!(said.len() <= wire.len() && out.len() <= LONGEST_ANSWER + 131);
    let (mut socket, mut rest) = (open(), &wire[..]);
    let pieces = std::iter::from_fn(|| {
        let most = if draw.below(4) == 0 { 70_000 } else { 20 };
        let (now, later) = rest.split_at(rest.len().min(1 + draw.below(most) as usize));
        rest = later;
        (!now.is_empty()).then_some(now)
    });
    let (result, plain, _) = feed(&mut socket, pieces);
    assert_eq!(result, whole);
    assert_eq!(plain, said);
}

explored! {
    check,
    what_happens_to_bytes_ends_in_a_name_however_they_are_cut: 0..3000,
}

#[test]
#[ignore = "has no end of its own"]
fn what_happens_to_bytes_ends_in_a_name_for_long() {
    soak(check);
}
