//! How connections end, and what of theirs has gone by then.

use super::*;

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
