//! The clients of one worker: the application the engine runs.

mod connecting;
mod messages;
mod timers;
mod times;

use super::link::{Command, Gauges, Levels, Report, Tally, WorkerLink, WorkerSummary};
use super::{Layout, Spec};
use crate::client::{self, Client, Event, State};
use crate::clock::{Nanos, SECOND};
use crate::engine::{self, App, Closed, Conn, Io, Usage};
use crate::load::{Body, Bursts, Flow, HandOver, Role, Routes, Schedule};
use crate::record::Throughput;
use crate::wire;
use connecting::Connecting;
use messages::{Acks, Backlog, Publisher, Token};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use timers::Timers;
use times::Times;

/// What all workers of a run share. Read-only from the start of the schedule on, but for the cells of
/// [`HandOver`].
pub struct Shared {
    /// When the run began, on the process clock: its seconds are counted from here.
    pub epoch: Nanos,
    pub spec: Spec,
    /// What every stamp carries: [`Spec::run_id`], which costs some 100 ns to work out.
    pub run_id: u32,
    pub layout: Layout,
    pub routes: Routes,
    pub body: Body,
    pub limits: client::Limits,
    pub hand_over: HandOver,
    /// Subscribers with a granted subscription, by group.
    pub granted: Vec<AtomicU32>,
    /// The measure phase, in nanoseconds since the start of the schedule, half-open.
    pub window: (Nanos, Nanos),
    /// Largest packet accepted from the broker.
    pub max_packet: usize,
}

/// One client.
struct Member {
    client: Client<Token>,
    /// Index among all clients of the run.
    index: u32,
    /// When the step under way (TCP connect, CONNECT, SUBSCRIBE) began.
    since: Nanos,
    step: Step,
    /// Failed attempts in a row.
    failures: u8,
    was_established: bool,
}

/// What a client is waiting for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Not tried yet, failed for good, or waiting to try again.
    Down,
    Tcp,
    ConnAck,
    /// Connected; nothing outstanding.
    Up,
    SubAck,
    /// DISCONNECT is sent.
    Leaving,
}

struct Subscriber {
    group: u32,
    granted: bool,
    /// One per publisher of the group.
    flows: Box<[Flow]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Waiting,
    Connecting,
    Connected,
    Subscribing,
    Subscribed,
    Publishing,
    Draining,
    Leaving,
}

struct Opening {
    time: Nanos,
    usage: Usage,
    stats: engine::Stats,
    levels: Levels,
}

/// One worker's clients. A client's place here is its slot in the engine: publishers first, then
/// subscribers, then the idle.
pub struct Clients {
    shared: Arc<Shared>,
    gauges: Arc<[Gauges]>,
    link: WorkerLink,
    phase: Phase,
    members: Vec<Member>,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    /// The publishers' topics, one after the other.
    topics: String,
    backlog: Backlog,
    /// Open loop only.
    schedule: Option<Schedule>,
    /// When the schedule starts, on the process clock.
    start: Nanos,
    bursts: Bursts,
    /// Closed loop: the first messages are sent.
    begun: bool,
    scheduled: bool,
    /// Closed loop with a count: messages that end it.
    quota: u64,
    /// Closed loop at QoS 0: where the round of publishers stands.
    round: usize,
    connecting: Connecting,
    timers: Timers,
    /// What a client writes before it is certain that there is anything to write.
    scratch: Vec<u8>,
    tally: Box<Tally>,
    times: Times,
    acks: Acks,
    spare: Option<Box<Tally>>,
    tally_due: Nanos,
    /// Bytes in and out that are in tallies already.
    counted: (u64, u64),
    levels: Levels,
    /// Where everything stood at the beginning of the measure phase.
    opening: Option<Opening>,
    summary: WorkerSummary,
    leaving_next: usize,
    leaving_until: Nanos,
}

/// Answers to a broker that sends and does not read, in bytes beyond a message: quarter of a million.
const UNREAD: usize = 1 << 20;
/// How long the broker has to close its side after DISCONNECT.
const LEAVE: Nanos = 2 * SECOND;
/// Clients that say DISCONNECT in one pass.
const LEAVE_AT_ONCE: usize = 1000;

