//! What the clients of a worker did, counted and timed.

use super::Link;
use super::{Place, Token};
use crate::clock::{Nanos, SECOND};
use crate::engine::{Longest, Stats, Usage};
use crate::stats::{Counters, Histogram, Interval, Latencies, Levels, Strain, Tally, Times};
use crate::wire::SubAck;

/// A worker's tally of the second under way, and where it stands.
pub struct Books {
    /// When the run began, on the process clock: its seconds are counted from here.
    epoch: Nanos,
    /// Messages meant to be sent within these times are measured: process clock, half-open.
    window: (Nanos, Nanos),
    tally: Box<Tally>,
    /// One that has been read, to be used again.
    spare: Option<Box<Tally>>,
    due: Nanos,
    times: Times,
    acks: Acks,
    passes: Passes,
    /// What is in tallies already.
    counted: (Stats, Usage),
    /// Where the worker stands.
    pub levels: Levels,
}

/// Meant to be sent never: a message that is in no account.
pub const ASIDE: Nanos = Nanos::MAX;

/// Acknowledgements in a row of messages that were meant to leave and left together.
#[derive(Default)]
struct Acks {
    intended: Nanos,
    sent: Nanos,
    count: u64,
}

/// Messages that were written to a connection together.
#[derive(Clone, Copy, Debug)]
pub struct Written<M> {
    /// Of which client.
    pub place: Place,
    /// The first of them.
    pub token: Token<M>,
    /// How many; their sequences follow each other.
    pub count: u64,
    /// Bytes of each on the connection.
    pub size: u32,
    /// Deliveries that each is to have.
    pub audience: u32,
    /// Whether acknowledgements are to come.
    pub acked: bool,
}

impl Books {
    /// Of a run that began at `epoch`, in which everything is measured.
    pub fn new(epoch: Nanos, now: Nanos) -> Books {
        let second = now.saturating_sub(epoch) / SECOND;
        let mut tally = Box::<Tally>::default();
        tally.restart(second, now);
        Books {
            epoch,
            window: (0, Nanos::MAX),
            tally,
            spare: None,
            due: epoch + SECOND * (second + 1),
            times: Times::default(),
            acks: Acks::default(),
            passes: Passes::default(),
            counted: (Stats::default(), Usage::default()),
            levels: Levels::default(),
        }
    }

    /// From now on only messages meant to be sent within these times are measured.
    pub fn measure(&mut self, from: Nanos, to: Nanos) {
        self.window = (from, to);
    }

    /// Whether what is meant to be sent then is measured.
    #[inline]
    pub fn is_measured(&self, intended: Nanos) -> bool {
        (self.window.0..self.window.1).contains(&intended)
    }

    /// The counters of messages with this intended time.
    #[inline]
    pub fn of(&mut self, intended: Nanos) -> &mut Counters {
        let measured = self.is_measured(intended);
        let Tally { measured: inside, unmeasured: outside, .. } = &mut *self.tally;
        if measured { &mut inside.counters } else { &mut outside.counters }
    }

    /// The counters of what is no message.
    #[inline]
    pub fn counters(&mut self) -> &mut Counters {
        &mut self.tally.measured.counters
    }

    /// The histograms of what is no message, or always measured.
    pub fn histograms(&mut self) -> &mut Latencies {
        &mut self.tally.measured.histograms
    }

    /// Counts one more case of `trouble`, in words.
    pub fn trouble(&mut self, trouble: String) {
        self.tally.trouble(trouble);
    }

    /// `count` messages that were meant to be sent at `intended` have come due.
    pub fn came_due(&mut self, intended: Nanos, count: u64) {
        self.levels.due += count;
        self.of(intended).due += count;
    }

    /// A message came due and will never be sent.
    pub fn shed(&mut self, intended: Nanos) {
        self.of(intended).shed += 1;
    }

    /// A message meant to be sent at `intended` was noticed so much later.
    #[inline]
    pub fn wake_lag(&mut self, lag: Nanos, intended: Nanos) {
        let measured = self.is_measured(intended);
        self.times.wake_lag(lag, 1, measured, &mut self.tally);
    }

