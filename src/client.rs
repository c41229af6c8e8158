//! The protocol state of one MQTT client, without I/O or clock. What [`Client::connect`] asks for, 3.1, 3.1.1 or 5, is what
//! it speaks from then on.
//!
//! A [`Client`] is handed the packets that arrived ([`Client::handle_packet`]) and the time, appends what is
//! to be sent to a buffer of the caller's, and answers with an [`Event`]. It keeps what section 4.1 of the
//! standard calls the client's session state: PUBLISH packets not yet acknowledged, and the ids of QoS 2
//! messages received but not yet released. Payloads it does not keep: each message has a token `T` that
//! comes back with its acknowledgement, and from which its owner can make the payload again for a
//! redelivery.
//!
//! # Life of a connection
//! 1. The transport is up: [`Client::connect`] writes CONNECT.
//! 2. [`Event::Connected`] says whether the server has kept the session. If it has, the owner calls
//!    [`Client::redeliver`] at once; if not, [`Client::abandon`]. Either may be left out when nothing is
//!    outstanding. Until then nothing can be published.
//! 3. [`Client::publish`], [`Client::subscribe`] and so on; [`Client::poll_keepalive`] at the times it names.
//! 4. [`Client::disconnect`], or not; when the transport is gone, [`Client::handle_disconnected`].
//!
//! The first connection of a process that wants a persistent session should ask for a clean one: ids that
//! an earlier process left behind in the server would make it take new messages for redeliveries.

mod error;
mod handle;
mod id_set;
mod keepalive;
mod outbound;
mod ring;
#[cfg(test)]
mod tests;

pub use error::{ProtocolError, RequestError, WindowFull};
pub use keepalive::KeepAlive;

use crate::clock::{Nanos, SECOND};
use crate::wire::SubAck;
use crate::wire::v5::{self, PropertyId};
use crate::wire::{
    self, ConnectCode, Disconnect, PacketId, PacketType, Properties, Protocol, Publish, QoS, ReasonCode,
};
use id_set::IdSet;
use outbound::{Found, IDS, Outbound, Stage};

/// What all clients of a kind have in common. In 5, a server may narrow it down in CONNACK.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Messages of QoS 1 and 2 that may be unacknowledged at one time, 1..=65,535.
    pub inflight: u16,
    /// Messages of QoS 1 and 2 that the server takes without having answered them, also those that nobody waits for any
    /// more (receive maximum, MQTT 5, 4.9).
    pub receive_maximum: u16,
    /// Silence after which PINGREQ is sent; 0 = never.
    pub keep_alive: Nanos,
    pub clean_session: bool,
    /// Topic aliases that the client may give; none before 5, and until CONNACK has come.
    pub aliases: u16,
}

impl Limits {
    /// These, as far as a server's CONNACK has granted them.
    #[must_use]
    pub fn granted(mut self, granted: Properties<'_>) -> Limits {
        if let Some(most) = granted.number(PropertyId::ReceiveMaximum) {
            self.receive_maximum = most as u16;
            self.inflight = self.inflight.min(self.receive_maximum);
        }
        self.aliases = granted.number(PropertyId::TopicAliasMaximum).unwrap_or(0) as u16;
        // It is the server's to say, where it does [MQTT-3.1.2-21].
        if let Some(seconds) = granted.number(PropertyId::ServerKeepAlive) {
            self.keep_alive = Limits::silence(seconds as u16);
        }
        self
    }

    /// The silence after which to ping, for a keepalive in seconds. Whoever asks looks three times within it: the ping
    /// must not wait for the look after.
    pub fn silence(keep_alive_s: u16) -> Nanos {
        Nanos::from(keep_alive_s) * SECOND / 4 * 3
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { inflight: u16::MAX, receive_maximum: u16::MAX, keep_alive: 0, clean_session: true, aliases: 0 }
    }
}

