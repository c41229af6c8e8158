//! Over a link that does what a test says.

use super::*;
use crate::clock::SECOND;
use crate::engine::{CloseCause, Endpoint, Handshake, Longest, Route, Stats, Usage};
use crate::transport::Channel;
use crate::transport::tls::{Client, Identity, Roots, Server, Settings, Versions};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;

const ONE: Conn = Conn(0);

/// A link whose clock goes on by `tick` whenever it is read.
#[derive(Default)]
struct Wire {
    now: Nanos,
    clock: Cell<Nanos>,
    tick: Nanos,
    out: BTreeMap<Conn, Vec<u8>>,
    unsent: usize,
    closed: Vec<Conn>,
    aborted: Vec<Conn>,
}

impl Wire {
    fn at(&mut self, now: Nanos) {
        self.now = now;
        self.clock.set(now);
    }

    /// What was written to `conn` since the last time.
    fn written(&mut self, conn: Conn) -> Vec<u8> {
        std::mem::take(self.out.entry(conn).or_default())
    }
}

impl Link for Wire {
    fn now(&self) -> Nanos {
        self.now
    }
    fn arrived(&self) -> Nanos {
        self.now
    }
    fn clock(&self) -> Nanos {
        let read = self.clock.get();
        self.clock.set(read + self.tick);
        read
    }
    fn unix_ns(&self) -> u64 {
        0
    }
    fn foresee(&mut self, _: Nanos) {}
    fn dial(&mut self, _: Conn, _: &Route) -> io::Result<()> {
        Ok(())
    }
    fn out(&mut self, conn: Conn) -> &mut Vec<u8> {
        self.out.entry(conn).or_default()
    }
    fn unsent(&self, _: Conn) -> usize {
        self.unsent
    }
    fn blocked(&self, _: Conn) -> bool {
        false
    }
    fn hold(&mut self, _: Conn) {}
    fn resume(&mut self, _: Conn) {}
    fn close(&mut self, conn: Conn) {
        self.closed.push(conn);
    }
    fn ask_unacked(&mut self) {}
    fn abort(&mut self, conn: Conn) {
        self.aborted.push(conn);
    }
    fn connections(&self) -> u32 {
        0
    }
    fn stop(&mut self) {}
    fn stats(&self) -> Stats {
        Stats::default()
    }
    fn usage(&self) -> Usage {
        Usage::default()
    }
    fn longest(&mut self) -> Longest {
        Longest::default()
    }
}

/// Says what it is told to, and keeps what it hears.
#[derive(Default)]
struct Teller {
    say: Vec<(Conn, Vec<u8>)>,
    dial: Vec<Conn>,
    announced: Vec<(Conn, Handshake)>,
    heard: Vec<u8>,
    ended: Vec<(Conn, Closed)>,
    /// What was unsent of the connection after it had said its own.
    unsent: usize,
    handshakes: Nanos,
}

impl<L: Link> App<L> for Teller {
    fn connected(&mut self, link: &mut L, conn: Conn) {
        self.announced.push((conn, link.handshake(conn)));
    }
    fn accepted(&mut self, link: &mut L, conn: Conn) {
        self.announced.push((conn, link.handshake(conn)));
    }
    fn data(&mut self, _: &mut L, _: Conn, bytes: &[u8]) -> usize {
        self.heard.extend_from_slice(bytes);
        bytes.len()
    }
    fn writable(&mut self, _: &mut L, _: Conn) {}
    fn closed(&mut self, _: &mut L, conn: Conn, closed: Closed) {
        self.ended.push((conn, closed));
    }
    fn woken(&mut self, _: &mut L) {}
    fn pass(&mut self, link: &mut L) -> Option<Nanos> {
        for conn in self.dial.drain(..) {
            let remote = Endpoint::Tcp("127.0.0.1:1".parse().expect("an address"));
            link.dial(conn, &remote.into()).expect("it dials");
        }
        self.unsent = link.unsent(ONE);
        for (conn, text) in self.say.drain(..) {
            link.out(conn).extend_from_slice(&text);
            self.unsent = link.unsent(conn);
        }
        self.handshakes = link.stats().handshake_ns;
        None
    }
}

