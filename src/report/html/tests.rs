use crate::record::capacity_samples::{irregular, searched};
use crate::record::fleet_samples::{lossy, published, self_check, subscribed};
use crate::record::samples::{broken, clean, idle, watched};
use crate::record::{Amount, BoundResult, BoundState, Finished, FleetRecord, Grade, Over, Record, Second};
use crate::report::{Run, Side, capacity_html, html};
use crate::units;

mod browser;
mod scenario;
mod seen;

fn run(label: &str, record: Record) -> Run {
    Run { label: label.to_owned(), record: Finished::Run(Box::new(record)) }
}

fn fleet(label: &str, record: FleetRecord) -> Run {
    Run { label: label.to_owned(), record: Finished::Fleet(Box::new(record)) }
}

/// Every kind of record there is a sample of.
fn every() -> Vec<Run> {
    vec![
        run("reflector", clean()),
        run("broken broker", broken()),
        run("idle", idle()),
        fleet("publish", published()),
        fleet("subscribe", subscribed()),
        fleet("losses", lossy()),
        fleet("both", self_check()),
    ]
}

fn rendered(runs: &[Run]) -> String {
    html(runs, &[]).expect("our records")
}

/// The page without what is in its scripts.
fn without_scripts(page: &str) -> String {
    let (scripts, last) = page.rsplit_once("</script>").expect("one script at least");
    let kept = scripts.split("</script>").map(|part| {
        let start = part.rfind("<script").expect("a start");
        let end = start + part[start..].find('>').expect("an end of the tag");
        format!("{}</script>", &part[..=end])
    });
    kept.collect::<String>() + last
}

/// The tags of `page` in their order, without what stands in angle brackets.
#[track_caller]
fn assert_balanced(page: &str) {
    let page = without_scripts(page);
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("a doctype");
    while let Some((text, tag)) = rest.split_once('<') {
        assert!(!text.contains('>'), "a stray `>` in `{text}`");
        let (tag, after) = tag.split_once('>').expect("a tag that ends");
        rest = after;
        let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a name");
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()), "`<{tag}>`");
        assert_eq!(tag.matches('"').count() % 2, 0, "`<{tag}>`");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "`<{tag}>` closes another");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest:?}");
}

/// checklist 77
#[test]
fn the_page_is_well_formed_and_needs_nothing_else() {
    let all = every();
    for runs in [&all[..], &all[..1], &all[2..3], &all[4..5], &all[1..6]] {
        let page = rendered(runs);
        assert_balanced(&page);
        for outside in ["http:", "https:", "src=", "url(", "@import", "<link", "<img", "<iframe"] {
            assert!(!page.contains(outside), "{outside}");
        }
        for link in page.split("href=\"").skip(1) {
            assert!(link.starts_with("data:") || link.starts_with("#run-"), "{}", &link[..40]);
        }
        assert!(!page.contains("NaN") && !page.contains("inf\""), "coordinates are numbers");
    }
}

