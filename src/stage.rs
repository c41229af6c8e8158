//! Who conducts: the threads of the workers, what they are told and report, and the seconds of a run.
//!
//! There is one thread for each [`Seat`], with a ring of the engine and an [`Actor`] on it. The calling thread has
//! the [`Lines`] to them and hands the lead to a [`Conductor`], which knows what comes when and no threads; so a
//! simulated world can be conducted by the same. Nothing here happens per message.

mod board;
mod layout;
mod progress;
mod scene;
#[cfg(test)]
pub(crate) mod simulated;

pub use board::{Board, Fault};
pub use layout::{Seat, Ways, hashed_rings, rings, seats};
pub use progress::Progress;
pub use scene::Setting;

use crate::clock::{self, MILLISECOND, Nanos, SECOND};
use crate::cpu;
use crate::engine::{
    self, App, Config, Endpoint, Ends, Io, Link, Sealed, SealedLink, Stats, Usage, Waker, Worker,
};
use crate::record::{Ended, Phase};
use crate::stats::{Gauges, Levels, Tally};
use scene::Scene;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What keeps a run from starting. Nothing was sent yet.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    Source(#[from] engine::SourceError),
    #[error(transparent)]
    Watch(#[from] cpu::WatchError),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    #[error(
        "{clients} clients to {target} need {clients} local ports, but an address of this machine has {ports}; give \
         more addresses of it with --source, the broker's other addresses with --host, or fewer --clients"
    )]
    Ports { clients: u32, target: Endpoint, ports: u32 },
}

/// An application that takes part in a conducted run.
pub trait Actor<L = Io>: App<L> {
    /// What it has to say at its end.
    type Ending;

    /// Its worker has ended at `now`, having counted and used so much in its life.
    fn end(self, now: Nanos, life: (Stats, Usage)) -> Self::Ending;
}

/// Takes workers through a run by commands `C`; at its end, or at that of a part, each has something to say, an `E`.
pub trait Conductor<C, E> {
    /// What is to happen next, at `now`, as things stand.
    fn cue(&mut self, now: Nanos, view: &View) -> Cue<C>;

    /// A second of the run is over; may add what the stage does not know.
    fn note(&mut self, progress: &mut Progress);

    /// What was reported since the last [`Cue::Collect`].
    fn collect(&mut self, part: Board<E>) {
        drop(part);
    }

    /// The phase that is under way, in a run that has some.
    fn phase(&self) -> Option<Phase> {
        None
    }
}

/// What a conductor decides on.
#[derive(Clone, Copy, Default, Debug)]
pub struct View {
    /// How many workers there are,
    pub workers: usize,
    /// and how many of them have not ended.
    pub running: usize,
    /// Whether all have reported the end of what they were told last.
    pub arrived: bool,
    /// Where those stand, all together, whose figures are not apart,
    pub levels: Levels,
    /// and where all do.
    pub everybody: Levels,
    /// Somebody wants the run to end.
    pub interrupted: bool,
    /// A worker could not start or go on.
    pub broken: bool,
}

/// What a conductor wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cue<C> {
    /// To be asked again when something is reported, and at this time at the latest.
    Wait(Nanos),
    /// All workers to be told this.
    Tell(C),
    /// To be given what was reported since the last time, as a run of its own. Workers have closed it before:
    /// [`Desk::close`].
    Collect,
    /// The end. Workers are waited for as long as they get fewer connections; then they are left behind.
    Over,
}

/// What a worker is told.
pub enum Order<C> {
    /// By the conductor.
    Command(C),
    /// A tally that was read, to be used again.
    Recycle(Box<Tally>),
    /// Nobody listens any more: end.
    Close,
}

/// From a worker.
enum Report<E> {
    /// It is done with what it was told last.
    Arrived,
    /// What it has to say at the end of a part.
    Part(E),
    /// What was measured since the last one, about once a second.
    Tally(Box<Tally>),
}

/// A worker's end of the line.
pub struct Desk<C, E> {
    orders: Receiver<Order<C>>,
    reports: Sender<(usize, Report<E>)>,
    gauges: Arc<[Gauges]>,
    /// Which worker it is.
    pub worker: usize,
}

