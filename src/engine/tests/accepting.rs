//! Incoming connections.

use super::*;

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
