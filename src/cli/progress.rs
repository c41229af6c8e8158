//! The status line.

use super::args::ProgressArg;
use super::output::complain;
use crate::clock::SECOND;
use crate::record::Phase;
use crate::stage::Progress;
use crate::stats::Histogram;
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

    pub fn show(&mut self, progress: &Progress) {
        match self {
            Line::Off => {}
            Line::Plain => complain(format_args!("{}", line(progress))),
            Line::Terminal(bar) => {
                bar.set_message(line(progress));
            }
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

fn line(progress: &Progress) -> String {
    let (second, times) = (&progress.second.counters, &progress.second.histograms);
    let latency =
        |name: &str, times: &Histogram| match (times.supported_quantile(0.5), times.supported_quantile(0.99))
        {
            (Some(p50), Some(p99)) => {
                format!("  {name} p50 {} p99 {}", units::latency(p50), units::latency(p99))
            }
            (Some(p50), None) => format!("  {name} p50 {}", units::latency(p50)),
            _ => String::new(),
        };
    let total = &progress.total;
    let lost = total.ack_timeouts + total.unacked_at_end;
    let errors = total.connections_lost
        + total.refused_tcp
        + total.refused_by_connack()
        + total.connect_timeouts
        + total.protocol_errors;
    // A narrow terminal cuts the end off, so what matters most comes first.
    let mut line = format!(
        "{:>3}s {:<10} {}/{} connected  {lost} lost  {errors} errors",
        progress.elapsed / SECOND,
        progress.phase.map_or("", Phase::name),
        units::grouped(progress.levels.connected),
        units::grouped(progress.clients),
    );
    line += &progress.outlook.as_ref().map_or(String::new(), |outlook| format!("  {outlook}"));
    line += &latency("flight", &times.flight_response);
    line += &latency("ack", &times.ack_response);
    line += &format!(
        "  {} offered {} sent {} acked {} delivered",
        units::rate(second.due as f64),
        units::rate(second.sent as f64),
        units::rate(second.acked as f64),
        units::rate(second.delivered as f64),
    );
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Counters, Levels};

    #[test]
    fn the_line_holds_what_one_watches() {
        let mut progress = Progress {
            phase: Some(Phase::Measure),
            elapsed: 7 * SECOND,
            clients: 2000,
            levels: Levels { connected: 1998, ..Levels::default() },
            total: Counters {
                ack_timeouts: 1,
                unacked_at_end: 2,
                connections_lost: 2,
                ..Counters::default()
            },
            ..Progress::default()
        };
        progress.second.counters =
            Counters { due: 20_000, sent: 19_999, acked: 19_000, delivered: 18_000, ..Counters::default() };
        let times = &mut progress.second.histograms;
        times.flight_response.record_n(301_000, 990);
        times.flight_response.record_n(1_240_000, 11);
        times.ack_response.record_n(218_000, 12);
        assert_eq!(
            line(&progress),
            "  7s measure    1,998/2,000 connected  3 lost  2 errors  flight p50 301 us p99 1.24 ms  ack p50 218 us  \
             20.0 k/s offered 20.0 k/s sent 19.0 k/s acked 18.0 k/s delivered"
        );
    }
}
