//! The page of a scenario.

use super::{assert_balanced, place};
use crate::record::capacity_samples::searched;
use crate::record::{BrokerDifference, CombinationRecord, Over, ScenarioRecord, StepFigures, StepRecord};
use crate::report::scenario_html;
use std::collections::BTreeMap;

fn combination(broker: &str, clients: &str, repeat: u32, exit_code: u8, delivered: f64) -> CombinationRecord {
    let figures = StepFigures {
        delivered_per_s: Some(delivered),
        flight_p99_ns: Some((2e9 / delivered) as u64),
        lost: Some(0),
        void: exit_code == 6,
        ..StepFigures::default()
    };
    CombinationRecord {
        broker: Some(broker.to_owned()),
        group: None,
        variables: vec![("clients".to_owned(), clients.to_owned()), ("qos".to_owned(), "1".to_owned())],
        repeat: Some(repeat),
        directory: format!("{broker}/clients={clients}/{repeat:02}"),
        exit_code,
        problems: if exit_code == 4 { vec!["load: no record".to_owned()] } else { vec![] },
        steps: vec![StepRecord {
            name: "load".to_owned(),
            exit_code,
            elapsed_ns: 1,
            figures: Some(figures),
            sections: Vec::new(),
        }],
    }
}

/// Two brokers with 10, 100 and 1,000 clients, twice each; of the last the generator was the limit once, and of the second
/// broker twice.
pub fn scenario() -> ScenarioRecord {
    let mut combinations = Vec::new();
    for (clients, rate) in [("10", 900.0), ("100", 9_000.0), ("1000", 90_000.0)] {
        for (broker, factor) in
            [("mosquitto", 1.0), ("emqx-with-a-name-as-long-as-the-names-of-images-5.8.3", 0.8)]
        {
            for repeat in [1, 2] {
                let void = clients == "1000" && (repeat == 2 || factor < 1.0);
                let rate = rate * factor * (1.0 + 0.02 * f64::from(repeat)) * if void { 0.1 } else { 1.0 };
                combinations.push(combination(broker, clients, repeat, if void { 6 } else { 0 }, rate));
            }
        }
    }
    combinations[0].exit_code = 4;
    combinations[0].problems = vec!["broker: it did not stop".to_owned()];
    ScenarioRecord {
        schema: crate::record::SCENARIO_SCHEMA.to_owned(),
        scenario: "sizes.toml".to_owned(),
        started_at: "2026-11-22T12:31:07Z".to_owned(),
        version: "0.1.0".to_owned(),
        exit_code: 4,
        exit_codes: BTreeMap::from([(0, 8), (4, 1), (6, 3)]),
        planned: 14,
        combinations,
        differences: vec![BrokerDifference {
            group: None,
            variables: "clients=100,qos=1".to_owned(),
            step: Some("load".to_owned()),
            base: "mosquitto".to_owned(),
            broker: "emqx-with-a-name-as-long-as-the-names-of-images-5.8.3".to_owned(),
            figure: "delivered".to_owned(),
            change_percent: -20.0,
            interval_percent: (-31.5, -6.7),
            p: 0.111,
            p_adjusted: 0.333,
        }],
    }
}

