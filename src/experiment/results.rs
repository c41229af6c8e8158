//! What came of a scenario: summary.json, summary.csv and the table.

use super::process::gravest_code;
use super::spread;
use crate::record::{CombinationRecord, Exit, SCENARIO_SCHEMA, ScenarioRecord, StepFigures, StepRecord};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use std::collections::BTreeMap;

/// What a summary begins with.
pub struct Head {
    pub scenario: String,
    pub started_at: String,
    pub interrupted: bool,
    pub planned: usize,
}

/// One line of the table and of the CSV.
#[derive(Clone, Copy)]
pub struct Row<'s> {
    pub done: &'s CombinationRecord,
    pub step: Option<&'s StepRecord>,
}

impl Row<'_> {
    pub fn figure<F>(&self, of: impl FnOnce(&StepFigures) -> Option<F>) -> Option<F> {
        self.step.and_then(|step| step.figures.as_ref()).and_then(of)
    }

    fn variable(&self, name: &str) -> &str {
        self.done.variables.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl ScenarioRecord {
    /// With the differences between brokers.
    pub fn new(head: Head, combinations: Vec<CombinationRecord>) -> ScenarioRecord {
        let Head { scenario, started_at, interrupted, planned } = head;
        let mut exit_codes = BTreeMap::new();
        combinations.iter().for_each(|done| *exit_codes.entry(done.exit_code).or_insert(0) += 1);
        let interrupt = interrupted.then(|| Exit::Interrupted.code());
        let mut summary = ScenarioRecord {
            schema: SCENARIO_SCHEMA.to_owned(),
            scenario,
            started_at,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            exit_code: gravest_code(exit_codes.keys().copied().chain(interrupt)),
            exit_codes,
            planned,
            combinations,
            differences: Vec::new(),
        };
        summary.differences = spread::differences(&summary.rows());
        summary
    }

    /// One row for each combination, or for each of its steps that measured something.
    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        for done in &self.combinations {
            let before = rows.len();
            let measured = done.steps.iter().filter(|step| step.figures.is_some());
            rows.extend(measured.map(|step| Row { done, step: Some(step) }));
            if rows.len() == before {
                rows.push(Row { done, step: None });
            }
        }
        rows
    }

    /// Columns that say which combination a row is: those that any of them has.
    fn identity(&self, rows: &[Row]) -> Vec<(String, Vec<String>)> {
        let cells = |of: &dyn Fn(&Row) -> String| rows.iter().map(of).collect::<Vec<_>>();
        let mut columns = Vec::new();
        if self.combinations.iter().any(|done| done.broker.is_some()) {
            columns.push(("broker".to_owned(), cells(&|row| row.done.broker.clone().unwrap_or_default())));
        }
        if self.combinations.iter().any(|done| done.group.is_some()) {
            columns.push(("group".to_owned(), cells(&|row| row.done.group.clone().unwrap_or_default())));
        }
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.combinations.iter().flat_map(|done| &done.variables) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        for name in names {
            columns.push((name.to_owned(), cells(&|row| row.variable(name).to_owned())));
        }
        if self.combinations.iter().any(|done| done.repeat.is_some()) {
            let repeat = |row: &Row| row.done.repeat.map_or(String::new(), |repeat| repeat.to_string());
            columns.push(("repeat".to_owned(), cells(&repeat)));
        }
        if rows.len() > self.combinations.len() {
            let name = |row: &Row| row.step.map_or(String::new(), |step| step.name.clone());
            columns.push(("step".to_owned(), cells(&name)));
        }
        columns
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let rows = self.rows();
        let mut identity = self.identity(&rows);
        identity.retain(|(name, _)| name != "repeat");
        let repeated = self.combinations.iter().any(|done| done.repeat.is_some());
        let names = identity.iter().map(|(name, _)| name.clone());
        let searched = rows.iter().any(|row| row.figure(|figures| figures.capacity_over).is_some());
        let measured = ["exit", "sent", "acked", "delivered", "ack p50", "p99", "flight p50", "p99", "lost"];
        let header = names.chain(repeated.then(|| "runs".to_owned())).chain(measured.map(str::to_owned));
        let header = header.chain(searched.then(|| "capacity".to_owned()));
        let groups = spread::groups(&rows);
        let lines = groups.iter().map(|group| {
            let of_group = identity.iter().map(|(_, cells)| cells[group.first].clone());
            of_group
                .chain(repeated.then(|| group.runs()))
                .chain(group.cells())
                .chain(searched.then(|| group.capacity()))
                .collect()
        });
        let mut text = table(header, lines, identity.len());
        text += &spread::text(&self.differences);
        if self.exit_codes.keys().any(|code| *code != 0) {
            let told = Exit::told(&self.exit_codes);
            text += &format!("exit codes: {told}; the gravest is {}\n", self.exit_code);
        }
        for done in &self.combinations {
            for problem in &done.problems {
                text += &format!("{}: {problem}\n", done.directory);
            }
        }
        let missing = self.planned - self.combinations.len();
        if missing > 0 {
            text += &format!("{missing} of {} combinations were not run\n", self.planned);
        }
        text
    }

    /// The same for machines: latencies in nanoseconds, rates per second, nothing where nothing was measured.
    pub fn csv(&self) -> String {
        let rows = self.rows();
        let identity = self.identity(&rows);
        let measured = [
            "exit_code",
            "sent_per_s",
            "acked_per_s",
            "delivered_per_s",
            "ack_p50_ns",
            "ack_p99_ns",
            "flight_p50_ns",
            "flight_p99_ns",
            "sent",
            "acked",
            "delivered",
            "lost",
            "capacity",
            "capacity_regular",
            "directory",
        ];
        let header = identity.iter().map(|(name, _)| name.clone());
        let mut text = line(header.chain(measured.map(str::to_owned)));
        for (at, row) in rows.iter().enumerate() {
            let rate = |of: fn(&StepFigures) -> Option<f64>| {
                row.figure(of).map_or_else(String::new, |rate| format!("{rate:.3}"))
            };
            let count = |of: fn(&StepFigures) -> Option<u64>| {
                row.figure(of).map_or_else(String::new, |count| count.to_string())
            };
            let cells = [
                row.done.exit_code.to_string(),
                rate(|figures| figures.sent_per_s),
                rate(|figures| figures.acked_per_s),
                rate(|figures| figures.delivered_per_s),
                count(|figures| figures.ack_p50_ns),
                count(|figures| figures.ack_p99_ns),
                count(|figures| figures.flight_p50_ns),
                count(|figures| figures.flight_p99_ns),
                count(|figures| figures.sent),
                count(|figures| figures.acked),
                count(|figures| figures.delivered),
                count(|figures| figures.lost),
                rate(|figures| figures.capacity),
                row.figure(|figures| figures.capacity_regular).map_or_else(String::new, |is| is.to_string()),
                row.done.directory.clone(),
            ];
            let identity = identity.iter().map(|(_, cells)| cells[at].clone());
            text += &line(identity.chain(cells));
        }
        text
    }

    pub fn exit(&self) -> Exit {
        Exit::from_code(self.exit_code)
    }
}

