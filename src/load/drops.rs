//! What a broker tells in its `$SYS` topics about messages that it dropped and messages that it keeps.

/// Follows the counters of one broker. Brokers without `$SYS` never report anything, and then nothing is
/// claimed.
///
/// ```
/// use malaria_bench::load::Drops;
/// let mut drops = Drops::default();
/// drops.read(Drops::TOPICS[0], b"7");
/// assert_eq!(drops.dropped(), Some(0));
/// drops.read(Drops::TOPICS[0], b"12");
/// assert_eq!(drops.dropped(), Some(5));
/// ```
#[derive(Clone, Copy, Default, Debug)]
pub struct Drops {
    /// One for each of [`Drops::TOPICS`].
    counters: [Counter; 2],
    stored: Option<u64>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Counter {
    last: Option<u64>,
    dropped: u64,
}

impl Counter {
    /// The first value, or the first one after the broker started again, is where counting begins: only what is
    /// dropped from there on counts.
    fn read(&mut self, value: u64) {
        let rise = self.last.and_then(|last| value.checked_sub(last));
        self.last = Some(value);
        self.dropped = self.dropped.saturating_add(rise.unwrap_or(0));
    }
}

impl Drops {
    /// Where mosquitto counts the messages it dropped: since 1.2, and in 1.1.
    pub const TOPICS: [&'static str; 2] =
        ["$SYS/broker/publish/messages/dropped", "$SYS/broker/messages/dropped"];

    /// Where mosquitto counts the messages it keeps: up to 1.6, and since 2.0 (which may send both).
    pub const STORED: [&'static str; 2] = ["$SYS/broker/messages/stored", "$SYS/broker/store/messages/count"];

    /// Takes note of a message, unless it is about something else or is no number.
    pub fn read(&mut self, topic: &str, payload: &[u8]) {
        let Some(value) = std::str::from_utf8(payload).ok().and_then(|text| text.trim().parse().ok()) else {
            return;
        };
        if Drops::STORED.contains(&topic) {
            self.stored = Some(value);
        } else if let Some(place) = Drops::TOPICS.iter().position(|&known| known == topic) {
            self.counters[place].read(value);
        }
    }

    /// Messages dropped since the baseline; `None` before the first report. A broker that reports on both
    /// topics means the same messages by both.
    pub fn dropped(&self) -> Option<u64> {
        self.counters.iter().filter(|counter| counter.last.is_some()).map(|counter| counter.dropped).max()
    }

    /// Messages the broker keeps, as it said last; `None` before the first report.
    pub fn stored(&self) -> Option<u64> {
        self.stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known to be dropped after each of `payloads`.
    fn dropped(topic: &str, payloads: &[&str]) -> Vec<Option<u64>> {
        let mut drops = Drops::default();
        let read = |payload: &&str| {
            drops.read(topic, payload.as_bytes());
            drops.dropped()
        };
        payloads.iter().map(read).collect()
    }

    #[test]
    fn checklist_47_both_topics_count_from_the_first_report_even_if_it_is_0() {
        for topic in Drops::TOPICS {
            assert_eq!(dropped(topic, &["0", "5", "9"]), [Some(0), Some(5), Some(9)]);
            assert_eq!(dropped(topic, &["62491", "62491", "62492"]), [Some(0), Some(0), Some(1)]);
        }
    }

    #[test]
    fn checklist_47_an_unchanged_value_is_no_drop() {
        assert_eq!(dropped(Drops::TOPICS[0], &["7", "7", "7"]), [Some(0); 3]);
    }

    #[test]
    fn checklist_47_a_broker_that_says_nothing_has_dropped_nothing_we_know_of() {
        let mut drops = Drops::default();
        drops.read("$SYS/broker/uptime", b"5 seconds");
        drops.read("$SYS/broker/clients/total", b"5");
        assert_eq!((drops.dropped(), drops.stored()), (None, None));
    }

    #[test]
    fn a_broker_that_started_again_is_a_new_baseline() {
        let seen = dropped(Drops::TOPICS[0], &["100", "103", "2", "2", "4"]);
        assert_eq!(seen, [0, 3, 3, 3, 5].map(Some));
    }

    #[test]
    fn checklist_46_what_is_no_number_is_ignored() {
        let payloads = ["", "x", "-1", "1.5", "99999999999999999999", " 3\n", "4"];
        let seen = dropped(Drops::TOPICS[1], &payloads);
        assert_eq!(seen, [None, None, None, None, None, Some(0), Some(1)]);
        let mut drops = Drops::default();
        drops.read(Drops::TOPICS[0], &[0xff]);
        assert_eq!(drops.dropped(), None);
    }

    #[test]
    fn the_same_drops_told_twice_count_once() {
        let mut drops = Drops::default();
        let [new, old] = Drops::TOPICS;
        for (topic, payload, known) in [(new, b"1", 0), (old, b"1", 0), (new, b"4", 3), (old, b"4", 3)] {
            drops.read(topic, payload);
            assert_eq!(drops.dropped(), Some(known));
        }
    }

    #[test]
    fn both_generations_tell_what_they_keep() {
        let mut drops = Drops::default();
        let [old, new] = Drops::STORED;
        for (topic, payload, known) in [(old, "41", 41), (new, "42", 42), (new, "many", 42)] {
            drops.read(topic, payload.as_bytes());
            assert_eq!((drops.stored(), drops.dropped()), (Some(known), None));
        }
    }
}
