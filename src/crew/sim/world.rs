//! The world: one clock, some workers, a network and a peer.

use super::dice::Span;
use super::events::{End, Event};
use super::faults::Faults;
use super::link::{Completion, Lag, Machine, SimLink};
use super::net::{Key, Net, Network};
use super::peer::Peer;
use super::truth::Truth;
use crate::clock::{Nanos, SECOND};
use crate::crew::Link;
use crate::engine::{App, Closed, Conn, Stats, Usage, Waker};
use crate::script::{Act, Script};
use crate::transport::Acceptor;
use crate::wire::QoS;
use std::sync::Arc;

/// What a world is made of. The same setup makes the same world.
#[derive(Clone, Debug)]
pub struct Setup {
    pub seed: u64,
    pub workers: usize,
    /// Size of each worker's table of connections.
    pub connections: u32,
    pub machine: Machine,
    pub network: Network,
    /// What the peer does by chance.
    pub faults: Faults,
    /// What it does for certain.
    pub script: Script,
    /// What carries its connections.
    pub transport: Option<Arc<Acceptor>>,
    /// The clock when the world begins.
    pub start: Nanos,
    /// Virtual time after which the world has hung.
    pub limit: Nanos,
    /// Events after which it has.
    pub most_events: u64,
    /// How far apart workers begin.
    pub start_up: Span,
}

impl Setup {
    /// A healthy peer; a machine and a network of usual speed and varying delays.
    pub fn new(seed: u64, workers: usize) -> Setup {
        Setup {
            seed,
            workers,
            connections: 1 << 20,
            machine: Machine::default(),
            network: Network::default(),
            faults: Faults::default(),
            script: Script::default(),
            transport: None,
            start: SECOND,
            limit: 3600 * SECOND,
            most_events: 20_000_000,
            start_up: 0..=100_000,
        }
    }

    /// The same, with a machine that costs no time and a network of a constant 1 ms each way.
    pub fn exact(workers: usize) -> Setup {
        Setup {
            machine: Machine::instant(),
            network: Network::plain(crate::clock::MILLISECOND),
            start_up: 0..=0,
            ..Setup::new(0, workers)
        }
    }
}

/// What a step of the world was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Happened,
    /// A moment asked for with [`World::alarm`].
    Alarm(u64),
    /// Nothing will ever happen again, unless somebody rings a worker or sets an alarm.
    Idle,
}

/// A simulated world: virtual time, workers that stand for the engine's, a network, and a peer that keeps the truth.
pub struct World {
    pub(super) net: Net,
    pub(super) workers: Vec<SimLink>,
    pub(super) peer: Peer,
    wakers: Vec<Waker>,
    limit: Nanos,
    most_events: u64,
    events: u64,
}

impl World {
    /// A world in which nothing has happened.
    ///
    /// # Panics
    /// If the machine that runs the test has no file descriptor for the wakers.
    pub fn new(setup: Setup) -> World {
        let mut net = Net::new(setup.network, setup.transport, setup.seed, setup.start);
        let mut dice = super::dice::Dice::new(setup.seed, "sim world", 0);
        let worker = |id| SimLink::new(id, setup.machine.clone(), setup.connections, setup.seed, setup.start);
        let mut workers: Vec<SimLink> = (0..setup.workers as u32).map(worker).collect();
        for worker in &mut workers {
            let start = setup.start + dice.within(&setup.start_up);
            worker.turn_by(&mut net, start);
        }
        let peer = Peer::new(setup.faults, setup.script, setup.seed, &mut net);
        let wakers = (0..setup.workers).map(|_| Waker::new().expect("an eventfd")).collect();
        World { net, workers, peer, wakers, limit: setup.limit, most_events: setup.most_events, events: 0 }
    }

    /// The workers' bells. Whoever rings one is heard at once.
    pub fn wakers(&self) -> Vec<Waker> {
        self.wakers.clone()
    }

    /// The time.
    pub fn now(&self) -> Nanos {
        self.net.now
    }

    /// When something happens next.
    pub fn next_time(&self) -> Option<Nanos> {
        self.net.events.next_time()
    }

    /// Things that have happened.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// What really happened.
    pub fn truth(&self) -> &Truth {
        &self.net.truth
    }

    /// Lets [`World::step`] answer [`Step::Alarm`] with `token` at `time`.
    pub fn alarm(&mut self, time: Nanos, token: u64) {
        self.net.events.at(time.max(self.net.now), Event::Alarm(token));
    }

    /// Takes the CPU from a worker at `time` for `pause`: everything due meanwhile is late.
    pub fn stall(&mut self, worker: usize, time: Nanos, pause: Nanos) {
        self.net.events.at(time.max(self.net.now), Event::Stall(worker as u32, pause));
    }

    /// Sets the workers' wall clocks forward or back by so much.
    pub fn step_wall_clock(&mut self, by: i64) {
        self.workers.iter_mut().for_each(|worker| worker.wall += by);
    }

