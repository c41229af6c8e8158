//! JUnit XML: a suite for each run, a case for the run itself and one for each of its bounds.

use crate::record::{BoundResult, BoundState, Exit, Finished};
use crate::report::Run;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use std::io;

/// What a suite says of a run.
struct Suite<'a> {
    label: String,
    started_at: &'a str,
    host: &'a str,
    seconds: f64,
    exit: Exit,
    reason: &'a str,
    bounds: &'a [BoundResult],
    properties: Vec<(&'static str, String)>,
}

impl Suite<'_> {
    fn of(run: &Run) -> Suite<'_> {
        let (label, command) = (plain(&run.label), |words: &[String]| plain(&words.join(" ")));
        match &run.record {
            Finished::Run(record) => Suite {
                label,
                started_at: &record.started_at,
                host: &record.machine.host,
                seconds: record.phases.last().map_or(0.0, |times| times.end_ns as f64 / 1e9),
                exit: Exit::from_code(record.exit_code),
                reason: &record.exit_reason,
                bounds: &record.bounds,
                properties: vec![
                    ("verdict", record.verdict.name().to_owned()),
                    ("seed", record.plan.seed.to_string()),
                    ("command", command(&record.command)),
                    ("version", record.versions.malaria_bench.clone()),
                ],
            },
            Finished::Fleet(record) => Suite {
                label,
                started_at: &record.started_at,
                host: &record.machine.host,
                seconds: record.elapsed_ns as f64 / 1e9,
                exit: Exit::from_code(record.exit_code),
                reason: &record.exit_reason,
                bounds: &record.bounds,
                properties: vec![
                    ("verdict", record.verdict.name().to_owned()),
                    ("seed", record.seed.clone()),
                    ("command", command(&record.command)),
                    ("version", record.versions.malaria_bench.clone()),
                ],
            },
        }
    }

    /// Whether the run itself went wrong: broken bounds have cases of their own, unless it was a condition.
    fn went_wrong(&self) -> bool {
        match self.exit {
            Exit::Clean => false,
            Exit::Bounds => self.bounds.iter().all(BoundResult::holds),
            _ => true,
        }
    }

    fn failures(&self) -> usize {
        let failed =
            |bound: &&BoundResult| matches!(bound.result, BoundState::Broken | BoundState::NotMeasured);
        self.bounds.iter().filter(failed).count()
    }

    fn void(&self) -> usize {
        self.bounds.iter().filter(|bound| bound.result == BoundState::Void).count()
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
        // Its schema has no zone: it is UTC.
        let timestamp = self.started_at.trim_end_matches('Z');
        let seconds = format!("{:.3}", self.seconds);
        let suite = writer.create_element("testsuite").with_attributes([
            ("name", self.label.as_str()),
            ("tests", &(self.bounds.len() + 1).to_string()),
            ("failures", &self.failures().to_string()),
            ("errors", &usize::from(self.went_wrong()).to_string()),
            ("skipped", &self.void().to_string()),
            ("time", &seconds),
            ("timestamp", timestamp),
            ("hostname", self.host),
        ]);
        suite.write_inner_content(|writer| {
            writer.create_element("properties").write_inner_content(|writer| {
                for (name, value) in &self.properties {
                    let property = writer.create_element("property");
                    property.with_attributes([("name", *name), ("value", value.as_str())]).write_empty()?;
                }
                Ok(())
            })?;
            let error = self.went_wrong().then(|| ("error", self.exit.name(), plain(self.reason)));
            self.case(writer, "run", &seconds, error)?;
            for bound in self.bounds {
                let (kind, word) = match bound.result {
                    BoundState::Held => ("", ""),
                    BoundState::Broken => ("failure", "broken"),
                    BoundState::NotMeasured => ("failure", "not-measured"),
                    BoundState::Void => ("skipped", "void"),
                };
                let told = (!kind.is_empty()).then(|| (kind, word, bound.to_string()));
                self.case(writer, &bound.bound, "0.000", told)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// A case that is well, or went as is told.
    fn case(
        &self,
        writer: &mut Writer<Vec<u8>>,
        name: &str,
        seconds: &str,
        told: Option<(&str, &str, String)>,
    ) -> io::Result<()> {
        let attributes = [("classname", self.label.as_str()), ("name", name), ("time", seconds)];
        let case = writer.create_element("testcase").with_attributes(attributes);
        let Some((kind, word, text)) = told else {
            return case.write_empty().map(drop);
        };
        case.write_inner_content(|writer| {
            let element = writer.create_element(kind);
            match kind {
                "skipped" => element.with_attribute(("message", text.as_str())).write_empty()?,
                _ => element
                    .with_attributes([("type", word), ("message", text.as_str())])
                    .write_text_content(BytesText::new(&text))?,
            };
            Ok(())
        })?;
        Ok(())
    }
}

/// Without what XML cannot hold.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// See [`report::junit`](crate::report::junit).
pub fn junit(runs: &[Run]) -> String {
    let suites: Vec<Suite> = runs.iter().map(Suite::of).collect();
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    write(&suites, &mut writer).expect("a Vec takes everything");
    String::from_utf8(writer.into_inner()).expect("of text only") + "\n"
}

fn write(suites: &[Suite], writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let sum = |of: &dyn Fn(&Suite) -> usize| suites.iter().map(of).sum::<usize>().to_string();
    let root = writer.create_element("testsuites").with_attributes([
        ("name", "malaria-bench"),
        ("tests", &sum(&|suite: &Suite| suite.bounds.len() + 1)),
        ("failures", &sum(&|suite: &Suite| suite.failures())),
        ("errors", &sum(&|suite: &Suite| usize::from(suite.went_wrong()))),
    ]);
    root.write_inner_content(|writer| suites.iter().try_for_each(|suite| suite.write(writer)))?;
    Ok(())
}
