//! Sockets as the engine wants them.

use super::{Close, Endpoint, Route};
use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU32, Ordering};

/// A range of local ports, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortRange {
    /// The first of them.
    pub low: u16,
    /// The last of them.
    pub high: u16,
}

impl PortRange {
    /// Every port that needs no privilege.
    pub const WIDEST: PortRange = PortRange { low: 1024, high: 65535 };

    /// How many they are.
    pub fn ports(self) -> u32 {
        u32::from(self.high) - u32::from(self.low) + 1
    }
}

/// The system's range (`net.ipv4.ip_local_port_range`, for IPv6 too).
pub fn ephemeral_ports() -> PortRange {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = text.split_whitespace().map_while(|end| end.parse().ok());
    match (ends.next(), ends.next()) {
        (Some(low), Some(high)) if low <= high => PortRange { low, high },
        _ => PortRange { low: 32768, high: 60999 },
    }
}

/// A socket address as the kernel reads it.
#[derive(Clone, Copy)]
pub struct RawAddress {
    storage: libc::sockaddr_storage,
    pub len: libc::socklen_t,
}

impl RawAddress {
    pub fn new(endpoint: &Endpoint) -> RawAddress {
        // SAFETY: sockaddr_storage is plain data, large and aligned enough for all families, and all
        // zeroes is valid for each.
        unsafe {
            let mut storage: libc::sockaddr_storage = std::mem::zeroed();
            let len = match endpoint {
                Endpoint::Unix(path) => {
                    let raw = &mut *(&raw mut storage).cast::<libc::sockaddr_un>();
                    raw.sun_family = libc::AF_UNIX as libc::sa_family_t;
                    let bytes = path.as_os_str().as_bytes();
                    // What does not fit was turned away by `outgoing`, which is asked first.
                    for (to, from) in raw.sun_path.iter_mut().zip(bytes) {
                        *to = *from as libc::c_char;
                    }
                    std::mem::size_of::<libc::sockaddr_un>()
                }
                Endpoint::Tcp(SocketAddr::V4(v4)) => {
                    let raw = &mut *(&raw mut storage).cast::<libc::sockaddr_in>();
                    raw.sin_family = libc::AF_INET as libc::sa_family_t;
                    raw.sin_port = v4.port().to_be();
                    raw.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                    std::mem::size_of::<libc::sockaddr_in>()
                }
                Endpoint::Tcp(SocketAddr::V6(v6)) => {
                    let raw = &mut *(&raw mut storage).cast::<libc::sockaddr_in6>();
                    raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                    raw.sin6_port = v6.port().to_be();
                    raw.sin6_addr.s6_addr = v6.ip().octets();
                    raw.sin6_scope_id = v6.scope_id();
                    std::mem::size_of::<libc::sockaddr_in6>()
                }
            };
            RawAddress { storage, len: len as libc::socklen_t }
        }
    }

    /// For the kernel to read.
    pub fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }
}

/// An unconnected socket for connecting by `route`, bound to its source when it has one. Without ports of its own
/// the port is chosen at `connect`, so that one source address serves a full port range *per destination*.
pub fn outgoing(route: &Route) -> io::Result<OwnedFd> {
    let &Route { ref remote, source: local, ports, close, unsent, .. } = route;
    let remote = match remote {
        Endpoint::Tcp(address) => *address,
        Endpoint::Unix(path) if path.as_os_str().len() > LONGEST_PATH => {
            let len = path.as_os_str().len();
            let text =
                format!("the path of a Unix socket has at most {LONGEST_PATH} bytes, and this one has {len}");
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, text));
        }
        // What follows is of TCP alone.
        Endpoint::Unix(_) => return stream(libc::AF_UNIX),
    };
    let socket = stream(family(remote))?;
    set(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    if let Some(most) = unsent {
        set(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, most)?;
    }
    if close == Close::Rst {
        let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
        set(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, at_once)?;
    }
    if let Some(ports) = ports {
        let any =
            || if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        bind_within(socket.as_raw_fd(), local.unwrap_or_else(any), ports)?;
    } else if let Some(local) = local {
        set(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
        bind(socket.as_raw_fd(), SocketAddr::new(local, 0))?;
    }
    Ok(socket)
}

/// Asks for the arrival time of everything that `socket` receives; false where there is none: Unix sockets have no
/// stamps, and neither has a kernel that does not know the option.
pub fn stamp(socket: &OwnedFd, route: &Route) -> bool {
    let tcp = matches!(route.remote, Endpoint::Tcp(_));
    tcp && set(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1).is_ok()
}

/// Binds `socket` to a port of `ports` that nobody has. (The socket option IP_LOCAL_PORT_RANGE would not do: it
/// narrows the system's range, and anything of it beyond is ignored. It also needs Linux 6.3.)
fn bind_within(socket: RawFd, local: IpAddr, ports: PortRange) -> io::Result<()> {
    // From the last one down, away from services, and each worker on from where the others are.
    static TURN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..ports.ports() {
        let turn = TURN.fetch_add(1, Ordering::Relaxed) % ports.ports();
        match bind(socket, SocketAddr::new(local, ports.high - turn as u16)) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EADDRINUSE | libc::EACCES)) => {}
            bound => return bound,
        }
    }
    let text = format!("no port from {} to {} is free", ports.low, ports.high);
    Err(io::Error::new(io::ErrorKind::AddrInUse, text))
}

