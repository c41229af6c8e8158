//! Pings: a sign of life for the server, and the suspicion that it is dead.

use super::{Client, Limits, Phase};
use crate::clock::Nanos;
use crate::wire;

/// What [`Client::poll_keepalive`] found; `next` is when to ask again at the latest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeepAlive {
    /// Nothing to do. `next` is `Nanos::MAX` when keepalive is off or there is no connection to keep.
    Idle { next: Nanos },
    /// PINGREQ was written [MQTT-3.1.2-23].
    PingSent { next: Nanos },
    /// The server has sent nothing for half a keepalive since a PINGREQ: end the connection.
    Expired,
}

impl<T: Copy> Client<T> {
    /// Writes PINGREQ when nothing was written for [`Limits::keep_alive`].
    ///
    /// The connection has expired when a PINGREQ has gone unanswered for half a keepalive more: 1.5
    /// keepalives of silence are what [MQTT-3.1.2-24] lets a server bear with, too. Any packet is a sign of
    /// life, since a PINGRESP waits its turn behind all the messages that a slow connection has in store.
    pub fn poll_keepalive(&mut self, now: Nanos, limits: &Limits, out: &mut Vec<u8>) -> KeepAlive {
        let keep_alive = limits.keep_alive;
        match self.phase {
            Phase::Offline | Phase::Closing => return KeepAlive::Idle { next: Nanos::MAX },
            _ if keep_alive == 0 => return KeepAlive::Idle { next: Nanos::MAX },
            // Before CONNACK the connect timeout is in charge.
            Phase::Connecting { .. } => return KeepAlive::Idle { next: now.saturating_add(keep_alive) },
            Phase::Settling { .. } | Phase::Online { .. } => {}
        }
        if now >= self.expires_at {
            return KeepAlive::Expired;
        }
        let ping_at = self.last_sent.saturating_add(keep_alive);
        if now < ping_at {
            return KeepAlive::Idle { next: ping_at.min(self.expires_at) };
        }
        wire::encode_pingreq(out);
        self.last_sent = now;
        self.pings_owed = self.pings_owed.saturating_add(1);
        self.expires_at = self.expires_at.min(now.saturating_add(keep_alive / 2));
        KeepAlive::PingSent { next: self.expires_at }
    }

    /// The server has sent something.
    #[inline]
    pub(super) fn note_sign_of_life(&mut self) {
        self.expires_at = Nanos::MAX;
    }
}
