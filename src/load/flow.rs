//! The delivery check of one flow: one publisher's messages as one subscriber receives them.

/// What an arrived message was to its flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Receipt {
    /// New, and later than all before it.
    InOrder,
    /// New, but a later one had come before.
    Reordered,
    /// Had come already.
    Duplicate,
    /// Older than everything the flow still remembers: new or not cannot be told. Happens only with
    /// more than [`Flow::GAPS`] separate gaps, or with sequence `u64::MAX`, which no publisher reaches.
    Unknown,
}

/// Exact in bounded memory: the next expected sequence and the gaps below it. A flow without loss or
/// reordering owns no memory beyond its 16 bytes.
#[derive(Default, Debug)]
pub struct Flow {
    /// One more than the highest sequence that came.
    next: u64,
    /// Missing sequences below `next`, half-open and ascending.
    gaps: Option<Box<Gaps>>,
}

#[derive(Default, Debug)]
struct Gaps {
    ranges: Vec<(u64, u64)>,
    /// Sequences below this are forgotten,
    forgotten: u64,
    /// and so many of them had not come.
    lost: u64,
}

impl Flow {
    /// The most separate gaps a flow remembers: 64 KiB.
    pub const GAPS: usize = 4096;

    /// Takes note of message `sequence`.
    pub fn receive(&mut self, sequence: u64) -> Receipt {
        if sequence == u64::MAX {
            // Nobody sends as many: a forged stamp, after which nothing could be told of this flow.
            return Receipt::Unknown;
        }
        if sequence == self.next {
            self.next += 1;
            return Receipt::InOrder;
        }
        if sequence > self.next {
            let gaps = self.gaps.get_or_insert_default();
            gaps.ranges.push((self.next, sequence));
            gaps.keep_bound();
            self.next = sequence + 1;
            return Receipt::InOrder;
        }
        self.gaps.as_mut().map_or(Receipt::Duplicate, |gaps| gaps.fill(sequence))
    }

    /// One more than the highest sequence that came, or is not to come.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Those from `start` to before `end` that have not come are not to come.
    pub fn forgo(&mut self, start: u64, end: u64) {
        if end > self.next && start < end {
            if start > self.next {
                let gaps = self.gaps.get_or_insert_default();
                gaps.ranges.push((self.next, start));
                gaps.keep_bound();
            }
            self.next = end;
        }
        if let Some(gaps) = &mut self.gaps {
            gaps.forgo(start, end);
        }
    }

    /// Whether everything has come that is older than what has.
    pub fn is_whole(&self) -> bool {
        self.gaps.as_ref().is_none_or(|gaps| gaps.ranges.is_empty() && gaps.lost == 0)
    }

    /// Sequences from `from` on that have not come although a later one has; `absent` are some (half-open) that never
    /// were on their way. Of gaps that are forgotten, those are counted that may be as late.
    pub fn overtaken(&self, from: u64, absent: &[(u64, u64)]) -> u64 {
        let Some(gaps) = &self.gaps else { return 0 };
        let length = |start: u64, end: u64| end.saturating_sub(start.max(from));
        let missing: u64 = gaps.ranges.iter().map(|&(start, end)| length(start, end)).sum();
        // What never was on its way has never come, so that it lies within gaps, unless it was not to come at all.
        let within = |start: u64, end: u64| {
            let at = gaps.ranges.partition_point(|gap| gap.1 <= start);
            let over = gaps.ranges[at..].iter().take_while(|gap| gap.0 < end);
            let over: u64 = over.map(|gap| length(gap.0.max(start), gap.1.min(end))).sum();
            over + length(start, end.min(gaps.forgotten))
        };
        let never: u64 = absent.iter().map(|&(start, end)| within(start, end)).sum();
        missing + gaps.lost.min(gaps.forgotten.saturating_sub(from)) - never.min(missing)
    }
}

impl Gaps {
    /// One gap more than there may be: forgets the lowest.
    fn keep_bound(&mut self) {
        if self.ranges.len() > Flow::GAPS {
            let (start, end) = self.ranges.remove(0);
            self.lost += end - start;
            self.forgotten = end;
        }
    }

    /// Takes `start` to before `end` out of the gaps.
    fn forgo(&mut self, start: u64, end: u64) {
        let from = self.ranges.partition_point(|gap| gap.1 <= start);
        let to = from + self.ranges[from..].partition_point(|gap| gap.0 < end);
        let left = self.ranges[from..to].first().map(|gap| (gap.0, start)).filter(|gap| gap.0 < gap.1);
        let right = self.ranges[from..to].last().map(|gap| (end, gap.1)).filter(|gap| gap.0 < gap.1);
        self.ranges.splice(from..to, left.into_iter().chain(right));
        self.keep_bound();
    }

