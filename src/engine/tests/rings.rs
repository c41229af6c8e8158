//! Workers with more connections than one ring holds.

use super::*;
use std::collections::BTreeSet;

/// A worker whose three rings have room for four connections each.
fn three(poll: Poll) -> Running {
    Running::listening(3, 1, move |config| {
        (config.connections, config.table, config.poll) = (12, 4, poll);
    })
}

#[test]
fn connections_of_every_ring_come_answer_and_go() {
    let running = three(Poll::Sleep);
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
    let enters = hear(Poll::Sleep);
    assert!(enters < 2000 * 3 * 4, "{enters} enters for 6,000 answers in 2,000 rounds");
}

#[test]
fn a_worker_that_does_not_sleep_hears_of_all_its_rings() {
    hear(Poll::Busy);
    hear(Poll::Auto);
}

/// Answers from every ring, and how many enters that took.
fn hear(poll: Poll) -> u64 {
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let running = three(poll);
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
    running.stop().enters
}

/// What a ring's completion queue has no room for is not forgotten where the worker sleeps at another ring.
#[test]
fn a_ring_beside_the_first_loses_nothing_when_its_queue_is_full() {
    const PEERS: u32 = 40;
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let running = Running::start(1, |config| (config.connections, config.table) = (80, 40));
    let mut peers = Vec::new();
    for slot in 40..40 + PEERS {
        running.order(Order::Connect(Conn(slot), listener.local_addr().unwrap().into()));
        assert_eq!(running.next(), Seen::Connected(Conn(slot)));
        peers.push(listener.accept().unwrap().0);
    }
    // Cancels and what they cancel, all in one pass.
    for slot in 40..40 + PEERS {
        running.orders.send(Order::Do(Box::new(move |io| io.abort(Conn(slot))))).unwrap();
    }
    running.waker.wake();
    for _ in 0..PEERS {
        assert!(matches!(running.next(), Seen::Closed(_, CloseCause::Local)));
    }
    let stats = running.stop();
    assert!(stats.overflows > 0, "the test did not reach what it is for: {stats:?}");
}

/// A place that is free in one ring is none in another: who waits for that one goes on waiting.
#[test]
fn a_full_ring_turns_nobody_away_because_another_has_room() {
    let running = Running::listening(2, 1, |config| (config.connections, config.table) = (2, 1));
    let refused = || running.ask(|io| io.stats().accept_refused);
    let mut waiting = Vec::new();
    // The kernel spreads them by chance. Each ring takes one, turns the next away, and lets all others wait.
    while refused() < 2 {
        waiting.push(peer(running.address));
    }
    waiting.extend((0..64).map(|_| peer(running.address)));
    for round in 1..=5 {
        running.order(Order::Close(Conn(0)));
        while running.next() != Seen::Closed(Conn(0), CloseCause::Local) {}
        // The next one, and it has turned away the one behind that.
        assert_eq!(running.next(), Seen::Accepted(Conn(0)));
        while refused() < 2 + round {}
    }
    assert_eq!(refused(), 7);
    running.stop();
}
