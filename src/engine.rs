//! The loop of one worker: one pinned thread, many connections.
//!
//! A [`Worker`] owns an io_uring, its table of registered files (a connection is a *slot* of that table
//! and never takes a file descriptor), a ring of provided receive buffers and a pool of send buffers; where the limit
//! on open files makes the table too small, it owns several such rings.
//! What the bytes mean is the business of an [`App`], which is called back with what happened and
//! answers through [`Io`]. Nothing here allocates, locks or reads a clock per message: the clock is read
//! once per batch of completions, and everything due to a connection leaves in one send per batch.
//!
//! This is the only floor with I/O and `unsafe`.

#![allow(unsafe_code)]

mod arrival;
mod buffers;
mod endpoint;
mod io;
mod limits;
mod link;
mod ring;
mod rings;
mod sealed;
mod slots;
mod socket;
mod sources;
mod target;
mod timeouts;
mod usage;
mod waker;
mod worker;

pub use endpoint::{Endpoint, Route};
pub use io::Io;
pub use limits::{descriptor_limit, largest_table, probe, reserve, use_small_pages};
pub use link::{Handshake, Link};
pub use sealed::{Ends, Sealed, SealedLink};
pub use socket::{PortRange, ephemeral_ports, is_local, listen, loopback_source, stop_listening};
pub use sources::{OwnSources, Source, SourceError, Sources};
pub use target::{Scheme, Target, TargetError, WEBSOCKET_PATH, resolve};
pub use usage::{Usage, process_usage, resident_bytes, thread_usage};
pub use waker::Waker;
pub use worker::Worker;

use crate::clock::Nanos;
pub use crate::record::{Close, Poll};
use crate::transport::Trouble;
use std::fmt;
use std::net::TcpListener;

/// A connection: its slot in the worker's tables of registered files. A slot is used again only after
/// [`App::closed`] was called for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Conn(pub u32);

/// Why a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseCause {
    /// [`Link::close`] or [`Link::abort`] was called.
    Local,
    /// The peer closed its side.
    Eof,
    /// The socket failed with this errno.
    Error(i32),
    /// An outgoing connection was never established; the errno says why.
    ConnectFailed(i32),
    /// What carries it could not go on.
    Transport(Trouble),
}

impl fmt::Display for CloseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            CloseCause::Local => f.write_str("closed from this side"),
            CloseCause::Eof => f.write_str("closed by the peer"),
            CloseCause::Error(errno) | CloseCause::ConnectFailed(errno) => {
                std::io::Error::from_raw_os_error(errno).fmt(f)
            }
            CloseCause::Transport(trouble) => trouble.fmt(f),
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed {
    /// Why.
    pub cause: CloseCause,
    /// Bytes written to it that the kernel has never taken: the last ones.
    pub unsent: usize,
    /// Of those that it has taken, the last ones, which the peer's kernel has not acknowledged. 0 where nobody asked
    /// ([`Link::ask_unacked`]) and where the kernel does not say: before Linux 6.7, and of Unix sockets.
    pub unacked: usize,
}

/// What runs on a worker. Every call is made from the worker's thread; time is [`Link::now`]. `L` is the worker
/// as the application sees it: [`Io`], or what stands for it in a simulation.
pub trait App<L = Io> {
    /// Called once, before anything else.
    fn started(&mut self, _link: &mut L) {}

    /// An outgoing connection ([`Link::dial`]) is established.
    fn connected(&mut self, link: &mut L, conn: Conn);

    /// An incoming connection is established.
    fn accepted(&mut self, link: &mut L, conn: Conn);

    /// Bytes arrived. Answers how many of them were used up: the rest is kept and given again, in
    /// front of what follows.
    fn data(&mut self, link: &mut L, conn: Conn, bytes: &[u8]) -> usize;

    /// The kernel took what it had no room for: [`Link::blocked`] is false again.
    fn writable(&mut self, link: &mut L, conn: Conn);

    /// The connection is gone and its slot free. Called exactly once per connection.
    fn closed(&mut self, link: &mut L, conn: Conn, closed: Closed);

    /// Another thread rang this worker's [`Waker`].
    fn woken(&mut self, link: &mut L);

    /// The end of every batch of completions: do what is due at [`Link::now`], and answer when to be
    /// called again at the latest, completions or not (`None`: only on completions).
    fn pass(&mut self, link: &mut L) -> Option<Nanos>;
}

/// What a worker is made of.
pub struct Config {
    /// The most connections at one time; accepting goes on until all tables are full, which are of one size.
    pub connections: u32,
    /// The most that one ring has: when that is less, there are more rings. At most [`largest_table`].
    pub table: u32,
    /// Accept incoming connections from these sockets, each into a ring of its own.
    pub listeners: Vec<TcpListener>,
    /// Number of provided receive buffers of each ring, a power of two up to 32,768.
    pub buffers: u16,
    /// Bytes of one receive buffer.
    pub buffer_size: u32,
    /// How it waits.
    pub poll: Poll,
    /// Rung by other threads.
    pub waker: Waker,
}

