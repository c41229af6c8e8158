//! A small driver: clients that each publish to a topic of their own and listen to that of their neighbour.

use crate::client::{Client, Event, KeepAlive, Limits, Outgoing, State};
use crate::clock::{MILLISECOND, Nanos, SECOND};
use crate::crew::Link;
use crate::engine::{App, Closed, Conn, Endpoint, Route};
use crate::wire::{self, Properties, QoS};
use std::collections::{BTreeMap, VecDeque};

/// What all drivers of a world are to do.
#[derive(Clone, Debug)]
pub struct Plan {
    pub workers: usize,
    pub clients: u32,
    pub messages: u64,
    pub every: Nanos,
    pub qos: QoS,
    pub keep_alive: Nanos,
    pub clean: bool,
    /// From when on is published, and until when everybody has left.
    pub begin: Nanos,
    pub until: Nanos,
    /// For TCP, CONNACK and acknowledgements.
    pub timeout: Nanos,
    /// Bytes of answers that nobody takes, before a client gives its connection up.
    pub unread: usize,
    /// Bytes of a payload, beyond its number.
    pub padding: usize,
}

impl Plan {
    pub fn new(workers: usize, clients: u32, messages: u64) -> Plan {
        Plan {
            workers,
            clients,
            messages,
            every: 100 * MILLISECOND,
            qos: QoS::AtLeastOnce,
            keep_alive: 0,
            clean: true,
            begin: 3 * SECOND,
            until: 3 * SECOND + messages * 100 * MILLISECOND + 20 * SECOND,
            timeout: 5 * SECOND,
            unread: 64 * 1024,
            padding: 0,
        }
    }

    /// A driver for each worker.
    pub fn drivers(&self) -> Vec<Driver> {
        (0..self.workers).map(|worker| Driver::new(self.clone(), worker as u32)).collect()
    }
}

/// A message on its way: number, when it was sent.
pub type Token = (u64, Nanos);

struct Member {
    name: String,
    client: Client<Token>,
    busy: bool,
    /// When the dialling began.
    since: Nanos,
    retry_at: Nanos,
    next: u64,
    leaving: bool,
}

/// One worker's clients.
pub struct Driver {
    plan: Plan,
    limits: Limits,
    worker: u32,
    members: Vec<Member>,
    /// Due times by (time, place): one entry for each member.
    due: BTreeMap<(Nanos, u32), ()>,
    due_of: Vec<Nanos>,
    pub sent: u64,
    pub acked: u64,
    pub acked_late: u64,
    pub timed_out: u64,
    pub abandoned: u64,
    pub unsent: u64,
    pub connected: u64,
    pub closed: u64,
    pub violations: u64,
    pub floods: u64,
    pub expired: u64,
    pub woken: u64,
    pub ack_ns: Vec<Nanos>,
    /// Topics and payloads, and the places of those who heard them.
    pub heard: Vec<(String, Vec<u8>)>,
    heard_by: Vec<u32>,
    pub order: VecDeque<&'static str>,
    /// How late passes began that answer a deadline.
    pub late: Vec<Nanos>,
    deadline: Option<Nanos>,
}

/// The name of a client by its number among all.
pub fn name(index: u32) -> String {
    format!("client-{index}")
}

impl Driver {
    fn new(plan: Plan, worker: u32) -> Driver {
        let members = (0..plan.clients).map(|place| Member {
            name: name(place * plan.workers as u32 + worker),
            client: Client::new(),
            busy: false,
            since: 0,
            retry_at: 0,
            next: 0,
            leaving: false,
        });
        let members: Vec<Member> = members.collect();
        let limits = Limits { keep_alive: plan.keep_alive, clean_session: plan.clean, ..Limits::default() };
        Driver {
            due: (0..plan.clients).map(|place| ((0, place), ())).collect(),
            due_of: vec![0; members.len()],
            members,
            limits,
            plan,
            worker,
            sent: 0,
            acked: 0,
            acked_late: 0,
            timed_out: 0,
            abandoned: 0,
            unsent: 0,
            connected: 0,
            closed: 0,
            violations: 0,
            floods: 0,
            expired: 0,
            woken: 0,
            ack_ns: vec![],
            heard: vec![],
            heard_by: vec![],
            order: VecDeque::new(),
            late: vec![],
            deadline: None,
        }
    }

