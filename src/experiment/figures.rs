//! What a step measured, from the records its commands left.

use crate::clock::Nanos;
use crate::record::{
    CAPACITY_SCHEMA, CapacityRecord, Exit, FleetRecord, Latency, Listener, Record, StepFigures,
};
use crate::stats::Histogram;

/// Why a document has no figures.
#[derive(Debug, thiserror::Error)]
pub enum FiguresError {
    #[error("the record cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Record(#[from] crate::record::RecordError),
    #[error("{0}")]
    Histogram(#[from] crate::stats::HistogramError),
}

/// Sums under way.
#[derive(Default)]
pub struct Tally {
    sums: StepFigures,
    ack: Histogram,
    flight: Histogram,
    /// Flights that were expected and never ended.
    missing: u64,
}

impl Tally {
    /// Adds the record in a document of `--json`; false if there is none in it.
    ///
    /// # Errors
    /// Not JSON, or not the record that it says it is.
    pub fn add(&mut self, json: &str) -> Result<bool, FiguresError> {
        #[derive(serde::Deserialize)]
        struct Document {
            schema: Option<String>,
            malaria_bench: Option<FleetRecord>,
        }
        let document: Document = serde_json::from_str(json)?;
        match (document.malaria_bench, document.schema) {
            (Some(fleet), _) => self.add_fleet(&fleet)?,
            (None, Some(schema)) if schema == CAPACITY_SCHEMA => {
                self.add_capacity(&serde_json::from_str(json)?);
            }
            (None, Some(_)) => self.add_main(&Record::from_json(json)?)?,
            (None, None) => return Ok(false),
        }
        Ok(true)
    }

    fn add_main(&mut self, record: &Record) -> Result<(), FiguresError> {
        let (plan, done) = (&record.plan, &record.throughput);
        self.sums.void |= record.is_void();
        let publishes = plan.publishers > 0;
        let is_acked = publishes && plan.qos > 0;
        let hears = publishes && plan.subscribers > 0;
        let count = |count: u64, is: bool| is.then_some(count);
        let rate = |count: u64, is: bool| record.rate_per_s(count).filter(|_| is);
        add(&mut self.sums.sent, count(record.counts.sent, publishes));
        add(&mut self.sums.acked, count(record.counts.acked, is_acked));
        add(&mut self.sums.delivered, count(record.counts.delivered, hears));
        add(&mut self.sums.lost, count(record.counts.lost, hears));
        add(&mut self.sums.sent_per_s, rate(done.sent, publishes));
        add(&mut self.sums.acked_per_s, rate(done.acked, is_acked));
        add(&mut self.sums.delivered_per_s, rate(done.delivered, hears));
        self.ack.merge(&record.latencies.ack_response.histogram()?);
        self.flight.merge(&record.latencies.flight_response.histogram()?);
        self.missing += record.latencies.flight_response.missing;
        Ok(())
    }

    fn add_capacity(&mut self, record: &CapacityRecord) {
        let first = record.results.first();
        self.sums.capacity = first.and_then(|result| result.capacity);
        self.sums.capacity_over = Some(record.search.over);
        self.sums.capacity_regular = first.map(|result| result.regular);
        self.sums.void |= Exit::from_code(record.exit_code) == Exit::GeneratorLimited;
    }

    fn add_fleet(&mut self, record: &FleetRecord) -> Result<(), FiguresError> {
        self.sums.void |= record.is_void();
        let per_s = |count: u64, span: Option<Nanos>| {
            let span = span.filter(|span| *span > 0)?;
            Some(count as f64 * 1e9 / span as f64)
        };
        if !record.publishers.is_empty() {
            let sum =
                |of: fn(&crate::record::Publisher) -> u64| record.publishers.iter().map(of).sum::<u64>();
            let (sent, acked) = (sum(|publisher| publisher.sent), sum(|publisher| publisher.acked));
            add(&mut self.sums.sent, Some(sent));
            add(&mut self.sums.sent_per_s, per_s(sent, record.publishing_ns()));
            if record.qos > 0 {
                add(&mut self.sums.acked, Some(acked));
                add(&mut self.sums.acked_per_s, per_s(acked, record.publishing_ns()));
            }
            // As malaria: from just before a message was sent. At QoS 0 there is none.
            self.ack.merge(&record.latencies.ack_service.histogram()?);
        }
        if !record.listeners.is_empty() {
            let delivered = record.listeners.iter().map(|listener| listener.received).sum();
            add(&mut self.sums.delivered, Some(delivered));
            add(&mut self.sums.delivered_per_s, per_s(delivered, record.listening_ns()));
            for listener in &record.listeners {
                add(&mut self.sums.lost, lost(listener));
                self.flight.merge(&listener.flight_time.histogram()?);
                self.missing += listener.flight_time.missing;
            }
        }
        Ok(())
    }