impl Clients {
    pub fn new(shared: Arc<Shared>, gauges: Arc<[Gauges]>, link: WorkerLink) -> Clients {
        let indices = &shared.layout.workers[link.worker].clients;
        let split = shared.layout.split;
        let mut subscribers = Vec::new();
        let mut numbers = Vec::new();
        let mut members = Vec::with_capacity(indices.len());
        for &index in indices {
            match split.role(index) {
                Role::Publisher(number) => numbers.push(number),
                Role::Subscriber(number) => {
                    let group = shared.routes.group(number);
                    let flows = (0..shared.routes.publishers_in(group)).map(|_| Flow::default()).collect();
                    subscribers.push(Subscriber { group, granted: false, flows });
                }
                Role::Idle => {}
            }
            members.push(Member {
                client: Client::new(),
                index,
                since: 0,
                step: Step::Down,
                failures: 0,
                was_established: false,
            });
        }
        let (publishers, topics) = messages::publishers(&shared, &numbers);
        let schedule = shared.spec.schedule(numbers);
        let workers = shared.layout.workers.len();
        let passed = (crate::clock::now() - shared.epoch) / SECOND;
        let tally_due = shared.epoch + SECOND * (passed + 1);
        Clients {
            gauges,
            phase: Phase::Waiting,
            backlog: Backlog::new(shared.spec.backlog_limit()),
            schedule,
            start: 0,
            bursts: Bursts::new(shared.spec.plan.tolerance_ns),
            begun: false,
            scheduled: false,
            quota: u64::MAX,
            round: 0,
            connecting: Connecting::new(&shared.spec, members.len(), workers),
            timers: Timers::new(&shared.spec, members.len(), publishers.len()),
            members,
            publishers,
            subscribers,
            topics,
            scratch: Vec::new(),
            tally: Box::default(),
            times: Times::default(),
            acks: Acks::default(),
            counted: (0, 0),
            spare: None,
            tally_due,
            levels: Levels::default(),
            opening: None,
            summary: WorkerSummary::default(),
            leaving_next: 0,
            leaving_until: 0,
            shared,
            link,
        }
    }

    /// Runs to the end and reports it.
    pub fn run(mut self, worker: Result<engine::Worker, engine::Error>) {
        match worker.and_then(|worker| worker.run(&mut self)) {
            Ok(stats) => {
                self.count_bytes(stats);
                self.summary.stats = stats;
            }
            Err(error) => self.summary.failure = Some(error),
        }
        self.ship_tally(crate::clock::now());
        let summary = Box::new(std::mem::take(&mut self.summary));
        self.link.report(Report::Ended(summary));
    }

    /// Place among the subscribers of this worker, if it is one.
    fn subscriber_place(&self, conn: Conn) -> Option<usize> {
        (conn.0 as usize).checked_sub(self.publishers.len()).filter(|place| *place < self.subscribers.len())
    }

    fn obey(&mut self, io: &mut Io, command: Command) {
        match command {
            Command::Connect => {
                self.phase = Phase::Connecting;
                self.connecting.begin(io.now());
            }
            Command::Subscribe => self.phase = Phase::Subscribing,
            Command::Publish { start } => {
                self.phase = Phase::Publishing;
                self.start = start;
                self.fix_audiences();
                self.fix_quota();
            }
            Command::Drain => {
                self.phase = Phase::Draining;
                self.schedule = None;
                self.levels.draining = 1;
                self.close_window(io);
            }
            Command::Disconnect => {
                self.phase = Phase::Leaving;
                self.close_window(io);
                self.shed_backlogs();
                self.leaving_until = io.now() + LEAVE;
            }
            Command::Recycle(tally) => self.spare = Some(tally),
        }
    }

    /// Ends connecting and subscribing when nobody is left to wait for.
    fn advance_phase(&mut self) {
        match self.phase {
            Phase::Connecting if self.connecting.is_done() => {
                self.phase = Phase::Connected;
                self.link.report(Report::Connected);
            }
            Phase::Subscribing
                if self.connecting.awaiting_suback == 0
                    && self.connecting.next_subscriber == self.subscribers.len() =>
            {
                self.phase = Phase::Subscribed;
                self.link.report(Report::Subscribed);
            }
            _ => {}
        }
    }

