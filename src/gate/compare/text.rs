//! A comparison for people.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::{Compared, Comparison, Estimate, Metric, Side, Verdicted};

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

impl Verdicted {
    /// In capitals where the result rests on it.
    fn word(self, gates: bool) -> String {
        let word = match self {
            Verdicted::Pass => "pass",
            Verdicted::Fail => "fail",
            Verdicted::Inconclusive => "inconclusive",
            Verdicted::Void => "void",
        };
        if gates { word.to_uppercase() } else { word.to_owned() }
    }
}

/// `flight p99 +12.3 % (+9.9 % to +14.6 %), tolerated 10 %`
pub fn worse(metric: &Compared) -> String {
    let found = metric.change.map_or(NOTHING.to_owned(), |change| {
        let (low, high) = change.interval_percent;
        format!("{} ({} to {})", signed(change.percent), signed(low), signed(high))
    });
    format!("{} {found}, tolerated {}", metric.metric, share(metric.tolerance_percent))
}

/// What is not known, and why, each reason once: `delivered, flight p99: no samples`.
pub fn unknown<'m>(metrics: impl Iterator<Item = &'m Compared>) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for metric in metrics {
        let Some(reason) = &metric.reason else { continue };
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, names)) => names.push(metric.metric.to_string()),
            None => reasons.push((reason, vec![metric.metric.to_string()])),
        }
    }
    reasons.into_iter().map(|(reason, names)| format!("{}: {reason}", names.join(", "))).collect()
}

/// How many runs would tell.
fn outlook(metric: &Compared) -> Option<String> {
    let change = metric.change.filter(|_| metric.result == Verdicted::Inconclusive)?;
    let runs = |side: &Option<Estimate>| side.as_ref().map_or(0, |side| side.values.len());
    let (name, tolerated) = (metric.metric, share(metric.tolerance_percent));
    Some(match change.runs_to_tell {
        Some(enough) if enough > runs(&metric.base).min(runs(&metric.new)) => {
            format!(
                "{name}: as these scatter, about {enough} runs of each side tell no change from one beyond {tolerated}"
            )
        }
        Some(_) => format!(
            "{name}: the change is close to the {tolerated} that are tolerated, or beyond: more runs tell"
        ),
        None => format!(
            "{name}: these scatter too much for a tolerance of {tolerated}: make runs longer, or tolerate more"
        ),
    })
}

fn signed(percent: f64) -> String {
    format!("{percent:+.1} %")
}

/// `5 %`, `2.5 %`
fn share(percent: f64) -> String {
    format!("{} %", (percent * 1e6).round() / 1e6)
}

/// `1.98 ms ±2.1 %`: the mean, and half of its confidence interval.
fn estimate(metric: Metric, of: &Estimate) -> String {
    let reach = of.interval.map(|(low, high)| format!(" ±{:.1} %", (high - low) / 2.0 / of.mean * 100.0));
    format!("{}{}", metric.show(of.mean), reach.unwrap_or_default())
}

fn runs(side: Side) -> String {
    let void = if side.void > 0 { format!(" ({} void)", side.void) } else { String::new() };
    format!("{}{void}", side.runs)
}

/// A table without rules: the first column and those after `right` columns of figures to the left.
fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>, right: usize) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(Cell::new));
    rows.for_each(|row| _ = table.add_row(row.into_iter().map(Cell::new)));
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding(if at == 0 { (0, 0) } else { (2, 0) });
        let is_text = at == 0 || at > right;
        column.set_cell_alignment(if is_text { CellAlignment::Left } else { CellAlignment::Right });
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Median, extremes, mean with its interval, and scatter of each metric over `side.runs` runs.
pub fn spread(rows: &[(Metric, Estimate)], side: Side) -> String {
    let row = |(metric, of): &(Metric, Estimate)| {
        let least = of.values.iter().copied().reduce(f64::min);
        let most = of.values.iter().copied().reduce(f64::max);
        let show = |value: Option<f64>| value.map_or(NOTHING.to_owned(), |value| metric.show(value));
        let scatter = of.scatter_percent.map_or(NOTHING.to_owned(), |percent| format!("{percent:.1} %"));
        vec![
            metric.to_string(),
            show(Some(of.median)),
            show(least),
            show(most),
            estimate(*metric, of),
            scatter,
        ]
    };
    let header = ["over all runs", "median", "least", "most", "mean", "scatter"];
    let void =
        if side.void > 0 { format!("{} of them void and left out\n", side.void) } else { String::new() };
    format!("{}runs: {}\n{void}", table(&header, rows.iter().map(row), 5), side.runs + side.void)
}

impl Comparison {
    /// The result in the first line, and a row for each metric, those first that it rests on.
    pub fn text(&self) -> String {
        let header =
            ["metric", "base", "new", "change", "interval", "tolerated", "detectable", "p", "result"];
        let rows = self.metrics.iter().map(row);
        let result = self.result.word(true);
        let mut text = format!("Result: {result}, exit code {}: {}\n", self.exit_code, self.exit_reason);
        text += &format!("runs: {} of the base, {} new\n\n", runs(self.base), runs(self.new));
        text += &table(&header, rows, 7);
        let gating = self.metrics.iter().filter(|metric| metric.gates);
        let lines = match self.result {
            Verdicted::Inconclusive => gating.filter_map(outlook).collect(),
            _ => unknown(gating),
        };
        lines.into_iter().for_each(|line| text += &format!("{line}\n"));
        text + "\nRows with an UPPERCASE result decide. Means stand with their 95 % confidence interval; detectable: the smallest\n\
                worsening that these runs would catch 80 % of the time; p: of Mann and Whitney.\n"
    }
}

/// What there is to say of one metric.
fn row(metric: &Compared) -> Vec<String> {
    let of = |text: Option<String>| text.unwrap_or(NOTHING.to_owned());
    let side = |side: &Option<Estimate>| of(side.as_ref().map(|side| estimate(metric.metric, side)));
    let change = metric.change;
    let interval = change.map(|change| {
        let (low, high) = change.interval_percent;
        format!("{low:+.1} to {}", signed(high))
    });
    vec![
        metric.metric.to_string(),
        side(&metric.base),
        side(&metric.new),
        of(change.map(|change| signed(change.percent))),
        of(interval),
        share(metric.tolerance_percent),
        of(change.map(|change| signed(change.smallest_seen_percent))),
        of(change.map(|change| format!("{:.3}", change.rank_sum_p))),
        metric.result.word(metric.gates),
    ]
}