    /// Each client's name, and the payloads that it heard.
    pub fn heard_by_client(&self) -> Vec<(String, Vec<&[u8]>)> {
        let mut all: Vec<_> = self.members.iter().map(|member| (member.name.clone(), vec![])).collect();
        for ((_, payload), place) in self.heard.iter().zip(&self.heard_by) {
            all[*place as usize].1.push(&**payload);
        }
        all
    }

    /// Messages that are neither acknowledged nor given up.
    pub fn unfinished(&self) -> u64 {
        self.members.iter().map(|member| member.client.inflight() as u64).sum()
    }

    fn schedule(&mut self, place: usize, time: Nanos) {
        self.due.remove(&(self.due_of[place], place as u32));
        self.due_of[place] = time;
        self.due.insert((time, place as u32), ());
    }

    /// Does what a member has to do now, and answers when it is to be asked again.
    fn tend<L: Link>(&mut self, link: &mut L, place: usize) -> Nanos {
        let (now, conn) = (link.now(), Conn(place as u32));
        let plan = &self.plan;
        let member = &mut self.members[place];
        if now >= plan.until {
            if member.busy && !member.leaving {
                member.leaving = true;
                member.client.disconnect(link.out(conn));
                link.close(conn);
                return now + 2 * SECOND;
            }
            if member.busy {
                link.abort(conn);
            }
            return Nanos::MAX;
        }
        if !member.busy {
            if now < member.retry_at {
                return member.retry_at.min(plan.until);
            }
            let endpoint: Endpoint = "127.0.0.1:1883".parse::<std::net::SocketAddr>().expect("valid").into();
            member.since = now;
            match link.dial(conn, &Route::from(endpoint)) {
                Ok(()) => member.busy = true,
                Err(_) => member.retry_at = now + SECOND,
            }
            return (now + plan.timeout).min(plan.until);
        }
        if member.client.state() != State::Online {
            if now >= member.since + plan.timeout {
                link.abort(conn);
                return plan.until;
            }
            return (member.since + plan.timeout).min(plan.until);
        }
        self.tend_online(link, place).min(self.plan.until)
    }

    fn tend_online<L: Link>(&mut self, link: &mut L, place: usize) -> Nanos {
        let (now, conn) = (link.now(), Conn(place as u32));
        let (plan, member) = (&self.plan, &mut self.members[place]);
        let mut next = Nanos::MAX;
        while let Some((_, sent)) = member.client.oldest().copied() {
            if now < sent + plan.timeout {
                next = sent + plan.timeout;
                break;
            }
            member.client.expire_oldest();
            self.timed_out += 1;
        }
        match member.client.poll_keepalive(now, &self.limits, link.out(conn)) {
            KeepAlive::Idle { next: at } | KeepAlive::PingSent { next: at } => next = next.min(at),
            KeepAlive::Expired => {
                self.expired += 1;
                link.abort(conn);
                return Nanos::MAX;
            }
        }
        while member.next < plan.messages {
            let at = plan.begin + member.next * plan.every;
            if now < at {
                next = next.min(at);
                break;
            }
            if link.blocked(conn) || member.client.room(plan.qos, &self.limits) == 0 {
                break;
            }
            let topic = format!("t/{}", member.name);
            let payload = [&member.next.to_be_bytes()[..], &vec![b'.'; plan.padding]];
            let message = Outgoing {
                topic: &topic,
                qos: plan.qos,
                retain: false,
                payload: &payload,
                properties: Properties::NONE,
            };
            let token = (member.next, now);
            member.client.publish(message, token, &self.limits, now, link.out(conn)).expect("room");
            member.next += 1;
            self.sent += 1;
        }
        next
    }

