//! `report`: finished records, read again.

use super::args::ReportArgs;
use super::output::{self, Output};
use super::{Environment, Usage};
use crate::record::{CAPACITY_SCHEMA, CapacityRecord, Exit, Finished, RecordError, ScenarioRecord, Verdict};
use crate::report::{self, ReportError, Run, Side};
use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

/// Columns of a table that does not go to a terminal.
const UNBOUNDED: usize = 160;

/// One that was asked for: by which flag, where to, and how it is made.
struct Wanted<'a> {
    flag: &'static str,
    path: &'a Path,
    /// `None` of the page, which is of more than runs.
    make: Option<Make>,
    /// Whether others keep the figures: those of a run that says nothing of its broker have no place there.
    kept: bool,
}

type Make = fn(&[Run]) -> Result<String, ReportError>;

fn wanted(args: &ReportArgs) -> Vec<Wanted<'_>> {
    let all: [(&str, &Option<PathBuf>, Option<Make>, bool); 8] = [
        ("--html", &args.html, None, false),
        ("--csv", &args.csv, Some(report::runs_csv), false),
        ("--series", &args.series, Some(|runs| Ok(report::series_csv(runs))), false),
        ("--markdown", &args.markdown, Some(report::markdown), false),
        ("--junit", &args.junit, Some(|runs| Ok(report::junit(runs))), false),
        ("--bencher", &args.bencher, Some(report::bencher), true),
        ("--github-smaller", &args.github_smaller, Some(|runs| report::github_benchmark(runs, false)), true),
        ("--github-bigger", &args.github_bigger, Some(|runs| report::github_benchmark(runs, true)), true),
    ];
    let asked = all
        .into_iter()
        .filter_map(|(flag, path, make, kept)| path.as_deref().map(|path| Wanted { flag, path, make, kept }));
    asked.collect()
}

pub fn run(args: &ReportArgs) -> anyhow::Result<Exit> {
    let wanted = wanted(args);
    check(args, &wanted)?;
    // First of all: a report that cannot be kept is not made.
    let places = wanted.iter().map(|one| Output::open_for(one.flag, one.path));
    let places = places.collect::<Result<Vec<Output>, Environment>>()?;
    match documents(args)? {
        Documents::Runs(runs) => of_runs(args, &wanted, places, &runs),
        Documents::Searches(searches) => of_searches(args, &wanted, places, &searches),
    }
}

fn of_runs(args: &ReportArgs, wanted: &[Wanted], places: Vec<Output>, given: &Runs) -> anyhow::Result<Exit> {
    let Runs { runs, sides, scenario, searches } = given;
    // A damaged histogram shows only when it is drawn; nothing is written then.
    let blame = |error: ReportError| Usage(error.to_string());
    let sound: Vec<Run> = runs.iter().filter(|run| says_something(&run.record)).cloned().collect();
    let make = |one: &Wanted| match one.make {
        Some(make) => make(if one.kept { &sound } else { runs }),
        None => match scenario {
            Some((scenario, summary)) => report::scenario_html(scenario, summary, runs, searches),
            None => report::html(runs, sides),
        },
    };
    let texts = wanted.iter().map(make).collect::<Result<Vec<String>, ReportError>>().map_err(blame)?;
    let written = places.into_iter().zip(&texts).map(|(place, text)| write(place, text));
    written.collect::<Result<(), Environment>>()?;
    if let Some(folder) = &args.hgrm {
        write_hgrms(folder, &report::hgrms(runs).map_err(blame)?)?;
    }
    if args.text {
        output::print_text(&summaries(runs), false)?;
    } else if wanted.is_empty() && args.hgrm.is_none() {
        let (width, color) = stdout_shape();
        output::print_text(&report::comparison(runs, width, color).map_err(blame)?, false)?;
    }
    let silent = runs.len() - sound.len();
    if silent > 0 && wanted.iter().any(|one| one.kept) {
        output::complain(format_args!(
            "error: no figures of {silent} of {} runs: the generator was the limit, or nothing was measured",
            runs.len()
        ));
        return Ok(Exit::GeneratorLimited);
    }
    Ok(Exit::Clean)
}

