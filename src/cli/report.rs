//! `report`: finished records, read again.

use super::args::ReportArgs;
use super::output::{self, Output};
use super::{Environment, Usage};
use crate::record::{Exit, Finished};
use crate::report::{self, Run};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

/// Columns of a table that does not go to a terminal.
const UNBOUNDED: usize = 160;

pub fn run(args: &ReportArgs) -> anyhow::Result<Exit> {
    check(args)?;
    // First of all: a report that cannot be kept is not made.
    let html = args.html.as_deref().map(|path| Output::open_for("--html", path)).transpose()?;
    let csv = args.csv.as_deref().map(|path| Output::open_for("--csv", path)).transpose()?;
    let labels = labels(&args.files);
    let runs = args.files.iter().zip(labels).map(|(path, label)| read(path, label));
    let runs = runs.collect::<Result<Vec<Run>, Usage>>()?;
    // A damaged histogram shows only when it is drawn; nothing is written then.
    let blame = |error: report::ReportError| Usage(error.to_string());
    let page = html.map(|place| Ok((place, report::html(&runs)?))).transpose().map_err(blame)?;
    let table = csv.map(|place| Ok((place, report::runs_csv(&runs)?))).transpose().map_err(blame)?;
    let written = page.into_iter().chain(table).map(|(place, text)| write(place, &text));
    written.collect::<Result<(), Environment>>()?;
    if args.text {
        output::print_text(&summaries(&runs), false)?;
    } else if args.html.is_none() && args.csv.is_none() {
        let (width, color) = stdout_shape();
        output::print_text(&report::comparison(&runs, width, color).map_err(blame)?, false)?;
    }
    Ok(Exit::Clean)
}

/// [`Output`] ends what it writes with a newline.
fn write(place: Output, text: &str) -> Result<(), Environment> {
    place.write(text.strip_suffix('\n').unwrap_or(text))
}

/// What no single flag's parser can see.
fn check(args: &ReportArgs) -> Result<(), Usage> {
    let outputs = [("--html", &args.html), ("--csv", &args.csv)];
    let outputs: Vec<(&str, &Path)> =
        outputs.into_iter().filter_map(|(flag, path)| Some((flag, path.as_deref()?))).collect();
    let to_stdout = outputs.iter().filter(|(_, path)| *path == Path::new("-")).count();
    if to_stdout + usize::from(args.text) > 1 {
        return Err(Usage("standard output takes one report: give --html or --csv a file".into()));
    }
    let same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b && a != Path::new("-"),
    };
    if let [(_, html), (_, csv)] = outputs.as_slice()
        && same(html, csv)
    {
        return Err(Usage(format!("--html and --csv are both {}: give each a file", html.display())));
    }
    for (flag, path) in outputs {
        if args.files.iter().any(|file| same(file, path)) {
            return Err(Usage(format!("{flag} {}: that is a record; choose another file", path.display())));
        }
    }
    Ok(())
}

fn read(path: &Path, label: String) -> Result<Run, Usage> {
    let text = match path == Path::new("-") {
        true => io::read_to_string(io::stdin()),
        false => std::fs::read_to_string(path),
    };
    let text = text.map_err(|error| Usage(format!("{}: cannot be read: {error}", path.display())))?;
    let record = Finished::from_json(&text)
        .map_err(|error| Usage(format!("{}: {error}; give a file that --json wrote", path.display())))?;
    Ok(Run { label, record })
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

/// The summary of each run; with several, each under its label.
fn summaries(runs: &[Run]) -> String {
    let (width, color) = stdout_shape();
    let mut text = String::new();
    for (at, run) in runs.iter().enumerate() {
        if runs.len() > 1 {
            let gap = if at > 0 { "\n" } else { "" };
            let label: String = run.label.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
            writeln!(text, "{gap}=== {label}").expect("a String takes everything");
        }
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
}
