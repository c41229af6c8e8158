use super::reasons::Reasons;
use serde::{Deserialize, Serialize};

/// Defines [`Counters`], so that a new counter joins `merge` and the record by being declared.
macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Events counted. Messages are counted by whether their *intended* time lies in the interval or
        /// phase, connections and bytes by when they happened.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Counters {
            $($(#[doc = $doc])* pub $name: u64,)*
            /// Connections refused with a CONNACK, by its return code 0-5 (section 3.2.2.3 of MQTT 3.1.1):
            /// 1 unacceptable protocol version, 2 identifier rejected, 3 server unavailable, 4 bad user name or
            /// password, 5 not authorized. Reason codes of MQTT 5 are with the return code that says the same, and
            /// others, of which MQTT 3.1.1 has none, with 0.
            pub refused: [u64; 6],
            /// Reason codes of MQTT 5 but for success, by their names: whatever packet they came in.
            pub reasons: Reasons,
        }

        impl Counters {
            /// Adds everything `other` has counted.
            pub fn merge(&mut self, other: &Counters) {
                $(self.$name += other.$name;)*
                for (mine, theirs) in self.refused.iter_mut().zip(other.refused) {
                    *mine += theirs;
                }
                self.reasons.merge(&other.reasons);
            }

            /// Every counter but [`refused`](Counters::refused) and [`reasons`](Counters::reasons) by its name, with what it counts in words, in the order
            /// of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($doc),*).trim_ascii(), self.$name)),*].into_iter()
            }

            /// What was counted since `earlier`, a former state of the same counters.
            pub fn since(&self, earlier: &Counters) -> Counters {
                let mut delta = *self;
                $(delta.$name -= earlier.$name;)*
                for (mine, theirs) in delta.refused.iter_mut().zip(earlier.refused) {
                    *mine -= theirs;
                }
                delta.reasons = self.reasons.since(&earlier.reasons);
                delta
            }
        }
    };
}

counters! {
    /// Messages whose intended time came (open loop), or that the window let through (closed loop).
    due,
    /// Messages that the kernel took. Above QoS 0 also those written to a connection that ended before it had:
    /// they are sent again, or count as not acknowledged. `due = sent + shed + unfinished`.
    sent,
    /// Messages never sent: the backlog of their publisher was full, or they were in it to the end.
    shed,
    /// Messages at QoS 0 that came due and were written to a connection which ended before the kernel had taken
    /// them. Nobody sends them again, so they are a fault of the delivery, and no loss of the broker's.
    unfinished,
    /// Messages at QoS 0, of publishers whom nobody hears, that the broker may not have read: it has not closed their
    /// connection after DISCONNECT [MQTT-3.14.4-3], or before that had arrived; or they had not arrived when their
    /// connection was lost.
    unconfirmed,
    /// Messages acknowledged in full: PUBACK at QoS 1, PUBCOMP at QoS 2.
    /// `sent = acked + rejected + ack_timeouts + unacked_at_end`.
    acked,
    /// Messages that the broker did not take: PUBACK or PUBREC with an error, which MQTT 5 has.
    rejected,
    /// Messages not acknowledged within the acknowledgement timeout.
    ack_timeouts,
    /// Messages not acknowledged when the drain ended, or when their session was lost.
    unacked_at_end,
    /// Deliveries that subscribers should have had: each sent message times its subscribers.
    expected,
    /// Deliveries that subscribers had, each message counted once per subscriber.
    delivered,
    /// Deliveries that never came, although a later message of the same flow (one publisher to one subscriber) did.
    lost,
    /// Deliveries that had not come when the drain ended, and that no later message of their flow had overtaken: late
    /// or lost, nobody knows. `expected = delivered + lost + undelivered_at_end`.
    undelivered_at_end,
    /// Deliveries that came again.
    duplicated,
    /// Deliveries overtaken by a later message of the same flow (one publisher to one subscriber).
    reordered,
    /// Deliveries that came after the measure phase had ended, during the drain. Counted as delivered too.
    late,
    /// Arrivals of which it cannot be told any more whether they are deliveries or duplicates, because
    /// their flow had thousands of separate gaps since. Counted as neither.
    untold,
    /// Payloads that are not this run's: no stamp, a malformed one, another run's, or of a publisher there is not.
    foreign,
    /// Deliveries of another length than what was sent, or, where that was looked at, with other bytes. Counted as
    /// neither delivered nor duplicated.
    corrupted,
    /// Messages of this run that came to a client which has not subscribed to them.
    misrouted,
    /// Clients that tried to connect, each counted once however often it tried.
    connections_asked,
    /// Clients whose first CONNACK accepted them.
    connections_established,
    /// Attempts that TCP refused or could not route.
    refused_tcp,
    /// Attempts given up after the connect timeout, waiting for TCP or for CONNACK.
    connect_timeouts,
    /// Established connections that ended without being asked to, whatever the cause.
    connections_lost,
    /// Of those lost: closed in order by the broker (FIN).
    closed_by_broker,
    /// Of those lost: given up because the broker violated the protocol.
    protocol_errors,
    /// Lost connections that were established again.
    reconnects,
    /// Subscriptions granted.
    subscribed,
    /// Subscriptions refused (SUBACK code 0x80), granted at a lower QoS than asked, or not answered in time.
    subscribe_failures,
    /// PINGREQ sent.
    pings,
    /// PINGRESP received.
    pongs,
    /// MQTT bytes received.
    bytes_in,
    /// MQTT bytes handed to the kernel.
    bytes_out,
    /// MQTT packets received.
    packets_in,
    /// MQTT packets sent.
    packets_out,
}

