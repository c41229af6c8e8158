//! Arrival times against a capture of the loopback: what a packet socket saw, and when.

use super::*;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

/// What has come in for one TCP port on the loopback interface.
struct Capture {
    socket: OwnedFd,
    port: u16,
}

impl Capture {
    /// `None`, and the reason on standard error, for who may not look: a test that the build relies on (`CI=true`)
    /// fails then.
    fn start(port: u16) -> Option<Capture> {
        let protocol = (libc::ETH_P_IP as u16).to_be();
        // SAFETY: a plain system call.
        let raw = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM, protocol.into()) };
        if raw < 0 {
            let error = std::io::Error::last_os_error();
            assert!(std::env::var("CI").as_deref() != Ok("true"), "no capture without CAP_NET_RAW: {error}");
            eprintln!("SKIPPED: no capture without CAP_NET_RAW: {error}");
            return None;
        }
        // SAFETY: it is open and nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(raw) };
        // SAFETY: all zeros is a valid address; the interface is named by a string that ends with a zero.
        let address = unsafe {
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = protocol;
            address.sll_ifindex = libc::if_nametoindex(c"lo".as_ptr()) as i32;
            address
        };
        let len = std::mem::size_of_val(&address) as libc::socklen_t;
        // SAFETY: the address is as long as said and outlives the call.
        assert_eq!(unsafe { libc::bind(raw, (&raw const address).cast(), len) }, 0);
        for (option, value) in [(libc::SO_TIMESTAMPNS, 1), (libc::SO_RCVBUF, 8 << 20)] {
            let value: libc::c_int = value;
            // SAFETY: the option is an int and outlives the call.
            let set =
                unsafe { libc::setsockopt(raw, libc::SOL_SOCKET, option, (&raw const value).cast(), 4) };
            assert_eq!(set, 0);
        }
        Some(Capture { socket, port })
    }

    /// Wall-clock times of the packets with data that have come in, in their order.
    fn times(&self) -> Vec<u64> {
        let mut times = Vec::new();
        let (mut bytes, mut control) = ([0u8; 2048], [0u64; 16]);
        loop {
            // SAFETY: all zeros are a valid address and header; everything that it points to outlives the call.
            let (got, from, header) = unsafe {
                let mut from: libc::sockaddr_ll = std::mem::zeroed();
                let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
                let mut header: libc::msghdr = std::mem::zeroed();
                (header.msg_iov, header.msg_iovlen) = (&raw mut part, 1);
                (header.msg_name, header.msg_namelen) =
                    ((&raw mut from).cast(), std::mem::size_of_val(&from) as u32);
                (header.msg_control, header.msg_controllen) = (control.as_mut_ptr().cast(), 128);
                let got = libc::recvmsg(self.socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT);
                (got, from, header)
            };
            if got < 0 {
                return times;
            }
            let packet = &bytes[..got as usize];
            // Each packet is seen as it leaves and as it comes in.
            if from.sll_pkttype == libc::PACKET_OUTGOING || !self.has_data(packet) {
                continue;
            }
            // SAFETY: the kernel has filled the header in; the time stamp is the first control message.
            let stamp: libc::timespec = unsafe {
                let first = libc::CMSG_FIRSTHDR(&raw const header);
                assert!(!first.is_null() && (*first).cmsg_type == libc::SO_TIMESTAMPNS);
                libc::CMSG_DATA(first).cast::<libc::timespec>().read_unaligned()
            };
            times.push(stamp.tv_sec as u64 * SECOND + stamp.tv_nsec as u64);
        }
    }

    /// Whether an IPv4 packet is of TCP, to the port, and not empty.
    fn has_data(&self, packet: &[u8]) -> bool {
        let header = usize::from(packet[0] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        let tcp = &packet[header..];
        let port = || u16::from_be_bytes([tcp[2], tcp[3]]);
        packet[9] == libc::IPPROTO_TCP as u8
            && port() == self.port
            && total > header + usize::from(tcp[12] >> 4) * 4
    }
}

