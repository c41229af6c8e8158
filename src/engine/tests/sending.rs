//! What leaves.

use super::*;

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
    assert_eq!(stats.bytes_out, (PEERS * sent.len()) as u64);
    assert!(stats.overflows > 0, "the test did not reach what it is for: {stats:?}");
    assert!(stats.blocked >= PEERS as u64);
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
