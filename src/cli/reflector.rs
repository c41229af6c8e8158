//! The built-in broker on its own.

use super::args::ReflectorArgs;
use super::bench::interruption;
use super::output::{complain, print_text, tell};
use super::{Environment, Usage, embedded, plan, transport};
use crate::record::Exit;
use crate::reflector::{Counters, Reflector};
use crate::script::{self, Account, Script};
use crate::{cpu, engine, units};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

pub fn run(args: &ReflectorArgs) -> anyhow::Result<Exit> {
    if args.json_schema {
        return print_text(script::LOG_SCHEMA, false).map(|()| Exit::Clean);
    }
    let script = args.script.as_deref().map(read_script).transpose()?;
    let acceptor = transport::acceptor(&args.door, args.bind)?;
    let mut log = args.log.as_ref().map(Log::create).transpose()?;
    // All counts of a script are of one worker.
    let wanted = args.cores.or(script.is_some().then_some(1));
    // A generator on the same machine takes the first CPUs.
    let allowed: Vec<usize> = cpu::allowed().into_iter().rev().collect();
    let cores = plan::cores(wanted, &allowed, plan::Broker::Away);
    engine::probe()?;
    let interrupt = interruption()?;
    let listen = SocketAddr::new(args.bind, args.port);
    let mut reflector = embedded::start(listen, &cores.generator, args.max_clients, script, acceptor)?;
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
        log.as_mut().map(|log| log.add(&reflector)).transpose()?;
    }
    reflector.halt()?;
    let (counters, account) = (reflector.counters(), reflector.account());
    if let Some(mut log) = log {
        log.add(&reflector)?;
        log.finish(&Totals::of(&counters, &account))?;
    }
    if !args.quiet {
        tell(format_args!(
            "{} messages in, {} out, {} dropped",
            units::grouped(counters.messages_in.iter().sum()),
            units::grouped(counters.messages_out.iter().sum()),
            units::grouped(counters.dropped.iter().sum())
        ));
        if args.script.is_some() {
            tell(format_args!("by the script: {}", deeds(&account)));
        }
    }
    // Being told to stop is how a broker ends.
    Ok(Exit::Clean)
}

/// `4 dropped, 7 duplicated`, by the names of the log.
fn deeds(account: &Account) -> String {
    let told = account.deeds.iter().map(|(deed, times)| {
        let name = serde_json::json!(deed);
        format!("{} {}", units::grouped(*times), name.as_str().unwrap_or_default())
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { "nothing was done".into() } else { told.join(", ") }
}

fn read_script(path: &Path) -> anyhow::Result<Script> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Usage(format!("--script {}: {error}", path.display())))?;
    let script = Script::parse(&text);
    Ok(script.map_err(|error| Usage(format!("--script {}: {error}", path.display())))?)
}

/// The last line of the log.
#[derive(serde::Serialize)]
struct Totals<'a> {
    /// CONNECTs that were accepted.
    connects: u64,
    /// PUBLISH packets from clients, and to clients but for those repeated under one packet id; by QoS.
    received: [u64; 3],
    sent: [u64; 3],
    #[serde(flatten)]
    account: &'a Account,
}

impl Totals<'_> {
    fn of<'a>(counters: &Counters, account: &'a Account) -> Totals<'a> {
        let Counters { connects, messages_in: received, messages_out: sent, .. } = *counters;
        Totals { connects, received, sent, account }
    }
}

/// Where it is written what a script had the reflector do.
struct Log {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Log {
    fn create(path: &PathBuf) -> Result<Log, Environment> {
        match File::create(path) {
            Ok(file) => Ok(Log { path: path.clone(), file: BufWriter::new(file) }),
            Err(error) => Err(Log::failed(path, &error)),
        }
    }

    fn failed(path: &Path, error: &io::Error) -> Environment {
        Environment(format!("--log {}: {error}; choose a path that can be written", path.display()))
    }

    /// Writes what was done since the last time, so that a log that cannot be written ends the broker at once.
    fn add(&mut self, reflector: &Reflector) -> Result<(), Environment> {
        reflector.take_events().iter().try_for_each(|event| self.line(event))?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Environment> {
        self.file.flush().map_err(|error| Log::failed(&self.path, &error))
    }

    fn line(&mut self, line: &impl serde::Serialize) -> Result<(), Environment> {
        let written = serde_json::to_writer(&mut self.file, line).map_err(io::Error::from);
        let written = written.and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|error| Log::failed(&self.path, &error))
    }

    fn finish(mut self, totals: &Totals<'_>) -> Result<(), Environment> {
        self.line(&serde_json::json!({ "totals": totals }))?;
        self.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Deed, Event};

    /// Every line that a log can have, and none with a word more.
    #[test]
    fn a_log_is_as_its_schema_says() {
        let schema: serde_json::Value = serde_json::from_str(script::LOG_SCHEMA).expect("JSON");
        let validator = jsonschema::draft202012::new(&schema).expect("a schema");
        let names = schema["$defs"]["kind"]["enum"].as_array().expect("names").clone();
        let mut account = Account { routed: 7, acked: 6, ..Account::default() };
        for deed in Deed::ALL {
            account.note(deed);
            assert!(names.contains(&serde_json::json!(deed)), "{deed:?}");
            for (client, topic) in [(None, None), (Some("c".to_owned()), Some("t".to_owned()))] {
                let event = serde_json::json!(Event { at_ns: 5, did: deed, client, topic });
                assert!(validator.is_valid(&event), "{event}");
            }
        }
        assert_eq!(names.len(), Deed::ALL.len());
        let totals = serde_json::json!({ "totals": Totals::of(&Counters::default(), &account) });
        assert!(validator.is_valid(&totals), "{totals}");
        for wrong in ["{}", "{\"at_ns\": 5}", "{\"at_ns\": 5, \"did\": \"praised\"}", "{\"totals\": {}}"] {
            assert!(!validator.is_valid(&serde_json::from_str(wrong).expect("JSON")), "{wrong}");
        }
    }
}
