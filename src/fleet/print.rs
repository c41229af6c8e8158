//! Received payloads, for a person.

use std::io::Write;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// Prints messages without holding up the worker that received them: what the terminal is too slow for is
/// counted instead. Clones print to the same place.
#[derive(Clone)]
pub struct Print(Arc<Inner>);

struct Inner {
    lines: Mutex<Option<SyncSender<Vec<u8>>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    skipped: std::sync::atomic::AtomicU64,
}

/// Lines that may wait for the terminal.
const WAITING: usize = 65_536;

impl Print {
    /// Prints to `out`, one line for each message: topic, space, payload; bytes that are not printable
    /// stand as `\x1b`.
    pub fn new(mut out: impl Write + Send + 'static) -> Print {
        let (lines, lines_from) = mpsc::sync_channel::<Vec<u8>>(WAITING);
        let writer = thread::spawn(move || {
            // A reader that has gone is no error, but nothing more is printed.
            while let Ok(line) = lines_from.recv() {
                if out.write_all(&line).is_err() {
                    break;
                }
            }
            let _ = out.flush();
        });
        Print(Arc::new(Inner {
            lines: Mutex::new(Some(lines)),
            writer: Mutex::new(Some(writer)),
            skipped: Default::default(),
        }))
    }

    pub(super) fn payload(&self, topic: &str, payload: &[u8]) {
        let mut line = Vec::with_capacity(topic.len() + payload.len() + 2);
        line.extend_from_slice(topic.as_bytes());
        line.push(b' ');
        for &byte in payload {
            match byte {
                b' '..=b'~' => line.push(byte),
                // Text in other languages is text, too.
                0x80.. => line.push(byte),
                _ => line.extend(byte.escape_ascii()),
            }
        }
        line.push(b'\n');
        let lines = self.0.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(Err(TrySendError::Full(_))) = lines.as_ref().map(|lines| lines.try_send(line)) {
            self.0.skipped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Waits until everything is printed; answers how many messages were not.
    pub fn finish(&self) -> u64 {
        drop(self.0.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
        if let Some(writer) = self.0.writer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
            let _ = writer.join();
        }
        self.0.skipped.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Print {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Print")
    }
}
