//! The text that Prometheus reads, of which only the lines with wanted names are understood.

use super::selector::labels;
use super::{Selector, Told};
use crate::record::SeriesKind;
use std::collections::HashMap;

/// The sum of the series that each of `wanted` means; `None` where there is none, or no number.
pub fn read(text: &str, wanted: &[Selector]) -> Vec<Option<Told>> {
    let mut found: Vec<Option<f64>> = vec![None; wanted.len()];
    let mut types = HashMap::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.split_whitespace();
            if let (Some("TYPE"), Some(name), Some(kind)) = (words.next(), words.next(), words.next()) {
                types.insert(name, kind);
            }
            continue;
        }
        for (selector, sum) in wanted.iter().zip(&mut found) {
            if let Some(value) =
                line.strip_prefix(selector.name.as_str()).and_then(|rest| value(rest, selector))
            {
                *sum = Some(sum.unwrap_or(0.0) + value);
            }
        }
    }
    let told = |(selector, sum): (&Selector, Option<f64>)| {
        let value = sum.filter(|value| value.is_finite())?;
        Some(Told { value, kind: kind(&selector.name, &types) })
    };
    wanted.iter().zip(found).map(told).collect()
}

/// The value of a line behind its name; `None` of another name or other labels.
fn value(rest: &str, selector: &Selector) -> Option<f64> {
    let (labels, rest) = match rest.trim_start().strip_prefix('{') {
        Some(within) => labels(within)?,
        None if rest.starts_with([' ', '\t']) => (Vec::new(), rest),
        None => return None,
    };
    // A time and an example may follow.
    rest.split_whitespace().next()?.parse().ok().filter(|_| selector.takes(&labels))
}

/// What the types say: those of parts are of the whole, and OpenMetrics leaves `_total` away.
fn kind(name: &str, types: &HashMap<&str, &str>) -> SeriesKind {
    let of = |name: &str| types.get(name).copied();
    let parts = ["_bucket", "_count", "_sum"];
    let whole = parts.iter().find_map(|part| of(name.strip_suffix(part)?));
    let total = name.strip_suffix("_total");
    match (of(name), whole, total.and_then(of)) {
        (Some("counter"), ..) | (None, Some("histogram" | "summary"), _) | (.., Some("counter")) => {
            SeriesKind::Counter
        }
        (None | Some("untyped" | "unknown"), None, _) if total.is_some() => SeriesKind::Counter,
        _ => SeriesKind::Gauge,
    }
}
