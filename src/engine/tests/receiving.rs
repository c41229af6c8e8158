//! What arrives.

use super::*;

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

/// What arrives while the worker is kept from looking has the time at which the kernel had it, on connections that
/// were dialled; of those that were accepted nobody asks.
#[test]
fn bytes_carry_the_time_at_which_they_arrived() {
    const STALL: Nanos = 30 * MILLISECOND;
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let running = Running::start(1, |_| {});
    running.order(Order::Connect(Conn(5), listener.local_addr().unwrap().into()));
    assert_eq!(running.next(), Seen::Connected(Conn(5)));
    let dialled = listener.accept().unwrap().0;
    let accepted = peer(running.address);
    assert!(matches!(running.next(), Seen::Accepted(_)));
    for (mut stream, stamped) in [(dialled, true), (accepted, false)] {
        let busy = running.occupy();
        let before = clock::now();
        stream.write_all(b"x").unwrap();
        let after = clock::now();
        while clock::now() < after + STALL {
            std::hint::spin_loop();
        }
        drop(busy);
        let (arrived, handled) = running.heard.recv_timeout(Duration::from_nanos(BOUND)).unwrap();
        assert!(handled >= after + STALL);
        // The two clocks are read one after the other, on a machine that may interrupt in between.
        let exact = (before.saturating_sub(MILLISECOND)..after + MILLISECOND).contains(&arrived);
        assert!(if stamped { exact } else { arrived == handled }, "{before} {arrived} {after} {handled}");
        stream.read_exact(&mut [0]).unwrap();
        drop(stream);
        assert!(matches!(running.next(), Seen::Closed(_, CloseCause::Eof)));
    }
    running.stop();
}

#[test]
fn who_does_not_sleep_receives_and_sends() {
    for poll in [Poll::Auto, Poll::Busy] {
        let running = Running::start(1, move |config| config.poll = poll);
        let mut stream = peer(running.address);
        for round in 0..100u8 {
            stream.write_all(&[round; 300]).unwrap();
            let mut got = [0; 300];
            stream.read_exact(&mut got).unwrap();
            assert_eq!(got, [round; 300]);
        }
        let stats = running.stop();
        assert_eq!((stats.bytes_in, stats.bytes_out), (30_000, 30_000));
        assert!(poll == Poll::Busy || stats.spun_ns == 0, "there was no deadline to wait for: {stats:?}");
    }
}
