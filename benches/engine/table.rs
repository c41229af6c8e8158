//! The table at the end.

use comfy_table::{CellAlignment, Table, presets};
use malaria_bench::cpu;

use crate::Contender;
use crate::load::{Load, Pace, Sample};

/// One load and what everybody did with it, by [`Contender::ALL`] and round.
pub struct Row {
    pub name: String,
    pub load: Load,
    samples: [Vec<Option<Sample>>; 4],
}

impl Row {
    pub fn new(name: &str, load: Load) -> Row {
        Row { name: name.to_owned(), load, samples: Default::default() }
    }

    pub fn note(&mut self, contender: Contender, sample: Option<Sample>) {
        self.samples[contender as usize].push(sample);
    }

    fn samples(&self, contender: Contender) -> impl Iterator<Item = &Sample> {
        self.samples[contender as usize].iter().flatten()
    }

    fn median(&self, contender: Contender, figure: impl Fn(&Sample) -> f64) -> Option<f64> {
        median(self.samples(contender).map(figure))
    }

    /// Median over the rounds of the engine's CPU over the contender's in the same round.
    fn ratio(&self, to: Contender) -> Option<f64> {
        let ours = &self.samples[Contender::Engine as usize];
        let theirs = &self.samples[to as usize];
        let pairs = ours.iter().zip(theirs).filter_map(|(ours, theirs)| ours.as_ref().zip(theirs.as_ref()));
        median(pairs.map(|(ours, theirs)| ours.cpu_us() / theirs.cpu_us()))
    }

    /// User code's share of all CPU, over all rounds.
    fn user_share(&self, contender: Contender) -> f64 {
        let sum = |figure: fn(&Sample) -> u64| self.samples(contender).map(figure).sum::<u64>() as f64;
        let user = sum(|sample| sample.user_ns);
        user / (user + sum(|sample| sample.system_ns)).max(1.0)
    }

    fn enters(&self, contender: Contender) -> Option<f64> {
        median(
            self.samples(contender)
                .filter_map(|sample| Some(sample.enters? as f64 * 1e3 / sample.done.max(1) as f64)),
        )
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// Targets of the ratios.
const TO_FLOOR: f64 = 1.10;
const TO_TOKIO_URING: f64 = 1.0;
const TO_RUMQTTC: f64 = 0.6;
/// Of user code's share of the engine's CPU.
const USER_SHARE: f64 = 0.10;
/// Of enters per 1,000 messages, at saturation.
const ENTERS: f64 = 100.0;

pub fn print(rows: &[Row], rounds: usize) {
    let machine = cpu::machine();
    println!("{}, {} CPUs, Linux {}; {rounds} rounds", machine.cpu_model, machine.cpus, machine.kernel);
    println!(
        "CPU of the generator per message, delivery, ping or connection, in microseconds (and their number a second):"
    );
    println!("{}", costs(rows));
    println!("The engine's CPU over that of the others in the same round; user code; io_uring_enter calls:");
    println!("{}", ratios(rows));
    println!("`!` marks what misses its target. The timers of tokio have a tolerance of 1 ms in every row.");
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(header);
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

fn costs(rows: &[Row]) -> Table {
    let mut table = table(&["load", "floor", "engine", "tokio-uring", "rumqttc"]);
    for row in rows {
        let cell = |contender| match row.median(contender, Sample::cpu_us) {
            Some(cpu) => {
                let rate = row.median(contender, Sample::rate).unwrap_or(0.0);
                format!("{cpu:.2} ({:.0}k)", rate / 1e3)
            }
            None if contender.takes(&row.load) => "did not finish".to_owned(),
            None => "-".to_owned(),
        };
        let cells = Contender::ALL.map(cell);
        table.add_row([row.name.clone()].into_iter().chain(cells));
    }
    table
}

fn ratios(rows: &[Row]) -> Table {
    let mut table = table(&[
        "load",
        "/ floor (<= 1.10)",
        "/ tokio-uring (<= 1)",
        "/ rumqttc (<= 0.6)",
        "user + system, us",
        "user (<= 10 %)",
        "enters per 1,000 (< 100)",
        "of the floor",
    ]);
    for row in rows {
        let ratio = |to, target: f64| match row.ratio(to) {
            Some(ratio) => format!("{ratio:.2}{}", if ratio > target { "!" } else { "" }),
            None => "-".to_owned(),
        };
        let cpu = row.median(Contender::Engine, Sample::cpu_us).unwrap_or(0.0);
        let share = row.user_share(Contender::Engine);
        let enters = |contender, target: f64| match row.enters(contender) {
            Some(enters) => format!("{enters:.1}{}", if enters >= target { "!" } else { "" }),
            None => "-".to_owned(),
        };
        // Calls can be shared by many messages where the loop is closed.
        let most = if matches!(row.load.pace, Pace::Closed { .. }) { ENTERS } else { f64::MAX };
        table.add_row([
            row.name.clone(),
            ratio(Contender::Floor, TO_FLOOR),
            ratio(Contender::TokioUring, TO_TOKIO_URING),
            ratio(Contender::Rumqttc, TO_RUMQTTC),
            format!("{:.2} + {:.2}", cpu * share, cpu * (1.0 - share)),
            format!("{:.1} %{}", share * 100.0, if share > USER_SHARE { "!" } else { "" }),
            enters(Contender::Engine, most),
            enters(Contender::Floor, f64::MAX),
        ]);
    }
    table
}
