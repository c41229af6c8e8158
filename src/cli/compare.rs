//! `compare`: finished runs against each other.

use super::args::CompareArgs;
use super::output::{Output, print_text};
use super::{Usage, records};
use crate::gate::compare::{Comparison, compare, schema};
use crate::record::Exit;
use std::path::PathBuf;

pub fn run(args: &CompareArgs) -> anyhow::Result<Exit> {
    if args.json_schema {
        return print_text(schema(), false).map(|()| Exit::Clean);
    }
    check(&args.new)?;
    let output = args.json.as_deref().map(Output::open).transpose()?;
    let (base, new) = (records::read(&args.base)?, records::read(&args.new)?);
    let comparison = compare(&base, &new, &args.question.question()).map_err(|why| Usage(why.to_string()))?;
    let to_stderr = output.as_ref().is_some_and(Output::is_stdout);
    print_text(&comparison.text(), to_stderr)?;
    output.map_or(Ok(()), |output| output.write(&json(&comparison)))?;
    Ok(Exit::from_code(comparison.exit_code))
}

/// What stands behind `--`, which is easily forgotten, and easily written too early.
fn check(new: &[PathBuf]) -> Result<(), Usage> {
    if new.is_empty() {
        return Err(Usage("what is new goes behind --: malaria-bench compare base/ -- new/".to_owned()));
    }
    match new.iter().find(|path| path.as_os_str().as_encoded_bytes().starts_with(b"-") && !path.exists()) {
        Some(flag) => Err(Usage(format!("{}: flags go before --", flag.display()))),
        None => Ok(()),
    }
}

/// Indented, without a newline at its end.
fn json(comparison: &Comparison) -> String {
    serde_json::to_string_pretty(comparison).expect("a comparison is plain data with string keys")
}
