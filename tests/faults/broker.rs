//! A broker that is honest until its script says otherwise.
//!
//! One thread, one poll loop: the order in which it does things is the order in which it heard them. What
//! it does wrong depends on what it has heard (the n-th connection, the n-th PUBLISH), never on time.

#![allow(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use malaria_bench::wire::{
    self, Ack, ConnAck, ConnectCode, Packet, PacketId, PacketType, Properties, Publish, QoS, SubAckCode,
};

/// What the broker has heard.
pub struct Heard<'a> {
    /// Number of the connection, from 0, in the order of acceptance.
    pub conn: usize,
    /// `None`: the connection was accepted, and nothing has been said.
    pub packet: Option<&'a Packet<'a>>,
    /// Number of PUBLISH packets heard before this, from all connections.
    pub published: u64,
}

impl Heard<'_> {
    /// Whether this is a packet of `kind`.
    pub fn is(&self, kind: PacketType) -> bool {
        self.packet.is_some_and(|packet| packet.packet_type() == kind)
    }

    /// The number of this PUBLISH among all, from 1; 0 when it is something else.
    pub fn publish(&self) -> u64 {
        if self.is(PacketType::Publish) { self.published + 1 } else { 0 }
    }
}

/// What the broker does about it.
pub enum Act {
    /// What the specification asks for.
    Honest,
    /// Nothing.
    Silent,
    /// Sends these bytes in place of an answer.
    Say(Vec<u8>),
    /// Answers honestly, then sends these bytes.
    Also(Vec<u8>),
    /// Closes the connection (FIN).
    Close,
    /// Answers honestly, then closes the connection.
    Leave,
    /// Closes the connection with a reset (RST).
    Reset,
    /// Closes all connections with a reset.
    ResetAll,
    /// Reads nothing more from this connection, so that its window closes.
    Deaf,
    /// Everything stands still for this long, then goes on honestly.
    Stall(Duration),
    /// Acknowledges the message and delivers it to nobody.
    Lose,
    /// Delivers the message twice to everybody.
    Twice,
    /// Delivers the message after the next one of its publisher.
    Swap,
}

/// What the broker counted.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub connections: usize,
    /// Packets heard, by type.
    pub packets: BTreeMap<&'static str, u64>,
    pub lost: u64,
    pub doubled: u64,
    pub swapped: u64,
}

impl Seen {
    pub fn of(&self, kind: PacketType) -> u64 {
        self.packets.get(name(kind)).copied().unwrap_or(0)
    }
}

fn name(kind: PacketType) -> &'static str {
    match kind {
        PacketType::Connect => "CONNECT",
        PacketType::Publish => "PUBLISH",
        PacketType::Subscribe => "SUBSCRIBE",
        PacketType::PubAck => "PUBACK",
        PacketType::PubRel => "PUBREL",
        PacketType::PingReq => "PINGREQ",
        PacketType::Disconnect => "DISCONNECT",
        _ => "other",
    }
}