/// A table without rules; the first `named` columns are words.
pub fn table(
    header: impl Iterator<Item = String>,
    rows: impl Iterator<Item = Vec<String>>,
    named: usize,
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    rows.for_each(|row| _ = table.add_row(row.into_iter().map(Cell::new)));
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding(if at == 0 { (0, 0) } else { (2, 0) });
        let alignment = if at < named { CellAlignment::Left } else { CellAlignment::Right };
        column.set_cell_alignment(alignment);
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// One record of a CSV (RFC 4180).
fn line(cells: impl Iterator<Item = String>) -> String {
    let quoted = cells.map(|cell| match cell.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    });
    quoted.collect::<Vec<_>>().join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SectionRecord;

    fn summary() -> ScenarioRecord {
        let figures = StepFigures {
            sent: Some(1000),
            sent_per_s: Some(1234.5),
            ack_p50_ns: Some(150_000),
            lost: Some(0),
            ..StepFigures::default()
        };
        let step = |name: &str, figures| StepRecord {
            name: name.into(),
            exit_code: 0,
            elapsed_ns: 1,
            figures,
            sections: Vec::new(),
        };
        let done = |clients: &str, exit_code, steps| CombinationRecord {
            broker: None,
            group: Some("fan-in".into()),
            variables: vec![("clients".into(), clients.into()), ("topic".into(), "a,\"b\"".into())],
            repeat: None,
            directory: format!("fan-in/clients={clients}"),
            exit_code,
            problems: Vec::new(),
            steps,
        };
        let head = Head {
            scenario: "x.toml".into(),
            started_at: "2026-11-22T12:31:07Z".into(),
            interrupted: false,
            planned: 3,
        };
        let combinations = vec![
            done("1", 0, vec![step("wait", None), step("load", Some(figures))]),
            CombinationRecord {
                problems: vec!["load: no record".into()],
                ..done("10", 4, vec![step("load", None)])
            },
        ];
        ScenarioRecord::new(head, combinations)
    }

    /// checklist 78, 79: one row for each combination, and what there is to know of it.
    #[test]
    fn the_table_has_a_row_for_each_combination() {
        assert_eq!(
            summary().table(),
            "group   clients  topic  exit      sent  acked  delivered  ack p50  p99  flight p50  p99  lost\n\
             fan-in  1        a,\"b\"     0  1.23 k/s      -          -   150 us    -           -    -     0\n\
             fan-in  10       a,\"b\"     4         -      -          -        -    -           -    -     -\n\
             exit codes: 1 with 0 (clean), 1 with 4 (broker); the gravest is 4\n\
             fan-in/clients=10: load: no record\n\
             1 of 3 combinations were not run\n"
        );
    }

    #[test]
    fn the_csv_quotes_and_leaves_out_what_was_not_measured() {
        assert_eq!(
            summary().csv(),
            "group,clients,topic,exit_code,sent_per_s,acked_per_s,delivered_per_s,ack_p50_ns,ack_p99_ns,\
             flight_p50_ns,flight_p99_ns,sent,acked,delivered,lost,capacity,capacity_regular,directory\n\
             fan-in,1,\"a,\"\"b\"\"\",0,1234.500,,,150000,,,,1000,,,0,,,fan-in/clients=1\n\
             fan-in,10,\"a,\"\"b\"\"\",4,,,,,,,,,,,,,,fan-in/clients=10\n"
        );
    }

    /// Brokers beside each other by what they hold.
    #[test]
    fn what_was_searched_has_a_column() {
        let mut summary = summary();
        let figures = |(capacity, regular)| StepFigures {
            capacity: Some(capacity),
            capacity_over: Some(crate::record::Over::Clients),
            capacity_regular: Some(regular),
            ..StepFigures::default()
        };
        for (done, (broker, capacity)) in
            summary.combinations.iter_mut().zip([("a", (900.0, true)), ("b", (1200.0, false))])
        {
            done.broker = Some(broker.into());
            done.steps.last_mut().unwrap().figures = Some(figures(capacity));
        }
        let table = summary.table();
        let cells: Vec<_> = table.lines().take(3).map(|line| line.rsplit("  ").next().unwrap()).collect();
        assert_eq!(cells, ["capacity", "900 clients", "≥ 1,200 clients"], "{table}");
        assert!(
            summary.csv().lines().nth(2).unwrap().ends_with(",1200.000,false,fan-in/clients=10"),
            "{}",
            summary.csv()
        );
    }

    #[test]
    fn several_measured_steps_have_a_row_each() {
        let mut summary = summary();
        let steps = &mut summary.combinations[0].steps;
        steps[0].figures = steps[1].figures.clone();
        assert_eq!(summary.csv().lines().nth(2).unwrap().split(',').nth(4), Some("load"));
        assert_eq!(summary.csv().lines().count(), 4);
    }

    #[test]
    fn a_summary_is_as_its_schema_says() {
        let schema = serde_json::from_str(crate::experiment::JSON_SCHEMA).expect("JSON");
        let validator = jsonschema::draft202012::new(&schema).expect("a schema");
        let mut summary = summary();
        let section =
            SectionRecord { name: "load".into(), command: "-n 1".into(), exit_code: 0, has_record: true };
        summary.combinations[0].steps[1].sections.push(section);
        let json = serde_json::to_value(&summary).expect("plain data");
        let errors: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(ScenarioRecord::from_json(&json.to_string()).expect("ours"), summary);
        // Every field has its description, and nothing that is there may be missing.
        for pointer in [
            "",
            "/combinations/0",
            "/combinations/0/steps/0",
            "/combinations/0/steps/1/figures",
            "/combinations/0/steps/1/sections/0",
        ] {
            let names: Vec<String> = json
                .pointer(pointer)
                .and_then(|one| one.as_object())
                .expect("an object")
                .keys()
                .cloned()
                .collect();
            for name in names {
                let mut lacking = json.clone();
                lacking
                    .pointer_mut(pointer)
                    .and_then(|one| one.as_object_mut())
                    .expect("an object")
                    .remove(&name);
                assert!(!validator.is_valid(&lacking), "{pointer}/{name}");
            }
        }
    }

    #[test]
    fn variables_keep_their_order_in_json() {
        let json = serde_json::to_string(&summary()).unwrap();
        assert!(json.contains(r#""variables":{"clients":"1","topic":"a,\"b\""}"#), "{json}");
    }
}
