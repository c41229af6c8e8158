//! The reflector in a process of its own.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use malaria_bench::reflector::{Config, Manner, Reflector, WorkerPlacement};
use malaria_bench::transport::Acceptor;
use std::sync::Arc;

/// First word of the child's command line.
pub const CHILD: &str = "reflector";

/// Its last word, for one that speaks WebSocket.
pub const WEBSOCKET: &str = "websocket";

/// A running reflector; dropping it ends it.
pub struct Broker {
    pub child: Child,
    pub address: SocketAddr,
}

impl Broker {
    /// Starts a new one, on a port of its own, so that nothing of an earlier run is left on either side.
    pub fn start(cpu: usize, connections: u32) -> io::Result<Broker> {
        Broker::spawn(&[CHILD, &cpu.to_string(), &connections.to_string()])
    }

    /// Starts this program with `args`; it says its address first.
    pub fn spawn(args: &[&str]) -> io::Result<Broker> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line)?;
        let address = line.trim().parse().map_err(|_| io::Error::other("the broker did not start"))?;
        Ok(Broker { child, address })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Already gone, or going: either way it is waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's side: runs until the parent lets go of its standard input.
pub fn serve(args: &[String]) {
    let number = |at: usize| args[at].parse::<usize>().expect("written by Broker::start");
    let config = Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        workers: vec![WorkerPlacement { cpu: Some(number(0)) }],
        rings_per_worker: 1,
        max_connections_per_ring: number(1) as u32,
    };
    let websocket = args.get(2).is_some_and(|word| word == WEBSOCKET);
    let transport = websocket.then(|| Arc::new(Acceptor::default().with_websocket()));
    let manner = Manner { transport, ..Manner::default() };
    let reflector = Reflector::start_as(config, manner).unwrap_or_else(|error| panic!("{error}"));
    println!("{}", reflector.addr());
    // Whatever ends it: the parent is gone.
    let _ = io::stdin().read_to_end(&mut Vec::new());
}
