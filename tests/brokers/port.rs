//! Ports for servers of tests that run side by side.

use crate::process::{BOUND, Process};
use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Whether `process` came to listen on `address`; false when it ended instead.
pub fn is_ready(address: SocketAddr, process: &mut Process) -> bool {
    let deadline = Instant::now() + BOUND;
    while Instant::now() < deadline {
        if process.has_ended() {
            return false;
        }
        if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nothing listens on {address}");
}

/// A port that no other test takes as long as this lives.
pub struct Port {
    pub number: u16,
    _lock: File,
}

impl Port {
    /// One below the range from which outgoing connections, such as those of a load, get theirs.
    pub fn take(ip: IpAddr) -> Port {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        let first: u16 = range.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(32768);
        let span = (first - 1024).min(10_000);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ports");
        std::fs::create_dir_all(&folder).expect("the target folder can be written");
        let offset = (std::process::id() % u32::from(span)) as u16;
        (0..span)
            .find_map(|_| {
                let turn = NEXT.fetch_add(1, Ordering::Relaxed);
                let number = first - 1 - (offset.wrapping_mul(7).wrapping_add(turn)) % span;
                let lock = File::create(folder.join(number.to_string())).ok()?;
                lock.try_lock().ok()?;
                TcpListener::bind((ip, number)).ok()?;
                Some(Port { number, _lock: lock })
            })
            .expect("a free port")
    }
}
