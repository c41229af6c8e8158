//! CONNECT: finding or making the client's session.

use super::{Broker, Ending, Phase};
use crate::engine::Conn;
use crate::engine::Link;
use crate::reflector::address::SessionKey;
use crate::reflector::hub::{Claim, Home};
use crate::reflector::mail::Control;
use crate::reflector::session::{Session, Waiting, Will};
use crate::wire::{self, ConnAck, Connect, ConnectCode, Protocol};

impl Broker {
    pub(super) fn handle_connect<L: Link>(&mut self, link: &mut L, conn: Conn, connect: &Connect<'_>) {
        let persistent = !connect.clean_session;
        let will = connect.will.map(|will| {
            let (topic, payload) = (Box::from(will.topic), Box::from(will.payload));
            Box::new(Will { topic, payload, qos: will.qos, retain: will.retain })
        });
        let session = Session { conn: Some(conn), persistent, will, ..Session::default() };
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
        if connect.client_id.is_empty() {
            // The name is the server's to choose [MQTT-3.1.3-6]; nobody can learn it, so none is made up.
            self.accept(link, conn, false);
        } else {
            self.claim(link, conn, key, connect);
        }
    }

    /// Settles with the session that the client had, if any.
    fn claim<L: Link>(&mut self, link: &mut L, conn: Conn, key: SessionKey, connect: &Connect<'_>) {
        let persistent = !connect.clean_session;
        let home = Home { address: self.address(key), persistent };
        let (client_id, claim) = self.hub.claim(connect.client_id, home);
        let session = self.sessions.get_mut(key).expect("it was made for this CONNECT");
        session.client_id = Some(client_id);
        match claim {
            Claim::New => self.accept(link, conn, false),
            Claim::Resume(old) => self.resume_here(link, conn, key, old),
            Claim::Replace(old) if old.address.worker == self.worker => {
                self.surrender(link, old.address.key, None);
                self.accept(link, conn, false);
            }
            Claim::Replace(old) => {
                let inherits = persistent && old.persistent;
                let heir = inherits.then_some(home.address);
                self.outbox.control(old.address.worker, Control::Surrender { key: old.address.key, heir });
                if inherits {
                    session.waiting = Some(Box::new(Waiting::default()));
                } else {
                    self.accept(link, conn, false);
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
        let waits = held.waiting.is_some();
        self.connection(conn).session = old;
        if !waits {
            self.resume(link, conn, old);
        }
    }

    /// Tells the client that its session is there, and delivers what waits in it.
    pub(super) fn resume<L: Link>(&mut self, link: &mut L, conn: Conn, key: SessionKey) {
        self.accept(link, conn, true);
        let session = self.sessions.get_mut(key).expect("it is being resumed");
        if let Some(outgoing) = &mut session.outgoing {
            outgoing.redeliver();
        }
        self.send_queued(link, key);
    }

    fn accept<L: Link>(&mut self, link: &mut L, conn: Conn, session_present: bool) {
        // In 3.1 that byte of CONNACK is reserved.
        let session_present = session_present && self.connection(conn).protocol != Protocol::V31;
        let connack = ConnAck { session_present, code: ConnectCode::Accepted };
        wire::encode_connack(connack, link.out(conn));
    }
}