    /// Lets a worker's kernel have lost so many completions more.
    pub fn lose_completions(&mut self, worker: usize, count: u64) {
        self.workers[worker].stats.overflows += count;
    }

    /// The peer publishes a message that no client did.
    pub fn publish(&mut self, topic: &str, payload: &[u8], qos: QoS) {
        self.peer.publish(&mut self.net, topic, payload, qos);
    }

    /// The peer acts now: towards one client, or every connection.
    pub fn act(&mut self, client: Option<&str>, act: Act) {
        self.peer.act(&mut self.net, client, &act);
    }

    /// What happened to a worker, and what it cost.
    pub fn worker(&self, worker: usize) -> WorkerTruth {
        let link = &self.workers[worker];
        let begin = link.started.unwrap_or(self.net.now);
        WorkerTruth {
            usage: link.usage,
            span: link.stopped.unwrap_or(self.net.now).saturating_sub(begin),
            stats: Link::stats(link),
            lag: link.lag,
            stopped: link.stopped,
            most_unsent: link.most_unsent,
            most_unsent_of_one: link.most_unsent_of_one,
            most_unused: link.most_carry,
            most_dials: link.most_dials,
        }
    }

    /// The most that the peer kept for one connection because the client did not read.
    pub fn most_kept_by_peer(&self) -> usize {
        self.net.most_backlog
    }

    /// Whether every worker has stopped.
    pub fn is_over(&self) -> bool {
        self.workers.iter().all(|worker| worker.stopped.is_some())
    }

    /// Lets the next thing happen.
    ///
    /// # Panics
    /// If an application breaks its contract with the engine, or the world goes on for too long.
    pub fn step<A: App<SimLink>>(&mut self, apps: &mut [A]) -> Step {
        self.hear_bells();
        let Some((time, event)) = self.net.events.pop() else { return Step::Idle };
        assert!(time >= self.net.now, "time goes back");
        self.events += 1;
        assert!(
            time <= self.limit && self.events <= self.most_events,
            "the world hangs: {}",
            self.describe()
        );
        self.net.now = time;
        match event {
            Event::Turn(worker) => self.turn(apps, worker),
            Event::Timer(worker, deadline) => self.timer(worker, deadline),
            Event::Bell(worker) => self.tell(worker, Completion::Bell),
            Event::Stall(worker, pause) => {
                let worker = &mut self.workers[worker as usize];
                worker.busy_until = worker.busy_until.max(time) + pause;
                worker.usage.involuntary_switches += 1;
            }
            Event::Alarm(token) => return Step::Alarm(token),
            Event::Later(action) => self.peer.later(&mut self.net, action),
            Event::Syn(key, attempt) => self.peer.syn(&mut self.net, key, attempt),
            Event::UpPiece(key) => self.up_piece(key),
            Event::UpEnd(key, end) => self.peer.ended(&mut self.net, key, end),
            Event::DownRoom(key) => self.net.pump(key),
            Event::Connected(key, errno) => {
                self.at_client(key, |conn, generation| Completion::Connected(conn, generation, errno));
            }
            Event::UpRoom(key) => self.at_client(key, Completion::Room),
            Event::DownPiece(key) => self.down_piece(key),
            Event::DownEnd(key, end) => self.down_end(key, end),
            Event::Gone(worker, conn, generation) => self.tell(worker, Completion::Gone(conn, generation)),
        }
        Step::Happened
    }

    /// Goes on until every worker has stopped. `conductor` is told of every step, and may ring bells and set alarms.
    ///
    /// # Panics
    /// If nothing happens any more before all workers have stopped; and as [`World::step`].
    pub fn run_with<A: App<SimLink>>(
        &mut self,
        apps: &mut [A],
        mut conductor: impl FnMut(&mut World, &mut [A], Step),
    ) {
        while !self.is_over() {
            let step = self.step(apps);
            conductor(self, apps, step);
            if step == Step::Idle {
                self.hear_bells();
                assert!(
                    self.net.events.next_time().is_some(),
                    "nothing is left to happen: {}",
                    self.describe()
                );
            }
        }
    }

    /// Goes on until every worker has stopped.
    ///
    /// # Panics
    /// As [`World::run_with`].
    pub fn run<A: App<SimLink>>(&mut self, apps: &mut [A]) {
        self.run_with(apps, |_, _, _| {});
    }

    /// Goes on until `time`, or until nothing happens any more.
    ///
    /// # Panics
    /// As [`World::step`].
    pub fn run_until<A: App<SimLink>>(&mut self, apps: &mut [A], time: Nanos) {
        self.hear_bells();
        while self.next_time().is_some_and(|next| next <= time) {
            self.step(apps);
        }
        self.net.now = self.net.now.max(time);
    }

    /// Lets what is under way come to its end after all workers have stopped: what they sent arrives.
    pub fn settle(&mut self) {
        assert!(self.is_over(), "workers go on: {}", self.describe());
        let quiet = self.net.now + 10 * SECOND;
        while self.next_time().is_some_and(|next| next <= quiet) {
            self.step::<Nobody>(&mut []);
        }
    }

