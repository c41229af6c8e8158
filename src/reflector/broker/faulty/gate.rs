//! What has come waits here for its turn: the broker may stand still, be deaf, or be slow.

use super::{DEAF, FULL, Later, PACE, STALL, Side};
use crate::clock::SECOND;
use crate::engine::{Conn, Link};
use crate::reflector::broker::{Broker, MAX_CONNECT, Phase};
use crate::script::Deed;
use crate::wire::{self, Packet, PacketType};

/// With more than this waiting, in bytes, a connection is not read from until half of it is done.
const MOST_UNREAD: usize = 16 << 20;

impl Broker {
    pub(in crate::reflector::broker) fn open_side(&mut self, conn: Conn) {
        let Some(faulty) = &mut self.faulty else { return };
        let number = faulty.number();
        let at = conn.0 as usize;
        if at >= faulty.sides.len() {
            faulty.sides.resize_with(at + 1, Side::default);
        }
        faulty.sides[at] = Side { number, ..Side::default() };
    }

    /// The connection is gone; what had not had its turn never will.
    pub(in crate::reflector::broker) fn close_side(&mut self, now: crate::clock::Nanos, conn: Conn) {
        let protocol = self.connection(conn).protocol;
        let Some(faulty) = &mut self.faulty else { return };
        let side = std::mem::take(faulty.side(conn));
        let mut rest = &side.unread[side.handled..];
        while let Ok(Some((packet, length))) = protocol.decode(rest, wire::MAX_PACKET) {
            if packet.packet_type() == PacketType::Publish {
                faulty.note(now, Deed::Unserved, side.client.as_deref(), None);
            }
            rest = &rest[length..];
        }
    }

    /// Takes all bytes of a client, and handles what has its turn.
    pub(in crate::reflector::broker) fn handle_data_by_script<L: Link>(
        &mut self,
        link: &mut L,
        conn: Conn,
        bytes: &[u8],
    ) -> usize {
        if !matches!(self.connection(conn).phase, Phase::New | Phase::Open) {
            return bytes.len();
        }
        let now = link.now();
        let faulty = self.faulty();
        let (stalled, pace) = (faulty.stalled.is_some(), faulty.read_per_s);
        let side = faulty.side(conn);
        side.unread.extend_from_slice(bytes);
        let full = side.unread.len() - side.handled > MOST_UNREAD;
        if let Some(per_s) = pace {
            side.paced = side.paced.max(now) + bytes.len() as u64 * SECOND / per_s;
            let (time, number) = (side.paced, side.number);
            faulty.put_off(time, Later::Hear { conn, number, hold: PACE });
            self.hold(link, conn, PACE);
        }
        if stalled {
            self.hold(link, conn, STALL);
        }
        if full {
            self.hold(link, conn, FULL);
        }
        self.wait(conn);
        self.serve(link);
        bytes.len()
    }

    /// What the connection has sent waits for its turn.
    pub(super) fn wait(&mut self, conn: Conn) {
        let faulty = self.faulty();
        if !std::mem::replace(&mut faulty.side(conn).waits, true) {
            faulty.ready.push_back(conn);
        }
    }

    /// Handles what has its turn: of each connection one packet after the other, those that are rationed for a token each.
    pub(super) fn serve<L: Link>(&mut self, link: &mut L) {
        let now = link.now();
        loop {
            let faulty = self.faulty();
            if faulty.stalled.is_some() {
                return;
            }
            if let Some(conn) = faulty.ready.pop_front() {
                self.serve_one(link, conn, false);
                continue;
            }
            if faulty.queued.is_empty() || !faulty.bucket.as_mut().is_some_and(|bucket| bucket.take(now)) {
                return;
            }
            let conn = faulty.queued.pop_front().expect("not empty");
            self.serve_one(link, conn, true);
        }
    }

    /// Handles the next packet of a connection; `paid` if there is a token for it.
    fn serve_one<L: Link>(&mut self, link: &mut L, conn: Conn, paid: bool) {
        let side = self.faulty().side(conn);
        side.waits = false;
        if side.number == 0 || side.greeting || side.holds & DEAF != 0 {
            return;
        }
        let (number, handled) = (side.number, side.handled);
        let unread = std::mem::take(&mut side.unread);
        let rest = &unread[handled..];
        let max = match self.connection(conn).phase {
            Phase::New => MAX_CONNECT.min(self.limits.packet),
            _ => self.limits.packet,
        };
        let used = match self.connection(conn).protocol.decode(rest, max) {
            Ok(None) => 0,
            Ok(Some((packet, _))) if !paid && self.is_rationed(&packet) && !self.pay(link) => {
                let faulty = self.faulty();
                faulty.side(conn).waits = true;
                faulty.queued.push_back(conn);
                0
            }
            Ok(Some((packet, length))) => {
                self.play_packet(link, conn, &packet, &rest[..length]);
                length
            }
            // The broker proper knows what to do with it.
            Err(_) => self.handle_packets(link, conn, rest),
        };
        let side = self.faulty().side(conn);
        if side.number != number {
            return;
        }
        side.unread = unread;
        side.handled = handled + used;
        let left = side.unread.len() - side.handled;
        if left < side.unread.len() / 2 {
            side.unread.drain(..side.handled);
            side.handled = 0;
        }
        if left <= MOST_UNREAD / 2 {
            self.let_go(link, conn, FULL);
        }
        if used > 0 && left > 0 {
            self.wait(conn);
        }
    }

    /// Whether the script says how many such packets are handled.
    fn is_rationed(&mut self, packet: &Packet) -> bool {
        self.faulty().service.is_some_and(|service| service.of == packet.packet_type())
    }

    /// Whether a packet that is rationed may be handled at once.
    fn pay<L: Link>(&mut self, link: &mut L) -> bool {
        let now = link.now();
        let faulty = self.faulty();
        faulty.bucket.as_mut().is_none_or(|bucket| faulty.queued.is_empty() && bucket.take(now))
    }
}
