//! One worker's part of the broker, without I/O: connections and their packets.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::address::{Address, SessionKey};
use super::counters::Counters;
use super::deadlines::Deadlines;
use super::hub::Hub;
use super::mail::{Batch, Control, Letter, Outbox};
use super::outgoing::Bounds;
use super::session::Sessions;
use crate::clock::{MILLISECOND, Nanos, SECOND};
use crate::engine::Conn;
use crate::engine::Link;
use crate::wire::{self, ConnAck, DecodeError, Disconnect, Packet, Protocol, ReasonCode, v5};
use faulty::Faulty;
use takeover::Forwards;

mod connect;
mod delivery;
mod faulty;
mod publish;
mod subscribe;
mod takeover;
#[cfg(test)]
mod tests;

/// Bounds of one worker's broker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Largest packet taken from a client, in bytes.
    pub packet: usize,
    /// With more unsent bytes than this a connection gets no more messages: QoS 0 is dropped, the others
    /// wait in the session.
    pub unsent: usize,
    /// With more unsent bytes than this, beside a large message, a connection is ended: it does not even read
    /// acknowledgements.
    pub unsent_fatal: usize,
    /// What waits for a session.
    pub outgoing: Bounds,
    /// All retained messages, in bytes.
    pub retained: usize,
    /// What a client may send while its session is on its way from another worker, in bytes.
    pub early: usize,
    /// How long a connection may take to send CONNECT, and to go away once it was closed.
    pub patience: Nanos,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            packet: wire::MAX_PACKET,
            unsent: 1 << 20,
            unsent_fatal: 16 << 20,
            outgoing: Bounds { window: 65_535, messages: 100_000, bytes: 64 << 20 },
            retained: 1 << 30,
            early: 1 << 20,
            patience: 10 * SECOND,
        }
    }
}

/// Largest CONNECT there can be without properties, in bytes: five fields of 65,535 with their lengths, the variable
/// header's ten and the fixed header's five. So much is the most that is kept for a stranger.
const MAX_CONNECT: usize = 5 * (2 + 65_535) + 10 + 5;

/// Topic aliases that a client of 5 may give.
const ALIASES: u16 = 16;

/// When an inbox or a connection had no room, try again after this long.
const RETRY: Nanos = MILLISECOND;

/// Where a connection is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// No connection.
    Vacant,
    /// No CONNECT has come.
    New,
    /// CONNECT has come, and the session is known.
    Open,
    /// It has ended for the broker; the link is still to go.
    Closing,
}

#[derive(Clone, Copy)]
struct Connection {
    phase: Phase,
    /// Valid while `Open`, as all that follows from CONNECT.
    protocol: Protocol,
    /// Seconds; 0 is off.
    keep_alive: u16,
    /// Payload of the last message sent that was larger than [`Limits::unsent`], in bytes: it may be due still.
    large: u32,
    session: SessionKey,
    /// When the phase began or, while `Open`, the last packet came.
    since: Nanos,
    /// The step of the one deadline that counts; others have been overtaken, or are left from the
    /// connection before this one.
    due: u64,
}

impl Connection {
    const VACANT: Connection = Connection {
        phase: Phase::Vacant,
        protocol: Protocol::V311,
        keep_alive: 0,
        large: 0,
        session: SessionKey { index: u32::MAX, generation: 0 },
        since: 0,
        due: 0,
    };

    /// A message with this payload has been written for the client.
    #[inline]
    fn note_sent(&mut self, payload: usize, limits: &Limits) {
        if payload > limits.unsent {
            self.large = u32::try_from(payload).expect("a packet has less than 2^28 bytes");
        }
    }

    /// When the connection has lasted too long without a sign of life, if ever.
    fn deadline(&self, limits: &Limits) -> Option<Nanos> {
        match self.phase {
            Phase::Vacant => None,
            Phase::New | Phase::Closing => Some(self.since + limits.patience),
            Phase::Open if self.keep_alive == 0 => None,
            // One and a half times the keepalive [MQTT-3.1.2-24].
            Phase::Open => Some(self.since + Nanos::from(self.keep_alive) * SECOND * 3 / 2),
        }
    }
}

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// The client said DISCONNECT: its will is not published [MQTT-3.14.4-3].
    Disconnect,
    /// The client broke the protocol or was refused; what a client of 5 is told of it.
    Violation(ReasonCode),
    Timeout,
    TakenOver,
    TooSlow,
    /// A script says so.
    Closed,
    /// The same, at once.
    Reset,
    /// The link is gone already.
    Gone,
}

/// What handling a packet comes to: the connection goes on, or ends.
type Outcome = ControlFlow<Ending>;

