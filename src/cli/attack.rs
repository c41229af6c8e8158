//! Warheads: files of shell commands that the old swarm ran on each of its hosts, run on this one.

mod warhead;

use super::args::AttackArgs;
use super::scenario::process::{GLANCE, Interrupts, Process, exit_code, first_code};
use super::{Environment, Usage};
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

pub fn run(args: &AttackArgs) -> anyhow::Result<Exit> {
    let (name, text) = match &args.warhead {
        Some(path) => {
            let name = format!("--warhead {}", path.display());
            let text = std::fs::read_to_string(path).map_err(|error| Usage(format!("{name}: {error}")))?;
            (name, text)
        }
        None => ("the default warhead".to_owned(), DEFAULT.to_owned()),
    };
    // A mistake at the end is told of before anything is run.
    let shots = warhead::parse(&text, &args.target).map_err(|error| Usage(format!("{name}, {error}")))?;
    let names = Names::make()
        .map_err(|error| Environment(format!("no place for a link to this program: {error}; set TMPDIR")))?;
    let path = names.before(std::env::var_os("PATH"))?;
    let mut interrupts = Interrupts::listen()?;
    let mut codes = Vec::new();
    for shot in &shots {
        eprintln!("+ {}", shot.line);
        let code = fire(shot, &path, &mut interrupts)?;
        codes.push(code);
        if code != Exit::Clean.code() {
            eprintln!("line {} ended with exit code {code}", shot.number);
        }
        if interrupts.count() > 0 {
            codes.push(Exit::Interrupted.code());
            break;
        }
        if code == Exit::Usage.code() {
            eprintln!("error: line {} makes no sense: the lines after it are not run", shot.number);
            break;
        }
    }
    Ok(Exit::from_code(first_code(codes)))
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
    fn before(&self, path: Option<OsString>) -> anyhow::Result<OsString> {
        let path = path.unwrap_or_default();
        let others = std::env::split_paths(&path).filter(|path| path != Path::new(""));
        Ok(std::env::join_paths([self.directory.clone()].into_iter().chain(others))?)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        // It is in the directory for temporary files: what cannot be removed will be.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
