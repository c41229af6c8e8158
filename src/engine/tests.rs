//! The engine on real loopback sockets. Peers are plain blocking sockets of the standard library, or a
//! second worker.

mod accepting;
mod arrivals;
mod closing;
mod connecting;
mod deadlines;
mod machine;
mod receiving;
mod rings;
mod sending;
mod unix;

use super::*;
use crate::clock::{self, MILLISECOND, SECOND};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const LOCALHOST: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Every test ends by this, whatever happens.
const BOUND: Nanos = 20 * SECOND;

/// What an app under test saw, in order.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Connected(Conn),
    Accepted(Conn),
    Writable(Conn),
    Closed(Conn, CloseCause),
    Woken,
}

/// Echoes what it gets in whole chunks of `chunk` bytes; does what it is told through a queue.
struct Echo {
    seen: Sender<Seen>,
    ends: Sender<(Conn, Closed)>,
    /// When what it got had arrived, and when the pass began.
    heard: Sender<(Nanos, Nanos)>,
    orders: Receiver<Order>,
    chunk: usize,
    until: Nanos,
}

enum Order {
    Connect(Conn, Endpoint),
    Write(Conn, Vec<u8>),
    Hold(Conn),
    Resume(Conn),
    /// Held and resumed in one pass: its receive is still being cancelled.
    Blink(Conn),
    Close(Conn),
    Stop,
    Do(Box<dyn FnOnce(&mut Io) + Send>),
    /// The orders behind this one are for the next bell.
    Later,
}

impl App for Echo {
    fn connected(&mut self, _: &mut Io, conn: Conn) {
        let _ = self.seen.send(Seen::Connected(conn));
    }
    fn accepted(&mut self, _: &mut Io, conn: Conn) {
        let _ = self.seen.send(Seen::Accepted(conn));
    }
    fn data(&mut self, io: &mut Io, conn: Conn, bytes: &[u8]) -> usize {
        let _ = self.heard.send((io.arrived(), io.now()));
        let whole = bytes.len() / self.chunk * self.chunk;
        if whole > 0 {
            io.out(conn).extend_from_slice(&bytes[..whole]);
        }
        whole
    }
    fn writable(&mut self, io: &mut Io, conn: Conn) {
        assert!(!io.blocked(conn));
        let _ = self.seen.send(Seen::Writable(conn));
    }
    fn closed(&mut self, _: &mut Io, conn: Conn, closed: Closed) {
        let _ = self.ends.send((conn, closed));
        let _ = self.seen.send(Seen::Closed(conn, closed.cause));
    }
    fn woken(&mut self, io: &mut Io) {
        let _ = self.seen.send(Seen::Woken);
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Connect(conn, remote) => io.dial(conn, &remote.into()).unwrap(),
                Order::Write(conn, bytes) => io.out(conn).extend_from_slice(&bytes),
                Order::Hold(conn) => io.hold(conn),
                Order::Resume(conn) => io.resume(conn),
                Order::Blink(conn) => {
                    io.hold(conn);
                    io.resume(conn);
                }
                Order::Close(conn) => io.close(conn),
                Order::Stop => io.stop(),
                Order::Do(what) => what(io),
                Order::Later => return,
            }
        }
    }
    fn pass(&mut self, io: &mut Io) -> Option<Nanos> {
        assert!(io.now() < self.until, "the test took too long");
        Some(self.until)
    }
}

struct Running {
    address: SocketAddr,
    seen: Receiver<Seen>,
    /// How each connection ended that is gone.
    ends: Receiver<(Conn, Closed)>,
    heard: Receiver<(Nanos, Nanos)>,
    orders: Sender<Order>,
    waker: Waker,
    thread: JoinHandle<Stats>,
}

impl Running {
    fn start(chunk: usize, shape: impl FnOnce(&mut Config) + Send + 'static) -> Running {
        Running::listening(1, chunk, shape)
    }

    fn listening(doors: usize, chunk: usize, shape: impl FnOnce(&mut Config) + Send + 'static) -> Running {
        let waker = Waker::new().unwrap();
        let listeners = listen(LOCALHOST, doors).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let (seen_to, seen) = mpsc::channel();
        let (ends_to, ends) = mpsc::channel();
        let (heard_to, heard) = mpsc::channel();
        let (orders, orders_from) = mpsc::channel();
        let bell = waker.clone();
        let thread = thread::spawn(move || {
            let mut config = Config::new(64, bell);
            config.listeners = listeners;
            shape(&mut config);
            let until = clock::now() + BOUND;
            let (seen, ends, heard) = (seen_to, ends_to, heard_to);
            let mut app = Echo { seen, ends, heard, orders: orders_from, chunk, until };
            Worker::new(config).unwrap().run(&mut app).unwrap()
        });
        Running { address, seen, ends, heard, orders, waker, thread }
    }

    fn order(&self, order: Order) {
        self.orders.send(order).unwrap();
        self.waker.wake();
    }

    /// The next thing seen, bells aside.
    fn next(&self) -> Seen {
        loop {
            match self.seen.recv_timeout(Duration::from_nanos(BOUND)).expect("something happens") {
                Seen::Woken => {}
                seen => return seen,
            }
        }
    }

    /// What `ask` answers on the worker, after everything ordered before.
    fn ask<T: Send + 'static>(&self, ask: impl FnOnce(&mut Io) -> T + Send + 'static) -> T {
        let (to, answer) = mpsc::channel();
        self.order(Order::Do(Box::new(move |io| to.send(ask(io)).unwrap())));
        answer.recv_timeout(Duration::from_nanos(BOUND)).expect("an answer")
    }

    /// Keeps the worker from looking at anything, until the answer is dropped.
    fn occupy(&self) -> Sender<()> {
        let (begun_to, begun) = mpsc::channel();
        let (end, ends) = mpsc::channel();
        self.order(Order::Do(Box::new(move |_| {
            begun_to.send(()).unwrap();
            ends.recv().unwrap_err();
        })));
        begun.recv().unwrap();
        end
    }

    /// Waits until the socket of `conn` takes no more.
    fn blocks(&self, conn: Conn) {
        while !self.ask(move |io| io.blocked(conn)) {}
    }

    /// The peer and the slot of a connection that has been accepted.
    fn accepted(&self) -> (TcpStream, Conn) {
        let stream = peer(self.address);
        let Seen::Accepted(conn) = self.next() else { panic!("not accepted") };
        (stream, conn)
    }

    fn stop(self) -> Stats {
        self.order(Order::Stop);
        self.thread.join().unwrap()
    }
}

fn peer(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_nanos(BOUND))).unwrap();
    stream.set_write_timeout(Some(Duration::from_nanos(BOUND))).unwrap();
    stream
}