impl Counters {
    /// Messages that arrived, whatever they were.
    pub fn received(&self) -> u64 {
        self.delivered + self.duplicated + self.foreign
    }

    /// Connections refused with a CONNACK, whatever the reason.
    pub fn refused_by_connack(&self) -> u64 {
        self.refused.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every counter with a value of its own, through the serialized form, so that none is forgotten.
    fn numbered() -> Counters {
        let mut json = serde_json::to_value(Counters::default()).expect("plain data");
        for (at, value) in json.as_object_mut().expect("a struct").values_mut().enumerate() {
            *value = if value.is_array() {
                serde_json::json!([0, 1, 2, 3, 4, 5])
            } else if value.is_object() {
                serde_json::json!({ "not authorized": 7, "no matching subscribers": 8 })
            } else {
                serde_json::json!(at as u64 + 1)
            };
        }
        serde_json::from_value(json).expect("the same shape")
    }

    fn flat(counters: &Counters) -> Vec<u64> {
        let json = serde_json::to_value(counters).expect("plain data");
        let values = json.as_object().expect("a struct").values().flat_map(|value| match value.as_array() {
            Some(array) => array.clone(),
            None if value.is_object() => value.as_object().expect("one").values().cloned().collect(),
            None => vec![value.clone()],
        });
        values.map(|value| value.as_u64().expect("a count")).collect()
    }

    #[test]
    fn merge_adds_every_counter_and_since_takes_it_back() {
        let one = numbered();
        let mut sum = one;
        sum.merge(&one);
        assert_eq!(flat(&sum), flat(&one).iter().map(|count| count * 2).collect::<Vec<_>>());
        assert_eq!(sum.since(&one), one);
        assert_eq!(one.refused_by_connack(), 15);
    }

    /// Each by the name that it has in records, none forgotten and none twice.
    #[test]
    fn every_counter_is_told_by_its_name() {
        let counters = numbered();
        let mut json = serde_json::to_value(counters).expect("plain data");
        json.as_object_mut().expect("a struct").remove("refused");
        json.as_object_mut().expect("a struct").remove("reasons");
        let told = counters.iter().map(|(name, _, value)| (name.to_owned(), value.into()));
        assert_eq!(serde_json::Value::Object(told.collect()), json);
        assert!(counters.iter().all(|(_, help, _)| !help.starts_with(' ') && help.ends_with('.')));
    }

    #[test]
    fn counters_of_other_versions_are_read() {
        let read: Counters = serde_json::from_str(r#"{ "sent": 7, "of_the_future": 1 }"#).expect("tolerant");
        assert_eq!(read, Counters { sent: 7, ..Counters::default() });
    }
}
