//! The floor: a bare ring loop that sends ready bytes and counts the bytes that answer.
//!
//! It uses of the kernel what the engine uses, in the same way: direct descriptors, multishot receive with time stamps
//! from one ring of provided buffers, one send for each connection and pass, which completes only when it
//! fails, and timeouts in the ring, armed one ahead. It does nothing else: no codec, no client
//! state, no statistics, no closing and no errors. Of QoS 2 alone it looks at what it receives, at one byte in four:
//! which answers ask for an answer.

use std::alloc::{Layout, alloc_zeroed};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fixed, TimeoutFlags, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use malaria_bench::clock::{self, Nanos, SECOND};
use malaria_bench::wire::{self, Packet, PacketId, PacketType, Properties, Publish, QoS};

use crate::load::{Edge, Load, Pace, Sample, TURN, Work};
use crate::session;

const BATCH: usize = 256;
const BUFFERS: u16 = 1024;
const BUFFER_SIZE: usize = 4096 + HEADER;
/// Bytes of PUBACK, PUBREC, PUBREL and PUBCOMP,
const ANSWER: usize = 4;
/// and of PINGRESP.
const PINGRESP: usize = 2;
/// What stands before the bytes of a receive: `struct io_uring_recvmsg_out`, and a control message with a time stamp.
const HEADER: usize = 16 + CONTROL;
const CONTROL: usize = 32;
/// Messages that lie ready, one after the other: the most that leave in one send.
const READY: u32 = 64;

/// Bits of `user_data` that tell others from receives.
const SEND: u64 = 1 << 32;
const TIMEOUT: u64 = 1 << 33;
/// Timeouts in the ring at one time.
const TIMEOUTS: usize = 16;

pub fn run(load: &Load, broker: SocketAddr) -> Sample {
    let sockets: Vec<TcpStream> = (0..load.clients).map(|client| connect(load, broker, client)).collect();
    Floor::new(load, sockets).run()
}

fn connect(load: &Load, broker: SocketAddr, client: u32) -> TcpStream {
    let mut socket = TcpStream::connect(broker).expect("the reflector listens");
    socket.set_nodelay(true).expect("TCP");
    let on: libc::c_int = 1;
    // SAFETY: an option of four bytes, of ours.
    let stamped = unsafe {
        let len = size_of::<libc::c_int>() as u32;
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            len,
        )
    };
    assert_eq!(stamped, 0, "SO_TIMESTAMPNS");
    let mut bytes = Vec::new();
    session::connect(client, &mut bytes);
    socket.write_all(&bytes).expect("CONNECT");
    let mut answer = [0; session::CONNACK.len()];
    socket.read_exact(&mut answer).expect("CONNACK");
    assert_eq!(answer, session::CONNACK);
    if load.listens(client) {
        bytes.clear();
        let filter = if load.work == Work::Shared { SHARED } else { TOPIC };
        session::subscribe(filter, &mut bytes);
        socket.write_all(&bytes).expect("SUBSCRIBE");
        let mut answer = [0; session::SUBACK.len()];
        socket.read_exact(&mut answer).expect("SUBACK");
        assert_eq!(answer, session::SUBACK);
    }
    socket
}

#[derive(Clone, Default)]
struct Client {
    /// Messages to be sent,
    owed: u32,
    /// and PUBRELs.
    rels: u32,
    /// Bytes of an unfinished packet.
    odd: u32,
    sending: bool,
    dirty: bool,
}

struct Floor {
    load: Load,
    ring: IoUring,
    /// The ring of provided buffers, as the kernel sees it, and the buffers. Never freed: the process
    /// ends with the run.
    entries: *mut BufRingEntry,
    memory: *mut u8,
    tail: u16,
    /// What a receive has room for.
    message: &'static libc::msghdr,
    clients: Vec<Client>,
    dirty: Vec<u32>,
    rearm: Vec<u32>,
    ready: Ready,
    done: u64,
    enters: u64,
    now: Nanos,
    /// Clients whose send goes with the next enter.
    handed: Vec<u32>,
    /// Deadlines of the timeouts in the ring (0: free), and what the kernel reads of them.
    armed: [Nanos; TIMEOUTS],
    specs: Box<[Timespec; TIMEOUTS]>,
    /// `CLOCK_MONOTONIC` when [`clock::now`] was 0.
    epoch: Nanos,
    /// Open loop: the next message, and when messages were last sent.
    round: u64,
    next: u32,
    burst: Nanos,
}

