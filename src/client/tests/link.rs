//! A client and a small broker joined by a link that can be cut anywhere.

use super::super::*;
use crate::wire::{Ack, ConnAck, Packet, Properties};
use std::collections::{BTreeSet, VecDeque};

/// Messages are numbers, sent as eight bytes; a message's QoS is its number modulo 3.
pub fn qos_of(seq: u64) -> QoS {
    QoS::try_from((seq % 3) as u8).unwrap()
}

fn seq_of(payload: &[u8]) -> u64 {
    u64::from_be_bytes(payload.try_into().unwrap())
}

struct Sending {
    id: PacketId,
    seq: u64,
    sent: bool,
    received: bool,
}

/// The server's half of one session (4.1), and the log of what it has taken as delivered.
#[derive(Default)]
pub struct Broker {
    connected: bool,
    has_session: bool,
    inbound: BTreeSet<PacketId>,
    outbound: Vec<Sending>,
    last_id: u16,
    pub delivered: Vec<u64>,
}

/// The broker's packet ids begin after this one, so that they soon wrap.
const FIRST_ID: u16 = 65_533;

type Packets = VecDeque<Vec<u8>>;

fn packet(packet: Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes).unwrap();
    bytes
}

impl Broker {
    /// Ids start where they once started, so that they collide with what a client may still remember.
    fn forget_session(&mut self) {
        let delivered = std::mem::take(&mut self.delivered);
        *self = Self { delivered, last_id: FIRST_ID, ..Self::default() };
    }

    pub fn publish(&mut self, seq: u64, down: &mut Packets) {
        let id = match qos_of(seq) {
            QoS::AtMostOnce => None,
            _ => {
                self.last_id = self.last_id.checked_add(1).unwrap_or(1);
                let id = PacketId::new(self.last_id).unwrap();
                self.outbound.push(Sending { id, seq, sent: self.connected, received: false });
                Some(id)
            }
        };
        if self.connected {
            down.push_back(Self::message(seq, id, false));
        }
    }

    fn message(seq: u64, packet_id: Option<PacketId>, dup: bool) -> Vec<u8> {
        let payload = &seq.to_be_bytes();
        let publish = wire::Publish {
            dup,
            qos: qos_of(seq),
            retain: false,
            topic: "down",
            packet_id,
            payload,
            properties: Properties::NONE,
        };
        packet(Packet::Publish(publish))
    }

    fn handle(&mut self, bytes: &[u8], down: &mut Packets) {
        let (got, length) = wire::decode(bytes, wire::MAX_PACKET).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        match got {
            Packet::Connect(connect) => self.handle_connect(connect.clean_session, down),
            Packet::Publish(publish) => self.handle_publish(&publish, down),
            Packet::PubRel(Ack { packet_id: id, .. }) => {
                self.inbound.remove(&id);
                down.push_back(packet(Packet::PubComp(id.into())));
            }
            Packet::PubAck(Ack { packet_id: id, .. }) | Packet::PubComp(Ack { packet_id: id, .. }) => {
                self.outbound.retain(|sending| sending.id != id);
            }
            Packet::PubRec(Ack { packet_id: id, .. }) => {
                let sending = self.outbound.iter_mut().find(|sending| sending.id == id);
                sending.expect("PUBREC for a message on its way").received = true;
                down.push_back(packet(Packet::PubRel(id.into())));
            }
            Packet::PingReq => down.push_back(packet(Packet::PingResp)),
            Packet::Disconnect(_) => self.connected = false,
            other => panic!("no part in these tests: {other:?}"),
        }
    }

    fn handle_connect(&mut self, clean: bool, down: &mut Packets) {
        assert!(!clean);
        self.connected = true;
        let session_present = std::mem::replace(&mut self.has_session, true);
        down.push_back(packet(Packet::ConnAck(ConnAck {
            session_present,
            code: ConnectCode::Accepted,
            properties: Properties::NONE,
        })));
        for sending in &mut self.outbound {
            down.push_back(if sending.received {
                packet(Packet::PubRel(sending.id.into()))
            } else {
                Self::message(sending.seq, Some(sending.id), std::mem::replace(&mut sending.sent, true))
            });
        }
    }

    fn handle_publish(&mut self, publish: &Publish<'_>, down: &mut Packets) {
        let seq = seq_of(publish.payload);
        match (publish.qos, publish.packet_id) {
            (QoS::AtMostOnce, _) => self.delivered.push(seq),
            (QoS::AtLeastOnce, Some(id)) => {
                self.delivered.push(seq);
                down.push_back(packet(Packet::PubAck(id.into())));
            }
            (QoS::ExactlyOnce, Some(id)) => {
                if self.inbound.insert(id) {
                    self.delivered.push(seq);
                }
                down.push_back(packet(Packet::PubRec(id.into())));
            }
            (_, None) => unreachable!("decode saw to that"),
        }
    }
}

/// How a connection ends: what is under way in each direction still arrives (its answers do not), or not.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub up_arrives: bool,
    pub down_arrives: bool,
    pub session_kept: bool,
}

/// Client, link and broker; also the client's owner, who counts acks and makes payloads again.
pub struct Pair {
    pub client: Client<u64>,
    pub broker: Broker,
    pub limits: Limits,
    pub up: Packets,
    pub down: Packets,
    now: Nanos,
    /// Messages whose PUBLISH was written in this session: their next one has DUP.
    written: BTreeSet<u64>,
    pub acked: Vec<u64>,
    pub acked_late: Vec<u64>,
    pub abandoned: Vec<u64>,
    /// From broker to client, without those known to be repeated.
    pub received: Vec<u64>,
    /// The server lost the session, and the client has not been told yet.
    loss_untold: bool,
    /// It never will be: CONNACK said so and was lost. Nobody can tell a message from its repetition then.
    pub loss_hidden: bool,
    /// What the owner publishes as soon as the client can take it.
    pub todo: VecDeque<u64>,
}

