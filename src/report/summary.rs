//! What stands in the summary, section by section.

use super::page::{Column, Page, Tint};
use super::{cost, metrics, refusals};
use crate::clock::Nanos;
use crate::cpu;
use crate::record::{
    Broker, Counters, Ended, Evidence, Exit, Figure, Flap, Latencies, Latency, Pace, Phase, Plan, Poll,
    Probes, Reading, Record, Schedule, Throughput, Topology, Verdict,
};
use crate::units::{self, Rate, Size, Span};

/// Most warnings shown; the rest is in the record.
const WARNINGS: usize = 6;
/// What stands where there is nothing to say.
const NOTHING: &str = "-";

pub fn write(record: &Record, page: &mut Page) {
    verdict(record, page);
    page.blank();
    asked(record, page);
    page.blank();
    if record.plan.publishers > 0 && record.rate_per_s(0).is_some() {
        rates(record, page);
        page.blank();
    }
    latencies(record, page);
    page.blank();
    delivery(record, page);
    probes(record, page);
    connections(record, page);
    broker_cost(record, page);
    generator(record, page);
    machine(record, page);
    warnings(record, page);
}

/// The verdict in a line, and how it is to be taken.
pub(super) fn headline(record: &Record) -> (String, Tint) {
    let tint = tint(record.verdict);
    let fault = match Exit::from_code(record.exit_code) {
        Exit::Clean | Exit::GeneratorLimited => None,
        Exit::Broker => Some("BROKER FAULT"),
        Exit::Delivery => Some("DELIVERY FAULT"),
        Exit::Bounds if record.ended == Ended::Aborted => Some("ABORTED"),
        Exit::Bounds => Some("BOUNDS BROKEN"),
        Exit::Interrupted => Some("INTERRUPTED"),
        // the last two are of several runs, and in no record
        Exit::Internal | Exit::Usage | Exit::Environment | Exit::Regression | Exit::Inconclusive => {
            Some("FAILED")
        }
    };
    // A fault and "clean" in one line would not be understood.
    let verdict =
        (fault.is_none() || record.verdict != Verdict::Clean).then(|| record.verdict.name().to_uppercase());
    let (fault, partial) = (fault.map(str::to_owned), record.partial.then(|| "PARTIAL".to_owned()));
    let mut headline: Vec<_> = [fault.clone(), verdict, partial].into_iter().flatten().collect();
    if record.exit_code != 0 {
        headline.push(format!("exit code {}", record.exit_code));
    }
    let tint = if fault.is_some() || record.partial { Tint::Bad } else { tint };
    (headline.join(", "), tint)
}

pub(super) fn tint(verdict: Verdict) -> Tint {
    match verdict {
        Verdict::Clean => Tint::Good,
        Verdict::BrokerLimited => Tint::Warning,
        Verdict::GeneratorLimited | Verdict::Unknown => Tint::Bad,
    }
}

/// Why the verdict is what it is, in sentences.
pub(super) fn reasons(record: &Record) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(reason) = record.partial_reason.as_ref().filter(|_| record.partial) {
        reasons.push(format!("partial: {reason}"));
    }
    // an exit that the verdict or the partial reason explains is not explained twice
    let explained = record.partial_reason.as_ref() == Some(&record.exit_reason)
        || record.exit_code == Exit::GeneratorLimited.code();
    if record.exit_code != 0 && !explained {
        reasons.push(record.exit_reason.clone());
    }
    reasons.extend(record.verdict_reasons.iter().cloned());
    reasons
}

fn verdict(record: &Record, page: &mut Page) {
    let (headline, tint) = headline(record);
    page.headline(&headline, tint);
    for reason in reasons(record) {
        page.note(&reason);
    }
}

fn asked(record: &Record, page: &mut Page) {
    for (at, line) in plan(record).iter().enumerate() {
        page.paragraph(if at == 0 { "asked" } else { "" }, line);
    }
    page.paragraph("broker", &broker(record));
}

