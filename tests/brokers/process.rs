//! Child processes that never outlive their test.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nothing here takes this long on a machine that works.
pub const BOUND: Duration = Duration::from_secs(60);

/// A child that is killed when this is dropped, also by a panic.
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    pub fn spawn(command: &mut Command) -> Process {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Process { child, name }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is a child of this process").is_some()
    }

    /// Standard output line by line, as it comes. Once only.
    pub fn lines(&mut self) -> Lines {
        Lines::of(self.child.stdout.take().expect("piped"))
    }

    /// Standard error line by line, as it comes. Once only.
    pub fn errors(&mut self) -> Lines {
        Lines::of(self.child.stderr.take().expect("piped"))
    }

    /// Everything that comes on standard output and standard error. Once only.
    pub fn output(&mut self) -> (Collected, Collected) {
        (
            Collected::of(self.child.stdout.take().expect("piped")),
            Collected::of(self.child.stderr.take().expect("piped")),
        )
    }

    /// Asks it to end, as Ctrl-C does.
    pub fn interrupt(&self) {
        let kill = Command::new("sh").args(["-c", &format!("kill -INT {}", self.id())]).status();
        assert!(kill.expect("sh runs").success(), "{} took no SIGINT", self.name);
    }

    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + BOUND;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is a child of this process") {
                return status;
            }
            assert!(Instant::now() < deadline, "{} does not end within {BOUND:?}", self.name);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines of a child.
pub struct Lines(Receiver<String>);

impl Lines {
    fn of(from: impl Read + Send + 'static) -> Lines {
        let (to, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        Lines(lines)
    }

    /// The next line before `deadline`; `None` at the end of the output.
    ///
    /// # Panics
    /// When there is none in time.
    pub fn next(&self, deadline: Instant) -> Option<String> {
        match self.0.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line in time"),
        }
    }

    /// The next line before `deadline`, if there is one.
    pub fn try_next(&self, deadline: Instant) -> Option<String> {
        self.0.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }
}

/// A whole output, read by a thread so that the child never waits for its reader.
pub struct Collected(JoinHandle<String>);

impl Collected {
    fn of(mut from: impl Read + Send + 'static) -> Collected {
        Collected(std::thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).expect("a pipe can be read");
            String::from_utf8_lossy(&bytes).into_owned()
        }))
    }

    pub fn text(self) -> String {
        self.0.join().expect("the reader does not panic")
    }
}

/// A command whose input is empty and whose output the test reads.
pub fn piped(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Where `program` is. Debian keeps servers in /usr/sbin, which is not on everybody's PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Says that a test is skipped, past cargo's test runner, which shows what eprintln! says of failures only.
pub fn skip(why: &str) {
    writeln!(std::io::stderr(), "\n*** SKIPPED: {why} ***").expect("standard error is open");
}