/// Where a client stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// No transport.
    Offline,
    /// CONNECT is written, CONNACK is not here yet.
    Connecting,
    Online,
    /// DISCONNECT is written or CONNACK refused the connection: nothing more will be written.
    Closing,
}

/// A message to be published; its payload is the concatenation of the parts.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// A valid topic name; not checked here.
    pub topic: &'a str,
    pub qos: QoS,
    pub retain: bool,
    /// Not written before 5.
    pub properties: Properties<'a>,
    pub payload: &'a [&'a [u8]],
}

/// What a packet from the server meant.
// Eight bytes of tag: behind a tag of one byte the compiler copies the token together with the padding, from
// odd addresses, and every such copy waits for the stores before it. That was a third of the time of an ack.
#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(u64)]
pub enum Event<'a, T> {
    /// Nothing that the owner needs to know.
    None,
    Connected {
        session_present: bool,
    },
    /// CONNACK said no; the server closes the connection [MQTT-3.2.2-5].
    Refused(ConnectCode),
    /// SUBACK; the codes stand in the order of the filters.
    Subscribed {
        id: PacketId,
        codes: SubAck<'a>,
    },
    Unsubscribed(PacketId),
    /// The message has been seen through: PUBACK or PUBCOMP.
    Acked(T),
    /// The same for a message that [`Client::expire_oldest`] had given up.
    AckedLate(T),
    /// PUBREC: the server has the QoS 2 message; [`Event::Acked`] is to follow.
    Received(T),
    /// PUBACK or PUBREC of 5 with an error: the server does not take the message. It is seen through.
    Rejected(T, ReasonCode),
    /// DISCONNECT of 5, from the server, which closes the connection.
    Disconnected(Disconnect<'a>),
    /// PUBLISH. `first` is false when the message is known to have been reported before: a QoS 2 redelivery.
    Message {
        publish: Publish<'a>,
        first: bool,
    },
    /// PINGRESP.
    Pong,
}

/// Internal state; `resumed`: the server had kept the session when this connection began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Offline,
    Connecting {
        clean: bool,
    },
    /// Connected, but what is outstanding is neither redelivered nor abandoned.
    Settling {
        resumed: bool,
    },
    Online {
        resumed: bool,
    },
    Closing,
}

/// A SUBSCRIBE or UNSUBSCRIBE without its answer.
#[derive(Clone, Copy, Debug)]
struct Request {
    id: PacketId,
    kind: RequestKind,
}

#[derive(Clone, Copy, Debug)]
enum RequestKind {
    Subscribe { filters: usize },
    Unsubscribe,
}

impl RequestKind {
    fn awaited(self) -> PacketType {
        match self {
            RequestKind::Subscribe { .. } => PacketType::SubAck,
            RequestKind::Unsubscribe => PacketType::UnsubAck,
        }
    }
}

/// State that most clients have most of the time nothing of.
#[derive(Debug)]
struct Aside {
    requests: Vec<Request>,
    /// QoS 2 messages reported to the owner and not yet released by PUBREL.
    inbound: IdSet,
}

impl Aside {
    fn holds(aside: Option<&Aside>, id: u16) -> bool {
        aside.is_some_and(|aside| aside.requests.iter().any(|request| request.id.get() == id))
    }
}

/// One client's protocol state; `T` is what its owner wants back with the ack of a message.
///
/// 64 bytes, and no heap while nothing was ever outstanding. With messages in flight it owns one slot of
/// the size of `T` + 8 bytes per packet id from the oldest unacknowledged one on, rounded up to a power of
/// two.
#[derive(Debug)]
pub struct Client<T> {
    outbound: Outbound<T>,
    aside: Option<Box<Aside>>,
    last_sent: Nanos,
    /// When a server that stays silent counts as dead; `Nanos::MAX` while no PINGREQ is unanswered.
    expires_at: Nanos,
    phase: Phase,
    pings_owed: u8,
    protocol: Protocol,
}