impl Pair {
    pub fn new(limits: Limits) -> Self {
        Self {
            client: Client::new(),
            broker: Broker { last_id: FIRST_ID, ..Broker::default() },
            limits,
            up: Packets::new(),
            down: Packets::new(),
            now: 0,
            written: BTreeSet::new(),
            acked: vec![],
            acked_late: vec![],
            abandoned: vec![],
            received: vec![],
            loss_untold: false,
            loss_hidden: false,
            todo: VecDeque::new(),
        }
    }

    pub fn connect(&mut self) {
        let connect = wire::Connect { clean_session: false, ..super::plain_connect() };
        let mut out = Vec::new();
        self.now += 1;
        self.client.connect(&connect, self.now, &mut out).unwrap();
        self.send(&out);
    }

    pub fn publish(&mut self, seq: u64) -> Result<(), WindowFull> {
        let payload = &seq.to_be_bytes();
        let (start, end) = payload.split_at(3);
        let message = Outgoing {
            topic: "up",
            qos: qos_of(seq),
            retain: false,
            payload: &[start, end],
            properties: Properties::NONE,
        };
        let mut out = Vec::new();
        self.now += 1;
        self.client.publish(message, seq, &self.limits, self.now, &mut out)?;
        self.send(&out);
        Ok(())
    }

    pub fn broker_publish(&mut self, seq: u64) {
        self.broker.publish(seq, &mut self.down);
    }

    /// One packet arrives at the broker.
    pub fn step_up(&mut self) -> bool {
        let packet = self.up.pop_front();
        packet.map(|packet| self.broker.handle(&packet, &mut self.down)).is_some()
    }

    /// One packet arrives at the client.
    pub fn step_down(&mut self) -> bool {
        let Some(bytes) = self.down.pop_front() else { return false };
        let (packet, _) = wire::decode(&bytes, wire::MAX_PACKET).unwrap().unwrap();
        let mut out = Vec::new();
        self.now += 1;
        let event = self.client.handle_packet(&packet, self.now, &mut out).unwrap();
        self.send(&out);
        match event {
            Event::Connected { session_present } => self.connected(session_present),
            Event::Acked(seq) => self.acked.push(seq),
            Event::AckedLate(seq) => self.acked_late.push(seq),
            Event::Message { publish, first: true } => self.received.push(seq_of(publish.payload)),
            Event::Message { publish, first: false } => assert_eq!(publish.qos, QoS::ExactlyOnce),
            Event::None | Event::Received(_) | Event::Pong => {}
            other => panic!("unexpected {other:?}"),
        }
        self.publish_todo();
        true
    }

    fn publish_todo(&mut self) {
        while let Some(seq) = self.todo.front().copied() {
            if self.client.room(qos_of(seq), &self.limits) == 0 {
                return;
            }
            self.publish(seq).unwrap();
            self.todo.pop_front();
        }
    }

    fn connected(&mut self, session_present: bool) {
        self.loss_hidden |= session_present && self.loss_untold;
        self.loss_untold = false;
        if session_present { self.redeliver() } else { self.start_again() }
    }

    fn redeliver(&mut self) {
        let mut out = Vec::new();
        self.client.redeliver(self.now, &mut out, |seq, resend| {
            assert_eq!(resend.qos(), qos_of(*seq));
            resend.publish(Outgoing {
                topic: "up",
                qos: QoS::AtMostOnce,
                retain: false,
                properties: Properties::NONE,
                payload: &[&seq.to_be_bytes()],
            })
        });
        self.send(&out);
    }

    /// The server has forgotten the session: QoS 1 messages are published anew, QoS 2 given up.
    fn start_again(&mut self) {
        for seq in self.client.abandon() {
            self.written.remove(&seq);
            if qos_of(seq) == QoS::AtLeastOnce {
                self.publish(seq).unwrap();
            } else {
                self.abandoned.push(seq);
            }
        }
    }

    /// Lets up to so many packets through in each direction, as far as they go.
    pub fn run(&mut self, mut up: usize, mut down: usize) {
        loop {
            let went_up = up > 0 && self.step_up();
            up -= usize::from(went_up);
            let went_down = down > 0 && self.step_down();
            down -= usize::from(went_down);
            if !went_up && !went_down {
                return;
            }
        }
    }

    pub fn settle(&mut self) {
        self.run(usize::MAX, usize::MAX);
        assert!(self.up.is_empty() && self.down.is_empty());
    }

    pub fn cut(&mut self, cut: Cut) {
        let (mut up, mut down) = (std::mem::take(&mut self.up), std::mem::take(&mut self.down));
        if cut.up_arrives {
            up.drain(..).for_each(|packet| self.broker.handle(&packet, &mut Packets::new()));
        }
        if cut.down_arrives {
            self.down.append(&mut down);
            while self.step_down() {}
        }
        self.up.clear();
        self.down.clear();
        self.client.handle_disconnected();
        self.broker.connected = false;
        if !cut.session_kept {
            self.broker.forget_session();
            self.loss_untold = true;
        }
    }

    /// Cuts what the client wrote into packets and puts them on the link.
    fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (packet, length) = wire::decode(bytes, wire::MAX_PACKET).unwrap().unwrap();
            if let Packet::Publish(publish) = packet {
                let again = !self.written.insert(seq_of(publish.payload));
                assert_eq!(publish.dup, again, "DUP of message {}", seq_of(publish.payload));
                assert_eq!(publish.qos, qos_of(seq_of(publish.payload)));
            }
            self.up.push_back(bytes[..length].to_vec());
            bytes = &bytes[length..];
        }
    }
}