/// A page of searches for a capacity, or what was said at their ends.
fn of_searches(
    args: &ReportArgs,
    wanted: &[Wanted],
    places: Vec<Output>,
    searches: &[(String, CapacityRecord)],
) -> anyhow::Result<Exit> {
    if let Some(other) = wanted.iter().find(|one| one.make.is_some()) {
        return Err(
            Usage(format!("{}: it is of runs, and these are searches for a capacity", other.flag)).into()
        );
    }
    if args.hgrm.is_some() || args.baseline.is_some() {
        return Err(
            Usage("--hgrm and --baseline are of runs, and these are searches for a capacity".into()).into()
        );
    }
    let page = report::capacity_html(searches);
    places.into_iter().try_for_each(|place| write(place, &page))?;
    if args.text || wanted.is_empty() {
        let (width, color) = stdout_shape();
        for (at, (label, record)) in searches.iter().enumerate() {
            let head = heading(at, searches.len(), label);
            let text = report::capacity_text(record, width.min(output::WIDEST), color);
            output::print_text(&(head + &text), false)?;
        }
    }
    Ok(Exit::Clean)
}

/// Whether the figures are the broker's.
fn says_something(record: &Finished) -> bool {
    let verdict = match record {
        Finished::Run(record) => record.verdict,
        Finished::Fleet(record) => record.verdict,
    };
    matches!(verdict, Verdict::Clean | Verdict::BrokerLimited)
}

/// A file for each latency of each run.
fn write_hgrms(folder: &Path, all: &[(String, String)]) -> Result<(), Environment> {
    let blame = |error: io::Error| Environment(format!("--hgrm {}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(blame)?;
    all.iter().try_for_each(|(name, text)| {
        // Runs of several folders are called by their paths.
        let name = name.replace(['/', '\0'], "-");
        write(Output::open_for("--hgrm", &folder.join(format!("{name}.hgrm")))?, text)
    })
}

/// [`Output`] ends what it writes with a newline.
fn write(place: Output, text: &str) -> Result<(), Environment> {
    place.write(text.strip_suffix('\n').unwrap_or(text))
}

/// What no single flag's parser can see.
fn check(args: &ReportArgs, wanted: &[Wanted]) -> Result<(), Usage> {
    let to_stdout = wanted.iter().filter(|one| one.path == Path::new("-")).count();
    if to_stdout + usize::from(args.text) > 1 {
        return Err(Usage("standard output takes one report: give the others a file".into()));
    }
    let same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b && a != Path::new("-"),
    };
    for (at, one) in wanted.iter().enumerate() {
        let path = one.path.display();
        if let Some(other) = wanted[..at].iter().find(|other| same(other.path, one.path)) {
            return Err(Usage(format!("{} and {} are both {path}: give each a file", other.flag, one.flag)));
        }
        if args.files.iter().chain(&args.baseline).any(|file| same(file, one.path) && !file.is_dir()) {
            return Err(Usage(format!("{} {path}: that is a record; choose another file", one.flag)));
        }
    }
    Ok(())
}

/// What was given.
enum Documents {
    Runs(Box<Runs>),
    Searches(Vec<(String, CapacityRecord)>),
}

struct Runs {
    runs: Vec<Run>,
    /// The base first; none where no base was chosen.
    sides: Vec<Side>,
    /// Where one scenario was given, and nothing else, its summary,
    scenario: Option<(ScenarioRecord, String)>,
    /// and its searches.
    searches: Vec<(String, CapacityRecord)>,
}

/// One of them.
enum Document {
    Run(Finished),
    Search(Box<CapacityRecord>),
}

/// The records of all files and folders, in their order, the base first. What was given by one name is one side.
fn documents(args: &ReportArgs) -> Result<Documents, Usage> {
    let (mut records, mut searches, mut sides) = (Vec::new(), Vec::new(), Vec::new());
    for path in args.baseline.iter().chain(&args.files) {
        let before = records.len();
        for (file, document) in read_all(path)? {
            match document {
                Document::Run(record) => records.push((file, record)),
                Document::Search(record) => searches.push((file, *record)),
            }
        }
        sides.push((path.clone(), before..records.len()));
    }
    let scenario = scenario(args)?;
    // In a folder of runs they are passed over, unless it is a scenario's.
    let typed = searches.iter().find(|(file, _)| args.files.contains(file) && !records.is_empty());
    if let Some((path, _)) = typed {
        let path = path.display();
        return Err(Usage(format!(
            "{path}: runs and searches for a capacity are not on one page; give either"
        )));
    }
    let (files, found): (Vec<_>, Vec<_>) = searches.into_iter().unzip();
    let searches = labels(&files).into_iter().zip(found).collect();
    if records.is_empty() && scenario.is_none() {
        return Ok(Documents::Searches(searches));
    }
    let (files, found): (Vec<_>, Vec<_>) = records.into_iter().unzip();
    let runs = labels(&files).into_iter().zip(found).map(|(label, record)| Run { label, record });
    let paths: Vec<PathBuf> = sides.iter().map(|(path, _)| path.clone()).collect();
    let names = labels(&paths).into_iter().zip(sides);
    let sides = names.map(|(name, (_, runs))| Side { name, runs });
    let sides = if args.baseline.is_some() { sides.collect() } else { Vec::new() };
    Ok(Documents::Runs(Box::new(Runs { runs: runs.collect(), sides, scenario, searches })))
}

/// The summary in the only folder that was given, if it is that of a scenario, and there is to be a page.
fn scenario(args: &ReportArgs) -> Result<Option<(ScenarioRecord, String)>, Usage> {
    if args.html.is_none() {
        return Ok(None);
    }
    let ([folder], None) = (&args.files[..], &args.baseline) else { return Ok(None) };
    let path = folder.join("summary.json");
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|error| Usage(format!("{}: cannot be read: {error}", path.display())))?;
    match ScenarioRecord::from_json(&text) {
        Ok(scenario) => Ok(Some((scenario, text))),
        Err(RecordError::Schema { .. }) => Ok(None),
        Err(error) => Err(no_record(&path, &error)),
    }
}

