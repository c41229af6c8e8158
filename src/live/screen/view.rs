//! What the screen shows.

use crate::clock::{Nanos, SECOND};
use crate::live::Tick;
use crate::record::{Phase, Pressure, Used};
use crate::stage::Progress;
use crate::stats::{Counters, Histogram, Levels, Strain};
use crate::units;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};
use std::collections::VecDeque;

/// Seconds that a sparkline may show.
const HISTORY: usize = 300;
/// A second in which a worker was busy or kept waiting for longer than this share is marked: the verdict's limit.
const BUSY: f64 = 0.9;
const WAITED: f64 = 0.05;

/// Percentiles of the second that is over, and the longest time.
#[derive(Clone, Copy, Default)]
struct Times {
    p50: Option<Nanos>,
    p99: Option<Nanos>,
    max: Nanos,
}

impl Times {
    fn of(times: &Histogram) -> Times {
        Times { p50: times.supported_quantile(0.5), p99: times.supported_quantile(0.99), max: times.max() }
    }
}

/// Everything that is shown.
#[derive(Clone, Default)]
pub struct View {
    elapsed: Nanos,
    clients: u64,
    phase: Option<Phase>,
    left: Option<Nanos>,
    levels: Levels,
    second: Counters,
    total: Counters,
    flight: Times,
    ack: Times,
    workers: Vec<Strain>,
    pressure: Pressure,
    broker: Option<Used>,
    /// Bounds, and whether they hold so far.
    pub ticks: Vec<Tick>,
    /// Messages out, and p99 of flights, or of acknowledgements where nobody listens, in microseconds: of each second.
    out: VecDeque<u64>,
    p99: VecDeque<u64>,
}

impl View {
    /// One more second is over.
    pub fn follow(&mut self, progress: &Progress) {
        let histograms = &progress.second.histograms;
        // Runs have a schedule that responses are told from, fleets have not always.
        let times =
            |response: &Histogram, service| Times::of(if response.is_empty() { service } else { response });
        self.elapsed = progress.elapsed;
        self.clients = progress.clients;
        self.phase = progress.phase;
        self.left = progress.left;
        self.levels = progress.levels;
        self.second = progress.second.counters;
        self.total = progress.total;
        self.flight = times(&histograms.flight_response, &histograms.flight_service);
        self.ack = times(&histograms.ack_response, &histograms.ack_service);
        self.workers.clone_from(&progress.workers);
        self.pressure = progress.pressure;
        self.broker = progress.broker;
        let p99 = self.flight.p99.or(self.ack.p99).unwrap_or(0);
        for (history, value) in [(&mut self.out, self.second.sent), (&mut self.p99, p99 / 1000)] {
            history.push_back(value);
            history.drain(..history.len().saturating_sub(HISTORY));
        }
    }

