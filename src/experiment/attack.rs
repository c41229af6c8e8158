//! Warheads: files of shell commands that the old swarm ran on each of its hosts, run on this one.

mod warhead;

use super::process::{GLANCE, Interrupts, Process, exit_code, gravest_code};
use super::{Error, complain};
use crate::record::Exit;
use rustix::process::Signal;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use warhead::Shot;

/// What is run without a warhead.
const DEFAULT: &str = "malaria publish -n 10 -P 10 -t -T 1 -H %(malaria_target)s";

/// A warhead, and whom it is for.
#[derive(Clone, Debug)]
pub struct Attack {
    /// What `%(malaria_target)s` stands for.
    pub target: String,
    /// File of commands; `None`: one publish.
    pub warhead: Option<PathBuf>,
}

/// Runs the commands, one after the other. The exit code is theirs.
///
/// # Errors
/// The warhead makes no sense, or the machine does not let it run.
pub fn attack(attack: &Attack) -> Result<Exit, Error> {
    let (name, text) = match &attack.warhead {
        Some(path) => {
            let name = format!("--warhead {}", path.display());
            let text =
                std::fs::read_to_string(path).map_err(|error| Error::Usage(format!("{name}: {error}")))?;
            (name, text)
        }
        None => ("the default warhead".to_owned(), DEFAULT.to_owned()),
    };
    // A mistake at the end is told of before anything is run.
    let shots =
        warhead::parse(&text, &attack.target).map_err(|error| Error::Usage(format!("{name}, {error}")))?;
    let names = Names::make().map_err(|error| {
        Error::Environment(format!("no place for a link to this program: {error}; set TMPDIR"))
    })?;
    let path = names.before(std::env::var_os("PATH"))?;
    let mut interrupts = Interrupts::listen()?;
    let mut codes = Vec::new();
    for shot in &shots {
        complain(format_args!("+ {}", shot.line));
        let code = fire(shot, &path, &mut interrupts)?;
        codes.push(code);
        if code != Exit::Clean.code() {
            complain(format_args!("line {} ended with exit code {code}", shot.number));
        }
        if interrupts.count() > 0 {
            codes.push(Exit::Interrupted.code());
            break;
        }
        if code == Exit::Usage.code() {
            complain(format_args!(
                "error: line {} makes no sense: the lines after it are not run",
                shot.number
            ));
            break;
        }
    }
    Ok(Exit::from_code(gravest_code(codes)))
}

/// Runs one line to its end.
fn fire(shot: &Shot, path: &OsString, interrupts: &mut Interrupts) -> io::Result<u8> {
    let mut process = Process::start(Command::new("sh").args(["-c", &shot.line]).env("PATH", path))?;
    let mut told = 0;
    loop {
        if let Some(status) = process.poll()? {
            return Ok(exit_code(status, shot.is_ours, told > 0));
        }
        let signals = interrupts.count();
        if signals > told {
            process.signal(if signals > 1 { Signal::KILL } else { Signal::INT });
            told = signals;
        }
        std::thread::sleep(GLANCE);
    }
}

/// A directory where `malaria` and `malaria-bench` are this program.
struct Names {
    directory: PathBuf,
}

impl Names {
    fn make() -> io::Result<Names> {
        let program = std::env::current_exe()?;
        let directory = std::env::temp_dir().join(format!("malaria-attack-{}", std::process::id()));
        // For us alone: what is in it will be run. A directory of this name that is there already is an error.
        std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
        let names = Names { directory };
        for name in ["malaria", "malaria-bench"] {
            symlink(&program, names.directory.join(name))?;
        }
        Ok(names)
    }

    /// The search path with these names first.
    fn before(&self, path: Option<OsString>) -> Result<OsString, Error> {
        let path = path.unwrap_or_default();
        let others = std::env::split_paths(&path).filter(|path| path != Path::new(""));
        let paths = [self.directory.clone()].into_iter().chain(others);
        std::env::join_paths(paths).map_err(|error| {
            Error::Environment(format!("no place for a link to this program: {error}; set TMPDIR"))
        })
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        // It is in the directory for temporary files: what cannot be removed will be.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