    /// Says DISCONNECT, some clients at a time; ends the worker when all are gone.
    fn leave(&mut self, io: &mut Io) -> Option<Nanos> {
        let until = (self.leaving_next + LEAVE_AT_ONCE).min(self.members.len());
        for place in self.leaving_next..until {
            let conn = Conn(place as u32);
            let member = &mut self.members[place];
            match member.step {
                Step::Down | Step::Leaving => {}
                Step::Tcp | Step::ConnAck => io.abort(conn),
                Step::Up | Step::SubAck => {
                    member.client.disconnect(io.out(conn));
                    self.tally.measured.counters.packets_out += 1;
                }
            }
            if member.step != Step::Down {
                member.step = Step::Leaving;
            }
            if place < self.publishers.len() {
                let unacked: Vec<_> = member.client.abandon().collect();
                unacked.into_iter().for_each(|token| self.abandoned(io.now(), token));
            }
        }
        self.leaving_next = until;
        if until < self.members.len() {
            self.leaving_until = io.now() + LEAVE;
            return Some(io.now());
        }
        if io.connections() == 0 {
            io.stop();
        } else if io.now() >= self.leaving_until {
            for (place, member) in self.members.iter().enumerate() {
                if member.step == Step::Leaving {
                    io.abort(Conn(place as u32));
                }
            }
            self.leaving_until = Nanos::MAX;
        }
        (self.leaving_until != Nanos::MAX).then_some(self.leaving_until)
    }

    /// Notes usage at the beginning of the measure phase; answers when to look again.
    fn watch_window(&mut self, io: &Io) -> Option<Nanos> {
        if !matches!(self.phase, Phase::Publishing | Phase::Draining) {
            return None;
        }
        let opens = self.start + self.shared.window.0;
        let closes = self.start.saturating_add(self.shared.window.1);
        match &self.opening {
            None if io.now() < opens => Some(opens),
            None if self.summary.span == 0 => {
                self.opening = Some(Opening {
                    time: io.now(),
                    usage: engine::thread_usage(),
                    stats: io.stats(),
                    levels: self.levels,
                });
                Some(closes)
            }
            Some(_) if io.now() >= closes => {
                self.close_window(io);
                None
            }
            Some(_) => Some(closes),
            None => None,
        }
    }

    fn close_window(&mut self, io: &Io) {
        if let Some(opening) = self.opening.take() {
            self.summary.usage = engine::thread_usage().since(opening.usage);
            self.summary.span = (io.now() - opening.time).max(1);
            let stats = io.stats();
            self.summary.enters = stats.enters - opening.stats.enters;
            self.summary.code = stats.code_ns - opening.stats.code_ns;
            self.summary.throughput = Throughput {
                sent: self.levels.sent - opening.levels.sent,
                acked: self.levels.acked - opening.levels.acked,
                delivered: self.levels.delivered - opening.levels.delivered,
            };
        }
    }

    /// The tally for messages with this intended time.
    #[inline]
    fn tally_of(&mut self, intended: Nanos) -> &mut crate::stats::Interval {
        if self.is_measured(intended) { &mut self.tally.measured } else { &mut self.tally.unmeasured }
    }

    /// Whether the intended time lies in the measure phase.
    #[inline]
    fn is_measured(&self, intended: Nanos) -> bool {
        let (from, to) = self.shared.window;
        (from..to).contains(&intended)
    }

    fn count_bytes(&mut self, stats: engine::Stats) {
        let counters = &mut self.tally.measured.counters;
        counters.bytes_in += stats.bytes_in - self.counted.0;
        counters.bytes_out += stats.bytes_out - self.counted.1;
        self.counted = (stats.bytes_in, stats.bytes_out);
    }

    fn ship_tally(&mut self, now: Nanos) {
        self.times.settle(&mut self.tally);
        let mut fresh = self.spare.take().unwrap_or_default();
        fresh.restart((now - self.shared.epoch) / SECOND, now);
        let mut full = std::mem::replace(&mut self.tally, fresh);
        (full.measured.end, full.unmeasured.end) = (now, now);
        self.link.report(Report::Tally(full));
    }

    fn tick(&mut self, io: &mut Io) -> Nanos {
        if io.now() >= self.tally_due {
            // The tally of a second ago is back by now.
            self.woken(io);
            self.count_bytes(io.stats());
            self.ship_tally(io.now());
            // On the run's seconds, skipping what was missed.
            self.tally_due += SECOND * (1 + (io.now() - self.tally_due) / SECOND);
        }
        self.tally_due
    }
}