    /// Fills `frame`, as far as it goes.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let health = [self.generator(), self.broker(), self.bounds()].concat();
        let blocks = [self.head(), self.rates(), self.latencies(), self.delivery(), health];
        let heights = blocks.iter().map(|lines| lines.len() as u16);
        // What room there is goes to the charts, evenly; on a small screen to none.
        let [head, rates, chart, latencies, spark, delivery, generator, _] = {
            let mut heights = heights;
            let mut fixed = || Constraint::Length(heights.next().unwrap_or(0));
            let (head, rates, latencies, delivery, generator) = (fixed(), fixed(), fixed(), fixed(), fixed());
            let chart = Constraint::Max(6);
            Layout::vertical([head, rates, chart, latencies, chart, delivery, generator, Constraint::Fill(0)])
                .areas(frame.area())
        };
        for (area, lines) in [head, rates, latencies, delivery, generator].into_iter().zip(blocks) {
            frame.render_widget(Paragraph::new(lines), area);
        }
        spark_line(frame, chart, &self.out, Color::Green);
        spark_line(frame, spark, &self.p99, Color::Yellow);
    }

    fn head(&self) -> Vec<Line<'static>> {
        let phase = self.phase.map_or("running", Phase::name);
        let left = self.left.map_or(String::new(), |left| format!("   {} s left", left.div_ceil(SECOND)));
        let (connected, clients) = (self.levels.connected, self.clients);
        let clients = format!("{}/{}", units::grouped(connected), units::grouped(clients));
        vec![
            Line::from(vec![
                Span::from("malaria-bench  ").bold(),
                Span::from(phase).cyan().bold(),
                Span::from(format!("{left}   after {} s   Ctrl-C ends it", self.elapsed / SECOND)),
            ]),
            row("connected", vec![Span::from(clients)]),
        ]
    }

    fn rates(&self) -> Vec<Line<'static>> {
        let rate = |name, count: u64| Span::from(format!("{name} {:<12}", units::rate(count as f64)));
        let Counters { due, sent, acked, delivered, .. } = self.second;
        vec![row(
            "rates",
            vec![rate("offered", due), rate("out", sent), rate("acked", acked), rate("in", delivered)],
        )]
    }

    fn latencies(&self) -> Vec<Line<'static>> {
        let line = |name, times: &Times| {
            let or_few = |value: Option<Nanos>| value.map_or("-".into(), units::latency);
            let (p50, p99, max) = (or_few(times.p50), or_few(times.p99), units::latency(times.max));
            row(name, vec![Span::from(format!("p50 {p50:<10} p99 {p99:<10} max {max}"))])
        };
        let some = [("flight", &self.flight), ("ack", &self.ack)];
        some.into_iter().filter(|(_, times)| times.max > 0).map(|(name, times)| line(name, times)).collect()
    }

    fn delivery(&self) -> Vec<Line<'static>> {
        let total = &self.total;
        let counts = [
            ("lost", total.lost),
            ("ack timeouts", total.ack_timeouts + total.unacked_at_end),
            ("refused messages", total.rejected),
            ("duplicated", total.duplicated),
            ("reordered", total.reordered),
            ("shed", total.shed),
        ];
        let errors = [
            ("connections lost", total.connections_lost),
            ("refused", total.refused_tcp + total.refused_by_connack()),
            ("timed out", total.connect_timeouts),
            ("violations", total.protocol_errors),
        ];
        vec![row("messages", told(&counts)), row("errors", told(&errors))]
    }

    fn generator(&self) -> Vec<Line<'static>> {
        let share = |nanos: Nanos| nanos as f64 / SECOND as f64;
        let mut lines: Vec<_> = self
            .workers
            .iter()
            .enumerate()
            .map(|(worker, strain)| {
                let (busy, waited) = (share(strain.busy_ns), share(strain.waited_ns));
                let text = format!(
                    "CPU {:<8} waited {:<8} stall {}",
                    units::percent(busy),
                    units::percent(waited),
                    units::latency(strain.stall_ns())
                );
                row(&format!("worker {worker}"), vec![marked(text, busy > BUSY || waited > WAITED)])
            })
            .collect();
        let taken = [self.pressure.stolen_ns, self.pressure.throttled_ns];
        if taken.iter().any(|nanos| *nanos > 0) {
            let [stolen, throttled] = taken.map(|nanos| units::percent(share(nanos)));
            lines.push(row(
                "machine",
                vec![marked(format!("stolen {stolen}   quota took {throttled}"), true)],
            ));
        }
        lines
    }
}

impl View {
    fn broker(&self) -> Vec<Line<'static>> {
        let line = |used: &Used| {
            let cpu = units::percent(used.cpu_ns() as f64 / SECOND as f64);
            let memory = used.resident_bytes.map_or("-".to_owned(), units::bytes);
            let files = used.descriptors.map_or("-".to_owned(), units::grouped);
            let throttled = used.throttled_ns.filter(|nanos| *nanos > 0);
            let mut spans = vec![Span::from(format!("CPU {cpu:<8} memory {memory:<10} descriptors {files}"))];
            spans.extend(
                throttled.map(|nanos| marked(format!("   a quota took {}", units::latency(nanos)), true)),
            );
            row("broker", spans)
        };
        self.broker.iter().map(line).collect()
    }

    fn bounds(&self) -> Vec<Line<'static>> {
        let line = |tick: &Tick| {
            let text = format!("{}: {}", tick.bound, tick.found.as_deref().unwrap_or("not known yet"));
            let mark = match tick.holds {
                Some(true) => Span::from(text).green(),
                Some(false) => marked(text, true),
                None => Span::from(text),
            };
            row("bound", vec![mark])
        };
        self.ticks.iter().map(line).collect()
    }
}

fn row(name: &str, spans: Vec<Span<'static>>) -> Line<'static> {
    let mut line = vec![Span::from(format!("{name:<10} ")).dim()];
    line.extend(spans);
    Line::from(line)
}

/// In red where there is something wrong, told by a sign, too.
fn marked(text: String, wrong: bool) -> Span<'static> {
    if wrong { Span::from(format!("{text} !")).red() } else { Span::from(text) }
}

