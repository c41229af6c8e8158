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

/// Whether this kernel can run the engine at all: the ring's flags (Linux 6.1) and provided buffers.
pub fn probe() -> Result<(), Error> {
    let ring = Ring::new()?;
    // The kernel unregisters the buffers with the ring, so the ring goes first.
    let buffers = Provided::new(&ring, 1, 4096)?;
    drop(ring);
    drop(buffers);
    Ok(())
}
