//! What the flags about brokers and connections mean, for every command that connects.

use super::args::{CloseArg, ConnectionArgs, WillArgs};
use super::five::five;
use super::identities::{self, Crowd, Found, Topics};
use super::{Usage, keys, plan, transport};
use crate::clock::{Nanos, SECOND};
use crate::crew::{Connection, Credentials, Will};
use crate::engine::{self, Endpoint, Scheme, Sources, TargetError};
use crate::record::Close;
use crate::units::Rate;
use crate::wire::{self, QoS};
use std::path::Path;
use std::time::Duration;

/// What a command takes for `--reconnect-attempts` when nothing is said: 0 is unlimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reconnects(u32);

impl Reconnects {
    /// The main job is to outlast a broker that restarts.
    pub const RUN: Reconnects = Reconnects(0);
    /// A script waits for its clients to end.
    pub const FLEET: Reconnects = Reconnects(10);
}

/// How `clients` clients connect, who may have `topics` of their own. Reads the files about clients.
pub fn connection(
    args: &ConnectionArgs,
    reconnects: Reconnects,
    clients: usize,
    topics: Topics<'_>,
) -> Result<Connection, Usage> {
    let connection = plain(args, reconnects, clients, topics)?;
    let own = &connection.identities;
    let transport = transport::dialer(&args.transport, &args.host, port(args), (clients, own))?;
    Ok(Connection { transport, ..connection })
}

/// The same but for what carries the connections.
pub fn plain(
    args: &ConnectionArgs,
    reconnects: Reconnects,
    clients: usize,
    topics: Topics<'_>,
) -> Result<Connection, Usage> {
    let found = found(args, clients, topics)?;
    let sources = Sources::find(&args.source).map_err(|error| Usage(format!("--source: {error}")))?;
    Ok(Connection {
        protocol: args.protocol,
        keep_alive_s: keep_alive_s(args)?,
        clean_session: args.clean_session,
        timeout: positive("--connect-timeout", args.connect_timeout.nanos())?,
        rate_per_s: args.connect_rate.map(Rate::per_second),
        attempts: args.connect_attempts,
        reconnect: true,
        reconnect_attempts: args.reconnect_attempts.unwrap_or(reconnects.0),
        transport: None,
        sources: sources.with_own(found.sources),
        close: close(args),
        credentials: credentials(args)?,
        identities: found.identities,
        will: will(&args.will)?,
        five: five(args)?,
    })
}

/// The same, with clients of TLS-PSK called by their identities, unless a name was asked for.
pub fn named(connection: Connection, clientid: Option<&str>) -> Connection {
    let identities = match clientid {
        None => connection.identities.named_by_psk(),
        Some(_) => connection.identities,
    };
    Connection { identities, ..connection }
}

/// How connections are to end.
pub fn close(args: &ConnectionArgs) -> Close {
    match args.close {
        CloseArg::Fin => Close::Fin,
        CloseArg::Rst => Close::Rst,
    }
}

/// What can be said of `args` before any file is read.
pub fn check(args: &ConnectionArgs, clientid: Option<&str>) -> Result<(), Usage> {
    keep_alive_s(args)?;
    positive("--connect-timeout", args.connect_timeout.nanos())?;
    if args.password_file.is_some() && args.username.is_none() && args.clients_file.is_none() {
        return Err(Usage("--password-file: a password needs a user name; give it with --username".into()));
    }
    will(&args.will)?;
    five(args)?;
    check_session(args, clientid)
}

/// Keep-alive as CONNECT says it, in whole seconds.
fn keep_alive_s(args: &ConnectionArgs) -> Result<u16, Usage> {
    args.keepalive.nanos().div_ceil(SECOND).try_into().map_err(|_| {
        Usage(format!("--keepalive {}: MQTT allows at most 65535s [MQTT-3.1.2-10]", args.keepalive))
    })
}

