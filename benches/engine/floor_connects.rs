//! The floor of connecting: a chain of socket, connect and ready CONNECT bytes for each client, a hundred of them at a
//! time as in the product; when all CONNACKs are in, DISCONNECT to all, and each socket is closed when its broker has.

use std::net::SocketAddr;

use io_uring::types::{DestinationSlot, Fixed};
use io_uring::{IoUring, opcode, squeue};

use crate::load::{CONNECTING, Edge, Load, Sample};
use crate::session;

/// `user_data` of receives is the client; of everything else, of which only failures are told, this and the client.
const OTHER: u64 = 1 << 32;
/// DISCONNECT.
const LEAVE: [u8; 2] = [0xE0, 0];

struct Dialler {
    ring: IoUring,
    address: libc::sockaddr_in,
    /// CONNECTs, all of the same length, and what the kernel writes: 4 bytes for each client.
    connects: Vec<Vec<u8>>,
    answers: Vec<[u8; 4]>,
}

pub fn run(load: &Load, broker: SocketAddr) -> Sample {
    let opening = Edge::now(0, None);
    let SocketAddr::V4(broker) = broker else { unreachable!("the reflector listens on 127.0.0.1") };
    let mut ring = IoUring::builder();
    ring.setup_single_issuer().setup_defer_taskrun().setup_submit_all().setup_cqsize(16 * 1024);
    let ring = ring.build(1024).expect("io_uring");
    ring.submitter().register_files_sparse(load.clients).expect("a table of files");
    let connect = |client| {
        let mut bytes = Vec::new();
        session::connect(client, &mut bytes);
        bytes
    };
    let dialler = Dialler {
        ring,
        address: libc::sockaddr_in {
            sin_family: libc::AF_INET as u16,
            sin_port: broker.port().to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(broker.ip().octets()) },
            sin_zero: [0; 8],
        },
        connects: (0..load.clients).map(connect).collect(),
        answers: vec![[0; 4]; load.clients as usize],
    };
    dialler.run(load.clients, opening)
}

impl Dialler {
    fn run(mut self, clients: u32, opening: Edge) -> Sample {
        let (mut dialled, mut connected, mut left) = (0, 0, 0);
        let mut span = 0;
        while left < clients {
            while dialled < clients && dialled < connected + CONNECTING as u32 {
                self.dial(dialled);
                dialled += 1;
            }
            self.ring.submit_and_wait(1).expect("io_uring_enter");
            let completions: Vec<_> = self.ring.completion().collect();
            for completion in completions {
                let client = completion.user_data() as u32;
                assert!(completion.user_data() & OTHER == 0, "{client}: {}", completion.result());
                if completion.result() > 0 {
                    connected += 1;
                    continue;
                }
                left += 1;
                self.push(&quiet(opcode::Close::new(Fixed(client)).build(), client, false));
            }
            if connected == clients && span == 0 {
                span = opening.to(Edge::now(0, None)).span_ns;
                (0..clients).for_each(|client| self.leave(client));
            }
        }
        self.ring.submit().expect("io_uring_enter");
        Sample { span_ns: span, ..opening.to(Edge::now(clients.into(), None)) }
    }

    fn dial(&mut self, client: u32) {
        let slot = DestinationSlot::try_from_slot_target(client).expect("in the table");
        let socket = opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0).file_index(Some(slot));
        let len = size_of::<libc::sockaddr_in>() as u32;
        let connect = opcode::Connect::new(Fixed(client), (&raw const self.address).cast(), len);
        let bytes = &self.connects[client as usize];
        let send = opcode::Send::new(Fixed(client), bytes.as_ptr(), bytes.len() as u32);
        let (socket, connect, send) = (socket.build(), connect.build(), send.build());
        [socket, connect, send].into_iter().for_each(|entry| self.push(&quiet(entry, client, true)));
        self.receive(client);
    }

    fn receive(&mut self, client: u32) {
        let answer = self.answers[client as usize].as_mut_ptr();
        let receive = opcode::Recv::new(Fixed(client), answer, 4).flags(libc::MSG_WAITALL);
        self.push(&receive.build().user_data(client.into()));
    }

    fn leave(&mut self, client: u32) {
        let send = opcode::Send::new(Fixed(client), LEAVE.as_ptr(), LEAVE.len() as u32);
        self.push(&quiet(send.build(), client, false));
        self.receive(client);
    }

    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: everything it points to lives as long as `self`, in vectors that do not change.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.ring.submit().expect("io_uring_enter");
        }
    }
}

/// Tells of its failure alone; what follows in a chain waits for it.
fn quiet(entry: squeue::Entry, client: u32, chained: bool) -> squeue::Entry {
    let flags = if chained { squeue::Flags::IO_LINK } else { squeue::Flags::empty() };
    entry.flags(squeue::Flags::SKIP_SUCCESS | flags).user_data(OTHER | u64::from(client))
}