/// How far the wall clock is ahead of the process clock: of several readings the one that took least.
fn ahead() -> u64 {
    let reading = |_| {
        let (before, wall, after) = (clock::now(), SystemTime::now(), clock::now());
        let wall = wall.duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        (after - before, wall - (before + (after - before) / 2))
    };
    (0..100).map(reading).min().unwrap().1
}

/// A worker with one connection that it has dialled, the other end of that, and a capture of what comes in there.
fn captured() -> Option<(Running, TcpStream, Capture)> {
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let running = Running::start(1, |_| {});
    running.order(Order::Connect(Conn(0), listener.local_addr().unwrap().into()));
    assert_eq!(running.next(), Seen::Connected(Conn(0)));
    let (stream, client) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    let capture = Capture::start(client.port());
    if capture.is_none() {
        running.stop();
        return None;
    }
    Some((running, stream, capture?))
}

/// What a worker says of when bytes had arrived is after they were sent, and no later than they were seen on the
/// interface: TCP's stamp is of when a packet is queued there, the capture's of when it is taken from the queue.
#[test]
fn arrivals_are_those_of_a_capture() {
    const MESSAGES: usize = 2000;
    let Some((running, mut stream, capture)) = captured() else { return };
    let (mut errors, mut leads) = (Vec::new(), Vec::new());
    for _ in 0..MESSAGES {
        let (offset, sent) = (ahead(), clock::now());
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        let (arrived, _) = running.heard.recv_timeout(Duration::from_nanos(BOUND)).unwrap();
        let [came] = capture.times()[..] else { panic!("one packet for each message") };
        errors.push(arrived as i64 - (came - offset) as i64);
        leads.push(arrived as i64 - sent as i64);
    }
    running.stop();
    let spread = |mut times: Vec<i64>| {
        times.sort_unstable();
        [0.0, 0.01, 0.5, 0.99, 1.0].map(|share| times[((times.len() - 1) as f64 * share) as usize])
    };
    let ([least, low, middle, high, most], [_, earliest, early, ..]) = (spread(errors), spread(leads));
    println!("arrived - captured: min {least}, p1 {low}, p50 {middle}, p99 {high}, max {most} ns");
    // The clocks are read one after the other, on a machine that may take the CPU in between.
    assert!(middle < 5_000 && early > -5_000, "{middle} ns after the capture, {early} ns after it was sent");
    assert!(low > -(MILLISECOND as i64) && high < MILLISECOND as i64, "{low} {high} ns");
    assert!(earliest > -(MILLISECOND as i64), "{earliest} ns");
}

/// Of several segments in one receive the last counts: no message is said to have lain there for longer than it has.
#[test]
fn of_several_segments_in_one_receive_the_last_counts() {
    let Some((running, mut stream, capture)) = captured() else { return };
    let busy = running.occupy();
    let mut came = Vec::new();
    // Each is in the buffer of the socket, and was captured, before the next leaves.
    for _ in 0..3 {
        let last = clock::now();
        while clock::now() < last + 10 * MILLISECOND {
            std::hint::spin_loop();
        }
        stream.write_all(b"x").unwrap();
        let known = came.len();
        while came.len() == known {
            came.extend(capture.times());
        }
    }
    drop(busy);
    let mut answers = [0; 3];
    stream.read_exact(&mut answers).unwrap();
    let heard: Vec<_> = running.heard.try_iter().collect();
    let offset = ahead();
    running.stop();
    let times: Vec<_> = came.iter().map(|time| time - offset).collect();
    // A worker may have been in the middle of receiving the first.
    let (arrived, handled) = *heard.last().unwrap();
    assert!(heard.len() < 3, "several came together: {heard:?}");
    assert!(arrived.abs_diff(times[2]) < MILLISECOND, "{arrived}: {times:?}");
    assert!(arrived <= handled && arrived > times[1] + 5 * MILLISECOND, "{arrived}: {times:?}");
}
