//! Connections over Unix sockets.

use super::*;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A folder, and the path of a socket in it that is `len` bytes long.
fn place(len: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let rest = len - folder.path().as_os_str().len() - 1;
    let path = folder.path().join("s".repeat(rest));
    assert_eq!(path.as_os_str().len(), len);
    (folder, path)
}

fn unix(path: &Path) -> Endpoint {
    Endpoint::Unix(path.into())
}

/// The longest path a socket can have.
const LONGEST: usize = 107;

#[test]
fn connects_and_reuses_the_slot() {
    for len in [60, LONGEST] {
        let (_folder, path) = place(len);
        let listener = UnixListener::bind(&path).unwrap();
        let running = Running::start(1, |_| {});
        let conn = Conn(5);
        for round in 0..3u8 {
            running.order(Order::Connect(conn, unix(&path)));
            assert_eq!(running.next(), Seen::Connected(conn));
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_nanos(BOUND))).unwrap();
            let mut got = [0; 3];
            stream.write_all(&[round; 3]).unwrap();
            stream.read_exact(&mut got).unwrap();
            assert_eq!(got, [round; 3]);
            running.order(Order::Close(conn));
            assert_eq!(running.next(), Seen::Closed(conn, CloseCause::Local));
            assert_eq!(stream.read(&mut got).unwrap(), 0);
        }
        let stats = running.stop();
        assert_eq!((stats.bytes_in, stats.bytes_out), (9, 9));
    }
}

#[test]
fn a_peer_that_does_not_read_gets_everything_in_the_end() {
    let (_folder, path) = place(60);
    let listener = UnixListener::bind(&path).unwrap();
    let running = Running::start(1, |_| {});
    running.order(Order::Connect(Conn(0), unix(&path)));
    assert_eq!(running.next(), Seen::Connected(Conn(0)));
    let (mut stream, _) = listener.accept().unwrap();
    let sent: Vec<u8> = (0..4_000_000u32).map(|i| (i / 3) as u8).collect();
    running.order(Order::Write(Conn(0), sent.clone()));
    running.blocks(Conn(0));
    running.order(Order::Close(Conn(0)));
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    assert_eq!(running.next(), Seen::Closed(Conn(0), CloseCause::Local));
    running.stop();
}

#[test]
fn what_is_of_tcp_only_is_left_out() {
    let (_folder, path) = place(60);
    let listener = UnixListener::bind(&path).unwrap();
    let running = Running::start(1, |_| {});
    let source = Some(Ipv4Addr::LOCALHOST.into());
    let route = Route { source, ports: Some(PortRange::WIDEST), ..Route::from(unix(&path)) };
    running.ask(move |io| io.dial(Conn(0), &route).unwrap());
    assert_eq!(running.next(), Seen::Connected(Conn(0)));
    listener.accept().unwrap();
    running.stop();
}

#[test]
fn a_path_that_is_too_long_is_refused_at_once() {
    let (_folder, path) = place(LONGEST + 1);
    let running = Running::start(1, |_| {});
    let route = Route::from(unix(&path));
    let error = running.ask(move |io| io.dial(Conn(0), &route).unwrap_err().to_string());
    assert_eq!(error, "the path of a Unix socket has at most 107 bytes, and this one has 108");
    assert_eq!(running.ask(|io| io.connections()), 0);
    running.stop();
}

#[test]
fn connecting_to_nobody_fails_with_the_reason() {
    let (_folder, path) = place(60);
    let running = Running::start(1, |_| {});
    let fails = |errno, text: &str| {
        running.order(Order::Connect(Conn(0), unix(&path)));
        let cause = CloseCause::ConnectFailed(errno);
        assert_eq!(running.next(), Seen::Closed(Conn(0), cause));
        assert_eq!(cause.to_string(), text);
    };
    fails(libc::ENOENT, "No such file or directory (os error 2)");
    // The socket stays behind when its listener is gone.
    drop(UnixListener::bind(&path).unwrap());
    fails(libc::ECONNREFUSED, "Connection refused (os error 111)");
    running.stop();
}

#[test]
fn who_finds_no_room_in_the_backlog_waits_for_it() {
    const CLIENTS: u32 = 10;
    let (_folder, path) = place(60);
    let listener = UnixListener::bind(&path).unwrap();
    // SAFETY: no pointers; the descriptor is the listener's. The kernel takes the new, smaller backlog.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 1) }, 0);
    let running = Running::start(1, |_| {});
    for slot in 0..CLIENTS {
        running.order(Order::Connect(Conn(slot), unix(&path)));
    }
    // One that waits can be given up.
    let waiting = Conn(CLIENTS - 1);
    running.ask(move |io| io.abort(waiting));
    loop {
        match running.next() {
            Seen::Connected(_) => {}
            end => break assert_eq!(end, Seen::Closed(waiting, CloseCause::Local)),
        }
    }
    let _accepted: Vec<_> = (1..CLIENTS).map(|_| listener.accept().unwrap()).collect();
    while running.ask(|io| (0..CLIENTS - 1).any(|slot| io.slots.get(Conn(slot)).connecting)) {}
    assert_eq!(running.ask(|io| io.connections()), CLIENTS - 1);
    running.stop();
}
