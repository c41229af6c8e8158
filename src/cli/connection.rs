//! What the flags about brokers and connections mean, for the commands that run a fleet.

use super::args::ConnectionArgs;
use super::{Usage, keys, plan};
use crate::clock::{Nanos, SECOND};
use crate::engine::{self, Endpoint, Target, TargetError};
use crate::fleet::{Connection, Credentials};
use crate::units::Rate;
use std::path::Path;
use std::time::Duration;

/// How `clients` clients connect. Reads the files with passwords.
pub fn connection(args: &ConnectionArgs, rate: Option<Rate>, clients: usize) -> Result<Connection, Usage> {
    let keep_alive = args.keepalive.nanos().div_ceil(SECOND);
    let keep_alive_s = keep_alive.try_into().map_err(|_| {
        Usage(format!("--keepalive {}: MQTT allows at most 65535s [MQTT-3.1.2-10]", args.keepalive))
    })?;
    Ok(Connection {
        protocol: args.protocol,
        keep_alive_s,
        clean_session: args.clean_session,
        timeout: positive("--connect-timeout", args.connect_timeout.nanos())?,
        rate_per_s: rate.map(Rate::per_second),
        attempts: args.connect_attempts,
        reconnect_attempts: args.reconnect_attempts,
        credentials: credentials(args, clients)?,
        ..Connection::default()
    })
}

/// A wait that something can come within.
pub fn positive(flag: &str, span: Nanos) -> Result<Nanos, Usage> {
    match span {
        0 => Err(Usage(format!("{flag} 0: nothing could ever come in time; give a length, such as 10s"))),
        span => Ok(span),
    }
}

/// A session that outlives the process is of no use to one that cannot name it.
pub fn check_session(args: &ConnectionArgs, clientid: Option<&str>) -> Result<(), Usage> {
    match clientid {
        None if !args.clean_session => Err(Usage(
            "--clean-session false leaves sessions on the broker: name them with --clientid, so that a later run \
             finds them again"
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

fn credentials(args: &ConnectionArgs, clients: usize) -> Result<Credentials, Usage> {
    let password = password(args.password_file.as_deref(), args.username.is_some())?;
    if let Some(file) = &args.credentials {
        let mut pairs = keys::read_credentials(file)?;
        if pairs.len() < clients {
            return Err(Usage(format!(
                "--credentials {}: it has {} lines, but there are {clients} clients; every client needs one",
                file.display(),
                pairs.len()
            )));
        }
        pairs.truncate(clients);
        return Ok(Credentials::Each(pairs));
    }
    Ok(match &args.username {
        Some(username) => Credentials::Same { username: username.clone(), password },
        None => Credentials::None,
    })
}

/// The password: of the file, or else of the environment when there is a user for it.
pub fn password(file: Option<&Path>, has_username: bool) -> Result<Option<Vec<u8>>, Usage> {
    use std::os::unix::ffi::OsStringExt;
    let password = match (file, std::env::var_os("MALARIA_PASSWORD")) {
        (Some(_), _) if !has_username => {
            return Err(Usage(
                "--password-file: a password needs a user name; give it with --username".into(),
            ));
        }
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

/// The addresses of `hosts`.
pub fn resolve(hosts: &[Target], port: u16, patience: Nanos) -> Result<Vec<Endpoint>, TargetError> {
    let patience = Duration::from_nanos(patience);
    hosts.iter().map(|host| engine::resolve(host, port, patience)).collect()
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
    let mut cores = plan::cores(args.cores.map(Into::into), allowed, broker);
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
        connection(&args(line)?, None, clients).map_err(|error| error.to_string())
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
        assert!(matches!(connection.credentials, Credentials::None));
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

    /// checklist 30: one pair for everybody, or one for each from a file as keygen makes it.
    #[test]
    fn passwords_come_from_files() {
        let secret = file("s:cret\n");
        let line = format!("-u bee --password-file {}", secret.path().display());
        let Credentials::Same { username, password } = connected(&line, 5).unwrap().credentials else {
            panic!("one pair");
        };
        assert_eq!((username.as_str(), password.as_deref()), ("bee", Some(&b"s:cret"[..])));
        let pairs = file("a:1\nb:2\nc:3\n");
        let line = format!("--credentials {}", pairs.path().display());
        let Credentials::Each(each) = connected(&line, 2).unwrap().credentials else { panic!("a pair each") };
        assert_eq!(each, [("a".into(), b"1".to_vec()), ("b".into(), b"2".to_vec())]);
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
            ("--credentials /nowhere/at/all", "/nowhere/at/all"),
            ("-u a --password-file /nowhere/at/all", "/nowhere/at/all"),
            ("--protocol 5", "5"),
            ("-p 0", "0"),
            ("-p 70000", "70000"),
            ("-H mqtts://x", "mqtts"),
        ] {
            let error = connected(line, 1).err().unwrap_or_else(|| panic!("{line} is accepted"));
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn few_clients_take_few_cpus() {
        let away = [Endpoint::Tcp("192.0.2.1:1883".parse().unwrap())];
        let cpus = |line: &str, busy| cpus(&args(line).unwrap(), busy, &away, &[0, 1, 2, 3]).0.len();
        assert_eq!((cpus("", 1), cpus("", 0), cpus("", 9), cpus("--cores 3", 1)), (1, 1, 4, 3));
    }
}
