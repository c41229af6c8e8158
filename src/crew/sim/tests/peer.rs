//! The peer as a broker: what it does of itself, packet by packet.

use super::*;
use crate::clock::Nanos;
use crate::crew::Link;
use crate::engine::{App, CloseCause, Closed, Conn, Endpoint, Route};
use crate::wire::{self, Connect, Packet, PacketId, Properties, Protocol, Publish, QoS, ReasonCode, Will};

/// Something to do at a moment.
enum Do {
    Dial,
    Write(Vec<u8>),
    Abort,
}

/// An application that does what it is told, and notes the packets that come, in words.
#[derive(Default)]
struct Puppet {
    todo: Vec<(Nanos, u32, Do)>,
    /// What each connection was told.
    told: [Vec<String>; 3],
    closed: Vec<(u32, CloseCause)>,
    walls: Vec<u64>,
    /// When it stops, a second after the last thing.
    ends: Nanos,
}

/// When the next thing is to be done: one after the other, 100 ms apart.
const APART: Nanos = 100 * MILLISECOND;

impl Puppet {
    fn todo(mut self, conn: u32, what: Do) -> Puppet {
        let time = 2 * SECOND + APART * self.todo.len() as u64;
        self.todo.push((time, conn, what));
        self
    }

    fn packet(self, conn: u32, packet: Packet<'_>) -> Puppet {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes).expect("a valid packet");
        self.todo(conn, Do::Write(bytes))
    }

    fn connect(self, conn: u32, name: &str, will: Option<&str>) -> Puppet {
        let will = will.map(|topic| Will {
            topic,
            payload: b"farewell",
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Properties::NONE,
        });
        let connect = Connect {
            protocol: Protocol::V311,
            bridge: false,
            client_id: name,
            keep_alive: 0,
            clean_session: true,
            will,
            username: None,
            password: None,
            properties: Properties::NONE,
        };
        self.todo(conn, Do::Dial).packet(conn, Packet::Connect(connect))
    }

    fn subscribe(self, conn: u32, filter: &str) -> Puppet {
        let mut bytes = Vec::new();
        wire::encode_subscribe(id(7), [(filter, QoS::AtMostOnce)], &mut bytes).expect("valid");
        self.todo(conn, Do::Write(bytes))
    }

    fn publish(self, conn: u32, topic: &str, payload: &str, retain: bool) -> Puppet {
        let payload = payload.as_bytes();
        let qos = QoS::AtMostOnce;
        self.packet(
            conn,
            Packet::Publish(Publish {
                dup: false,
                qos,
                retain,
                topic,
                packet_id: None,
                payload,
                properties: Properties::NONE,
            }),
        )
    }

    fn live(mut self) -> Puppet {
        let mut world = World::new(Setup { connections: 3, ..Setup::exact(1) });
        world.run(std::slice::from_mut(&mut self));
        assert!(world.truth().faults.is_empty(), "{:?}", world.truth().faults);
        self
    }
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).expect("not 0")
}

impl App<SimLink> for Puppet {
    fn connected(&mut self, _: &mut SimLink, _: Conn) {}

    fn accepted(&mut self, _: &mut SimLink, _: Conn) {
        unreachable!();
    }

    fn data(&mut self, _: &mut SimLink, conn: Conn, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let Some((packet, length)) = wire::decode(&bytes[used..], wire::MAX_PACKET).expect("valid") {
            used += length;
            self.told[conn.0 as usize].push(match packet {
                Packet::Publish(publish) => {
                    let retained = if publish.retain { " retained" } else { "" };
                    format!("{} {}{retained}", publish.topic, String::from_utf8_lossy(publish.payload))
                }
                other => other.packet_type().to_string(),
            });
        }
        used
    }

    fn writable(&mut self, _: &mut SimLink, _: Conn) {}

    fn closed(&mut self, _: &mut SimLink, conn: Conn, closed: Closed) {
        self.closed.push((conn.0, closed.cause));
    }

