//! The log of a run's histograms, written while it goes on.

use super::Environment;
use crate::clock::{Nanos, SECOND};
use crate::stage::Progress;
use crate::stats::interval_log;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file that gets its lines once a second; an interrupted run leaves what it had by then.
pub struct Hlog {
    file: File,
    /// What could not be written: the run is worth more than its log, and goes on.
    error: Option<io::Error>,
    /// End of the last second, since the start of the run.
    end: Nanos,
}

impl Hlog {
    /// # Errors
    /// A path that cannot be written.
    pub fn create(path: &Path) -> Result<Hlog, Environment> {
        let create = || {
            let mut file = File::create(path)?;
            let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            file.write_all(interval_log::header(began).as_bytes())?;
            Ok(Hlog { file, error: None, end: 0 })
        };
        create().map_err(|error: io::Error| Environment(format!("--hlog {}: {error}", path.display())))
    }

    /// A second of the run is over.
    pub fn second(&mut self, progress: &Progress) {
        let start = self.end.max(progress.elapsed.saturating_sub(SECOND));
        self.end = progress.elapsed;
        let lines = interval_log::lines(&progress.measured, start, progress.elapsed);
        if self.error.is_none() {
            self.error = self.file.write_all(lines.as_bytes()).err();
        }
    }

    /// # Errors
    /// What could not be written.
    pub fn finish(self) -> Result<(), Environment> {
        match self.error {
            Some(error) => Err(Environment(format!("--hlog: not written: {error}"))),
            None => Ok(()),
        }
    }
}
