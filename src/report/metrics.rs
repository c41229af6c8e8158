//! What others told of the broker, in words.

use crate::record::{BrokerSeries, Phase, Record, SeriesKind};
use crate::units;

/// A line for each series that somebody told: what it was in the measure phase.
pub fn lines(record: &Record) -> Vec<String> {
    let series = record.broker_metrics.iter().flat_map(|metrics| &metrics.series);
    let span = record.span_of(Phase::Measure).unwrap_or(0);
    series.filter_map(|series| Some(format!("{} {}", series.name, figures(series, span)?))).collect()
}

/// `rose by 1,234 (123 /s, 0.0123 per message)`, `12.0 MiB, at most 13.5 MiB (3.0 KiB per connection)`
fn figures(series: &BrokerSeries, span: u64) -> Option<String> {
    let say = |value: f64| units::metric(&series.name, value);
    let (told, each) = match series.kind? {
        SeriesKind::Counter => {
            let rate = series.rise_per_s(span).map(units::rate);
            let each = series.per_message.map(|each| format!("{} per message", say(each)));
            (format!("rose by {}", say(series.rise()?)), [rate, each])
        }
        SeriesKind::Gauge => {
            let span = series.measured()?;
            let each = series.per_connection.map(|each| format!("{} per connection", say(each)));
            (format!("{} on average, {} at most", say(span.mean?), say(span.most?)), [each, None])
        }
    };
    let each: Vec<String> = each.into_iter().flatten().collect();
    Some(if each.is_empty() { told } else { format!("{told} ({})", each.join(", ")) })
}