    fn fill(&mut self, sequence: u64) -> Receipt {
        let at = self.ranges.partition_point(|&(_, end)| end <= sequence);
        match self.ranges.get_mut(at) {
            Some((start, end)) if *start <= sequence => {
                let (low, high) = (*start, *end);
                match (low == sequence, high == sequence + 1) {
                    (true, true) => {
                        self.ranges.remove(at);
                    }
                    (true, false) => *start += 1,
                    (false, true) => *end -= 1,
                    (false, false) => {
                        *end = sequence;
                        self.ranges.insert(at + 1, (sequence + 1, high));
                        self.keep_bound();
                    }
                }
                Receipt::Reordered
            }
            _ if sequence < self.forgotten => Receipt::Unknown,
            _ => Receipt::Duplicate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn a_flow_is_small() {
        assert_eq!(std::mem::size_of::<Flow>(), 16);
    }

    #[test]
    fn a_sequence_beyond_all_others_is_not_believed() {
        let mut flow = Flow::default();
        let sequences = [0, u64::MAX, u64::MAX, 1, u64::MAX - 1, u64::MAX, 2];
        use Receipt::*;
        let receipts = [InOrder, Unknown, Unknown, InOrder, InOrder, Unknown, Reordered];
        assert_eq!(sequences.map(|sequence| flow.receive(sequence)), receipts);
    }

    #[test]
    fn order_loss_and_duplicates_are_told_apart() {
        use Receipt::*;
        let mut flow = Flow::default();
        let got: Vec<_> =
            [0, 1, 1, 5, 3, 3, 2, 4, 4, 6, 0].iter().map(|&sequence| flow.receive(sequence)).collect();
        assert_eq!(
            got,
            [
                InOrder, InOrder, Duplicate, InOrder, Reordered, Duplicate, Reordered, Reordered, Duplicate,
                InOrder, Duplicate
            ]
        );
    }

    #[test]
    fn it_is_right_past_65535_and_at_the_end_of_numbers() {
        let mut flow = Flow::default();
        assert!((0..200_000).all(|sequence| flow.receive(sequence) == Receipt::InOrder));
        assert_eq!(flow.receive(65_536), Receipt::Duplicate);
        assert_eq!(flow.receive(u64::MAX - 1), Receipt::InOrder);
        assert_eq!(flow.receive(200_000), Receipt::Reordered);
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgotten_is_said() {
        let mut flow = Flow::default();
        let gaps = Flow::GAPS as u64 + 10;
        (0..gaps).for_each(|i| assert_eq!(flow.receive(2 * i + 1), Receipt::InOrder));
        assert_eq!((flow.overtaken(0, &[]), flow.overtaken(19, &[])), (gaps, gaps - 10));
        assert_eq!(flow.receive(0), Receipt::Unknown);
        assert_eq!(flow.receive(2 * gaps - 2), Receipt::Reordered);
        assert_eq!(flow.overtaken(0, &[]), gaps - 1);
    }

    #[test]
    fn gaps_that_split_do_not_pass_the_bound() {
        let mut flow = Flow::default();
        // As many gaps of three as there may be; the middle of one splits it.
        (1..=Flow::GAPS as u64).for_each(|i| assert_eq!(flow.receive(4 * i - 1), Receipt::InOrder));
        assert_eq!(flow.receive(4 * 100 + 1), Receipt::Reordered);
        for i in Flow::GAPS as u64 + 1..2 * Flow::GAPS as u64 {
            assert_eq!(flow.receive(4 * i - 1), Receipt::InOrder);
        }
        assert_eq!(flow.gaps.as_ref().unwrap().ranges.len(), Flow::GAPS);
        // What was split stands in the order of the sequences: the lowest were forgotten first.
        assert_eq!(flow.receive(4 * 100), Receipt::Unknown);
        assert_eq!(flow.receive(4 * (Flow::GAPS as u64 + 100)), Receipt::Reordered);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set(sequences in prop::collection::vec(0u64..60, 0..300)) {
            let (mut flow, mut seen, mut highest) = (Flow::default(), HashSet::new(), None);
            for sequence in sequences {
                let expected = match () {
                    () if !seen.insert(sequence) => Receipt::Duplicate,
                    () if Some(sequence) > highest => Receipt::InOrder,
                    () => Receipt::Reordered,
                };
                highest = highest.max(Some(sequence));
                prop_assert_eq!(flow.receive(sequence), expected);
            }
        }

        #[test]
        fn what_is_overtaken_agrees_with_a_set(
            sequences in prop::collection::vec(0u64..60, 0..60),
            from in 0u64..60,
            absent in (0u64..60, 0u64..5),
            forgone in (0u64..60, 0u64..9),
        ) {
            let forgone = (forgone.0, forgone.0 + forgone.1);
            let absent = (absent.0, absent.0 + absent.1);
            let never = |sequence: u64| (absent.0..absent.1).contains(&sequence);
            let mut flow = Flow::default();
            let came: HashSet<u64> = sequences.into_iter().filter(|sequence| !never(*sequence)).collect();
            for sequence in &came {
                flow.receive(*sequence);
            }
            let highest = came.iter().copied().max().unwrap_or(0);
            let overtaken = (from..highest).filter(|sequence| !came.contains(sequence) && !never(*sequence));
            prop_assert_eq!(flow.overtaken(from, &[absent]), overtaken.count() as u64);
            flow.forgo(forgone.0, forgone.1);
            let end = if forgone.1 > forgone.0 { forgone.1 } else { 0 };
            let next = end.max(came.iter().copied().max().map_or(0, |highest| highest + 1));
            prop_assert_eq!(flow.next(), next);
            let missed = |sequence: &u64| {
                !came.contains(sequence) && !never(*sequence) && !(forgone.0..forgone.1).contains(sequence)
            };
            prop_assert_eq!(flow.overtaken(from, &[absent]), (from..next).filter(missed).count() as u64);
        }
    }
}