impl Floor {
    fn new(load: &Load, sockets: Vec<TcpStream>) -> Floor {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_clamp()
            .setup_no_sqarray()
            .setup_cqsize(16 * 1024)
            .build(1024)
            .expect("io_uring");
        let files: Vec<i32> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
        ring.submitter().register_files(&files).expect("a table of files");
        drop(sockets);
        let (entries, memory) = provide(&ring);
        // SAFETY: all zeroes is a valid msghdr.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_controllen = CONTROL;
        let mut floor = Floor {
            load: *load,
            ring,
            entries,
            memory,
            tail: 0,
            message: Box::leak(Box::new(message)),
            clients: vec![Client::default(); files.len()],
            dirty: Vec::with_capacity(files.len()),
            rearm: (0..load.clients).collect(),
            ready: Ready::new(load),
            done: 0,
            enters: 0,
            now: clock::now(),
            handed: Vec::with_capacity(files.len()),
            armed: [0; TIMEOUTS],
            specs: Box::new([Timespec::new(); TIMEOUTS]),
            epoch: epoch(),
            round: 0,
            next: 0,
            burst: 0,
        };
        (0..BUFFERS).for_each(|id| floor.give_back(id));
        floor
    }

    fn run(mut self) -> Sample {
        let mut batch: Vec<cqueue::Entry> = Vec::with_capacity(BATCH);
        let start = clock::now();
        let (opens, closes) = (start + self.load.warmup, start + self.load.warmup + self.load.measure);
        let mut opening = None;
        if let Pace::Closed { inflight } = self.load.pace {
            let load = self.load;
            let publishers = (0..load.clients).filter(|client| !load.listens(*client));
            publishers.for_each(|client| self.owe(client, inflight.into()));
        }
        let mut deadline = self.due(start);
        loop {
            self.publish_buffers();
            self.flush();
            self.wait(batch.is_empty(), deadline.unwrap_or(closes).min(closes));
            batch.extend(self.ring.completion());
            self.now = clock::now();
            for completion in batch.drain(..batch.len().min(BATCH)) {
                self.dispatch(&completion);
            }
            deadline = self.due(start);
            if opening.is_none() && self.now >= opens {
                opening = Some(self.edge());
            } else if let Some(opening) = opening.filter(|_| self.now >= closes) {
                return opening.to(self.edge());
            }
        }
    }

    fn edge(&self) -> Edge {
        Edge::now(self.done, Some(self.enters))
    }

    fn owe(&mut self, client: u32, messages: u32) {
        let state = &mut self.clients[client as usize];
        state.owed += messages;
        if !state.dirty {
            state.dirty = true;
            self.dirty.push(client);
        }
    }

