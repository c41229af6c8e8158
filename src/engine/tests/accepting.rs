//! Incoming connections.

use super::*;
use std::os::fd::AsRawFd;

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
fn an_accept_that_failed_with_nothing_open_is_tried_again() {
    let running = Running::start(1, |config| config.connections = 1);
    // A file that is no connection takes the only slot: as with the system's table of files full, no
    // connection of this worker will be gone one day.
    let file = std::fs::File::open("/dev/null").unwrap();
    let update = |fd: i32| {
        running.ask(move |io| io.rings.all()[0].submitter().register_files_update(0, &[fd]).unwrap())
    };
    update(file.as_raw_fd());
    let end = peer(running.address).read(&mut [0]);
    assert!(matches!(&end, Ok(0)) || end.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    update(-1);
    let (mut stream, conn) = running.accepted();
    stream.write_all(b"!").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    drop(stream);
    assert_eq!(running.next(), Seen::Closed(conn, CloseCause::Eof));
    assert_eq!(running.stop().accept_refused, 1);
}
