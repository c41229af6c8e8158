//! `compare`: finished runs against each other.

use super::args::CompareArgs;
use super::output::{Output, print_text};
use super::{Usage, records};
use crate::gate::compare::{Comparison, compare, schema};
use crate::record::Exit;

pub fn run(args: &CompareArgs) -> anyhow::Result<Exit> {
    if args.json_schema {
        return print_text(schema(), false).map(|()| Exit::Clean);
    }
    let output = args.json.as_deref().map(Output::open).transpose()?;
    let (base, new) = (records::read(&args.base)?, records::read(&args.new)?);
    let comparison = compare(&base, &new, &args.question.question()).map_err(|why| Usage(why.to_string()))?;
    let to_stderr = output.as_ref().is_some_and(Output::is_stdout);
    print_text(&comparison.text(), to_stderr)?;
    output.map_or(Ok(()), |output| output.write(&json(&comparison)))?;
    Ok(Exit::from_code(comparison.exit_code))
}

/// Indented, without a newline at its end.
fn json(comparison: &Comparison) -> String {
    serde_json::to_string_pretty(comparison).expect("a comparison is plain data with string keys")
}
