//! How runs of one combination scatter, and how brokers differ: the run is the unit, as everywhere
//! ([`stats::inference`](crate::stats::inference)).

use super::process::gravest_code;
use super::results::{Row, table};
use crate::gate::compare;
use crate::record::{BrokerDifference, StepFigures};
use crate::stats::inference::{ALPHA, Change, holm, median, rank_sum, scatter};
use crate::units;

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// What is one and the same but for its repeats: broker, group, variables, step.
type Key<'s> = (Option<&'s str>, Of<'s>);
/// The same on every broker.
type Of<'s> = (Option<&'s str>, &'s [(String, String)], Option<&'s str>);

fn key<'s>(row: &Row<'s>) -> Key<'s> {
    let of =
        (row.done.group.as_deref(), row.done.variables.as_slice(), row.step.map(|step| step.name.as_str()));
    (row.done.broker.as_deref(), of)
}

/// The repeats of one combination, or of one of its steps.
pub struct Group<'s> {
    /// Place of the first of them among the rows.
    pub first: usize,
    rows: Vec<Row<'s>>,
}

/// The rows in groups, each where its first row is.
pub fn groups<'s>(rows: &[Row<'s>]) -> Vec<Group<'s>> {
    let mut groups: Vec<Group> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        match groups.iter_mut().find(|group| row.done.repeat.is_some() && key(&group.rows[0]) == key(row)) {
            Some(group) => group.rows.push(*row),
            None => groups.push(Group { first: at, rows: vec![*row] }),
        }
    }
    groups
}

impl Group<'_> {
    fn is_void(row: &Row) -> bool {
        row.figure(|figures| Some(figures.void)).unwrap_or(false)
    }

    fn void(&self) -> usize {
        self.rows.iter().filter(|row| Group::is_void(row)).count()
    }

    /// A figure of the runs that say something, or of all where none does. All of them or none: without the runs whose
    /// percentile never came, the others would look the better.
    fn values(&self, of: impl Fn(&StepFigures) -> Option<f64>) -> Vec<f64> {
        let all_void = self.void() == self.rows.len();
        let rows = self.rows.iter().filter(|row| all_void || !Group::is_void(row));
        rows.map(|row| row.figure(&of)).collect::<Option<_>>().unwrap_or_default()
    }

    /// How many, and how many of them are void.
    pub fn runs(&self) -> String {
        match self.void() {
            0 => self.rows.len().to_string(),
            void => format!("{} ({void} void)", self.rows.len()),
        }
    }

    /// The median of a figure, and how it scatters.
    fn cell(&self, of: &dyn Fn(&StepFigures) -> Option<f64>, show: &dyn Fn(f64) -> String) -> String {
        let values = self.values(of);
        let shown = median(&values).map(show);
        let scatter = scatter(&values).map(|share| format!(" ±{:.0} %", share * 100.0));
        shown.map_or(NOTHING.to_owned(), |shown| shown + &scatter.unwrap_or_default())
    }

    /// Exit code, rates, latencies and losses: the gravest, medians with the scatter behind them, the most.
    pub fn cells(&self) -> [String; 9] {
        let rate = |of: fn(&StepFigures) -> Option<f64>| self.cell(&of, &units::rate);
        let time = |of: fn(&StepFigures) -> Option<u64>| {
            self.cell(&|figures| of(figures).map(|ns| ns as f64), &|ns| units::latency(ns.round() as u64))
        };
        let lost = self.rows.iter().filter_map(|row| row.figure(|figures| figures.lost)).max();
        [
            gravest_code(self.rows.iter().map(|row| row.done.exit_code)).to_string(),
            rate(|figures| figures.sent_per_s),
            rate(|figures| figures.acked_per_s),
            rate(|figures| figures.delivered_per_s),
            time(|figures| figures.ack_p50_ns),
            time(|figures| figures.ack_p99_ns),
            time(|figures| figures.flight_p50_ns),
            time(|figures| figures.flight_p99_ns),
            lost.map_or(NOTHING.to_owned(), units::grouped),
        ]
    }

    /// What was found, in the middle with the scatter behind it; `≥` where one of them is no more than a lower bound.
    pub fn capacity(&self) -> String {
        let over = self.rows.iter().find_map(|row| row.figure(|figures| figures.capacity_over));
        let cell = over.map(|over| self.cell(&|figures| figures.capacity, &|load| over.amount(load)));
        let is_bound =
            self.rows.iter().any(|row| row.figure(|figures| figures.capacity_regular) == Some(false));
        match cell {
            Some(cell) if is_bound && cell != NOTHING => format!("≥ {cell}"),
            cell => cell.unwrap_or(NOTHING.to_owned()),
        }
    }
}

