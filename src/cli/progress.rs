//! The status line.

use super::args::ProgressArg;
use super::output::complain;
use crate::clock::SECOND;
use crate::record::Phase;
use crate::stage::Progress;
use crate::units;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// One line on standard error each second: rewritten in a terminal, one after the other elsewhere.
pub enum Line {
    Off,
    Plain,
    Terminal(ProgressBar),
}

impl Line {
    pub fn new(when: ProgressArg, quiet: bool) -> Line {
        let terminal = std::io::stderr().is_terminal();
        match when {
            _ if quiet => Line::Off,
            ProgressArg::Never => Line::Off,
            ProgressArg::Auto if !terminal => Line::Off,
            _ if terminal => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                // wide_msg cuts the line at the terminal's width.
                bar.set_style(ProgressStyle::with_template("{wide_msg}").expect("a constant template"));
                Line::Terminal(bar)
            }
            _ => Line::Plain,
        }
    }

    /// The line of a run.
    pub fn show(&mut self, progress: &Progress) {
        if !matches!(self, Line::Off) {
            self.say(line(progress));
        }
    }

    /// Any line, in place of the one before.
    pub fn say(&mut self, text: String) {
        match self {
            Line::Off => {}
            Line::Plain => complain(format_args!("{text}")),
            Line::Terminal(bar) => bar.set_message(text),
        }
    }

    /// What is to be known before the first second.
    pub fn note(&self, text: Option<&str>) {
        match (self, text) {
            (Line::Off, _) | (_, None) => {}
            (Line::Plain | Line::Terminal(_), Some(text)) => complain(format_args!("{text}")),
        }
    }

    pub fn clear(&mut self) {
        if let Line::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// A narrow terminal cuts the end off, so what matters most comes first.
fn line(progress: &Progress) -> String {
    let (second, times) = (&progress.second.counters, &progress.second.histograms);
    let name = progress.phase.map_or("", Phase::name);
    let mut parts = vec![match progress.left {
        Some(nanos) => format!("{name:<8} {}", units::left(nanos)),
        None => format!("{name:<8}"),
    }];
    let connected = format!(
        "{}/{} connected",
        units::grouped(progress.levels.connected),
        units::grouped(progress.clients)
    );
    let all = progress.levels.connected == progress.clients;
    if second.due + second.sent + second.delivered > 0 {
        parts.push(format!("out {}", units::rate(second.sent as f64)));
        parts.push(format!("in {}", units::rate(second.delivered as f64)));
    }
    let p99s = [("flight", &times.flight_response), ("ack", &times.ack_response)]
        .map(|(name, times)| times.supported_quantile(0.99).map(|p99| (name, p99)));
    if let Some((name, p99)) = p99s.into_iter().flatten().next() {
        parts.push(format!("{name} p99 {}", units::latency(p99)));
    }
    let total = &progress.total;
    let lost = total.rejected + total.ack_timeouts + total.unacked_at_end + total.lost;
    let errors = total.connections_lost
        + total.refused_tcp
        + total.refused_by_connack()
        + total.connect_timeouts
        + total.protocol_errors;
    let some = [(lost, "lost"), (errors, "errors"), (total.shed, "shed")];
    parts.extend(
        some.iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", units::grouped(*count))),
    );
    parts.extend(progress.outlook.clone());
    if !all {
        parts.push(connected.clone());
    }
    // From here on for wide terminals.
    if second.due > 0 {
        let (offered, acked) = (units::rate(second.due as f64), units::rate(second.acked as f64));
        parts.push(format!("offered {offered}  acked {acked}"));
    }
    if all {
        parts.push(connected);
    }
    parts.push(format!("since {}s", progress.elapsed / SECOND));
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Counters, Levels};

    fn progress(connected: u64) -> Progress {
        let mut progress = Progress {
            phase: Some(Phase::Measure),
            left: Some(12 * SECOND - 1),
            elapsed: 7 * SECOND,
            clients: 2000,
            levels: Levels { connected, ..Levels::default() },
            ..Progress::default()
        };
        progress.second.counters =
            Counters { due: 20_000, sent: 19_999, acked: 19_000, delivered: 18_000, ..Counters::default() };
        let times = &mut progress.second.histograms;
        times.flight_response.record_n(301_000, 990);
        times.flight_response.record_n(1_240_000, 11);
        times.ack_response.record_n(218_000, 12);
        progress
    }

    #[test]
    fn what_matters_is_within_80_columns() {
        assert_eq!(
            line(&progress(2000)),
            "measure  12s left  out 20.0 k/s  in 18.0 k/s  flight p99 1.24 ms  offered 20.0 k/s  acked 19.0 k/s  \
             2,000/2,000 connected  since 7s"
        );
        let mut bad = progress(1998);
        bad.total = Counters { ack_timeouts: 1, lost: 2, connections_lost: 2, ..Counters::default() };
        let text = line(&bad);
        let seen: String = text.chars().take(80).collect();
        for what in ["measure  12s left", "3 lost", "out 20.0 k/s", "in 18.0 k/s", "p99 1.24 ms"] {
            assert!(seen.contains(what), "{what}: {seen}");
        }
        assert!(text.contains("  3 lost  2 errors  1,998/2,000 connected  "), "{text}");
    }

    #[test]
    fn who_connects_is_told_of_connections_alone() {
        let levels = Levels { connected: 17, ..Levels::default() };
        let phase = Some(Phase::Connect);
        let progress = Progress { phase, clients: 2000, levels, elapsed: SECOND, ..Progress::default() };
        assert_eq!(line(&progress), "connect   17/2,000 connected  since 1s");
    }
}
