use super::{Behind, Pace, Tail};
use crate::clock::{MILLISECOND, Nanos, SECOND};
use crate::record::{
    Broker, Ended, FleetRecord, Generator, Latencies, Latency, Phase, Pressure, Record, Schedule, Second,
};

/// Who else was on a CPU of the generator's.
#[derive(Clone, PartialEq, Debug)]
pub struct Sharing {
    /// Its number.
    pub cpu: usize,
    /// Who: `sh, pid 4242`.
    pub who: String,
    /// What it took of the CPU (0 to 1), where that is known.
    pub share: Option<f64>,
    /// Whether it is the broker.
    pub broker: bool,
}

/// A response time of the load that is far above the same of the probes, which take the same way.
#[derive(Clone, PartialEq, Debug)]
pub struct Divergence {
    /// Which: `ack response`.
    pub what: &'static str,
    /// The load's,
    pub load: Tail,
    /// and the probes'.
    pub probes: Tail,
    /// By how much the probes' may be off: their own wake-up lag and hearing lag. The load's are not in it: a figure never
    /// excuses itself.
    pub error: Nanos,
    /// Whether more than half of the load's was before the hand-over to the kernel.
    pub before_hand_over: bool,
}

impl Divergence {
    /// Of what both have samples enough for.
    /// Beyond twice the probes' are allowed the error and the tolerance, for which the load was held back on purpose.
    fn of(
        what: &'static str,
        [response, service, probes]: [&Latency; 3],
        (error, tolerance): (Nanos, Nanos),
    ) -> Option<Divergence> {
        let candidates = [
            ("p99", response.p99_ns, service.p99_ns, probes.p99_ns),
            ("p90", response.p90_ns, service.p90_ns, probes.p90_ns),
            ("p50", response.p50_ns, service.p50_ns, probes.p50_ns),
        ];
        let (name, load, service, probes) = candidates
            .into_iter()
            .find_map(|(name, load, service, probes)| Some((name, load?, service?, probes?)))?;
        (load > (2 * probes).saturating_add(error + tolerance)).then(|| Divergence {
            what,
            load: Tail { name, ns: load },
            probes: Tail { name, ns: probes },
            error,
            before_hand_over: load.saturating_sub(tolerance) > 2 * service,
        })
    }
}

/// The numbers a verdict rests on: of a run those of the measure phase, of a fleet those of all of it. What the
/// engine lost, found full or had no buffer for is of the whole life of the workers.
#[derive(Clone, PartialEq, Debug)]
pub struct Evidence {
    /// What sets the pace.
    pub pace: Pace,
    /// Messages whose intended time came.
    pub due: u64,
    /// Messages that the kernel took.
    pub sent: u64,
    /// Messages given up because a backlog was full.
    pub shed: u64,
    /// Messages written to a connection that ended before the kernel had taken them.
    pub unfinished: u64,
    /// Messages that came due so late that the end of the schedule found them held back by the tolerance.
    pub held_back: u64,
    /// How late the workers noticed what was due.
    pub wake_lag: Option<Tail>,
    /// Wake-up lag that is always accepted, on top of the tolerance.
    pub lag_accepted: Nanos,
    /// Hand-over minus intended time.
    pub lateness: Option<Tail>,
    /// The shortest of the response times: what wake-up lag distorts first.
    pub response: Option<Tail>,
    /// What the broker answered in the measure phase, when it fell behind the schedule.
    pub behind: Option<Behind>,
    /// Span within which messages are sent together on purpose, in nanoseconds.
    pub tolerance_ns: Nanos,
    /// Schedule that a publisher may be behind before it sheds, in nanoseconds; `None` where nobody sheds.
    pub backlog_ns: Option<Nanos>,
    /// From the arrival of bytes until a worker looked at them.
    pub hearing_lag: Option<Tail>,
    /// The medians of that and of the shortest service time: of a closed loop's round, our own part and the broker's.
    pub round: Option<(Nanos, Nanos)>,
    /// The CPU on which a worker waited longest for its turn, and its share of the time (0 to 1).
    pub starved: Option<(usize, f64)>,
    /// The generator's busiest CPU and its share (0 to 1).
    pub busiest_cpu: Option<(usize, f64)>,
    /// Times of 100 ms and more that a worker did not look at what was there, each with the second in which that was,
    /// counted from 0; and of how many seconds.
    pub stalls: (Vec<(usize, Nanos)>, usize),
    /// Share of the time (0 to 1) that the host took from one of the CPUs (steal).
    pub stolen: Option<f64>,
    /// Share of the time (0 to 1) that a CPU quota took, and the CPUs that it leaves.
    pub throttled: Option<(f64, Option<f64>)>,
    /// Where the load waited and the probes did not; `None` without probes, too.
    pub divergence: Option<Divergence>,
    /// Whether a publisher may have to wait until others of its messages are acknowledged.
    pub windowed: bool,
    /// Who else was on CPUs of workers that waited.
    pub sharing: Vec<Sharing>,
    /// Passes that found the completion queue full.
    pub queue_full: u64,
    /// Connections that the machine did not let the generator open, where clients were left without.
    pub caps_reached: u64,
    /// Share of the workers' time (0 to 1) that their handshakes took while clients connected, where that was slower
    /// than was asked for.
    pub handshaking: Option<f64>,
    /// Receives that brought bytes.
    pub receives: u64,
    /// Receives that found every buffer in use.
    pub receives_without_buffer: u64,
    /// Sends that found the socket's buffer full.
    pub sends_blocked: u64,
    /// Connections that the embedded broker turned away for want of room.
    pub connections_refused: u64,
}

