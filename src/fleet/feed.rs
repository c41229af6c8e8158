//! Payloads from the standard output of a command.

use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

/// How records follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// Each line is a record, without its line feed.
    Lines,
    /// Four bytes of length, big endian, then as many bytes.
    Length,
}

/// Why a command gives no payloads.
#[derive(Debug, thiserror::Error)]
#[error("cannot start `{command}` (--payload-from): {source}")]
pub struct FeedError {
    command: String,
    source: io::Error,
}

/// Records read ahead; a command that is faster than the schedule waits.
const AHEAD: usize = 256;
/// Longest record: what fits a packet with any topic.
const LONGEST: u64 = crate::load::LARGEST_PAYLOAD;

/// A running command whose standard output is read ahead. Dropping it ends the command.
pub struct Feed {
    command: String,
    child: Child,
    inner: Mutex<Inner>,
}

struct Inner {
    records: Receiver<io::Result<Vec<u8>>>,
    taken: u64,
    /// Behind what is said of the end, when the output broke off.
    broken: String,
}

impl Feed {
    /// Starts `command` in a shell.
    ///
    /// # Errors
    /// When there is no shell; a command that fails shows as an early end.
    pub fn start(command: &str, framing: Framing) -> Result<Feed, FeedError> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Its own group, so that the end of the feed ends everything the shell has started.
            .process_group(0)
            .spawn()
            .map_err(|source| FeedError { command: command.into(), source })?;
        let mut output = BufReader::with_capacity(1 << 16, child.stdout.take().expect("piped"));
        let (records_to, records) = mpsc::sync_channel(AHEAD);
        thread::spawn(move || {
            while let Some(record) = read(&mut output, framing).transpose() {
                let failed = record.is_err();
                if records_to.send(record).is_err() || failed {
                    return;
                }
            }
        });
        let inner = Mutex::new(Inner { records, taken: 0, broken: String::new() });
        Ok(Feed { command: command.into(), child, inner })
    }

    /// The next record, without waiting; `None` when the command is slower than the schedule.
    ///
    /// # Errors
    /// There will be no more; how many there were, and why, in words.
    pub fn next(&self) -> Result<Option<Vec<u8>>, String> {
        let mut inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match inner.records.try_recv() {
            Ok(Ok(record)) => {
                inner.taken += 1;
                return Ok(Some(record));
            }
            Err(TryRecvError::Empty) => return Ok(None),
            Ok(Err(error)) => inner.broken = format!(": {error}"),
            Err(TryRecvError::Disconnected) => {}
        }
        let Inner { taken, broken, .. } = &*inner;
        Err(format!("`{}` (--payload-from) ended after {taken} payloads{broken}", self.command))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // The whole group: a shell does not take its children along.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next record; `None` at the end.
fn read(from: &mut impl BufRead, framing: Framing) -> io::Result<Option<Vec<u8>>> {
    let mut record = Vec::new();
    match framing {
        Framing::Lines => match from.take(LONGEST + 2).read_until(b'\n', &mut record)? as u64 {
            0 => return Ok(None),
            read if read > LONGEST + 1 => return Err(too_long(read)),
            _ => drop(record.pop_if(|last| *last == b'\n')),
        },
        Framing::Length => {
            let mut length = Vec::new();
            let length = match (from.take(4).read_to_end(&mut length)?, <[u8; 4]>::try_from(length)) {
                (0, _) => return Ok(None),
                (_, Ok(length)) => u64::from(u32::from_be_bytes(length)),
                (read, _) => return Err(broken_off(read, 4, "length")),
            };
            if length > LONGEST {
                return Err(too_long(length));
            }
            let read = from.take(length).read_to_end(&mut record)?;
            if (read as u64) < length {
                return Err(broken_off(read, length, "record"));
            }
        }
    }
    Ok(Some(record))
}

fn too_long(length: u64) -> io::Error {
    io::Error::other(format!("a record of {length} bytes or more is longer than an MQTT packet holds"))
}

fn broken_off(read: usize, of: u64, what: &str) -> io::Error {
    io::Error::other(format!("{read} of the {of} bytes of a {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything until the end, and the end.
    fn all(command: &str, framing: Framing) -> (Vec<String>, String) {
        let feed = Feed::start(command, framing).unwrap();
        let mut records = Vec::new();
        loop {
            match feed.next() {
                Ok(Some(record)) => records.push(String::from_utf8(record).unwrap()),
                Ok(None) => thread::yield_now(),
                Err(why) => return (records, why),
            }
        }
    }

    #[test]
    fn checklist_27_lines_of_a_command_are_payloads() {
        let (records, why) = all("printf 'one\\n\\nthree'", Framing::Lines);
        assert_eq!(records, ["one", "", "three"]);
        assert!(why.contains("ended after 3 payloads"), "{why}");
    }

    #[test]
    fn length_prefixed_records_may_hold_anything() {
        let (records, why) = all("printf '\\000\\000\\000\\003a\\nb\\000\\000\\000\\000'", Framing::Length);
        assert_eq!(records, ["a\nb", ""]);
        assert!(why.ends_with("ended after 2 payloads"), "{why}");
    }

    #[test]
    fn a_record_that_breaks_off_is_told() {
        let (records, why) = all("printf '\\000\\000\\000\\003ab'", Framing::Length);
        assert_eq!((records.len(), why.contains("2 of the 3 bytes of a record")), (0, true), "{why}");
        let (_, why) = all("printf '\\000\\000'", Framing::Length);
        assert!(why.contains("2 of the 4 bytes of a length"), "{why}");
    }

    #[test]
    fn a_command_that_fails_ends_early() {
        let (records, why) = all("no-such-program-here 2>/dev/null", Framing::Lines);
        assert_eq!((records.len(), why.contains("after 0 payloads")), (0, true), "{why}");
    }

    #[test]
    fn a_command_that_never_ends_is_ended() {
        let feed = Feed::start("yes payload", Framing::Lines).unwrap();
        while feed.next() == Ok(None) {
            thread::yield_now();
        }
        drop(feed);
    }
}
