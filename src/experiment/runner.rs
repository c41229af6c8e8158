//! Runs an experiment: one combination after the other, in processes of their own.

use super::expand::{Combination, Experiment, PlannedSection, PlannedStep, PlannedTask, PlannedWork};
use super::figures::Tally;
use super::process::{GLANCE, Interrupts, Process, exit_code, gravest_code};
use super::{Understand, broker, complain, quoted};
use crate::record::{CombinationRecord, Exit, SectionRecord, StepFigures, StepRecord};
use crate::units;
use rustix::process::Signal;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a section may take to say what the next ones wait for.
const READY: Duration = Duration::from_secs(60);
/// What `subscribe` says each second when its subscription stands, with and without an expectation.
const SUBSCRIBED: [&str; 2] = ["Still waiting for", "Received "];

pub struct Runner {
    /// This program.
    pub program: PathBuf,
    /// Directory of all results.
    pub out: PathBuf,
    pub interrupts: Interrupts,
    pub quiet: bool,
    pub understand: Understand,
    /// When it began.
    pub begun: Instant,
}

impl Runner {
    /// Runs everything, until it is done or somebody interrupts. Returns what was begun.
    ///
    /// # Errors
    /// The directory of results cannot be written.
    pub fn run(&mut self, experiment: &Experiment) -> io::Result<Vec<CombinationRecord>> {
        let mut done: Vec<CombinationRecord> = Vec::new();
        let total = experiment.combinations.len();
        let of_brokers = experiment.combinations.chunk_by(|one, next| one.broker == next.broker);
        for combinations in of_brokers {
            let broker = combinations[0].broker.map(|at| &experiment.brokers[at]);
            // one of several has others before it: then each combination has a fresh one
            let restart = broker.is_some_and(|broker| broker.restart) || experiment.brokers.len() > 1;
            // The combinations that one start of the broker serves.
            for combinations in combinations.chunks(if restart { 1 } else { combinations.len() }) {
                if self.interrupts.count() > 0 {
                    return Ok(done);
                }
                let directory = match broker {
                    Some(_) if restart => self.out.join(&combinations[0].directory),
                    Some(broker) => self.out.join(&broker.name),
                    None => self.out.clone(),
                };
                let running = broker.map(|broker| broker::start(broker, &directory, &mut self.interrupts));
                let running = running.transpose();
                for combination in combinations {
                    let name = broker.map(|broker| broker.name.clone());
                    let one = match &running {
                        Ok(_) if self.interrupts.count() > 0 => break,
                        Ok(_) => self.combination(combination, name, (done.len() + 1, total))?,
                        Err(problem) => not_run(combination, name, problem.clone()),
                    };
                    done.push(one);
                }
                let problems = match running {
                    Ok(Some(running)) => running.stop(&mut self.interrupts),
                    _ => Vec::new(),
                };
                if let Some(last) = done.last_mut() {
                    last.problems.extend(problems.into_iter().map(|problem| format!("broker: {problem}")));
                }
            }
        }
        Ok(done)
    }

    fn combination(
        &mut self,
        combination: &Combination,
        broker: Option<String>,
        (number, total): (usize, usize),
    ) -> io::Result<CombinationRecord> {
        let directory = self.out.join(&combination.directory);
        std::fs::create_dir_all(&directory)?;
        let mut done = CombinationRecord { broker, ..not_begun(combination) };
        for step in &combination.steps {
            if self.interrupts.count() > 0 {
                break;
            }
            self.say(format_args!("[{number}/{total}] {}: {}", combination.directory, step.name));
            let step = self.step(step, &directory, &mut done.problems)?;
            // Without what comes before, or with words that make no sense, the rest has none either.
            let ends = (Exit::Internal.code()..=Exit::Environment.code()).contains(&step.exit_code);
            done.steps.push(step);
            if ends && done.steps.len() < combination.steps.len() {
                let name = &done.steps.last().expect("one was added").name;
                done.problems.push(format!("{name} failed: the steps after it were not run"));
                break;
            }
        }
        done.exit_code = gravest_code(done.steps.iter().map(|step| step.exit_code));
        if self.interrupts.count() > 0 {
            done.exit_code = gravest_code([done.exit_code, Exit::Interrupted.code()]);
        }
        let (name, end) = (&combination.directory, ending(done.exit_code));
        let left = units::outlook(self.begun.elapsed(), number, total);
        self.say(format_args!("[{number}/{total}] {name}: {end}{left}"));
        Ok(done)
    }