/// The record of a file, or those of a folder.
fn read_all(path: &Path) -> Result<Vec<(PathBuf, Document)>, Usage> {
    if !path.is_dir() {
        return Ok(vec![(path.to_owned(), read(path)?)]);
    }
    let mut inside = Vec::new();
    beneath(path, &mut inside)
        .map_err(|error| Usage(format!("{}: cannot be read: {error}", path.display())))?;
    inside.sort();
    let read = inside.into_iter().map(|file| Ok(read_if_record(&file)?.map(|document| (file, document))));
    let found: Vec<_> = read.collect::<Result<Vec<_>, Usage>>()?.into_iter().flatten().collect();
    match found.is_empty() {
        true => Err(Usage(format!("{}: there is no record in this folder", path.display()))),
        false => Ok(found),
    }
}

/// What `ab` keeps aside: no run of a pair that counts.
const ASIDE: [&str; 2] = ["warm-up", "void"];

/// Every file of JSON in a folder, and in those in it.
fn beneath(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let is_of_pairs = ["a", "b"].iter().chain(&ASIDE).all(|name| folder.join(name).is_dir());
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let is_aside = ASIDE.iter().any(|name| entry.file_name() == *name);
            if !(is_of_pairs && is_aside) {
                beneath(&entry.path(), files)?;
            }
        } else if entry.path().extension().is_some_and(|extension| extension == "json") {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Of a folder: what is JSON of something else is passed over, such as the summary of a scenario.
fn read_if_record(path: &Path) -> Result<Option<Document>, Usage> {
    match parse(path)? {
        Ok(record) => Ok(Some(record)),
        Err(RecordError::Schema { .. } | RecordError::Absent) => Ok(None),
        Err(error) => Err(no_record(path, &error)),
    }
}

fn read(path: &Path) -> Result<Document, Usage> {
    parse(path)?.map_err(|error| no_record(path, &error))
}

fn parse(path: &Path) -> Result<Result<Document, RecordError>, Usage> {
    let text = match path == Path::new("-") {
        true => io::read_to_string(io::stdin()),
        false => std::fs::read_to_string(path),
    };
    let text = text.map_err(|error| Usage(format!("{}: cannot be read: {error}", path.display())))?;
    Ok(match Finished::from_json(&text) {
        Err(RecordError::Schema { found, .. }) if found == CAPACITY_SCHEMA => {
            CapacityRecord::from_json(&text).map(|record| Document::Search(Box::new(record)))
        }
        other => other.map(Document::Run),
    })
}

fn no_record(path: &Path, error: &RecordError) -> Usage {
    Usage(format!("{}: {error}; give a file that --json wrote", path.display()))
}

/// What runs are called: the names of their files without folder and extension where those differ, else the
/// paths as typed. A file that is given twice gets a number.
fn labels(files: &[PathBuf]) -> Vec<String> {
    let stem = |path: &PathBuf| match path.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
    };
    let stems: Vec<String> = files.iter().map(stem).collect();
    let distinct = stems.iter().collect::<BTreeSet<_>>().len() == stems.len();
    let typed = || files.iter().map(|path| path.display().to_string()).collect();
    let names: Vec<String> = if distinct { stems } else { typed() };
    let mut taken = BTreeSet::new();
    let mut labels = Vec::new();
    for name in names {
        let numbered = (2..).map(|number| format!("{name} ({number})"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|label| taken.insert(label.clone()));
        labels.push(free.expect("some number is free"));
    }
    labels
}

/// What stands above one of several.
fn heading(at: usize, of: usize, label: &str) -> String {
    let gap = if at > 0 { "\n" } else { "" };
    let label: String = label.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if of > 1 { format!("{gap}=== {label}\n") } else { String::new() }
}

/// The summary of each run; with several, each under its label.
fn summaries(runs: &[Run]) -> String {
    let (width, color) = stdout_shape();
    let mut text = String::new();
    for (at, run) in runs.iter().enumerate() {
        text += &heading(at, runs.len(), &run.label);
        text += &match &run.record {
            Finished::Run(record) => report::text(record, width.min(output::WIDEST), color),
            Finished::Fleet(record) if record.publishers.is_empty() => report::fleet::subscribe_text(record),
            Finished::Fleet(record) => report::fleet::publish_text(record),
        };
    }
    text
}

/// Columns of standard output, and whether it shows colours.
fn stdout_shape() -> (usize, bool) {
    let terminal = io::stdout().is_terminal();
    let columns = console::Term::stdout().size_checked().map(|size| usize::from(size.1));
    let width = columns.filter(|_| terminal).unwrap_or(UNBOUNDED);
    (width, terminal && std::env::var_os("NO_COLOR").is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_called_by_their_files() {
        let labels = |paths: &[&str]| labels(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(labels(&["out/mosquitto.json", "emqx-5.json"]), ["mosquitto", "emqx-5"]);
        assert_eq!(labels(&["a/run.json", "b/run.json"]), ["a/run.json", "b/run.json"]);
        assert_eq!(labels(&["run.json", "run.json", "-"]), ["run.json", "run.json (2)", "-"]);
        assert_eq!(labels(&["-"]), ["standard input"]);
    }

    /// Of the folder of `ab` only the pairs that count; elsewhere a folder may be called as it likes.
    #[test]
    fn what_ab_kept_aside_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a/01.json", "b/01.json", "void/a-02.json", "warm-up/a.json", "logs/a-01/run.stderr"] {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "{}").unwrap();
        }
        let found = || {
            let mut files = Vec::new();
            beneath(dir.path(), &mut files).unwrap();
            files.sort();
            let name = |file: &PathBuf| file.strip_prefix(dir.path()).unwrap().display().to_string();
            files.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(found(), ["a/01.json", "b/01.json"]);
        std::fs::remove_dir_all(dir.path().join("b")).unwrap();
        assert_eq!(found(), ["a/01.json", "void/a-02.json", "warm-up/a.json"]);
    }
}
