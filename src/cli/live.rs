//! Who looks at a run while it is under way.

use super::args::{OutputArgs, ProgressArg};
use super::output::complain;
use super::progress::Line;
use super::{Environment, Usage};
use crate::gate::Ticker;
use crate::live::{Exporter, Screen, Tick};
use crate::stage::Progress;
use crate::stats::Counters;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Everything that shows a run, as its flags say.
pub struct Onlookers {
    pub line: Line,
    /// How far a search is that the run is of, in words.
    pub outlook: Option<String>,
    screen: Option<Screen>,
    exporter: Option<Exporter>,
    linger: Duration,
}

impl Onlookers {
    /// Opens what has to be there before the run.
    ///
    /// # Errors
    /// An address of `--metrics` that cannot be listened at, or `--tui` without a terminal.
    pub fn open(args: &OutputArgs, interrupt: &Arc<AtomicBool>) -> anyhow::Result<Onlookers> {
        if args.tui && !std::io::stderr().is_terminal() {
            return Err(
                Usage("--tui: standard error is no terminal; leave it out, or use --metrics".into()).into()
            );
        }
        let exporter = args.metrics.map(|address| {
            Exporter::open(address).map_err(|error| {
                Environment(format!(
                    "--metrics {address}: {error}; choose an address of this machine and a free port"
                ))
            })
        });
        let exporter = exporter.transpose()?;
        if let (Some(exporter), false) = (&exporter, args.quiet) {
            complain(format_args!("metrics at http://{}/metrics", exporter.address()));
        }
        let line = Line::new(if args.tui { ProgressArg::Never } else { args.progress }, args.quiet);
        let screen = args.tui.then(|| Screen::open(interrupt.clone())).transpose();
        let screen = screen.map_err(|error| Environment(format!("--tui: {error}; leave it out")))?;
        Ok(Onlookers {
            line,
            outlook: None,
            screen,
            exporter,
            linger: Duration::from_nanos(args.linger.nanos()),
        })
    }

    /// One more second of a run is over that has to keep `bounds`.
    pub fn show(&mut self, progress: &Progress, bounds: &mut Ticker) {
        bounds.second(progress);
        match &self.outlook {
            None => self.line.show(progress),
            Some(outlook) => {
                self.line.show(&Progress { outlook: Some(outlook.clone()), ..progress.clone() });
            }
        }
        // Only the screen has room for them.
        let stand = if self.screen.is_some() { bounds.stand(progress) } else { Vec::new() };
        let tick = |(bound, found): (String, Option<(String, bool)>)| {
            let (found, holds) = found.unzip();
            Tick { bound, found, holds }
        };
        self.hand_on(progress, &stand.into_iter().map(tick).collect::<Vec<_>>());
    }

    /// One more second of something else is over, and this is the line about it.
    pub fn show_as(&mut self, progress: &Progress, line: impl FnOnce() -> String) {
        if !matches!(self.line, Line::Off) {
            self.line.say(line());
        }
        self.hand_on(progress, &[]);
    }

    fn hand_on(&self, progress: &Progress, ticks: &[Tick]) {
        if let Some(screen) = &self.screen {
            screen.show(progress, ticks);
        }
        if let Some(exporter) = &self.exporter {
            exporter.show(progress);
        }
    }

    /// Nothing more is to be shown: from here on there are lines.
    pub fn clear(&mut self) {
        self.line.clear();
        self.screen = None;
    }

    /// The run is over, and this is what its record has.
    pub fn conclude(&mut self, counts: &Counters, exit_code: u8) {
        self.clear();
        if let Some(exporter) = &self.exporter {
            exporter.conclude(counts, exit_code);
        }
    }

    /// After everything was said and written: waits as long as `--linger` says for the last scrape.
    pub fn linger(&self, interrupt: &AtomicBool) {
        if let Some(exporter) = &self.exporter {
            exporter.linger(self.linger, interrupt);
        }
    }
}
