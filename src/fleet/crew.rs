//! The clients of one worker: how they get connected, stay so, and leave. What they do meanwhile is in
//! [`publisher`](super::publisher) and [`listener`](super::listener).

mod alarms;
mod connecting;
mod leaving;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{SystemTime, UNIX_EPOCH};

use super::listener::{Listener, Stage};
use super::publisher::{Publisher, Token};
use super::shared::{Ending, Levels, Role, Shared, Tally};
use crate::client::{Client, Event, Limits, State};
use crate::clock::{MILLISECOND, Nanos, SECOND};
use crate::engine::{self, App, Closed, Conn, Io};
use crate::load::Bursts;
use crate::record::Ended;
use crate::seed::Draw;
use crate::wire::{self};

/// Clients of all workers between SYN and CONNACK: brokers listen with backlogs as short as 100.
const AT_ONCE: usize = 100;
/// The first wait before a connection is tried again; it doubles up to the last.
const FIRST_WAIT: Nanos = 100 * MILLISECOND;
const LAST_WAIT: Nanos = 5 * SECOND;
/// How long clients have for what is under way after an interrupt, and the broker for closing its side.
const HURRY: Nanos = SECOND;
/// A connection that was of no use and lived shorter than this is a failed attempt.
const SHORT: Nanos = SECOND;
/// Kinds of trouble told apart.
const TROUBLES: usize = 8;

/// One client; its place is its slot in the engine.
pub(super) struct Member {
    pub client: Client<Token>,
    /// Index among all clients of the fleet.
    pub index: u32,
    pub part: Part,
    pub step: Step,
    /// When the step under way began.
    since: Nanos,
    /// Failed attempts in a row; a connection that ended before it was of any use is one.
    failures: u32,
    /// When CONNACK came.
    up_since: Nanos,
    /// Others need not wait for it any more.
    ready: bool,
    /// Its last connection was lost, not given up.
    was_lost: bool,
    was_established: bool,
    keepalive_armed: bool,
}

/// What a client does, and its place among those of this worker that do the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Publisher(usize),
    Responder(u32),
    Listener(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Not connected: its time has not come, or it waits to try again.
    Waiting,
    Tcp,
    ConnAck,
    SubAck,
    Up,
    UnsubAck,
    /// Its attempt has failed, and its socket is being closed before the next one.
    Retreating,
    /// DISCONNECT is written.
    Leaving(After),
    /// It has failed, and waits for its connection to end.
    Failed,
    Done,
}

/// What follows a disconnect that was meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    Done,
    Reconnect,
    /// Until somebody connects it again.
    Away,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Alarm {
    Connect,
    /// A step of connecting takes too long.
    Step,
    KeepAlive,
    Acks,
    /// A publisher leaves the run.
    Leave,
    /// A publisher has published for as long as it was to.
    TimeUp,
    /// A slow consumer reads on.
    Resume,
    /// A listener has heard nothing for long.
    Quiet,
    /// A listener's time is up.
    Duration,
    /// The end of the time that an interrupt leaves; of nobody in particular.
    Hurry,
}

pub(super) struct Crew {
    /// Counted by this worker alone on the way: a message is to touch no counter that workers share.
    #[allow(clippy::redundant_allocation, reason = "the outer count is not atomic, and that is its point")]
    pub shared: Rc<Arc<Shared>>,
    worker: usize,
    tallies: Sender<(usize, Box<Tally>)>,
    pub members: Vec<Member>,
    pub publishers: Vec<Publisher>,
    pub listeners: Vec<Listener>,
    alarms: BinaryHeap<Reverse<(Nanos, Alarm, u32)>>,
    /// Publishers with a message to come, by the time it is due.
    pub due: BinaryHeap<Reverse<(Nanos, u32)>>,
    /// Publishers that have had their turn in a pass and have more to send.
    pub unfinished: VecDeque<Conn>,
    pub bursts: Bursts,
    /// Clients that may connect, and those that are at it.
    waiting: VecDeque<Conn>,
    pending: usize,
    at_once: usize,
    /// Whether publishers have begun to connect: once all listeners are ready.
    released: bool,
    stopped: bool,
    done: usize,
    pub tally: Box<Tally>,
    pub levels: Levels,
    tally_due: Nanos,
    counted: (u64, u64),
    pub scratch: Vec<u8>,
    pub topic: String,
    pub payload: Vec<u8>,
    jitter: Draw,
    /// The wall clock at a reading of the process clock.
    wall: (Nanos, u64),
    begun: Nanos,
    usage: engine::Usage,
}

