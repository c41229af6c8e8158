//! The built-in broker on its own.

use super::args::ReflectorArgs;
use super::bench::interruption;
use super::output::{complain, tell};
use super::{embedded, plan};
use crate::record::Exit;
use crate::{cpu, engine, units};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub fn run(args: &ReflectorArgs) -> anyhow::Result<Exit> {
    let cores = plan::cores(args.cores, &cpu::allowed(), plan::Broker::Away);
    engine::probe()?;
    let interrupt = interruption()?;
    let listen = SocketAddr::new(args.bind, args.port);
    let reflector = embedded::start(listen, &cores.generator, args.max_clients)?;
    if !args.quiet {
        cores.warnings.iter().for_each(|warning| complain(format_args!("warning: {warning}")));
        tell(format_args!(
            "reflector listens on {} (CPUs {})",
            reflector.addr(),
            cpu::list(&cores.generator)
        ));
    }
    while !interrupt.load(Ordering::Relaxed) && reflector.is_running() {
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let counters = reflector.stop()?;
    if !args.quiet {
        tell(format_args!(
            "{} messages in, {} out, {} dropped",
            units::grouped(counters.messages_in.iter().sum()),
            units::grouped(counters.messages_out.iter().sum()),
            units::grouped(counters.dropped.iter().sum())
        ));
    }
    // Being told to stop is how a broker ends.
    Ok(Exit::Clean)
}