    fn packets<L: Link>(&mut self, link: &mut L, conn: Conn, bytes: &[u8]) -> Option<usize> {
        let now = link.now();
        let (clean, qos) = (self.plan.clean, self.plan.qos);
        let neighbour = {
            let total = self.plan.clients * self.plan.workers as u32;
            (conn.0 * self.plan.workers as u32 + self.worker + 1) % total
        };
        let mut used = 0;
        while let Some((packet, length)) = wire::decode(&bytes[used..], wire::MAX_PACKET).ok()? {
            used += length;
            let member = &mut self.members[conn.0 as usize];
            match member.client.handle_packet(&packet, now, link.out(conn)).ok()? {
                Event::Connected { session_present } => {
                    self.connected += 1;
                    let topic = format!("t/{}", member.name);
                    if session_present && !clean {
                        let padding = vec![b'.'; self.plan.padding];
                        member.client.redeliver(now, link.out(conn), |token, resend| {
                            resend.publish(Outgoing {
                                topic: &topic,
                                qos: QoS::AtMostOnce,
                                retain: false,
                                properties: Properties::NONE,
                                payload: &[&token.0.to_be_bytes(), &padding],
                            })
                        });
                    } else {
                        self.abandoned += member.client.abandon().count() as u64;
                    }
                    let filter = format!("t/{}", name(neighbour));
                    let filters = [(&*filter, qos)].into_iter();
                    member.client.subscribe(filters, now, link.out(conn)).ok()?;
                }
                Event::Acked((_, sent)) => {
                    self.acked += 1;
                    self.ack_ns.push(now - sent);
                }
                Event::AckedLate(_) => self.acked_late += 1,
                Event::Message { publish, first: true } => {
                    self.heard.push((publish.topic.to_owned(), publish.payload.to_owned()));
                    self.heard_by.push(conn.0);
                }
                Event::Refused(_) => link.close(conn),
                _ => {}
            }
        }
        (link.unsent(conn) <= self.plan.unread).then_some(used)
    }
}

impl<L: Link> App<L> for Driver {
    fn started(&mut self, _: &mut L) {
        self.order.push_back("started");
    }

    fn connected(&mut self, link: &mut L, conn: Conn) {
        let member = &mut self.members[conn.0 as usize];
        let connect = wire::Connect {
            protocol: wire::Protocol::V311,
            bridge: false,
            client_id: &member.name,
            keep_alive: (self.plan.keep_alive / SECOND) as u16,
            clean_session: self.plan.clean,
            will: None,
            username: None,
            password: None,
            properties: Properties::NONE,
        };
        member.client.connect(&connect, link.now(), link.out(conn)).expect("a valid CONNECT");
    }

    fn accepted(&mut self, _: &mut L, _: Conn) {
        unreachable!("nobody listens");
    }

    fn data(&mut self, link: &mut L, conn: Conn, bytes: &[u8]) -> usize {
        assert!(self.members[conn.0 as usize].busy, "bytes of a connection that is gone");
        if self.members[conn.0 as usize].client.state() == State::Offline {
            return bytes.len();
        }
        let used = self.packets(link, conn, bytes);
        if used.is_none() {
            let flood = link.unsent(conn) > self.plan.unread;
            *(if flood { &mut self.floods } else { &mut self.violations }) += 1;
            link.abort(conn);
        }
        self.schedule(conn.0 as usize, 0);
        used.unwrap_or(bytes.len())
    }

    fn writable(&mut self, link: &mut L, conn: Conn) {
        assert!(!link.blocked(conn));
        self.schedule(conn.0 as usize, 0);
    }

    fn closed(&mut self, link: &mut L, conn: Conn, closed: Closed) {
        let member = &mut self.members[conn.0 as usize];
        assert!(std::mem::take(&mut member.busy), "closed twice");
        self.closed += 1;
        self.unsent += closed.unsent as u64;
        member.client.handle_disconnected();
        if member.leaving {
            self.abandoned += member.client.abandon().count() as u64;
        }
        member.retry_at = link.now() + SECOND / 2;
        self.schedule(conn.0 as usize, 0);
    }

    fn woken(&mut self, _: &mut L) {
        self.woken += 1;
    }

    fn pass(&mut self, link: &mut L) -> Option<Nanos> {
        let now = link.now();
        if let Some(deadline) = self.deadline.take_if(|deadline| now >= *deadline) {
            self.late.push(now - deadline);
        }
        while let Some(((time, place), ())) = self.due.first_key_value().map(|(key, ())| (*key, ())) {
            if time > now {
                break;
            }
            let next = self.tend(link, place as usize);
            assert!(next > now, "a member that is never done");
            self.schedule(place as usize, next);
        }
        if now >= self.plan.until && link.connections() == 0 {
            link.stop();
        }
        let next = self.due.first_key_value().map(|((time, _), ())| *time).filter(|next| *next < Nanos::MAX);
        self.deadline = next;
        next
    }
}