impl Crew {
    pub fn new(shared: Arc<Shared>, worker: usize, tallies: Sender<(usize, Box<Tally>)>) -> Crew {
        let workers = shared.wakers.len();
        let (mut members, mut publishers, mut listeners) = (Vec::new(), Vec::new(), Vec::new());
        for index in (worker as u32..shared.clients()).step_by(workers) {
            let part = match shared.role(index) {
                Role::Publisher(number) => {
                    publishers.push(Publisher::new(&shared, number));
                    Part::Publisher(publishers.len() - 1)
                }
                Role::Responder(number) => Part::Responder(number),
                Role::Listener(number) => {
                    listeners.push(Listener::new(&shared, number));
                    Part::Listener(listeners.len() - 1)
                }
            };
            members.push(Member {
                client: Client::new(),
                index,
                part,
                step: Step::Waiting,
                since: 0,
                failures: 0,
                up_since: 0,
                ready: false,
                was_lost: false,
                was_established: false,
                keepalive_armed: false,
            });
        }
        Crew {
            worker,
            tallies,
            members,
            publishers,
            listeners,
            alarms: BinaryHeap::new(),
            due: BinaryHeap::new(),
            unfinished: VecDeque::new(),
            bursts: Bursts::new(shared.spec.publishing.as_ref().map_or(0, |publishing| publishing.tolerance)),
            waiting: VecDeque::new(),
            pending: 0,
            at_once: (AT_ONCE / workers).max(1),
            released: false,
            stopped: false,
            done: 0,
            tally: Box::default(),
            levels: Levels::default(),
            tally_due: shared.epoch + SECOND,
            counted: (0, 0),
            scratch: Vec::new(),
            topic: String::new(),
            payload: Vec::new(),
            jitter: crate::seed::stream(shared.spec.seed, "fleet", worker as u64),
            wall: (0, 0),
            begun: crate::clock::now(),
            usage: engine::thread_usage(),
            shared: Rc::new(shared),
        }
    }

    /// Runs to the end.
    pub fn run(mut self, worker: Result<engine::Worker, engine::Error>) -> Ending {
        let mut ending = Ending::default();
        match worker.and_then(|worker| worker.run(&mut self)) {
            Ok(stats) => {
                self.count_bytes(stats);
                ending.enters = stats.enters;
                ending.code = stats.code_ns;
            }
            Err(error) => {
                self.shared.fail(Ended::Environment, error.to_string());
                ending.failure = Some(error);
            }
        }
        let now = crate::clock::now();
        self.ship_tally(now);
        ending.usage = engine::thread_usage().since(self.usage);
        ending.span = now - self.begun;
        ending.publishers.extend(self.publishers.into_iter().map(|publisher| publisher.finish(&self.shared)));
        ending.listeners = self.listeners;
        ending
    }

    pub fn alarm(&mut self, time: Nanos, alarm: Alarm, conn: Conn) {
        self.alarms.push(Reverse((time, alarm, conn.0)));
    }

    /// The wall clock in nanoseconds since 1970, read once for each batch of completions.
    pub fn unix_ns(&mut self, now: Nanos) -> u64 {
        if self.wall.0 != now {
            let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.wall = (now, unix.as_nanos() as u64);
        }
        self.wall.1
    }

    pub fn trouble(&mut self, trouble: String) {
        let troubles = &mut self.tally.troubles;
        match troubles.iter().position(|(known, _)| *known == trouble) {
            Some(at) => troubles[at].1 += 1,
            None if troubles.len() < TROUBLES => troubles.push((trouble, 1)),
            None => troubles[TROUBLES - 1].1 += 1,
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.stopped
    }

    pub(super) fn limits(&self, place: usize) -> &Limits {
        match self.members[place].part {
            Part::Publisher(_) => &self.shared.publisher_limits,
            _ => &self.shared.other_limits,
        }
    }

    fn count_bytes(&mut self, stats: engine::Stats) {
        let counters = &mut self.tally.measured.counters;
        counters.bytes_in += stats.bytes_in - self.counted.0;
        counters.bytes_out += stats.bytes_out - self.counted.1;
        self.counted = (stats.bytes_in, stats.bytes_out);
    }

    fn ship_tally(&mut self, now: Nanos) {
        self.levels.missing = self.missing();
        self.levels.dropped = self.listeners.iter().filter_map(|listener| listener.drops.dropped()).max();
        self.levels.stored = self.listeners.iter().filter_map(|listener| listener.drops.stored()).next_back();
        self.tally.levels = self.levels;
        let second = (now - self.shared.epoch) / SECOND;
        let mut full = std::mem::take(&mut self.tally);
        full.measured.end = now;
        full.second = second.saturating_sub(u64::from(now - self.shared.epoch == second * SECOND));
        let _ = self.tallies.send((self.worker, full));
    }

    fn tick(&mut self, io: &mut Io) -> Nanos {
        if io.now() >= self.tally_due {
            self.count_bytes(io.stats());
            // What happened until now belongs to the second that has just ended.
            self.ship_tally(self.tally_due - 1);
            self.tally_due += SECOND * (1 + (io.now() - self.tally_due) / SECOND);
        }
        self.tally_due
    }
}

impl App for Crew {
    fn started(&mut self, io: &mut Io) {
        self.schedule_connects(io);
        self.look_around(io);
    }