fn ends() -> (Arc<Dialer>, Acceptor) {
    let (identity, roots) = Identity::make(vec!["localhost".into()]).unwrap();
    let settings = Settings { versions: Versions::V13, ..Settings::new(Roots::These(Arc::new(roots))) };
    let client = Client::new(&settings, vec!["localhost".to_owned().try_into().unwrap()]).unwrap();
    let server = Server::new(&identity, None, Versions::V13).unwrap();
    (Arc::new(Dialer::new(client)), Acceptor::new(server))
}

/// A client over TLS, and the channel of its peer.
struct Scene {
    wire: Wire,
    sealed: Sealed<Teller>,
    peer: Channel,
    /// What the peer has heard.
    told: Vec<u8>,
}

impl Scene {
    /// Dialled at 100, there at 1,000.
    fn dialled() -> Scene {
        let (dialer, acceptor) = ends();
        let sealed = Sealed::new(Teller { dial: vec![ONE], ..Teller::default() }, Ends::Clients(dialer));
        let mut scene =
            Scene { wire: Wire::default(), sealed, peer: acceptor.channel().unwrap(), told: Vec::new() };
        scene.wire.at(100);
        scene.sealed.pass(&mut scene.wire);
        scene.wire.at(1_000);
        scene.sealed.connected(&mut scene.wire, ONE);
        scene
    }

    /// The peer hears what was written; answers what it says.
    fn answer(&mut self) -> Vec<u8> {
        let (mut wire, mut answer) = (self.wire.written(ONE), Vec::new());
        self.peer.receive(&mut wire, &mut self.told, &mut answer, &mut Vec::new()).unwrap();
        answer
    }

    fn pass(&mut self) {
        self.sealed.pass(&mut self.wire);
    }

    fn open() -> Scene {
        let mut scene = Scene::dialled();
        scene.pass();
        let flight = scene.answer();
        scene.sealed.data(&mut scene.wire, ONE, &flight);
        scene.pass();
        let tickets = scene.answer();
        assert_eq!(scene.sealed.app.announced.len(), 1);
        scene.sealed.data(&mut scene.wire, ONE, &tickets);
        scene.pass();
        scene
    }

    fn end(&mut self, cause: CloseCause, unsent: usize) -> Closed {
        self.sealed.closed(&mut self.wire, ONE, Closed { cause, unsent, unacked: 0 });
        self.sealed.app.ended.pop().expect("it hears of the end").1
    }
}

/// The figures of the handshake leg: what it took, without its waits for a turn, and what it cost.
#[test]
fn a_handshake_is_timed_without_its_waits() {
    let mut scene = Scene::dialled();
    scene.wire.tick = 7;
    scene.wire.at(1_500);
    scene.pass();
    assert_eq!(scene.sealed.app.announced, []);
    let flight = scene.answer();
    scene.wire.at(5_000);
    scene.sealed.data(&mut scene.wire, ONE, &flight);
    scene.wire.at(9_000);
    scene.pass();
    // Both steps took a tick; it waited from 1,000 to 1,507 and from 5,000 to 9,007 (each pass looks at the clock first).
    let took = 9_014 - 1_000 - (1_507 - 1_000) - (9_007 - 5_000);
    let done = Handshake::Done { began: 1_000, took, resumed: false };
    assert_eq!(scene.sealed.app.announced, [(ONE, done)]);
    assert_eq!(scene.sealed.app.handshakes, 14);
    assert_eq!(scene.sealed.into_parts(Stats::default()).1.handshake_ns, 14);
}

/// As many are begun in a pass as there is time for, and the rest has its turn in the next.
#[test]
fn a_storm_of_handshakes_has_turns() {
    let (dialer, _) = ends();
    let dial = (0..5).map(Conn).collect();
    let mut sealed = Sealed::new(Teller { dial, ..Teller::default() }, Ends::Clients(dialer));
    let mut wire = Wire::default();
    sealed.pass(&mut wire);
    (0..5).for_each(|conn| sealed.connected(&mut wire, Conn(conn)));
    wire.tick = 60 * MICROSECOND;
    let mut begun = Vec::new();
    for _ in 0..2 {
        let again = sealed.pass(&mut wire);
        begun.push((wire.out.values().filter(|out| !out.is_empty()).count(), again));
    }
    // A step takes two looks at the clock: 60 us of work, and 60 until the next.
    assert_eq!(begun, [(2, Some(0)), (4, Some(0))]);
    sealed.pass(&mut wire);
    assert_eq!((wire.out.len(), sealed.pass(&mut wire)), (5, None));
}

