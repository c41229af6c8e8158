//! Workers with more connections than one ring holds.

use super::*;
use std::collections::BTreeSet;

/// A worker whose three rings have room for four connections each.
fn three() -> Running {
    Running::listening(3, 1, |config| (config.connections, config.table) = (12, 4))
}

#[test]
fn connections_of_every_ring_come_answer_and_go() {
    let running = three();
    let mut used = BTreeSet::new();
    for round in 0..20 {
        let mut peers: Vec<TcpStream> = (0..4).map(|_| peer(running.address)).collect();
        let mut conns = BTreeSet::new();
        while conns.len() < peers.len() {
            let Seen::Accepted(conn) = running.next() else { panic!("round {round}") };
            assert!(conns.insert(conn), "{conn:?} twice");
        }
        for (number, peer) in peers.iter_mut().enumerate() {
            let said = [round, number as u8];
            peer.write_all(&said).unwrap();
            let mut heard = [0; 2];
            peer.read_exact(&mut heard).unwrap();
            assert_eq!(heard, said);
        }
        drop(peers);
        used.extend(conns.iter().map(|conn| conn.0 / 4));
        while !conns.is_empty() {
            let Seen::Closed(conn, CloseCause::Eof) = running.next() else { panic!("round {round}") };
            assert!(conns.remove(&conn), "{conn:?} was never there");
        }
    }
    assert_eq!(used.len(), 3, "{used:?}");
    running.stop();
}

/// Each answer takes a wake-up by a ring that the worker does not sleep at: none may be missed.
#[test]
fn a_worker_hears_of_all_its_rings() {
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let running = three();
    let mut peers: Vec<TcpStream> = [1, 4, 7, 8, 11]
        .into_iter()
        .map(|slot| {
            running.order(Order::Connect(Conn(slot), listener.local_addr().unwrap().into()));
            assert_eq!(running.next(), Seen::Connected(Conn(slot)));
            let stream = listener.accept().unwrap().0;
            stream.set_read_timeout(Some(Duration::from_nanos(BOUND))).unwrap();
            stream
        })
        .collect();
    for round in 0..2000_u32 {
        // All of them, then each one by itself.
        let some = if round % 2 == 0 { &mut peers[..] } else { &mut peers[round as usize % 5..][..1] };
        some.iter_mut().for_each(|peer| peer.write_all(&round.to_le_bytes()).unwrap());
        for peer in some {
            let mut heard = [0; 4];
            peer.read_exact(&mut heard).unwrap();
            assert_eq!(heard, round.to_le_bytes());
        }
    }
    let stats = running.stop();
    assert!(stats.enters < 2000 * 3 * 4, "{} enters for 6,000 answers in 2,000 rounds", stats.enters);
}
