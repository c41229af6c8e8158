//! Brokers as a person names them.

use super::Endpoint;
use super::socket::LONGEST_PATH;
use std::fmt;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Where brokers have their WebSocket.
pub const WEBSOCKET_PATH: &str = "/mqtt";

/// How a broker is spoken with, as addresses begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// `mqtt://`, also written `tcp://`: over TCP alone.
    Mqtt,
    /// `mqtts://`, also written `ssl://` and `tls://`: over TLS.
    Mqtts,
    /// `ws://`: over WebSocket.
    Ws,
    /// `wss://`: over WebSocket over TLS.
    Wss,
}

impl Scheme {
    fn named(name: &str) -> Option<Scheme> {
        match name {
            "mqtt" | "tcp" => Some(Scheme::Mqtt),
            "mqtts" | "ssl" | "tls" => Some(Scheme::Mqtts),
            "ws" => Some(Scheme::Ws),
            "wss" => Some(Scheme::Wss),
            _ => None,
        }
    }

    /// The usual port (IANA: mqtt, secure-mqtt; of WebSocket, what brokers come with).
    pub fn port(self) -> u16 {
        match self {
            Scheme::Mqtt => 1883,
            Scheme::Mqtts => 8883,
            Scheme::Ws => 8083,
            Scheme::Wss => 8084,
        }
    }

    /// That of what is, or is not, over TLS and WebSocket.
    pub fn of(secure: bool, websocket: bool) -> Scheme {
        match (secure, websocket) {
            (false, false) => Scheme::Mqtt,
            (true, false) => Scheme::Mqtts,
            (false, true) => Scheme::Ws,
            (true, true) => Scheme::Wss,
        }
    }

    /// Whether it is over TLS.
    pub fn is_secure(self) -> bool {
        matches!(self, Scheme::Mqtts | Scheme::Wss)
    }

    /// Whether it is over WebSocket.
    pub fn is_websocket(self) -> bool {
        matches!(self, Scheme::Ws | Scheme::Wss)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Mqtt => "mqtt",
            Scheme::Mqtts => "mqtts",
            Scheme::Ws => "ws",
            Scheme::Wss => "wss",
        })
    }
}

/// A broker, as text: `host`, `host:port`, `mqtt://host:port`, `mqtts://host:port`, `ws://host:port/path`, `wss://host:port/path`,
/// with IPv6 addresses in brackets where a port follows (`[::1]:1883`) or bare (`::1`); or `unix:/path`, also written
/// `unix:///path`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// One that listens on a TCP port.
    Tcp {
        /// How it is spoken with; `None`: as the other flags say.
        scheme: Option<Scheme>,
        /// Its name or address, without brackets.
        host: String,
        /// `None`: that of `--port`.
        port: Option<u16>,
        /// Of a WebSocket, the path and query that it is asked for at; `None`: [`WEBSOCKET_PATH`].
        path: Option<String>,
    },
    /// One that listens on a Unix socket, by its absolute path.
    Unix(Arc<Path>),
}

