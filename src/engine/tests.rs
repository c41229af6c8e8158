//! The engine on real loopback sockets. Peers are plain blocking sockets of the standard library, or a
//! second worker.

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
    orders: Receiver<Order>,
    chunk: usize,
    until: Nanos,
}

enum Order {
    Connect(Conn, SocketAddr),
    Write(Conn, Vec<u8>),
    Hold(Conn),
    Resume(Conn),
    /// Held and resumed in one pass: its receive is still being cancelled.
    Blink(Conn),
    Close(Conn),
    Stop,
}

impl App for Echo {
    fn connected(&mut self, _: &mut Io, conn: Conn) {
        let _ = self.seen.send(Seen::Connected(conn));
    }
    fn accepted(&mut self, _: &mut Io, conn: Conn) {
        let _ = self.seen.send(Seen::Accepted(conn));
    }
    fn data(&mut self, io: &mut Io, conn: Conn, bytes: &[u8]) -> usize {
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
        let _ = self.seen.send(Seen::Closed(conn, closed.cause));
    }
    fn woken(&mut self, io: &mut Io) {
        let _ = self.seen.send(Seen::Woken);
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Connect(conn, remote) => io.connect(conn, &Endpoint::Tcp(remote).into()).unwrap(),
                Order::Write(conn, bytes) => io.out(conn).extend_from_slice(&bytes),
                Order::Hold(conn) => io.hold(conn),
                Order::Resume(conn) => io.resume(conn),
                Order::Blink(conn) => {
                    io.hold(conn);
                    io.resume(conn);
                }
                Order::Close(conn) => io.close(conn),
                Order::Stop => io.stop(),
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
    orders: Sender<Order>,
    waker: Waker,
    thread: JoinHandle<Stats>,
}

impl Running {
    fn start(chunk: usize, shape: impl FnOnce(&mut Config) + Send + 'static) -> Running {
        let waker = Waker::new().unwrap();
        let listener = listen(LOCALHOST, 1).unwrap().remove(0);
        let address = listener.local_addr().unwrap();
        let (seen_to, seen) = mpsc::channel();
        let (orders, orders_from) = mpsc::channel();
        let bell = waker.clone();
        let thread = thread::spawn(move || {
            let mut config = Config::new(64, bell);
            config.listener = Some(listener);
            shape(&mut config);
            let until = clock::now() + BOUND;
            let mut app = Echo { seen: seen_to, orders: orders_from, chunk, until };
            Worker::new(config).unwrap().run(&mut app).unwrap()
        });
        Running { address, seen, orders, waker, thread }
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

#[test]
fn accepts_echoes_and_reports_the_end() {
    let running = Running::start(1, |_| {});
    let mut stream = peer(running.address);
    stream.write_all(b"hello").unwrap();
    let mut got = [0; 5];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"hello");
    drop(stream);
    let Seen::Accepted(conn) = running.next() else { panic!() };
    assert_eq!(running.next(), Seen::Closed(conn, CloseCause::Eof));
    let stats = running.stop();
    assert_eq!((stats.bytes_in, stats.bytes_out, stats.sends), (5, 5, 1));
}

#[test]
fn what_the_app_leaves_comes_again_with_more_behind_it() {
    let running = Running::start(7, |_| {});
    let mut stream = peer(running.address);
    stream.set_nodelay(true).unwrap();
    let sent: Vec<u8> = (0..7 * 300).map(|i| i as u8).collect();
    let mut got = vec![0; sent.len()];
    let mut reader = stream.try_clone().unwrap();
    // Byte by byte for a while, then in odd lengths.
    sent[..70].chunks(1).for_each(|part| stream.write_all(part).unwrap());
    reader.read_exact(&mut got[..70]).unwrap();
    sent[70..].chunks(100).for_each(|part| stream.write_all(part).unwrap());
    reader.read_exact(&mut got[70..]).unwrap();
    assert_eq!(got, sent);
    running.stop();
}

#[test]
fn more_than_the_buffers_hold_still_arrives() {
    // Two buffers of 64 bytes for 40 connections: receives end with ENOBUFS and go on.
    let running = Running::start(1, |config| (config.buffers, config.buffer_size) = (2, 64));
    let mut peers: Vec<TcpStream> = (0..40).map(|_| peer(running.address)).collect();
    let sent: Vec<u8> = (0..5000u32).map(|i| (i * 7) as u8).collect();
    peers.iter_mut().for_each(|stream| stream.write_all(&sent).unwrap());
    for stream in &mut peers {
        let mut got = vec![0; sent.len()];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(got, sent);
    }
    let stats = running.stop();
    assert!(stats.no_buffers > 0, "the test did not reach what it is for: {stats:?}");
}

#[test]
fn a_peer_that_does_not_read_blocks_its_connection_only() {
    let running = Running::start(1, |_| {});
    let mut stuck = peer(running.address);
    let Seen::Accepted(conn) = running.next() else { panic!() };
    let sent: Vec<u8> = (0..16_000_000u32).map(|i| (i / 3) as u8).collect();
    running.order(Order::Write(conn, sent.clone()));
    let mut other = peer(running.address);
    other.write_all(b"x").unwrap();
    other.read_exact(&mut [0]).unwrap();
    // More while blocked goes behind what is unsent.
    running.order(Order::Write(conn, b"the end".to_vec()));
    let mut got = vec![0; sent.len() + 7];
    stuck.read_exact(&mut got).unwrap();
    assert!(got[..sent.len()] == sent && got[sent.len()..] == *b"the end");
    assert!(matches!(running.next(), Seen::Accepted(_)));
    assert_eq!(running.next(), Seen::Writable(conn));
    let stats = running.stop();
    assert!(stats.blocked > 0);
    assert_eq!(stats.bytes_out, sent.len() as u64 + 8);
}

#[test]
fn more_full_sockets_in_one_pass_than_completions_fit_lose_nothing() {
    const PEERS: usize = 40;
    let running = Running::start(1, |_| {});
    let mut peers: Vec<TcpStream> = (0..PEERS).map(|_| peer(running.address)).collect();
    let conns: Vec<Conn> = (0..PEERS)
        .map(|_| {
            let Seen::Accepted(conn) = running.next() else { panic!() };
            conn
        })
        .collect();
    let sent: Vec<u8> = (0..8_000_000u32).map(|i| (i / 3) as u8).collect();
    for conn in &conns {
        running.orders.send(Order::Write(*conn, sent.clone())).unwrap();
    }
    running.waker.wake();
    // Peers are accepted in the order they connected in.
    let mut got = vec![0; sent.len()];
    for peer in &mut peers {
        peer.read_exact(&mut got).unwrap();
        assert!(got == sent);
    }
    let writable = (0..PEERS).map(|_| running.next()).filter(|seen| matches!(seen, Seen::Writable(_)));
    assert_eq!(writable.count(), PEERS);
    let stats = running.stop();
    assert_eq!((stats.bytes_out, stats.overflows), ((PEERS * sent.len()) as u64, 0));
    assert!(stats.blocked >= PEERS as u64);
}

#[test]
fn close_lets_the_unsent_go_first() {
    let running = Running::start(1, |_| {});
    let mut stream = peer(running.address);
    let Seen::Accepted(conn) = running.next() else { panic!() };
    let sent = vec![7; 8_000_000];
    running.order(Order::Write(conn, sent.clone()));
    running.order(Order::Close(conn));
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    assert_eq!(running.next(), Seen::Closed(conn, CloseCause::Local));
    running.stop();
}

#[test]
fn a_reset_is_reported_with_its_errno() {
    let running = Running::start(1, |_| {});
    let stream = peer(running.address);
    let Seen::Accepted(conn) = running.next() else { panic!() };
    // Unread bytes at close make the kernel send RST.
    running.order(Order::Write(conn, b"unread".to_vec()));
    while stream.peek(&mut [0; 6]).unwrap() < 6 {}
    drop(stream);
    assert_eq!(running.next(), Seen::Closed(conn, CloseCause::Error(libc::ECONNRESET)));
    running.stop();
}

#[test]
fn connects_and_reuses_the_slot() {
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let running = Running::start(1, |_| {});
    let conn = Conn(5);
    for round in 0..3u8 {
        running.order(Order::Connect(conn, listener.local_addr().unwrap()));
        assert_eq!(running.next(), Seen::Connected(conn));
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&[round]).unwrap();
        let mut got = [0];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(got, [round]);
        running.order(Order::Close(conn));
        assert_eq!(running.next(), Seen::Closed(conn, CloseCause::Local));
        assert_eq!(stream.read(&mut got).unwrap(), 0);
    }
    running.stop();
}

#[test]
fn connecting_to_nobody_is_refused() {
    let free = TcpListener::bind(LOCALHOST).unwrap().local_addr().unwrap();
    let running = Running::start(1, |_| {});
    running.order(Order::Connect(Conn(0), free));
    let refused = CloseCause::ConnectFailed(libc::ECONNREFUSED);
    assert_eq!(running.next(), Seen::Closed(Conn(0), refused));
    assert_eq!(refused.to_string(), "Connection refused (os error 111)");
    running.stop();
}

#[test]
fn a_full_table_accepts_again_when_a_slot_is_free() {
    let running = Running::start(1, |config| config.connections = 2);
    let first = peer(running.address);
    let second = peer(running.address);
    let Seen::Accepted(gone) = running.next() else { panic!() };
    assert!(matches!(running.next(), Seen::Accepted(_)));
    // The kernel accepts the third, finds no slot and closes it.
    let mut third = peer(running.address);
    let end = third.read(&mut [0]);
    assert!(matches!(&end, Ok(0)) || end.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    drop(first);
    assert!(matches!(running.next(), Seen::Closed(_, CloseCause::Eof)));
    let mut fourth = peer(running.address);
    assert_eq!(running.next(), Seen::Accepted(gone));
    fourth.write_all(b"!").unwrap();
    fourth.read_exact(&mut [0]).unwrap();
    drop(second);
    let stats = running.stop();
    assert_eq!(stats.accept_refused, 1);
}

#[test]
fn many_connections_between_two_workers_take_no_descriptors() {
    let count = 500;
    let server = Running::start(1, move |config| config.connections = count);
    let client = Running::start(1, move |config| config.connections = count);
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count() as u32;
    for slot in 0..count {
        client.order(Order::Connect(Conn(slot), server.address));
    }
    for _ in 0..count {
        assert!(matches!(client.next(), Seen::Connected(_)));
        assert!(matches!(server.next(), Seen::Accepted(_)));
    }
    assert!(descriptors() < count, "{} descriptors", descriptors());
    client.order(Order::Write(Conn(17), b"ping pong for ever".to_vec()));
    // Both sides echo: the bytes go round until the client closes.
    client.order(Order::Close(Conn(17)));
    assert!(matches!(client.next(), Seen::Closed(Conn(17), _)));
    assert!(matches!(server.next(), Seen::Closed(_, _)));
    client.stop();
    server.stop();
}

/// Answers these deadlines, counted from its first pass, one with each pass, and stops after the last; notes
/// when the passes were.
struct Planner {
    deadlines: std::vec::IntoIter<Nanos>,
    /// Foreseen in each pass.
    foreseen: Option<Nanos>,
    start: Option<Nanos>,
    passes: Vec<Nanos>,
    /// Told of each bell.
    heard: Sender<()>,
}

impl Planner {
    /// Runs to the end; rings up to `bells` times, one after the other.
    fn run(deadlines: Vec<Nanos>, foreseen: Option<Nanos>, bells: u32) -> (Vec<Nanos>, Stats) {
        let (heard, hears) = mpsc::channel();
        let waker = Waker::new().unwrap();
        let bell = waker.clone();
        let worker = thread::spawn(move || {
            let deadlines = deadlines.into_iter();
            let mut planner = Planner { deadlines, foreseen, start: None, passes: Vec::new(), heard };
            let stats = Worker::new(Config::new(1, waker)).unwrap().run(&mut planner).unwrap();
            (planner.passes, stats)
        });
        for _ in 0..bells {
            bell.wake();
            if hears.recv().is_err() {
                break;
            }
        }
        worker.join().unwrap()
    }
}

impl App for Planner {
    fn connected(&mut self, _: &mut Io, _: Conn) {}
    fn accepted(&mut self, _: &mut Io, _: Conn) {}
    fn data(&mut self, _: &mut Io, _: Conn, bytes: &[u8]) -> usize {
        bytes.len()
    }
    fn writable(&mut self, _: &mut Io, _: Conn) {}
    fn closed(&mut self, _: &mut Io, _: Conn, _: Closed) {}
    fn woken(&mut self, _: &mut Io) {
        let _ = self.heard.send(());
    }
    fn pass(&mut self, io: &mut Io) -> Option<Nanos> {
        let start = *self.start.get_or_insert(io.now());
        self.passes.push(io.now() - start);
        if let Some(foreseen) = self.foreseen {
            io.foresee(start + foreseen);
        }
        let next = self.deadlines.next().map(|deadline| start + deadline);
        if next.is_none() {
            io.stop();
        }
        next
    }
}

#[test]
fn a_deadline_is_kept_without_any_completion() {
    let deadlines: Vec<Nanos> = (1..=20).map(|n| n * MILLISECOND).collect();
    let (passes, stats) = Planner::run(deadlines.clone(), None, 0);
    assert_eq!(passes.len(), 21);
    assert!(passes[1..].iter().zip(deadlines).all(|(at, deadline)| *at >= deadline), "{passes:?}");
    // Not a busy loop: about one enter per deadline.
    assert!(stats.enters <= 60, "{} enters", stats.enters);
}

#[test]
fn what_was_foreseen_and_comes_true_is_one_pass() {
    // Far enough apart that a stall of the machine does not make two of them one.
    let deadlines = [100, 200, 300].map(|ms| ms * MILLISECOND);
    let (passes, stats) = Planner::run(deadlines.to_vec(), Some(deadlines[1]), 0);
    assert_eq!(passes.len(), 4, "{passes:?}");
    assert!(passes[1..].iter().zip(deadlines).all(|(at, deadline)| *at >= deadline), "{passes:?}");
    assert!(stats.enters <= 6, "{} enters", stats.enters);
    // It slept nearly all the time.
    assert!(stats.code_ns > 0 && stats.code_ns < passes[3] / 2, "{} ns of {passes:?}", stats.code_ns);
}

#[test]
fn a_deadline_that_comes_closer_is_kept_however_many_are_armed() {
    // Far away, each closer than those before it, and more of them than there are timeouts: the bells end the
    // waits. After the last bell nothing but the deadline is to come.
    let mut deadlines: Vec<Nanos> = (0..50).map(|n| BOUND - n * MILLISECOND).collect();
    deadlines.push(SECOND);
    let (passes, _) = Planner::run(deadlines, None, 50);
    assert_eq!(passes.len(), 52);
    // Without a timeout left the worker does not sleep.
    assert!(passes[51] < BOUND / 2, "{passes:?}");
}

#[test]
fn a_send_that_goes_through_completes_nothing() {
    let running = Running::start(1, |_| {});
    let mut stream = peer(running.address);
    let rounds = 50;
    for round in 0..rounds {
        let mut answer = [0];
        stream.write_all(&[round]).unwrap();
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [round]);
    }
    let stats = running.stop();
    assert_eq!((stats.sends, stats.bytes_out), (u64::from(rounds), u64::from(rounds)));
    // The rest: accept, bell, deadline.
    assert!(stats.completions < u64::from(rounds) + 10, "{} completions", stats.completions);
}

#[test]
fn a_table_beyond_the_limit_says_so() {
    let asked = u32::try_from(descriptor_limit()).unwrap().saturating_add(1);
    let error = Worker::new(Config::new(asked, Waker::new().unwrap())).err().expect("over the limit");
    assert!(error.to_string().contains(&asked.to_string()), "{error}");
    assert!(error.to_string().contains("ulimit -Hn"), "{error}");
}

#[test]
fn local_addresses_are_told_from_others() {
    assert!(is_local(&endpoint("127.0.0.1")) && is_local(&endpoint("127.1.2.3")));
    assert!(!is_local(&endpoint("192.0.2.1")) && !is_local(&endpoint("2001:db8::1")));
}

#[test]
fn loopback_sources_are_distinct_and_local() {
    let remote = endpoint("127.0.0.1");
    let sources: Vec<_> = (0..1000).map(|i| loopback_source(&remote, i).unwrap()).collect();
    let distinct: std::collections::HashSet<_> = sources.iter().collect();
    assert_eq!(distinct.len(), 1000);
    assert!(sources.iter().all(|source| source.is_loopback()));
    assert_eq!(loopback_source(&endpoint("192.0.2.1"), 1), None);
}

#[test]
fn a_held_connection_receives_only_after_resume() {
    let running = Running::start(1, |_| ());
    let mut held = TcpStream::connect(running.address).unwrap();
    assert_eq!(running.next(), Seen::Accepted(Conn(0)));
    let mut other = TcpStream::connect(running.address).unwrap();
    assert_eq!(running.next(), Seen::Accepted(Conn(1)));
    let mut ping = |byte: u8| {
        other.write_all(&[byte]).unwrap();
        let mut answer = [0];
        other.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [byte]);
    };
    // Resumed while the cancellation is under way, it receives once, not twice.
    running.order(Order::Blink(Conn(0)));
    (1..=4).for_each(&mut ping);
    // Twice, and resumed in between.
    for order in [Order::Hold(Conn(0)), Order::Resume(Conn(0)), Order::Hold(Conn(0)), Order::Hold(Conn(0))] {
        running.order(order);
    }
    // The orders are carried out, and the passes after them are over.
    (5..=8).for_each(&mut ping);
    held.write_all(b"later").unwrap();
    (9..=12).for_each(&mut ping);
    held.set_nonblocking(true).unwrap();
    let mut answer = [0; 5];
    assert_eq!(held.read(&mut answer).unwrap_err().kind(), ErrorKind::WouldBlock);
    running.order(Order::Resume(Conn(0)));
    held.set_nonblocking(false).unwrap();
    held.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"later");
    // A held connection can be closed.
    running.order(Order::Hold(Conn(0)));
    running.order(Order::Close(Conn(0)));
    assert_eq!(running.next(), Seen::Closed(Conn(0), CloseCause::Local));
    running.stop();
}

fn endpoint(ip: &str) -> Endpoint {
    Endpoint::Tcp(SocketAddr::new(ip.parse().unwrap(), 1883))
}
