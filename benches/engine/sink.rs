//! A broker that takes everything: it answers CONNECT, and reads what follows without looking at it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use malaria_bench::cpu;

use crate::session;

/// First word of the child's command line.
pub const CHILD: &str = "sink";

/// The child's side of [`Broker::spawn`](crate::broker::Broker::spawn): runs until the parent lets go of its standard
/// input.
pub fn serve(args: &[String]) {
    cpu::pin(args[0].parse().expect("written by measure()")).unwrap_or_else(|error| panic!("{error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    println!("{}", listener.local_addr().expect("it listens"));
    thread::spawn(move || {
        for socket in listener.incoming() {
            thread::spawn(|| swallow(socket.expect("a connection")));
        }
    });
    // Whatever ends it: the parent is gone.
    let _ = io::stdin().read_to_end(&mut Vec::new());
}

/// Longest silence of a client that is still there.
const SILENCE: Duration = Duration::from_secs(1);

/// Reads up to what can only be a DISCONNECT, because it is shorter than a message. One that came together with messages
/// shows as silence.
fn swallow(mut socket: TcpStream) {
    socket.set_read_timeout(Some(SILENCE)).expect("not zero");
    let mut bytes = [0; 1024];
    assert!(socket.read(&mut bytes).expect("CONNECT") > 0);
    socket.write_all(&session::CONNACK).expect("CONNACK");
    // SAFETY: MSG_TRUNC of TCP copies nothing anywhere.
    while unsafe { libc::recv(socket.as_raw_fd(), std::ptr::null_mut(), 1 << 20, libc::MSG_TRUNC) } > 2 {}
}