type Figure = (&'static str, fn(&StepFigures) -> Option<f64>);

/// What brokers are compared by: what they hold or what got through, and its tail.
const FIGURES: [&[Figure]; 2] = [
    &[
        // a lower bound is none
        ("capacity", |figures| figures.capacity.filter(|_| figures.capacity_regular == Some(true))),
        ("delivered", |figures| figures.delivered_per_s),
        ("acked", |figures| figures.acked_per_s),
        ("sent", |figures| figures.sent_per_s),
    ],
    &[
        ("flight p99", |figures| figures.flight_p99_ns.map(|ns| ns as f64)),
        ("ack p99", |figures| figures.ack_p99_ns.map(|ns| ns as f64)),
    ],
];

/// Every broker against the first, in each combination that ran more than once.
pub fn differences(rows: &[Row]) -> Vec<BrokerDifference> {
    let groups = groups(rows);
    let Some(base) = groups.iter().find_map(|group| group.rows[0].done.broker.as_deref()) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for new in &groups {
        let (broker, of) = key(&new.rows[0]);
        let Some(broker) = broker.filter(|broker| *broker != base) else { continue };
        let Some(old) = groups.iter().find(|group| key(&group.rows[0]) == (Some(base), of)) else { continue };
        if [old, new].iter().any(|side| compare::too_many_void(side.void(), side.rows.len())) {
            continue;
        }
        for choices in FIGURES {
            let found = choices.iter().find_map(|(name, figure)| {
                let (old, new) = (old.values(figure), new.values(figure));
                Some((*name, Change::between(&old, &new)?, rank_sum(&old, &new)?))
            });
            all.extend(found.map(|found| difference(of, base, broker, found)));
        }
    }
    let adjusted = holm(&all.iter().map(|difference| difference.p).collect::<Vec<_>>());
    for (difference, adjusted) in all.iter_mut().zip(adjusted) {
        difference.p_adjusted = adjusted;
    }
    all
}

fn difference(of: Of, base: &str, broker: &str, found: (&'static str, Change, f64)) -> BrokerDifference {
    let (group, variables, step) = of;
    let (figure, change, p) = found;
    let percent = |ratio: f64| (ratio - 1.0) * 100.0;
    let (low, high) = change.interval(ALPHA);
    let variables: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    BrokerDifference {
        group: group.map(str::to_owned),
        variables: variables.join(","),
        step: step.map(str::to_owned),
        base: base.to_owned(),
        broker: broker.to_owned(),
        figure: figure.to_owned(),
        change_percent: percent(change.ratio()),
        interval_percent: (percent(low), percent(high)),
        p,
        p_adjusted: p,
    }
}

/// A row for each difference; `~` where nobody can tell it from chance. Empty without any.
pub fn text(differences: &[BrokerDifference]) -> String {
    let Some(first) = differences.first() else { return String::new() };
    let header = ["broker", "combination", "figure", "change", "interval", "p", ""].map(str::to_owned);
    let row = |of: &BrokerDifference| {
        let (low, high) = of.interval_percent;
        let place =
            [of.group.as_deref(), Some(of.variables.as_str()).filter(|variables| !variables.is_empty())];
        let place: Vec<&str> = place.into_iter().flatten().chain(of.step.as_deref()).collect();
        vec![
            of.broker.clone(),
            place.join(" "),
            of.figure.to_owned(),
            format!("{:+.1} %", of.change_percent),
            format!("{low:+.1} to {high:+.1} %"),
            format!("{:.3}", of.p_adjusted),
            (if of.p_adjusted < 0.05 { "" } else { "~" }).to_owned(),
        ]
    };
    let rows = table(header.into_iter(), differences.iter().map(row), 3);
    format!("\nagainst {} (~: no difference can be told from chance):\n{rows}\n", first.base)
}

#[cfg(test)]
mod tests {
    use super::super::results::Head;
    use super::*;
    use crate::record::{CombinationRecord, ScenarioRecord, StepRecord};

    fn done(broker: &str, repeat: u32, exit_code: u8, delivered: f64) -> CombinationRecord {
        let void = exit_code == 6;
        let figures =
            StepFigures { delivered_per_s: Some(delivered), lost: Some(0), void, ..StepFigures::default() };
        let step = StepRecord {
            name: "load".into(),
            exit_code,
            elapsed_ns: 1,
            figures: Some(figures),
            sections: Vec::new(),
        };
        CombinationRecord {
            broker: Some(broker.into()),
            group: None,
            variables: vec![("qos".into(), "1".into())],
            repeat: Some(repeat),
            directory: format!("{broker}/{repeat}"),
            exit_code,
            problems: Vec::new(),
            steps: vec![step],
        }
    }

    fn summary(combinations: Vec<CombinationRecord>) -> ScenarioRecord {
        let head = Head {
            scenario: "x.toml".into(),
            started_at: "2026-11-22T12:31:07Z".into(),
            interrupted: false,
            planned: combinations.len(),
        };
        ScenarioRecord::new(head, combinations)
    }

    fn against(factor: f64) -> ScenarioRecord {
        let rates = [1000.0, 1010.0, 990.0, 1005.0, 995.0];
        let repeats = (1..).zip(rates);
        summary(
            repeats
                .flat_map(|(repeat, rate)| [done("a", repeat, 0, rate), done("b", repeat, 0, rate * factor)])
                .collect(),
        )
    }

    #[test]
    fn repeats_are_one_row_with_median_and_scatter() {
        let summary = against(0.9);
        let table = summary.table();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("broker  qos  runs  exit "), "{table}");
        assert!(
            lines[1].starts_with("a       1       5     0 ") && lines[1].contains("1.00 k/s ±1 %"),
            "{table}"
        );
        assert!(
            lines[2].starts_with("b       1       5     0 ") && lines[2].contains("900 /s ±1 %"),
            "{table}"
        );
        assert_eq!(summary.csv().lines().count(), 11, "each run is kept");
        assert!(summary.csv().starts_with("broker,qos,repeat,exit_code,"));
    }

    #[test]
    fn brokers_differ_when_their_runs_do() {
        let [difference] = &against(0.9).differences[..] else { panic!("one figure, two brokers") };
        assert_eq!((difference.base.as_str(), difference.broker.as_str()), ("a", "b"));
        assert!((difference.change_percent + 10.0).abs() < 0.1, "{difference:?}");
        // mannwhitneyu of five against five that are all smaller
        assert!((difference.p_adjusted - 0.007936507936507936).abs() < 1e-9, "{difference:?}");
        assert!(!against(0.9).table().contains(" ~"), "{}", against(0.9).table());
        assert!(against(1.001).table().contains(" ~"), "{}", against(1.001).table());
        let once = summary(vec![done("a", 1, 0, 1.0), done("b", 1, 0, 2.0)]);
        assert_eq!(once.differences, [], "one run says nothing of how runs scatter");
    }

    fn figures(done: &mut CombinationRecord) -> &mut StepFigures {
        done.steps[0].figures.as_mut().expect("it measured")
    }

    /// What counts is whether the generator limited the step, not how the combination ended.
    #[test]
    fn a_step_is_void_by_itself() {
        let mut runs: Vec<CombinationRecord> = (1..=4).map(|repeat| done("a", repeat, 0, 500.0)).collect();
        // another step of it was limited, and this one was not
        runs[0].exit_code = 6;
        // this one was limited, and another broke a bound
        runs[1].exit_code = 7;
        *figures(&mut runs[1]) =
            StepFigures { delivered_per_s: Some(1.0), void: true, ..StepFigures::default() };
        let table = summary(runs).table();
        assert!(table.contains("4 (1 void)     7 ") && table.contains("500 /s ±0 %"), "{table}");
    }

    /// Two runs of five that were lucky are no p99 of the five.
    #[test]
    fn a_percentile_that_never_came_is_not_left_out() {
        let mut runs: Vec<CombinationRecord> = (1..=5)
            .flat_map(|repeat| ["a", "b"].map(|broker| done(broker, repeat, 0, 500.0 + f64::from(repeat))))
            .collect();
        for (at, run) in (0..).zip(&mut runs) {
            figures(run).flight_p99_ns = Some(1_000_000 + at);
        }
        let of = |runs: &[CombinationRecord]| -> Vec<String> {
            summary(runs.to_vec()).differences.into_iter().map(|difference| difference.figure).collect()
        };
        assert_eq!(of(&runs), ["delivered", "flight p99"]);
        for at in [1, 3, 5] {
            figures(&mut runs[at]).flight_p99_ns = None;
        }
        assert_eq!(of(&runs), ["delivered"]);
        let table = summary(runs).table();
        let p99 = |line: usize| {
            table
                .lines()
                .nth(line)
                .unwrap()
                .rsplit("  ")
                .filter(|cell| !cell.is_empty())
                .nth(1)
                .unwrap()
                .to_owned()
        };
        assert_eq!((p99(1).trim(), p99(2).trim()), ("1.00 ms ±0 %", "-"), "{table}");
    }

    /// A broker that was never shown to hold no more is not held against another.
    #[test]
    fn a_lower_bound_is_no_capacity() {
        let regular = |regular: [bool; 2]| {
            let mut runs: Vec<CombinationRecord> = Vec::new();
            for repeat in 1..=5 {
                for (broker, capacity, regular) in [("a", 1e6, regular[0]), ("b", 8e5, regular[1])] {
                    let mut run = done(broker, repeat, 0, 1.0);
                    *figures(&mut run) = StepFigures {
                        capacity: Some(capacity + f64::from(repeat)),
                        capacity_over: Some(crate::record::Over::Rate),
                        capacity_regular: Some(regular),
                        ..StepFigures::default()
                    };
                    runs.push(run);
                }
            }
            summary(runs)
        };
        assert_eq!(regular([true, true]).differences.len(), 1);
        assert_eq!(regular([true, false]).differences, []);
        assert_eq!(regular([false, true]).differences, []);
        let table = regular([true, false]).table();
        let found: Vec<&str> = table.lines().skip(1).map(|line| line.rsplit("  ").next().unwrap()).collect();
        assert_eq!(found, ["1,000,003/s ±0 %", "≥ 800,003/s ±0 %"], "{table}");
    }

    /// Of runs that are mostly void, what is left is what was lucky.
    #[test]
    fn mostly_void_runs_are_not_held_against_others() {
        let runs = |void: u32| {
            let runs = (1..=6).flat_map(|repeat| {
                let exit_code = if repeat <= void { 6 } else { 0 };
                [done("a", repeat, 0, 500.0 + f64::from(repeat)), done("b", repeat, exit_code, 100.0)]
            });
            summary(runs.collect()).differences.len()
        };
        assert_eq!([runs(0), runs(2), runs(3), runs(6)], [1, 1, 0, 0]);
    }

    /// A bound that one run broke is broken, whatever the generator did in others; and void figures count for nothing.
    #[test]
    fn nothing_hides_behind_a_run_that_the_generator_limited() {
        let summary = summary(vec![
            done("a", 1, 6, 1.0),
            done("a", 2, 7, 500.0),
            done("a", 3, 0, 500.0),
            done("a", 4, 0, 500.0),
        ]);
        assert_eq!(summary.exit_code, 7);
        let table = summary.table();
        assert!(table.contains("4 (1 void)     7 ") && table.contains("500 /s ±0 %"), "{table}");
        let told = "exit codes: 2 with 0 (clean), 1 with 6 (generator-limited), 1 with 7 (bounds); the gravest is 7\n";
        assert!(table.contains(told), "{table}");
    }
}
