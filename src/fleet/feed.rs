//! Payloads from the standard output of a command.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread;

/// How records follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// Each line is a record, without its line feed.
    Lines,
    /// Four bytes of length, big endian, then as many bytes.
    Length,
}

/// Why a command gives no payloads. Each message names the command.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("cannot start `{command}` (--payload-from): {source}")]
    Start { command: String, source: io::Error },
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
    /// What was read when the output broke off.
    broken: Option<String>,
}

/// What [`Feed::next`] has.
#[derive(PartialEq, Eq, Debug)]
pub enum Next {
    Record(Vec<u8>),
    /// The command is slower than the schedule.
    NotYet,
    /// There will be no more; how many there were, and why, in words.
    Ended(String),
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
            .map_err(|source| FeedError::Start { command: command.into(), source })?;
        let output = BufReader::with_capacity(1 << 16, child.stdout.take().expect("piped"));
        let (records_to, records) = mpsc::sync_channel(AHEAD);
        thread::spawn(move || match framing {
            Framing::Lines => read_lines(output, &records_to),
            Framing::Length => read_lengths(output, &records_to),
        });
        let inner = Mutex::new(Inner { records, taken: 0, broken: None });
        Ok(Feed { command: command.into(), child, inner })
    }

    /// The next record, without waiting.
    pub fn next(&self) -> Next {
        let mut inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match inner.records.try_recv() {
            Ok(Ok(record)) => {
                inner.taken += 1;
                Next::Record(record)
            }
            Ok(Err(error)) => {
                inner.broken = Some(error.to_string());
                Next::Ended(self.end(&inner))
            }
            Err(TryRecvError::Empty) => Next::NotYet,
            Err(TryRecvError::Disconnected) => Next::Ended(self.end(&inner)),
        }
    }

    fn end(&self, inner: &Inner) -> String {
        let taken = inner.taken;
        let why = inner.broken.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("`{}` (--payload-from) ended after {taken} payloads{why}", self.command)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // The whole group: a shell does not take its children along.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("/bin/sh").args(["-c", "kill -- \"$0\"", &group]).stderr(Stdio::null()).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(mut from: impl BufRead, to: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut line = Vec::new();
        let record = match from.by_ref().take(LONGEST + 2).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(read) if read as u64 > LONGEST + 1 => Err(too_long(read as u64)),
            Ok(_) => {
                line.pop_if(|last| *last == b'\n');
                Ok(line)
            }
            Err(error) => Err(error),
        };
        let failed = record.is_err();
        if to.send(record).is_err() || failed {
            return;
        }
    }
}

fn read_lengths(mut from: impl Read, to: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut length = [0; 4];
        let record = match read_full(&mut from, &mut length) {
            Ok(0) => return,
            Ok(4) => match u32::from_be_bytes(length) {
                length if u64::from(length) > LONGEST => Err(too_long(length.into())),
                length => {
                    let mut bytes = Vec::new();
                    match from.by_ref().take(length.into()).read_to_end(&mut bytes) {
                        Ok(read) if read < length as usize => {
                            Err(io::Error::other(format!("{read} of the {length} bytes of a record")))
                        }
                        Ok(_) => Ok(bytes),
                        Err(error) => Err(error),
                    }
                }
            },
            Ok(read) => Err(io::Error::other(format!("{read} of the 4 bytes of a length"))),
            Err(error) => Err(error),
        };
        let failed = record.is_err();
        if to.send(record).is_err() || failed {
            return;
        }
    }
}

fn too_long(length: u64) -> io::Error {
    io::Error::other(format!("a record of {length} bytes or more is longer than an MQTT packet holds"))
}

/// Reads until `buffer` is full or the stream ends; answers how much was read.
fn read_full(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
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
                Next::Record(record) => records.push(String::from_utf8(record).unwrap()),
                Next::NotYet => thread::yield_now(),
                Next::Ended(why) => return (records, why),
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
        while feed.next() == Next::NotYet {
            thread::yield_now();
        }
        drop(feed);
    }
}
