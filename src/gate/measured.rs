//! The figures of a record, or why it does not have them.

use std::borrow::Cow;

use super::figure::{Count, Needs, Own, Statistic, Timing};
use crate::clock::{Nanos, SECOND};
use crate::record::{
    BrokerCost, BrokerMetrics, Counters, Generator, Latency, Phase, Record, Schedule, Verdict, Window,
};
use crate::stats::supported;
use crate::units::{self, Span};

/// Why something was not measured, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gap(pub String);

impl Gap {
    pub fn new(why: &str) -> Gap {
        Gap(why.to_owned())
    }
}

/// A record that bounds can be compared with.
pub trait Measured {
    fn latency(&self, of: Timing) -> Result<Cow<'_, Latency>, Gap>;
    fn count(&self, of: Count) -> Result<u64, Gap>;
    /// What the count is a part of.
    fn whole(&self, of: Count) -> Result<u64, Gap>;
    /// Per second.
    fn rate(&self, of: Count) -> Result<f64, Gap>;
    /// In per cent.
    fn success(&self) -> Result<f64, Gap>;
    fn generator(&self) -> &Generator;
    /// What it cost the broker, where somebody watched it.
    fn broker_cost(&self) -> Option<&BrokerCost>;
    /// What others told of the broker, where somebody was asked.
    fn broker_metrics(&self) -> Option<&BrokerMetrics>;
    /// How long the measure phase was.
    fn span(&self) -> Option<Nanos>;
    /// In its unit.
    fn own(&self, of: Own) -> Result<u64, Gap>;
    fn verdict(&self) -> Verdict;
    /// The highest figure of a latency in a window of this length, or the lowest.
    fn window(&self, of: Timing, at: Statistic, over: Span, least: bool) -> Result<Nanos, Gap>;
    /// The highest rate in one, or the lowest.
    fn window_rate(&self, of: Count, over: Span, least: bool) -> Result<f64, Gap>;
}

/// What something costs the generator.
pub fn own(of: Own, generator: &Generator, messages: u64) -> Result<u64, Gap> {
    match of {
        Own::CpuPerMessage => {
            let cpu_ns = generator.user_cpu_ns + generator.system_cpu_ns;
            let each = cpu_ns.checked_div(messages).filter(|each| *each > 0);
            each.ok_or_else(|| Gap::new("no message, or no CPU time, was measured"))
        }
        Own::MemoryPerClient => generator.bytes_per_client.ok_or_else(|| Gap::new("memory was not measured")),
    }
}

/// A figure of a latency, in nanoseconds.
pub fn statistic(latency: &Latency, at: Statistic) -> Result<Nanos, Gap> {
    if latency.count == 0 {
        return Err(Gap::new("no samples"));
    }
    let found = match at {
        Statistic::Min => latency.min_ns,
        Statistic::Max => latency.max_ns,
        // those above an hour are in the mean as an hour: it is more than it says
        Statistic::Mean if latency.overflow > 0 => {
            let above = units::grouped(latency.overflow);
            return Err(Gap(format!("{above} samples above one hour")));
        }
        Statistic::Mean => latency.mean_ns,
        Statistic::Percentile(millionths) => return percentile(latency, millionths),
    };
    found.ok_or_else(|| Gap::new("not in the record"))
}

fn percentile(latency: &Latency, millionths: u32) -> Result<Nanos, Gap> {
    let quantile = f64::from(millionths) / 1e6;
    if latency.is_never(quantile) {
        let (missing, all) =
            (units::grouped(latency.missing), units::grouped(latency.count + latency.missing));
        return Err(Gap(format!("never: {missing} of {all} did not come")));
    }
    if !supported(latency.count + latency.missing, quantile) {
        // six samples have to lie beyond it: see `supported`
        let needed = 6_000_000_u64.div_ceil(u64::from(1_000_000 - millionths));
        let (count, needed) = (units::grouped(latency.count), units::grouped(needed));
        return Err(Gap(format!("it takes {needed} samples, there are {count}")));
    }
    let histogram = latency.histogram().map_err(|error| Gap(error.to_string()))?;
    // a file may say anything
    match histogram.count() == latency.count {
        true => Ok(histogram.quantile(quantile)),
        false => Err(Gap::new("the histogram has another number of samples than the record says")),
    }
}

/// `part` of `whole` in per cent.
pub fn percent(part: u64, whole: u64) -> Result<f64, Gap> {
    if whole == 0 {
        return Err(Gap::new("a share of nothing"));
    }
    // exact up to 2^53: a bound of 99.9% holds with 999 of 1,000
    Ok(part as f64 * 100.0 / whole as f64)
}

/// The busiest CPU's share in per cent; more digits than two of it mean nothing.
pub fn cpu(generator: &Generator) -> Result<f64, Gap> {
    let (_, share) = generator.busiest_cpu().ok_or_else(|| Gap::new("no worker was measured"))?;
    Ok((share * 1e4).round() / 1e2)
}