    fn connected(&mut self, io: &mut Io, conn: Conn) {
        if self.members[conn.0 as usize].step == Step::Tcp {
            self.write_connect(io, conn);
        }
    }

    fn accepted(&mut self, _: &mut Io, _: Conn) {
        unreachable!("clients listen to nobody");
    }

    fn data(&mut self, io: &mut Io, conn: Conn, bytes: &[u8]) -> usize {
        let mut used = 0;
        while used < bytes.len() {
            match wire::decode(&bytes[used..], self.shared.max_packet) {
                Ok(Some((ref packet, len))) => {
                    used += len;
                    if !self.packet(io, conn, packet) {
                        return bytes.len();
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    match self.members[conn.0 as usize].step {
                        Step::ConnAck => self.violated(io, conn, &wire::explain_first(bytes, error)),
                        _ => self.violated(io, conn, &error),
                    }
                    return bytes.len();
                }
            }
        }
        match self.members[conn.0 as usize].part {
            Part::Publisher(local) => {
                self.pump(io, conn, local);
            }
            Part::Listener(local) => self.end_if_complete(io, conn, local),
            Part::Responder(_) => {}
        }
        used
    }

    fn writable(&mut self, io: &mut Io, conn: Conn) {
        if let Part::Publisher(local) = self.members[conn.0 as usize].part {
            self.pump(io, conn, local);
        }
    }

    fn closed(&mut self, io: &mut Io, conn: Conn, closed: Closed) {
        self.transport_down(io, conn, closed.cause);
    }

    fn woken(&mut self, io: &mut Io) {
        self.look_around(io);
    }

    fn pass(&mut self, io: &mut Io) -> Option<Nanos> {
        let tick = self.tick(io);
        let alarm = self.run_alarms(io);
        self.connect_some(io);
        let due = self.publish_due(io);
        if self.done == self.members.len() && io.connections() == 0 {
            io.stop();
        }
        Some(tick.min(alarm).min(due))
    }
}

impl Crew {
    /// Handles one packet; false when the connection is being given up.
    fn packet(&mut self, io: &mut Io, conn: Conn, packet: &wire::Packet<'_>) -> bool {
        let now = io.now();
        let member = &mut self.members[conn.0 as usize];
        if member.client.state() == State::Offline || matches!(member.step, Step::Failed | Step::Done) {
            return false;
        }
        self.tally.measured.counters.packets_in += 1;
        let part = member.part;
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
        }
        match (event, part) {
            (Event::Acked(token) | Event::AckedLate(token), Part::Publisher(local)) => {
                self.members[conn.0 as usize].failures = 0;
                self.acked(now, local, token);
            }
            (Event::Message { publish, first }, Part::Publisher(local)) => {
                self.answered(now, local, &publish, first);
            }
            (Event::Message { publish, first }, Part::Listener(local)) => {
                self.members[conn.0 as usize].failures = 0;
                self.heard(io, conn, local, &publish, first);
            }
            (Event::Message { publish, .. }, Part::Responder(number)) => {
                self.answer(io, conn, number, &publish);
            }
            (Event::Pong, _) => self.tally.measured.counters.pongs += 1,
            (Event::Connected { session_present }, _) => self.established(io, conn, session_present),
            (Event::Refused(code), _) => {
                self.refused(io, conn, code);
                return false;
            }
            (Event::Subscribed { codes, .. }, _) => self.subscribed(io, conn, codes),
            (Event::Unsubscribed(_), _) => self.unsubscribed(io, conn),
            _ => {}
        }
        true
    }
}

/// Whether the listeners of this worker have what they wait for.
impl Crew {
    fn missing(&self) -> Option<u64> {
        let missing = self.listeners.iter().filter_map(Listener::missing);
        missing.fold(None, |sum, missing| Some(sum.unwrap_or(0) + missing))
    }

    pub(super) fn stage(&self, local: usize) -> Stage {
        self.listeners[local].stage
    }
}
