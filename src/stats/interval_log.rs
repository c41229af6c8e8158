//! Histograms second by second, as HdrHistogram's tools read them (`.hlog`): a line for each interval and kind of time,
//! with the kind as its tag, times in seconds since the start, and the largest value in milliseconds.

use super::Latencies;
use crate::clock::Nanos;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use std::time::{Duration, UNIX_EPOCH};

/// Nanoseconds of a millisecond.
const MS: f64 = 1e6;

/// What stands above the lines of a log of what began so long after the Unix epoch.
pub fn header(epoch: Duration) -> String {
    let began = UNIX_EPOCH + epoch;
    let mut log = IntervalLogWriterBuilder::new();
    log.add_comment("[Histogram log format version 1.3]").with_start_time(began).with_base_time(began);
    let mut text = Vec::new();
    log.with_max_value_divisor(MS)
        .begin_log_with(&mut text, &mut V2DeflateSerializer::new())
        .expect("a Vec takes any number of bytes");
    let legend =
        "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n";
    String::from_utf8(text).expect("it is text") + legend
}

/// The lines of what was timed between these times since the start; none of what was not.
pub fn lines(latencies: &Latencies, start: Nanos, end: Nanos) -> String {
    let (start, length) = (Duration::from_nanos(start), Duration::from_nanos(end.saturating_sub(start)));
    let (mut text, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let mut log = IntervalLogWriterBuilder::new();
    let mut log = log
        .with_max_value_divisor(MS)
        .begin_log_with(&mut text, &mut serializer)
        .expect("a Vec takes any number of bytes");
    for (name, histogram) in latencies.iter().filter(|(_, histogram)| !histogram.is_empty()) {
        let tag = Tag::new(name).expect("names have no comma");
        log.write_histogram(&histogram.all(), start, length, Some(tag))
            .expect("a Vec takes any number of bytes");
    }
    let text = String::from_utf8(text).expect("it is text");
    // The divisor stands in the header.
    text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{MILLISECOND, SECOND};
    use crate::stats::Histogram;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn a_log_reads_as_what_was_measured() {
        let mut seconds = [Latencies::default(), Latencies::default(), Latencies::default()];
        seconds[0].connack.record(3 * MILLISECOND);
        (1..=500).for_each(|at| seconds[2].ack_response.record_n(at * MILLISECOND, 7));
        seconds[2].flight_response.record_n(40, 9);
        let mut text = header(Duration::from_secs(1_790_000_000));
        for (at, second) in (0..).zip(&seconds) {
            text += &lines(second, at * SECOND, at * SECOND + SECOND / 2);
        }
        let entries: Vec<_> = IntervalLogIterator::new(text.as_bytes())
            .map(|entry| entry.unwrap_or_else(|error| panic!("{error:?}\n{text}")))
            .collect();
        let times = |entry: &&LogEntry| matches!(entry, LogEntry::StartTime(time) | LogEntry::BaseTime(time) if time.as_secs() == 1_790_000_000);
        assert_eq!(entries.iter().filter(times).count(), 2, "{text}");
        let found: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                LogEntry::Interval(one) => {
                    let histogram = Histogram::from_base64_v2(one.encoded_histogram(), 0).expect("HDR V2");
                    Some((
                        one.tag().map(|tag| tag.as_str()),
                        one.start_timestamp(),
                        one.duration(),
                        one.max(),
                        histogram,
                    ))
                }
                _ => None,
            })
            .collect();
        assert_eq!(found.len(), 3);
        let (half, third) = (Duration::from_millis(500), Duration::from_secs(2));
        let connack = &found[0];
        assert_eq!((connack.0, connack.1, connack.2), (Some("connack"), Duration::ZERO, half));
        assert!((connack.3 - 3.0).abs() < 0.01, "{}", connack.3);
        assert_eq!(
            (found[1].0, found[1].1, &found[1].4),
            (Some("ack_response"), third, &seconds[2].ack_response)
        );
        assert_eq!((found[2].0, &found[2].4), (Some("flight_response"), &seconds[2].flight_response));
    }
}