    fn woken(&mut self, _: &mut SimLink) {}

    fn pass(&mut self, link: &mut SimLink) -> Option<Nanos> {
        self.walls.push(link.unix_ns());
        while self.todo.first().is_some_and(|(time, ..)| *time <= link.now()) {
            let (_, conn, what) = self.todo.remove(0);
            match what {
                Do::Dial => {
                    let broker = Endpoint::Unix(std::path::Path::new("/broker").into());
                    link.dial(Conn(conn), &Route::from(broker)).expect("dialled");
                }
                Do::Write(bytes) => link.out(Conn(conn)).extend_from_slice(&bytes),
                Do::Abort => link.abort(Conn(conn)),
            }
            self.ends = link.now() + SECOND;
        }
        if self.todo.is_empty() && link.now() >= self.ends {
            link.stop();
        }
        Some(self.todo.first().map_or(self.ends, |(time, ..)| *time))
    }
}

#[test]
fn wildcards_match_and_unsubscribing_ends_it() {
    let mut unsubscribe = Vec::new();
    wire::encode_unsubscribe(id(9), ["a/+"], &mut unsubscribe).expect("valid");
    let puppet = Puppet::default()
        .connect(0, "ear", None)
        .subscribe(0, "a/+")
        .subscribe(0, "b/#")
        .connect(1, "mouth", None)
        .publish(1, "a/x", "1", false)
        .publish(1, "a/x/y", "2", false)
        .publish(1, "b", "3", false)
        .todo(0, Do::Write(unsubscribe))
        .publish(1, "a/x", "4", false)
        .publish(1, "b/c/d", "5", false)
        .live();
    assert_eq!(puppet.told[0], ["CONNACK", "SUBACK", "SUBACK", "a/x 1", "b 3", "UNSUBACK", "b/c/d 5"]);
}

#[test]
fn what_is_retained_comes_with_the_subscription() {
    let puppet = Puppet::default()
        .connect(0, "mouth", None)
        .publish(0, "a/x", "1", true)
        .publish(0, "a/y", "2", false)
        .connect(1, "ear", None)
        .subscribe(1, "a/#")
        .publish(0, "a/x", "3", true)
        .live();
    assert_eq!(puppet.told[1], ["CONNACK", "SUBACK", "a/x 1 retained", "a/x 3"]);
}

#[test]
fn a_will_is_published_unless_the_client_said_goodbye() {
    let puppet = Puppet::default()
        .connect(0, "ear", None)
        .subscribe(0, "#")
        .connect(1, "vanishes", Some("gone/1"))
        .connect(2, "leaves", Some("gone/2"))
        .todo(1, Do::Abort)
        .packet(2, Packet::Disconnect(ReasonCode::Success.into()))
        .todo(2, Do::Abort)
        .live();
    assert_eq!(puppet.told[0], ["CONNACK", "SUBACK", "gone/1 farewell"]);
}

#[test]
fn the_same_client_id_takes_the_connection_over() {
    let puppet = Puppet::default().connect(0, "me", None).connect(1, "me", None).live();
    assert_eq!(puppet.closed, [(0, CloseCause::Eof)]);
    assert_eq!(puppet.told[1], ["CONNACK"]);
}

#[test]
fn a_wall_clock_steps_and_the_others_do_not() {
    let mut puppet = Puppet::default().connect(0, "me", None).publish(0, "a", "1", false);
    let mut world = World::new(Setup { connections: 3, ..Setup::exact(1) });
    world.run_until(std::slice::from_mut(&mut puppet), 2 * SECOND + APART);
    world.step_wall_clock(-3_600 * SECOND as i64);
    world.lose_completions(0, 2);
    world.run(std::slice::from_mut(&mut puppet));
    assert_eq!(puppet.walls[0], WALL_NS + SECOND);
    assert!(*puppet.walls.last().expect("passes") < WALL_NS);
    assert!(world.now() > 2 * SECOND);
    assert_eq!(world.worker(0).stats.overflows, 2);
}
