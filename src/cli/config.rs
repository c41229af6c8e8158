//! Flags from a file (TOML): keys are the names of flags in either spelling, `msg_count` or `msg-count`. Keys
//! at the top hold for every command that is given the file, so that each has to know them; those in a table such as
//! `[publish]` hold for that one (`[malaria-bench]` is the main job). The command line wins.

use super::Usage;
use crate::experiment::Named;
use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory};
use std::any::TypeId;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The name of the flag that names the file,
const CONFIG: &str = "config";
/// and of the argument that names a standard workload.
const SCENARIO: &str = "scenario";

/// Lets every flag be spelled with underscores and with hyphens, and take a negative number as its value (so
/// that the error is about the number).
pub fn either_spelling(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let command = command.mut_args(|arg| {
        let arg = match arg.get_long() {
            Some(long) if long.contains('-') => {
                let other = long.replace('-', "_");
                arg.alias(other)
            }
            Some(long) if long.contains('_') => {
                let other = long.replace('_', "-");
                arg.alias(other)
            }
            _ => arg,
        };
        if arg.get_action().takes_values() { arg.allow_negative_numbers(true) } else { arg }
    });
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, either_spelling))
}

/// Parses `words` (the first is the program's name), with what their `--config` file adds.
///
/// # Errors
/// [`clap::Error`] for the words, also for --help; [`Usage`] for the file.
pub fn parse(command: Command, words: Vec<OsString>) -> anyhow::Result<ArgMatches> {
    let mut command = either_spelling(command);
    let matches = command.clone().try_get_matches_from(&words).map_err(|error| mistyped(&command, error))?;
    command.build();
    let (words, matches) = with_file(&command, words, matches)?;
    with_scenario(&command, words, matches)
}

/// With what the file says that the words name, if they name one.
fn with_file(
    command: &Command,
    mut words: Vec<OsString>,
    matches: ArgMatches,
) -> anyhow::Result<(Vec<OsString>, ArgMatches)> {
    let (name, active) = active(&matches);
    let Ok(Some(path)) = active.try_get_one::<PathBuf>(CONFIG) else { return Ok((words, matches)) };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Usage(format!("--config {}: {error}", path.display())))?;
    let file = File { path, text: &text, command, words: &words };
    let (added, matches) = file.parse(name, active)?;
    words.extend(added);
    Ok((words, matches))
}

/// With what the standard workload says that the words name, if they name one, but for what they say or exclude.
fn with_scenario(
    command: &Command,
    mut words: Vec<OsString>,
    matches: ArgMatches,
) -> anyhow::Result<ArgMatches> {
    let (name, typed) = active(&matches);
    let Some((Ok(Some(scenario)), name)) = name.map(|name| (typed.try_get_one::<String>(SCENARIO), name))
    else {
        return Ok(matches);
    };
    let theirs = Named::find(scenario)?.words()?.into_iter().map(OsString::from);
    let theirs = words[..1].iter().cloned().chain([name.into(), scenario.into()]).chain(theirs);
    let theirs = command.clone().try_get_matches_from(theirs)?;
    let (_, said) = active(&theirs);
    let active = command.find_subcommand(name).expect("it was chosen");
    for arg in active.get_arguments().filter(|arg| arg.get_id() != SCENARIO) {
        let id = arg.get_id().as_str();
        let is_said = said.value_source(id) == Some(ValueSource::CommandLine);
        if let Some(long) = arg.get_long().filter(|_| is_said && !is_settled(active, arg, typed)) {
            let values = said.get_raw(id).into_iter().flatten().filter(|_| arg.get_action().takes_values());
            let word = |value: &OsStr| {
                let mut word = OsString::from(format!("--{long}="));
                word.push(value);
                word
            };
            let before = words.len();
            words.extend(values.map(word));
            if words.len() == before {
                words.push(format!("--{long}").into());
            }
        }
    }
    command
        .clone()
        .try_get_matches_from(words)
        .map_err(|error| Usage(format!("{scenario}: {}", one_line(&error))).into())
}

/// Whether `name` is a command of either program; those of `malaria` are also those of `malaria-bench`.
fn is_command(name: &str) -> bool {
    let all = super::args::Cli::command();
    name == all.get_name() || all.find_subcommand(name).is_some()
}

/// The error about a word behind flags that is not the name of a command; clap calls it one, and then says that it
/// does not go with the flags.
fn mistyped(command: &Command, error: clap::Error) -> clap::Error {
    let word = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) if error.kind() == ErrorKind::ArgumentConflict => word,
        _ => return error,
    };
    if command.find_subcommand(word).is_some() {
        return error;
    }
    let alone = command.clone().try_get_matches_from([command.get_name(), word]);
    alone.err().unwrap_or(error)
}

