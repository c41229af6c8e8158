//! CONNECT: finding or making the client's session.

use super::{ALIASES, Broker, Ending, Phase};
use crate::clock::{Nanos, SECOND};
use crate::engine::Conn;
use crate::engine::Link;
use crate::reflector::address::{Address, SessionKey};
use crate::reflector::hub::{Claim, Home};
use crate::reflector::mail::Control;
use crate::reflector::session::{Five, Session, Waiting, Will};
use crate::wire::v5::{Place, PropertyId, Value};
use crate::wire::{ConnAck, Connect, ConnectCode, PacketType, Properties, Protocol, ReasonCode};

impl Broker {
    pub(super) fn handle_connect<L: Link>(&mut self, link: &mut L, conn: Conn, connect: &Connect<'_>) {
        if connect.properties.text(PropertyId::AuthenticationMethod).is_some() {
            // There is none that this broker knows.
            let refusal = ConnectCode::Reason(ReasonCode::BadAuthenticationMethod);
            connect.protocol.encode_connack(ConnAck::from(refusal), link.out(conn));
            return self.end(link, conn, Ending::Violation(refusal.reason()));
        }
        let will = connect.will.map(|will| {
            let (topic, payload) = (Box::from(will.topic), Box::from(will.payload));
            Box::new(Will { topic, payload, qos: will.qos, retain: will.retain })
        });
        let five = (connect.protocol == Protocol::V5).then(|| Box::new(five(connect)));
        let persistent = five.as_ref().map_or(!connect.clean_session, |five| five.expiry > 0);
        let session = Session { conn: Some(conn), persistent, will, five, ..Session::default() };
        let key = self.sessions.insert(session);
        let now = link.now();
        let connection = self.connection(conn);
        connection.phase = Phase::Open;
        connection.session = key;
        connection.since = now;
        connection.keep_alive = connect.keep_alive;
        connection.protocol = connect.protocol;
        self.set_deadline(conn);
        self.counters.connects += 1;
        self.counters.connections += 1;
        match (connect.client_id, connect.protocol) {
            ("", Protocol::V5) => {
                let name = assigned(self.address(key));
                self.claim(link, conn, key, &Connect { client_id: &name, ..*connect }, Some(&name));
            }
            // The name is the server's to choose [MQTT-3.1.3-6]; nobody can learn it, so none is made up.
            ("", _) => self.accept(link, conn, false, None),
            _ => self.claim(link, conn, key, connect, None),
        }
    }

    /// Settles with the session that the client had, if any. `assigned` is its name if it did not bring one.
    fn claim<L: Link>(
        &mut self,
        link: &mut L,
        conn: Conn,
        key: SessionKey,
        connect: &Connect<'_>,
        assigned: Option<&str>,
    ) {
        let (resumes, now) = (!connect.clean_session, link.now());
        let session = self.sessions.get_mut(key).expect("it was made for this CONNECT");
        let home = Home { persistent: session.persistent, address: self.address(key) };
        let (client_id, claim) = self.hub.claim(connect.client_id, home, resumes);
        let claim = match claim {
            Claim::Resume(old) if self.sessions.get_mut(old).is_some_and(|old| old.is_over(now)) => {
                self.hub.move_in(connect.client_id, home);
                Claim::Replace(Home { address: self.address(old), persistent: false })
            }
            claim => claim,
        };
        let session = self.sessions.get_mut(key).expect("it was made for this CONNECT");
        session.client_id = Some(client_id);
        match claim {
            Claim::New => self.accept(link, conn, false, assigned),
            Claim::Resume(old) => self.resume_here(link, conn, key, old),
            Claim::Replace(old) if old.address.worker == self.worker => {
                self.surrender(link, old.address.key, None);
                self.accept(link, conn, false, assigned);
            }
            Claim::Replace(old) => {
                let inherits = resumes && old.persistent;
                let heir = inherits.then_some(home.address);
                self.outbox.control(old.address.worker, Control::Surrender { key: old.address.key, heir });
                if inherits {
                    session.waiting = Some(Box::new(Waiting::default()));
                } else {
                    self.accept(link, conn, false, assigned);
                }
            }
        }
    }

    /// Goes on with a session of this worker instead of the new one.
    fn resume_here<L: Link>(&mut self, link: &mut L, conn: Conn, new: SessionKey, old: SessionKey) {
        let new = self.sessions.remove(new).expect("it was made for this CONNECT");
        let held = self.sessions.get_mut(old).expect("the directory knows the sessions that there are");
        if let Some(other) = held.conn {
            self.end(link, other, Ending::TakenOver);
        }
        let held = self.sessions.get_mut(old).expect("a persistent session outlives its connection");
        held.conn = Some(conn);
        held.will = new.will;
        held.persistent = new.persistent;
        held.five = new.five;
        let waits = held.waiting.is_some();
        self.connection(conn).session = old;
        if !waits {
            self.resume(link, conn, old);
        }
    }

    /// Tells the client that its session is there, and delivers what waits in it.
    pub(super) fn resume<L: Link>(&mut self, link: &mut L, conn: Conn, key: SessionKey) {
        self.accept(link, conn, true, None);
        let session = self.sessions.get_mut(key).expect("it is being resumed");
        let receive_max = session.receive_max();
        if let Some(outgoing) = &mut session.outgoing {
            outgoing.receive_max = receive_max;
            outgoing.redeliver();
        }
        self.send_queued(link, key);
    }

    fn accept<L: Link>(&mut self, link: &mut L, conn: Conn, session_present: bool, assigned: Option<&str>) {
        let protocol = self.connection(conn).protocol;
        let mut bytes = Vec::new();
        if protocol == Protocol::V5 {
            let mut say = |id: PropertyId, value| id.write(value, &mut bytes).expect("a value of its kind");
            say(PropertyId::TopicAliasMaximum, Value::Number(ALIASES.into()));
            say(PropertyId::SubscriptionIdentifiersAvailable, Value::Number(0));
            if let Some(name) = assigned {
                say(PropertyId::AssignedClientIdentifier, Value::Text(name));
            }
        }
        let properties = Properties::new(Place::Packet(PacketType::ConnAck), &bytes);
        // In 3.1 that byte of CONNACK is reserved.
        let session_present = session_present && protocol != Protocol::V31;
        let properties = properties.expect("each stands there once");
        let connack = ConnAck { session_present, code: ConnectCode::Accepted, properties };
        protocol.encode_connack(connack, link.out(conn));
    }
}

/// A name for a client of 5 that has none: no two sessions of a broker have the same.
fn assigned(address: Address) -> String {
    let Address { worker, key } = address;
    format!("reflector-{worker}-{}-{}", key.index, key.generation)
}

/// A session expiry interval; the greatest is for ever.
pub(super) fn expiry_of(seconds: u32) -> Nanos {
    if seconds == u32::MAX { Nanos::MAX } else { Nanos::from(seconds) * SECOND }
}

/// What a client of 5 asks for in CONNECT.
fn five(connect: &Connect<'_>) -> Five {
    let number = |id| connect.properties.number(id);
    let expiry = expiry_of(number(PropertyId::SessionExpiryInterval).unwrap_or(0));
    let receive_max = number(PropertyId::ReceiveMaximum).map_or(u16::MAX, |most| most as u16);
    Five { expiry, expires: Nanos::MAX, receive_max, aliases: Vec::new() }
}