impl<C, E> Desk<C, E> {
    /// The next order, if there is one.
    pub fn poll(&self) -> Option<Order<C>> {
        match self.orders.try_recv() {
            Ok(order) => Some(order),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Order::Close),
        }
    }

    /// The stage outlives its workers, so a report has a reader; after a fault of the conductor nobody cares.
    fn report(&self, report: Report<E>) {
        let _ = self.reports.send((self.worker, report));
    }

    /// Reports what was measured since the last time.
    pub fn ship(&self, tally: Box<Tally>) {
        self.report(Report::Tally(tally));
    }

    /// Shows where the worker stands.
    pub fn show(&self, levels: &Levels) {
        self.gauges[self.worker].store(levels);
    }

    /// A part of the run is over, in which the worker measured this since it shipped anything, and has this to say.
    pub fn close(&self, mut tally: Box<Tally>, ending: E) {
        tally.part = true;
        self.ship(tally);
        self.report(Report::Part(ending));
    }

    /// The worker is done with what it was told last. Whoever hears of it sees where it stands by then, or later.
    pub fn arrive(&self, levels: &Levels) {
        self.show(levels);
        self.report(Report::Arrived);
    }
}

/// A worker's thread, which answers what the worker has to say at its end, and what went wrong with it.
type Thread<E> = JoinHandle<(E, Option<Fault>)>;

/// The lines to all workers, and what they have reported.
pub struct Lines<C, E> {
    orders: Vec<Sender<Order<C>>>,
    wakers: Vec<Waker>,
    gauges: Arc<[Gauges]>,
    reports: Receiver<(usize, Report<E>)>,
    /// Those that have not been joined; none in a simulated world.
    threads: Vec<Option<Thread<E>>>,
    /// How many workers are done with what they were told last.
    arrived: usize,
    /// At the end: the fewest connections so far, and until when fewer are waited for.
    leaving: (u64, Nanos),
    /// The CPU of each worker, and what happens on them; in a simulated world there is nothing.
    cpus: Vec<usize>,
    scene: Option<Scene>,
    /// What has been reported.
    pub board: Board<E>,
}

/// Longest wait at the end without anybody leaving: a million connections take half a minute.
const PATIENCE: Nanos = 15 * SECOND;

impl<C: Clone, E> Lines<C, E> {
    /// Lines to so many workers as there are wakers, of a run that began at `epoch` with so many clients; and the
    /// workers' ends of them.
    pub fn new(wakers: Vec<Waker>, epoch: Nanos, clients: u64) -> (Lines<C, E>, Vec<Desk<C, E>>) {
        let gauges: Arc<[Gauges]> = wakers.iter().map(|_| Gauges::default()).collect();
        let (reports_to, reports) = mpsc::channel();
        let (orders, desks) = (0..wakers.len())
            .map(|worker| {
                let (orders_to, orders) = mpsc::channel();
                let (reports, gauges) = (reports_to.clone(), gauges.clone());
                (orders_to, Desk { orders, reports, gauges, worker })
            })
            .unzip();
        let (board, leaving) = (Board::new(wakers.len(), epoch, clients), (u64::MAX, 0));
        let (threads, cpus) = (Vec::new(), Vec::new());
        let lines =
            Lines { orders, wakers, gauges, reports, threads, arrived: 0, leaving, cpus, scene: None, board };
        (lines, desks)
    }