/// What was asked: who, what, for how long.
pub(super) fn plan(record: &Record) -> Vec<String> {
    let plan = &record.plan;
    let clients = units::grouped(plan.clients.into());
    let roles = match plan.topology {
        Topology::Idle => "idle".to_owned(),
        topology => format!(
            "{topology}: {} publish, {} subscribe",
            units::grouped(plan.publishers.into()),
            units::grouped(plan.subscribers.into())
        ),
    };
    let filters = match &plan.filters[..] {
        [] => String::new(),
        filters => format!(" to {}", some_of(filters)),
    };
    let share = plan.share.as_ref().map_or(String::new(), |share| format!(", sharing as {share}"));
    let mut lines = vec![format!("{clients} clients, {roles}{filters}{share}")];
    if plan.schedule != Schedule::None {
        lines.push(messages(plan));
    }
    lines.push(durations(plan));
    lines.extend(plan.flap.map(flapping));
    lines
}

/// What was measured.
pub(super) fn broker(record: &Record) -> String {
    let addresses = some_of(&record.broker.addresses);
    let carried = match record.broker.transport.to_string() {
        nothing if nothing.is_empty() => nothing,
        carried => format!(", {carried}"),
    };
    let broker = match (record.broker.embedded, record.broker.cpus.as_slice()) {
        (true, []) => format!("embedded reflector at {addresses}, on the generator's CPUs"),
        (true, cpus) => format!("embedded reflector at {addresses}, on CPU {}", cpu::list(cpus)),
        (false, _) if addresses.is_empty() => some_of(&record.plan.hosts),
        (false, _) => addresses,
    };
    broker + &carried
}