    fn turn<A: App<SimLink>>(&mut self, apps: &mut [A], worker: u32) {
        let link = &mut self.workers[worker as usize];
        if link.turn_at != Some(self.net.now) || link.stopped.is_some() {
            return;
        }
        if self.net.now < link.busy_until {
            // It lost its CPU meanwhile.
            let later = link.busy_until;
            return link.turn_by(&mut self.net, later);
        }
        if link.bell_pending {
            self.wakers[worker as usize].heard();
        }
        link.turn(&mut apps[worker as usize], &mut self.net);
    }

    fn timer(&mut self, worker: u32, deadline: Nanos) {
        let armed = &mut self.workers[worker as usize].armed;
        let place = armed.iter().position(|armed| *armed == deadline).expect("what fires was armed");
        armed.swap_remove(place);
        self.tell(worker, Completion::Timeout(deadline));
    }

    fn tell(&mut self, worker: u32, completion: Completion) {
        let link = &mut self.workers[worker as usize];
        if link.stopped.is_none() {
            link.notice(&mut self.net, completion);
        }
    }

    fn at_client(&mut self, key: Key, completion: impl FnOnce(Conn, u32) -> Completion) {
        let Some(pair) = self.net.get(key).filter(|pair| pair.client_open) else { return };
        let (worker, completion) = (pair.worker, completion(pair.conn, pair.slot_generation));
        self.tell(worker, completion);
    }

    fn up_piece(&mut self, key: Key) {
        let now = self.net.now;
        let Some(pair) = self.net.get_mut(key) else { return };
        pair.up.arrive(now);
        if pair.peer_open {
            self.peer.arrived(&mut self.net, key);
        } else {
            // Nobody is there any more, and the kernel says so.
            self.net.close_peer_again(key);
        }
    }

    fn down_piece(&mut self, key: Key) {
        let now = self.net.now;
        let Some(pair) = self.net.get_mut(key).filter(|pair| pair.client_open && !pair.lost) else { return };
        pair.down.arrive(now);
        let (worker, conn) = (pair.worker, pair.conn);
        self.receive(worker, conn);
    }

    fn down_end(&mut self, key: Key, end: End) {
        let Some(pair) = self.net.get_mut(key).filter(|pair| pair.client_open) else { return };
        pair.reset |= end == End::Reset;
        let (worker, conn) = (pair.worker, pair.conn);
        self.workers[worker as usize].slot(conn).ended = Some(end);
        self.receive(worker, conn);
    }

    fn receive(&mut self, worker: u32, conn: Conn) {
        let link = &mut self.workers[worker as usize];
        let known = link.inbox.len();
        link.receive(&mut self.net, conn);
        if link.inbox.len() > known {
            link.rouse(&mut self.net);
        }
    }

    fn hear_bells(&mut self) {
        for (worker, waker) in self.wakers.iter().enumerate() {
            let link = &mut self.workers[worker];
            if !link.bell_pending && link.stopped.is_none() && waker.is_rung() {
                link.bell_pending = true;
                self.net.events.at(self.net.now, Event::Bell(worker as u32));
            }
        }
    }

    fn describe(&self) -> String {
        let running = self.workers.iter().filter(|worker| worker.stopped.is_none());
        let running: Vec<String> =
            running.map(|worker| format!("worker {} with {} connections", worker.id, worker.open)).collect();
        format!("{} events, {} ns; {}", self.events, self.net.now, running.join(", "))
    }
}

/// What is true of a worker.
#[derive(Clone, Copy, Debug)]
pub struct WorkerTruth {
    /// CPU time and switches: what the world took for everything that the worker did.
    pub usage: Usage,
    /// From its first turn to its end, or to now.
    pub span: Nanos,
    pub stats: Stats,
    /// How late it ran after its timeouts had fired.
    pub lag: Lag,
    pub stopped: Option<Nanos>,
    /// The largest number of bytes appended that the kernel had not taken: of all connections, and of one.
    pub most_unsent: usize,
    pub most_unsent_of_one: usize,
    /// The largest number of bytes given to the application and left by it for later.
    pub most_unused: usize,
    /// The largest number of connections dialled in one turn.
    pub most_dials: usize,
}

impl WorkerTruth {
    /// The part of the time in which it had the CPU.
    pub fn busy(&self) -> f64 {
        self.usage.cpu_ns() as f64 / self.span.max(1) as f64
    }
}

/// Nobody is left.
enum Nobody {}

impl App<SimLink> for Nobody {
    fn connected(&mut self, _: &mut SimLink, _: Conn) {}
    fn accepted(&mut self, _: &mut SimLink, _: Conn) {}
    fn data(&mut self, _: &mut SimLink, _: Conn, _: &[u8]) -> usize {
        0
    }
    fn writable(&mut self, _: &mut SimLink, _: Conn) {}
    fn closed(&mut self, _: &mut SimLink, _: Conn, _: Closed) {}
    fn woken(&mut self, _: &mut SimLink) {}
    fn pass(&mut self, _: &mut SimLink) -> Option<Nanos> {
        None
    }
}
