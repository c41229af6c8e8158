//! A set of message numbers that is small while they come in order, and exact when they do not.

use std::collections::BTreeMap;

/// Numbers of a page.
const PAGE: u64 = 4096;

/// A set of numbers from 1.
#[derive(Default, Debug)]
pub struct Numbers {
    /// All of 1..=through are in, or given up.
    through: u64,
    count: u64,
    /// Where numbers above `through` are, by the number divided by [`PAGE`].
    beyond: BTreeMap<u64, Bits>,
}

/// The numbers of one page: bit i of word w is number 64 w + i. As many words as were needed.
#[derive(Default, Debug)]
struct Bits(Vec<u64>);

impl Bits {
    /// Whether it was not in yet.
    fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if word >= self.0.len() {
            // Doubles, but to no more than a page.
            self.0.reserve_exact((word + 1).next_power_of_two() - self.0.len());
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    fn contains(&self, number: u64) -> bool {
        self.0.get((number / 64) as usize).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// The last number that is in. There is one: pages begin with a number.
    fn highest(&self) -> u64 {
        let (last, words) = self.0.split_last().expect("a page has a number");
        words.len() as u64 * 64 + u64::from(last.ilog2())
    }

    /// How many numbers in a row from `first` on are in.
    fn run_from(&self, first: u64) -> u64 {
        let mut next = first;
        while let Some(word) = self.0.get((next / 64) as usize) {
            let ones = u64::from((word >> (next % 64)).trailing_ones());
            next += ones;
            if ones == 0 || !next.is_multiple_of(64) {
                break;
            }
        }
        next - first
    }
}

impl Numbers {
    /// Whether `number` (from 1) is new; it is in afterwards. Keeps at most `pages` pages: when one more is
    /// needed, everything that is missing in or below the lowest is given up.
    pub fn insert(&mut self, number: u64, pages: usize) -> bool {
        debug_assert!(number > 0 && pages > 0);
        if number <= self.through {
            return false;
        }
        let page = number / PAGE;
        if number - self.through > 1 && self.beyond.len() >= pages && !self.beyond.contains_key(&page) {
            self.make_room(number);
        }
        if number - self.through == 1 {
            self.through = number;
        } else if !self.beyond.entry(page).or_default().insert(number % PAGE) {
            return false;
        }
        self.count += 1;
        self.settle();
        true
    }

    /// Gives up the lowest page, which may be the one that `number` would begin.
    #[cold]
    fn make_room(&mut self, number: u64) {
        let Some(first) = self.beyond.first_entry() else { return };
        if number / PAGE < *first.key() {
            self.through = number - 1;
        } else {
            self.through = *first.key() * PAGE + (PAGE - 1);
            first.remove();
        }
    }

    /// How many numbers are in.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The numbers of 1..=`last` that are not in, ascending. Those given up do not show.
    pub fn missing(&self, last: u64) -> impl Iterator<Item = u64> {
        let is_in =
            |number: u64| self.beyond.get(&(number / PAGE)).is_some_and(|bits| bits.contains(number % PAGE));
        (self.through..=last).skip(1).filter(move |&number| !is_in(number))
    }

    /// Moves `through` over what is in without a gap, and lets go of the pages beneath it.
    fn settle(&mut self) {
        while let Some(first) = self.beyond.first_entry() {
            // In u128: the last number of all has a successor, too.
            let next = u128::from(self.through) + 1;
            let start = u128::from(*first.key()) * u128::from(PAGE);
            if start + u128::from(first.get().highest()) < next {
                first.remove();
                continue;
            }
            let run = if start <= next { first.get().run_from((next - start) as u64) } else { 0 };
            if run == 0 {
                return;
            }
            self.through += run;
        }
    }

    /// Pages, and bytes of bits in them.
    #[cfg(test)]
    pub fn memory(&self) -> (usize, usize) {
        (self.beyond.len(), self.beyond.values().map(|bits| bits.0.capacity() * 8).sum())
    }
}
