//! The figures of a fleet.

use std::borrow::Cow;

use super::figure::{Count, Needs, Own, Statistic, Timing};
use super::measured::{self, Gap, Measured, percent};
use crate::clock::Nanos;
use crate::record::{
    BrokerCost, BrokerMetrics, FleetRecord, Generator, Latency, ListenEnd, Listener, Publisher, Verdict,
};
use crate::units::{self, Span};

impl Measured for FleetRecord {
    fn latency(&self, of: Timing) -> Result<Cow<'_, Latency>, Gap> {
        let latencies = &self.latencies;
        Ok(Cow::Borrowed(match of {
            Timing::AckResponse => &latencies.ack_response,
            Timing::AckService => &latencies.ack_service,
            // messages are stamped when they are sent
            Timing::FlightResponse | Timing::FlightService => return flight(self).map(Cow::Owned),
            Timing::TcpConnect => &latencies.tcp_connect,
            Timing::Handshake => &latencies.handshake,
            Timing::HandshakeResumed => &latencies.handshake_resumed,
            Timing::Connack => &latencies.connack,
            Timing::Suback => &latencies.suback,
            Timing::Unsuback => &latencies.unsuback,
            Timing::Disconnect => &latencies.disconnect,
            Timing::Lateness => &latencies.lateness,
            Timing::WakeLag => &latencies.wake_lag,
            Timing::HearingLag => &latencies.hearing_lag,
            Timing::RoundTrip => &latencies.round_trip,
        }))
    }

    fn count(&self, of: Count) -> Result<u64, Gap> {
        if let Some(why) = lacks(self, of.0.needs) {
            return Err(Gap::new(why));
        }
        match of.name() {
            "delivered" => Ok(self.listeners.iter().map(Listener::delivered).sum()),
            "expected" => expected(self),
            "lost" => lost(self),
            "duplicated" => Ok(self.listeners.iter().map(|listener| listener.duplicated).sum()),
            "foreign" => Ok(self.listeners.iter().map(|listener| listener.foreign).sum()),
            "dropped" => {
                // all listeners of a broker read the same counter
                let dropped = self.listeners.iter().filter_map(|listener| listener.dropped).max();
                dropped.ok_or_else(|| Gap::new("the broker did not report it"))
            }
            "shed" => Ok(self.publishers.iter().map(shed).sum()),
            "undelivered-at-end" | "reordered" | "late" | "untold" | "corrupted" | "misrouted" => {
                Err(Gap::new("publish and subscribe do not measure it"))
            }
            _ => Ok((of.0.of)(&self.counts)),
        }
    }

    fn whole(&self, of: Count) -> Result<u64, Gap> {
        match of.name() {
            "sent" | "acked" | "unfinished" => Ok(self.publishers.iter().map(Publisher::total).sum()),
            "delivered" | "lost" | "duplicated" => expected(self),
            _ => Ok(of.0.whole.expect("only parts are asked for their whole")(&self.counts)),
        }
    }

    fn rate(&self, of: Count) -> Result<f64, Gap> {
        let count = self.count(of)?;
        let span = match of.0.needs {
            Needs::Deliveries => self.listening_ns(),
            _ => self.publishing_ns(),
        };
        let span = span.filter(|span| *span > 0).ok_or_else(|| Gap::new("it took no time"))?;
        Ok(count as f64 * 1e9 / span as f64)
    }

    fn success(&self) -> Result<f64, Gap> {
        let published = (!self.publishers.is_empty()).then(|| {
            let acked = self.publishers.iter().map(|publisher| publisher.acked).sum();
            percent(acked, self.publishers.iter().map(Publisher::total).sum())
        });
        let heard = (!self.listeners.is_empty()).then(|| {
            let expected = expected(self)?;
            percent(expected.saturating_sub(lost(self)?), expected)
        });
        match (published, heard) {
            (Some(published), Some(heard)) => Ok(published?.min(heard?)),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => Err(Gap::new("nobody publishes or subscribes")),
        }
    }

    fn generator(&self) -> &Generator {
        &self.generator
    }

    fn broker_cost(&self) -> Option<&BrokerCost> {
        self.broker_cost.as_ref()
    }

    fn broker_metrics(&self) -> Option<&BrokerMetrics> {
        None
    }

    fn span(&self) -> Option<Nanos> {
        None
    }

    fn own(&self, of: Own) -> Result<u64, Gap> {
        let sent: u64 = self.publishers.iter().map(|publisher| publisher.sent).sum();
        let heard = self.listeners.iter().map(|listener| listener.received).sum();
        measured::own(of, &self.generator, if sent > 0 { sent } else { heard })
    }

    fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn window(&self, _: Timing, _: Statistic, _: Span, _: bool) -> Result<Nanos, Gap> {
        Err(no_windows())
    }

    fn window_rate(&self, _: Count, _: Span, _: bool) -> Result<f64, Gap> {
        Err(no_windows())
    }
}

/// A fleet has no measure phase.
fn no_windows() -> Gap {
    Gap::new("only the main job has windows")
}

/// What the fleet lacks of what a count needs.
fn lacks(record: &FleetRecord, needs: Needs) -> Option<&'static str> {
    let publishing = !record.publishers.is_empty();
    let subscribing = !record.listeners.is_empty();
    match needs {
        Needs::Nothing => None,
        Needs::Subscriptions | Needs::Deliveries if !subscribing => Some("nobody subscribes"),
        Needs::Subscriptions => None,
        Needs::Deliveries if record.listeners.iter().all(nothing_was_due) => {
            Some("no message was expected and none arrived")
        }
        Needs::Deliveries => None,
        _ if !publishing => Some("nobody publishes"),
        Needs::Acknowledgements if record.qos == 0 => Some("QoS 0 has no acknowledgements"),
        _ if record.publishers.iter().all(|publisher| publisher.total() == 0) => Some("no message came due"),
        _ => None,
    }
}

fn nothing_was_due(listener: &Listener) -> bool {
    listener.expected().unwrap_or(0) == 0 && listener.received == 0
}

/// Messages that came due and that it never wrote.
fn shed(publisher: &Publisher) -> u64 {
    publisher.generated.saturating_sub(publisher.sent + publisher.unfinished)
}

fn expected(record: &FleetRecord) -> Result<u64, Gap> {
    let all: Option<u64> = record.listeners.iter().map(Listener::expected).sum();
    all.ok_or_else(|| Gap::new("a subscriber expected no number of messages"))
}

fn lost(record: &FleetRecord) -> Result<u64, Gap> {
    expected(record)?;
    // what a broker that drops has not delivered by then may still be on its way
    if record.listeners.iter().any(|listener| listener.ended_by == ListenEnd::Drops) {
        return Err(Gap::new("a subscriber left when the broker dropped messages"));
    }
    let missing = |listener: &Listener| listener.expected().unwrap_or(0).saturating_sub(listener.delivered());
    Ok(record.listeners.iter().map(missing).sum())
}

/// Flight times of all subscribers together, by the clocks of two machines.
fn flight(record: &FleetRecord) -> Result<Latency, Gap> {
    let negative: u64 = record.listeners.iter().map(|listener| listener.flight_negative).sum();
    if negative > 0 {
        let negative = units::grouped(negative);
        return Err(Gap(format!("the clocks disagree: {negative} flight times are negative")));
    }
    record.flight_time().map_err(|error| Gap(error.to_string()))
}
