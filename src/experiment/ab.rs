//! Two brokers against each other: short runs in pairs, close in time, until it is known which way it is.
//!
//! The order of a pair is turned with each (A B, B A, ...), so that what drifts on the machine hits both sides alike. A broker
//! that is started is started anew for each run: what one run leaves in it is not in the next. The first pair is thrown
//! away, and a pair in which the generator was the bottleneck is run again.
//!
//! `DIR/a` and `DIR/b` have the records of the pairs that counted, `DIR/warm-up` and `DIR/void` the others (and half of a
//! pair that was cut short), `DIR/logs` what
//! runs and brokers said, and `DIR/comparison.json` what came of it.

use super::broker;
use super::expand::Broker;
use super::process::{GLANCE, Interrupts, Process, exit_code};
use super::{Error, complain, prepare, print};
use crate::gate::compare::{Comparison, Question, Verdicted, compare};
use crate::record::{Ended, Exit, Record};
use crate::stats::inference::LOOKS;
use crate::units;
use rustix::process::Signal;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

/// How long a broker may take until it accepts connections.
const READY: Duration = Duration::from_secs(60);

/// One of the two.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contender {
    /// The shell command that starts it and stays; `None` for a broker that runs.
    pub start: Option<String>,
    /// Where it is, as `--host` takes it.
    pub host: String,
    /// Where it accepts connections when it has started, `host:port`; `None` when nobody has to wait for it.
    pub ready: Option<String>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// The base.
    pub a: Contender,
    /// What is new.
    pub b: Contender,
    /// The words of a run, without the broker's.
    pub run: Vec<String>,
    /// What is to be found out.
    pub question: Question,
    /// Directory of the results, new or empty; `None` makes up a name.
    pub out: Option<PathBuf>,
    /// Say nothing of how it goes.
    pub quiet: bool,
}

/// How it went on.
enum Ending {
    /// Both sides were compared.
    Compared(Comparison),
    /// Something kept them from it.
    Cut(Exit, String),
}

/// Runs pairs until one of the looks decides. The exit code is that of the comparison.
///
/// # Errors
/// The results cannot be kept, or the runs cannot be compared.
pub fn pairs(pairs: &Pairs) -> Result<Exit, Error> {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let default = || PathBuf::from(format!("ab-{}", now.replace([':', '-'], "")));
    let out = pairs.out.clone().unwrap_or_else(default);
    prepare(&out)?;
    for folder in ["a", "b", "warm-up", "void", "logs"] {
        std::fs::create_dir(out.join(folder))?;
    }
    let interrupts = Interrupts::listen()?;
    let mut course = Course {
        pairs,
        program: std::env::current_exe()?,
        out,
        interrupts,
        sides: [vec![], vec![]],
        void: 0,
        begun: Instant::now(),
    };
    let ending = match course.run()? {
        Ending::Cut(exit, why) => course.cut(exit, why)?,
        compared @ Ending::Compared(_) => compared,
    };
    let (exit, text) = match ending {
        Ending::Cut(exit, why) => {
            (exit, format!("Result: {}, exit code {}: {why}\n", word(exit), exit.code()))
        }
        Ending::Compared(comparison) => {
            let json = serde_json::to_string_pretty(&comparison).expect("plain data with string keys");
            std::fs::write(course.out.join("comparison.json"), json + "\n")?;
            (Exit::from_code(comparison.exit_code), comparison.text())
        }
    };
    print(&text)?;
    course.say(format_args!("results are in {}", course.out.display()));
    Ok(exit)
}

/// What keeps two sides from being compared.
fn word(exit: Exit) -> &'static str {
    match exit {
        Exit::Interrupted => "INTERRUPTED",
        Exit::GeneratorLimited => "VOID",
        _ => "FAILED",
    }
}

/// What ran, or how all of it ended.
type Ran<T> = Result<T, (Exit, String)>;

struct Course<'p> {
    pairs: &'p Pairs,
    program: PathBuf,
    out: PathBuf,
    interrupts: Interrupts,
    /// Records of the pairs that count.
    sides: [Vec<Record>; 2],
    /// Pairs that do not.
    void: usize,
    begun: Instant,
}

