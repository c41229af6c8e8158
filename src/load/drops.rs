//! What a broker tells in its `$SYS` topics about messages that it dropped and messages that it keeps.

/// Follows the counters of one broker. Brokers without `$SYS` never report anything, and then nothing is
/// claimed.
///
/// ```
/// use malaria_bench::load::{DropReport, Drops};
/// let mut drops = Drops::default();
/// assert_eq!(drops.read(Drops::TOPICS[0], b"0"), Some(DropReport::Baseline));
/// assert_eq!(drops.read(Drops::TOPICS[0], b"5"), Some(DropReport::Dropped(5)));
/// assert_eq!(drops.read(Drops::TOPICS[0], b"5"), None);
/// ```
#[derive(Clone, Copy, Default, Debug)]
pub struct Drops {
    /// One for each of [`Drops::TOPICS`].
    counters: [Counter; 2],
    stored: Option<u64>,
}

/// What a message to a `$SYS` topic said that is new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DropReport {
    /// The counter is known now: the first report, or the first one after the broker started again. Only what
    /// is dropped from here on counts.
    Baseline,
    /// More messages were dropped: so many since the baseline.
    Dropped(u64),
    /// The broker keeps so many messages.
    Stored(u64),
}

#[derive(Clone, Copy, Default, Debug)]
struct Counter {
    last: Option<u64>,
    dropped: u64,
}

impl Counter {
    /// Whether `value` is the first after a start of ours or the broker's.
    fn read(&mut self, value: u64) -> bool {
        let rise = self.last.and_then(|last| value.checked_sub(last));
        self.last = Some(value);
        self.dropped = self.dropped.saturating_add(rise.unwrap_or(0));
        rise.is_none()
    }
}

impl Drops {
    /// Where mosquitto counts the messages it dropped: since 1.2, and in 1.1.
    pub const TOPICS: [&'static str; 2] =
        ["$SYS/broker/publish/messages/dropped", "$SYS/broker/messages/dropped"];

    /// Where mosquitto counts the messages it keeps: up to 1.6, and since 2.0 (which may send both).
    pub const STORED: [&'static str; 2] = ["$SYS/broker/messages/stored", "$SYS/broker/store/messages/count"];

    /// Takes note of a message. `None`: it is about something else, is no number, or repeats what is known.
    pub fn read(&mut self, topic: &str, payload: &[u8]) -> Option<DropReport> {
        let value = || std::str::from_utf8(payload).ok()?.trim().parse::<u64>().ok();
        if Drops::STORED.contains(&topic) {
            self.stored = Some(value()?);
            return self.stored.map(DropReport::Stored);
        }
        let place = Drops::TOPICS.iter().position(|&known| known == topic)?;
        let value = value()?;
        let before = self.dropped();
        let baseline = self.counters[place].read(value);
        let after = self.dropped();
        if baseline {
            return Some(DropReport::Baseline);
        }
        after.filter(|_| after > before).map(DropReport::Dropped)
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
    use DropReport::{Baseline, Dropped, Stored};

    fn reports(topic: &str, payloads: &[&str]) -> (Vec<Option<DropReport>>, Option<u64>) {
        let mut drops = Drops::default();
        let reports = payloads.iter().map(|payload| drops.read(topic, payload.as_bytes())).collect();
        (reports, drops.dropped())
    }

    #[test]
    fn checklist_47_both_topics_count_from_the_first_report_even_if_it_is_0() {
        for topic in Drops::TOPICS {
            let (seen, dropped) = reports(topic, &["0", "5", "9"]);
            assert_eq!((seen, dropped), (vec![Some(Baseline), Some(Dropped(5)), Some(Dropped(9))], Some(9)));
            let (seen, dropped) = reports(topic, &["62491", "62491", "62492"]);
            assert_eq!((seen, dropped), (vec![Some(Baseline), None, Some(Dropped(1))], Some(1)));
        }
    }

    #[test]
    fn checklist_47_an_unchanged_value_is_no_drop() {
        let (seen, dropped) = reports(Drops::TOPICS[0], &["7", "7", "7"]);
        assert_eq!((seen, dropped), (vec![Some(Baseline), None, None], Some(0)));
    }

    #[test]
    fn checklist_47_a_broker_that_says_nothing_has_dropped_nothing_we_know_of() {
        let mut drops = Drops::default();
        assert_eq!(drops.read("$SYS/broker/uptime", b"5 seconds"), None);
        assert_eq!((drops.dropped(), drops.stored()), (None, None));
    }

    #[test]
    fn a_broker_that_started_again_is_a_new_baseline() {
        let (seen, dropped) = reports(Drops::TOPICS[0], &["100", "103", "2", "2", "4"]);
        assert_eq!(seen, [Some(Baseline), Some(Dropped(3)), Some(Baseline), None, Some(Dropped(5))]);
        assert_eq!(dropped, Some(5));
    }

    #[test]
    fn checklist_46_what_is_no_number_is_ignored() {
        let (seen, dropped) =
            reports(Drops::TOPICS[1], &["", "x", "-1", "1.5", "99999999999999999999", " 3\n", "4"]);
        assert_eq!(seen, [None, None, None, None, None, Some(Baseline), Some(Dropped(1))]);
        assert_eq!(dropped, Some(1));
        assert_eq!(Drops::default().read(Drops::TOPICS[0], &[0xff]), None);
    }

    #[test]
    fn the_same_drops_told_twice_count_once() {
        let mut drops = Drops::default();
        let [new, old] = Drops::TOPICS;
        assert_eq!([drops.read(new, b"1"), drops.read(old, b"1")], [Some(Baseline); 2]);
        assert_eq!([drops.read(new, b"4"), drops.read(old, b"4")], [Some(Dropped(3)), None]);
        assert_eq!(drops.dropped(), Some(3));
    }

    #[test]
    fn both_generations_tell_what_they_keep() {
        let mut drops = Drops::default();
        let [old, new] = Drops::STORED;
        assert_eq!([drops.read(old, b"41"), drops.read(new, b"42")], [Some(Stored(41)), Some(Stored(42))]);
        assert_eq!(drops.read(new, b"many"), None);
        assert_eq!((drops.stored(), drops.dropped()), (Some(42), None));
    }
}