fn will(args: &WillArgs) -> Result<Option<Will>, Usage> {
    let Some(topic) = &args.will_topic else {
        let parts = [
            ("--will-payload", args.will_payload.is_some()),
            ("--will-qos", args.will_qos.is_some()),
            ("--will-retain", args.will_retain),
        ];
        return match parts.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Usage(format!("{flag}: a will needs a topic; give it with --will-topic"))),
            None => Ok(None),
        };
    };
    wire::topic::valid_name(topic).map_err(|error| Usage(format!("--will-topic {topic}: {error}")))?;
    let payload = args.will_payload.clone().unwrap_or_default().into_bytes();
    if payload.len() > usize::from(u16::MAX) {
        let bytes = payload.len();
        return Err(Usage(format!("--will-payload: {bytes} bytes; MQTT allows at most 65,535 in a will")));
    }
    let qos = args.will_qos.map_or(QoS::AtMostOnce, qos);
    Ok(Some(Will { topic: topic.clone(), payload, qos, retain: args.will_retain }))
}

/// The QoS of a flag.
pub fn qos(level: u8) -> QoS {
    QoS::try_from(level).expect("the flag's parser has checked it")
}

/// A wait that something can come within.
pub fn positive(flag: &str, span: Nanos) -> Result<Nanos, Usage> {
    match span {
        0 => Err(Usage(format!("{flag} 0: nothing could ever come in time; give a length, such as 10s"))),
        span => Ok(span),
    }
}

/// A session that outlives the process is of no use to one that cannot name it.
fn check_session(args: &ConnectionArgs, clientid: Option<&str>) -> Result<(), Usage> {
    match clientid {
        None if !args.clean_session => Err(Usage(
            "--clean-session false leaves sessions on the broker: name them with --clientid, so that a later run \
             finds them again"
                .into(),
        )),
        None if args.five.session_expiry.is_some_and(|expiry| expiry.nanos() > 0) => Err(Usage(
            "--session-expiry leaves sessions on the broker: name them with --clientid, so that a later run finds them \
             again"
                .into(),
        )),
        _ => Ok(()),
    }
}

/// Whether MQTT can carry `id`, the longest of its kind.
pub fn check_client_id(id: &str) -> Result<(), Usage> {
    match id.len() > usize::from(u16::MAX) || id.contains('\0') {
        true => {
            Err(Usage("--clientid: a client id is at most 65,535 bytes without U+0000 [MQTT-1.5.3-2]".into()))
        }
        false => Ok(()),
    }
}

/// What `clients` clients have of their own.
fn found(args: &ConnectionArgs, clients: usize, topics: Topics<'_>) -> Result<Found, Usage> {
    let keys = args.transport.psk_file.as_deref().map(|file| keys::for_all(file, clients)).transpose()?;
    let secure =
        args.transport.tls || args.host.iter().any(|host| host.scheme().is_some_and(Scheme::is_secure));
    let crowd = Crowd {
        clients,
        has_username: args.username.is_some(),
        has_certificates: secure && keys.is_none(),
        keys: keys.as_ref().map(keys::places),
        topics,
    };
    let mut found = match (&args.clients_file, &args.credentials) {
        (Some(text), _) => identities::read(text, &crowd)?,
        (None, Some(file)) => {
            Found { identities: keys::read_credentials(file, clients)?, ..Found::default() }
        }
        (None, None) => Found::default(),
    };
    let own = match &found.keys[..] {
        [] => keys.clone(),
        places => keys.as_ref().map(|keys| keys.select(places)),
    };
    found.identities = found.identities.with_keys(own.unwrap_or_default());
    Ok(found)
}

/// What all of them log in with that have nothing of their own.
fn credentials(args: &ConnectionArgs) -> Result<Credentials, Usage> {
    let has_username = args.username.is_some() || args.clients_file.is_some();
    let password = password(args.password_file.as_deref(), has_username)?;
    Ok(Credentials { username: args.username.clone(), password })
}

/// The password: of the file, or else of the environment when there is a user for it.
fn password(file: Option<&Path>, has_username: bool) -> Result<Option<Vec<u8>>, Usage> {
    use std::os::unix::ffi::OsStringExt;
    let password = match (file, std::env::var_os("MALARIA_PASSWORD")) {
        (Some(file), _) => {
            let mut text = std::fs::read(file)
                .map_err(|error| Usage(format!("--password-file {}: {error}", file.display())))?;
            // The newline that editors end files with is not part of it.
            if text.last() == Some(&b'\n') {
                text.pop();
            }
            Some(text)
        }
        (None, Some(variable)) if has_username => Some(variable.into_vec()),
        (None, _) => None,
    };
    match password {
        Some(password) if password.len() > 65_535 => {
            Err(Usage("the password is longer than the 65,535 bytes MQTT allows".into()))
        }
        password => Ok(password),
    }
}