pub(super) struct Broker {
    worker: u16,
    hub: Arc<Hub>,
    limits: Limits,
    counters: Counters,
    connections: Vec<Connection>,
    sessions: Sessions,
    deadlines: Deadlines<Conn>,
    /// Room for deadlines that have come due.
    due: Vec<Conn>,
    outbox: Outbox,
    mail: Vec<Batch>,
    /// Room for the properties of a message whose alias stays here.
    scratch: Vec<u8>,
    forwards: Forwards,
    /// Sessions with a queue that waits for unsent bytes to go.
    stalled: VecDeque<SessionKey>,
    /// What it does against the standard, if anything.
    faulty: Option<Box<Faulty>>,
}

impl Broker {
    pub(super) fn new(worker: u16, hub: Arc<Hub>, limits: Limits) -> Broker {
        let outbox = Outbox::new(hub.inboxes.len());
        Broker {
            worker,
            hub,
            limits,
            counters: Counters::default(),
            connections: Vec::new(),
            sessions: Sessions::default(),
            deadlines: Deadlines::new(),
            due: Vec::new(),
            outbox,
            mail: Vec::new(),
            scratch: Vec::new(),
            forwards: Forwards::default(),
            stalled: VecDeque::new(),
            faulty: None,
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    fn address(&self, key: SessionKey) -> Address {
        Address { worker: self.worker, key }
    }

    fn connection(&mut self, conn: Conn) -> &mut Connection {
        &mut self.connections[conn.0 as usize]
    }

    pub(super) fn handle_accepted(&mut self, link: &impl Link, conn: Conn) {
        let at = conn.0 as usize;
        if at >= self.connections.len() {
            self.connections.resize(at + 1, Connection::VACANT);
        }
        let connection = &mut self.connections[at];
        assert!(connection.phase == Phase::Vacant, "a connection is reused only after it has gone");
        *connection = Connection { phase: Phase::New, since: link.now(), ..Connection::VACANT };
        self.open_side(conn);
        self.set_deadline(conn);
    }

    /// Takes bytes from a client and answers how many of them were whole packets.
    pub(super) fn handle_data<L: Link>(&mut self, link: &mut L, conn: Conn, bytes: &[u8]) -> usize {
        let used = match self.faulty {
            None => self.handle_packets(link, conn, bytes),
            Some(_) => self.handle_data_by_script(link, conn, bytes),
        };
        let answers = link.unsent(conn).saturating_sub(self.connection(conn).large as usize);
        if answers > self.limits.unsent_fatal {
            self.end(link, conn, Ending::TooSlow);
        }
        used
    }

    fn handle_packets<L: Link>(&mut self, link: &mut L, conn: Conn, bytes: &[u8]) -> usize {
        let mut used = 0;
        while used < bytes.len() {
            let max = match self.connection(conn).phase {
                Phase::New => MAX_CONNECT.min(self.limits.packet),
                Phase::Open => self.limits.packet,
                Phase::Closing | Phase::Vacant => return bytes.len(),
            };
            // By reference: moving a packet that was written a moment ago in pieces stalls the CPU.
            match &self.connection(conn).protocol.decode(&bytes[used..], max) {
                Ok(None) => break,
                Ok(Some((packet, length))) => {
                    let whole = &bytes[used..used + length];
                    used += length;
                    if let ControlFlow::Break(ending) = self.handle_packet(link, conn, packet, whole) {
                        self.end(link, conn, ending);
                    }
                }
                Err(error) => match self.handle_refused(link, conn, &bytes[used..], max, *error) {
                    0 => break,
                    length => used += length,
                },
            }
        }
        if used > 0 {
            let now = link.now();
            let connection = self.connection(conn);
            if connection.phase == Phase::Open {
                connection.since = now;
            }
        }
        used
    }

    /// Takes from a client of 3.1 what only 3.1.1 forbids; anything else ends the connection. Answers how many
    /// bytes are done with.
    #[cold]
    fn handle_refused<L: Link>(
        &mut self,
        link: &mut L,
        conn: Conn,
        bytes: &[u8],
        max: usize,
        error: DecodeError,
    ) -> usize {
        let old = self.connection(conn).protocol == Protocol::V31;
        let again = match error {
            DecodeError::Flags { .. } if old => wire::decode_with_any_flags(bytes, max),
            error => Err(error),
        };
        match again {
            Ok(None) => 0,
            Ok(Some((packet, length))) => {
                if let ControlFlow::Break(ending) = self.handle_packet(link, conn, &packet, &bytes[..length])
                {
                    self.end(link, conn, ending);
                }
                length
            }
            Err(error) => {
                self.handle_malformed(link, conn, error);
                bytes.len()
            }
        }
    }

    fn handle_malformed<L: Link>(&mut self, link: &mut L, conn: Conn, error: DecodeError) {
        let code = error.connect_code();
        if let (Phase::New, Some(code)) = (self.connection(conn).phase, code) {
            let protocol = if matches!(error, DecodeError::V5(_)) { Protocol::V5 } else { Protocol::V311 };
            protocol.encode_connack(ConnAck::from(code), link.out(conn));
        }
        let reason = code.map_or(ReasonCode::MalformedPacket, |code| code.reason());
        self.end(link, conn, Ending::Violation(reason));
    }

    /// Tells a client of 5 why its connection ends.
    fn say_goodbye<L: Link>(&mut self, link: &mut L, conn: Conn, reason: ReasonCode) {
        if self.connection(conn).protocol == Protocol::V5 {
            v5::encode_disconnect(&Disconnect::from(reason), link.out(conn));
        }
    }

    fn handle_packet<L: Link>(
        &mut self,
        link: &mut L,
        conn: Conn,
        packet: &Packet<'_>,
        whole: &[u8],
    ) -> Outcome {
        let Connection { phase, session: key, .. } = *self.connection(conn);
        if phase == Phase::New {
            // The first packet is CONNECT [MQTT-3.1.0-1].
            let Packet::Connect(connect) = packet else {
                return ControlFlow::Break(Ending::Violation(ReasonCode::ProtocolError));
            };
            self.handle_connect(link, conn, connect);
            return ControlFlow::Continue(());
        }
        let session = self.sessions.get_mut(key).expect("an open connection has a session");
        if let Some(waiting) = &mut session.waiting
            && !matches!(packet, Packet::Disconnect(_))
        {
            if waiting.packets.len() + whole.len() > self.limits.early {
                return ControlFlow::Break(Ending::TooSlow);
            }
            waiting.packets.extend_from_slice(whole);
            return ControlFlow::Continue(());
        }
        match packet {
            Packet::Publish(publish) => return self.handle_publish(link, conn, key, publish),
            Packet::PubAck(ack) => return self.handle_puback(link, key, ack.packet_id),
            Packet::PubRec(ack) => return self.handle_pubrec(link, conn, key, ack),
            Packet::PubRel(ack) => self.handle_pubrel(link, conn, key, ack.packet_id),
            Packet::PubComp(ack) => return self.handle_pubcomp(link, key, ack.packet_id),
            Packet::Subscribe(subscribe) => self.handle_subscribe(link, conn, key, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.handle_unsubscribe(link, conn, key, unsubscribe),
            Packet::PingReq => wire::encode_pingresp(link.out(conn)),
            Packet::Disconnect(disconnect) => return self.handle_disconnect(key, disconnect),
            // A second CONNECT [MQTT-3.1.0-2], or what only a server sends.
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::Auth(_)
            | Packet::PingResp => return ControlFlow::Break(Ending::Violation(ReasonCode::ProtocolError)),
        }
        ControlFlow::Continue(())
    }

    /// The kernel has taken everything that was due to this connection.
    pub(super) fn handle_writable<L: Link>(&mut self, link: &mut L, conn: Conn) {
        let Connection { phase, session: key, .. } = *self.connection(conn);
        if phase == Phase::Open {
            self.send_queued(link, key);
        }
    }

    /// The link of this connection is gone, whoever closed it.
    pub(super) fn handle_gone<L: Link>(&mut self, link: &mut L, conn: Conn) {
        self.end(link, conn, Ending::Gone);
        self.close_side(link.now(), conn);
        self.connection(conn).phase = Phase::Vacant;
    }

    /// End of a pass: mail from the other workers, deadlines, mail to the other workers. Answers when to
    /// be called next at the latest.
    pub(super) fn handle_pass<L: Link>(&mut self, link: &mut L) -> Option<Nanos> {
        if self.faulty.is_some() && self.play_pass(link) {
            return self.next_by_script();
        }
        self.read_mail(link);
        self.send_stalled(link);
        self.check_deadlines(link);
        self.forwards.forget(link.now());
        let delivered = self.outbox.flush(&self.hub.inboxes);
        let retry = (!delivered || !self.stalled.is_empty()).then(|| link.now() + RETRY);
        // Mail that came while mail was read: its sender woke nobody.
        let more = (!self.mail.is_empty()).then(|| link.now());
        [self.deadlines.next(), retry, more, self.next_by_script()].into_iter().flatten().min()
    }

    fn read_mail<L: Link>(&mut self, link: &mut L) {
        let mut mail = std::mem::take(&mut self.mail);
        if mail.is_empty() {
            self.hub.inboxes[usize::from(self.worker)].exchange(&mut mail);
        }
        if !mail.is_empty() {
            for batch in &mut mail {
                batch.open(|letter| match letter {
                    Letter::Publish(message, targets) => {
                        for (key, granted) in targets {
                            self.deliver_here(link, *key, *granted, &message);
                        }
                    }
                    Letter::Control(Control::Surrender { key, heir }) => self.surrender(link, key, heir),
                    Letter::Control(Control::Inherit { key, estate }) => self.inherit(link, key, estate),
                });
            }
            self.hub.inboxes[usize::from(self.worker)].exchange(&mut mail);
        }
        self.mail = mail;
    }

    fn set_deadline(&mut self, conn: Conn) {
        let connection = &mut self.connections[conn.0 as usize];
        connection.due = match connection.deadline(&self.limits) {
            Some(due) => self.deadlines.set(due, conn),
            None => 0,
        };
    }

    fn check_deadlines<L: Link>(&mut self, link: &mut L) {
        let now = link.now();
        let mut due = std::mem::take(&mut self.due);
        while let Some(step) = self.deadlines.poll(now, &mut due) {
            for conn in due.drain(..) {
                let connection = *self.connection(conn);
                if connection.due == step {
                    self.check_deadline(link, conn, connection);
                }
            }
        }
        self.due = due;
    }

    fn check_deadline<L: Link>(&mut self, link: &mut L, conn: Conn, connection: Connection) {
        let Some(deadline) = connection.deadline(&self.limits) else { return };
        if link.now() < deadline {
            if connection.phase == Phase::Open
                && let Some(session) = self.sessions.get_mut(connection.session)
            {
                session.trim();
            }
            self.set_deadline(conn);
        } else if connection.phase == Phase::Closing {
            link.abort(conn);
        } else {
            self.end(link, conn, Ending::Timeout);
        }
    }

    /// Ends a connection: its session is detached or, if clean, gone; its will is published unless the
    /// client took leave.
    fn end<L: Link>(&mut self, link: &mut L, conn: Conn, ending: Ending) {
        let Connection { phase, session, .. } = *self.connection(conn);
        if !matches!(phase, Phase::New | Phase::Open) {
            return;
        }
        match ending {
            Ending::Violation(_) => self.counters.violations += 1,
            Ending::Timeout => self.counters.timeouts += 1,
            Ending::TakenOver => self.counters.takeovers += 1,
            Ending::TooSlow => self.counters.too_slow += 1,
            Ending::Disconnect | Ending::Closed | Ending::Reset | Ending::Gone => {}
        }
        let connection = self.connection(conn);
        connection.phase = Phase::Closing;
        connection.since = link.now();
        let reason = match ending {
            Ending::TakenOver => Some(ReasonCode::SessionTakenOver),
            Ending::Violation(reason) => Some(reason),
            _ => None,
        };
        if let Some(reason) = reason.filter(|_| phase == Phase::Open) {
            self.say_goodbye(link, conn, reason);
        }
        match ending {
            Ending::Gone => {}
            Ending::Timeout | Ending::TooSlow | Ending::Reset => link.abort(conn),
            Ending::Disconnect | Ending::Closed | Ending::Violation(_) | Ending::TakenOver => {
                link.close(conn);
                self.set_deadline(conn);
            }
        }
        if phase == Phase::Open {
            self.counters.connections -= 1;
            self.detach(link, session, ending);
        }
    }

    fn detach<L: Link>(&mut self, link: &mut L, key: SessionKey, ending: Ending) {
        let session = self.sessions.get_mut(key).expect("an open connection has a session");
        session.conn = None;
        session.trim();
        if let Some(five) = &mut session.five {
            five.expires = link.now().saturating_add(five.expiry);
            five.aliases = Vec::new();
        }
        let will = session.will.take();
        // Until CONNACK the server has not taken the will on (3.1.2.5).
        let accepted = session.waiting.is_none();
        if let Some(waiting) = &mut session.waiting {
            waiting.packets = Vec::new();
        }
        if !session.persistent {
            self.drop_session(key);
        }
        if accepted
            && ending != Ending::Disconnect
            && let Some(will) = will
        {
            self.counters.wills += 1;
            self.publish_will(link, &will);
        }
    }

    /// Forgets a session and all that it subscribed to.
    fn drop_session(&mut self, key: SessionKey) {
        let address = self.address(key);
        let session = self.sessions.remove(key).expect("the session is there");
        self.hub.unsubscribe_all(&session.filters, address);
        if let Some(client_id) = &session.client_id {
            self.hub.release(client_id, address);
        }
    }
}
