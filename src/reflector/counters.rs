//! What the broker has done, counted.

use std::iter::Sum;
use std::ops::Add;

use crate::wire::QoS;

/// Counts since the reflector started, except where said otherwise. Indices of arrays are QoS.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// MQTT connections open now: CONNECT taken, not yet ended.
    pub connections: u64,
    /// CONNECTs taken, without the refused ones.
    pub connects: u64,
    /// PUBLISH packets taken from clients, duplicates among them.
    pub messages_in: [u64; 3],
    /// PUBLISH packets written to clients, redeliveries among them.
    pub messages_out: [u64; 3],
    /// Payload bytes of `messages_in`.
    pub payload_bytes_in: u64,
    /// Payload bytes of `messages_out`.
    pub payload_bytes_out: u64,
    /// Messages that a subscriber should have had and that a bound kept from it, once for each
    /// subscriber, by the QoS at which it would have got them.
    pub dropped: [u64; 3],
    /// Retained messages not stored for lack of room.
    pub retained_refused: u64,
    /// Connections ended because the client broke the protocol, or was refused.
    pub violations: u64,
    /// Connections ended because the client was silent for 1.5 times its keepalive [MQTT-3.1.2-24], or
    /// did not send CONNECT in time.
    pub timeouts: u64,
    /// Connections ended because the same client connected again [MQTT-3.1.4-2].
    pub takeovers: u64,
    /// Connections ended because the client did not read its acknowledgements.
    pub too_slow: u64,
    /// Will messages published.
    pub wills: u64,
    /// Connections turned away because a worker had no room for more.
    pub turned_away: u64,
}

impl Counters {
    #[inline]
    pub(super) fn count_in(&mut self, qos: QoS, payload: usize) {
        self.messages_in[qos as usize] += 1;
        self.payload_bytes_in += payload as u64;
    }

    #[inline]
    pub(super) fn count_out(&mut self, qos: QoS, payload: usize) {
        self.messages_out[qos as usize] += 1;
        self.payload_bytes_out += payload as u64;
    }
}

fn add(a: [u64; 3], b: [u64; 3]) -> [u64; 3] {
    std::array::from_fn(|qos| a[qos] + b[qos])
}

impl Add for Counters {
    type Output = Counters;

    fn add(self, other: Counters) -> Counters {
        Counters {
            connections: self.connections + other.connections,
            connects: self.connects + other.connects,
            messages_in: add(self.messages_in, other.messages_in),
            messages_out: add(self.messages_out, other.messages_out),
            payload_bytes_in: self.payload_bytes_in + other.payload_bytes_in,
            payload_bytes_out: self.payload_bytes_out + other.payload_bytes_out,
            dropped: add(self.dropped, other.dropped),
            retained_refused: self.retained_refused + other.retained_refused,
            violations: self.violations + other.violations,
            timeouts: self.timeouts + other.timeouts,
            takeovers: self.takeovers + other.takeovers,
            too_slow: self.too_slow + other.too_slow,
            wills: self.wills + other.wills,
            turned_away: self.turned_away + other.turned_away,
        }
    }
}

impl Sum for Counters {
    fn sum<I: Iterator<Item = Counters>>(workers: I) -> Counters {
        workers.fold(Counters::default(), Counters::add)
    }
}
