mod literal;
mod oracles;
mod properties;
mod rejections;
mod sample;
mod topics;

use super::*;

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}
