//! How connections end, and what of theirs has gone by then.

use super::*;
use std::collections::BTreeMap;
use std::net::Shutdown;
use std::os::fd::AsRawFd;

/// More than a socket's buffers hold.
const LARGE: usize = 16_000_000;

fn large() -> Vec<u8> {
    (0..LARGE as u32).map(|i| (i / 3) as u8).collect()
}

/// All that comes until the end.
fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    got
}

fn ping(stream: &mut TcpStream) {
    stream.write_all(b"?").unwrap();
    stream.read_exact(&mut [0]).unwrap();
}

impl Running {
    /// How `count` connections ended, which are the next to go.
    fn ends(&self, count: usize) -> BTreeMap<Conn, Closed> {
        let next = |_| self.ends.recv_timeout(Duration::from_nanos(BOUND)).expect("a connection goes");
        (0..count).map(next).collect()
    }

    /// What is unsent of them.
    fn unsent(&self, count: usize) -> BTreeMap<Conn, usize> {
        self.ends(count).into_iter().map(|(conn, closed)| (conn, closed.unsent)).collect()
    }
}

#[test]
fn close_lets_the_unsent_go_first() {
    let running = Running::start(1, |_| {});
    let (mut stream, conn) = running.accepted();
    let sent = large();
    running.order(Order::Write(conn, sent.clone()));
    running.order(Order::Close(conn));
    let got = read_all(&mut stream);
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    assert_eq!(running.next(), Seen::Closed(conn, CloseCause::Local));
    assert_eq!(running.unsent(1)[&conn], 0);
    assert_eq!(running.stop().bytes_out, LARGE as u64);
}

#[test]
fn a_peer_that_only_listens_any_more_gets_all_that_is_unsent() {
    let running = Running::start(1, |_| {});
    let (mut stream, conn) = running.accepted();
    let (mut other, _) = running.accepted();
    let sent = large();
    running.order(Order::Write(conn, sent.clone()));
    running.order(Order::Close(conn));
    stream.shutdown(Shutdown::Write).unwrap();
    // By then the end of what the peer says has been seen, and it is seen once.
    const PINGS: u64 = 50;
    (0..PINGS).for_each(|_| ping(&mut other));
    let stats = running.ask(|io| io.stats());
    // A full socket completes two: the send, and that there is room.
    assert!(stats.completions - 2 * stats.blocked < PINGS * 3 / 2, "{stats:?}");
    let got = read_all(&mut stream);
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    assert_eq!(running.next(), Seen::Closed(conn, CloseCause::Local));
    assert_eq!(running.unsent(1)[&conn], 0);
    assert_eq!(running.stop().bytes_out, LARGE as u64 + PINGS);
}

#[test]
fn a_peer_that_only_listened_and_is_gone_ends_the_draining() {
    let running = Running::start(1, |_| {});
    let (mut stream, conn) = running.accepted();
    let (mut other, _) = running.accepted();
    running.order(Order::Write(conn, large()));
    running.order(Order::Close(conn));
    stream.shutdown(Shutdown::Write).unwrap();
    ping(&mut other);
    stream.read_exact(&mut [0; 1000]).unwrap();
    // Unread bytes at close make the kernel send RST.
    drop(stream);
    assert_eq!(running.next(), Seen::Closed(conn, CloseCause::Local));
    let unsent = running.unsent(1)[&conn];
    assert!(unsent > 0);
    assert_eq!(running.stop().bytes_out, (LARGE - unsent) as u64 + 1);
}

#[test]
fn a_reset_is_reported_with_its_errno() {
    let running = Running::start(1, |_| {});
    let (stream, conn) = running.accepted();
    // Unread bytes at close make the kernel send RST.
    running.order(Order::Write(conn, b"unread".to_vec()));
    while stream.peek(&mut [0; 6]).unwrap() < 6 {}
    drop(stream);
    assert_eq!(running.next(), Seen::Closed(conn, CloseCause::Error(libc::ECONNRESET)));
    running.stop();
}

