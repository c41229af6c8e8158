//! Where a broker is, and how a client gets there.

use super::Close;
use super::socket::PortRange;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// One end of a connection that can be connected to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Endpoint {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket of the type `SOCK_STREAM`, by its path.
    Unix(Arc<Path>),
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Endpoint {
        Endpoint::Tcp(address)
    }
}

impl fmt::Display for Endpoint {
    /// `127.0.0.1:1883`, `unix:/run/mosquitto.sock`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => address.fmt(f),
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The way to an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// Where it leads.
    pub remote: Endpoint,
    /// The local address to come from; `None` leaves it to the kernel. TCP only.
    pub source: Option<IpAddr>,
    /// The local ports to come from, also such as the system chooses none from; `None` leaves them to the kernel. TCP only.
    pub ports: Option<PortRange>,
    /// How the connection ends, when this side closes it. TCP only.
    pub close: Close,
    /// Bytes that the kernel takes beyond what the peer lets it send, about; `None`: as many as there is memory for. TCP
    /// only (`TCP_NOTSENT_LOWAT`).
    pub unsent: Option<u32>,
    /// Which of the brokers it leads to, and for which client: whoever carries the connection may have a name or a
    /// certificate for each.
    pub host: u32,
    /// See above.
    pub client: u32,
}

impl From<Endpoint> for Route {
    fn from(remote: Endpoint) -> Route {
        Route { remote, source: None, ports: None, close: Close::Fin, unsent: None, host: 0, client: 0 }
    }
}
