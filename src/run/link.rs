//! What the conductor and the workers say to each other. Nothing of it happens per message.

use crate::clock::Nanos;
use crate::engine::{Stats, Usage, Waker};
use crate::record::Throughput;
use crate::stats::Interval;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};

/// From the conductor to a worker, in this order. Each ends in a [`Report`].
pub enum Command {
    /// Connect all clients. Ends in [`Report::Connected`].
    Connect,
    /// Subscribe. Ends in [`Report::Subscribed`].
    Subscribe,
    /// Publish from this time on (process clock). Ends in [`Report::Scheduled`] when nothing is due any
    /// more.
    Publish { start: Nanos },
    /// Nothing more will be due; send what is in the backlog and wait.
    Drain,
    /// Disconnect everybody and end. Ends in [`Report::Ended`].
    Disconnect,
    /// A measured tally that the conductor has read, to be used again.
    Recycle(Box<Tally>),
}

/// From a worker to the conductor.
pub enum Report {
    /// Every client is connected or has failed to.
    Connected,
    /// Every SUBSCRIBE is answered or given up.
    Subscribed,
    /// The last message of the schedule came due.
    Scheduled,
    /// What was measured since the last one, about once a second.
    Tally(Box<Tally>),
    /// The worker has ended, after its last tally.
    Ended(Box<WorkerSummary>),
}

/// What a worker measured in one second of the run.
#[derive(Default)]
pub struct Tally {
    /// Which second, from 0.
    pub second: u64,
    /// Messages whose intended time lies in the measure window, and everything that is not a message
    /// (connections, bytes, pings) at any time.
    pub measured: Interval,
    /// Messages outside of the measure window.
    pub unmeasured: Interval,
    /// What went wrong, in words, with how often.
    pub troubles: Vec<(String, u64)>,
}

impl Tally {
    pub fn restart(&mut self, second: u64, now: Nanos) {
        self.second = second;
        self.measured.restart(now);
        self.unmeasured.restart(now);
        self.troubles.clear();
    }

    /// Counts one more case of `trouble`. At most [`Tally::TROUBLES`] kinds are told apart.
    pub fn trouble(&mut self, trouble: String) {
        let known = self.troubles.iter().position(|(known, _)| *known == trouble);
        match known {
            Some(at) => self.troubles[at].1 += 1,
            None if self.troubles.len() < Tally::TROUBLES => self.troubles.push((trouble, 1)),
            None => self.troubles[Tally::TROUBLES - 1].1 += 1,
        }
    }

    const TROUBLES: usize = 8;
}

/// What a worker has to say about itself at its end.
#[derive(Default)]
pub struct WorkerSummary {
    /// CPU and switches within the measure phase.
    pub usage: Usage,
    /// Length of the measure phase as this worker had it.
    pub span: Nanos,
    /// Enters within the measure phase, and the time outside of them.
    pub enters: u64,
    pub code: Nanos,
    /// Messages sent, acknowledged and delivered within the measure phase.
    pub throughput: Throughput,
    pub stats: Stats,
    /// Why it could not start or go on.
    pub failure: Option<crate::engine::Error>,
}

/// Where a worker stands, stored once per pass for the progress line and the end of the drain.
#[repr(align(128))]
#[derive(Default)]
pub struct Gauges {
    pub connected: AtomicU64,
    /// Clients that have been connected at any time.
    pub established: AtomicU64,
    pub due: AtomicU64,
    pub sent: AtomicU64,
    pub acked: AtomicU64,
    /// Deliveries that subscribers are to have, in all phases.
    pub expected: AtomicU64,
    pub delivered: AtomicU64,
    /// Messages in backlogs and in flight.
    pub outstanding: AtomicU64,
    /// Whether the worker has seen [`Command::Drain`].
    pub draining: AtomicU64,
}

/// A plain copy of [`Gauges`], or the sum of several.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Levels {
    pub connected: u64,
    pub established: u64,
    pub due: u64,
    pub sent: u64,
    pub acked: u64,
    pub expected: u64,
    pub delivered: u64,
    pub outstanding: u64,
    pub draining: u64,
}

macro_rules! fields {
    ($apply:ident) => {
        $apply!(connected, established, due, sent, acked, expected, delivered, outstanding, draining)
    };
}

impl Gauges {
    pub fn store(&self, levels: &Levels) {
        macro_rules! store { ($($field:ident),*) => { $(self.$field.store(levels.$field, Ordering::Release);)* } }
        fields!(store);
    }

    pub fn add_to(&self, sum: &mut Levels) {
        macro_rules! add { ($($field:ident),*) => { $(sum.$field += self.$field.load(Ordering::Acquire);)* } }
        fields!(add);
    }
}

/// A worker's end of the line.
pub struct WorkerLink {
    pub commands: Receiver<Command>,
    pub reports: Sender<(usize, Report)>,
    pub worker: usize,
}

impl WorkerLink {
    /// The conductor outlives its workers, so a report always has a reader; after a fault of the
    /// conductor nobody cares.
    pub fn report(&self, report: Report) {
        let _ = self.reports.send((self.worker, report));
    }
}

/// The conductor's end of one line.
pub struct ConductorLink {
    pub commands: Sender<Command>,
    pub waker: Waker,
}

impl ConductorLink {
    /// A worker that has failed does not hear; its [`Report::Ended`] says why.
    pub fn command(&self, command: Command) {
        self.command_quietly(command);
        self.waker.wake();
    }

    /// For what can wait until the worker looks.
    pub fn command_quietly(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}
