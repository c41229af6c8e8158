//! The peer's end of what carries a connection.

use crate::transport::{Channel, Trouble};

/// What the peer says and hears through a transport.
pub struct Carried {
    channel: Channel,
    /// Came, and is not whole.
    wire: Vec<u8>,
    /// Was said, and is not handled.
    pub heard: Heard,
}

/// Bytes that were said, and for each the end of what said it, in the stream.
#[derive(Default)]
pub struct Heard {
    pub plain: Vec<u8>,
    pub ends: Vec<u64>,
}

impl Heard {
    /// The first `used` bytes are done with.
    pub fn drop_front(&mut self, used: usize) {
        self.plain.drain(..used);
        self.ends.drain(..used);
    }
}

impl Carried {
    pub fn new(channel: Channel) -> Carried {
        Carried { channel, wire: Vec::new(), heard: Heard::default() }
    }

    /// Hears `wire`, whose first byte is number `at` of the stream, in pieces that end where `ends` says: so it is known which
    /// of them said what.
    pub fn hear(
        &mut self,
        wire: &[u8],
        at: u64,
        ends: impl Iterator<Item = u64>,
        answers: &mut Vec<u8>,
    ) -> Result<(), Trouble> {
        let last = at + wire.len() as u64;
        let mut known = at;
        for end in ends.filter(|end| (at + 1..last).contains(end)).chain([last]) {
            self.wire.extend_from_slice(&wire[(known - at) as usize..(end - at) as usize]);
            known = end;
            let Heard { plain, ends } = &mut self.heard;
            self.channel.receive(&mut self.wire, plain, answers, &mut Vec::new())?;
            ends.resize(plain.len(), end);
        }
        Ok(())
    }

    /// Seals what the peer says; nothing before the handshake is done.
    pub fn seal(&mut self, plain: &[u8]) -> Option<Vec<u8>> {
        self.channel.agreed()?;
        let mut wire = Vec::new();
        self.channel.seal(plain, &mut wire, &mut Vec::new());
        Some(wire)
    }
}