/// Wake-up lag of a run that is always accepted, on top of the tolerance.
pub(super) const LAG_ACCEPTED: Nanos = MILLISECOND;
/// The same of a fleet: publishers that simulate devices send a few messages a second, and malaria's own timer
/// was no finer.
const FLEET_LAG_ACCEPTED: Nanos = 100 * MILLISECOND;
/// What took less has no shares to go by, nor rounds enough: CPU time is counted in coarse steps.
const CPU_SPAN: Nanos = SECOND;
/// Who waited for less of the time was hardly in anybody's way.
const NOTICED: f64 = 0.01;
/// A worker that does not look for so long has been stopped, or its machine has: no load of its own takes it that.
const STALL: Nanos = 100 * MILLISECOND;

/// Whether less was answered in the measure phase than came due in it. A count of messages has no end to be
/// behind at, and a run that was cut short did not reach it.
fn behind(record: &Record) -> Option<Behind> {
    let timed = record.plan.duration_ns.is_some() && record.ended == Ended::Completed;
    let open = matches!(record.plan.schedule, Schedule::Open { .. });
    let span = record.span_of(Phase::Measure).filter(|span| timed && open && *span > 0)?;
    let span = (span, record.plan.tolerance_ns);
    let (counts, throughput) = (&record.counts, &record.throughput);
    let due = if record.plan.qos > 0 { counts.due } else { 0 };
    // Deliveries that were lost for good are a fault of their own.
    let expected = counts.expected.saturating_sub(counts.lost);
    // Who is away on purpose hears later, or never.
    let there = record.plan.absences.is_empty() && record.plan.flap.is_none();
    let expected = if there { expected } else { 0 };
    Behind::of("acknowledged", throughput.acked, due, span)
        .or_else(|| Behind::of("delivered", throughput.delivered, expected, span))
}

/// What handshakes took of the workers' time while clients connected, if they did so by more than a tenth slower than was
/// asked for.
fn handshaking(record: &Record) -> Option<f64> {
    let asked = f64::from(record.plan.clients) / record.plan.connect_rate_per_s? * 1e9;
    let span = record.span_of(Phase::Connect).filter(|span| *span as f64 > asked * 1.1)?;
    let workers = record.generator.workers.len().max(1) as f64;
    Some(record.generator.handshakes_ns as f64 / (span as f64 * workers))
}

/// Messages of a fleet that its tolerance may have kept from being sent until it ended: of each publisher what
/// comes due in that time, and one more. In a run the end waits for them.
fn held_back(record: &FleetRecord) -> u64 {
    let span = u128::from(record.publishing_ns().unwrap_or(0).max(1));
    let unsent = record.publishers.iter().map(|publisher| {
        let due = u128::from(publisher.generated) * u128::from(record.tolerance_ns) / span + 1;
        let unsent = publisher.generated.saturating_sub(publisher.sent + publisher.unfinished);
        unsent.min(u64::try_from(due).unwrap_or(u64::MAX))
    });
    if record.tolerance_ns > 0 { unsent.sum() } else { 0 }
}