/// Why a text names no broker that can be connected to.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TargetError {
    /// It has none of the forms of a [`Target`].
    #[error(
        "`{0}` is not a host: expected a name or address, `host:port`, `[v6]:port`, `mqtt://host:port`, \
         `ws://host:port/path` or `unix:/path`"
    )]
    Malformed(String),
    /// It asks for a protocol that is not spoken.
    #[error(
        "`{text}`: the scheme `{scheme}` is not supported; use mqtt://host:port (plain TCP), \
         mqtts://host:port (TLS), ws://host:port/path or wss://host:port/path (WebSocket) or unix:/path"
    )]
    Scheme {
        /// All of it.
        text: String,
        /// What stands before `://`.
        scheme: String,
    },
    /// No socket can have this path.
    #[error("`{0}`: the path of a Unix socket has at most {longest} bytes", longest = LONGEST_PATH)]
    Path(String),
    /// The name has no address.
    #[error("cannot resolve `{host}`: {reason}. Check the name, or give an address with --host")]
    Unresolvable {
        /// The name.
        host: String,
        /// What the system's resolver said.
        reason: String,
    },
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Target, TargetError> {
        let malformed = || TargetError::Malformed(text.into());
        // Without a slash, `unix` is a host like any other: `unix:1883`.
        let path = text.strip_prefix("unix:").map(|path| path.strip_prefix("//").unwrap_or(path));
        if let Some(path) = path.filter(|path| path.starts_with('/')) {
            return match path.len() {
                ..=LONGEST_PATH => Ok(Target::Unix(Path::new(path).into())),
                _ => Err(TargetError::Path(text.into())),
            };
        }
        let (scheme, rest) = match text.split_once("://") {
            None => (None, text),
            Some((name, rest)) => match Scheme::named(name) {
                None => return Err(TargetError::Scheme { text: text.into(), scheme: name.into() }),
                scheme => (scheme, rest),
            },
        };
        let (rest, path) = match scheme.filter(|scheme| scheme.is_websocket()) {
            Some(_) => split_path(rest).ok_or_else(malformed)?,
            None if scheme.is_some() => (rest.strip_suffix('/').unwrap_or(rest), None),
            None => (rest, None),
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
        Ok(Target::Tcp { scheme, host: host.into(), port, path })
    }
}

/// What stands before the path of a WebSocket's address, and the path if it has one. `None` for what HTTP cannot carry.
fn split_path(rest: &str) -> Option<(&str, Option<String>)> {
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = match path {
        "" => return Some((host, None)),
        query if query.starts_with('?') => format!("/{query}"),
        path => path.to_owned(),
    };
    // What RFC 3986 allows, and no fragment (RFC 6455, 3).
    let is_right = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte));
    is_right.then_some((host, Some(path)))
}

impl Target {
    /// How it is spoken with, if it says so.
    pub fn scheme(&self) -> Option<Scheme> {
        match self {
            Target::Tcp { scheme, .. } => *scheme,
            Target::Unix(_) => None,
        }
    }

    /// The same, at `port` if it names none.
    #[must_use]
    pub fn at(&self, usual: u16) -> Target {
        match self.clone() {
            Target::Tcp { scheme, host, port, path } => {
                Target::Tcp { scheme, host, port: port.or(Some(usual)), path }
            }
            unix @ Target::Unix(_) => unix,
        }
    }
}

impl fmt::Display for Target {
    /// What gives the same target again: `broker.lab`, `broker.lab:1884`, `[::1]:1883`, `ws://broker.lab/other`,
    /// `unix:/run/mosquitto.sock`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme() {
            write!(f, "{scheme}://")?;
        }
        let (host, port, path) = match self {
            Target::Tcp { host, port, path, .. } => (host, port, path.as_deref().unwrap_or_default()),
            Target::Unix(path) => return write!(f, "unix:{}", path.display()),
        };
        let brackets = host.contains(':') && (port.is_some() || self.scheme().is_some());
        f.write_str(&if brackets { format!("[{host}]") } else { host.clone() })?;
        match port {
            Some(port) => write!(f, ":{port}{path}"),
            None => f.write_str(path),
        }
    }
}