    fn say(&self, line: std::fmt::Arguments) {
        if !self.quiet {
            complain(line);
        }
    }

    fn step(
        &mut self,
        step: &PlannedStep,
        directory: &Path,
        problems: &mut Vec<String>,
    ) -> io::Result<StepRecord> {
        let begun = Instant::now();
        let mut done = StepRecord {
            name: step.name.clone(),
            exit_code: 0,
            elapsed_ns: 0,
            figures: None,
            sections: Vec::new(),
        };
        match &step.work {
            PlannedWork::Sleep(span) => self.interrupts.sleep(*span),
            PlannedWork::Sections(sections) => {
                let mut parallel = Parallel::new(self, directory);
                parallel.start(sections, &mut self.interrupts, problems)?;
                parallel.finish(&mut self.interrupts)?;
                done.sections = parallel.done();
                let interrupted = self.interrupts.count() > 0;
                // Sections that never started leave a problem, and somebody has to answer for it.
                let missing = done.sections.len() < sections.len() && !interrupted;
                let codes = done.sections.iter().map(|section| section.exit_code);
                done.exit_code = gravest_code(codes.chain(missing.then_some(Exit::Environment.code())));
                done.figures = figures(directory, &mut done.sections, problems);
            }
        }
        done.elapsed_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Ok(done)
    }
}

/// How a combination ended, in a word or two.
fn ending(code: u8) -> String {
    match code {
        0 => "clean".to_owned(),
        code => format!("{}, exit code {code}", Exit::from_code(code).name()),
    }
}

fn not_begun(combination: &Combination) -> CombinationRecord {
    CombinationRecord {
        broker: None,
        group: combination.group.clone(),
        variables: combination.variables.clone(),
        repeat: combination.repeat,
        directory: combination.directory.clone(),
        exit_code: 0,
        problems: Vec::new(),
        steps: Vec::new(),
    }
}

fn not_run(combination: &Combination, broker: Option<String>, problem: String) -> CombinationRecord {
    let exit_code = Exit::Environment.code();
    CombinationRecord { broker, exit_code, problems: vec![problem], ..not_begun(combination) }
}

/// What the records of the sections say together.
fn figures(
    directory: &Path,
    sections: &mut [SectionRecord],
    problems: &mut Vec<String>,
) -> Option<StepFigures> {
    let mut tally = Tally::default();
    for section in sections.iter_mut() {
        let path = directory.join(format!("{}.json", section.name));
        // A command that failed before it had anything to say leaves an empty file, or none.
        let Ok(json) = std::fs::read_to_string(&path) else { continue };
        if json.trim().is_empty() {
            continue;
        }
        match tally.add(&json) {
            Ok(is_record) => section.has_record = is_record,
            Err(error) => problems.push(format!("{}.json: {error}", section.name)),
        }
    }
    sections.iter().any(|section| section.has_record).then(|| tally.figures())
}

/// Sections that run at once.
struct Parallel<'r> {
    program: PathBuf,
    understand: Understand,
    directory: &'r Path,
    sections: Vec<Running<'r>>,
}

/// A process that is about to start.
struct Prepared {
    command: std::process::Command,
    line: String,
    says_subscribed: bool,
}

struct Running<'r> {
    planned: &'r PlannedSection,
    process: Process,
    /// As it would be typed.
    line: String,
    /// Signals that were passed on.
    told: u32,
    /// Whether it was told to end because all others had.
    dismissed: bool,
    exit_code: Option<u8>,
}