/// The longest of `seconds`, and how many there are; what the tolerance holds back is no stall.
fn stalls(seconds: impl Iterator<Item = Nanos>, tolerance: Nanos) -> (Vec<(usize, Nanos)>, usize) {
    let seconds: Vec<_> = seconds.enumerate().collect();
    let all = seconds.len();
    (seconds.into_iter().filter(|(_, stall)| *stall >= STALL + tolerance).collect(), all)
}

/// Of a round of a closed loop, our own part and the broker's, by their medians.
fn round(latencies: &Latencies, services: [&Latency; 2]) -> Option<(Nanos, Nanos)> {
    let service = services.into_iter().filter_map(|latency| latency.p50_ns).min();
    Some((latencies.hearing_lag.p50_ns?, service?))
}

/// The load beside the probes: of acknowledgements and deliveries what was the generator's own, or else what diverges.
fn divergence(record: &Record) -> Option<Divergence> {
    let (load, probes) = (&record.latencies, record.probes.as_ref()?);
    let bar = (probes.error_ns(), record.plan.tolerance_ns);
    let probes = &probes.latencies;
    let ack = [&load.ack_response, &load.ack_service, &probes.ack_response];
    let flight = [&load.flight_response, &load.flight_service, &probes.flight_response];
    let both = [Divergence::of("ack response", ack, bar), Divergence::of("flight response", flight, bar)];
    both.into_iter().flatten().max_by_key(|apart| apart.before_hand_over)
}

/// Who else was on the CPUs of workers that waited: without a wait nobody was in the way, whoever was seen there.
fn sharing(generator: &Generator, broker: &Broker) -> Vec<Sharing> {
    let waits = |cpu: usize| {
        generator.workers.iter().any(|worker| worker.cpu == cpu && worker.waited_share > NOTICED)
    };
    let embedded = broker.cpus.iter().filter(|_| broker.embedded).map(|cpu| Sharing {
        cpu: *cpu,
        who: "the embedded reflector".to_owned(),
        share: None,
        broker: true,
    });
    let others = generator.neighbours.iter().map(|neighbour| Sharing {
        cpu: neighbour.cpu,
        who: format!("{}, pid {}", neighbour.name, neighbour.pid),
        share: Some(neighbour.busy_share),
        broker: neighbour.broker,
    });
    embedded.chain(others).filter(|sharing| waits(sharing.cpu)).collect()
}

/// What the machine took in the seconds that count, each with its length: as shares of the time, of one CPU.
fn taken(seconds: &[(Nanos, &Pressure)]) -> Option<(f64, f64)> {
    let span: Nanos = seconds.iter().map(|(span, _)| span).sum();
    let share = |figure: fn(&Pressure) -> Nanos| {
        seconds.iter().map(|(_, pressure)| figure(pressure)).sum::<Nanos>() as f64 / span as f64
    };
    (span >= CPU_SPAN).then(|| (share(|p| p.stolen_ns), share(|p| p.throttled_ns)))
}

/// How long each second was, by their ends.
fn spans(ends: impl Iterator<Item = Nanos>) -> impl Iterator<Item = Nanos> {
    ends.scan(0, |before, end| Some(end.saturating_sub(std::mem::replace(before, end))))
}

impl Evidence {
    /// Share of the receives that found no buffer; `None` without any.
    pub fn without_buffer(&self) -> Option<f64> {
        let all = self.receives.saturating_add(self.receives_without_buffer);
        (all > 0).then(|| self.receives_without_buffer as f64 / all as f64)
    }

    /// Of the generator and what was around it, with nothing measured. `seconds` are those that count.
    fn around(generator: &Generator, broker: &Broker, seconds: &[(Nanos, &Pressure)]) -> Evidence {
        let taken = taken(seconds);
        Evidence {
            pace: Pace::None,
            due: 0,
            sent: 0,
            shed: 0,
            unfinished: 0,
            held_back: 0,
            wake_lag: None,
            lag_accepted: 0,
            lateness: None,
            response: None,
            behind: None,
            tolerance_ns: 0,
            backlog_ns: None,
            hearing_lag: None,
            round: None,
            starved: generator.starved(),
            busiest_cpu: generator.busiest_cpu(),
            stalls: (Vec::new(), 0),
            stolen: taken.map(|(stolen, _)| stolen),
            throttled: taken.map(|(_, throttled)| (throttled, generator.quota_cpus)),
            divergence: None,
            windowed: false,
            sharing: sharing(generator, broker),
            queue_full: generator.queue_full,
            caps_reached: 0,
            handshaking: None,
            receives: generator.receives,
            receives_without_buffer: generator.receives_without_buffer,
            sends_blocked: generator.sends_blocked,
            connections_refused: broker.connections_refused.unwrap_or(0),
        }
    }

