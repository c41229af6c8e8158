//! Who connects next, and when.

use super::{Place, Terms};
use crate::clock::{MILLISECOND, Nanos, SECOND};
use crate::seed::Draw;
use rand::RngExt;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;

/// Clients of all workers that may be between SYN and CONNACK. Brokers listen with backlogs as short as 100
/// (mosquitto), and a SYN that overflows one is sent again only after a second. And times to CONNACK should be
/// the broker's, not those of a queue of our own making. With `--connect-rate` the rate decides, and as many may be as it
/// brings in a second, so that a broker that takes long is no reason to be slower than was asked.
pub(super) const AT_ONCE: usize = 100;
/// Connections started in one pass: they are submitted one after the other, and the time of the last
/// includes the work of all before it.
pub(super) const AT_A_TIME: usize = 8;
/// The first wait before a connection is tried again; it doubles up to the last.
const FIRST_WAIT: Nanos = 100 * MILLISECOND;
const LAST_WAIT: Nanos = 5 * SECOND;
/// How much of `--connect-rate` that was not used is made up for.
const CATCH_UP: Nanos = 100 * MILLISECOND;

/// Which clients still have to be connected, and how fast.
pub(super) struct Dialling {
    /// Clients that were never tried, in their order.
    fresh: Range<u32>,
    /// Clients that may connect now.
    waiting: VecDeque<Place>,
    /// Clients that may connect now, whatever the rate is.
    urgent: VecDeque<Place>,
    /// Clients that will try again, by time.
    retries: BinaryHeap<Reverse<(Nanos, u32)>>,
    /// Clients between SYN and CONNACK.
    pub pending: usize,
    most_pending: usize,
    /// Clients that may wait for an answer, where no rate decides.
    pub at_once: usize,
    /// Between two connects, with `--connect-rate`.
    gap: Nanos,
    /// When the rate allows the next connect.
    next: Nanos,
    /// Failures since the last success.
    failures: usize,
    jitter: Draw,
}

impl Dialling {
    pub(super) fn new(terms: &Terms, now: Nanos) -> Dialling {
        let workers = f64::from(terms.workers);
        let gap = terms.rate_per_s.map_or(0.0, |rate| SECOND as f64 * workers / rate);
        let at_once = (AT_ONCE / terms.workers as usize).max(1);
        let of_a_second = terms.rate_per_s.map_or(0.0, |rate| rate / workers).ceil() as usize;
        Dialling {
            fresh: 0..0,
            waiting: VecDeque::new(),
            urgent: VecDeque::new(),
            retries: BinaryHeap::new(),
            pending: 0,
            most_pending: at_once.max(of_a_second),
            at_once,
            gap: gap as Nanos,
            // Workers take turns, so that all of them together keep the rate.
            next: now + (gap * f64::from(terms.worker) / workers) as Nanos,
            failures: 0,
            jitter: crate::seed::stream(terms.seed, "backoff", terms.worker.into()),
        }
    }

    /// All of so many clients are to be tried.
    pub(super) fn begin(&mut self, now: Nanos, clients: u32) {
        (self.fresh, self.next) = (0..clients, self.next.max(now));
    }

    pub(super) fn add(&mut self, place: Place) {
        self.waiting.push_back(place);
    }

    /// `place` is to connect at once, beside the rate.
    pub(super) fn add_urgent(&mut self, place: Place) {
        self.urgent.push_back(place);
    }

    /// `place`, which has failed so many times in a row, is to try again after a wait.
    pub(super) fn retry(&mut self, now: Nanos, place: Place, failures: u32) {
        let wait = (FIRST_WAIT << failures.min(10)).min(LAST_WAIT);
        // So that clients lost together do not come back together.
        let wait = wait / 2 + self.jitter.random_range(0..wait);
        self.retries.push(Reverse((now + wait, place.0)));
    }

    /// Whether everybody was tried, and nobody is at it.
    pub(super) fn is_done(&self) -> bool {
        self.fresh.is_empty() && self.pending == 0
    }

    /// The next client to connect, if one may be connected now, and whether the rate counts it.
    pub(super) fn pop(&mut self, now: Nanos) -> Option<(Place, bool)> {
        while let Some(&Reverse((time, place))) = self.retries.peek()
            && time <= now
        {
            self.retries.pop();
            self.waiting.push_back(Place(place));
        }
        if self.pending >= self.most_pending {
            return None;
        }
        if let Some(place) = self.urgent.pop_front() {
            return Some((place, false));
        }
        if self.next > now {
            return None;
        }
        let place = self.waiting.pop_front().or_else(|| self.fresh.next().map(Place))?;
        Some((place, true))
    }

    /// A connect was started; `counted`, if the rate counts it.
    pub(super) fn started(&mut self, now: Nanos, counted: bool) {
        self.pending += 1;
        if !counted {
            return;
        }
        self.next = (self.next + self.gap).max(now.saturating_sub(CATCH_UP));
    }

    pub(super) fn succeeded(&mut self) {
        self.pending -= 1;
        self.failures = 0;
    }

    /// An attempt has failed. Nobody answers when so many in a row have: trying those that never were would only
    /// wait for more timeouts. Answers whom that leaves out.
    pub(super) fn failed(&mut self) -> Option<(usize, Range<u32>)> {
        self.pending -= 1;
        self.failures += 1;
        let hopeless = self.failures >= self.at_once.max(8) && !self.fresh.is_empty();
        hopeless.then(|| (self.failures, std::mem::replace(&mut self.fresh, 0..0)))
    }

    /// When somebody may connect next, as far as that is a matter of time.
    pub(super) fn next(&self) -> Option<Nanos> {
        let waits = !self.waiting.is_empty() || !self.fresh.is_empty();
        let urgent = (!self.urgent.is_empty() && self.pending < self.most_pending).then_some(0);
        let now = (waits && self.pending < self.most_pending).then_some(self.next);
        urgent.into_iter().chain(now).chain(self.retries.peek().map(|Reverse((time, _))| *time)).min()
    }
}