    /// What came together.
    pub fn figures(self) -> StepFigures {
        let (ack, flight) = (Latency::from(&self.ack), Latency::of(&self.flight, self.missing));
        StepFigures {
            ack_p50_ns: ack.p50_ns,
            ack_p99_ns: ack.p99_ns,
            flight_p50_ns: flight.p50_ns,
            flight_p99_ns: flight.p99_ns,
            ..self.sums
        }
    }
}

fn add<N: Copy + std::ops::Add<Output = N>>(sum: &mut Option<N>, more: Option<N>) {
    *sum = match (*sum, more) {
        (Some(sum), Some(more)) => Some(sum + more),
        (sum, more) => sum.or(more),
    };
}

/// Messages that a listener expected and never had.
fn lost(listener: &Listener) -> Option<u64> {
    Some(listener.expected_messages?.saturating_sub(listener.delivered()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::MILLISECOND;
    use crate::record::{Over, Verdict, fleet_samples, samples};

    fn figures(documents: &[String]) -> StepFigures {
        let mut tally = Tally::default();
        for document in documents {
            assert!(tally.add(document).unwrap());
        }
        tally.figures()
    }

    #[test]
    fn the_main_job_counts_by_its_measure_phase() {
        let record = samples::clean();
        let figures = figures(&[serde_json::to_string(&record).unwrap()]);
        assert_eq!(figures.sent_per_s, Some(20_000.0));
        assert_eq!((figures.sent, figures.lost), (Some(200_000), Some(0)));
        assert_eq!(figures.ack_p99_ns, record.latencies.ack_response.p99_ns);
        assert_eq!(figures.flight_p50_ns, record.latencies.flight_response.p50_ns);
    }

    #[test]
    fn sections_at_once_add_up_and_histograms_merge() {
        let record = serde_json::to_string(&samples::clean()).unwrap();
        let (one, two) = (figures(std::slice::from_ref(&record)), figures(&[record.clone(), record]));
        assert_eq!(two.sent_per_s, one.sent_per_s.map(|rate| rate * 2.0));
        assert_eq!(two.delivered, one.delivered.map(|count| count * 2));
        assert_eq!(two.ack_p50_ns, one.ack_p50_ns, "the same distribution twice");
    }

    #[test]
    fn who_publishes_and_who_listens_meet_in_one_step() {
        let document =
            |record: FleetRecord| serde_json::json!({ "msgs": 1, "malaria_bench": record }).to_string();
        let record = fleet_samples::published();
        let sent: u64 = record.publishers.iter().map(|publisher| publisher.sent).sum();
        let heard = fleet_samples::subscribed();
        let received: u64 = heard.listeners.iter().map(|listener| listener.received).sum();
        let figures = figures(&[document(record), document(heard)]);
        assert_eq!((figures.sent, figures.delivered), (Some(sent), Some(received)));
        assert!(figures.sent_per_s.is_some() && figures.lost.is_some());
    }

    #[test]
    fn a_search_has_what_it_found() {
        let record = crate::record::capacity_samples::searched();
        let figures = figures(&[serde_json::to_string(&record).unwrap()]);
        assert_eq!((figures.capacity, figures.capacity_over), (Some(4_950.0), Some(Over::Rate)));
        assert_eq!((figures.capacity_regular, figures.void), (Some(true), false));
    }

    /// One section that the generator limited spoils what a step measured, whatever fault came of it.
    #[test]
    fn what_the_generator_limited_is_void() {
        let mut starved = samples::clean();
        starved.latencies.wake_lag = (&samples::ramp(1_000, 60 * MILLISECOND, 61 * MILLISECOND)).into();
        starved.counts.unacked_at_end = 3;
        starved.conclude();
        assert_eq!((starved.verdict, starved.exit_code), (Verdict::GeneratorLimited, 5));
        let [sound, starved] =
            [samples::clean(), starved].map(|record| serde_json::to_string(&record).unwrap());
        assert!(!figures(std::slice::from_ref(&sound)).void);
        assert!(figures(&[starved, sound]).void);
        let mut record = crate::record::capacity_samples::searched();
        record.exit_code = Exit::GeneratorLimited.code();
        assert!(figures(&[serde_json::to_string(&record).unwrap()]).void);
    }

    #[test]
    fn a_document_without_a_record_is_none() {
        assert!(!Tally::default().add("{\"a\": 1}").unwrap());
        assert!(Tally::default().add("{\"schema\": \"other/3\"}").is_err());
        assert!(Tally::default().add("{").is_err());
    }
}
