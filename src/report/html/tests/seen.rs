//! The pages as Chromium shows them.

use super::browser::{Browser, View};
use super::scenario::scenario;
use super::{fleet, run};
use crate::record::capacity_samples::{irregular, searched};
use crate::record::fleet_samples::{lossy, published};
use crate::record::samples::{broken, clean, watched};
use crate::record::{Finished, Record};
use crate::report::{Run, Side, capacity_html, html, json, scenario_html};
use serde_json::json;

const SCREEN: View = View { width: 1280, dark: false, media: "screen", scripts: true };

/// A name that somebody gave a file.
const LONG: &str = "mosquitto-2.0.18_with-persistence_and_a_name_that_tells_everything_2026-11-28T08-00-00Z";

fn runs() -> Vec<Run> {
    let mut void = clean();
    void.generator.queue_full = 7;
    void.conclude();
    vec![
        run("reflector", clean()),
        run(LONG, watched()),
        run("broken broker", broken()),
        run("void", void),
        fleet("publish", published()),
        fleet("losses", lossy()),
    ]
}

/// Every page there is, by a name.
fn pages() -> Vec<(&'static str, String)> {
    let all = runs();
    let sides = [("reflector", 0..1), (LONG, 1..2), ("broken broker", 2..3)];
    let sides = sides.map(|(name, runs)| Side { name: name.to_owned(), runs });
    vec![
        ("run", html(&all[1..2], &[]).expect("ours")),
        ("runs", html(&all, &sides).expect("ours")),
        ("scenario", scenario_html(&scenario(), "{}", &all[..2], &[]).expect("ours")),
        ("capacity", capacity_html(&[("mosquitto".to_owned(), searched())])),
        (
            "capacities",
            capacity_html(&[("mosquitto".to_owned(), searched()), (LONG.to_owned(), irregular())]),
        ),
    ]
}

#[track_caller]
fn assert_none(browser: &mut Browser, what: &str, page: &str) {
    let found = browser.evaluate(&format!("{}.{what}()", include_str!("seen.js").trim_end()));
    assert_eq!(found, json!([]), "{what} of {page}");
}

/// R20: no error, no request, nothing that leaves a telephone's screen, and text that can be read, in every light.
#[test]
fn pages_are_seen_well_on_every_screen() {
    let Some(mut browser) = Browser::start() else { return };
    for (name, page) in pages() {
        for (width, dark) in [(1280, false), (1280, true), (400, false), (400, true)] {
            let name = format!("{name}-{width}-{}", if dark { "dark" } else { "light" });
            browser.open(&page, View { width, dark, ..SCREEN });
            browser.picture(&name);
            for what in ["texts", "lines", "overflow", "labels"] {
                assert_none(&mut browser, what, &name);
            }
            assert_eq!(browser.troubles(), [""; 0], "{name}");
        }
    }
}

#[test]
fn pages_are_printed_in_light_colours() {
    let Some(mut browser) = Browser::start() else { return };
    for (name, page) in pages() {
        let name = format!("{name}-print");
        browser.open(&page, View { width: 720, dark: true, media: "print", ..SCREEN });
        browser.picture(&name);
        for what in ["texts", "overflow"] {
            assert_none(&mut browser, what, &name);
        }
        let ground = browser.evaluate("getComputedStyle(document.body).backgroundColor");
        assert_eq!(ground, json!("rgb(255, 255, 255)"), "{name}");
        assert!(browser.print(&name).starts_with(b"%PDF"), "{name}");
    }
}

/// What has the focus, in a word.
const FOCUSED: &str = "(({ tagName, className, textContent, href, ariaLabel }) => tagName === 'svg' ? 'chart' \
    : tagName === 'BUTTON' ? textContent : tagName === 'DIV' ? 'table' : tagName === 'A' && href.startsWith('data:') ? 'file' \
    : tagName === 'A' ? 'link' : tagName)(document.activeElement)";

#[test]
fn everything_is_reached_with_keys() {
    let Some(mut browser) = Browser::start() else { return };
    for (name, wanted) in [
        ("runs", &["link", "table", "chart", "+", "file"][..]),
        ("capacity", &["chart", "+", "SUMMARY", "file"]),
    ] {
        let page = pages().into_iter().find(|(known, _)| *known == name).expect("a page").1;
        browser.open(&page, SCREEN);
        let mut reached = Vec::new();
        while reached.last() != Some(&json!("file")) && reached.len() < 500 {
            browser.strike("Tab");
            reached.push(browser.evaluate(FOCUSED));
        }
        for wanted in wanted {
            assert!(reached.contains(&json!(wanted)), "{wanted} of {name}: {reached:?}");
        }
        let rings = "getComputedStyle(document.activeElement).outlineStyle";
        assert_eq!(browser.evaluate(rings), json!("solid"), "who has the focus is seen");
    }
}

const TOLD: &str = "document.querySelector('#chosen ~ .told').innerText";
const TICKS: &str = "[...document.querySelectorAll('#chosen .tick')].filter((one) => getComputedStyle(one).display !== 'none').map((one) => one.textContent)";

