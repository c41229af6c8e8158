mod literal;
mod oracles;
mod properties;
mod rejections;
mod sample;

use super::*;
use crate::wire::{MAX_PACKET, PacketId};

fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("not zero")
}
