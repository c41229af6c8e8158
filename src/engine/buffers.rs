//! Memory for bytes on their way: the ring of provided receive buffers and the pool of send buffers.

use super::{Error, arrival, ring::Ring};
use io_uring::types::BufRingEntry;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// The buffer group of a ring: it has one.
pub const GROUP: u16 = 0;

/// A ring of equal buffers from which the kernel takes one when bytes arrive (`IORING_REGISTER_PBUF_RING`,
/// Linux 5.19), so that no connection owns memory while it waits.
pub struct Provided {
    entries: Mapping,
    memory: Mapping,
    count: u16,
    size: u32,
    tail: u16,
    /// Of all buffers, the first so many are in use: the rest of the memory was never touched.
    lent: u16,
    /// Buffers that came back since the last publish.
    used: u16,
}

/// Buffers that a ring begins with. A worker of a hundred that only hears pings needs no more.
const LENT_FIRST: u16 = 64;

impl Provided {
    /// `count` of them, for `size` bytes each and what says when they arrived.
    pub fn new(ring: &Ring, count: u16, size: u32) -> Result<Provided, Error> {
        let size = size + arrival::SPACE as u32;
        assert!(count.is_power_of_two() && count <= 1 << 15, "{count} receive buffers");
        let setup = |source| Error::Setup { what: "the receive buffers", source };
        let entries =
            Mapping::new(usize::from(count) * std::mem::size_of::<BufRingEntry>()).map_err(setup)?;
        let memory = Mapping::new(usize::from(count) * size as usize).map_err(setup)?;
        // SAFETY: both mappings live as long as `Provided`, which the worker drops after its ring.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(entries.start.as_ptr() as u64, count, GROUP, 0)
        }
        .map_err(setup)?;
        let mut provided = Provided { entries, memory, count, size, tail: 0, lent: 0, used: 0 };
        provided.lend(count.min(LENT_FIRST));
        provided.publish();
        Ok(provided)
    }

    /// The first `len` bytes of buffer `id`, which the kernel has filled and not yet got back.
    pub fn bytes(&self, id: u16, len: usize) -> &[u8] {
        assert!(id < self.count && len <= self.size as usize, "buffer {id}, {len} bytes");
        // SAFETY: inside the mapping by the assertion; the kernel does not write to a buffer between
        // its completion and `give_back`, and that takes `&mut self`.
        unsafe {
            std::slice::from_raw_parts(
                self.memory.start.as_ptr().add(usize::from(id) * self.size as usize),
                len,
            )
        }
    }

    /// Hands buffer `id` to the kernel again, at the next [`publish`](Self::publish).
    pub fn give_back(&mut self, id: u16) {
        self.used += 1;
        self.put(id);
    }

    /// Uses buffers up to the first `lent`.
    fn lend(&mut self, lent: u16) {
        (self.lent..lent).for_each(|id| self.put(id));
        self.lent = lent;
    }

    fn put(&mut self, id: u16) {
        let index = usize::from(self.tail & (self.count - 1));
        // SAFETY: `index` is inside the mapping of `count` entries, and the entry is ours: it lies
        // beyond the published tail. Zeroed memory is a valid entry.
        let entry = unsafe { &mut *self.entries.start.as_ptr().cast::<BufRingEntry>().add(index) };
        entry.set_addr(self.memory.start.as_ptr() as u64 + u64::from(id) * u64::from(self.size));
        entry.set_len(self.size);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see the buffers given back, and more of them when half were in use at a time.
    pub fn publish(&mut self) {
        if self.used > self.lent / 2 && self.lent < self.count {
            self.lend(self.lent.saturating_mul(4).min(self.count));
        }
        self.used = 0;
        // SAFETY: the tail is an aligned u16 inside the first entry (struct io_uring_buf_ring), written
        // by this thread only and read by the kernel.
        let tail = unsafe {
            let tail = BufRingEntry::tail(self.entries.start.as_ptr().cast());
            &*tail.cast::<AtomicU16>()
        };
        tail.store(self.tail, Ordering::Release);
    }
}

/// Anonymous zeroed pages.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn new(len: usize) -> io::Result<Mapping> {
        // SAFETY: a new private mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { start: NonNull::new(start.cast()).expect("mmap does not map page 0"), len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped, and nobody else unmaps it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Index of a buffer in a [`Pool`], or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BufferId(u32);

impl BufferId {
    /// No buffer.
    pub const NONE: BufferId = BufferId(u32::MAX);

    /// Whether there is one.
    pub fn is_some(self) -> bool {
        self != BufferId::NONE
    }
}

/// Growable buffers lent to connections that have bytes to send or an unfinished packet to keep. They
/// keep their capacity, so a steady load allocates nothing; an idle connection holds none.
#[derive(Default)]
pub struct Pool {
    buffers: Vec<Vec<u8>>,
    free: Vec<BufferId>,
}

/// A returned buffer larger than this is freed, so that one huge packet does not pin its memory.
const KEEP: usize = 256 * 1024;
/// A new buffer's capacity: many acks or several small publishes.
const FIRST: usize = 512;

impl Pool {
    /// Lends an empty buffer.
    pub fn take(&mut self) -> BufferId {
        self.free.pop().unwrap_or_else(|| {
            self.buffers.push(Vec::with_capacity(FIRST));
            // So that giving back never allocates.
            self.free.reserve(self.buffers.len());
            BufferId((self.buffers.len() - 1) as u32)
        })
    }

    /// Takes `id` back.
    pub fn put(&mut self, id: BufferId) {
        let buffer = &mut self.buffers[id.0 as usize];
        buffer.clear();
        if buffer.capacity() > KEEP {
            buffer.shrink_to(FIRST);
        }
        self.free.push(id);
    }

    /// What is in it.
    pub fn get(&self, id: BufferId) -> &Vec<u8> {
        &self.buffers[id.0 as usize]
    }

    /// What is in it, to be changed.
    pub fn get_mut(&mut self, id: BufferId) -> &mut Vec<u8> {
        &mut self.buffers[id.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_buffers_are_in_use_when_half_were_within_a_pass() {
        let ring = Ring::new(false).unwrap();
        let mut provided = Provided::new(&ring, 512, 64).unwrap();
        let mut pass = |used: u16| {
            (0..used).for_each(|id| provided.give_back(id));
            provided.publish();
            provided.lent
        };
        assert_eq!(
            [pass(1), pass(32), pass(33), pass(128), pass(129), pass(500)],
            [64, 64, 256, 256, 512, 512]
        );
        // The kernel unregisters the buffers with the ring, so the ring goes first.
        drop(ring);
    }
}