/// Listening sockets for as many workers, all at `address`, which is nobody else's: the kernel spreads connections
/// over them. Port 0 takes a free one. Accepted sockets inherit `TCP_NODELAY`.
///
/// `SO_REUSEPORT` from the start would let in every other socket of the same user that has it too. So the first one
/// listens without it, which fails beside any other listener, and shares the address only then. `SO_REUSEADDR` is for
/// connections of an earlier listener that are not over (TIME_WAIT).
pub fn listen(address: SocketAddr, sockets: usize) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(sockets);
    let mut address = address;
    for _ in 0..sockets {
        let socket = stream(family(address))?;
        let first = listeners.is_empty();
        set(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
        set(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, i32::from(!first))?;
        set(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
        if let SocketAddr::V6(v6) = address {
            let only = i32::from(v6.ip() != &Ipv6Addr::UNSPECIFIED);
            set(socket.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, only)?;
        }
        bind(socket.as_raw_fd(), address)?;
        // The kernel lowers it to net.core.somaxconn.
        // SAFETY: no pointers.
        check(unsafe { libc::listen(socket.as_raw_fd(), 65535) })?;
        if first {
            set(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        }
        let listener = TcpListener::from(socket);
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Ends listening at once. Closing does so only when the ring that accepted from the socket has let go of it, which
/// the kernel sees to some time after the ring's worker has ended.
pub fn stop_listening(listener: &TcpListener) {
    // SAFETY: no pointers. It fails for a socket that does not listen, which is what is wanted.
    unsafe { libc::shutdown(listener.as_raw_fd(), libc::SHUT_RDWR) };
}

/// Bytes of the path of a Unix socket: 108 with the zero behind it.
pub(super) const LONGEST_PATH: usize = 107;

fn family(address: SocketAddr) -> libc::c_int {
    if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }
}

fn stream(family: libc::c_int) -> io::Result<OwnedFd> {
    // Who finds the backlog of a Unix socket full is to wait, in a thread of the kernel's: without blocking,
    // `connect` fails there with EAGAIN, and nothing tells when to try again. Nothing else blocks: the ring arms a
    // poll first, and sends have MSG_DONTWAIT.
    let blocking = if family == libc::AF_UNIX { 0 } else { libc::SOCK_NONBLOCK };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | blocking;
    // SAFETY: no pointers; a new descriptor or -1 comes back, and nobody else owns it.
    unsafe {
        let fd = libc::socket(family, kind, 0);
        check(fd)?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

fn bind(socket: RawFd, address: SocketAddr) -> io::Result<()> {
    let raw = RawAddress::new(&address.into());
    // SAFETY: pointer and length describe `raw`, which outlives the call.
    check(unsafe { libc::bind(socket, raw.as_ptr(), raw.len) })
}

/// `value` is of the type that the option has: an int, but for SO_LINGER.
fn set<T: Copy>(socket: RawFd, level: libc::c_int, option: libc::c_int, value: T) -> io::Result<()> {
    let len = std::mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: pointer and length describe `value`, which outlives the call.
    check(unsafe { libc::setsockopt(socket, level, option, (&raw const value).cast(), len) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether `endpoint` is on this machine: only its own addresses can be bound.
pub fn is_local(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Tcp(address) => UdpSocket::bind((address.ip(), 0)).is_ok(),
        Endpoint::Unix(_) => true,
    }
}

/// The addresses of an interface; of IPv6 not those that are good on their link alone.
pub(super) fn interface(name: &str) -> impl Iterator<Item = IpAddr> {
    let mut found = Vec::new();
    let mut list = std::ptr::null_mut();
    // SAFETY: the kernel's answer is a list that ends with null, whose names are strings and whose addresses, where there
    // are any, are of the family that they begin with; it is freed once and not used after that.
    unsafe {
        if libc::getifaddrs(&mut list) != 0 {
            return found.into_iter();
        }
        let mut at = list;
        while let Some(entry) = at.as_ref() {
            at = entry.ifa_next;
            if CStr::from_ptr(entry.ifa_name).to_bytes() != name.as_bytes() || entry.ifa_addr.is_null() {
                continue;
            }
            match i32::from((*entry.ifa_addr).sa_family) {
                libc::AF_INET => {
                    let v4 = &*entry.ifa_addr.cast::<libc::sockaddr_in>();
                    found.push(IpAddr::V4(u32::from_be(v4.sin_addr.s_addr).into()));
                }
                libc::AF_INET6 => {
                    let v6 = Ipv6Addr::from((*entry.ifa_addr.cast::<libc::sockaddr_in6>()).sin6_addr.s6_addr);
                    found.extend(Some(IpAddr::V6(v6)).filter(|_| !v6.is_unicast_link_local()));
                }
                _ => {}
            }
        }
        libc::freeifaddrs(list);
    }
    found.into_iter()
}

/// Source addresses for `remote` when one does not have enough ports: on loopback all of 127/8 is this
/// machine's, elsewhere the kernel's choice of source is the only one.
pub fn loopback_source(remote: &Endpoint, index: u32) -> Option<IpAddr> {
    match remote {
        Endpoint::Tcp(SocketAddr::V4(v4)) if v4.ip().is_loopback() => {
            // 127.0.0.1, 127.0.0.2, ... without .0 and .255, which some people filter.
            let (high, low) = (index / 254, index % 254 + 1);
            Some(IpAddr::V4(Ipv4Addr::from(0x7f00_0000 | high << 8 | low)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The port a connection from `ports` comes from.
    fn comes_from(ports: PortRange, source: Option<IpAddr>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = listener.local_addr().unwrap();
        let route = Route { source, ports: Some(ports), ..Route::from(Endpoint::from(remote)) };
        let socket = outgoing(&route).unwrap();
        let raw = RawAddress::new(&remote.into());
        // SAFETY: pointer and length describe `raw`, which outlives the call.
        let connecting = unsafe { libc::connect(socket.as_raw_fd(), raw.as_ptr(), raw.len) };
        let begun = check(connecting).map_err(|error| error.raw_os_error());
        assert!(matches!(begun, Ok(()) | Err(Some(libc::EINPROGRESS))), "{begun:?}");
        let (_, peer) = listener.accept().unwrap();
        assert!(source.is_none_or(|source| source == peer.ip()), "{peer}");
        peer.port()
    }

    #[test]
    fn ports_are_chosen_beyond_those_of_the_system() {
        let system = ephemeral_ports();
        let ports = PortRange { low: system.low - 500, high: system.low - 1 };
        for source in [None, Some(Ipv4Addr::new(127, 0, 0, 9).into())] {
            let port = comes_from(ports, source);
            assert!((ports.low..=ports.high).contains(&port), "{port}");
        }
    }

    #[test]
    fn ports_that_somebody_has_are_passed_over() {
        let somebody = TcpListener::bind("0.0.0.0:0").unwrap();
        let taken = somebody.local_addr().unwrap().port();
        let port = comes_from(PortRange { low: taken - 200, high: taken }, None);
        assert!((taken - 200..taken).contains(&port), "{port}");
        let ports = Some(PortRange { low: taken, high: taken });
        let remote = Endpoint::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 1883)));
        let error = outgoing(&Route { ports, ..Route::from(remote) }).unwrap_err();
        assert_eq!(error.to_string(), format!("no port from {taken} to {taken} is free"));
    }
}