    /// Bytes that had come in at `arrived` were looked at so much later, where that is known.
    #[inline]
    pub(super) fn heard(&mut self, arrived: Nanos, now: Nanos) {
        if arrived < now {
            let measured = self.is_measured(now);
            self.times.hearing_lag(now - arrived, 1, measured, &mut self.tally);
        }
    }

    /// Messages that were written in the pass that began at their `sent` leave at `handed`.
    pub(super) fn handed<M>(&mut self, written: &Written<M>, handed: Nanos) {
        let Token { intended, sent, .. } = written.token;
        self.passes.note(sent, handed);
        let measured = self.is_measured(intended);
        self.times.lateness(handed.saturating_sub(intended), written.count, measured, &mut self.tally);
    }

    /// The kernel has taken `count` of them.
    pub(super) fn taken<M>(&mut self, written: &Written<M>, count: u64) {
        let expected = count * u64::from(written.audience);
        self.levels.sent += count;
        self.levels.expected += expected;
        let counters = self.of(written.token.intended);
        counters.sent += count;
        counters.expected += expected;
    }

    /// When what was written in the pass that began at `sent` was handed to the kernel; that pass's beginning where
    /// it was so long ago that nobody knows.
    pub fn handed_at(&self, sent: Nanos) -> Nanos {
        self.passes.handed(sent)
    }

    /// A message was acknowledged. It is counted with those of the same read.
    #[inline]
    pub(super) fn acked<M>(&mut self, now: Nanos, token: &Token<M>) {
        if (self.acks.intended, self.acks.sent) != (token.intended, token.sent) {
            self.settle_acks(now);
            (self.acks.intended, self.acks.sent) = (token.intended, token.sent);
        }
        self.acks.count += 1;
    }

    /// Counts and times the acknowledgements of this read that are not yet.
    #[inline]
    pub(super) fn settle_acks(&mut self, now: Nanos) {
        let Acks { intended, sent, count } = std::mem::take(&mut self.acks);
        if count > 0 && intended != ASIDE {
            self.levels.outstanding -= count;
            self.levels.acked += count;
            self.of(intended).acked += count;
            self.time_acks(now, intended, sent, count);
        }
    }

    /// An ack after its timeout: the message was counted as timed out, and still is.
    pub(super) fn acked_late<M>(&mut self, token: &Token<M>) {
        if token.intended != ASIDE {
            self.levels.acked += 1;
            self.of(token.intended).acked += 1;
        }
    }

    /// The broker has not taken a message.
    pub(super) fn rejected<M>(&mut self, now: Nanos, token: &Token<M>) {
        if self.unanswered(now, token) {
            self.of(token.intended).rejected += 1;
        }
    }

    /// Counts the reasons of a SUBACK.
    pub fn count_refusals(&mut self, codes: &SubAck<'_>) {
        codes.codes().for_each(|code| self.counters().reasons.count(code.reason() as u8));
    }

    /// A message was given up.
    pub(super) fn ack_timed_out<M>(&mut self, now: Nanos, token: &Token<M>) {
        if self.unanswered(now, token) {
            self.of(token.intended).ack_timeouts += 1;
        }
    }

    /// A message whose acknowledgement can never come, because its session is gone or the run is over.
    pub(super) fn abandoned<M>(&mut self, now: Nanos, token: &Token<M>) {
        if self.unanswered(now, token) {
            self.of(token.intended).unacked_at_end += 1;
        }
    }

    /// False for what is in no account.
    fn unanswered<M>(&mut self, now: Nanos, token: &Token<M>) -> bool {
        if token.intended != ASIDE {
            self.levels.outstanding -= 1;
            self.time_acks(now, token.intended, token.sent, 1);
        }
        token.intended != ASIDE
    }

    /// The times of an acknowledgement, or of the wait for one that was given up: leaving those out would
    /// make a broker that has stopped look fast.
    fn time_acks(&mut self, now: Nanos, intended: Nanos, sent: Nanos, count: u64) {
        let measured = self.is_measured(intended);
        let service = now.saturating_sub(self.passes.handed(sent));
        self.times.ack_response(now.saturating_sub(intended), count, measured, &mut self.tally);
        self.times.ack_service(service, count, measured, &mut self.tally);
    }

