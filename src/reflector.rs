//! The embedded broker: a complete MQTT 3.1.1 server on the same engine as the load.
//!
//! It exists to be faster than whatever it stands beside, and it is honest: any MQTT 3.1.1 client works with
//! it. Sessions clean and persistent, QoS 0, 1 and 2 both ways, wildcards, retained messages, wills,
//! keepalive, takeover of a client id. It keeps nothing on disk and asks for no password.
//!
//! Every worker is a thread with a ring and a listening socket of its own; the kernel spreads connections
//! over them. A message to a subscriber of the same worker is copied once, from the bytes it came in to the
//! bytes that go out. To another worker it goes by a bounded queue, one hand-over for each pass. Whatever
//! does not fit into a bound is dropped and counted in [`Counters::dropped`].
//!
//! Two promises have a limit. While a persistent session moves from one worker to another, because its
//! client connected there, messages of one publisher can overtake each other. And a message to a session
//! that no bound would ever let through (more than 64 MiB waiting) is lost to it.

mod address;
mod broker;
mod counters;
mod deadlines;
mod hub;
mod mail;
mod message;
mod outgoing;
mod retained;
mod route;
mod service;
mod session;
mod subscribers;
mod topics;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use crate::script::{Account, Event, Script};
use crate::transport::Acceptor;
use crate::{cpu, engine};
use broker::{Broker, Limits};
pub use counters::Counters;
use hub::Hub;
use service::{Desk, Service};

/// What a reflector is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one, see [`Reflector::addr`]; `[::]` listens on IPv4 too.
    pub listen: SocketAddr,
    /// One worker for each entry, at most 65,535.
    pub workers: Vec<WorkerPlacement>,
    /// Rings of each worker: one holds no more connections than the process may open files.
    pub rings_per_worker: u32,
    /// Connections that one ring holds, at most [`engine::largest_table`]. The kernel spreads
    /// connections by chance: let there be room for a few per cent more than their number. One that it gives
    /// to a full ring is turned away, or waits until another goes.
    pub max_connections_per_ring: u32,
}

/// What makes a reflector another broker than a plain one.
#[derive(Clone, Default, Debug)]
pub struct Manner {
    /// It does what this says. It has one worker then, so that what is counted over all clients has one order.
    pub script: Option<Script>,
    /// What carries its connections; `None`: TCP alone.
    pub transport: Option<Arc<Acceptor>>,
}

/// Where a worker runs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct WorkerPlacement {
    /// The CPU that the worker's thread is pinned to, or none.
    pub cpu: Option<usize>,
}

/// Why a reflector did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// So many workers there cannot be.
    #[error("a reflector needs 1 to 65,535 workers, not {0}")]
    Workers(usize),
    /// Several workers cannot play one script.
    #[error("a reflector with a script has one worker, not {0}: take --cores 1")]
    Scripted(usize),
    /// The address is not to be had.
    #[error("the reflector cannot listen on {address}: {source}{}", remedy(source))]
    Listen {
        /// As asked for.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// There are too many threads, or no memory for their stacks.
    #[error("cannot start a thread for the reflector: {0}")]
    Thread(io::Error),
    /// A worker is not allowed on its CPU.
    #[error("reflector: {0}")]
    Pin(#[from] cpu::PinError),
    /// A worker's ring could not be set up, or failed.
    #[error("reflector: {0}")]
    Engine(#[from] engine::Error),
    /// A defect of this program.
    #[error("a worker of the reflector has panicked")]
    Panicked,
}

/// What to do about an address that is not to be had, to stand behind what the kernel said.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => {
            "; choose another port, or 0 for a free one"
        }
        io::ErrorKind::AddrNotAvailable => "; it is no address of this machine",
        _ => "",
    }
}

/// A running broker. Dropping it stops it.
#[derive(Debug)]
pub struct Reflector {
    address: SocketAddr,
    workers: Vec<Running>,
}

struct Running {
    desk: Arc<Desk>,
    waker: engine::Waker,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("thread", &self.thread).finish_non_exhaustive()
    }
}

impl Reflector {
    /// Starts all workers, and answers when clients can connect.
    ///
    /// # Errors
    /// What kept a worker from starting. None runs then.
    pub fn start(config: Config) -> Result<Reflector, Error> {
        Reflector::start_as(config, Manner::default())
    }

    /// Starts one that is no plain broker in these ways.
    ///
    /// # Errors
    /// As [`Reflector::start`]; and a script with more than one worker.
    pub fn start_as(config: Config, manner: Manner) -> Result<Reflector, Error> {
        match config.workers.len() {
            count if manner.script.is_some() && count != 1 => Err(Error::Scripted(count)),
            _ => Reflector::start_with(config, Limits::default(), manner),
        }
    }