impl<'r> Parallel<'r> {
    fn new(runner: &Runner, directory: &'r Path) -> Parallel<'r> {
        let Runner { program, understand, .. } = runner;
        Parallel { program: program.clone(), understand: *understand, directory, sections: Vec::new() }
    }

    /// Starts the sections in their order, each when those before it are ready.
    fn start(
        &mut self,
        planned: &'r [PlannedSection],
        interrupts: &mut Interrupts,
        problems: &mut Vec<String>,
    ) -> io::Result<()> {
        for (at, section) in planned.iter().enumerate() {
            let Prepared { mut command, line, says_subscribed } = self.prepare(section)?;
            let process = Process::start(&mut command)?;
            let running =
                Running { planned: section, process, line, told: 0, dismissed: false, exit_code: None };
            self.sections.push(running);
            let texts: Vec<&str> = match &section.ready {
                Some(text) => vec![text],
                None if says_subscribed && at + 1 < planned.len() => SUBSCRIBED.to_vec(),
                None => continue,
            };
            if let Err(problem) = self.await_ready(&texts, interrupts) {
                if interrupts.count() == 0 {
                    problems.push(format!("{}: {problem}", section.name));
                    self.sections.iter_mut().for_each(|section| section.process.signal(Signal::INT));
                }
                break;
            }
        }
        Ok(())
    }

    /// The process of a section, with its output into files.
    fn prepare(&self, section: &PlannedSection) -> io::Result<Prepared> {
        let path = |kind: &str| self.directory.join(format!("{}.{kind}", section.name));
        let (mut command, line, says_subscribed) = match &section.task {
            PlannedTask::Shell(line) => {
                let mut command = std::process::Command::new("sh");
                command.args(["-c", line]);
                (command, line.clone(), false)
            }
            PlannedTask::Run(words) => {
                let checked = (self.understand)(words).map_err(io::Error::other)?;
                let mut command = std::process::Command::new(&self.program);
                command.args(&checked.words);
                if checked.has_record {
                    command.arg("--json").arg(path("json"));
                }
                (command, format!("malaria-bench {}", quoted(&checked.words)), checked.says_subscribed)
            }
        };
        command.stdout(File::create(path("stdout"))?).stderr(File::create(path("stderr"))?);
        Ok(Prepared { command, line, says_subscribed })
    }

    /// Waits until the last section has said one of `texts`, or has done its work.
    fn await_ready(&mut self, texts: &[&str], interrupts: &mut Interrupts) -> Result<(), String> {
        let begun = Instant::now();
        let section = self.sections.last_mut().expect("called for the one just started");
        let outputs =
            ["stdout", "stderr"].map(|kind| self.directory.join(format!("{}.{kind}", section.planned.name)));
        loop {
            // Asked before its output is read: what it said last is not missed.
            let ended = section.process.poll().map_err(|error| error.to_string())?;
            let said = |path: &PathBuf| {
                std::fs::read(path).is_ok_and(|output| {
                    let output = String::from_utf8_lossy(&output);
                    texts.iter().any(|text| output.contains(text))
                })
            };
            if outputs.iter().any(said) || ended.is_some_and(|status| status.success()) {
                return Ok(());
            }
            if let Some(status) = ended {
                return Err(format!("ended with {status} before it said `{}`", texts[0]));
            }
            if interrupts.count() > 0 {
                return Err("interrupted".into());
            }
            if begun.elapsed() > READY {
                return Err(format!("did not say `{}` within {} s", texts[0], READY.as_secs()));
            }
            interrupts.sleep(GLANCE);
        }
    }

    /// Waits for all: passes signals on, and dismisses those in the background when the others have ended.
    fn finish(&mut self, interrupts: &mut Interrupts) -> io::Result<()> {
        loop {
            let signals = interrupts.count();
            for section in &mut self.sections {
                section.watch(signals)?;
            }
            let runs = |section: &Running| section.exit_code.is_none();
            if !self.sections.iter().any(runs) {
                return Ok(());
            }
            if !self.sections.iter().any(|section| runs(section) && !section.planned.background) {
                for section in self.sections.iter_mut().filter(|section| !section.dismissed) {
                    section.process.signal(Signal::INT);
                    section.dismissed = true;
                }
            }
            std::thread::sleep(GLANCE);
        }
    }

    fn done(self) -> Vec<SectionRecord> {
        let done = |section: Running| SectionRecord {
            name: section.planned.name.clone(),
            command: section.line,
            exit_code: section.exit_code.unwrap_or(Exit::Internal.code()),
            has_record: false,
        };
        self.sections.into_iter().map(done).collect()
    }
}

impl Running<'_> {
    /// Passes on signals that are new to it, and takes note of its end.
    fn watch(&mut self, signals: u32) -> io::Result<()> {
        if signals > self.told {
            self.process.signal(if signals > 1 { Signal::KILL } else { Signal::INT });
            self.told = signals;
        }
        if let (None, Some(status)) = (self.exit_code, self.process.poll()?) {
            let is_ours = matches!(self.planned.task, PlannedTask::Run(_));
            let code = exit_code(status, is_ours, self.told > 0 || self.dismissed);
            let as_asked = self.dismissed && self.told == 0 && code == Exit::Interrupted.code();
            self.exit_code = Some(if as_asked { Exit::Clean.code() } else { code });
        }
        Ok(())
    }
}
