use super::{Divergence, Evidence, Pace, Sharing, Tail};
use crate::clock::{MILLISECOND, Nanos};
use crate::units::{self, Span};

/// A CPU busier than this has no room for what comes at once.
const BUSY: f64 = 0.9;
/// A worker that is ready to run and waits for longer than this share of the time does so for others: 0.4 to 2.2 %
/// were measured on a quiet machine, 33 to 75 % beside one to three others on the same CPU, and nothing in between.
const STARVED: f64 = 0.05;
/// Handshakes that take more than this of the workers' time are in the way of others.
const SHAKING: f64 = 0.6;
/// The host of a virtual machine may take so much of a CPU.
const STOLEN: f64 = 0.02;
/// Others on a CPU that are named.
const NAMED: usize = 3;
/// Per mille of the messages due that have to be sent.
const SENT_PER_MILLE: u128 = 995;
/// This share of the receives may find no buffer: more come in faster than the generator hears them.
const WITHOUT_BUFFER: f64 = 0.1;

impl Evidence {
    /// What kept the run from going faster or from doing what was due.
    pub(super) fn shortfalls(&self) -> Vec<String> {
        let mut shortfalls = Vec::from_iter(self.pace.shortfall().map(str::to_owned));
        if self.too_few_sent() {
            let late =
                self.lateness.map(|tail| format!(", lateness {} {}", tail.name, units::latency(tail.ns)));
            shortfalls.push(format!("only {} were sent{}", self.sent_of_due(), late.unwrap_or_default()));
        }
        // Who was sent too little has nothing to answer.
        if let Some(behind) = self.behind.filter(|_| shortfalls.is_empty()) {
            let (achieved, offered) = (units::rate(behind.achieved_per_s), units::rate(behind.offered_per_s));
            shortfalls.push(format!("the broker fell behind: {achieved} {} of {offered}", behind.what));
        }
        let counts = [
            (self.shed, "message", "shed from full backlogs"),
            (self.unfinished, "message", "unfinished when the connection ended"),
            (self.connections_refused, "connection", "turned away by the embedded broker for want of room"),
        ];
        let counted = counts.into_iter().filter(|(count, ..)| *count > 0);
        shortfalls.extend(counted.map(|(count, what, how)| format!("{} {how}", were(count, what))));
        shortfalls
    }

    /// `165,000 of 200,000 messages due`
    fn sent_of_due(&self) -> String {
        format!("{} of {} messages due", units::grouped(self.sent), units::grouped(self.due))
    }

    /// Messages that nobody held back on purpose.
    fn too_few_sent(&self) -> bool {
        let sent = u128::from(self.sent) + u128::from(self.held_back);
        sent * 1000 < u128::from(self.due) * SENT_PER_MILLE
    }

    /// What the connections tell of a broker that does not read.
    pub(super) fn blocked(&self) -> Option<String> {
        let sends = units::grouped(self.sends_blocked);
        (self.sends_blocked > 0)
            .then(|| format!("the broker did not read fast enough: {sends} sends found the connection full"))
    }

    pub(super) fn queue_fault(&self) -> Option<String> {
        (self.queue_full > 0).then(|| {
            let passes = match self.queue_full {
                1 => "1 pass".to_owned(),
                passes => format!("{} passes", units::grouped(passes)),
            };
            format!("workers fell behind what completed: {passes} found the completion queue full; give more --cores")
        })
    }

    pub(super) fn cap_fault(&self) -> Option<String> {
        (self.caps_reached > 0).then(|| {
            let attempts = were(self.caps_reached, "connection");
            format!("{attempts} not opened for want of ports, files or memory: `malaria-bench doctor` tells what to raise")
        })
    }

    /// Connects that waited for our own handshakes.
    pub(super) fn handshake_fault(&self) -> Option<String> {
        let share = units::percent(self.handshaking.filter(|share| *share > SHAKING)?);
        Some(format!(
            "clients connected slower than --connect-rate because of the generator's own handshakes: those took {share} \
             of its workers' time; give more --cores, or let sessions be resumed (--tls-resume)"
        ))
    }

    /// The host of a virtual machine ran others.
    pub(super) fn steal_fault(&self, harmed: bool) -> Option<String> {
        let share = units::percent(self.stolen.filter(|share| harmed && *share > STOLEN)?);
        Some(format!(
            "the host took the CPU: steal {share} of the time; give the machine CPUs of its own, or use another one"
        ))
    }

