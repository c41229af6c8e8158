//! What a broker publishes of itself under `$SYS`.

use super::{Look, PATIENCE, Selector, Source, Told};
use crate::record::SeriesKind;
use crate::wire::encode_pingreq;
use crate::wire::{Connect, ConnectCode, Packet, PacketId, Properties, Protocol, QoS, encode_disconnect};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is asked for where nobody chose: as mosquitto and its kin call it.
pub const USUAL: [&str; 7] = [
    "$SYS/broker/publish/messages/dropped",
    "$SYS/broker/messages/received",
    "$SYS/broker/messages/sent",
    "$SYS/broker/bytes/received",
    "$SYS/broker/bytes/sent",
    "$SYS/broker/clients/connected",
    "$SYS/broker/heap/current",
];

/// The longest packet that is taken, and what the keepalive promises: looks come once a second.
const LONGEST: usize = 1 << 20;
const KEEP_ALIVE_S: u16 = 30;

/// A broker that is asked for its `$SYS`.
#[derive(Clone, PartialEq, Eq)]
pub struct Sys {
    /// Where it is.
    pub at: Address,
    /// How it is spoken to, and by whom.
    pub protocol: Protocol,
    pub client_id: String,
    pub username: Option<String>,
    pub password: Option<Vec<u8>>,
}

/// Where a broker listens.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(Arc<Path>),
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A connection of its own, which has nothing to do with the load.
pub struct Topics {
    sys: Sys,
    topics: Vec<Selector>,
    values: Vec<Option<Told>>,
    stream: Option<Box<dyn Stream>>,
    bytes: Vec<u8>,
    /// Whether the broker has let it in, when it reported last, and the longest that this took.
    subscribed: bool,
    told: Option<Instant>,
    gap: Duration,
}

impl Topics {
    pub fn new(sys: &Sys, topics: &[Selector]) -> Topics {
        Topics {
            sys: sys.clone(),
            topics: topics.to_vec(),
            values: vec![None; topics.len()],
            stream: None,
            bytes: Vec::new(),
            subscribed: false,
            told: None,
            gap: Duration::ZERO,
        }
    }

    fn hear(&mut self) -> io::Result<()> {
        if self.stream.is_none() {
            (self.bytes, self.subscribed, self.told) = (Vec::new(), false, None);
            self.stream = Some(self.dial()?);
            // What it keeps comes at once; who has no such topics says nothing.
            let end = Instant::now() + PATIENCE;
            while self.values.contains(&None) && Instant::now() < end {
                self.read()?;
            }
            return if self.subscribed { Ok(()) } else { Err(other("it has not answered in time")) };
        }
        let mut ping = Vec::new();
        encode_pingreq(&mut ping);
        self.stream.as_mut().expect("it is there").write_all(&ping)?;
        self.read()
    }

    fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let Sys { at, protocol, client_id, username, password } = &self.sys;
        let connect = Connect {
            protocol: *protocol,
            bridge: false,
            client_id,
            keep_alive: KEEP_ALIVE_S,
            clean_session: true,
            will: None,
            username: username.as_deref(),
            password: password.as_deref(),
            properties: Properties::NONE,
        };
        let mut packets = Vec::new();
        let filters = self.topics.iter().map(|topic| (topic.name.as_str(), QoS::AtMostOnce));
        connect.encode(&mut packets).map_err(other)?;
        protocol.encode_subscribe(PacketId::MIN, Properties::NONE, filters, &mut packets).map_err(other)?;
        // Long enough for what is under way, and short: a look is not to last.
        let patience = Some(Duration::from_millis(20));
        let mut stream: Box<dyn Stream> = match at {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_read_timeout(patience)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Box::new(stream)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(patience)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Box::new(stream)
            }
        };
        stream.write_all(&packets)?;
        Ok(stream)
    }

    /// Takes what has come.
    fn read(&mut self) -> io::Result<()> {
        let mut part = [0; 4096];
        // No broker says so much that a look would not end.
        for _ in 0..LONGEST / part.len() {
            match self.stream.as_mut().expect("it is there").read(&mut part) {
                Ok(0) => return Err(other("it has ended the connection")),
                Ok(count) => self.bytes.extend_from_slice(&part[..count]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    break;
                }
                Err(error) => return Err(error),
            }
            self.take()?;
        }
        Ok(())
    }

    /// Takes the packets that are whole.
    fn take(&mut self) -> io::Result<()> {
        let mut done = 0;
        while let Some((packet, length)) =
            self.sys.protocol.decode(&self.bytes[done..], LONGEST).map_err(other)?
        {
            done += length;
            match packet {
                Packet::ConnAck(ack) if ack.code != ConnectCode::Accepted => {
                    return Err(other(format!("it refuses: {}", ack.code)));
                }
                Packet::SubAck(_) => self.subscribed = true,
                Packet::Publish(publish) => {
                    let now = Instant::now();
                    let gap = self.told.replace(now).map_or(Duration::ZERO, |last| now - last);
                    self.gap = self.gap.max(gap);
                    let at = self.topics.iter().position(|topic| topic.name == publish.topic);
                    if let (Some(at), Some(value)) = (at, number(publish.payload)) {
                        self.values[at] = Some(Told { value, kind: kind(publish.topic) });
                    }
                }
                _ => {}
            }
        }
        self.bytes.drain(..done);
        Ok(())
    }
}

impl Source for Topics {
    fn look(&mut self) -> Look {
        let error = self.hear().err().map(|error| {
            self.stream = None;
            self.values.fill(None);
            format!("$SYS: {error}")
        });
        Look { values: self.values.clone(), error }
    }

    /// Phases begin and end with its last report.
    fn note(&self) -> Option<String> {
        let seconds = self.gap.as_secs_f64().round();
        (seconds > 0.0).then(|| format!("as of reports up to {seconds} s apart"))
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        if let Some(stream) = &mut self.stream {
            let mut bye = Vec::new();
            encode_disconnect(&mut bye);
            // Who has gone need not be told.
            let _ = stream.write_all(&bye);
        }
    }
}

/// The number that a payload begins with: `17 seconds`.
fn number(payload: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(payload).ok()?;
    text.split_whitespace().next()?.parse().ok().filter(|number: &f64| number.is_finite())
}

/// What is counted since the broker started, and what is there.
fn kind(topic: &str) -> SeriesKind {
    let counted = ["/received", "/sent", "/dropped"].iter().any(|end| topic.ends_with(end));
    let load = topic.starts_with("$SYS/broker/load/");
    if counted && !load { SeriesKind::Counter } else { SeriesKind::Gauge }
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}