/// The subcommand that was chosen, and its flags.
fn active(matches: &ArgMatches) -> (Option<&str>, &ArgMatches) {
    match matches.subcommand() {
        Some((name, matches)) => (Some(name), matches),
        None => (None, matches),
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
    command: &'a Command,
    words: &'a [OsString],
}

/// A key of the file that is to be used.
struct Setting<'a> {
    arg: &'a Arg,
    words: Vec<OsString>,
    at: usize,
}

impl File<'_> {
    fn error(&self, at: usize, what: impl std::fmt::Display) -> Usage {
        let line = self.text[..at.min(self.text.len())].matches('\n').count() + 1;
        Usage(format!("--config {}, line {line}: {what}", self.path.display()))
    }

    /// The words that it adds, and what all of them mean.
    fn parse(&self, name: Option<&str>, typed: &ArgMatches) -> anyhow::Result<(Vec<OsString>, ArgMatches)> {
        let settings = self.settings(name, typed)?;
        // One by one first: then it is known which line is wrong.
        for setting in &settings {
            let words = [self.words, &setting.words].concat();
            match self.command.clone().try_get_matches_from(words) {
                Err(error) if error.kind() != ErrorKind::ArgumentConflict => {
                    return Err(self.error(setting.at, one_line(&error)).into());
                }
                _ => {}
            }
        }
        let added: Vec<OsString> = settings.into_iter().flat_map(|setting| setting.words).collect();
        let words = self.words.iter().cloned().chain(added.iter().cloned());
        let matches = self.command.clone().try_get_matches_from(words);
        let matches = matches
            .map_err(|error| Usage(format!("--config {}: {}", self.path.display(), one_line(&error))))?;
        Ok((added, matches))
    }

    /// The keys that count for the command `name`: those of its table before those at the top, none that
    /// the command line has or excludes.
    fn settings(&self, name: Option<&str>, typed: &ArgMatches) -> Result<Vec<Setting<'_>>, Usage> {
        let top = DeTable::parse(self.text).map_err(|error| {
            self.error(error.span().map_or(0, |span| span.start), error.message().replace('\n', " "))
        })?;
        let active = name.and_then(|name| self.command.find_subcommand(name)).unwrap_or(self.command);
        let mut settings: Vec<Setting> = Vec::new();
        let mut general = Vec::new();
        for (key, value) in top.get_ref() {
            let DeValue::Table(table) = value.get_ref() else {
                general.push((key, value));
                continue;
            };
            let command = match key.get_ref().as_ref() {
                name if name == self.command.get_name() => Some(self.command),
                name => self.command.find_subcommand(name),
            };
            let Some(command) = command else {
                // A file may be for both programs.
                if is_command(key.get_ref()) {
                    continue;
                }
                return Err(self.unknown(key, "a command"));
            };
            for (key, value) in table {
                let arg = flag(command, key.get_ref()).ok_or_else(|| self.unknown(key, "a flag"))?;
                let setting = Setting { arg, words: self.words_of(arg, value)?, at: key.span().start };
                if std::ptr::eq(command, active) {
                    settings.push(setting);
                }
            }
        }
        for (key, value) in general {
            let arg = flag(active, key.get_ref()).ok_or_else(|| self.foreign(key, active))?;
            if settings.iter().all(|setting| setting.arg.get_id() != arg.get_id()) {
                settings.push(Setting { arg, words: self.words_of(arg, value)?, at: key.span().start });
            }
        }
        settings.retain(|setting| !is_settled(active, setting.arg, typed));
        Ok(settings)
    }

    /// A key at the top that the command `active` does not know; others may.
    fn foreign(&self, key: &Spanned<Cow<'_, str>>, active: &Command) -> Usage {
        let commands = std::iter::once(self.command).chain(self.command.get_subcommands());
        let knowing = commands.filter(|command| flag(command, key.get_ref()).is_some());
        let tables: Vec<String> = knowing.map(|command| format!("[{}]", command.get_name())).collect();
        if tables.is_empty() {
            return self.unknown(key, "a flag");
        }
        let (key_name, name) = (key.get_ref(), active.get_name());
        let table = tables.join(" or ");
        self.error(
            key.span().start,
            format!("`{key_name}` is not a flag of {name}: put it into the table {table}"),
        )
    }

    fn unknown(&self, key: &Spanned<Cow<'_, str>>, what: &str) -> Usage {
        self.error(key.span().start, format!("`{}` is not the name of {what}", key.get_ref()))
    }

    /// The words that would say the same on the command line.
    fn words_of(&self, arg: &Arg, value: &Spanned<DeValue<'_>>) -> Result<Vec<OsString>, Usage> {
        let long = arg.get_long().expect("only flags with a long name are found");
        let at = value.span().start;
        if !arg.get_action().takes_values() {
            return match value.get_ref() {
                DeValue::Boolean(true) => Ok(vec![format!("--{long}").into()]),
                DeValue::Boolean(false) => Ok(Vec::new()),
                _ => Err(self.error(at, format!("`{long}` is true or false"))),
            };
        }
        let word = |value: &Spanned<DeValue<'_>>| {
            let text = text(value.get_ref(), arg.get_value_parser());
            let text = text.map_err(|what| self.error(value.span().start, format!("`{long}` is {what}")))?;
            Ok(format!("--{long}={text}").into())
        };
        match value.get_ref() {
            DeValue::Array(values) if matches!(arg.get_action(), ArgAction::Append) => {
                values.iter().map(word).collect()
            }
            _ => Ok(vec![word(value)?]),
        }
    }
}

