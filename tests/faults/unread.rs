//! Brokers that take messages at QoS 0 from the network and never read them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::thread;

use malaria_bench::wire::{self, ConnAck, ConnectCode, Packet};

use crate::bench::Bench;

/// Bytes of a payload,
const PAYLOAD: usize = 1000;
/// and of the packet around it: the topic is `bench/0`.
const SIZE: usize = 3 + 2 + 7 + PAYLOAD;

/// A listener whose connections have as small a window as there is.
fn narrow() -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    set(&listener, libc::SO_RCVBUF, &1i32);
    // Nobody waits for ever for a client that has not started.
    set(&listener, libc::SO_RCVTIMEO, &libc::timeval { tv_sec: 20, tv_usec: 0 });
    listener
}

fn set<T>(listener: &TcpListener, option: libc::c_int, value: &T) {
    let len = libc::socklen_t::try_from(size_of::<T>()).expect("a few bytes");
    let value = (&raw const *value).cast();
    // SAFETY: the option is of this type, and its value lives longer than the call.
    let set = unsafe { libc::setsockopt(listener.as_raw_fd(), libc::SOL_SOCKET, option, value, len) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

/// Accepts a client, and reads nothing of it but CONNECT.
fn accept(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().expect("it listens");
    let mut bytes = Vec::new();
    while wire::decode(&bytes, wire::MAX_PACKET).expect("MQTT").is_none() {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a whole CONNECT");
        bytes.extend(byte);
    }
    let mut connack = Vec::new();
    let accepted = ConnAck::from(ConnectCode::Accepted);
    Packet::ConnAck(accepted).encode(&mut connack).expect("a constant packet");
    stream.write_all(&connack).expect("its client waits for it");
    stream
}

/// Bytes that have arrived and that nobody has read.
fn unread(stream: &TcpStream) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the place is an int, as the request says, and outlives the call.
    let got = unsafe { libc::ioctl(stream.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    assert_eq!(got, 0, "{}", std::io::Error::last_os_error());
    usize::try_from(bytes).expect("no error")
}

fn bench(listener: &TcpListener, arguments: &str) -> Bench {
    let address = listener.local_addr().expect("it is bound");
    let arguments = format!("--topology publish --clients 1 -q 0 --size {PAYLOAD} -T 50 {arguments}");
    Bench::against(address, &arguments)
}

/// That a broker says goodbye is no sign of what it has read.
#[test]
fn a_close_without_what_was_sent_confirms_nothing() {
    let listener = narrow();
    let mut running = bench(&listener, "-n 20 --drain 0s --progress always").start();
    let stream = accept(&listener);
    running.wait_for("disconnect ");
    stream.shutdown(Shutdown::Write).expect("the client is there");
    let outcome = running.wait();
    outcome.ends(5, &["messages at QoS 0 that the broker may not have read: 20"]);
    let counts = outcome.record().counts;
    assert_eq!((counts.sent, counts.unfinished, counts.unconfirmed), (20, 0, 20));
}

/// Of a connection that was lost, what had arrived is known to the byte.
#[test]
fn what_had_not_arrived_at_a_connection_that_was_lost_is_unconfirmed() {
    let listener = narrow();
    let bench = bench(&listener, "-n 100 --drain 0s");
    let (to, counted) = mpsc::channel();
    thread::spawn(move || {
        let first = accept(&listener);
        // It can take no more: then the rest waits at its client, and some time later there is a rest.
        let mut last = 0;
        while last == 0 || unread(&first) > last {
            last = unread(&first);
            thread::sleep(std::time::Duration::from_millis(300));
        }
        let arrived = unread(&first);
        drop(first);
        let mut second = accept(&listener);
        let (mut rest, mut chunk) = (Vec::new(), [0; 65_536]);
        // To its DISCONNECT, which is answered by the end.
        while rest.len() % SIZE != 2 || !rest.ends_with(&[0xe0, 0]) {
            let got = second.read(&mut chunk).expect("its client says goodbye");
            rest.extend_from_slice(&chunk[..got]);
        }
        to.send((arrived, rest.len() / SIZE)).expect("the test waits for it");
    });
    let outcome = bench.run();
    let (arrived, came) = counted.recv().expect("it has read everything");
    let counts = outcome.record().counts;
    assert_eq!((counts.sent, counts.reconnects), (100, 1), "{counts:#?}");
    let before = counts.sent as usize - came;
    let absent = (before * SIZE - arrived).div_ceil(SIZE);
    assert!(absent > 10, "{before} messages, {arrived} bytes had arrived");
    assert_eq!(counts.unconfirmed, absent as u64, "{before} messages, {arrived} bytes had arrived");
    outcome.ends(5, &["messages at QoS 0 that the broker may not have read"]);
}
