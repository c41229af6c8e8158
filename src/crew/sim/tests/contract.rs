//! Applications that break their contract with the engine are found out.

use super::*;
use crate::clock::Nanos;
use crate::crew::Link;
use crate::engine::{App, Closed, Conn, Endpoint, Route};

/// An application of which each call is a closure's.
struct Breaks {
    pass: fn(&mut SimLink) -> Option<Nanos>,
    data: fn(&mut SimLink, &[u8]) -> usize,
}

fn route() -> Route {
    Endpoint::Unix(std::path::Path::new("/broker").into()).into()
}

fn dial_once(link: &mut SimLink) -> Option<Nanos> {
    if link.connections() == 0 && link.now() < 2 * SECOND {
        link.dial(Conn(0), &route()).expect("dialled");
    }
    Some(link.now() + SECOND)
}

impl App<SimLink> for Breaks {
    fn connected(&mut self, link: &mut SimLink, conn: Conn) {
        // CONNECT of a client without a name.
        link.out(conn).extend_from_slice(&[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 0]);
    }

    fn accepted(&mut self, _: &mut SimLink, _: Conn) {
        unreachable!();
    }

    fn data(&mut self, link: &mut SimLink, _: Conn, bytes: &[u8]) -> usize {
        (self.data)(link, bytes)
    }

    fn writable(&mut self, _: &mut SimLink, _: Conn) {}

    fn closed(&mut self, _: &mut SimLink, _: Conn, _: Closed) {}

    fn woken(&mut self, _: &mut SimLink) {}

    fn pass(&mut self, link: &mut SimLink) -> Option<Nanos> {
        (self.pass)(link)
    }
}

fn run(pass: fn(&mut SimLink) -> Option<Nanos>) {
    World::new(Setup { connections: 4, limit: 60 * SECOND, ..Setup::exact(1) })
        .run(&mut [Breaks { pass, data: |_, bytes| bytes.len() }]);
}

#[test]
#[should_panic(expected = "a write to Conn(0), which is free")]
fn a_write_to_nobody() {
    run(|link| {
        link.out(Conn(0)).push(0);
        None
    });
}

#[test]
#[should_panic(expected = "Conn(1) is in use")]
fn a_connection_dialled_twice() {
    run(|link| {
        link.dial(Conn(1), &route()).expect("the first");
        link.dial(Conn(1), &route()).expect("the second");
        None
    });
}

#[test]
#[should_panic(expected = "of a table of 4")]
fn a_connection_beyond_the_table() {
    run(|link| {
        link.dial(Conn(4), &route()).expect("dialled");
        None
    });
}

#[test]
#[should_panic(expected = "goes round in circles")]
fn a_deadline_that_has_always_passed() {
    run(|link| Some(link.now()));
}

#[test]
#[should_panic(expected = "nothing is left to happen")]
fn nobody_ever_stops() {
    run(|_| None);
}

#[test]
#[should_panic(expected = "the world hangs")]
fn time_goes_on_for_ever() {
    run(|link| Some(link.now() + SECOND));
}

#[test]
#[should_panic(expected = "5 of 4 bytes used")]
fn more_used_than_given() {
    let mut apps = [Breaks { pass: dial_once, data: |_, bytes| bytes.len() + 1 }];
    World::new(Setup { connections: 4, limit: 60 * SECOND, ..Setup::exact(1) }).run(&mut apps);
}

#[test]
fn what_is_not_used_is_given_again_in_front_of_what_follows() {
    let pass: fn(&mut SimLink) -> Option<Nanos> = |link| {
        if link.now() > 3 * SECOND {
            link.stop();
        }
        dial_once(link)
    };
    let data: fn(&mut SimLink, &[u8]) -> usize = |_, bytes| {
        // CONNACK has four bytes, and comes one by one.
        assert!(bytes == &[0x20, 2, 0, 0][..bytes.len()], "{bytes:?}");
        bytes.len() / 4 * 4
    };
    let network = Network { split: 1.0, ..Network::plain(MILLISECOND) };
    let mut world = World::new(Setup { connections: 4, network, ..Setup::exact(1) });
    world.run(&mut [Breaks { pass, data }]);
    assert!(world.truth().connections[0].greeted.is_some());
    assert!(world.worker(0).stats.receives > 1 && world.worker(0).most_unused > 0);
}
