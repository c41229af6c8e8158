//! Commands of this program as a scenario has them: checked before anything runs.

use crate::cli::args::{Cli, ProgressArg};
use crate::cli::config;
use crate::experiment::Command;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory};
use std::ffi::OsString;
use std::path::PathBuf;

/// Commands that run others: one within another would have no end, or no place for its results.
const OUTER: [&str; 4] = ["scenario", "matrix", "ab", "attack"];

/// Flags of a run that are not for the words of one of many: who runs them says these.
const NOT_OF_ONE: [&str; 11] = [
    "host",
    "port",
    "embedded",
    "json",
    "repeat",
    "baseline",
    "save_baseline",
    "gate",
    "tolerate",
    "allow_other_machine",
    "allow_other_plan",
];

/// Checks the words of a command. The program's name may stand in front of them.
///
/// # Errors
/// Words that make no sense to the command, in one line.
pub fn check(words: &[String]) -> Result<Command, String> {
    let words = match words.split_first() {
        Some((name, rest)) if name == "malaria" || name == "malaria-bench" => rest,
        _ => words,
    };
    let line =
        ["malaria-bench"].into_iter().chain(words.iter().map(String::as_str)).map(Into::into).collect();
    let matches = parse(line)?;
    let (name, active) = match matches.subcommand() {
        Some((name, active)) => (Some(name), active),
        None => (None, &matches),
    };
    if let Some(name) = name.filter(|name| OUTER.contains(name)) {
        return Err(format!("`{name}` cannot be a step: it runs steps of its own"));
    }
    let json = active.try_get_one::<PathBuf>("json");
    if let Ok(Some(path)) = json {
        let path = path.display();
        return Err(format!("--json {path}: leave it out, the scenario keeps the record of each step"));
    }
    let quiet = active.try_get_one::<bool>("quiet").ok().flatten().copied().unwrap_or(false);
    let progress = active.try_get_one::<ProgressArg>("progress").ok().flatten();
    let says_subscribed = name == Some("subscribe") && !quiet && progress == Some(&ProgressArg::Always);
    Ok(Command { words: words.to_vec(), has_record: json.is_ok(), says_subscribed })
}

/// Checks the words of a run of the main job against a broker that others name.
///
/// # Errors
/// Words that make no sense to it, or that name a broker or a place for results, in one line.
pub fn check_run(words: &[String]) -> Result<(), String> {
    let line =
        ["malaria-bench"].into_iter().chain(words.iter().map(String::as_str)).map(Into::into).collect();
    let matches = parse(line)?;
    if let Some(name) = matches.subcommand_name() {
        return Err(format!("`{name}` is not a run of the main job: flags of it are expected"));
    }
    let typed = |name: &&&str| matches.value_source(name) == Some(ValueSource::CommandLine);
    match NOT_OF_ONE.iter().find(typed) {
        Some(name) => Err(format!("--{}: leave it out of the flags of a run", name.replace('_', "-"))),
        None => Ok(()),
    }
}

fn parse(line: Vec<OsString>) -> Result<ArgMatches, String> {
    config::parse(Cli::command(), line).map_err(|error| match error.downcast_ref::<clap::Error>() {
        Some(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            "--help and --version measure nothing".to_owned()
        }
        Some(error) => config::one_line(error),
        None => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(line: &str) -> Result<Command, String> {
        check(&shlex::split(line).unwrap())
    }

    #[test]
    fn commands_of_this_program_pass() {
        for (line, has_record) in [
            ("--embedded --clients 10", true),
            ("malaria-bench --embedded", true),
            ("publish -n 10 --topic 'a b'", true),
            ("capacity --goal 'flight p99 < 50ms'", true),
            ("malaria subscribe -n 10", true),
            ("keygen -n 3", false),
            ("reflector --port 0", false),
        ] {
            assert_eq!(checked(line).unwrap().has_record, has_record, "{line}");
        }
        assert_eq!(checked("malaria publish -n 1").unwrap().words, ["publish", "-n", "1"]);
    }

    #[test]
    fn only_a_loud_subscribe_says_that_it_has_subscribed() {
        let says = |line: &str| checked(line).unwrap().says_subscribed;
        assert!(says("subscribe -n 10") && says("subscribe --endless"));
        assert!(!says("subscribe --quiet") && !says("subscribe --progress never") && !says("publish"));
    }

    #[test]
    fn a_run_against_a_broker_that_others_name_names_none() {
        let run = |line: &str| check_run(&shlex::split(line).unwrap());
        assert_eq!(run("--rate 10k -q 2 --duration 5s"), Ok(()));
        assert_eq!(run(""), Ok(()));
        for (line, part) in [
            ("-H one", "--host"),
            ("--embedded", "--embedded"),
            ("--json a.json", "--json"),
            ("--repeat 3", "--repeat"),
            ("--save-baseline a", "--save-baseline"),
            ("publish -n 3", "`publish`"),
            ("--clouds 3", "--clouds"),
        ] {
            let error = run(line).unwrap_err();
            assert!(error.contains(part) && !error.contains('\n'), "{line}: {error}");
        }
    }

    #[test]
    fn other_words_are_told_in_one_line() {
        for (line, part) in [
            ("publish --clouds 3", "--clouds"),
            ("--clients many", "many"),
            ("publish --json a.json", "a.json"),
            ("publish --help", "measure nothing"),
            ("launch", "launch"),
        ] {
            let error = checked(line).unwrap_err();
            assert!(error.contains(part) && !error.contains('\n'), "{line}: {error}");
        }
    }
}
