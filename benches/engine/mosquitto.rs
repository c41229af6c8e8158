//! A mosquitto instead of the reflector: what loads cost against a broker that people use.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::broker::Broker;

/// Time to start in.
const PATIENCE: Duration = Duration::from_secs(10);

/// One without bounds but its own speed, on a port that was free a moment ago.
pub fn start(cpu: usize) -> io::Result<Broker> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let config = std::env::temp_dir().join(format!("malaria-bench-engine-{}.conf", address.port()));
    let listener = format!("listener {} 127.0.0.1\nallow_anonymous true\n", address.port());
    std::fs::write(&config, listener + "max_queued_messages 0\nmax_inflight_messages 0\nlog_type error\n")?;
    let child = Command::new("taskset")
        .args(["--cpu-list", &cpu.to_string(), "mosquitto", "-c"])
        .arg(&config)
        .stdin(Stdio::null())
        .spawn()?;
    let mut broker = Broker { child, address };
    let begin = Instant::now();
    while TcpStream::connect(address).is_err() {
        if broker.child.try_wait()?.is_some() || begin.elapsed() > PATIENCE {
            return Err(io::Error::other("mosquitto did not start; is it installed?"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    std::fs::remove_file(&config)?;
    Ok(broker)
}