/// Where `target` is, on `port` if it names none. A name with several addresses (such as localhost: `::1` and
/// `127.0.0.1`) stands for the first that accepts a connection within `patience`, or else for the first.
///
/// # Errors
/// [`TargetError::Unresolvable`].
pub fn resolve(target: &Target, port: u16, patience: Duration) -> Result<Endpoint, TargetError> {
    let (host, port) = match target {
        Target::Tcp { host, port: own, .. } => (host, own.unwrap_or(port)),
        Target::Unix(path) => return Ok(Endpoint::Unix(path.clone())),
    };
    let unresolvable = |reason: String| TargetError::Unresolvable { host: host.clone(), reason };
    let all: Vec<SocketAddr> =
        (host.as_str(), port).to_socket_addrs().map_err(|error| unresolvable(error.to_string()))?.collect();
    let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, patience).is_ok();
    let chosen = if all.len() > 1 { all.iter().find(answers).or(all.first()) } else { all.first() };
    chosen.copied().map(Endpoint::Tcp).ok_or_else(|| unresolvable("it has no address".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_in_every_usual_form() {
        let (plain, tls) = (Some(Scheme::Mqtt), Some(Scheme::Mqtts));
        for (text, scheme, host, port) in [
            ("broker.lab", None, "broker.lab", None),
            ("broker.lab:1884", None, "broker.lab", Some(1884)),
            ("mqtt://10.0.0.7:1883", plain, "10.0.0.7", Some(1883)),
            ("mqtt://10.0.0.7/", plain, "10.0.0.7", None),
            ("tcp://a:1", plain, "a", Some(1)),
            ("mqtts://broker.lab", tls, "broker.lab", None),
            ("mqtts://[::1]", tls, "::1", None),
            ("ssl://[::1]:8883", tls, "::1", Some(8883)),
            ("::1", None, "::1", None),
            ("[::1]", None, "::1", None),
            ("[fe80::1]:1883", None, "fe80::1", Some(1883)),
            ("unix", None, "unix", None),
            ("unix:1883", None, "unix", Some(1883)),
        ] {
            let target = text.parse();
            let expected = Ok(Target::Tcp { scheme, host: host.into(), port, path: None });
            assert_eq!(target, expected, "{text}");
            let shown = target.unwrap().to_string();
            assert_eq!(shown.parse(), expected, "{shown}");
        }
        for text in
            ["", ":1883", "a:b", "a:0", "a:70000", "[::1", "[::1]x", "a/b", "user@host", "unix:", "unix:a"]
        {
            assert_eq!(text.parse::<Target>(), Err(TargetError::Malformed(text.into())));
        }
        let error = "http://a".parse::<Target>().unwrap_err().to_string();
        assert!(error.contains("`http`") && error.contains("mqtts://"), "{error}");
    }

    #[test]
    fn a_websocket_has_a_path() {
        for (text, host, port, path) in [
            ("ws://broker.lab", "broker.lab", None, None),
            ("ws://broker.lab:8083", "broker.lab", Some(8083), None),
            ("wss://broker.lab:8084/mqtt", "broker.lab", Some(8084), Some("/mqtt")),
            ("ws://broker.lab/", "broker.lab", None, Some("/")),
            ("ws://broker.lab/a/b?token=c:d@e/f", "broker.lab", None, Some("/a/b?token=c:d@e/f")),
            ("ws://[::1]:80?x=%20", "::1", Some(80), Some("/?x=%20")),
            ("wss://[fe80::1]/x", "fe80::1", None, Some("/x")),
        ] {
            let target: Target = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            let scheme = Some(if text.starts_with("wss") { Scheme::Wss } else { Scheme::Ws });
            let (host, path) = (host.to_owned(), path.map(str::to_owned));
            assert_eq!(target, Target::Tcp { scheme, host, port, path }, "{text}");
            assert_eq!(target.to_string().parse(), Ok(target), "{text}");
        }
        for text in
            ["ws://", "ws:///mqtt", "ws://a/b c", "ws://a/b#c", "ws://a/\r\nX: y", "ws://a:b/c", "ws://ü/ü"]
        {
            assert_eq!(text.parse::<Target>(), Err(TargetError::Malformed(text.into())));
        }
    }

    #[test]
    fn unix_sockets_are_named_by_their_path() {
        for text in ["unix:/run/mosquitto.sock", "unix:///run/mosquitto.sock"] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), "unix:/run/mosquitto.sock");
            let endpoint = resolve(&target, 1883, Duration::ZERO).unwrap();
            assert_eq!(endpoint, Endpoint::Unix(Path::new("/run/mosquitto.sock").into()));
            assert_eq!(endpoint.to_string(), target.to_string());
        }
        let longest = format!("unix:/{}", "a".repeat(LONGEST_PATH - 1));
        assert_eq!(longest.parse::<Target>().unwrap().to_string(), longest);
        let error = format!("{longest}a").parse::<Target>().unwrap_err().to_string();
        assert!(error.contains("107 bytes"), "{error}");
        assert!(matches!("unix://host/path".parse::<Target>(), Err(TargetError::Scheme { .. })));
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
