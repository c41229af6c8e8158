//! What a bound can be on of what others tell of the broker: `metric emqx_messages_dropped < 1`.

use super::measured::Gap;
use crate::record::{BrokerMetrics, BrokerSeries, SeriesKind, SeriesSpan};
use crate::scrape::Selector;
use crate::units::{Count, Size, Span};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// What stands before the name of a series.
pub const WORD: &str = "metric ";

/// A figure of a series in the measure phase.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Series {
    name: &'static str,
    pub of: Of,
}

/// Which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// By how much a counter rose, or the most that a gauge was.
    Itself,
    /// The rise of a counter for each message.
    PerMessage,
    /// The growth of a gauge for each connection.
    PerConnection,
    /// Of a gauge.
    Min,
    Mean,
    Max,
}

const FIGURES: [(Of, &str); 6] = [
    (Of::Itself, ""),
    (Of::PerMessage, "per-message"),
    (Of::PerConnection, "per-connection"),
    (Of::Min, "min"),
    (Of::Mean, "mean"),
    (Of::Max, "max"),
];

impl Series {
    /// The figure that `text` begins with, and what follows; `None` where it is none of a series.
    pub fn split(text: &str) -> Option<(Series, &str)> {
        let (selector, rest) = Selector::split(text.trim_start().strip_prefix(WORD)?)?;
        let end = rest.find(['<', '>', '=']).unwrap_or(rest.len());
        let word = rest[..end].trim().to_ascii_lowercase().replace(['_', ' '], "-");
        let (of, _) = FIGURES.into_iter().find(|(_, name)| *name == word)?;
        Some((Series { name: kept(selector.to_string()), of }, &rest[end..]))
    }

    /// The series as it was asked for.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Every figure that a series of a record has by itself.
    pub fn all(metrics: Option<&BrokerMetrics>) -> Vec<Series> {
        let series = metrics.into_iter().flat_map(|metrics| &metrics.series);
        let figures = series.flat_map(|series| {
            let figures = match series.kind {
                Some(SeriesKind::Counter) => &[Of::PerMessage, Of::Itself][..],
                Some(SeriesKind::Gauge) => &[Of::PerConnection, Of::Max],
                None => &[],
            };
            figures.iter().map(|of| Series { name: kept(series.name.clone()), of: *of })
        });
        figures.collect()
    }

    /// What a record has of it.
    pub fn find(self, metrics: Option<&BrokerMetrics>) -> Result<f64, Gap> {
        let series = self.series(metrics)?;
        let span = |of: fn(&SeriesSpan) -> Option<f64>| {
            series.measured().filter(|_| series.kind == Some(SeriesKind::Gauge)).and_then(of)
        };
        let found = match (self.of, series.kind) {
            (Of::Itself, Some(SeriesKind::Counter)) => series.rise(),
            (Of::Itself | Of::Max, _) => span(|span| span.most),
            (Of::PerMessage, _) => series.per_message,
            (Of::PerConnection, _) => series.per_connection,
            (Of::Min, _) => span(|span| span.least),
            (Of::Mean, _) => span(|span| span.mean),
        };
        found.ok_or_else(|| Gap(self.why(series)))
    }

    fn series(self, metrics: Option<&BrokerMetrics>) -> Result<&BrokerSeries, Gap> {
        let metrics = metrics.ok_or_else(|| Gap::new("nobody was asked: give --broker-metrics"))?;
        let found = metrics.series.iter().find(|series| series.name == self.name);
        found.ok_or_else(|| Gap(format!("it was not asked for: give --broker-series '{}'", self.name)))
    }

    /// By how much it rose.
    pub fn rise(self, metrics: Option<&BrokerMetrics>) -> Result<f64, Gap> {
        let series = self.series(metrics)?;
        let counted = Series { of: Of::PerMessage, ..self };
        series.rise().ok_or_else(|| Gap(counted.why(series)))
    }

    fn why(self, series: &BrokerSeries) -> String {
        let needs = match self.of {
            Of::PerMessage => Some(SeriesKind::Counter),
            Of::PerConnection | Of::Min | Of::Mean | Of::Max => Some(SeriesKind::Gauge),
            Of::Itself => None,
        };
        match (series.kind, needs) {
            (None, _) => "nobody tells it",
            (Some(SeriesKind::Counter), Some(SeriesKind::Gauge)) => {
                "it is a counter: only its rise says something"
            }
            (Some(SeriesKind::Gauge), Some(SeriesKind::Counter)) => "it is a gauge, and counts nothing",
            _ => "it was not told at both ends of the phase, or began anew",
        }
        .to_owned()
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, figure) =
            FIGURES.into_iter().find(|(of, _)| *of == self.of).expect("every figure has a name");
        write!(f, "{WORD}{}{}{figure}", self.name, if figure.is_empty() { "" } else { " " })
    }
}

/// A limit as it is typed: a number, a count such as 10k, or in the base units of Prometheus a time or a size.
pub fn value(text: &str) -> Option<f64> {
    let number = text.parse::<f64>().ok();
    let count = || Some(text.parse::<Count>().ok()?.get() as f64);
    let span = || Some(text.parse::<Span>().ok()?.nanos() as f64 / 1e9);
    let size = || Some(text.parse::<Size>().ok()?.bytes() as f64);
    number.or_else(count).or_else(span).or_else(size).filter(|value| value.is_finite() && *value >= 0.0)
}

/// The same name for as long as the process lives: those that differ are as many as somebody has typed.
fn kept(name: String) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name.as_str()) {
        return known;
    }
    let name: &'static str = name.leak();
    names.insert(name);
    name
}