    /// Does what the conductor wants at `now`; answers until when it is to wait, and `None` at the end.
    pub fn lead(
        &mut self,
        now: Nanos,
        interrupted: bool,
        conductor: &mut dyn Conductor<C, E>,
    ) -> Option<Nanos> {
        loop {
            let (workers, levels, everybody) =
                (self.orders.len(), self.levels(self.board.apart), self.levels(usize::MAX));
            let Board { running, ref faults, .. } = self.board;
            let (arrived, broken) = (self.arrived == workers, !faults.is_empty());
            let view = View { workers, running, arrived, levels, everybody, interrupted, broken };
            let cue = conductor.cue(now, &view);
            if let (Some(scene), Some(phase)) = (&mut self.scene, conductor.phase()) {
                scene.enter(phase);
            }
            match cue {
                Cue::Wait(until) => return Some(until),
                Cue::Tell(command) => {
                    self.arrived = 0;
                    for (orders, waker) in self.orders.iter().zip(&self.wakers) {
                        // A worker that has ended does not hear.
                        let _ = orders.send(Order::Command(command.clone()));
                        waker.wake();
                    }
                }
                Cue::Collect => {
                    if let Some(mut second) = self.board.cut_second(now) {
                        second.connected = levels.connected;
                        self.tell_second(second, conductor);
                    }
                    let mut part = self.board.part(now);
                    if let Some(scene) = &mut self.scene {
                        scene.tell(&mut part);
                    }
                    conductor.collect(part);
                }
                Cue::Over => {
                    if everybody.connected < self.leaving.0 {
                        self.leaving = (everybody.connected, now + PATIENCE);
                    }
                    return (running > 0 && now < self.leaving.1).then_some(now + 20 * MILLISECOND);
                }
            }
        }
    }

    /// Hears everything that was reported, after waiting for the first for at most `patience`.
    pub fn hear(&mut self, patience: Duration) {
        let first = self.reports.recv_timeout(patience);
        if matches!(first, Err(RecvTimeoutError::Disconnected)) {
            // All have ended; their threads are about to.
            thread::sleep(patience.min(Duration::from_millis(1)));
        }
        for (worker, report) in first.into_iter().chain(self.reports.try_iter()) {
            match report {
                Report::Arrived => self.arrived += 1,
                Report::Part(ending) => self.board.endings[worker] = Some(ending),
                Report::Tally(mut tally) => {
                    self.board.add(worker, &mut tally);
                    let _ = self.orders[worker].send(Order::Recycle(tally));
                }
            }
        }
    }

    /// Closes the next second that is over by `now`, if everything of it is heard.
    pub fn poll_second(&mut self, now: Nanos, conductor: &mut dyn Conductor<C, E>) -> Option<Progress> {
        let second = self.board.poll_second(now)?;
        Some(self.tell_second(second, conductor))
    }

    /// Tells the conductor of a second, with what the machine took in it.
    fn tell_second(&mut self, second: Progress, conductor: &mut dyn Conductor<C, E>) -> Progress {
        let mut progress = Progress { levels: self.levels(self.board.apart), ..second };
        if let Some(scene) = &mut self.scene {
            let workers = self.cpus.iter().copied().zip(progress.workers.iter().copied());
            let workers: Vec<_> = workers.collect();
            scene.second(&workers, &mut progress);
        }
        conductor.note(&mut progress);
        progress
    }

    /// Where the workers before number `end` stand, all together.
    fn levels(&self, end: usize) -> Levels {
        let mut levels = Levels::default();
        self.gauges.iter().take(end).for_each(|gauges| gauges.add_to(&mut levels));
        levels
    }
}