    /// Of a record whose plan, counts, latencies and generator are filled in.
    pub fn of(record: &Record) -> Evidence {
        let latencies = &record.latencies;
        let responses = [latencies.ack_response.tail(), latencies.flight_response.tail()];
        // What happened before or after the measure phase is in no figure.
        let counts = |second: &Second| matches!(second.phase, Phase::Measure | Phase::Drain);
        let lengths = spans(record.series.iter().map(|second| second.time_ns));
        let seconds = lengths.zip(&record.series).filter(|(_, second)| counts(second));
        let seconds: Vec<_> = seconds.map(|(length, second)| (length, &second.pressure)).collect();
        let left_out = u64::from(record.plan.clients) > record.counts.connections_established;
        Evidence {
            pace: match record.plan.schedule {
                Schedule::Open { .. } => Pace::Schedule,
                Schedule::Closed { .. } => Pace::closed(record.plan.qos),
                Schedule::None => Pace::None,
            },
            due: record.counts.due,
            sent: record.counts.sent,
            shed: record.counts.shed,
            unfinished: record.counts.unfinished,
            wake_lag: latencies.wake_lag.tail(),
            lag_accepted: LAG_ACCEPTED,
            lateness: latencies.lateness.tail(),
            response: responses.into_iter().flatten().min_by_key(|tail| tail.ns),
            behind: behind(record),
            tolerance_ns: record.plan.tolerance_ns,
            backlog_ns: Some(record.plan.backlog_ns),
            hearing_lag: latencies.hearing_lag.tail(),
            round: round(latencies, [&latencies.ack_service, &latencies.flight_service]),
            stalls: stalls(
                record.series.iter().map(|second| if counts(second) { second.stall_ns } else { 0 }),
                record.plan.tolerance_ns,
            ),
            divergence: divergence(record),
            windowed: matches!(record.plan.schedule, Schedule::Open { inflight, .. } if inflight < u16::MAX.into()),
            caps_reached: if left_out { record.generator.caps_reached } else { 0 },
            handshaking: handshaking(record),
            ..Evidence::around(&record.generator, &record.broker, &seconds)
        }
    }

    /// Of a fleet's record whose counts, latencies, generator and clients are filled in. It has no measure phase
    /// at the end of which the broker could be behind, and no backlog: what a publisher did not send by its end
    /// is unsent. Flight times are by the clocks of two machines, so they are not compared with anything.
    pub fn of_fleet(record: &FleetRecord) -> Evidence {
        let latencies = &record.latencies;
        let responses = [latencies.ack_response.tail(), latencies.round_trip.tail()];
        let lengths = spans(record.series.iter().map(|second| second.time_ns));
        let seconds: Vec<_> = lengths.zip(record.series.iter().map(|second| &second.pressure)).collect();
        let around = Evidence::around(&record.generator, &record.broker, &seconds);
        let long = record.elapsed_ns >= CPU_SPAN;
        let left_out = record.counts.connections_asked > record.counts.connections_established;
        Evidence {
            pace: match (record.publishers.is_empty(), record.closed_loop) {
                (true, _) => Pace::None,
                (false, true) => Pace::closed(record.qos),
                (false, false) => Pace::Schedule,
            },
            due: record.counts.due,
            sent: record.counts.sent,
            unfinished: record.counts.unfinished,
            held_back: held_back(record),
            wake_lag: latencies.wake_lag.tail(),
            lag_accepted: FLEET_LAG_ACCEPTED,
            lateness: latencies.lateness.tail(),
            response: responses.into_iter().flatten().min_by_key(|tail| tail.ns),
            tolerance_ns: record.tolerance_ns,
            hearing_lag: latencies.hearing_lag.tail(),
            round: round(latencies, [&latencies.ack_service, &latencies.round_trip]).filter(|_| long),
            starved: around.starved.filter(|_| long),
            busiest_cpu: around.busiest_cpu.filter(|_| long),
            stalls: stalls(record.series.iter().map(|second| second.stall_ns), record.tolerance_ns),
            caps_reached: if left_out { record.generator.caps_reached } else { 0 },
            ..around
        }
    }
}
