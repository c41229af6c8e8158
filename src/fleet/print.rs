//! Received payloads, for a person.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Prints messages without holding up the worker that received them: what the terminal is too slow for is
/// counted instead. Clones print to the same place.
#[derive(Clone, Debug)]
pub struct Print(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Where lines go; `None` is the end of them.
    lines: SyncSender<Option<Vec<u8>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    skipped: AtomicU64,
}

/// Lines that may wait for the terminal.
const WAITING: usize = 4096;
/// Bytes of a payload that are printed.
const LONGEST: usize = 64 * 1024;

impl Print {
    /// Prints to `out`, one line for each message: topic, space, payload; bytes that are not printable
    /// stand as `\u{1b}` or `\xff`, and a payload of more than 64 KiB is cut.
    pub fn new(mut out: impl Write + Send + 'static) -> Print {
        let (lines, lines_from) = mpsc::sync_channel(WAITING);
        let writer = thread::spawn(move || {
            let mut lines = lines_from.iter().map_while(|line: Option<Vec<u8>>| line);
            // A reader that has gone is no error, but nothing more is printed.
            let _ = lines.try_for_each(|line| out.write_all(&line));
            let _ = out.flush();
        });
        Print(Arc::new(Inner { lines, writer: Mutex::new(Some(writer)), skipped: AtomicU64::new(0) }))
    }

    pub(super) fn payload(&self, topic: &str, payload: &[u8]) {
        if let Err(TrySendError::Full(_)) = self.0.lines.try_send(Some(line(topic, payload))) {
            self.0.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything is printed; answers how many messages were not.
    pub fn finish(&self) -> u64 {
        // Whoever reads them may have gone.
        let _ = self.0.lines.send(None);
        if let Some(writer) = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writer.join();
        }
        self.0.skipped.load(Ordering::Relaxed)
    }
}

/// A terminal must not take what somebody sent for commands.
fn line(topic: &str, payload: &[u8]) -> Vec<u8> {
    let shown = &payload[..payload.len().min(LONGEST)];
    let mut line = String::with_capacity(topic.len() + shown.len() + 8);
    for char in topic.chars() {
        push(char, &mut line);
    }
    line.push(' ');
    for chunk in shown.utf8_chunks() {
        chunk.valid().chars().for_each(|char| push(char, &mut line));
        chunk.invalid().iter().for_each(|byte| line.extend(byte.escape_ascii().map(char::from)));
    }
    line.push_str(if shown.len() < payload.len() { "[...]\n" } else { "\n" });
    line.into_bytes()
}

fn push(char: char, line: &mut String) {
    if char.is_control() { line.extend(char.escape_default()) } else { line.push(char) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// checklist 62
    #[test]
    fn what_was_received_cannot_command_a_terminal() {
        let shown = |topic, payload: &[u8]| String::from_utf8(line(topic, payload)).unwrap();
        assert_eq!(shown("home/küche", "22 °C".as_bytes()), "home/küche 22 °C\n");
        assert_eq!(shown("a\u{1b}[2J", b"x\x1b[31m\n\xff"), "a\\u{1b}[2J x\\u{1b}[31m\\n\\xff\n");
        assert_eq!(shown("t", "\u{9b}31m".as_bytes()), "t \\u{9b}31m\n");
        let long = shown("t", &[b'a'; 100_000]);
        assert!(long.ends_with("a[...]\n") && long.len() < 66_000);
    }
}
