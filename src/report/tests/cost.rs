//! What the broker cost, in everything that is made of a record.

use super::*;
use crate::record::samples::{told, watched};
use crate::record::{BrokerCost, Finished, PhaseCost};

fn run(label: &str, record: Record) -> Run {
    Run { label: label.to_owned(), record: Finished::Run(Box::new(record)) }
}

#[test]
fn the_summary_says_who_was_watched_and_what_it_used() {
    let found = text(&watched(), 100, false);
    let expected = "\
broker cost      mosquitto, pid 4711, which listens there
                 CPU per message 5.50 us         memory per connection 3.0 KiB
                 CPU 700 ms user, 1.50 s system  memory 15.0 MiB
                 context switches 31,200         descriptors 2,010
                 a quota took 40.0 ms
";
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(squeezed(&found).contains(&squeezed(expected)), "{found}");
    assert!(found.lines().count() <= 40, "{found}");
    assert!(!text(&clean(), 100, false).contains("broker cost"));
    let mut ended = watched();
    let cost = ended.broker_cost.take().expect("it was watched");
    let phases = cost.phases.iter().map(|cost| PhaseCost { used: None, ..*cost }).collect();
    let cost = BrokerCost { whole: None, phases, ..cost };
    ended.broker_cost = Some(cost.per(&ended.throughput, 2_000));
    let found = text(&ended, 100, false);
    assert!(found.contains("which listens there: ended before the run did"), "{found}");
    assert!(!found.contains("memory per connection"), "{found}");
}

/// The same in table, page and record; runs without have a dash.
#[test]
fn tables_and_the_page_have_what_the_record_has() {
    let runs = [run("watched", watched()), run("not", clean())];
    let table = comparison(&runs, 160, false).expect("ours");
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].contains("CPU/msg  mem/conn"), "{table}");
    assert!(lines[1].contains("5.50 us   3.0 KiB"), "{table}");
    assert!(!comparison(&runs[1..], 160, false).expect("ours").contains("CPU/msg"), "nobody has it");
    let page = html(&runs, &[]).expect("ours");
    for part in ["<td>5.50 us</td>", "<td>3.0 KiB</td>", "0.22 CPUs at 1 s", "13.9 MiB", "broker's CPU"] {
        assert!(page.contains(&part.replace('\'', "&#39;")), "{part}");
    }
    let without = html(&runs[1..], &[]).expect("ours");
    assert!(!without.contains("broker&#39;s CPU") && !without.contains("broker cost"));
}

#[test]
fn the_summary_says_what_others_told() {
    let found = text(&told(), 100, false);
    let expected = "\
broker metrics   process_cpu_seconds_total rose by 1.60 s (0.160 /s, 4.00 us per message)
                 dropped{node=\"a\"} rose by 12 (1.20 /s, 0.0000300 per message)
                 process_resident_memory_bytes 10.5 MiB on average, 12.0 MiB at most (3.1 KiB per
                 connection)
";
    assert!(found.contains(expected), "{found}");
    for warning in ["2 of 20 looks", "Connection refused", "nobody tells missing"] {
        assert!(found.contains(warning), "{warning} is not in\n{found}");
    }
    assert!(!text(&watched(), 100, false).contains("broker metrics"));
}