/// The first chart over time has the focus, and is called `chosen`.
const CHOOSE: &str = "(() => { const chart = document.querySelector('svg[data-span]'); chart.id = 'chosen'; chart.focus(); })()";

#[test]
fn charts_tell_what_lies_under_the_cursor_and_are_looked_at_closely() {
    let Some(mut browser) = Browser::start() else { return };
    let record = with_seconds(12);
    browser.open(&html(&[run("one", record)], &[]).expect("ours"), SCREEN);
    browser.evaluate(CHOOSE);
    browser.strike("ArrowRight");
    browser.strike("ArrowRight");
    assert_eq!(
        browser.evaluate(TOLD),
        json!("sent: 20.0 k/s at 2 s\nacked: 20.0 k/s at 2 s\ndelivered: 20.0 k/s at 2 s")
    );
    let whole = browser.evaluate(TICKS);
    assert_eq!(whole, json!(["0", "5", "10", "15"]));
    browser.strike("+");
    assert_eq!(browser.evaluate(TICKS), json!(["2", "4", "6", "8"]), "half of it");
    browser.strike("+");
    let close = browser.evaluate(TICKS);
    assert_eq!(close, json!(["2", "3", "4", "5"]), "about the cursor");
    browser.strike("0");
    assert_eq!(browser.evaluate(TICKS), whole);
    browser.strike("Escape");
    assert_eq!(browser.evaluate(TOLD), json!(""));
    assert_eq!(browser.troubles(), [""; 0]);
}

/// The pointer takes a stretch of one chart, and all of the same time show it.
#[test]
fn a_stretch_of_time_is_taken_with_the_pointer() {
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&html(&[run("one", with_seconds(12))], &[]).expect("ours"), SCREEN);
    browser.evaluate(CHOOSE);
    browser.evaluate("document.getElementById('chosen').scrollIntoView({ block: 'center' })");
    let place = browser.evaluate("(({ x, y, width, height }) => [x, y + height / 2, width])(document.getElementById('chosen').getBoundingClientRect())");
    let number = |at: usize| place[at].as_f64().expect("a number");
    for (kind, share) in
        [("mouseMoved", 0.4), ("mousePressed", 0.4), ("mouseMoved", 0.6), ("mouseReleased", 0.6)]
    {
        let (x, y) = (number(0) + number(2) * share, number(1));
        let held = u8::from(share > 0.5 && kind == "mouseMoved" || kind == "mousePressed");
        let event =
            json!({ "type": kind, "x": x, "y": y, "button": "left", "buttons": held, "clickCount": 1 });
        browser.ask("Input.dispatchMouseEvent", event);
    }
    let spans = "[...document.querySelectorAll('svg[data-span]')].map((svg) => [...svg.querySelectorAll('.tick')] \
                 .filter((one) => getComputedStyle(one).display !== 'none').map((one) => one.textContent).join(' '))";
    let spans = browser.evaluate(spans);
    let spans = spans.as_array().expect("a list");
    assert!(spans.len() > 1 && spans.iter().all(|span| span == &spans[0]), "{spans:?}");
    assert!(spans[0].as_str().is_some_and(|span| span.contains("7") && !span.contains("15")), "{spans:?}");
    assert_eq!(browser.troubles(), [""; 0]);
}

/// A page without its script has all its figures, and nothing that does not work.
#[test]
fn pages_are_read_without_a_script() {
    let Some(mut browser) = Browser::start() else { return };
    for (name, page) in pages() {
        browser.open(&page, View { scripts: false, ..SCREEN });
        assert_eq!(
            browser.evaluate("document.querySelectorAll('button, .told, svg[tabindex]').length"),
            json!(0),
            "{name}"
        );
        assert_none(&mut browser, "texts", name);
    }
}

#[test]
fn the_record_is_taken_from_the_page_as_it_went_in() {
    let Some(mut browser) = Browser::start() else { return };
    let record = with_seconds(4_000);
    let text = json(&record);
    let page = html(&[run("one", record)], &[]).expect("ours");
    assert!(page.len() > 2 << 20, "more than a browser takes from a link: {}", page.len());
    for scripts in [true, false] {
        let page = if scripts { page.clone() } else { html(&[run("one", clean())], &[]).expect("ours") };
        browser.open(&page, View { scripts, ..SCREEN });
        let saved = browser.save(|browser| {
            browser.evaluate("document.querySelector('a[download]').focus()");
            browser.strike("Enter");
        });
        let saved = String::from_utf8(saved).expect("UTF-8");
        let text = if scripts { text.clone() } else { json(&clean()) };
        assert_eq!(Finished::from_json(&saved).expect("a record"), Finished::from_json(&text).expect("ours"));
    }
}

fn with_seconds(count: u64) -> Record {
    let mut record = clean();
    let second = record.series[1].clone();
    record.series = (1..=count)
        .map(|at| crate::record::Second { time_ns: at * 1_000_000_000, ..second.clone() })
        .collect();
    record
}