impl Measured for Record {
    fn latency(&self, of: Timing) -> Result<Cow<'_, Latency>, Gap> {
        let latencies = &self.latencies;
        let closed = matches!(self.plan.schedule, Schedule::Closed { .. });
        Ok(Cow::Borrowed(match of {
            Timing::AckResponse | Timing::FlightResponse if closed => {
                return Err(Gap::new("a closed loop has no response times: bound the service time"));
            }
            Timing::AckResponse => &latencies.ack_response,
            Timing::AckService => &latencies.ack_service,
            Timing::FlightResponse => &latencies.flight_response,
            Timing::FlightService => &latencies.flight_service,
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
            Timing::RoundTrip if latencies.round_trip.count == 0 => {
                return Err(Gap::new("only publish --round-trip measures it"));
            }
            Timing::RoundTrip => &latencies.round_trip,
        }))
    }

    fn count(&self, of: Count) -> Result<u64, Gap> {
        if of.name() == "dropped" {
            return Err(Gap::new("only subscribe hears of it"));
        }
        lacks(self, of.0.needs).map_or(Ok((of.0.of)(&self.counts)), |why| Err(Gap::new(why)))
    }

    fn whole(&self, of: Count) -> Result<u64, Gap> {
        // a client that never got to try is one that did not connect
        let clients = if of.name() == "connected" { u64::from(self.plan.clients) } else { 0 };
        let whole = of.0.whole.expect("only parts are asked for their whole");
        Ok(whole(&self.counts).max(clients))
    }

    fn rate(&self, of: Count) -> Result<f64, Gap> {
        let count = self.count(of)?;
        // A count of messages is over when the last is due: what follows belongs to it. Otherwise what was
        // achieved is what happened in the measure phase.
        let count = match (of.name(), self.plan.msg_count) {
            ("sent", None) => self.throughput.sent,
            ("acked", None) => self.throughput.acked,
            ("delivered", None) => self.throughput.delivered,
            _ => count,
        };
        self.rate_per_s(count).ok_or_else(|| Gap::new("the measure phase was not reached"))
    }

    fn success(&self) -> Result<f64, Gap> {
        let counts = &self.counts;
        if let Some(why) = lacks(self, Needs::Publishing) {
            return Err(Gap::new(why));
        }
        let published = percent(if self.plan.qos > 0 { counts.acked } else { counts.sent }, counts.due)?;
        match self.plan.subscribers {
            0 => Ok(published),
            // nothing was expected where nothing was sent
            _ => Ok(percent(counts.delivered, counts.expected).map_or(published, |all| all.min(published))),
        }
    }

    fn generator(&self) -> &Generator {
        &self.generator
    }

    fn broker_cost(&self) -> Option<&BrokerCost> {
        self.broker_cost.as_ref()
    }

    fn broker_metrics(&self) -> Option<&BrokerMetrics> {
        self.broker_metrics.as_ref()
    }

    fn span(&self) -> Option<Nanos> {
        self.span_of(Phase::Measure).filter(|span| *span > 0)
    }

    fn own(&self, of: Own) -> Result<u64, Gap> {
        let Counters { sent, delivered, .. } = self.counts;
        own(of, &self.generator, if sent > 0 { sent } else { delivered })
    }

    fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn window(&self, of: Timing, at: Statistic, over: Span, least: bool) -> Result<Nanos, Gap> {
        let whole = self.latency(of)?;
        if whole.missing > 0 {
            let (missing, all) = (units::grouped(whole.missing), units::grouped(whole.count + whole.missing));
            return Err(Gap(format!("{missing} of {all} did not come, in no window that is known")));
        }
        let (name, figure) = (of.name(), at.to_string());
        let is = |window: &&Window| {
            window.latency == name && window.figure == figure && window.over_ns == over.nanos()
        };
        let window = self.windows.iter().find(is);
        let window =
            window.ok_or_else(|| Gap::new("only a run that had this bound has measured its windows"))?;
        if window.unknown > 0 {
            return Err(Gap(format!("too few samples in {} of {} windows", window.unknown, window.windows)));
        }
        let found = if least { window.lowest_ns } else { window.highest_ns };
        found.ok_or_else(|| too_short(over))
    }

    fn window_rate(&self, of: Count, over: Span, least: bool) -> Result<f64, Gap> {
        self.count(of)?;
        let seconds = self.series.iter().filter(|second| second.phase == Phase::Measure && !second.part);
        let counts: Vec<u64> = seconds
            .map(|second| match of.name() {
                "due" => second.offered,
                "sent" => second.sent,
                "acked" => second.acked,
                _ => second.delivered,
            })
            .collect();
        let length = (over.nanos() / SECOND) as usize;
        let rates = counts.windows(length).map(|window| window.iter().sum::<u64>() as f64 / length as f64);
        let found = if least { rates.reduce(f64::min) } else { rates.reduce(f64::max) };
        found.ok_or_else(|| too_short(over))
    }
}

fn too_short(over: Span) -> Gap {
    Gap(format!("the measure phase has no {over} of whole seconds"))
}

/// What the run lacks of what a count needs.
fn lacks(record: &Record, needs: Needs) -> Option<&'static str> {
    let (plan, counts) = (&record.plan, &record.counts);
    let measured = record.span_of(Phase::Measure).is_some();
    match needs {
        Needs::Nothing => None,
        Needs::Subscriptions if plan.subscribers == 0 => Some("nobody subscribes"),
        Needs::Subscriptions => None,
        _ if plan.publishers == 0 => Some("nobody publishes"),
        Needs::Acknowledgements if plan.qos == 0 => Some("QoS 0 has no acknowledgements"),
        Needs::Deliveries if plan.subscribers == 0 => Some("nobody subscribes"),
        _ if !measured => Some("the measure phase was not reached"),
        _ if counts.due == 0 => Some("no message came due"),
        Needs::Deliveries if counts.expected == 0 => Some("no delivery was expected"),
        _ => None,
    }
}