type Script = Box<dyn FnMut(&Heard<'_>) -> Act + Send>;

/// A running broker.
pub struct Broker {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Seen>>,
}

impl Broker {
    /// Starts a broker on a free port of 127.0.0.1 that asks `script` before everything it does.
    pub fn start(script: impl FnMut(&Heard<'_>) -> Act + Send + 'static) -> Broker {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("a bound socket");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || Server::new(listener, Box::new(script)).serve(&stopped));
        Broker { address, stop, thread: Some(thread) }
    }

    pub fn honest() -> Broker {
        Broker::start(|_| Act::Honest)
    }

    /// Ends it and answers what it has seen.
    pub fn stop(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("stopped once").join().expect("the scripted broker works")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Server {
    listener: TcpListener,
    script: Script,
    /// By number; `None` when closed.
    conns: Vec<Option<Conn>>,
    sessions: BTreeMap<String, Session>,
    seen: Seen,
    published: u64,
}

struct Conn {
    stream: TcpStream,
    heard: Vec<u8>,
    unsent: Vec<u8>,
    client: String,
    deaf: bool,
    /// A message that waits for the next to overtake it.
    held: Option<Message>,
}

#[derive(Clone)]
struct Message {
    topic: String,
    payload: Vec<u8>,
    qos: QoS,
}

#[derive(Default)]
struct Session {
    conn: Option<usize>,
    clean: bool,
    filters: BTreeMap<String, QoS>,
    /// Messages to the client that are not acknowledged: `None` stands for a PUBREL.
    pending: BTreeMap<PacketId, Option<Message>>,
    /// QoS 2 messages from the client that are not released.
    received: BTreeSet<PacketId>,
    last_id: u16,
}

impl Session {
    fn next_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            let free = PacketId::new(self.last_id).filter(|id| !self.pending.contains_key(id));
            if let Some(id) = free {
                return id;
            }
        }
    }
}

impl Server {
    fn new(listener: TcpListener, script: Script) -> Server {
        let (conns, sessions, seen) = Default::default();
        Server { listener, script, conns, sessions, seen, published: 0 }
    }

    fn serve(mut self, stop: &AtomicBool) -> Seen {
        while !stop.load(Ordering::Relaxed) {
            self.wait();
            while let Ok((stream, _)) = self.listener.accept() {
                self.accept(stream);
            }
            for number in 0..self.conns.len() {
                self.read(number);
            }
            for number in 0..self.conns.len() {
                self.write(number);
            }
        }
        self.seen
    }

    /// Waits until there is something to read or room to write, at most for 20 ms.
    fn wait(&self) {
        let listener = libc::pollfd { fd: self.listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut polled = vec![listener];
        for conn in self.conns.iter().flatten() {
            let read = if conn.deaf { 0 } else { libc::POLLIN };
            let write = if conn.unsent.is_empty() { 0 } else { libc::POLLOUT };
            if read | write != 0 {
                polled.push(libc::pollfd { fd: conn.stream.as_raw_fd(), events: read | write, revents: 0 });
            }
        }
        // SAFETY: the vector outlives the call and its length is passed.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, 20) };
    }

    fn accept(&mut self, stream: TcpStream) {
        stream.set_nonblocking(true).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        let number = self.conns.len();
        let conn = Conn {
            stream,
            heard: Vec::new(),
            unsent: Vec::new(),
            client: String::new(),
            deaf: false,
            held: None,
        };
        self.conns.push(Some(conn));
        self.seen.connections += 1;
        let act = (self.script)(&Heard { conn: number, packet: None, published: self.published });
        self.act(number, act, None);
    }

    fn read(&mut self, number: usize) {
        let Some(conn) = self.conns[number].as_mut().filter(|conn| !conn.deaf) else { return };
        let mut chunk = [0; 65_536];
        match conn.stream.read(&mut chunk) {
            Ok(0) => return self.close(number),
            Ok(len) => conn.heard.extend_from_slice(&chunk[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => return self.close(number),
        }
        let heard = std::mem::take(&mut conn.heard);
        let mut used = 0;
        while let Some((packet, len)) =
            wire::decode(&heard[used..], 1 << 20).expect("malaria-bench sends valid packets")
        {
            used += len;
            let act =
                (self.script)(&Heard { conn: number, packet: Some(&packet), published: self.published });
            *self.seen.packets.entry(name(packet.packet_type())).or_default() += 1;
            self.published += u64::from(packet.packet_type() == PacketType::Publish);
            self.act(number, act, Some(&packet));
            if self.conns[number].as_ref().is_none_or(|conn| conn.deaf) {
                return;
            }
        }
        if let Some(conn) = &mut self.conns[number] {
            conn.heard = heard[used..].to_vec();
        }
    }

    fn write(&mut self, number: usize) {
        let Some(conn) = &mut self.conns[number] else { return };
        while !conn.unsent.is_empty() {
            match conn.stream.write(&conn.unsent) {
                Ok(len) => drop(conn.unsent.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.close(number),
            }
        }
    }

    /// Says the last words and hangs up.
    fn close(&mut self, number: usize) {
        if let Some(mut conn) = self.conns[number].take() {
            let _ = conn.stream.write(&conn.unsent);
            if let Some(session) = self.sessions.get_mut(&conn.client).filter(|s| s.conn == Some(number)) {
                session.conn = None;
                if session.clean {
                    self.sessions.remove(&conn.client);
                }
            }
        }
    }

    fn reset(&mut self, number: usize) {
        if let Some(conn) = &mut self.conns[number] {
            conn.unsent.clear();
            reset_on_close(&conn.stream);
        }
        self.close(number);
    }

    fn act(&mut self, number: usize, act: Act, packet: Option<&Packet<'_>>) {
        let mut copies = 1;
        match act {
            Act::Honest | Act::Also(_) | Act::Leave => {}
            Act::Silent => return,
            Act::Say(bytes) => return self.say(number, &bytes),
            Act::Close => return self.close(number),
            Act::Reset => return self.reset(number),
            Act::ResetAll => return (0..self.conns.len()).for_each(|number| self.reset(number)),
            Act::Deaf => {
                self.conns[number].as_mut().expect("it was heard").deaf = true;
                return;
            }
            Act::Stall(time) => std::thread::sleep(time),
            Act::Lose => {
                copies = 0;
                self.seen.lost += 1;
            }
            Act::Twice => {
                copies = 2;
                self.seen.doubled += 1;
            }
            Act::Swap => {
                self.seen.swapped += 1;
                let Some(Packet::Publish(publish)) = packet else { panic!("only messages can be swapped") };
                self.conns[number].as_mut().expect("it was heard").held = Some(message(publish));
                copies = 0;
            }
        }
        if let Some(packet) = packet {
            self.answer(number, packet, copies);
        }
        match act {
            Act::Also(bytes) => self.say(number, &bytes),
            Act::Leave => self.close(number),
            _ => {}
        }
    }

    fn say(&mut self, number: usize, bytes: &[u8]) {
        if let Some(conn) = &mut self.conns[number] {
            conn.unsent.extend_from_slice(bytes);
        }
    }

    fn session(&mut self, number: usize) -> &mut Session {
        let client = &self.conns[number].as_ref().expect("it was heard").client;
        self.sessions.get_mut(client).expect("CONNECT came first")
    }

    /// What the specification asks for; a message is delivered `copies` times.
    fn answer(&mut self, number: usize, packet: &Packet<'_>, copies: u32) {
        let mut out = Vec::new();
        match packet {
            Packet::Connect(connect) => self.connect(number, connect, &mut out),
            Packet::Publish(publish) => self.publish(number, publish, copies, &mut out),
            Packet::PubRel(Ack { packet_id: id, .. }) => {
                self.session(number).received.remove(id);
                wire::encode_pubcomp(*id, &mut out);
            }
            Packet::PubAck(Ack { packet_id: id, .. }) | Packet::PubComp(Ack { packet_id: id, .. }) => {
                self.session(number).pending.remove(id);
            }
            Packet::PubRec(Ack { packet_id: id, .. }) => {
                self.session(number).pending.insert(*id, None);
                wire::encode_pubrel(*id, &mut out);
            }
            Packet::Subscribe(subscribe) => {
                let filters = subscribe.filters().map(|(filter, qos)| (filter.to_owned(), qos));
                self.session(number).filters.extend(filters);
                let codes = subscribe.filters().map(|(_, qos)| SubAckCode::Granted(qos));
                wire::encode_suback(subscribe.packet_id(), codes, &mut out).expect("as many as asked");
            }
            Packet::PingReq => wire::encode_pingresp(&mut out),
            Packet::Disconnect(_) => return self.close(number),
            other => panic!("malaria-bench sent {:?}", other.packet_type()),
        }
        self.say(number, &out);
    }

    fn connect(&mut self, number: usize, connect: &wire::Connect<'_>, out: &mut Vec<u8>) {
        let client = connect.client_id.to_owned();
        self.conns[number].as_mut().expect("it was heard").client.clone_from(&client);
        if connect.clean_session {
            self.sessions.remove(&client);
        }
        let session_present = self.sessions.contains_key(&client);
        let session = self.sessions.entry(client).or_default();
        (session.conn, session.clean) = (Some(number), connect.clean_session);
        wire::encode_connack(
            ConnAck { session_present, code: ConnectCode::Accepted, properties: Properties::NONE },
            out,
        );
        for (id, message) in &session.pending {
            match message {
                Some(message) => encode(message, Some(*id), true, out),
                None => wire::encode_pubrel(*id, out),
            }
        }
    }

    fn publish(&mut self, number: usize, publish: &Publish<'_>, copies: u32, out: &mut Vec<u8>) {
        let mut first = true;
        match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce, Some(id)) => wire::encode_puback(id, out),
            (QoS::ExactlyOnce, Some(id)) => {
                first = self.session(number).received.insert(id);
                wire::encode_pubrec(id, out);
            }
            _ => {}
        }
        if !first {
            return;
        }
        (0..copies).for_each(|_| self.deliver(&message(publish)));
        if copies > 0 {
            let held = self.conns[number].as_mut().and_then(|conn| conn.held.take());
            held.into_iter().for_each(|message| self.deliver(&message));
        }
    }

    fn deliver(&mut self, message: &Message) {
        for session in self.sessions.values_mut() {
            let Some(&granted) = session.filters.get(&message.topic) else { continue };
            let message = Message { qos: message.qos.min(granted), ..message.clone() };
            let id = (message.qos != QoS::AtMostOnce).then(|| session.next_id());
            if let Some(id) = id {
                session.pending.insert(id, Some(message.clone()));
            }
            if let Some(conn) = session.conn.and_then(|number| self.conns[number].as_mut()) {
                encode(&message, id, false, &mut conn.unsent);
            }
        }
    }
}

fn message(publish: &Publish<'_>) -> Message {
    Message { topic: publish.topic.into(), payload: publish.payload.into(), qos: publish.qos }
}

fn encode(message: &Message, packet_id: Option<PacketId>, dup: bool, out: &mut Vec<u8>) {
    let Message { topic, payload, qos } = message;
    let publish =
        Publish { dup, qos: *qos, retain: false, topic, packet_id, payload, properties: Properties::NONE };
    publish.encode(out).expect("it was decoded from a packet");
}

/// Makes the kernel send RST in place of FIN.
fn reset_on_close(stream: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let len = size_of::<libc::linger>() as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_LINGER);
    // SAFETY: `linger` outlives the call and its size is passed.
    let result =
        unsafe { libc::setsockopt(stream.as_raw_fd(), level, option, (&raw const linger).cast(), len) };
    assert_eq!(result, 0, "SO_LINGER");
}