    pub(super) fn quota_fault(&self, harmed: bool) -> Option<String> {
        let (share, cpus) = self.throttled.filter(|(share, _)| harmed && *share > STARVED)?;
        let quota = cpus.map_or_else(String::new, |cpus| format!(" of {cpus:.2} CPUs"));
        Some(format!(
            "a CPU quota{quota} was used up: it took {} of the time; raise it (cpu.max, cpu.cfs_quota_us)",
            units::percent(share)
        ))
    }

    /// Where the broker has a CPU together with the generator.
    pub(super) fn shared_with_broker(&self) -> Option<String> {
        let broker = self.sharing.iter().find(|sharing| sharing.broker)?;
        let (cpu, who) = (broker.cpu, broker.told());
        Some(format!(
            "the broker was on CPU {cpu} with the generator ({who}), and neither had it to itself: give the broker \
             another CPU (taskset, --cores)"
        ))
    }

    pub(super) fn buffer_fault(&self) -> Option<String> {
        let share = self.without_buffer().filter(|share| *share > WITHOUT_BUFFER)?;
        let (share, without) = (units::percent(share), units::grouped(self.receives_without_buffer));
        Some(format!(
            "more came in at once than could be heard: {share} of the receives ({without}) found no buffer; give \
             more --cores"
        ))
    }

    pub(super) fn tolerance_fault(&self) -> Option<String> {
        let backlog = self.backlog_ns.filter(|backlog| *backlog < self.tolerance_ns)?;
        let missing = self.due.saturating_sub(self.sent + self.unfinished);
        let lacking = self.pace == Pace::Schedule && (self.shed > 0 || self.too_few_sent());
        lacking.then(|| {
            let (held, backlog) = (Span::from_nanos(self.tolerance_ns), Span::from_nanos(backlog));
            let missing = were(missing.max(self.shed), "message");
            format!(
                "messages were held back for {held} (the tolerance), longer than the backlog of {backlog}: \
                 {missing} shed; lower --tolerance, or give a longer --backlog"
            )
        })
    }

    /// Who kept a schedule although others had the CPU has kept it.
    pub(super) fn starved_fault(&self, harmed: bool) -> Option<String> {
        let (cpu, share) = self.starved.filter(|(_, share)| harmed && *share > STARVED)?;
        let waited = format!("a worker was ready and waited for {} of the time", units::percent(share));
        let mut there: Vec<&Sharing> = self.sharing.iter().filter(|sharing| sharing.cpu == cpu).collect();
        if let Some(broker) = there.iter().find(|sharing| sharing.broker) {
            let who = broker.told();
            return Some(format!(
                "the broker was on CPU {cpu} with the generator ({who}): {waited}; give the broker another CPU (taskset, \
                 --cores)"
            ));
        }
        there.truncate(NAMED);
        let names: Vec<String> = there.iter().map(|sharing| sharing.told()).collect();
        let who = if names.is_empty() { String::new() } else { format!(" ({})", names.join("; ")) };
        let remedy = "keep others off its CPUs (taskset, cpusets), or use others (--cores)";
        Some(format!("something else ran on CPU {cpu}{who}: {waited}; {remedy}"))
    }

    pub(super) fn stall_fault(&self) -> Option<String> {
        let (stalls, seconds) = (self.stalls.0.len(), self.stalls.1);
        (stalls * 4 > seconds && stalls > 1).then(|| {
            format!(
                "workers stood still in {stalls} of {seconds} seconds: let nothing stop them, and use a machine that is \
                 not paused"
            )
        })
    }

    /// What was noticed late makes what is left of the response longer, and is not measured by it.
    pub(super) fn lag_fault(&self) -> Option<String> {
        let lag = self.wake_lag?;
        let rest = self.response.map(|tail| Tail { ns: tail.ns.saturating_sub(lag.ns), ..tail });
        let (limit, why) = self.limit(rest, " without it");
        (lag.ns > limit).then(|| {
            let (lag_shown, limit) = (units::latency(lag.ns), units::latency(limit));
            format!(
                "workers woke up late: wake-up lag {} {lag_shown}, above {limit} ({why}); free their CPUs, or let \
                 messages be late by more with --tolerance",
                lag.name
            )
        })
    }

