//! What the kernel must offer, and how much of it.

use super::{Error, buffers::Provided, ring::Ring};

/// Raises the soft limit on open files to the hard limit and answers it. The limit bounds the table of
/// registered files of *each ring* (`io_sqe_files_register` compares with `RLIMIT_NOFILE`), not the
/// connections of the process.
pub fn descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit for the kernel to write, then to read.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0, "getrlimit");
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raised) == 0 {
            return raised.rlim_cur;
        }
    }
    limit.rlim_cur
}

/// The most connections of a ring: the limit on open files, or what the kernel allows at all.
pub fn largest_table() -> u32 {
    descriptor_limit().min(1 << 20) as u32
}

/// Keeps the memory of this process in small pages. Each of many threads has a heap of its own, and a huge page for each
/// kind of thing in it makes twice as much of what a million clients take. Where the kernel cannot, memory is larger.
pub fn use_small_pages() {
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

/// Whether this process may open the files of so many rings more.
pub fn reserve(rings: u32) -> Result<(), Error> {
    // The ring, two handles of a listener, and its worker's waker, chime, and socket on its way into the table.
    const EACH: u64 = 4;
    let limit = descriptor_limit();
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64);
    let needed = open + u64::from(rings) * EACH;
    if needed > limit { Err(Error::Files { rings, needed, limit }) } else { Ok(()) }
}

/// What to do about an error of set-up, to stand behind it.
pub(super) fn remedy(error: &std::io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => "; raise the limit on open files (`ulimit -Hn`)",
        Some(libc::ENFILE) => "; raise the system's limit on open files (`sysctl fs.file-max`)",
        Some(libc::ENOMEM) => "; free memory, or raise the limit on locked memory (`ulimit -Hl`)",
        _ => "",
    }
}

/// Whether this kernel can run the engine at all: the ring's flags (Linux 6.1) and provided buffers.
pub fn probe() -> Result<(), Error> {
    let ring = Ring::new(false)?;
    // The kernel unregisters the buffers with the ring, so the ring goes first.
    let buffers = Provided::new(&ring, 1, 4096)?;
    drop(ring);
    drop(buffers);
    Ok(())
}