    /// A message has arrived, so long after it was meant to leave and after it left.
    #[inline]
    pub fn flight(&mut self, response: Nanos, service: Nanos, intended: Nanos) {
        let measured = self.is_measured(intended);
        self.times.flight_response(response, 1, measured, &mut self.tally);
        self.times.flight_service(service, 1, measured, &mut self.tally);
    }

    /// A tally that has been read.
    pub fn recycle(&mut self, tally: Box<Tally>) {
        self.spare = Some(tally);
    }

    /// Whether a tally that was read is there to be used again.
    #[cfg(test)]
    pub fn has_spare(&self) -> bool {
        self.spare.is_some()
    }

    /// A connection could not be opened for want of something of this machine's.
    pub(super) fn cap_reached(&mut self) {
        self.tally.strain.caps_reached += 1;
    }

    /// The tally of a second that is over, if one is.
    pub fn poll_tally<L: Link>(&mut self, link: &mut L) -> Option<Box<Tally>> {
        if link.now() < self.due {
            return None;
        }
        // On the run's seconds, skipping what was missed.
        self.due += SECOND * (1 + (link.now() - self.due) / SECOND);
        let longest = link.longest();
        Some(self.close(link.now(), (link.stats(), link.usage()), longest))
    }

    /// When to look for a tally next.
    pub fn tally_due(&self) -> Nanos {
        self.due
    }

    /// The tally of what was not shipped, at `now`, when the worker has counted `stats` and used `usage` in its life.
    pub fn close(&mut self, now: Nanos, (stats, usage): (Stats, Usage), longest: Longest) -> Box<Tally> {
        self.settle_acks(now);
        self.times.settle(&mut self.tally);
        let counters = &mut self.tally.measured.counters;
        counters.bytes_in += stats.bytes_in - self.counted.0.bytes_in;
        counters.bytes_out += stats.bytes_out - self.counted.0.bytes_out;
        self.tally.strain = self.strain((stats, usage), longest);
        self.counted = (stats, usage);
        let mut fresh = self.spare.take().unwrap_or_default();
        fresh.restart((now - self.epoch) / SECOND, now);
        let mut full = std::mem::replace(&mut self.tally, fresh);
        full.connected = self.levels.connected;
        let end = |interval: &mut Interval| interval.end = now;
        end(&mut full.measured);
        end(&mut full.unmeasured);
        full
    }

    /// How the worker fared since the last tally.
    fn strain(&self, (stats, usage): (Stats, Usage), longest: Longest) -> Strain {
        let (Tally { measured, unmeasured, strain, .. }, (before, used)) = (&*self.tally, &self.counted);
        let most = |which: fn(&Latencies) -> &Histogram| {
            which(&measured.histograms).max().max(which(&unmeasured.histograms).max())
        };
        let (usage, spun) = (usage.since(*used), stats.spun_ns - before.spun_ns);
        Strain {
            busy_ns: usage.cpu_ns().saturating_sub(spun),
            waited_ns: usage.waited_ns,
            handshakes_ns: stats.handshake_ns - before.handshake_ns,
            gap_ns: longest.gap_ns,
            code_ns: longest.code_ns,
            lag_ns: most(|times| &times.wake_lag),
            hearing_ns: most(|times| &times.hearing_lag),
            receives_without_buffer: stats.no_buffers - before.no_buffers,
            queue_full: stats.overflows - before.overflows,
            sends_blocked: stats.blocked - before.blocked,
            ..*strain
        }
    }

    /// A time of the life of a connection.
    pub(super) fn time(&mut self, which: fn(&mut Latencies) -> &mut Histogram, value: Nanos) {
        which(self.histograms()).record(value);
    }
}

/// When the messages of a pass were handed to the kernel, by the pass's beginning, which is what they carry: our
/// own code in between is not the broker's service time.
struct Passes(Box<[(Nanos, Nanos); Passes::KEPT]>);

impl Passes {
    /// Passes that are remembered, at least of those of the last milliseconds: 64 kB.
    const KEPT: usize = 4096;