/// The first three, and how many more there are.
pub(super) fn some_of(names: &[String]) -> String {
    let (shown, more) = names.split_at(names.len().min(3));
    match more.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn flapping(flap: Flap) -> String {
    let back = match flap.for_ns {
        0 => "at once".to_owned(),
        pause => format!("after {}", Span::from_nanos(pause)),
    };
    format!("each unsubscribes every {}, and subscribes again {back}", Span::from_nanos(flap.every_ns))
}

fn messages(plan: &Plan) -> String {
    let qos = match plan.qos == plan.sub_qos || plan.subscribers == 0 {
        true => format!("QoS {}", plan.qos),
        false => format!("QoS {}, subscribed at QoS {}", plan.qos, plan.sub_qos),
    };
    let pace = match plan.schedule {
        Schedule::Open { rate_per_s, arrival, inflight } => {
            let rate = Rate::new(rate_per_s).map_or(NOTHING.to_owned(), |rate| rate.to_string());
            let window = match inflight < u32::from(u16::MAX) {
                true => format!(", at most {inflight} in flight per publisher"),
                false => String::new(),
            };
            match &plan.profile {
                Some(profile) => {
                    format!("open loop at {profile}, {rate}/s on average, {arrival} arrival{window}")
                }
                None => format!("open loop at {rate}/s, {arrival} arrival{window}"),
            }
        }
        Schedule::Closed { .. } if plan.qos == 0 => {
            "closed loop, as fast as connections have room; latencies are not a user's".to_owned()
        }
        Schedule::Closed { inflight } => {
            format!("closed loop, {inflight} in flight per publisher; latencies are not a user's")
        }
        Schedule::None => "no messages".to_owned(),
    };
    format!("{qos}, payload {}, {pace}", Size::new(plan.size_bytes))
}

fn durations(plan: &Plan) -> String {
    let span = |nanos| Span::from_nanos(nanos).to_string();
    let measure = match (plan.msg_count, plan.duration_ns) {
        (Some(count), _) => format!("{} messages per publisher", units::grouped(count)),
        (None, Some(nanos)) => format!("measure {}", span(nanos)),
        (None, None) => "measure until interrupted".to_owned(),
    };
    format!("warm-up {}, {measure}, drain {}", span(plan.warmup_ns), span(plan.drain_ns))
}

/// Messages that were to be done, those that were in the end, and those that were within the measure phase.
pub(super) struct Done {
    pub what: &'static str,
    /// `None` in a closed loop, where as many are offered as are done.
    pub offered: Option<u64>,
    pub counted: u64,
    pub achieved: u64,
}

/// What was asked beside what was done.
pub(super) fn done(record: &Record) -> Vec<Done> {
    let counts = &record.counts;
    let open = matches!(record.plan.schedule, Schedule::Open { .. });
    // A count of messages is over when the last is due, so what follows belongs to it.
    let done = match record.plan.msg_count {
        Some(_) => Throughput { sent: counts.sent, acked: counts.acked, delivered: counts.delivered },
        None => record.throughput,
    };
    let due = open.then_some(counts.due);
    let mut rows = vec![Done { what: "sent", offered: due, counted: counts.sent, achieved: done.sent }];
    if record.plan.qos > 0 {
        rows.push(Done { what: "acked", offered: due, counted: counts.acked, achieved: done.acked });
    }
    if record.plan.subscribers > 0 {
        rows.push(Done {
            what: "delivered",
            offered: Some(counts.expected),
            counted: counts.delivered,
            achieved: done.delivered,
        });
    }
    rows
}

/// What was asked beside what was done, in messages per second of the measure phase.
fn rates(record: &Record, page: &mut Page) {
    let rows = done(record);
    let rate = |messages| record.rate_per_s(messages).map_or(NOTHING.to_owned(), units::rate);
    let offered = rows.iter().map(|row| row.offered.map_or("max".to_owned(), rate));
    let share = |row: &Done| match row.offered {
        // What is merely on its way when the phase ends is not missing, unless the rates tell of it.
        Some(offered) if offered > 0 && rate(row.achieved) == rate(offered) => {
            units::part(row.counted, offered)
        }
        Some(offered) if offered > 0 => units::part(row.achieved.min(row.counted), offered),
        _ => NOTHING.to_owned(),
    };
    let columns = vec![
        Column { header: "offered", rank: 0, cells: offered.collect() },
        Column { header: "achieved", rank: 1, cells: rows.iter().map(|row| rate(row.achieved)).collect() },
        Column { header: "share", rank: 2, cells: rows.iter().map(share).collect() },
    ];
    let span = units::latency(record.span_of(Phase::Measure).unwrap_or(0));
    page.table(&format!("over {span}"), &rows.iter().map(|row| row.what).collect::<Vec<_>>(), columns);
}

/// Each row: its name, its latency, and whether the plan asked for it.
pub(super) fn latency_rows(record: &Record) -> Vec<(&'static str, &Latency)> {
    let (plan, measured) = (&record.plan, &record.latencies);
    let publishing = plan.publishers > 0;
    let rows = [
        ("TCP connect", &measured.tcp_connect, true),
        ("handshake", &measured.handshake, false),
        ("handshake resumed", &measured.handshake_resumed, false),
        ("CONNACK", &measured.connack, true),
        ("SUBACK", &measured.suback, plan.subscribers > 0),
        ("UNSUBACK", &measured.unsuback, plan.flap.is_some()),
        ("ack response", &measured.ack_response, publishing && plan.qos > 0),
        ("ack service", &measured.ack_service, publishing && plan.qos > 0),
        ("flight response", &measured.flight_response, publishing && plan.subscribers > 0),
        ("flight service", &measured.flight_service, publishing && plan.subscribers > 0),
    ];
    let shown = |row: &(_, &Latency, bool)| row.2 || row.1.count > 0 && row.0 != "UNSUBACK";
    let rows = rows.into_iter().filter(shown).map(|row| (row.0, row.1));
    // The load's and theirs, one below the other.
    let probes = record.probes.iter().flat_map(|probes| {
        [
            ("probes' ack", &probes.latencies.ack_response),
            ("probes' flight", &probes.latencies.flight_response),
        ]
    });
    rows.chain(probes).collect()
}

/// Columns in their order, with the rank by which they stay on a narrow page.
pub(super) const FIGURES: [(&str, u8, Figure); 8] = [
    ("min", 6, Figure::Min),
    ("mean", 5, Figure::Mean),
    ("p50", 1, Figure::P50),
    ("p90", 7, Figure::P90),
    ("p99", 0, Figure::P99),
    ("p99.9", 4, Figure::P999),
    ("p99.99", 8, Figure::P9999),
    ("max", 2, Figure::Max),
];

fn latencies(record: &Record, page: &mut Page) {
    let rows = latency_rows(record);
    let names: Vec<&str> = rows.iter().map(|row| row.0).collect();
    let count = |latency: &Latency| match latency.count {
        0 => NOTHING.to_owned(),
        count => units::count(count),
    };
    let counts = Column { header: "count", rank: 3, cells: rows.iter().map(|row| count(row.1)).collect() };
    let mut columns = vec![counts];
    for (header, rank, figure) in FIGURES {
        let cells = rows.iter().map(|row| self::figure(row.1, figure)).collect();
        columns.push(Column { header, rank, cells });
    }
    page.table("latency", &names, columns);
}

/// A figure, or what it takes where there are too few samples: `n<6k`.
fn figure(latency: &Latency, figure: Figure) -> String {
    match latency.read(figure) {
        Reading::Unknown if latency.count > 0 => match figure.samples() {
            samples @ ..1_000 => format!("n<{samples}"),
            samples => format!("n<{}k", samples / 1_000),
        },
        reading => reading.to_string(),
    }
}

/// A count by its name.
pub(super) type Count = (&'static str, u64);

/// The counts that are not 0 or always shown.
fn shown(counts: &[(&'static str, u64, bool)]) -> Vec<Count> {
    let shown = counts.iter().filter(|(_, count, always)| *always || *count > 0);
    shown.map(|(name, count, _)| (*name, *count)).collect()
}

/// `name count` for each.
pub(super) fn items(counts: &[Count]) -> Vec<String> {
    counts.iter().map(|(name, count)| format!("{name} {}", units::grouped(*count))).collect()
}

fn delivery(record: &Record, page: &mut Page) {
    if record.plan.publishers > 0 {
        page.items("delivery", &items(&delivery_counts(record)));
    }
}

fn probes(record: &Record, page: &mut Page) {
    let Some(probes) = &record.probes else { return };
    let Probes { worker, counts, .. } = probes;
    let absent = counts.lost + counts.undelivered_at_end;
    let mut told = vec![format!("{} on CPU {}", units::grouped(record.plan.probes.into()), worker.cpu)];
    told.extend(items(&[("sent", counts.sent), ("delivered", counts.delivered), ("not delivered", absent)]));
    let error = Some(probes.error_ns()).filter(|error| *error > 0);
    told.extend(error.map(|error| format!("to within {}", units::latency(error))));
    page.items("probes", &told);
}

/// What became of the messages.
pub(super) fn delivery_counts(record: &Record) -> Vec<Count> {
    let (plan, counts) = (&record.plan, &record.counts);
    let subscribed = plan.subscribers > 0;
    let open = matches!(plan.schedule, Schedule::Open { .. });
    let due = if open && counts.sent < counts.due { counts.due } else { 0 };
    shown(&[
        ("sent", counts.sent, true),
        ("acked", counts.acked, plan.qos > 0),
        ("expected", counts.expected, subscribed),
        ("delivered", counts.delivered, subscribed),
        ("lost", counts.lost, subscribed),
        ("duplicated", counts.duplicated, subscribed),
        ("reordered", counts.reordered, subscribed),
        ("late", counts.late, subscribed),
        ("shed", counts.shed, open),
        ("due", due, false),
        ("unfinished", counts.unfinished, false),
        ("unconfirmed", counts.unconfirmed, false),
        ("refused", counts.rejected, false),
        ("ack timeouts", counts.ack_timeouts, false),
        ("unacked at end", counts.unacked_at_end, false),
        ("undelivered at end", counts.undelivered_at_end, false),
        ("corrupted", counts.corrupted, false),
        ("misrouted", counts.misrouted, false),
        ("foreign", counts.foreign, false),
    ])
}

/// What became of the connections of a run or of a fleet.
pub(super) fn connection_counts(counts: &Counters, subscribes: bool) -> Vec<Count> {
    let refused = counts.refused_by_connack() + counts.refused_tcp;
    shown(&[
        ("asked", counts.connections_asked, true),
        ("established", counts.connections_established, true),
        ("refused", refused, true),
        ("lost", counts.connections_lost, true),
        ("reconnects", counts.reconnects, false),
        ("timed out", counts.connect_timeouts, false),
        ("closed by broker", counts.closed_by_broker, false),
        ("protocol errors", counts.protocol_errors, false),
        ("subscribed", counts.subscribed, subscribes),
        ("not subscribed", counts.subscribe_failures, false),
        ("pings", counts.pings, false),
        ("pongs", counts.pongs, counts.pings > 0),
    ])
}

/// Connections that the embedded reflector turned away, where there were any.
pub(super) fn turned_away(broker: &Broker) -> Option<Count> {
    let count = broker.connections_refused.filter(|count| *count > 0)?;
    Some(("turned away by the reflector", count))
}

fn connections(record: &Record, page: &mut Page) {
    let mut counts = connection_counts(&record.counts, record.plan.subscribers > 0);
    counts.extend(turned_away(&record.broker));
    page.items("connections", &items(&counts));
    let reasons = refusals::all(&record.counts);
    if !reasons.is_empty() {
        page.paragraph("", &format!("refused: {}", items(&reasons).join(", ")));
    }
    if let Some(reasons) = refusals::reason_codes(&record.counts) {
        page.paragraph("reasons", &reasons);
    }
}

fn broker_cost(record: &Record, page: &mut Page) {
    if let Some(cost) = &record.broker_cost {
        page.paragraph("broker cost", &cost::watched(cost));
        page.items("", &cost::items(cost));
    }
    for (at, line) in metrics::lines(record).iter().enumerate() {
        page.paragraph(if at == 0 { "broker metrics" } else { "" }, line);
    }
}

/// The times that are the generator's own, by their names in tables.
pub(super) fn health_rows(latencies: &Latencies) -> [(&'static str, &Latency); 3] {
    [
        ("lateness", &latencies.lateness),
        ("wake-up lag", &latencies.wake_lag),
        ("hearing lag", &latencies.hearing_lag),
    ]
}

fn generator(record: &Record, page: &mut Page) {
    let (health, sent) = (&record.generator, record.counts.sent);
    let mut items = Vec::new();
    for (name, latency) in health_rows(&record.latencies) {
        let tail = latency.tail().map(|tail| format!("{name} {} {}", tail.name, units::latency(tail.ns)));
        items.extend(tail);
    }
    let evidence = Evidence::of(record);
    items.extend(around(&evidence));
    let busiest = health.busiest_cpu();
    items.extend(busiest.map(|(cpu, share)| format!("busiest CPU {cpu} at {}", units::percent(share))));
    let cpu_ns = health.user_cpu_ns + health.system_cpu_ns;
    if cpu_ns > 0 {
        let (user, system) = (units::latency(health.user_cpu_ns), units::latency(health.system_cpu_ns));
        items.push(format!("CPU {user} user, {system} system"));
    }
    let shaken = record.latencies.handshake.count + record.latencies.handshake_resumed.count;
    items.extend(health.handshakes_ns.checked_div(shaken).filter(|each| *each > 0).map(|each| {
        format!("handshakes {}, {} each", units::latency(health.handshakes_ns), units::latency(each))
    }));
    let calibrated = record.calibration.as_ref();
    items.extend(calibrated.map(|known| format!("of its ceiling {}", units::percent(known.share))));
    if let Some(each) = cpu_ns.checked_div(sent).filter(|each| *each > 0) {
        items.push(format!("CPU per message {}", units::latency(each)));
    }
    items.extend(health.bytes_per_client.map(|bytes| format!("memory per client {}", units::bytes(bytes))));
    if sent > 0 && health.enters > 0 {
        let per_thousand = health.enters as f64 * 1000.0 / sent as f64;
        items.push(format!("enters per 1,000 messages {per_thousand:.0}"));
    }
    items.extend(health.troubles().map(|(name, count)| format!("{name} {}", units::grouped(count))));
    page.paragraph("generator", &workers(record));
    if !items.is_empty() {
        page.items("", &items);
    }
    let beside = beside(&evidence);
    if !beside.is_empty() {
        page.items("beside it", &beside);
    }
}

/// What kept the generator from its CPUs.
pub(super) fn around(evidence: &Evidence) -> Vec<String> {
    let shares = [
        ("waited for a CPU", evidence.starved.map(|(_, share)| share)),
        ("steal", evidence.stolen.filter(|share| *share > 0.0)),
        ("a quota took", evidence.throttled.map(|(share, _)| share).filter(|share| *share > 0.0)),
    ];
    let known = shares.into_iter().filter_map(|(what, share)| Some((what, share?)));
    let mut items: Vec<_> = known.map(|(what, share)| format!("{what} {}", units::percent(share))).collect();
    let quota = evidence.throttled.and_then(|(_, cpus)| cpus);
    items.extend(quota.map(|cpus| format!("quota of {cpus:.2} CPUs")));
    let without = evidence.without_buffer().filter(|share| *share > 0.0);
    items.extend(without.map(|share| format!("receives without buffer {}", units::percent(share))));
    let slow = |(ours, theirs): &(Nanos, Nanos)| {
        matches!(evidence.pace, Pace::Answers | Pace::Room) && *ours > 2 * theirs
    };
    let round = evidence.round.filter(slow);
    items.extend(round.map(|(ours, _)| format!("hearing lag p50 {}", units::latency(ours))));
    let (stalls, seconds) = &evidence.stalls;
    if !stalls.is_empty() {
        items.push(format!("stood still in {} of {seconds} seconds", stalls.len()));
    }
    items.extend(
        stalls.iter().take(3).map(|(second, stall)| format!("{} in second {second}", units::latency(*stall))),
    );
    items
}

/// Who else was on its CPUs.
pub(super) fn beside(evidence: &Evidence) -> Vec<String> {
    let told = evidence.sharing.iter().map(|sharing| {
        let share = sharing.share.map_or_else(String::new, |share| format!(" at {}", units::percent(share)));
        let broker = if sharing.broker { "the broker, " } else { "" };
        format!("{broker}{} on CPU {}{share}", sharing.who, sharing.cpu)
    });
    told.collect()
}

fn workers(record: &Record) -> String {
    let plan = &record.plan;
    let cpus: Vec<usize> = record.generator.workers.iter().map(|worker| worker.cpu).collect();
    let workers = match plan.workers {
        1 => "1 worker".to_owned(),
        workers => format!("{workers} workers"),
    };
    let on = if cpus.is_empty() { String::new() } else { format!(" on CPU {}", cpu::list(&cpus)) };
    let cores = match plan.cores_asked == plan.cores_used {
        true => String::new(),
        false => format!("; cores asked {}, used {}", plan.cores_asked, plan.cores_used),
    };
    let poll = waiting(plan.poll).map(|how| format!("; {how}")).unwrap_or_default();
    format!("{workers}{on}{cores}{poll}")
}

/// How workers waited, unless they slept.
pub(super) fn waiting(poll: Poll) -> Option<&'static str> {
    match poll {
        Poll::Sleep => None,
        Poll::Auto => Some("awake before each message"),
        Poll::Busy => Some("awake all the time"),
    }
}

fn machine(record: &Record, page: &mut Page) {
    let machine = &record.machine;
    let cpus = match machine.cpus {
        1 => "1 CPU".to_owned(),
        cpus => format!("{cpus} CPUs"),
    };
    let kernel = format!("Linux {}", machine.kernel);
    let parts = [machine.cpu_model.clone(), cpus, units::bytes(machine.memory_bytes), kernel];
    let known: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    page.paragraph("machine", &known.join(", "));
    let (plan, version) = (&record.plan, &record.versions.malaria_bench);
    page.paragraph("run", &format!("{}, seed {}, version {version}", plan.run_id, plan.seed));
}

fn warnings(record: &Record, page: &mut Page) {
    let clipped = clipped(record);
    let mut warnings: Vec<&str> = clipped.iter().chain(&record.warnings).map(String::as_str).collect();
    let shown = page.lines_left().clamp(2, WARNINGS);
    let more = format!("and {} more in the record", (warnings.len() + 1).saturating_sub(shown));
    if warnings.len() > shown {
        warnings.truncate(shown - 1);
        warnings.push(&more);
    }
    for warning in warnings {
        page.paragraph("warning", warning);
    }
}

/// A warning for each latency with samples above the hour that a histogram tells apart.
fn clipped(record: &Record) -> Vec<String> {
    let rows = latency_rows(record)
        .into_iter()
        .chain(health_rows(&record.latencies))
        .filter(|(_, latency)| latency.overflow > 0);
    rows.map(|(name, latency)| {
        format!("{name}: {} samples above one hour are counted as one hour", units::grouped(latency.overflow))
    })
    .collect()
}