impl Course<'_> {
    fn run(&mut self) -> Result<Ending, Error> {
        if let Err((exit, why)) = self.pair(0, "warm-up")? {
            return Ok(Ending::Cut(exit, why));
        }
        self.say(format_args!("warm-up: thrown away"));
        let mut last = None;
        for look in LOOKS {
            while self.sides[0].len() < look {
                if let Some(end) = self.next(look)? {
                    return Ok(end);
                }
            }
            let comparison = self.compare()?;
            if comparison.result != Verdicted::Inconclusive {
                return Ok(Ending::Compared(comparison));
            }
            self.say(format_args!("after {look} pairs: {}", comparison.exit_reason));
            last = Some(comparison);
        }
        Ok(Ending::Compared(last.expect("there are looks")))
    }

    fn compare(&self) -> Result<Comparison, Error> {
        let [base, new] = &self.sides;
        let mut comparison =
            compare(base, new, &self.pairs.question).map_err(|why| Error::Usage(why.to_string()))?;
        (comparison.base.void, comparison.new.void) = (self.void, self.void);
        Ok(comparison)
    }

    /// What is to be said after an end that is none of the looks: of the pairs so far, that nobody can tell yet.
    fn cut(&self, exit: Exit, why: String) -> Result<Ending, Error> {
        self.put_aside(self.number())?;
        let pairs = self.sides[0].len();
        if pairs == 0 || exit == Exit::GeneratorLimited {
            return Ok(Ending::Cut(exit, why));
        }
        let mut comparison = self.compare()?;
        comparison.result = Verdicted::Inconclusive;
        comparison.exit_code = exit.code();
        comparison.exit_reason = format!("{why}; complete pairs: {pairs}");
        Ok(Ending::Compared(comparison))
    }

    /// Of the pair that is to come, or under way.
    fn number(&self) -> usize {
        self.sides[0].len() + self.void + 1
    }

    /// One more pair on the way to `look`; something if it is the end.
    fn next(&mut self, look: usize) -> Result<Option<Ending>, Error> {
        let number = self.number();
        let (a, b) = match self.pair(number, "")? {
            Ok(records) => records,
            Err((exit, why)) => return Ok(Some(Ending::Cut(exit, why))),
        };
        let most = LOOKS[LOOKS.len() - 1];
        if a.is_void() || b.is_void() {
            self.void += 1;
            self.put_aside(number)?;
            self.say(format_args!("pair {number}: void, the generator was the bottleneck"));
            // a third of all: with more, what is left is what was lucky
            if self.void * 2 > look {
                let why = format!("the generator was the bottleneck in {} of {number} pairs", self.void);
                return Ok(Some(Ending::Cut(Exit::GeneratorLimited, why)));
            }
            return Ok(None);
        }
        let [base, new] = &mut self.sides;
        base.push(a);
        new.push(b);
        let done = base.len();
        // The warm-up took its time, too.
        let left = units::outlook(self.begun.elapsed(), done + self.void + 1, look + self.void + 1);
        self.say(format_args!("pair {done} of {look} ({most} at most){left}"));
        Ok(None)
    }

    /// Runs both sides, whoever's turn it is first.
    fn pair(&mut self, number: usize, folder: &str) -> Result<Ran<(Record, Record)>, Error> {
        let order = if number.is_multiple_of(2) { [0, 1] } else { [1, 0] };
        let mut records = [None, None];
        for side in order {
            match self.side(side, number, folder)? {
                Ok(record) => records[side] = Some(record),
                Err(end) => return Ok(Err(end)),
            }
        }
        let [a, b] = records.map(|record| record.expect("both ran"));
        Ok(Ok((a, b)))
    }

    /// One run. A broker that is started is there for it alone.
    fn side(&mut self, side: usize, number: usize, folder: &str) -> Result<Ran<Record>, Error> {
        let name = ["a", "b"][side];
        let contender = if side == 0 { &self.pairs.a } else { &self.pairs.b };
        let logs = self.out.join("logs").join(format!("{name}-{number:02}"));
        std::fs::create_dir(&logs)?;
        let place = match folder {
            "" => self.out.join(file(name, number)),
            folder => self.out.join(folder).join(format!("{name}.json")),
        };
        let broker = Broker {
            name: name.to_owned(),
            start: contender.start.clone(),
            stop: None,
            ready: contender.ready.clone(),
            ready_timeout: READY,
            log: None,
            restart: true,
        };
        match number {
            0 => self.say(format_args!("warm-up: {name}")),
            _ => self.say(format_args!("pair {number}: {name}")),
        }
        let mut running = match broker::start(&broker, &logs, &mut self.interrupts) {
            Ok(running) => running,
            Err(_) if self.interrupts.count() > 0 => return Ok(Err(interrupted())),
            Err(problem) => return Ok(Err((Exit::Environment, problem))),
        };
        if running.has_left() {
            return Ok(Err(left(name)));
        }
        let mut command = Command::new(&self.program);
        command.args(&self.pairs.run).args(["--host", &contender.host]).arg("--json").arg(&place);
        command.stdout(File::create(logs.join("run.stdout"))?).stderr(File::create(logs.join("run.stderr"))?);
        let code = wait(&mut Process::start(&mut command)?, &mut self.interrupts);
        if running.has_left() {
            return Ok(Err(left(name)));
        }
        for problem in running.stop(&mut self.interrupts) {
            complain(format_args!("broker {name}: {problem}"));
        }
        let exit = Exit::from_code(code?);
        if self.interrupts.count() > 0 {
            return Ok(Err(interrupted()));
        }
        if matches!(exit, Exit::Internal | Exit::Usage | Exit::Environment | Exit::Interrupted) {
            return Ok(Err((exit, said(&logs, name, number))));
        }
        let record = read(&place)?;
        if record.ended == Ended::Broker && record.counts.connections_established == 0 {
            let why = format!("broker {name} at {}: {}", contender.host, record.exit_reason);
            return Ok(Err((Exit::Broker, why)));
        }
        Ok(Ok(record))
    }

    /// Moves the records of a pair, or those that there are, to where they do not count.
    fn put_aside(&self, number: usize) -> io::Result<()> {
        for name in ["a", "b"] {
            let kept = self.out.join(file(name, number));
            if kept.exists() {
                std::fs::rename(kept, self.out.join("void").join(format!("{name}-{number:02}.json")))?;
            }
        }
        Ok(())
    }

    fn say(&self, line: std::fmt::Arguments) {
        if !self.pairs.quiet {
            complain(line);
        }
    }
}