    fn start_with(config: Config, limits: Limits, manner: Manner) -> Result<Reflector, Error> {
        let Manner { script, transport } = manner;
        let count = config.workers.len();
        if count == 0 || count > usize::from(u16::MAX) {
            return Err(Error::Workers(count));
        }
        // All sockets listen before anyone runs: the kernel's choice among them does not change later.
        let listen = |source| Error::Listen { address: config.listen, source };
        let rings = config.rings_per_worker.max(1);
        let mut listeners = engine::listen(config.listen, count * rings as usize).map_err(listen)?;
        let address = listeners[0].local_addr().map_err(listen)?;
        let hub = Arc::new(Hub::new(count));
        let (started, starts) = mpsc::channel();
        let mut reflector = Reflector { address, workers: Vec::with_capacity(count) };
        for (number, placement) in config.workers.iter().enumerate() {
            let listeners: Vec<_> = listeners.drain(..rings as usize).collect();
            let mut broker = Broker::new(number as u16, Arc::clone(&hub), limits);
            if let Some(script) = &script {
                broker = broker.with_script(script.clone());
            }
            let waker = engine::Waker::new()?;
            let doors = listeners
                .iter()
                .map(TcpListener::try_clone)
                .collect::<Result<Vec<_>, _>>()
                .map_err(listen)?;
            let mut engine = engine::Config::new(config.max_connections_per_ring * rings, waker.clone());
            (engine.table, engine.listeners) = (config.max_connections_per_ring, listeners);
            let bell = waker.clone();
            hub.inboxes[number].on_mail(Box::new(move || bell.wake()));
            let desk = Arc::new(Desk::default());
            let service = Service::new(broker, Arc::clone(&desk));
            let (cpu, started, transport) = (placement.cpu, started.clone(), transport.clone());
            let thread = std::thread::Builder::new()
                .name(format!("reflector-{number}"))
                .spawn(move || work(cpu, engine, &doors, service, transport, started))
                .map_err(Error::Thread)?;
            reflector.workers.push(Running { desk, waker, thread: Some(thread) });
        }
        drop(started);
        // A worker that fails says nothing: the sum is short, and joining tells why.
        if starts.iter().count() == count { Ok(reflector) } else { Err(reflector.join_failed()) }
    }

    /// The address that clients connect to, with the true port.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// What all workers have done, as of the end of each one's last pass.
    pub fn counters(&self) -> Counters {
        self.workers.iter().map(|worker| *worker.desk.counters.lock().expect("no worker panics there")).sum()
    }

    /// What a script had the reflector do, as of the end of its worker's last pass.
    pub fn account(&self) -> Account {
        self.workers[0].desk.deeds.lock().expect("no worker panics there").0.clone()
    }

    /// The same one by one, without what was taken before. Beyond a million that wait to be taken, the account alone
    /// knows of them.
    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.workers[0].desk.deeds.lock().expect("no worker panics there").1)
    }

    /// Whether no worker has ended before its time; [`Reflector::stop`] tells what has ended it.
    pub fn is_running(&self) -> bool {
        let mut threads = self.workers.iter().flat_map(|worker| &worker.thread);
        threads.all(|thread| !thread.is_finished())
    }

    /// Closes all connections and waits for the workers to end.
    ///
    /// # Errors
    /// What ended a worker before its time.
    pub fn stop(mut self) -> Result<Counters, Error> {
        self.halt()?;
        Ok(self.counters())
    }

    fn join_failed(mut self) -> Error {
        self.halt().err().unwrap_or(Error::Panicked)
    }

    /// The same, for who has more to ask.
    ///
    /// # Errors
    /// As [`Reflector::stop`].
    pub fn halt(&mut self) -> Result<(), Error> {
        for worker in &self.workers {
            worker.desk.stop.store(true, Ordering::Release);
            worker.waker.wake();
        }
        let threads = self.workers.iter_mut().filter_map(|worker| worker.thread.take());
        // All of them, also after a failure.
        let results: Vec<_> = threads.map(|thread| thread.join().unwrap_or(Err(Error::Panicked))).collect();
        results.into_iter().collect()
    }
}

impl Drop for Reflector {
    fn drop(&mut self) {
        // Whoever wants to know how it ended calls `stop`.
        let _ = self.halt();
    }
}

/// A worker's thread.
fn work(
    cpu: Option<usize>,
    config: engine::Config,
    doors: &[TcpListener],
    mut service: Service,
    transport: Option<Arc<Acceptor>>,
    started: mpsc::Sender<()>,
) -> Result<(), Error> {
    cpu.map(cpu::pin).transpose()?;
    let worker = engine::Worker::new(config)?;
    // The receiver waits until every worker has let go of its end.
    let _ = started.send(());
    drop(started);
    let result = match transport {
        None => worker.run(&mut service),
        Some(acceptor) => worker.run(&mut engine::Sealed::new(service, engine::Ends::Server(acceptor))),
    };
    doors.iter().for_each(engine::stop_listening);
    result?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Workers that panic at the end of the pass in which somebody connects: their counts cannot be told any more.
    #[test]
    fn a_worker_that_ends_before_its_time_is_noticed() {
        let (listen, workers) = ("127.0.0.1:0".parse().unwrap(), vec![WorkerPlacement::default(); 2]);
        let reflector =
            Reflector::start(Config { listen, workers, rings_per_worker: 1, max_connections_per_ring: 10 })
                .unwrap();
        for Running { desk, .. } in &reflector.workers {
            let desk = Arc::clone(desk);
            let poison = move || {
                let _held = desk.counters.lock();
                panic!("on purpose");
            };
            std::thread::spawn(poison).join().unwrap_err();
        }
        assert!(reflector.is_running());
        let mut client = std::net::TcpStream::connect(reflector.addr()).unwrap();
        client.write_all(b"\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0").unwrap();
        while reflector.is_running() {
            std::thread::yield_now();
        }
        assert!(matches!(reflector.stop(), Err(Error::Panicked)));
    }
}
