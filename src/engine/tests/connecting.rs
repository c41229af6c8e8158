//! Outgoing connections.

use super::*;

#[test]
fn connects_and_reuses_the_slot() {
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let running = Running::start(1, |_| {});
    let conn = Conn(5);
    for round in 0..3u8 {
        running.order(Order::Connect(conn, listener.local_addr().unwrap().into()));
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
    running.order(Order::Connect(Conn(0), free.into()));
    let refused = CloseCause::ConnectFailed(libc::ECONNREFUSED);
    assert_eq!(running.next(), Seen::Closed(Conn(0), refused));
    assert_eq!(refused.to_string(), "Connection refused (os error 111)");
    running.stop();
}

#[test]
fn many_connections_between_two_workers_take_no_descriptors() {
    let count = 500;
    let server = Running::start(1, move |config| config.connections = count);
    let client = Running::start(1, move |config| (config.connections, config.table) = (count, 64));
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count() as u32;
    for slot in 0..count {
        client.order(Order::Connect(Conn(slot), server.address.into()));
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