    /// Open loop: owes what is due; answers when more will be.
    fn due(&mut self, start: Nanos) -> Option<Nanos> {
        let Pace::Open { tolerance, .. } = self.load.pace else { return None };
        let mut due = start + self.load.due(self.round, self.next);
        let burst = due.max(self.burst + tolerance);
        if self.now < burst {
            return Some(burst);
        }
        self.burst = if self.now < burst + tolerance { burst } else { self.now };
        while due <= self.now {
            self.owe(self.next, 1);
            self.next += 1;
            if self.next == self.load.clients {
                (self.next, self.round) = (0, self.round + 1);
            }
            due = start + self.load.due(self.round, self.next);
        }
        Some(due.max(self.burst + tolerance))
    }

    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for client in dirty.drain(..) {
            let state = &mut self.clients[client as usize];
            state.dirty = false;
            if state.owed + state.rels == 0 || state.sending {
                continue;
            }
            state.sending = true;
            let (rels, messages) = (state.rels.min(READY), state.owed.min(self.ready.most));
            (state.rels, state.owed) = (state.rels - rels, state.owed - messages);
            let bytes = self.ready.bytes(rels, messages);
            let send = opcode::Send::new(Fixed(client), bytes.as_ptr(), bytes.len() as u32);
            if self.load.work == Work::Sent {
                // It waits for room, and completes when all has gone.
                let entry = send.flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL).build();
                self.push(&entry.user_data(SEND | u64::from(client)));
                continue;
            }
            let entry = send
                .flags(libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
                .build()
                .flags(squeue::Flags::SKIP_SUCCESS)
                .user_data(SEND | u64::from(client));
            self.handed.push(client);
            self.push(&entry);
        }
        self.dirty = dirty;
        while let Some(client) = self.rearm.pop() {
            let entry = opcode::RecvMsgMulti::new(Fixed(client), self.message, 0);
            let entry = entry.build().user_data(client.into());
            self.push(&entry);
        }
    }

    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: sends and receives point to leaked memory.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.enters += 1;
            self.ring.submit().expect("io_uring_enter");
        }
    }

    fn wait(&mut self, idle: bool, deadline: Nanos) {
        if idle {
            self.arm(deadline);
        } else if self.ring.submission().is_empty() {
            return;
        }
        self.enters += 1;
        self.ring.submit_and_wait(idle.into()).expect("io_uring_enter");
        let mut handed = std::mem::take(&mut self.handed);
        for client in handed.drain(..) {
            self.clients[client as usize].sending = false;
            if self.clients[client as usize].owed + self.clients[client as usize].rels > 0 {
                self.owe(client, 0);
            }
        }
        self.handed = handed;
    }

    /// Puts timeouts into the ring, unless they are there: at `deadline` and, in the open loop, at the burst
    /// after it.
    fn arm(&mut self, deadline: Nanos) {
        let following = match self.load.pace {
            Pace::Open { rate, tolerance } => Some(deadline + tolerance.max(SECOND / u64::from(rate))),
            Pace::Closed { .. } => None,
        };
        let mut from = self.now;
        for deadline in [Some(deadline), following].into_iter().flatten() {
            if !self.armed.iter().any(|armed| (from + 1..=deadline).contains(armed)) {
                let place = self.armed.iter().position(|armed| *armed == 0).expect("so many are enough");
                let time = self.epoch + deadline;
                self.armed[place] = deadline;
                self.specs[place] = Timespec::new().sec(time / SECOND).nsec((time % SECOND) as u32);
                let timeout = opcode::Timeout::new(&self.specs[place]).flags(TimeoutFlags::ABS);
                self.push(&timeout.build().user_data(TIMEOUT | place as u64));
            }
            from = deadline;
        }
    }

    fn dispatch(&mut self, completion: &cqueue::Entry) {
        if completion.user_data() & TIMEOUT != 0 {
            self.armed[completion.user_data() as u32 as usize] = 0;
            return;
        }
        let client = completion.user_data() as u32;
        if completion.user_data() & SEND != 0 {
            // Elsewhere a few messages at most: they always fit.
            assert!(self.load.work == Work::Sent && completion.result() > 0, "send: {}", completion.result());
            self.clients[client as usize].sending = false;
            let messages = completion.result() as u32 / self.ready.message as u32;
            self.done += u64::from(messages);
            return self.owe(client, messages);
        }
        if let Some(id) = cqueue::buffer_select(completion.flags()) {
            self.receive(client, id, completion.result() as u32 - HEADER as u32);
            self.give_back(id);
        }
        if !cqueue::more(completion.flags()) {
            self.rearm.push(client);
        }
    }

    fn receive(&mut self, client: u32, id: u16, bytes: u32) {
        let listens = self.load.listens(client);
        let unit = if listens { self.ready.delivery } else { self.ready.answer } as u32;
        let state = &mut self.clients[client as usize];
        let (before, all) = (state.odd, state.odd + bytes);
        state.odd = all % unit;
        let mut packets = all / unit;
        if self.load.work == Work::Completed {
            // SAFETY: the kernel has written so much to the buffer, and it is ours until it is given back.
            let bytes = unsafe {
                let start = self.memory.add(usize::from(id) * BUFFER_SIZE + HEADER);
                std::slice::from_raw_parts(start, bytes as usize)
            };
            let first = (unit - before) as usize % ANSWER;
            let heads = bytes.iter().skip(first).step_by(ANSWER);
            packets = heads.clone().filter(|head| **head >> 4 == PacketType::PubComp as u8).count() as u32;
            state.rels += heads.count() as u32 - packets;
        }
        if listens || !matches!(self.load.work, Work::FanOut | Work::FanIn | Work::Shared) {
            self.done += u64::from(packets);
        }
        if !listens && matches!(self.load.pace, Pace::Closed { .. }) {
            self.owe(client, packets);
        }
    }

    fn give_back(&mut self, id: u16) {
        let index = usize::from(self.tail % BUFFERS);
        // SAFETY: inside the ring of BUFFERS entries; beyond the published tail it is ours.
        let entry = unsafe { &mut *self.entries.add(index) };
        entry.set_addr(self.memory as u64 + (usize::from(id) * BUFFER_SIZE) as u64);
        entry.set_len(BUFFER_SIZE as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish_buffers(&mut self) {
        // SAFETY: the tail is an aligned u16 inside the first entry, written by this thread only.
        let tail = unsafe { &*BufRingEntry::tail(self.entries).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }
}

/// Registers an empty ring of provided buffers; answers it and the memory for the buffers.
fn provide(ring: &IoUring) -> (*mut BufRingEntry, *mut u8) {
    let pages = |bytes| Layout::from_size_align(bytes, 4096).expect("a page is a power of two");
    // SAFETY: neither layout is empty, and nobody frees the memory.
    let (entries, memory) = unsafe {
        let entries = alloc_zeroed(pages(usize::from(BUFFERS) * size_of::<BufRingEntry>()));
        (entries.cast::<BufRingEntry>(), alloc_zeroed(pages(usize::from(BUFFERS) * BUFFER_SIZE)))
    };
    assert!(!entries.is_null() && !memory.is_null(), "out of memory");
    // SAFETY: the entries live as long as the process.
    unsafe { ring.submitter().register_buf_ring_with_flags(entries as u64, BUFFERS, 0, 0) }
        .expect("a ring of buffers");
    (entries, memory)
}

/// `CLOCK_MONOTONIC` when [`clock::now`] was 0.
fn epoch() -> Nanos {
    let now = clock::now();
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as Nanos * SECOND + time.tv_nsec as Nanos - now
}

/// All clients have the same topic: theirs would only differ in digits.
const TOPIC: &str = "bench/7654";
/// Subscribed to by several together.
const SHARED: &str = "$share/bench/bench/7654";

/// What is sent lies ready: [`READY`] PUBRELs where they are wanted, and behind them as many messages as leave in one
/// send. So any number of both is one piece.
struct Ready {
    bytes: &'static [u8],
    /// Most messages of one send, and the bytes of each.
    most: u32,
    message: usize,
    /// Where the messages begin.
    middle: usize,
    /// Bytes of what a subscriber receives, and of what everybody else does.
    delivery: usize,
    answer: usize,
}

impl Ready {
    fn new(load: &Load) -> Ready {
        let mut bytes = Vec::new();
        publish(load, QoS::AtMostOnce, PacketId::MIN, &mut bytes);
        let delivery = bytes.len();
        bytes.clear();
        if load.work == Work::Completed {
            ids(READY).for_each(|id| wire::encode_pubrel(id, &mut bytes));
        }
        let middle = bytes.len();
        let most = if load.work == Work::Sent { (TURN / delivery) as u32 } else { READY };
        match load.work {
            Work::Pings => (0..most).for_each(|_| wire::encode_pingreq(&mut bytes)),
            work => ids(most).for_each(|id| publish(load, work.qos(), id, &mut bytes)),
        }
        let answer = if load.work == Work::Pings { PINGRESP } else { ANSWER };
        let message = (bytes.len() - middle) / most as usize;
        Ready { bytes: bytes.leak(), most, message, middle, delivery, answer }
    }

    fn bytes(&self, rels: u32, messages: u32) -> &'static [u8] {
        &self.bytes[self.middle - rels as usize * ANSWER..self.middle + messages as usize * self.message]
    }
}

fn ids(count: u32) -> impl Iterator<Item = PacketId> {
    (1..=count as u16).filter_map(PacketId::new)
}

fn publish(load: &Load, qos: QoS, id: PacketId, out: &mut Vec<u8>) {
    let packet = Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic: TOPIC,
        packet_id: Some(id).filter(|_| qos != QoS::AtMostOnce),
        properties: Properties::NONE,
        payload: &vec![7; load.payload],
    });
    packet.encode(out).expect("a valid packet");
}
