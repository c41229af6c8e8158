//! What a transport costs below MQTT, in memory: one end, without sockets. Rows of a kind take turns, round after round, so that
//! whatever else the machine does hits all of them; a figure is the median round.
//!
//! `cargo bench --bench transport -- [NAME]` runs what has `NAME` in its name.

mod websocket;

use std::time::Instant;

/// Messages in one timed round: what they make fits the second-level cache.
const BATCH: usize = 64;
const ROUNDS: usize = 2_001;

/// One thing that is timed: it does all of a batch.
type Row<'a> = (&'a str, Box<dyn FnMut() + 'a>);

fn main() {
    let wanted = std::env::args().skip(1).find(|word| word != "--bench");
    for (name, bench) in [("websocket", websocket::bench as fn())] {
        if wanted.as_ref().is_none_or(|wanted| name.contains(wanted.as_str())) {
            bench();
        }
    }
}

/// Prints what each row takes for a message.
fn compare(name: &str, mut rows: Vec<Row<'_>>) {
    let mut times = vec![Vec::with_capacity(ROUNDS); rows.len()];
    for _ in 0..ROUNDS {
        for ((_, batch), times) in rows.iter_mut().zip(&mut times) {
            let begin = Instant::now();
            batch();
            times.push(begin.elapsed().as_nanos() as f64 / BATCH as f64);
        }
    }
    let told = rows.iter().zip(&mut times).map(|((row, _), times)| {
        times.sort_by(f64::total_cmp);
        format!("{row} {:.1} ns", times[ROUNDS / 2])
    });
    println!("{name}: {}", told.collect::<Vec<_>>().join(", "));
}
