//! What others told of the broker, in words.

use crate::record::{BrokerSeries, Phase, Record, SeriesKind};
use crate::units;

/// Where brokers tell of themselves.
const SYS: &str = "$SYS/broker/";

/// A line for each series that somebody told, and one for all that the broker itself did: what they were in the measure
/// phase.
pub fn lines(record: &Record) -> Vec<String> {
    let series = record.broker_metrics.iter().flat_map(|metrics| &metrics.series);
    let (own, others): (Vec<_>, Vec<_>) = series.partition(|series| series.name.starts_with(SYS));
    let span = record.span_of(Phase::Measure).unwrap_or(0);
    let line = |series: &BrokerSeries| Some(format!("{} {}", series.name, figures(series, span)?));
    let mut lines: Vec<String> = others.into_iter().filter_map(line).collect();
    let own: Vec<String> = own.into_iter().filter_map(brief).collect();
    let notes =
        record.broker_metrics.iter().flat_map(|metrics| &metrics.sources).find_map(|one| one.note.as_ref());
    let note = notes.map_or(String::new(), |note| format!(" ({note})"));
    lines.extend((!own.is_empty()).then(|| format!("$SYS{note}: {}", own.join(", "))));
    lines
}

/// `messages/received +40,000`, `clients/connected 201`
fn brief(series: &BrokerSeries) -> Option<String> {
    let name = series.name.strip_prefix(SYS)?;
    let say = |value: f64| units::metric(name, value);
    Some(match series.kind? {
        SeriesKind::Counter => format!("{name} +{}", say(series.rise()?)),
        SeriesKind::Gauge => format!("{name} {}", say(series.measured()?.most?)),
    })
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