#[test]
fn brokers_stand_in_one_row_and_each_variable_has_its_charts() {
    let page = scenario_html(&scenario(), "{}", &[], &[]).expect("ours");
    assert_balanced(&page);
    let card = place(
        &page,
        "12 of 14 combinations were run: 8 with 0 (clean), 1 with 4 (broker), 3 with 6 (generator-limited)",
    );
    let problem = place(&page, "mosquitto/clients=10/01: broker: it did not stop");
    let table = place(&page, "Broker against broker");
    assert!(card < problem && problem < table && table < place(&page, "Over clients"));
    assert!(!page.contains("Over qos"), "it has one value");
    let row = &page[place(&page, "<th scope=\"row\">clients=100 qos=1</th>")..];
    let row = row.split_once("</tr>").expect("an end").0;
    for part in ["9.27 k/s \u{b1}1 %", "7.42 k/s \u{b1}1 %", "~ -20.0 % (-31.5 to -6.7 %)", "216 us"] {
        assert!(row.contains(part), "{part}: {row}");
    }
    for part in [
        "mosquitto qos=1: 9.27 k/s at clients=100",
        // the run that the generator limited is left out, and where there is no other, that is told
        "mosquitto qos=1: 91.8 k/s at clients=1000",
        "images-5.8.3 qos=1: 7.42 k/s at clients=1000, but the generator was the limit",
        "<text x=\"0.0\" y=\"246.0\" text-anchor=\"middle\">1000</text>",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

/// What several brokers hold stands in one row, and the searches below.
#[test]
fn searches_of_a_scenario_are_told_with_it() {
    let mut scenario = scenario();
    for run in &mut scenario.combinations {
        let clients: f64 = if run.broker.as_deref() == Some("mosquitto") { 1_200.0 } else { 900.0 };
        run.steps[0].figures = Some(StepFigures {
            capacity: Some(clients),
            capacity_over: Some(Over::Clients),
            capacity_regular: Some(clients > 1_000.0),
            ..StepFigures::default()
        });
    }
    let searches = [("mosquitto".to_owned(), searched())];
    let page = scenario_html(&scenario, "{}", &[], &searches).expect("ours");
    assert_balanced(&page);
    let row = &page[place(&page, "<th scope=\"row\">clients=10 qos=1</th>")..];
    let row = row.split_once("</tr>").expect("an end").0;
    assert!(row.contains(">1,200 clients \u{b1}0 %"), "{row}");
    assert!(row.contains(">\u{2265} 900 clients \u{b1}0 %"), "no more than a lower bound: {row}");
    assert!(place(&page, "All combinations") < place(&page, "<p class=\"answer\">4,950/s</p>"));
    assert!(page.contains("<a download=\"mosquitto.json\""));
}

/// A run that was lucky is no p99 of both, and a combination that broke a bound may be void all the same.
#[test]
fn what_is_void_and_what_never_came_is_as_in_the_table() {
    let mut scenario = scenario();
    for run in &mut scenario.combinations {
        let figures = run.steps[0].figures.as_mut().expect("they have");
        if run.repeat == Some(2) {
            (run.exit_code, figures.void, figures.delivered_per_s) = (7, true, Some(1.0));
        }
    }
    let row = |scenario: &ScenarioRecord| {
        let page = scenario_html(scenario, "{}", &[], &[]).expect("ours");
        let row = &page[place(&page, "<th scope=\"row\">clients=100 qos=1</th>")..];
        row.split_once("</tr>").expect("an end").0.to_owned()
    };
    assert!(
        row(&scenario).contains(">9.18 k/s<") && row(&scenario).contains(">218 us<"),
        "{}",
        row(&scenario)
    );
    for run in &mut scenario.combinations {
        let figures = run.steps[0].figures.as_mut().expect("they have");
        figures.void = false;
        if run.repeat == Some(2) {
            figures.flight_p99_ns = None;
        }
    }
    assert!(!row(&scenario).contains(" us"), "{}", row(&scenario));
}

#[test]
fn variables_keep_their_order() {
    let text = r#"{ "schema": "malaria-bench/scenario/1", "scenario": "x", "started_at": "", "version": "", "exit_code": 0,
        "exit_codes": { "0": 1 }, "planned": 1, "differences": [], "combinations": [{ "broker": null, "group": "g",
        "variables": { "z": "1", "a": "2" }, "repeat": null, "directory": "d", "exit_code": 0, "problems": [], "steps": [] }] }"#;
    let read = ScenarioRecord::from_json(text).expect("ours");
    let pairs: Vec<_> =
        read.combinations[0].variables.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(pairs, [("z", "1"), ("a", "2")]);
    assert_balanced(&scenario_html(&read, text, &[], &[]).expect("ours"));
    let other = ScenarioRecord::from_json(&text.replace("scenario/1", "scenario/2")).expect_err("another");
    assert!(other.to_string().contains("malaria-bench/scenario/2"), "{other}");
}
