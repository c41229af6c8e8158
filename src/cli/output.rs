//! Where results go.

use super::Environment;
use crate::record::Record;
use crate::report;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Widest summary, in columns.
pub const WIDEST: usize = 100;

/// The place of a result, and the flag that named it.
pub enum Output {
    Stdout {
        flag: &'static str,
    },
    /// `file` is what was there already.
    File {
        flag: &'static str,
        file: Option<File>,
        path: PathBuf,
    },
}

impl Output {
    /// The place of the record: see [`Output::open_for`].
    pub fn open(path: &Path) -> Result<Output, Environment> {
        Output::open_for("--json", path)
    }

    /// Finds out whether `path` can be written, or takes standard output for `-`. What is in the file stays until
    /// [`Output::write`], and until then there is no file where there was none: whatever ends the process, no empty
    /// one looks like a result.
    pub fn open_for(flag: &'static str, path: &Path) -> Result<Output, Environment> {
        if path == Path::new("-") {
            return Ok(Output::Stdout { flag });
        }
        let file = existing(path).map_err(|error| {
            Environment(format!("{flag} {}: {error}; choose a path that can be written", path.display()))
        })?;
        Ok(Output::File { flag, file, path: path.into() })
    }

    pub fn is_stdout(&self) -> bool {
        matches!(self, Output::Stdout { .. })
    }

    /// Writes `text` and a newline in place of what was there; what was there stays when that fails.
    pub fn write(self, text: &str) -> Result<(), Environment> {
        match self {
            Output::Stdout { flag } => tolerate_closed(writeln!(io::stdout().lock(), "{text}"))
                .map_err(|error| Environment(format!("{flag} -: {error}"))),
            Output::File { flag, file, path } => put(&path, file, text)
                .map_err(|error| Environment(format!("{flag} {}: not written: {error}", path.display()))),
        }
    }
}

fn appending() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    options
}

/// The file at `path`, for writing; `None` when there is none, and there can be.
fn existing(path: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().create_new(true).append(true).open(path) {
        // A folder from which nothing may be removed keeps it.
        Ok(file) => Ok(std::fs::remove_file(path).err().map(|_| file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => appending().open(path).map(Some),
        Err(error) => Err(error),
    }
}

/// Writes `text` to `path`, where `old` is. What was there stays until all of it is written, beside it: a disk that is
/// full costs no earlier result.
fn put(path: &Path, old: Option<File>, text: &str) -> io::Result<()> {
    let known = old.as_ref().map(File::metadata).transpose()?;
    // Devices such as /dev/full and pipes are written to as they are.
    if let (Some(mut file), false) = (old, known.as_ref().is_none_or(std::fs::Metadata::is_file)) {
        return fill(&mut file, text);
    }
    // Where a link leads to, not the link.
    let path = path.canonicalize().unwrap_or_else(|_| path.into());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut new = match OpenOptions::new().write(true).create_new(true).open(&beside) {
        // A folder that takes no new file may hold one that can be written.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && known.is_some() => {
            let mut file = OpenOptions::new().write(true).truncate(true).open(&path)?;
            return fill(&mut file, text);
        }
        new => new?,
    };
    let written = fill(&mut new, text)
        .and_then(|()| known.map_or(Ok(()), |known| new.set_permissions(known.permissions())))
        .and_then(|()| std::fs::rename(&beside, &path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

fn fill(file: &mut File, text: &str) -> io::Result<()> {
    writeln!(file, "{text}")?;
    match file.sync_all() {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        result => result,
    }
}

/// Prints the summary: to standard output, or to standard error when the record has that.
pub fn print(record: &Record, to_stderr: bool) -> anyhow::Result<()> {
    let (width, colour) = paper(to_stderr);
    print_text(&report::text(record, width, colour), to_stderr)
}

/// How wide what is written there may be, and whether in colour.
pub fn paper(to_stderr: bool) -> (usize, bool) {
    let terminal = if to_stderr { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    (width(terminal), terminal && std::env::var_os("NO_COLOR").is_none())
}

/// Prints a finished text: to standard output, or to standard error when the record has that.
pub fn print_text(text: &str, to_stderr: bool) -> anyhow::Result<()> {
    let written =
        if to_stderr { write!(io::stderr().lock(), "{text}") } else { write!(io::stdout().lock(), "{text}") };
    tolerate_closed(written).map_err(|error| Environment(format!("cannot write the summary: {error}")).into())
}

/// Says something on standard output that nobody has to hear: a reader that has gone must not keep the
/// process from ending well.
pub fn tell(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// The same on standard error.
pub fn complain(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Columns of the terminal, or [`WIDEST`].
fn width(terminal: bool) -> usize {
    let columns = || Some(usize::from(console::Term::stdout().size_checked()?.1));
    if terminal { columns().unwrap_or(WIDEST).clamp(20, WIDEST) } else { WIDEST }
}

/// A reader that has seen enough (`| head`) is no error.
fn tolerate_closed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
