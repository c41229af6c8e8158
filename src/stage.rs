//! Who conducts: the threads of the workers, what they are told and report, and the seconds of a run.
//!
//! A [`Stage`] has one thread for each [`Seat`], with a ring of the engine and an [`Actor`] on it. The calling
//! thread hands the lead to a [`Conductor`], which knows what comes when and no threads; so a simulated world can
//! be conducted by the same. Nothing here happens per message.

mod board;
mod layout;
mod progress;
#[cfg(test)]
pub(crate) mod simulated;

pub use board::{Board, Report};
pub use layout::{Seat, Ways, hashed_rings, seats};
pub use progress::Progress;

use crate::clock::{self, MILLISECOND, Nanos, SECOND};
use crate::cpu;
use crate::engine::{self, App, Config, Endpoint, Io, Stats, Waker, Worker};
use crate::record::Ended;
use crate::stats::{Gauges, Levels, Tally};
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
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    #[error(
        "{clients} clients to {target} need {clients} local ports, but this machine's address has {ports}; give \
         the broker's other addresses with --host, or fewer --clients"
    )]
    Ports { clients: u32, target: Endpoint, ports: u32 },
}

/// An application that takes part in a conducted run.
pub trait Actor<L = Io>: App<L> {
    /// What the conductor tells it.
    type Command;
    /// What it has to say at its end.
    type Ending;

    /// Its worker has ended at `now`, having counted `stats` in its life.
    fn end(self, now: Nanos, stats: Stats) -> Self::Ending;
}

/// Takes workers through a run.
pub trait Conductor {
    /// What it tells them.
    type Command;

    /// What is to happen next, at `now`, as things stand.
    fn cue(&mut self, now: Nanos, view: &View) -> Cue<Self::Command>;

    /// A second of the run is over; may add what the stage does not know.
    fn note(&mut self, progress: &mut Progress);
}

/// What a conductor decides on.
#[derive(Clone, Copy, Default, Debug)]
pub struct View {
    /// Workers that have reported the end of what they were told last.
    pub arrived: usize,
    /// Of how many.
    pub workers: usize,
    /// Where they stand, all together.
    pub levels: Levels,
    /// Somebody wants the run to end.
    pub interrupted: bool,
    /// A worker has ended.
    pub ended: bool,
    /// One could not start or go on.
    pub broken: bool,
    /// All have.
    pub all_ended: bool,
}

/// What a conductor wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cue<C> {
    /// To be asked again when something is reported, and at this time at the latest.
    Wait(Nanos),
    /// All workers to be told this.
    Tell(C),
    /// The end: what is still running is left behind.
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
    pub fn report(&self, report: Report<E>) {
        let _ = self.reports.send((self.worker, report));
    }

    /// Shows where the worker stands.
    pub fn show(&self, levels: &Levels) {
        self.gauges[self.worker].store(levels);
    }

    /// The worker is done with what it was told last. Whoever hears of it sees where it stands by then, or later.
    pub fn arrive(&self, levels: &Levels) {
        self.show(levels);
        self.report(Report::Arrived);
    }
}

/// The lines to all workers, and what they have reported.
pub struct Lines<C, E> {
    orders: Vec<Sender<Order<C>>>,
    wakers: Vec<Waker>,
    gauges: Arc<[Gauges]>,
    reports: Receiver<(usize, Report<E>)>,
    /// What has been reported.
    pub board: Board<E>,
}

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
        let board = Board::new(wakers.len(), epoch, clients);
        (Lines { orders, wakers, gauges, reports, board }, desks)
    }

    /// Tells all workers.
    pub fn tell(&mut self, command: C) {
        self.board.arrived = 0;
        for (orders, waker) in self.orders.iter().zip(&self.wakers) {
            // A worker that has ended does not hear.
            let _ = orders.send(Order::Command(command.clone()));
            waker.wake();
        }
    }

    /// Where the workers stand, all together.
    pub fn levels(&self) -> Levels {
        let mut levels = Levels::default();
        self.gauges.iter().for_each(|gauges| gauges.add_to(&mut levels));
        levels
    }

    /// Hears everything that was reported, after waiting for the first for at most `patience`.
    pub fn hear(&mut self, patience: Duration) {
        let mut next = match self.reports.recv_timeout(patience) {
            Ok(report) => Some(report),
            Err(RecvTimeoutError::Timeout) => None,
            // All have ended; their threads are about to.
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(patience.min(Duration::from_millis(1)));
                None
            }
        };
        while let Some((worker, report)) = next {
            if let Some(tally) = self.board.hear(worker, report) {
                let _ = self.orders[worker].send(Order::Recycle(tally));
            }
            next = self.reports.try_recv().ok();
        }
    }

    /// What a conductor is to see.
    pub fn view(&self, interrupted: bool) -> View {
        let ended = self.board.ended();
        let workers = self.orders.len();
        View {
            arrived: self.board.arrived,
            workers,
            levels: self.levels(),
            interrupted,
            ended: ended > 0,
            broken: self.board.fault().is_some(),
            all_ended: ended == workers,
        }
    }

    /// Closes the seconds that are over, and tells of each.
    pub fn end_seconds<K: Conductor>(
        &mut self,
        now: Nanos,
        conductor: &mut K,
        observe: &mut dyn FnMut(&Progress),
    ) {
        while let Some(mut progress) = self.board.poll_second(now) {
            progress.levels = self.levels();
            conductor.note(&mut progress);
            observe(&progress);
        }
    }
}