    /// What had arrived and was not looked at. Of an open loop; in a closed one all clients may be answered at once,
    /// which is no fault unless it is by far the longer part of a round.
    pub(super) fn hearing_fault(&self) -> Option<String> {
        if self.pace.shortfall().is_some() {
            let (ours, theirs) = self.round.filter(|(ours, theirs)| *ours > 2 * theirs)?;
            let (ours, theirs) = (units::latency(ours), units::latency(theirs));
            return Some(format!(
                "answers lay with the generator for more than twice as long as they took: hearing lag p50 {ours}, \
                 service p50 {theirs}; more --cores would go faster"
            ));
        }
        let lag = self.hearing_lag?;
        let (limit, why) = self.limit(self.response, "");
        (lag.ns > limit).then(|| {
            let (lag_shown, limit) = (units::latency(lag.ns), units::latency(limit));
            format!(
                "workers heard late: hearing lag {} {lag_shown}, above {limit} ({why}); free their CPUs, or give more \
                 --cores",
                lag.name
            )
        })
    }

    /// What the load waited for and the probes did not, before anything left.
    pub(super) fn queue_of_our_own(&self) -> Option<String> {
        let apart = self.divergence.as_ref().filter(|apart| self.is_our_own(apart))?;
        Some(format!(
            "messages queued in the generator, before they left: {}; give more --cores",
            apart.told()
        ))
    }

    /// The same after they had left. It may be a topic or a connection that has too much to carry: no fault of ours.
    pub(super) fn apart_from_probes(&self) -> Option<String> {
        let apart = self.divergence.as_ref().filter(|apart| !self.is_our_own(apart))?;
        Some(format!(
            "the load waited where the probes did not, on connections or topics of its own: {}",
            apart.told()
        ))
    }

    /// Windows and sockets that are full keep messages waiting for the broker.
    fn is_our_own(&self, apart: &Divergence) -> bool {
        apart.before_hand_over && !self.windowed && self.sends_blocked == 0 && self.pace == Pace::Schedule
    }

    /// Lag above this is a fault: beside a long `response` a tenth of it, or else what is always accepted.
    fn limit(&self, response: Option<Tail>, of_it: &str) -> (Nanos, String) {
        let accepted = self.lag_accepted.saturating_add(self.tolerance_ns);
        match response.filter(|tail| tail.ns / 10 > accepted) {
            Some(tail) => (tail.ns / 10, format!("a tenth of the response {}{of_it}", tail.name)),
            None => (accepted, format!("{} ms plus the tolerance", self.lag_accepted / MILLISECOND)),
        }
    }

    pub(super) fn cpu_fault(&self, shortfalls: &[String]) -> Option<String> {
        let (cpu, share) = self.busiest_cpu.filter(|(_, share)| *share > BUSY)?;
        let busy = format!("CPU {cpu} was {} busy with the generator", units::percent(share));
        match (self.pace, shortfalls) {
            (Pace::None, _) => Some(format!("{busy}; give more --cores")),
            (_, []) => None,
            (_, shortfalls) => Some(format!("{busy}; {}; give more --cores", shortfalls.join("; "))),
        }
    }

    pub(super) fn clean_reason(&self) -> String {
        let what = match self.pace {
            Pace::None => "nobody was to publish".to_owned(),
            _ if self.sent >= self.due => "every message due was sent".to_owned(),
            _ => format!("{} were sent", self.sent_of_due()),
        };
        format!("{what}; {}", self.health())
    }

    /// Wake-up lag and busiest CPU.
    pub(super) fn health(&self) -> String {
        let lag = self.wake_lag.map(|tail| format!("wake-up lag {} {}", tail.name, units::latency(tail.ns)));
        let cpu =
            self.busiest_cpu.map(|(cpu, share)| format!("busiest CPU {cpu} at {}", units::percent(share)));
        let known: Vec<String> = [lag, cpu].into_iter().flatten().collect();
        if known.is_empty() { "too few samples to tell its lag".to_owned() } else { known.join(", ") }
    }
}

impl Divergence {
    /// `flight response p99 8.10 ms, of the probes 210 us (to within 60.0 us)`
    fn told(&self) -> String {
        let (load, probes) = (units::latency(self.load.ns), units::latency(self.probes.ns));
        let error = units::latency(self.error);
        format!("{} {} {load}, of the probes {probes} (to within {error})", self.what, self.load.name)
    }
}

impl Sharing {
    /// `sh, pid 4242: 47 %`
    fn told(&self) -> String {
        let share = self.share.map_or_else(String::new, |share| format!(": {}", units::percent(share)));
        format!("{}{share}", self.who)
    }
}

/// `1 message was`, `2,000 messages were`
fn were(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what} was"),
        _ => format!("{} {what}s were", units::grouped(count)),
    }
}