fn file(name: &str, number: usize) -> PathBuf {
    Path::new(name).join(format!("{number:02}.json"))
}

fn interrupted() -> (Exit, String) {
    (Exit::Interrupted, "interrupted".to_owned())
}

/// Waits for a run, and passes on signals.
fn wait(process: &mut Process, interrupts: &mut Interrupts) -> io::Result<u8> {
    let mut told = 0;
    loop {
        if let Some(status) = process.poll()? {
            return Ok(exit_code(status, true, told > 0));
        }
        let count = interrupts.count();
        if count > told {
            process.signal(if count > 1 { Signal::KILL } else { Signal::INT });
            told = count;
        }
        std::thread::sleep(GLANCE);
    }
}

/// A broker that cannot be stopped, nor started anew.
fn left(name: &str) -> (Exit, String) {
    let why = format!(
        "broker {name}: its command ended by itself, with 0: it has to stay in the foreground, as mosquitto does without -d; \
         what it has put into the background runs on"
    );
    (Exit::Environment, why)
}

/// What a run said of why it could not be.
fn said(logs: &Path, name: &str, number: usize) -> String {
    let path = logs.join("run.stderr");
    let said = std::fs::read_to_string(&path).unwrap_or_default();
    let silent = || match std::fs::write(&path, [b' '; 4096]).and_then(|()| std::fs::write(&path, "")) {
        // a full disk takes no last words
        Err(error) => format!("{}: {error}", path.display()),
        Ok(()) => "it ended without a word".to_owned(),
    };
    let why = said.trim().lines().last().map_or_else(silent, str::to_owned);
    format!("run {number} of {name}: {why}")
}

fn read(place: &Path) -> Result<Record, Error> {
    let blame = |what: &dyn std::fmt::Display| Error::Environment(format!("{}: {what}", place.display()));
    let text = std::fs::read_to_string(place).map_err(|error| blame(&error))?;
    Record::from_json(&text).map_err(|error| blame(&error))
}