/// The threads of a run.
pub struct Stage<C, E> {
    /// The lines to them.
    pub lines: Lines<C, E>,
    threads: Vec<JoinHandle<()>>,
}

impl<C: Clone + Send + 'static, E: Send + 'static> Stage<C, E> {
    /// Opens a thread for each of `seats`, with one of `wakers` and what `make` makes on it.
    ///
    /// # Errors
    /// The limit on open files, or a thread that cannot be started; then nothing is left running.
    pub fn open<A: Actor<Command = C, Ending = E>>(
        seats: &[Seat],
        wakers: Vec<Waker>,
        (epoch, clients): (Nanos, u64),
        make: impl Fn(Desk<C, E>) -> A + Send + Sync + 'static,
    ) -> Result<Stage<C, E>, StageError> {
        let (lines, desks) = Lines::new(wakers, epoch, clients);
        let mut stage = Stage { lines, threads: Vec::new() };
        let make = Arc::new(make);
        for (seat, desk) in seats.iter().zip(desks) {
            let (cpu, waker) = (seat.cpu, stage.lines.wakers[desk.worker].clone());
            let config = Config::new(seat.clients.len().max(1) as u32, waker);
            let (make, name) = (make.clone(), format!("worker-{}", desk.worker));
            let thread = thread::Builder::new().name(name).spawn(move || {
                // The CPU was in the process's own list; should it have gone, the run is slower, not wrong.
                let _ = cpu::pin(cpu);
                act(config, desk, &*make);
            });
            match thread {
                Ok(thread) => stage.threads.push(thread),
                Err(error) => {
                    stage.close();
                    return Err(error.into());
                }
            }
        }
        Ok(stage)
    }

    /// Conducts the run to its end. `observe` is called about once a second.
    pub fn conduct<K: Conductor<Command = C>>(
        &mut self,
        conductor: &mut K,
        interrupt: &AtomicBool,
        observe: &mut dyn FnMut(&Progress),
    ) {
        loop {
            let now = clock::now();
            self.lines.end_seconds(now, conductor, observe);
            let gone: Vec<bool> = self.threads.iter().map(JoinHandle::is_finished).collect();
            if gone.contains(&true) {
                self.lines.hear(Duration::ZERO);
            }
            let mut view = self.lines.view(interrupt.load(Ordering::Relaxed));
            // One that has panicked has reported nothing.
            view.broken |= self.lines.board.running().iter().any(|worker| gone[*worker]);
            view.ended |= view.broken;
            view.all_ended |= gone.iter().all(|gone| *gone);
            match conductor.cue(now, &view) {
                Cue::Wait(until) => {
                    self.lines.hear(Duration::from_nanos(until.saturating_sub(now).clamp(1, SECOND)));
                }
                Cue::Tell(command) => self.lines.tell(command),
                Cue::Over => return,
            }
        }
    }

    /// Hears the rest, and closes the last seconds. Answers what went wrong with the workers, if anything did.
    pub fn finish<K: Conductor<Command = C>>(
        mut self,
        conductor: &mut K,
        observe: &mut dyn FnMut(&Progress),
    ) -> (Board<E>, Option<(Ended, String)>) {
        let running = self.lines.board.running();
        let mut fault = None;
        for (worker, thread) in self.threads.drain(..).enumerate() {
            if running.contains(&worker) && !thread.is_finished() {
                fault.get_or_insert(format!("worker {worker} did not end"));
            } else if thread.join().is_err() {
                fault = Some(format!("worker {worker} panicked"));
            }
        }
        self.lines.hear(Duration::ZERO);
        self.lines.board.end(clock::now());
        self.lines.end_seconds(Nanos::MAX, conductor, observe);
        let fault = fault.map(|fault| (Ended::Internal, fault));
        let board = self.lines.board;
        let fault = fault.or_else(|| board.fault());
        (board, fault)
    }

    /// Lets go of all workers, and waits for them.
    fn close(self) {
        drop(self.lines.orders);
        self.lines.wakers.iter().for_each(Waker::wake);
        self.threads.into_iter().for_each(|thread| drop(thread.join()));
    }
}

/// A worker's thread.
fn act<C, E, A: Actor<Command = C, Ending = E>>(
    config: Config,
    desk: Desk<C, E>,
    make: &dyn Fn(Desk<C, E>) -> A,
) {
    let (reports, worker) = (desk.reports.clone(), desk.worker);
    let report = |report| drop(reports.send((worker, report)));
    let mut actor = make(desk);
    let stats = match Worker::new(config).and_then(|worker| worker.run(&mut actor)) {
        Ok(stats) => stats,
        Err(error) => {
            report(Report::Failed(error));
            Stats::default()
        }
    };
    report(Report::Ended(actor.end(clock::now(), stats)));
}

/// Waits for workers to end as long as they get fewer connections: a million of them take half a minute.
pub struct Farewell {
    until: Nanos,
    connected: u64,
}

impl Farewell {
    /// Longest wait without anybody leaving.
    const PATIENCE: Nanos = 15 * SECOND;

    /// From `now` on.
    pub fn new(now: Nanos) -> Farewell {
        Farewell { until: now + Farewell::PATIENCE, connected: u64::MAX }
    }

    /// What is to be done, at `now`.
    pub fn cue<C>(&mut self, now: Nanos, view: &View) -> Cue<C> {
        if view.levels.connected < self.connected {
            (self.connected, self.until) = (view.levels.connected, now + Farewell::PATIENCE);
        }
        match view.all_ended || now >= self.until {
            true => Cue::Over,
            false => Cue::Wait(now + 20 * MILLISECOND),
        }
    }
}
