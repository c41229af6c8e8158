//! Brokers as a person names them.

use crate::engine::Endpoint;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

/// A broker: `host`, `host:port`, `mqtt://host:port`, with IPv6 addresses in brackets where a port
/// follows (`[::1]:1883`) or bare (`::1`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    pub host: String,
    /// `None`: that of `--port`.
    pub port: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TargetError {
    #[error(
        "`{0}` is not a host: expected a name or address, `host:port`, `[v6]:port` or `mqtt://host:port`"
    )]
    Malformed(String),
    #[error("`{text}`: the scheme `{scheme}` is not supported; use mqtt://host:port (plain TCP)")]
    Scheme { text: String, scheme: String },
    #[error("cannot resolve `{host}`: {reason}. Check the name, or give an address with --host")]
    Unresolvable { host: String, reason: String },
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Target, TargetError> {
        let malformed = || TargetError::Malformed(text.into());
        let rest = match text.split_once("://") {
            Some(("mqtt" | "tcp", rest)) => rest.strip_suffix('/').unwrap_or(rest),
            Some((scheme, _)) => {
                return Err(TargetError::Scheme { text: text.into(), scheme: scheme.into() });
            }
            None => text,
        };
        let (host, port) = if let Some(inner) = rest.strip_prefix('[') {
            let (host, after) = inner.split_once(']').ok_or_else(malformed)?;
            match after {
                "" => (host, None),
                _ => (host, Some(after.strip_prefix(':').ok_or_else(malformed)?)),
            }
        } else {
            match rest.split_once(':') {
                Some((_, port)) if port.contains(':') => (rest, None),
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            }
        };
        let port = match port {
            None => None,
            Some(port) => Some(port.parse().ok().filter(|port| *port != 0).ok_or_else(malformed)?),
        };
        if host.is_empty() || host.contains(['/', ' ', '@']) {
            return Err(malformed());
        }
        Ok(Target { host: host.into(), port })
    }
}

/// The address of `target`. A name with several addresses (such as localhost: `::1` and `127.0.0.1`)
/// stands for the first that accepts a connection within `patience`, or else for the first.
pub fn resolve(target: &Target, port: u16, patience: Duration) -> Result<Endpoint, TargetError> {
    let unresolvable = |reason: String| TargetError::Unresolvable { host: target.host.clone(), reason };
    let port = target.port.unwrap_or(port);
    let all: Vec<SocketAddr> = (target.host.as_str(), port)
        .to_socket_addrs()
        .map_err(|error| unresolvable(error.to_string()))?
        .collect();
    let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, patience).is_ok();
    let chosen = if all.len() > 1 { all.iter().find(answers).or(all.first()) } else { all.first() };
    chosen.copied().map(Endpoint::Tcp).ok_or_else(|| unresolvable("it has no address".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_in_every_usual_form() {
        for (text, host, port) in [
            ("broker.lab", "broker.lab", None),
            ("broker.lab:1884", "broker.lab", Some(1884)),
            ("mqtt://10.0.0.7:1883", "10.0.0.7", Some(1883)),
            ("mqtt://10.0.0.7/", "10.0.0.7", None),
            ("tcp://a:1", "a", Some(1)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[fe80::1]:1883", "fe80::1", Some(1883)),
        ] {
            assert_eq!(text.parse(), Ok(Target { host: host.into(), port }), "{text}");
        }
        for text in ["", ":1883", "a:b", "a:0", "a:70000", "[::1", "[::1]x", "a/b", "user@host"] {
            assert_eq!(text.parse::<Target>(), Err(TargetError::Malformed(text.into())));
        }
        let error = "mqtts://a".parse::<Target>().unwrap_err().to_string();
        assert!(error.contains("`mqtts`"), "{error}");
    }

    #[test]
    fn an_unknown_name_is_named() {
        let target = "no-such-host.invalid".parse().unwrap();
        let error = resolve(&target, 1883, Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("no-such-host.invalid"), "{error}");
    }

    #[test]
    fn a_name_with_several_addresses_stands_for_the_one_that_answers() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let resolved = resolve(&"localhost".parse().unwrap(), port, Duration::from_secs(1)).unwrap();
        assert_eq!(resolved, listener.local_addr().unwrap().into());
    }
}