/// Those that are not 0.
fn told(counts: &[(&str, u64)]) -> Vec<Span<'static>> {
    let some = counts.iter().filter(|(_, count)| *count > 0);
    let told: Vec<_> =
        some.map(|(name, count)| Span::from(format!("{} {name}   ", units::grouped(*count))).red()).collect();
    if told.is_empty() { vec![Span::from("none").green()] } else { told }
}

/// The last seconds of `history`, as many as there is room for.
fn spark_line(frame: &mut Frame<'_>, area: Rect, history: &VecDeque<u64>, colour: Color) {
    let skipped = history.len().saturating_sub(usize::from(area.width));
    let shown: Vec<u64> = history.iter().skip(skipped).copied().collect();
    frame.render_widget(Sparkline::default().data(&shown).style(Style::new().fg(colour)), area);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn progress() -> Progress {
        let mut progress = Progress {
            elapsed: 9 * SECOND,
            clients: 2000,
            phase: Some(Phase::Measure),
            left: Some(3 * SECOND),
            levels: Levels { connected: 1998, ..Levels::default() },
            total: Counters { lost: 4, connections_lost: 2, ..Counters::default() },
            broker: Some(Used {
                user_cpu_ns: SECOND / 8,
                system_cpu_ns: SECOND / 4,
                resident_bytes: Some(5 << 20),
                ..Used::default()
            }),
            workers: vec![
                Strain { busy_ns: SECOND / 4, ..Strain::default() },
                Strain { busy_ns: SECOND / 100 * 95, ..Strain::default() },
            ],
            ..Progress::default()
        };
        progress.second.counters =
            Counters { due: 20_000, sent: 19_000, acked: 18_000, delivered: 17_000, ..Counters::default() };
        progress.second.histograms.flight_response.record_n(301_000, 1000);
        progress
    }

    fn drawn(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a buffer");
        terminal.draw(|frame| view.draw(frame)).expect("a buffer");
        terminal.backend().to_string()
    }

    #[test]
    fn a_terminal_of_the_usual_size_has_everything() {
        let mut view = View::default();
        view.follow(&progress());
        let tick = |bound: &str, found: Option<&str>, holds| Tick {
            bound: bound.to_owned(),
            found: found.map(str::to_owned),
            holds,
        };
        view.ticks = vec![
            tick("flight p99 < 50ms", Some("301 us"), Some(true)),
            tick("lost == 0", Some("4"), Some(false)),
            tick("verdict == clean", None, None),
        ];
        let text = drawn(&view, 80, 24);
        for what in [
            "measure   3 s left   after 9 s",
            "1,998/2,000",
            "offered 20.0 k/s",
            "out 19.0 k/s",
            "acked 18.0 k/s",
            "in 17.0 k/s",
            "flight     p50 301 us     p99 301 us",
            "4 lost",
            "2 connections lost",
            "worker 0   CPU 25.0 %",
            "worker 1   CPU 95.0 %",
            "broker     CPU 37.5 %   memory 5.0 MiB    descriptors -",
            "bound      flight p99 < 50ms: 301 us",
            "bound      lost == 0: 4 !",
            "bound      verdict == clean: not known yet",
            "█",
        ] {
            assert!(text.contains(what), "{what} is not in\n{text}");
        }
        let marked = |worker: &str| text.lines().any(|line| line.contains(worker) && line.contains(" !"));
        assert!(marked("worker 1") && !marked("worker 0"), "{text}");
    }

    /// What is over is not shown for ever, and a chart is no longer than its room.
    #[test]
    fn the_last_seconds_are_kept() {
        let mut view = View::default();
        for _ in 0..2 * HISTORY {
            view.follow(&progress());
        }
        assert_eq!((view.out.len(), view.p99.len()), (HISTORY, HISTORY));
        assert!(drawn(&view, 80, 24).contains(&"█".repeat(80)));
    }

    #[test]
    fn any_terminal_will_do() {
        let mut view = View::default();
        view.follow(&progress());
        for (width, height) in [(1, 1), (3, 2), (20, 5), (80, 3), (5, 50), (400, 100)] {
            let text = drawn(&view, width, height);
            assert_eq!(text.lines().count(), usize::from(height), "{width}x{height}");
        }
        assert!(drawn(&view, 30, 2).contains("malaria-bench"), "what matters is on top");
        assert!(drawn(&View::default(), 80, 24).contains("running"), "before the first second");
    }
}