/// The addresses of the brokers.
pub fn resolve(args: &ConnectionArgs, patience: Nanos) -> Result<Vec<Endpoint>, TargetError> {
    let patience = Duration::from_nanos(patience);
    let port = port(args);
    args.host.iter().map(|host| engine::resolve(host, port, patience)).collect()
}

/// The port of brokers that name none.
pub fn port(args: &ConnectionArgs) -> u16 {
    transport::port(&args.transport, &args.host, args.port)
}

/// CPUs for the workers: no more than `busy` of them unless they were asked for, because every worker wakes up
/// for itself. Also what there is to say about it.
pub fn cpus(
    args: &ConnectionArgs,
    busy: usize,
    targets: &[Endpoint],
    allowed: &[usize],
) -> (Vec<usize>, Vec<String>) {
    let here = targets.iter().any(engine::is_local);
    let broker = if here { plan::Broker::Here } else { plan::Broker::Away };
    let mut cores = plan::cores(args.cores, allowed, broker);
    if args.cores.is_none() {
        cores.generator.truncate(busy.max(1));
    }
    (cores.generator, cores.warnings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Protocol;
    use clap::Parser;

    const NO_TOPICS: Topics<'static> = Topics::None("not here");

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ConnectionArgs,
    }

    fn args(line: &str) -> Result<ConnectionArgs, String> {
        let words = std::iter::once("malaria").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    fn connected(line: &str, clients: usize) -> Result<Connection, String> {
        let args = args(line)?;
        let connection =
            check(&args, Some("me")).and_then(|()| connection(&args, Reconnects::FLEET, clients, NO_TOPICS));
        connection.map_err(|error| error.to_string())
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    /// checklist 34 and 35, as far as the command line goes
    #[test]
    fn protocol_and_patience_are_settable() {
        let connection = connected("", 1).unwrap();
        assert_eq!((connection.protocol, connection.keep_alive_s), (Protocol::V311, 60));
        assert_eq!((connection.attempts, connection.reconnect_attempts), (1, 10));
        assert_eq!((connection.timeout, connection.clean_session), (10 * SECOND, true));
        assert_eq!(connection.login(0), (None, None));
        let connection = connected(
            "--protocol 3.1 -k 1.5s --connect-attempts 0 --reconnect_attempts 3 --clean-session false \
             --connect-timeout 2",
            1,
        );
        let connection = connection.unwrap_err();
        assert!(connection.contains("--reconnect_attempts"), "spellings are config's part: {connection}");
        let connection =
            connected("--protocol 3.1 -k 1.5s --connect-attempts 0 --clean-session false", 1).unwrap();
        assert_eq!((connection.protocol, connection.keep_alive_s), (Protocol::V31, 2));
        assert_eq!((connection.attempts, connection.clean_session), (0, false));
    }

    /// Issue section 1: what differs between commands is what they do when nothing is said.
    #[test]
    fn only_the_defaults_differ_between_commands() {
        let attempts = |line: &str, reconnects| {
            connection(&args(line).unwrap(), reconnects, 1, NO_TOPICS).unwrap().reconnect_attempts
        };
        assert_eq!((attempts("", Reconnects::RUN), attempts("", Reconnects::FLEET)), (0, 10));
        for reconnects in [Reconnects::RUN, Reconnects::FLEET] {
            assert_eq!(attempts("--reconnect-attempts 3", reconnects), 3);
            assert_eq!(attempts("--reconnect-attempts 0", reconnects), 0);
        }
        let connection = connected("--connect-rate 2k --connect-attempts 1k", 1).unwrap();
        assert_eq!((connection.rate_per_s, connection.attempts), (Some(2000.0), 1000));
        assert_eq!(connected("--ramp 5", 1).unwrap().rate_per_s, Some(5.0));
    }

    /// Issue section 1: the will, as mosquitto_sub names it.
    #[test]
    fn a_will_has_a_topic_and_may_have_more() {
        assert_eq!(connected("", 1).unwrap().will, None);
        let will = |line: &str| connected(line, 1).unwrap().will.unwrap();
        let least = Will { topic: "a/b".into(), payload: vec![], qos: QoS::AtMostOnce, retain: false };
        assert_eq!(will("--will-topic a/b"), least);
        let all = Will { payload: b"gone".to_vec(), qos: QoS::ExactlyOnce, retain: true, ..least };
        assert_eq!(will("--will-topic a/b --will-payload gone --will-qos 2 --will-retain"), all);
        let long = format!("--will-topic a --will-payload {}", "x".repeat(65_536));
        let error = connected(&long, 1).unwrap_err();
        assert!(error.contains("--will-payload: 65536 bytes") && error.contains("65,535"), "{error}");
    }

    /// checklist 30: one pair for everybody, or one for each from a file as keygen makes it.
    #[test]
    fn passwords_come_from_files() {
        let secret = file("s:cret\n");
        let line = format!("-u bee --password-file {}", secret.path().display());
        assert_eq!(connected(&line, 5).unwrap().login(4), (Some("bee"), Some(&b"s:cret"[..])));
        let pairs = file("a:1\nb:2\nc:3\n");
        let line = format!("--credentials {}", pairs.path().display());
        let connection = connected(&line, 2).unwrap();
        assert_eq!(connection.login(0), (Some("a"), Some(&b"1"[..])));
        assert_eq!(connection.login(1), (Some("b"), Some(&b"2"[..])));
        let error = connected(&line, 4).unwrap_err();
        assert!(error.contains("3 lines") && error.contains("4 clients"), "{error}");
    }

    #[test]
    fn senseless_connections_are_usage_errors() {
        for (line, part) in [
            ("--keepalive 100000s", "65535"),
            ("--connect-timeout 0", "--connect-timeout 0"),
            ("--password-file x", "--username"),
            ("-u a --credentials x", "cannot be used with"),
            ("--clients-file a --credentials x", "cannot be used with"),
            ("--clients-file /nowhere/at/all", "/nowhere/at/all"),
            ("--credentials /nowhere/at/all", "/nowhere/at/all"),
            ("-u a --password-file /nowhere/at/all", "/nowhere/at/all"),
            ("--protocol 4", "3.1, 3.1.1 or 5, not \"4\""),
            ("--will-payload x", "--will-payload: a will needs a topic; give it with --will-topic"),
            ("--will-qos 1", "--will-topic"),
            ("--will-retain", "--will-topic"),
            ("--will-topic a --will-qos 3", "3"),
            ("--will-topic a/+", "--will-topic a/+"),
            ("--connect-attempts many", "many"),
            ("--connect-rate 0", "`0`"),
            ("--cores 0", "0"),
            ("-p 0", "0"),
            ("-p 70000", "70000"),
            ("-H http://x", "http"),
            ("-H mqtts://x -H mqtt://y", "some with TLS"),
            ("-H mqtt://x --tls", "--tls"),
            ("--cafile x", "--tls"),
            ("-H ws://x -H mqtt://y", "some with TLS or WebSocket"),
            ("-H ws://x -H wss://y", "some with TLS or WebSocket"),
            ("-H mqtts://x --websocket", "say wss://"),
            ("-H ws://x --tls", "say wss://"),
            ("-H ws://x --ws-header Upgrade:h2c", "`Upgrade`"),
            ("-H ws://x --ws-header @/nowhere/at/all", "/nowhere/at/all"),
            ("--ws-header X:y", "--websocket"),
            ("--tls --cafile /nowhere/at/all", "/nowhere/at/all"),
            ("--tls --cert x", "--key"),
            ("--tls --insecure --ciphers RC4-MD5", "RC4-MD5"),
            ("--tls --insecure --cert a --key b-%i", "--cert with %i"),
        ] {
            let error = connected(line, 1).err().unwrap_or_else(|| panic!("{line} is accepted"));
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn a_session_that_is_kept_has_a_name() {
        let args = args("--clean-session false").unwrap();
        assert!(check(&args, Some("me")).is_ok());
        assert!(check(&args, None).unwrap_err().to_string().contains("--clientid"));
    }

    #[test]
    fn few_clients_take_few_cpus() {
        let away = [Endpoint::Tcp("192.0.2.1:1883".parse().unwrap())];
        let cpus = |line: &str, busy| cpus(&args(line).unwrap(), busy, &away, &[0, 1, 2, 3]).0.len();
        assert_eq!((cpus("", 1), cpus("", 0), cpus("", 9), cpus("--cores 3", 1)), (1, 1, 4, 3));
    }
}