/// What the kernel took and the peer's has not acknowledged is known to the byte, however the connection ends.
#[test]
fn what_has_not_arrived_is_known_of_who_asks() {
    for (asks, resets) in [(true, false), (true, true), (false, false)] {
        let running = Running::start(1, |_| {});
        if asks {
            running.ask(|io| io.ask_unacked());
        }
        let (stream, conn) = running.accepted();
        let (other, idle) = running.accepted();
        running.order(Order::Write(conn, large()));
        running.blocks(conn);
        // Nothing moves any more: what is unsent will not be sent, and what has arrived lies there.
        let arrived = settled(&stream);
        if resets {
            drop(stream);
        } else {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        drop(other);
        let ends = running.ends(2);
        let Closed { unsent, unacked, .. } = ends[&conn];
        assert_eq!(unacked, if asks { LARGE - unsent - arrived } else { 0 });
        assert_eq!((ends[&idle].unsent, ends[&idle].unacked), (0, 0));
        running.stop();
    }
}

/// Bytes that lie unread in the buffer of `stream` when no more can come in.
fn settled(stream: &TcpStream) -> usize {
    let mut before = 0;
    loop {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the place is an int, as the request says, and outlives the call.
        let got = unsafe { libc::ioctl(stream.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
        assert_eq!(got, 0);
        let bytes = usize::try_from(bytes).unwrap();
        if bytes > 0 && bytes == before {
            return bytes;
        }
        before = bytes;
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn what_a_reset_leaves_unsent_is_exact() {
    let running = Running::start(1, |_| {});
    let (mut stream, conn) = running.accepted();
    running.order(Order::Write(conn, large()));
    let read = 1_000_000;
    stream.read_exact(&mut vec![0; read]).unwrap();
    running.blocks(conn);
    // More of it goes behind what is with the kernel.
    running.order(Order::Write(conn, large()));
    running.ask(|_| {});
    drop(stream);
    assert_eq!(running.next(), Seen::Closed(conn, CloseCause::Error(libc::ECONNRESET)));
    let unsent = running.unsent(1)[&conn];
    let stats = running.stop();
    assert_eq!(stats.bytes_out, (2 * LARGE - unsent) as u64);
    assert!(unsent >= LARGE && stats.bytes_out >= read as u64, "{unsent} unsent, {stats:?}");
}

#[test]
fn what_an_abort_leaves_unsent_is_what_the_peer_does_not_get() {
    let running = Running::start(1, |_| {});
    let (mut stream, conn) = running.accepted();
    let sent = large();
    running.order(Order::Write(conn, sent.clone()));
    running.blocks(conn);
    running.ask(move |io| io.abort(conn));
    assert_eq!(running.next(), Seen::Closed(conn, CloseCause::Local));
    let unsent = running.unsent(1)[&conn];
    // What the kernel has taken it still delivers.
    let got = read_all(&mut stream);
    assert!(unsent > 0 && got == sent[..LARGE - unsent], "{} got, {unsent} unsent", got.len());
    assert_eq!(running.stop().bytes_out, got.len() as u64);
}

#[test]
fn what_the_end_of_the_peer_leaves_unsent_is_what_it_does_not_get() {
    let running = Running::start(1, |_| {});
    let (mut stream, conn) = running.accepted();
    running.order(Order::Write(conn, large()));
    running.blocks(conn);
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(running.next(), Seen::Closed(conn, CloseCause::Eof));
    let unsent = running.unsent(1)[&conn];
    let got = read_all(&mut stream).len();
    assert_eq!((got + unsent, running.stop().bytes_out), (LARGE, got as u64));
}

#[test]
fn what_the_kernel_takes_from_connections_already_closing_is_not_unsent() {
    // More than completions fit, so that some are seen late.
    const PEERS: usize = 20;
    let running = Running::start(1, |_| {});
    let (mut streams, conns): (Vec<_>, Vec<_>) = (0..PEERS).map(|_| running.accepted()).unzip();
    // The last one's fit into its socket.
    let lengths: Vec<usize> = (0..PEERS).map(|i| if i + 1 < PEERS { LARGE / 2 } else { 1000 }).collect();
    for (conn, length) in conns.iter().zip(&lengths) {
        running.orders.send(Order::Write(*conn, vec![1; *length])).unwrap();
    }
    // The bell rings before the sends that go with it, so it is heard before what has become of them.
    let again = running.waker.clone();
    running.orders.send(Order::Do(Box::new(move |_| again.wake()))).unwrap();
    running.orders.send(Order::Later).unwrap();
    let all = conns.clone();
    running.ask(move |io| all.iter().for_each(|conn| io.abort(*conn)));
    let unsent = running.unsent(PEERS);
    let mut taken = 0;
    for ((stream, conn), length) in streams.iter_mut().zip(&conns).zip(&lengths) {
        let got = read_all(stream).len();
        assert_eq!(got + unsent[conn], *length, "{conn:?}");
        taken += got as u64;
    }
    assert_eq!(unsent[&conns[PEERS - 1]], 0);
    assert_eq!(running.stop().bytes_out, taken);
}

/// The states of the connections of `port`, as proc(5) has them, but for the listener.
fn states(port: u16) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{port:04X}");
    let words = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = words.filter(|words| words[1].ends_with(&port) || words[2].ends_with(&port));
    ours.map(|words| words[3].to_owned()).filter(|state| state != "0A").collect()
}

/// Of a peer that does not read, a socket's buffer takes megabytes; where it is to take less, it does.
#[test]
fn what_a_socket_takes_and_cannot_send_is_bounded_where_that_is_asked_for() {
    const MOST: usize = 64 << 10;
    let running = Running::start(1, |_| {});
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let remote = Endpoint::from(listener.local_addr().unwrap());
    let taken = [Some(MOST as u32), None].map(|unsent| {
        let route = Route { unsent, ..Route::from(remote.clone()) };
        running.order(Order::Do(Box::new(move |io| io.dial(Conn(9), &route).unwrap())));
        assert_eq!(running.next(), Seen::Connected(Conn(9)));
        let peer = listener.accept().unwrap().0;
        running.order(Order::Write(Conn(9), large()));
        running.blocks(Conn(9));
        let taken = LARGE - running.ask(|io| io.unsent(Conn(9)));
        drop(peer);
        assert!(matches!(running.next(), Seen::Closed(..)));
        taken
    });
    running.stop();
    // And what the peer's window lets through, which starts with 64 kB.
    assert!(taken[0] < 8 * MOST && taken[1] > 2 * taken[0], "{taken:?}");
}

#[test]
fn a_reset_leaves_nobody_in_time_wait() {
    const TIME_WAIT: &str = "06";
    let running = Running::start(1, |_| {});
    for (close, left) in [(Close::Fin, vec![TIME_WAIT.to_owned()]), (Close::Rst, vec![])] {
        let listener = TcpListener::bind(LOCALHOST).unwrap();
        let port = listener.local_addr().unwrap().port();
        let remote = Endpoint::from(listener.local_addr().unwrap());
        running.order(Order::Do(Box::new(move |io| {
            io.dial(Conn(9), &Route { close, ..Route::from(remote) }).unwrap();
        })));
        assert_eq!(running.next(), Seen::Connected(Conn(9)));
        // As a broker does it after DISCONNECT.
        drop(listener.accept().unwrap());
        assert_eq!(running.next(), Seen::Closed(Conn(9), CloseCause::Eof));
        let until = clock::now() + BOUND;
        while states(port) != left {
            assert!(clock::now() < until, "{close:?} leaves {:?}", states(port));
            thread::yield_now();
        }
    }
    running.stop();
}