    fn place(start: Nanos) -> usize {
        // Two rounds of a multiplicative mixer: passes begin at all distances from each other.
        const MIX: u64 = 0xd6e8_feb8_6659_fd93;
        let mixed = (start ^ start >> 32).wrapping_mul(MIX);
        ((mixed ^ mixed >> 32).wrapping_mul(MIX) >> (64 - Passes::KEPT.trailing_zeros())) as usize
    }

    fn note(&mut self, start: Nanos, handed: Nanos) {
        self.0[Passes::place(start)] = (start, handed);
    }

    fn handed(&self, start: Nanos) -> Nanos {
        match self.0[Passes::place(start)] {
            (known, handed) if known == start => handed,
            // What waited so long is not much shorter for it: its time is an upper bound.
            _ => start,
        }
    }
}

impl Default for Passes {
    fn default() -> Passes {
        Passes(vec![(Nanos::MAX, 0); Passes::KEPT].into_boxed_slice().try_into().expect("as long as said"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(intended: Nanos, sent: Nanos) -> Token<()> {
        Token { sequence: 0, intended, sent, more: () }
    }

    #[test]
    fn service_runs_from_the_hand_over_and_response_from_the_intended_time() {
        let mut books = Books::new(0, 0);
        let written =
            Written { place: Place(0), token: token(100, 150), count: 1, size: 30, audience: 2, acked: true };
        books.levels.outstanding = 1;
        books.handed(&written, 190);
        books.taken(&written, 1);
        books.acked(1000, &written.token);
        let tally = books.close(1000, Default::default(), Longest::default());
        let (counters, histograms) = (&tally.measured.counters, &tally.measured.histograms);
        assert_eq!((counters.sent, counters.acked, counters.expected), (1, 1, 2));
        let times = [&histograms.ack_response, &histograms.ack_service, &histograms.lateness];
        assert_eq!(times.map(Histogram::max), [900, 810, 90]);
        assert_eq!((books.levels.outstanding, books.levels.acked), (0, 1));
    }

    #[test]
    fn a_message_without_an_answer_counts_with_the_time_it_has_waited() {
        let mut books = Books::new(0, 0);
        books.measure(50, 200);
        books.levels.outstanding = 3;
        books.ack_timed_out(1000, &token(100, 100));
        books.abandoned(2000, &token(199, 300));
        books.abandoned(2000, &token(200, 300));
        let tally = books.close(2000, Default::default(), Longest::default());
        let counters = &tally.measured.counters;
        assert_eq!((counters.ack_timeouts, counters.unacked_at_end), (1, 1));
        assert_eq!(tally.unmeasured.counters.unacked_at_end, 1);
        assert_eq!(tally.measured.histograms.ack_response.count(), 2);
        assert_eq!(tally.measured.histograms.ack_service.max(), 1700);
        assert_eq!(books.levels.outstanding, 0);
    }

    #[test]
    fn a_tally_that_came_back_is_used_again_and_has_forgotten_everything() {
        let mut books = Books::new(0, 0);
        books.came_due(100, 3);
        let mut tally = books.close(1000, Default::default(), Longest::default());
        // Not by its address: whoever frees it and asks for another one is given the same.
        tally.troubles.reserve(1000);
        assert_eq!(tally.measured.counters.due, 3);
        books.recycle(tally);
        // The one under way is closed, and the one that came back takes its place.
        assert_eq!(books.close(2000, Default::default(), Longest::default()).measured.counters.due, 0);
        let again = books.close(3000, Default::default(), Longest::default());
        assert!(again.troubles.capacity() >= 1000);
        assert_eq!((again.measured.counters.due, again.measured.start, again.measured.end), (0, 2000, 3000));
    }

    #[test]
    fn passes_long_gone_leave_their_beginning() {
        let mut passes = Passes::default();
        assert_eq!(passes.handed(7), 7);
        (0..100_000u64).for_each(|pass| passes.note(pass * 10_000, pass * 10_000 + 50));
        let known = (99_000..100_000u64).filter(|pass| passes.handed(pass * 10_000) == pass * 10_000 + 50);
        assert!(known.count() > 700, "the last ones are known, but for collisions");
        assert_eq!(passes.handed(10_000), 10_000);
    }
}