/// The value as it would be typed; otherwise what it should have been.
fn text(value: &DeValue<'_>, parser: &ValueParser) -> Result<String, &'static str> {
    let wants = |kind: TypeId| parser.type_id() == kind;
    let wants_text = wants(TypeId::of::<String>()) || wants(TypeId::of::<PathBuf>());
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Boolean(value) if wants(TypeId::of::<bool>()) => Ok(value.to_string()),
        _ if wants(TypeId::of::<bool>()) => Err("true or false"),
        _ if wants_text => Err("text: put it in quotes"),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| "out of range"),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        _ => Err("a number or text"),
    }
}

/// The flag of `command` with this name, in either spelling.
fn flag<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    let plain = |name: &str| name.replace('_', "-");
    command.get_arguments().find(|arg| {
        let mut names = arg.get_long().into_iter().chain(arg.get_all_aliases().into_iter().flatten());
        let reserved = [CONFIG, "help", "version"].contains(&arg.get_id().as_str());
        !reserved && names.any(|known| plain(known) == plain(name))
    })
}

/// Whether the command line has `arg`, or a flag that goes before it.
fn is_settled(command: &Command, arg: &Arg, typed: &ArgMatches) -> bool {
    let is_typed = |arg: &Arg| {
        let id = arg.get_id().as_str();
        typed.value_source(id) == Some(ValueSource::CommandLine)
    };
    // A conflict is written down on one side only.
    let excluded = |other: &Arg| {
        let conflicts =
            |a: &Arg, b: &Arg| command.get_arg_conflicts_with(a).iter().any(|c| c.get_id() == b.get_id());
        is_typed(other) && (conflicts(arg, other) || conflicts(other, arg))
    };
    is_typed(arg) || command.get_arguments().any(excluded)
}

/// Flags that people look for where they are not, and where to find them.
const ELSEWHERE: [(&str, &str); 3] = [
    (
        "--repeat",
        "--repeat is of the main job, of `run NAME`, `scenario` and `matrix`: make this a step of a scenario (`malaria-bench scenario --example`)",
    ),
    ("--baseline", BASELINE),
    ("--save-baseline", BASELINE),
];
const BASELINE: &str = "--baseline and --save-baseline are of the main job and of `run NAME`; records of the main job that scenarios keep are compared by `malaria-bench compare BASE -- NEW`";

/// What is wrong, without the usage and the hint at --help.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let line = lines.collect::<Vec<_>>().join(" ").replace(" tip: ", "; ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    if let Some((_, why)) =
        ELSEWHERE.iter().find(|(flag, _)| line.starts_with(&format!("unexpected argument '{flag}'")))
    {
        return (*why).to_owned();
    }
    // What the standard library says of a number, in words for who typed it.
    let plain = [
        ("number would be zero for non-zero type", "it must be at least 1"),
        ("invalid digit found in string", "it must be a whole number"),
        ("cannot parse integer from empty string", "it must be a whole number"),
        ("number too large to fit in target type", "it is too large"),
        (" is not in 1..18446744073709551615", " is not 1 or more"),
        (" is not in 0..=2", " is not 0, 1 or 2"),
    ];
    plain.iter().fold(line.to_owned(), |line, (from, to)| line.replace(from, to))
}

#[cfg(test)]
mod tests;
