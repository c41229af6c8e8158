//! Several runs side by side, as text.

use super::digest::{ACK, Digest, FLIGHT};
use super::page::{Column, Page};
use crate::record::Figure;
use crate::units;

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

type CellOf = fn(&Digest) -> Option<String>;

/// Columns in their order, with the rank by which they stay on a narrow page.
const COLUMNS: [(&str, u8, CellOf); 9] = [
    ("sent", 8, |run| run.achieved("sent").map(units::rate)),
    ("acked", 3, |run| run.achieved("acked").map(units::rate)),
    ("delivered", 1, |run| run.achieved("delivered").map(units::rate)),
    ("ack p50", 6, |run| latency(run, &ACK, Figure::P50)),
    ("ack p99", 4, |run| latency(run, &ACK, Figure::P99)),
    ("flight p50", 7, |run| latency(run, &FLIGHT, Figure::P50)),
    ("flight p99", 2, |run| latency(run, &FLIGHT, Figure::P99)),
    ("lost", 5, |run| run.lost.map(units::count)),
    ("verdict", 0, |run| Some(run.verdict.clone())),
];

/// What the broker cost, of runs that know.
const COSTS: [(&str, u8, CellOf); 2] = [
    ("CPU/msg", 9, |run| run.cpu_per_message().map(units::latency)),
    ("mem/conn", 10, |run| run.memory_per_connection().map(units::bytes)),
];

fn latency(run: &Digest, names: &[&str], figure: Figure) -> Option<String> {
    run.latency(names).map(|latency| latency.read(figure).to_string())
}

/// A header, and a row for each run. Columns that the page has no room for are left out.
pub fn write(runs: &[Digest], page: &mut Page) {
    // file names may hold anything
    let plain = |label: &str| label.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let labels: Vec<String> = runs.iter().map(|run| plain(run.label)).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let (last, others) = COLUMNS.split_last().expect("there are some");
    let costs = COSTS.iter().filter(|_| runs.iter().any(|run| run.cost.is_some()));
    let columns = others.iter().chain(costs).chain([last]).map(|(header, rank, of)| Column {
        header,
        rank: *rank,
        cells: runs.iter().map(|run| of(run).unwrap_or(NOTHING.to_owned())).collect(),
    });
    page.table("run", &labels, columns.collect());
}

#[cfg(test)]
mod tests {
    use crate::record::fleet_samples::{lossy, published};
    use crate::record::samples::{broken, clean, idle};
    use crate::record::{Finished, FleetRecord, Record};
    use crate::report::{Run, comparison};

    fn runs() -> Vec<Run> {
        let run = |label: &str, record: Record| (label.to_owned(), Finished::Run(Box::new(record)));
        let fleet = |label: &str, record: FleetRecord| (label.to_owned(), Finished::Fleet(Box::new(record)));
        let all = [
            run("reflector", clean()),
            run("broker\x1b[2J", broken()),
            run("idle", idle()),
            fleet("publish", published()),
            fleet("subscribe", lossy()),
        ];
        all.map(|(label, record)| Run { label, record }).into()
    }

    /// What had nothing to measure is nobody's limit.
    #[test]
    fn a_run_of_nothing_is_unknown() {
        let mut record = clean();
        (record.counts.due, record.counts.sent) = (0, 0);
        record.conclude();
        assert_eq!(record.exit_code, 6);
        let run = Run { label: "nothing".to_owned(), record: Finished::Run(Box::new(record)) };
        let table = comparison(&[run], 160, false).expect("ours");
        assert!(table.contains("unknown") && !table.contains("limited"), "{table}");
    }

    /// checklist 77
    #[test]
    fn a_row_for_each_run() {
        let expected = "\
run                  sent     acked  delivered  ack p50  ack p99  flight p50  flight p99   lost                verdict
reflector        20.0 k/s  20.0 k/s   20.0 k/s   218 us   416 us     1.01 ms     1.98 ms      0                  clean
broker?[2J       20.2 k/s  20.0 k/s   20.0 k/s   218 us   416 us      959 us           -    510  broker fault, partial
idle                    -         -          -        -        -           -           -      -      generator-limited
publish            114 /s    114 /s          -  4.49 ms        -           -           -      -                  clean
subscribe               -         -   1.25 k/s        -        -     2.00 ms     8.00 ms  1,002         delivery fault
";
        let found = comparison(&runs(), 160, false).expect("ours");
        assert!(found == expected, "{found}");
    }

    #[test]
    fn a_narrow_page_keeps_the_verdict() {
        for width in 40..=160 {
            let found = comparison(&runs(), width, false).expect("ours");
            assert!(found.lines().all(|line| line.chars().count() <= width), "{width}:\n{found}");
            assert!(
                found.lines().next().is_some_and(|header| header.ends_with("verdict")),
                "{width}:\n{found}"
            );
        }
        let found = comparison(&runs(), 80, false).expect("ours");
        assert!(found.contains("delivered") && found.contains("flight p99"), "{found}");
    }
}