impl App for Clients {
    fn connected(&mut self, io: &mut Io, conn: Conn) {
        self.transport_up(io, conn);
    }

    fn accepted(&mut self, _: &mut Io, _: Conn) {
        unreachable!("clients listen to nobody");
    }

    fn data(&mut self, io: &mut Io, conn: Conn, bytes: &[u8]) -> usize {
        let acked = self.levels.acked;
        let used = self.packets(io, conn, bytes);
        // Once for all acknowledgements of a read: they are counted, and the window has room again.
        self.settle_acks(io.now());
        if used.is_some() && self.levels.acked != acked {
            self.catch_up(io, conn.0 as usize);
        }
        used.unwrap_or(bytes.len())
    }

    fn writable(&mut self, io: &mut Io, conn: Conn) {
        self.catch_up(io, conn.0 as usize);
    }

    fn closed(&mut self, io: &mut Io, conn: Conn, closed: Closed) {
        self.transport_down(io, conn, closed.cause);
    }

    fn woken(&mut self, io: &mut Io) {
        while let Ok(command) = self.link.commands.try_recv() {
            self.obey(io, command);
        }
    }

    fn pass(&mut self, io: &mut Io) -> Option<Nanos> {
        let mut next = self.tick(io);
        let mut at = |deadline: Option<Nanos>| next = next.min(deadline.unwrap_or(Nanos::MAX));
        at(self.watch_window(io));
        at(self.run_timers(io));
        at(self.connect_some(io));
        if self.phase == Phase::Subscribing {
            self.subscribe_some(io);
        }
        if self.phase == Phase::Publishing {
            at(self.publish_due(io));
        }
        if self.phase == Phase::Leaving {
            at(self.leave(io));
        }
        self.advance_phase();
        self.gauges[self.link.worker].store(&self.levels);
        Some(next)
    }
}

impl Clients {
    /// Handles the packets at the front of `bytes`; answers how long they are, and `None` when the connection
    /// is being given up.
    #[inline]
    fn packets(&mut self, io: &mut Io, conn: Conn, bytes: &[u8]) -> Option<usize> {
        let mut used = 0;
        while used < bytes.len() {
            match wire::decode(&bytes[used..], self.shared.max_packet) {
                // By reference: a packet is 100 bytes, and moving it costs more than decoding most.
                Ok(Some((ref packet, len))) => {
                    used += len;
                    if !self.packet(io, conn, packet) {
                        return None;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    match self.members[conn.0 as usize].step {
                        Step::ConnAck => self.violated(io, conn, &wire::explain_first(bytes, error)),
                        _ => self.violated(io, conn, &error),
                    }
                    return None;
                }
            }
        }
        Some(used)
    }

    /// Handles one packet; false when the connection is being given up.
    #[inline]
    fn packet(&mut self, io: &mut Io, conn: Conn, packet: &wire::Packet<'_>) -> bool {
        let now = io.now();
        let member = &mut self.members[conn.0 as usize];
        if member.client.state() == State::Offline {
            return false;
        }
        self.tally.measured.counters.packets_in += 1;
        let event = match member.client.handle_packet(packet, now, &mut self.scratch) {
            Ok(event) => event,
            Err(error) => {
                self.violated(io, conn, &error);
                return false;
            }
        };
        if !self.scratch.is_empty() {
            self.tally.measured.counters.packets_out += 1;
            self.write_scratch(io, conn);
            if io.blocked(conn) && io.unsent(conn) > self.shared.max_packet + UNREAD {
                self.flooded(io, conn);
                return false;
            }
        }
        match event {
            Event::Acked(token) => self.acked(now, token),
            Event::Message { publish, first } => self.delivered(now, conn, &publish, first),
            Event::AckedLate(token) => self.acked_late(token),
            Event::None | Event::Received(_) | Event::Unsubscribed(_) => {}
            Event::Pong => self.tally.measured.counters.pongs += 1,
            Event::Connected { session_present } => self.established(io, conn, session_present),
            Event::Refused(code) => {
                self.refused(io, conn, code);
                return false;
            }
            Event::Subscribed { codes, .. } => self.subscribed(io, conn, codes),
        }
        true
    }
}
