//! Where results go.

use super::Environment;
use crate::record::Record;
use crate::report;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// The place of the record.
pub enum Output {
    Stdout,
    File { file: File, path: PathBuf },
}

impl Output {
    /// Opens `path`, or standard output for `-`. What is in the file stays until [`Output::write`].
    pub fn open(path: &Path) -> Result<Output, Environment> {
        if path == Path::new("-") {
            return Ok(Output::Stdout);
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|error| {
            Environment(format!("--json {}: {error}; choose a path that can be written", path.display()))
        })?;
        Ok(Output::File { file, path: path.into() })
    }

    pub fn is_stdout(&self) -> bool {
        matches!(self, Output::Stdout)
    }

    /// Writes the record in place of what was there.
    pub fn write(self, json: &str) -> Result<(), Environment> {
        match self {
            Output::Stdout => tolerate_closed(writeln!(io::stdout().lock(), "{json}"))
                .map_err(|error| Environment(format!("--json -: {error}"))),
            Output::File { mut file, path } => replace(&mut file, json).map_err(|error| {
                Environment(format!("--json {}: the record is not complete: {error}", path.display()))
            }),
        }
    }
}

fn replace(file: &mut File, json: &str) -> io::Result<()> {
    // Devices such as /dev/full and pipes have no length to set.
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    writeln!(file, "{json}")?;
    match file.sync_all() {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        result => result,
    }
}

/// Prints the summary: to standard output, or to standard error when the record has that.
pub fn print(record: &Record, to_stderr: bool) -> anyhow::Result<()> {
    let terminal = if to_stderr { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let colour = terminal && std::env::var_os("NO_COLOR").is_none();
    let text = report::text(record, width(terminal), colour);
    let written =
        if to_stderr { write!(io::stderr().lock(), "{text}") } else { write!(io::stdout().lock(), "{text}") };
    tolerate_closed(written).map_err(|error| Environment(format!("cannot write the summary: {error}")).into())
}

/// Columns of the terminal, or 100.
fn width(terminal: bool) -> usize {
    let columns = || Some(usize::from(console::Term::stdout().size_checked()?.1));
    if terminal { columns().unwrap_or(100).clamp(20, 100) } else { 100 }
}

/// A reader that has seen enough (`| head`) is no error.
fn tolerate_closed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