impl Config {
    /// The usual worker: 1,024 receive buffers of 4 KiB, and it sleeps.
    pub fn new(connections: u32, waker: Waker) -> Config {
        Config {
            connections,
            table: largest_table(),
            listeners: Vec::new(),
            buffers: 1024,
            buffer_size: 4096,
            poll: Poll::Sleep,
            waker,
        }
    }
}

/// What a worker counted, over its life or some of it. All are plain counters of events, except the bytes.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Calls of `io_uring_enter`.
    pub enters: u64,
    /// Time outside of them, in nanoseconds.
    pub code_ns: Nanos,
    /// Of that, time spent looking at the clock and for completions, where a worker does not sleep.
    pub spun_ns: Nanos,
    /// Of that, time spent on handshakes of transports.
    pub handshake_ns: Nanos,
    /// Completions handled; a send that went through has none.
    pub completions: u64,
    /// Sends handed to the kernel, one for each connection and pass, and one for each rest of one.
    pub sends: u64,
    /// Bytes the kernel took: all that were written to connections, but what was unsent at their end.
    pub bytes_out: u64,
    /// Receives that brought bytes.
    pub receives: u64,
    /// Bytes they brought.
    pub bytes_in: u64,
    /// Sends that found the socket's buffer full.
    pub blocked: u64,
    /// Receives that ended because the ring of provided buffers was empty.
    pub no_buffers: u64,
    /// Passes that found the completion queue full: so far behind was the worker. The kernel keeps what does not
    /// fit; where it cannot, the worker ends with [`Error::Overflow`].
    pub overflows: u64,
    /// Accepts that ended because every slot was taken, or the system short of files or memory: each has turned
    /// away at most one connection.
    pub accept_refused: u64,
}

impl Stats {
    /// What was counted between `earlier` and this.
    pub fn since(self, earlier: Stats) -> Stats {
        Stats {
            enters: self.enters - earlier.enters,
            code_ns: self.code_ns - earlier.code_ns,
            spun_ns: self.spun_ns - earlier.spun_ns,
            handshake_ns: self.handshake_ns - earlier.handshake_ns,
            completions: self.completions - earlier.completions,
            sends: self.sends - earlier.sends,
            bytes_out: self.bytes_out - earlier.bytes_out,
            receives: self.receives - earlier.receives,
            bytes_in: self.bytes_in - earlier.bytes_in,
            blocked: self.blocked - earlier.blocked,
            no_buffers: self.no_buffers - earlier.no_buffers,
            overflows: self.overflows - earlier.overflows,
            accept_refused: self.accept_refused - earlier.accept_refused,
        }
    }
}

/// The longest times of a worker's loop within some time.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Longest {
    /// Between two returns from the kernel while there was something to do: completions to handle, something to
    /// submit, or a deadline that had passed.
    pub gap_ns: Nanos,
    /// Of its own code between two calls of the kernel.
    pub code_ns: Nanos,
}

impl CloseCause {
    /// Whether this machine was short of something that a connection needs: ports, files or memory.
    pub fn is_a_cap(self) -> bool {
        let caps = [libc::EADDRNOTAVAIL, libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
        matches!(self, CloseCause::ConnectFailed(errno) if caps.contains(&errno))
    }
}

/// What keeps a worker from starting or running. Each message names the value and the fix.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel or a filter in front of it refuses io_uring.
    #[error(
        "io_uring is not available: {source}. {}",
        "Allow it with `sysctl kernel.io_uring_disabled=0`, or lift the container's seccomp filter"
    )]
    Unavailable {
        /// What `io_uring_setup` answered.
        source: std::io::Error,
    },
    /// The kernel lacks what came with Linux 6.1.
    #[error("Linux {release} is too old: the engine needs 6.1 or later (it lacks {missing})")]
    KernelTooOld {
        /// The kernel's release.
        release: String,
        /// What it lacks.
        missing: &'static str,
    },
    /// The table of registered files cannot be so large.
    #[error(
        "a ring cannot register {asked} connections: {source}. The hard limit on open files \
         (`ulimit -Hn`) holds for each ring"
    )]
    FileTable {
        /// Slots.
        asked: u32,
        /// What `io_uring_register` answered.
        source: std::io::Error,
    },
    /// The process may not open as many files as its rings need.
    #[error(
        "{rings} rings need {needed} open files at a time, and the limit is {limit}: raise it \
         (`ulimit -Hn`), or drive fewer clients"
    )]
    Files {
        /// Rings to be made.
        rings: u32,
        /// Open files, those that are open already included.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// A part of the worker cannot be made.
    #[error("cannot set up {what}: {source}{}", limits::remedy(source))]
    Setup {
        /// The part.
        what: &'static str,
        /// What the kernel answered.
        source: std::io::Error,
    },
    /// Completions were lost, so that nothing the worker knows of its connections can be relied on.
    #[error(
        "the kernel lost {lost} completions of a ring: it had no memory to keep what its queue of {queue} does not \
         hold. Free memory, or give each ring fewer clients (fewer of them, or more cores)"
    )]
    Overflow {
        /// Completions lost.
        lost: u32,
        /// Completions the queue holds.
        queue: u32,
    },
    /// The kernel does not run the ring any more.
    #[error("io_uring_enter failed: {source}")]
    Enter {
        /// What it answered.
        source: std::io::Error,
    },
}

#[cfg(test)]
mod tests;
