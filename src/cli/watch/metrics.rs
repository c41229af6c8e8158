//! What `watch` has counted, for programs.

use serde::Serialize;

/// The values, by the names of their files.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Metrics {
    /// Messages seen since the start.
    pub msgs_total: u64,
    /// Messages the broker keeps; `None` when it does not say.
    pub msgs_stored: Option<u64>,
    /// Messages the broker dropped since its first report; `None` when it does not say.
    pub drop_count: Option<u64>,
    /// Seconds of watching.
    pub uptime: u64,
    /// Filters that are subscribed to.
    pub topic: Vec<String>,
}

impl Metrics {
    /// One object, indented, ending in a newline.
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain data with string keys");
        text.push('\n');
        text
    }

    /// The text format of Prometheus. What the broker has not reported is left out: a gap is the truth, 0 is not.
    /// Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>, version 0.0.4.
    pub fn prometheus(&self) -> String {
        [
            ("malaria_messages_total", "counter", "Messages seen since the start.", Some(self.msgs_total)),
            ("malaria_broker_messages_stored", "gauge", "Messages the broker keeps.", self.msgs_stored),
            (
                "malaria_broker_messages_dropped_total",
                "counter",
                "Messages the broker dropped since its first report.",
                self.drop_count,
            ),
            ("malaria_uptime_seconds", "gauge", "Seconds of watching.", Some(self.uptime)),
        ]
        .into_iter()
        .filter_map(|(name, kind, help, value)| {
            Some(format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {}\n", value?))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// checklist 64
    #[test]
    fn values_are_json_and_can_be_scraped() {
        let metrics = Metrics {
            msgs_total: 12,
            msgs_stored: None,
            drop_count: Some(0),
            uptime: 60,
            topic: vec!["#".into()],
        };
        let json: serde_json::Value = serde_json::from_str(&metrics.json()).unwrap();
        let expected = serde_json::json!({
            "msgs_total": 12, "msgs_stored": null, "drop_count": 0, "uptime": 60, "topic": ["#"],
        });
        assert_eq!(json, expected);
        assert_eq!(
            metrics.prometheus(),
            "# HELP malaria_messages_total Messages seen since the start.\n\
             # TYPE malaria_messages_total counter\n\
             malaria_messages_total 12\n\
             # HELP malaria_broker_messages_dropped_total Messages the broker dropped since its first report.\n\
             # TYPE malaria_broker_messages_dropped_total counter\n\
             malaria_broker_messages_dropped_total 0\n\
             # HELP malaria_uptime_seconds Seconds of watching.\n\
             # TYPE malaria_uptime_seconds gauge\n\
             malaria_uptime_seconds 60\n"
        );
    }
}