/// What is printed as sent and unfinished rests on it.
#[test]
fn what_has_not_gone_is_told_in_what_was_said() {
    let mut scene = Scene::open();
    let said = |scene: &mut Scene, len: usize| {
        scene.sealed.app.say.push((ONE, vec![7; len]));
        scene.pass();
        scene.wire.out[&ONE].len()
    };
    let first = said(&mut scene, 1_000);
    let both = said(&mut scene, 500);
    assert_eq!((first, both), (1_022, 1_022 + 522), "a record each");
    for (left, unsent) in [(1_544, 1_500), (1_543, 1_500), (523, 1_500), (522, 500), (1, 500), (0, 0)] {
        let mut scene = Scene::open();
        scene.wire.unsent = 1_022;
        said(&mut scene, 1_000);
        said(&mut scene, 500);
        scene.wire.unsent = left;
        scene.pass();
        assert_eq!(scene.sealed.app.unsent, unsent, "{left} bytes of wire");
        assert_eq!(scene.end(CloseCause::Eof, left).unsent, unsent, "{left} bytes of wire");
    }
    // What is said in a pass has not gone by its end.
    scene.wire.unsent = 0;
    scene.sealed.app.say.push((ONE, vec![7; 40]));
    scene.pass();
    assert_eq!(scene.sealed.app.unsent, 40);
}

/// The alert is nobody's message.
#[test]
fn the_end_of_a_transport_is_no_part_of_what_was_said() {
    let mut scene = Scene::open();
    scene.sealed.app.say.push((ONE, vec![7; 100]));
    scene.pass();
    let before = scene.wire.out[&ONE].len();
    SealedLink::new(&mut scene.wire, &mut scene.sealed.doors).close(ONE);
    let alert = scene.wire.out[&ONE].len() - before;
    assert_eq!((scene.wire.closed.as_slice(), alert), (&[ONE][..], 24));
    assert_eq!(
        scene.end(CloseCause::Local, alert),
        Closed { cause: CloseCause::Local, unsent: 0, unacked: 0 }
    );
    let mut scene = Scene::open();
    scene.sealed.app.say.push((ONE, vec![7; 100]));
    scene.pass();
    SealedLink::new(&mut scene.wire, &mut scene.sealed.doors).close(ONE);
    assert_eq!(scene.end(CloseCause::Local, alert + 1).unsent, 100);
}

/// A broker that says goodbye is heard, and what is said to it from then on has not gone.
#[test]
fn what_is_said_after_the_peers_end_has_not_gone() {
    let mut scene = Scene::open();
    let mut last = Vec::new();
    scene.peer.seal(b"bye", &mut last, &mut Vec::new());
    scene.peer.close(&mut last);
    scene.sealed.data(&mut scene.wire, ONE, &last);
    assert_eq!(scene.sealed.app.heard, b"bye");
    assert_eq!(scene.wire.closed, [ONE]);
    scene.sealed.app.say.push((ONE, vec![7; 60]));
    scene.pass();
    assert_eq!(scene.end(CloseCause::Local, 0), Closed { cause: CloseCause::Eof, unsent: 60, unacked: 0 });
}

/// A server has neither all the time of the world, nor all its memory.
#[test]
fn a_guest_who_never_ends_his_handshake_goes() {
    let (_, acceptor) = ends();
    let mut sealed = Sealed::new(Teller::default(), Ends::Server(Arc::new(acceptor)));
    let mut wire = Wire::default();
    wire.at(SECOND);
    sealed.accepted(&mut wire, ONE);
    sealed.accepted(&mut wire, Conn(1));
    let _ = sealed.pass(&mut wire);
    assert_eq!(sealed.pass(&mut wire), Some(11 * SECOND));
    for _ in 0..5 {
        sealed.data(&mut wire, Conn(1), &[22; 1 << 16]);
    }
    assert_eq!((wire.closed.as_slice(), wire.aborted.len()), (&[Conn(1)][..], 0));
    wire.at(11 * SECOND);
    assert_eq!((sealed.pass(&mut wire), wire.aborted.as_slice()), (None, &[ONE][..]));
    let closed = Closed { cause: CloseCause::Local, unsent: 0, unacked: 0 };
    sealed.closed(&mut wire, ONE, closed);
    assert_eq!((sealed.app.announced.len(), sealed.app.ended.len()), (0, 0), "nobody was told of it");
}