impl<C: Clone + Send + 'static, E: Send + 'static> Lines<C, E> {
    /// Opens a thread for each of `seats`, with one of `wakers` and what `make` makes on it.
    ///
    /// # Errors
    /// The limit on open files, a broker that cannot be watched, or a thread that cannot be started; then nothing is
    /// left running.
    pub fn open<A>(
        seats: &[Seat],
        wakers: Vec<Waker>,
        setting: &Setting<'_>,
        make: impl Fn(Desk<C, E>) -> A + Send + Sync + 'static,
    ) -> Result<Lines<C, E>, StageError>
    where
        A: Actor<Ending = E> + for<'l> App<SealedLink<'l, Io>>,
    {
        let (mut lines, desks) = Lines::new(wakers, setting.epoch, setting.clients);
        lines.board.apart = setting.apart;
        lines.cpus = seats.iter().take(setting.apart).map(|seat| seat.cpu).collect();
        lines.scene = Some(Scene::new(&lines.cpus, setting)?);
        let make = Arc::new(make);
        for (seat, desk) in seats.iter().zip(desks) {
            let (cpu, waker) = (seat.cpu, lines.wakers[desk.worker].clone());
            let config =
                Config { poll: setting.poll, ..Config::new(seat.clients.len().max(1) as u32, waker) };
            let (make, name) = (make.clone(), format!("worker-{}", desk.worker));
            let transport = setting.transport.clone();
            let thread = thread::Builder::new().name(name).spawn(move || {
                // The CPU was in the process's own list; should it have gone, the run is slower, not wrong.
                let _ = cpu::pin(cpu);
                match transport {
                    None => perform(config, make(desk)),
                    Some(dialer) => perform(config, Sealed::new(make(desk), Ends::Clients(dialer))),
                }
            });
            match thread {
                Ok(thread) => lines.threads.push(Some(thread)),
                Err(error) => {
                    drop(lines.orders);
                    lines.wakers.iter().for_each(Waker::wake);
                    lines.threads.into_iter().flatten().for_each(|thread| drop(thread.join()));
                    return Err(error.into());
                }
            }
        }
        Ok(lines)
    }

    /// Conducts the run to its end. `observe` is called about once a second.
    pub fn conduct(
        mut self,
        conductor: &mut dyn Conductor<C, E>,
        interrupt: &AtomicBool,
        observe: &mut dyn FnMut(&Progress),
    ) -> Board<E> {
        loop {
            self.join_ended();
            self.hear(Duration::ZERO);
            let now = clock::now();
            iter::from_fn(|| self.poll_second(now, conductor)).for_each(|second| observe(&second));
            let interrupted = interrupt.load(Ordering::Relaxed);
            let Some(until) = self.lead(now, interrupted, conductor) else { break };
            self.hear(Duration::from_nanos(until.saturating_sub(now).clamp(1, SECOND)));
        }
        let left = self.threads.iter().enumerate().filter(|(_, thread)| thread.is_some());
        let fault = |(worker, _)| (Ended::Internal, format!("worker {worker} did not end"));
        self.board.faults.extend(left.map(fault));
        self.board.end = clock::now();
        if let Some(scene) = &mut self.scene {
            scene.finish();
            scene.tell(&mut self.board);
        }
        iter::from_fn(|| self.poll_second(Nanos::MAX, conductor)).for_each(|second| observe(&second));
        self.board
    }

    /// Takes from workers that have ended what they have to say. Their last tallies are still to be heard.
    fn join_ended(&mut self) {
        for (worker, thread) in self.threads.iter_mut().enumerate() {
            let Some(thread) = thread.take_if(|thread| thread.is_finished()) else { continue };
            let (ending, fault) = match thread.join() {
                Ok((ending, fault)) => (Some(ending), fault),
                Err(_) => (None, Some((Ended::Internal, format!("worker {worker} panicked")))),
            };
            self.board.endings[worker] = ending;
            self.board.faults.extend(fault);
            self.board.running -= 1;
        }
    }
}

/// A worker of `actor`, from its beginning to its end.
fn perform<A: Actor>(config: Config, mut actor: A) -> (A::Ending, Option<Fault>) {
    let stats = Worker::new(config).and_then(|worker| worker.run(&mut actor));
    // All but one of the engine's errors are about what the machine lets it have.
    let fault = stats.as_ref().err().map(|error| match error {
        engine::Error::Enter { .. } => (Ended::Internal, error.to_string()),
        _ => (Ended::Environment, error.to_string()),
    });
    let life = (stats.unwrap_or_default(), engine::thread_usage());
    (actor.end(clock::now(), life), fault)
}

/// An actor over a transport.
impl<L: Link, A: Actor<L> + for<'l> App<SealedLink<'l, L>>> Actor<L> for Sealed<A> {
    type Ending = A::Ending;

    fn end(self, now: Nanos, (stats, usage): (Stats, Usage)) -> A::Ending {
        let (actor, stats) = self.into_parts(stats);
        actor.end(now, (stats, usage))
    }
}
