use crate::clock::Nanos;
use serde::{Deserialize, Serialize};

/// How one worker fared in one second: what stood between it and its clients. What is 0 may be left out where it is
/// written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Strain {
    /// CPU time, without what a worker that does not sleep took to look for work, in nanoseconds.
    pub busy_ns: Nanos,
    /// Time that it was ready to run and something else ran on its CPU, or a quota was used up, in nanoseconds.
    pub waited_ns: Nanos,
    /// Time that it worked on handshakes of transports, in nanoseconds.
    #[serde(skip_serializing_if = "is_nothing")]
    pub handshakes_ns: Nanos,
    /// The longest time between two returns from the kernel while there was something to do, in nanoseconds.
    #[serde(skip_serializing_if = "is_nothing")]
    pub gap_ns: Nanos,
    /// The longest time of its own code between two calls of the kernel, in nanoseconds.
    #[serde(skip_serializing_if = "is_nothing")]
    pub code_ns: Nanos,
    /// The longest that something due was not noticed, in nanoseconds.
    #[serde(skip_serializing_if = "is_nothing")]
    pub lag_ns: Nanos,
    /// The longest that bytes which had arrived were not looked at, in nanoseconds.
    #[serde(skip_serializing_if = "is_nothing")]
    pub hearing_ns: Nanos,
    /// Receives that found every buffer in use.
    #[serde(skip_serializing_if = "is_nothing")]
    pub receives_without_buffer: u64,
    /// Passes that found the completion queue full.
    #[serde(skip_serializing_if = "is_nothing")]
    pub queue_full: u64,
    /// Sends that found the socket's buffer full: the broker, or its TCP window, did not read.
    #[serde(skip_serializing_if = "is_nothing")]
    pub sends_blocked: u64,
    /// Connections that this machine did not let it open, for want of ports, files or memory.
    #[serde(skip_serializing_if = "is_nothing")]
    pub caps_reached: u64,
}

fn is_nothing(value: &u64) -> bool {
    *value == 0
}

impl Strain {
    /// The longest time that something was due or had arrived and the worker did not look.
    pub fn stall_ns(&self) -> Nanos {
        self.gap_ns.max(self.lag_ns).max(self.hearing_ns)
    }

    /// Adds what follows, of the same worker or of another: times and counts add up, and of the longest the longest
    /// stays.
    pub fn merge(&mut self, other: &Strain) {
        let (sum, longest) = (|a: u64, b: u64| a + b, |a: Nanos, b: Nanos| a.max(b));
        *self = Strain {
            busy_ns: sum(self.busy_ns, other.busy_ns),
            waited_ns: sum(self.waited_ns, other.waited_ns),
            handshakes_ns: sum(self.handshakes_ns, other.handshakes_ns),
            gap_ns: longest(self.gap_ns, other.gap_ns),
            code_ns: longest(self.code_ns, other.code_ns),
            lag_ns: longest(self.lag_ns, other.lag_ns),
            hearing_ns: longest(self.hearing_ns, other.hearing_ns),
            receives_without_buffer: sum(self.receives_without_buffer, other.receives_without_buffer),
            queue_full: sum(self.queue_full, other.queue_full),
            sends_blocked: sum(self.sends_blocked, other.sends_blocked),
            caps_reached: sum(self.caps_reached, other.caps_reached),
        };
    }
}