/// checklist 77: several brokers beside each other, with machine details.
#[test]
fn every_run_is_told_of() {
    let page = rendered(&every());
    assert_eq!(page.matches("<article id=").count(), 7);
    for part in [
        "<title>malaria-bench: 7 runs</title>",
        "malaria-bench --embedded --clients 2000 --rate 20k",
        "malaria publish -t -n 100 -P 4",
        "Intel(R) Xeon(R) Processor",
        "2 cores",
        "Linux 6.18.44",
        "open files 1,024 (soft), 20,000 (hard); allowed CPUs 0-1",
        "embedded reflector at 127.0.0.1:18830, on CPU 1",
        "192.0.2.7:1883",
        "CLEAN",
        "PARTIAL",
        "the broker reset every connection 3.2 s into the measure phase",
        "--cores 16 was asked for",
        "20.0 k/s of 20.0 k/s offered",
        "99.99 % within",
        "not authorized",
        "prefers-color-scheme: dark",
        "@media print",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn figures_are_those_of_the_record() {
    let record = clean();
    let page = rendered(&[run("one", record.clone())]);
    let latency = &record.latencies.flight_response;
    for ns in
        [latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.p999_ns, latency.p9999_ns, latency.max_ns]
    {
        let cell = format!("<td>{}</td>", units::latency(ns.expect("enough samples")));
        assert!(page.contains(&cell), "{cell}");
    }
    for (name, ns) in [("50 %", latency.p50_ns), ("99.99 %", latency.p9999_ns)] {
        let mark = format!("one: {name} within {}", units::latency(ns.expect("enough samples")));
        assert!(page.contains(&mark), "{mark}");
    }
    assert!(page.contains("<span class=\"quiet\">delivered</span> <b>200,000</b>"));
}

/// checklist 59 and 62: time series of what was sent, answered and heard, of errors and latency; bytes both ways.
#[test]
fn time_series_and_traffic_are_shown() {
    let mut record = clean();
    record.series[1].connections_lost = 7;
    record.series[2].ack_p99_ns = None;
    let page = rendered(&[run("one", record)]);
    for part in [
        "sent: 20.0 k/s at 3 s",
        "acked: 20.0 k/s at 2 s",
        "delivered: 20.0 k/s at 3 s",
        "connections lost or failed: 7.00 /s at 2 s",
        "ack p99: 416 us at 2 s",
        "<span class=\"quiet\">bytes sent</span> <b>29,000,000</b>",
        "<span class=\"quiet\">bytes received</span> <b>31,000,000</b>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("sent: 20.0 k/s at 1 s"), "what is done in a part of a second is no rate");
    assert!(!page.contains("ack p99: 416 us at 3 s"), "a second without enough samples has no p99");
}

#[test]
fn a_percentile_without_enough_samples_is_not_drawn() {
    // 40 samples support the median, and nothing above 85 %
    let page = rendered(&[run("one", broken())]);
    let figure = page.split("<figure>").find(|figure| figure.contains("aria-label=\"flight response\""));
    let figure = figure.expect("a chart of 40 samples");
    assert!(figure.contains("one: 50 % within") && !figure.contains("one: 90 % within"), "{figure}");
}

/// Names come from command lines and from brokers.
#[test]
fn what_was_typed_or_heard_cannot_become_markup() {
    let evil = "</title></style><script>alert(1)</script>\"onload='x' & \u{1b}[2J";
    let mut record = broken();
    record.command = vec![evil.to_owned(), "with space".to_owned()];
    record.plan.hosts = vec![evil.to_owned()];
    record.broker.addresses = vec![evil.to_owned()];
    record.machine.host = evil.to_owned();
    record.machine.cpu_model = evil.to_owned();
    record.machine.kernel = evil.to_owned();
    record.started_at = evil.to_owned();
    record.partial_reason = Some(evil.to_owned());
    record.exit_reason = evil.to_owned();
    record.verdict_reasons = vec![evil.to_owned()];
    record.warnings = vec![evil.to_owned()];
    record.versions.malaria_bench = evil.to_owned();
    let mut other = lossy();
    (other.seed, other.exit_reason) = (evil.to_owned(), evil.to_owned());
    other.broker.addresses = vec![evil.to_owned()];
    let runs = [run(evil, record), fleet(evil, other)];
    for runs in [&runs[..], &runs[..1]] {
        let page = rendered(runs);
        assert_balanced(&page);
        assert!(!page.contains("<script>alert") && !page.contains('\u{1b}'));
        let page = without_scripts(&page);
        assert!(!page.contains("onload='"));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(!page.contains("</title></style>"));
    }
}

#[test]
fn a_damaged_histogram_is_blamed_on_its_run() {
    let mut record = clean();
    record.latencies.ack_response.hdr_v2_base64.truncate(40);
    let error = html(&[run("fine", clean()), run("damaged", record)], &[]).expect_err("damaged");
    assert!(error.to_string().starts_with("damaged: the histogram"), "{error}");
}

#[test]
fn records_without_anything_measured_make_a_page() {
    let mut record = clean();
    record.latencies = Default::default();
    record.counts = Default::default();
    record.throughput = Default::default();
    record.series.clear();
    record.phases.clear();
    record.generator = Default::default();
    record.machine = Default::default();
    record.conclude();
    let mut silent = subscribed();
    silent.listeners.clear();
    silent.conclude();
    assert_balanced(&rendered(&[run("nothing", record), fleet("silence", silent)]));
    assert_balanced(&rendered(&[]));
}

/// Where a part stands in the page.
#[track_caller]
fn place(page: &str, part: &str) -> usize {
    page.find(part).unwrap_or_else(|| panic!("no `{part}` in the page"))
}

fn bounded(record: Record, result: BoundState) -> Record {
    let bound = BoundResult {
        bound: "flight p99 < 50ms".to_owned(),
        result,
        found: Some(Amount::Ns(1_980_000)),
        limit: Amount::Ns(50_000_000),
        reason: None,
    };
    Record { bounds: vec![bound], ..record }
}

#[test]
fn the_verdict_and_the_bounds_come_first() {
    let kept = bounded(clean(), BoundState::Held);
    let page = rendered(&[run("one", kept.clone())]);
    let verdict = place(&page, "class=\"card good\"");
    let bound = place(&page, "flight p99 &lt; 50ms: 1.98 ms, held");
    assert!(verdict < bound && bound < place(&page, "Throughput"));
    let page = rendered(&[run("one", kept), run("two", bounded(clean(), BoundState::Broken))]);
    let (held, broken) = (place(&page, "1.98 ms, held"), place(&page, "1.98 ms, BROKEN"));
    assert!(held < broken && broken < place(&page, "Comparison"));
    assert!(page.contains("<a href=\"#run-2\">two</a>") && page.contains("id=\"run-2\""));
}

/// What says nothing of a broker, stood still, or did not end is never dressed in green.
#[test]
fn only_what_is_well_is_green() {
    let card = |record: Record| {
        let page = rendered(&[run("one", record)]);
        let class =
            page.split("class=\"card ").nth(1).expect("a card").split_once('"').expect("an end").0.to_owned();
        (class, page)
    };
    assert_eq!(card(clean()).0, "good");
    let mut limited = clean();
    limited.generator.queue_full = 7;
    limited.conclude();
    let (class, page) = card(limited);
    assert_eq!(class, "void");
    assert!(page.contains("class=\"line faint\"") && !page.contains("class=\"line\""), "its lines are faint");
    let mut partial = clean();
    (partial.partial, partial.partial_reason) = (true, Some("interrupted".to_owned()));
    assert_eq!(card(partial).0, "bad");
    let mut stalled = clean();
    let second = stalled.series[1].clone();
    stalled.series.extend([Second { delivered: 0, ..second.clone() }, second]);
    let (class, page) = card(stalled);
    assert_eq!(class, "warning");
    assert!(page.contains("less than half of what was due was delivered in 1 of 4 seconds: 4"), "{page}");
    let mut left = published();
    left.partial_reason = Some("interrupted".to_owned());
    let page = rendered(&[fleet("one", left)]);
    assert!(page.contains("class=\"card bad\""));
}

/// A run of this throughput, whose CPU the broker needs.
fn doing(per_s: u64) -> Record {
    let mut record = watched();
    record.throughput.delivered = per_s * 10;
    record
}

fn side(name: &str, runs: std::ops::Range<usize>) -> Side {
    Side { name: name.to_owned(), runs }
}

/// The row of a metric against the base.
fn against(page: &str, metric: &str) -> String {
    let table = &page[place(page, "<h2>Against ")..];
    let row = &table[place(table, &format!("<th scope=\"row\">{metric}</th>"))..];
    row.split_once("</tr>").expect("an end").0.to_owned()
}

#[test]
fn a_side_is_held_against_the_base() {
    let rates = [20_000, 20_200, 19_800, 18_000, 18_180, 17_820];
    let mut all: Vec<Run> =
        rates.iter().enumerate().map(|(at, rate)| run(&format!("run {at}"), doing(*rate))).collect();
    let page = html(&all, &[side("old", 0..3), side("new", 3..6)]).expect("ours");
    let row = against(&page, "delivered");
    // by hand: the sides are the same but for the factor, so the ratio of geometric means is exactly that
    assert!(row.contains("<td>20.0 k/s</td>") && row.contains("<b>\u{d7}0.90</b>"), "{row}");
    assert!(row.contains("\u{d7}0.88 to \u{d7}0.92"), "scipy.stats.t.ppf(0.98, 4) = 2.9985: {row}");
    assert!(against(&page, "broker&#39;s CPU per message").contains("\u{d7}1.00"));
    // what the generator limited is left out
    let mut void = doing(1);
    void.generator.queue_full = 7;
    void.conclude();
    all.push(run("void", void));
    let page = html(&all, &[side("old", 0..3), side("new", 3..7)]).expect("ours");
    assert_eq!(against(&page, "delivered"), row);
    assert!(page.contains("new: 4 runs (1 left out: the generator was the limit)"), "{page}");
}

#[test]
fn one_run_a_side_has_a_ratio_and_no_interval() {
    let runs = [run("old", doing(20_000)), run("new", doing(18_000))];
    let page = html(&runs, &[side("old", 0..1), side("new", 1..2)]).expect("ours");
    let row = against(&page, "delivered");
    assert!(row.contains("\u{d7}0.90") && !row.contains(" to "), "{row}");
    assert!(page.contains("one run a side says nothing of how runs scatter"), "{page}");
    assert!(!rendered(&runs).contains("Against"), "nothing was chosen as the base");
}

#[test]
fn the_answer_of_a_search_comes_first() {
    let page = capacity_html(&[("mosquitto".to_owned(), searched())]);
    assert_balanced(&page);
    let answer = place(&page, "<p class=\"answer\">4,950/s</p>");
    assert!(
        answer < place(&page, "Latency over load")
            && place(&page, "Latency over load") < place(&page, "All 19 trials")
    );
    for part in [
        "class=\"card good\"",
        "keeps the goal, confirmed by 2 of 2 trials",
        "too much: 5,000/s",
        "p99: 30.1 ms at 4,950/s, good",
        "p99: 1.62 s at 5,445/s, bad",
        "done: 5,000 at 5,445/s, bad",
        "<text class=\"named\"",
        "flight p99 &lt; 50ms</text>",
        "void: 4,900/s at 19 s, for search: something else ran on CPU 0",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let page = capacity_html(&[("mosquitto".to_owned(), irregular()), ("emqx".to_owned(), searched())]);
    assert_balanced(&page);
    for part in [
        "at least 4,950/s",
        "class=\"card warning\"",
        "IRREGULAR: A BOUND ONLY",
        "emqx: 30.1 ms at 4,950/s, good",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let mut clients = searched();
    clients.search.over = Over::Clients;
    let page = capacity_html(&[("mosquitto".to_owned(), clients), ("other".to_owned(), searched())]);
    assert!(page.contains("<p class=\"answer\">4,950 clients</p>"));
    assert!(
        page.contains("<text x=\"265.0\" y=\"270.0\" text-anchor=\"middle\">clients</text>"),
        "the axis has its unit"
    );
    assert!(!page.contains("other: 30.1 ms"), "clients and rates have no axis in common");
    let mut limited = searched();
    limited.trials.iter_mut().for_each(|trial| trial.grade = Grade::Void);
    limited.results[0].capacity = None;
    limited.conclude();
    let page = capacity_html(&[("mosquitto".to_owned(), limited)]);
    assert_balanced(&page);
    assert!(
        page.contains("class=\"card void\"")
            && !page.contains("class=\"card good\"")
            && !page.contains("class=\"answer\">4")
    );
}