impl<T: Copy> Default for Client<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy> Client<T> {
    pub fn new() -> Self {
        Self {
            outbound: Outbound::new(),
            aside: None,
            last_sent: 0,
            expires_at: Nanos::MAX,
            phase: Phase::Offline,
            pings_owed: 0,
            protocol: Protocol::V311,
        }
    }

    /// What it speaks: what the last CONNECT asked for.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub fn state(&self) -> State {
        match self.phase {
            Phase::Offline => State::Offline,
            Phase::Connecting { .. } => State::Connecting,
            Phase::Settling { .. } | Phase::Online { .. } => State::Online,
            Phase::Closing => State::Closing,
        }
    }

    /// Writes CONNECT. The transport must have just come up: asserts that the client is offline.
    ///
    /// On an error nothing is written and the client stays offline.
    pub fn connect(
        &mut self,
        connect: &wire::Connect<'_>,
        now: Nanos,
        out: &mut Vec<u8>,
    ) -> Result<(), wire::EncodeError> {
        assert_eq!(self.phase, Phase::Offline, "connect() on a connection that is in use");
        connect.encode(out)?;
        self.protocol = connect.protocol;
        self.phase = Phase::Connecting { clean: connect.clean_session };
        self.last_sent = now;
        self.expires_at = Nanos::MAX;
        self.pings_owed = 0;
        Ok(())
    }

    /// Writes SUBSCRIBE; [`Event::Subscribed`] brings its id back. Asserts that the client is online.
    ///
    /// A subscription that was unanswered when the connection was lost is forgotten: subscribe again.
    pub fn subscribe<'f, O: Into<v5::Options>>(
        &mut self,
        filters: impl Iterator<Item = (&'f str, O)>,
        now: Nanos,
        out: &mut Vec<u8>,
    ) -> Result<PacketId, RequestError> {
        let id = self.request_id()?;
        let mut count = 0;
        let filters = filters.inspect(|_| count += 1);
        self.protocol.encode_subscribe(id, Properties::NONE, filters, out)?;
        self.await_answer(id, RequestKind::Subscribe { filters: count }, now);
        Ok(id)
    }

    /// Writes UNSUBSCRIBE; [`Event::Unsubscribed`] brings its id back. Asserts that the client is online.
    pub fn unsubscribe<'f>(
        &mut self,
        filters: impl Iterator<Item = &'f str>,
        now: Nanos,
        out: &mut Vec<u8>,
    ) -> Result<PacketId, RequestError> {
        let id = self.request_id()?;
        self.protocol.encode_unsubscribe(id, filters, out)?;
        self.await_answer(id, RequestKind::Unsubscribe, now);
        Ok(id)
    }

    fn request_id(&mut self) -> Result<PacketId, RequestError> {
        assert_eq!(self.state(), State::Online, "a request needs a connection");
        if self.free_ids() == 0 {
            return Err(RequestError::NoFreeId);
        }
        let aside = self.aside.as_deref();
        Ok(self.outbound.pass_id(|id| Aside::holds(aside, id)))
    }

    fn await_answer(&mut self, id: PacketId, kind: RequestKind, now: Nanos) {
        self.aside_mut().requests.push(Request { id, kind });
        self.last_sent = now;
    }

    /// How many messages [`Client::publish`] would take, one after the other: none unless the client is online and
    /// what was outstanding from the last connection is settled; then as many as the window and the packet ids have
    /// room for, and `usize::MAX` at QoS 0.
    #[inline]
    pub fn room(&self, qos: QoS, limits: &Limits) -> usize {
        match (self.phase, qos) {
            (Phase::Online { .. }, QoS::AtMostOnce) => usize::MAX,
            (Phase::Online { .. }, _) => self.window_room(limits),
            _ => 0,
        }
    }

    /// Writes PUBLISH. `token` comes back with the acknowledgement; at QoS 0 it is not used.
    ///
    /// Asserts that the client is online and settled (see [`Event::Connected`]).
    #[inline]
    pub fn publish(
        &mut self,
        message: Outgoing<'_>,
        token: T,
        limits: &Limits,
        now: Nanos,
        out: &mut Vec<u8>,
    ) -> Result<(), WindowFull> {
        assert!(matches!(self.phase, Phase::Online { .. }), "publish() while {:?}", self.phase);
        let stage = match message.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(Stage::Ack),
            QoS::ExactlyOnce => Some(Stage::Receipt),
        };
        let id = match stage {
            None => None,
            Some(_) if self.window_room(limits) == 0 => return Err(WindowFull),
            Some(stage) => {
                let aside = self.aside.as_deref();
                Some(self.outbound.push(token, stage, |id| Aside::holds(aside, id)))
            }
        };
        write_publish(&message, false, id, self.protocol, out);
        self.last_sent = now;
        Ok(())
    }

    #[inline]
    fn window_room(&self, limits: &Limits) -> usize {
        let window = usize::from(limits.inflight).saturating_sub(self.outbound.inflight());
        let quota = usize::from(limits.receive_maximum).saturating_sub(self.outbound.ids_in_use());
        window.min(quota).min(self.free_ids())
    }

    #[inline]
    fn free_ids(&self) -> usize {
        let requests = self.aside.as_ref().map_or(0, |aside| aside.requests.len());
        IDS - self.outbound.ids_in_use() - requests
    }

    /// Writes again, in the original order, what a resumed session owes the server [MQTT-4.4.0-1]
    /// [MQTT-4.6.0-1]: PUBLISH with DUP for what was not received, PUBREL for what was. To be called after
    /// [`Event::Connected`] with `session_present`, before anything else.
    ///
    /// For each PUBLISH, `render` makes the message again from its token (which it may change, say to note
    /// the new time of sending) and hands it to the [`Resend`].
    pub fn redeliver(
        &mut self,
        now: Nanos,
        out: &mut Vec<u8>,
        mut render: impl FnMut(&mut T, Resend<'_>) -> Resent,
    ) {
        match self.phase {
            Phase::Settling { resumed: true } => self.phase = Phase::Online { resumed: true },
            Phase::Online { .. } if self.outbound.ids_in_use() == 0 => return,
            phase => panic!("redeliver() while {phase:?} would repeat messages that are on their way"),
        }
        let protocol = self.protocol;
        for (id, entry) in self.outbound.iter_mut() {
            let qos = match entry.stage {
                Stage::Ack => QoS::AtLeastOnce,
                Stage::Receipt => QoS::ExactlyOnce,
                Stage::Completion => {
                    wire::encode_pubrel(id, out);
                    continue;
                }
            };
            let Resent(()) = render(&mut entry.token, Resend { id, qos, protocol, out });
        }
        self.last_sent = now;
    }

    /// Drops what is outstanding; the answer is the tokens that will never be acked, oldest first, without
    /// those given up before. To be called when the server has not kept the session, or when the owner
    /// does not care any more.
    ///
    /// Asserts that the messages are not on their way: the client is offline, connecting or closing, or has
    /// just connected and has not called [`Client::redeliver`].
    pub fn abandon(&mut self) -> impl Iterator<Item = T> + use<T> {
        match self.phase {
            Phase::Settling { resumed } => self.phase = Phase::Online { resumed },
            Phase::Online { .. } => {
                assert!(self.outbound.ids_in_use() == 0, "abandon() while acks are on their way");
            }
            Phase::Offline | Phase::Connecting { .. } | Phase::Closing => {}
        }
        self.outbound.take()
    }

    /// Writes DISCONNECT; the owner then closes the transport [MQTT-3.14.4-1]. Packets that still arrive may
    /// be handed in; acks count, nothing is answered. Does nothing unless connecting or online.
    pub fn disconnect(&mut self, out: &mut Vec<u8>) {
        if matches!(self.state(), State::Connecting | State::Online) {
            wire::encode_disconnect(out);
            self.phase = Phase::Closing;
        }
    }

    /// The connection is gone. What is outstanding is kept until the next [`Event::Connected`] tells what
    /// the server has kept; only unanswered subscriptions are forgotten.
    pub fn handle_disconnected(&mut self) {
        self.phase = Phase::Offline;
        self.expires_at = Nanos::MAX;
        if let Some(aside) = &mut self.aside {
            aside.requests.clear();
        }
        self.drop_empty_aside();
    }

    /// Messages of QoS 1 and 2 that are neither acked nor given up.
    #[inline]
    pub fn inflight(&self) -> usize {
        self.outbound.inflight()
    }

    /// Token of the oldest message that is neither acked nor given up.
    #[inline]
    pub fn oldest(&self) -> Option<&T> {
        self.outbound.oldest()
    }

    /// Gives up waiting for the oldest message: it no longer counts as in flight. Its packet id stays in
    /// use and it stays part of the session ([`Client::redeliver`] includes it), so that a late ack is no
    /// error but [`Event::AckedLate`], and the server cannot take a new message for this one.
    pub fn expire_oldest(&mut self) -> Option<T> {
        self.outbound.expire_oldest()
    }

    /// Takes a message for acked although its final ack has not come; the answer is what that ack would
    /// have been, [`Event::None`] when nothing is outstanding under the id. This is for an owner who, after
    /// [`ProtocolError::AckOfWrongKind`], carries on with a server known to do so (RabbitMQ's MQTT plugin
    /// answers a QoS 2 PUBLISH with PUBACK).
    pub fn settle(&mut self, id: PacketId) -> Event<'static, T> {
        match self.outbound.stage(id).map(|stage| self.outbound.finish(id, stage)) {
            Some(Found::OnTime(token)) => Event::Acked(token),
            Some(Found::Late(token)) => Event::AckedLate(token),
            Some(Found::Awaits(_) | Found::Nothing) | None => Event::None,
        }
    }

    fn aside_mut(&mut self) -> &mut Aside {
        self.aside.get_or_insert_with(|| Box::new(Aside { requests: Vec::new(), inbound: IdSet::new() }))
    }

    /// A client that has once subscribed and then only listens at QoS 0 or 1 is to cost no heap.
    fn drop_empty_aside(&mut self) {
        if self.aside.as_ref().is_some_and(|aside| aside.requests.is_empty() && aside.inbound.is_empty()) {
            self.aside = None;
        }
    }
}

/// One message of a redelivery, to be written by [`Resend::publish`].
#[derive(Debug)]
pub struct Resend<'a> {
    id: PacketId,
    qos: QoS,
    protocol: Protocol,
    out: &'a mut Vec<u8>,
}

/// Proof that a [`Resend`] was used.
#[derive(Debug)]
pub struct Resent(());

impl Resend<'_> {
    pub fn qos(&self) -> QoS {
        self.qos
    }

    /// Writes PUBLISH with DUP, the original id and QoS, whatever that of `message` is.
    pub fn publish(self, message: Outgoing<'_>) -> Resent {
        let message = Outgoing { qos: self.qos, ..message };
        write_publish(&message, true, Some(self.id), self.protocol, self.out);
        Resent(())
    }
}

#[inline]
fn write_publish(
    message: &Outgoing<'_>,
    dup: bool,
    id: Option<PacketId>,
    protocol: Protocol,
    out: &mut Vec<u8>,
) {
    let length = message.payload.iter().map(|part| part.len()).sum();
    let Outgoing { topic, qos, retain, properties, payload } = *message;
    protocol.encode_head(dup, qos, retain, topic, id, properties, length, out);
    for part in payload {
        out.extend_from_slice(part);
    }
}
