//! The status line.

use super::args::ProgressArg;
use super::output::complain;
use crate::clock::SECOND;
use crate::run::Progress;
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

    pub fn clear(&mut self) {
        if let Line::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn line(progress: &Progress) -> String {
    let second = &progress.second;
    let latency = |name: &str, p50: Option<u64>, p99: Option<u64>| match (p50, p99) {
        (Some(p50), Some(p99)) => format!("  {name} p50 {} p99 {}", units::latency(p50), units::latency(p99)),
        (Some(p50), None) => format!("  {name} p50 {}", units::latency(p50)),
        _ => String::new(),
    };
    // A narrow terminal cuts the end off, so what matters most comes first.
    let mut line = format!(
        "{:>3}s {:<10} {}/{} connected  {} lost  {} errors",
        progress.elapsed / SECOND,
        second.phase.name(),
        units::grouped(second.connected),
        units::grouped(progress.clients.into()),
        progress.lost,
        progress.errors,
    );
    line += &latency("flight", second.flight_p50_ns, second.flight_p99_ns);
    line += &latency("ack", second.ack_p50_ns, second.ack_p99_ns);
    line += &format!(
        "  {} offered {} sent {} acked {} delivered",
        units::rate(second.offered as f64),
        units::rate(second.sent as f64),
        units::rate(second.acked as f64),
        units::rate(second.delivered as f64),
    );
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Phase, Second};

    #[test]
    fn the_line_holds_what_one_watches() {
        let second = Second {
            phase: Phase::Measure,
            time_ns: 7 * SECOND,
            connected: 1998,
            offered: 20_000,
            sent: 19_999,
            acked: 19_000,
            delivered: 18_000,
            shed: 0,
            connections_lost: 2,
            ack_p50_ns: Some(218_000),
            ack_p99_ns: None,
            flight_p50_ns: Some(301_000),
            flight_p99_ns: Some(1_240_000),
        };
        let progress = Progress {
            phase: Phase::Measure,
            elapsed: 7 * SECOND,
            clients: 2000,
            second,
            lost: 3,
            errors: 2,
        };
        assert_eq!(
            line(&progress),
            "  7s measure    1,998/2,000 connected  3 lost  2 errors  flight p50 301 us p99 1.24 ms  ack p50 218 us  \
             20.0 k/s offered 20.0 k/s sent 19.0 k/s acked 18.0 k/s delivered"
        );
    }
}
