//! What a subscriber checks: which messages of which publishing clients have come.

mod layout;
mod numbers;
#[cfg(test)]
mod tests;

pub use layout::TopicLayout;

use crate::record::Heard;
use numbers::Numbers;
use std::collections::HashMap;

/// What is to arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expectation {
    /// Messages of each client, numbered from 1.
    pub messages: u64,
    /// Clients.
    pub clients: u64,
}

/// What a message is to the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    New,
    /// It had come before.
    Again,
    /// It is none of those expected, and not counted.
    Foreign,
}

/// The numbers that came, by publishing client.
///
/// Memory: a client whose messages come in order needs no more than its entry. With gaps, it needs 1 bit for each
/// number from the first gap on, in pages of 4096 numbers that exist where messages came. So with an
/// expectation of n messages of N clients it is at most n x N / 8 bytes, and every answer is exact. Without one a
/// client has at most [`Ledger::PAGES`] pages; the lowest gap is given up for a new page, and a message that
/// fills a gap given up counts as [`Seen::Again`].
///
/// ```
/// use malaria_bench::load::{Expectation, Ledger, Seen};
/// let mut ledger = Ledger::new(Some(Expectation { messages: 2, clients: 2 }));
/// assert_eq!(ledger.receive("a-0", 2), Seen::New);
/// assert_eq!(ledger.receive("a-0", 2), Seen::Again);
/// assert_eq!(ledger.receive("a-0", 3), Seen::Foreign);
/// assert_eq!(ledger.heard()[0].missing, [1]);
/// assert_eq!(ledger.never_seen(), (vec!["a-1".to_owned()], 1));
/// ```
#[derive(Debug)]
pub struct Ledger {
    expect: Option<Expectation>,
    /// Messages of clients beyond these are foreign.
    most_clients: u64,
    clients: HashMap<String, Client>,
    received_new: u64,
    duplicated: u64,
    /// Clients of which everything has come.
    complete: u64,
}

#[derive(Default, Debug)]
struct Client {
    numbers: Numbers,
    duplicates: u64,
    /// Ascending, each once.
    duplicate_ids: Vec<u64>,
}

impl Ledger {
    /// The most pages of 4096 numbers that a client has without an expectation: 128 KiB of bits.
    pub const PAGES: usize = 256;

    /// The most clients, or twice those expected where that is more; messages of further ones are foreign.
    pub const CLIENTS: u64 = 1 << 20;

    /// The most numbers of duplicates kept for a client.
    pub const DUPLICATE_IDS: usize = 1000;

    /// The most missing numbers that [`Ledger::heard`] lists over all clients (128 MiB of them): what is missing
    /// beyond shows in the difference of expected and actual.
    pub const MISSING: usize = 1 << 24;

    pub fn new(expect: Option<Expectation>) -> Ledger {
        // Twice as many: foreign clients must not keep out those expected.
        let expected = expect.map_or(0, |expect| expect.clients);
        let most_clients = Ledger::CLIENTS.max(expected.saturating_mul(2));
        let clients = HashMap::new();
        Ledger { expect, most_clients, clients, received_new: 0, duplicated: 0, complete: 0 }
    }

    /// Takes note of message `number` (from 1) of `client`.
    pub fn receive(&mut self, client: &str, number: u64) -> Seen {
        if number == 0 || self.expect.is_some_and(|expect| number > expect.messages) {
            return Seen::Foreign;
        }
        // Looked up by the borrowed id first: only a client never heard costs an allocation.
        let entry = match self.clients.get_mut(client) {
            Some(entry) => entry,
            None => {
                if self.clients() >= self.most_clients {
                    return Seen::Foreign;
                }
                self.clients.entry(client.to_owned()).or_default()
            }
        };
        let pages = if self.expect.is_some() { usize::MAX } else { Ledger::PAGES };
        if !entry.numbers.insert(number, pages) {
            entry.duplicate(number);
            self.duplicated += 1;
            return Seen::Again;
        }
        self.received_new += 1;
        if self.expect.is_some_and(|expect| entry.numbers.count() == expect.messages) {
            self.complete += 1;
        }
        Seen::New
    }

    /// Different messages that came.
    pub fn received_new(&self) -> u64 {
        self.received_new
    }

    /// Messages that had come before.
    pub fn duplicated(&self) -> u64 {
        self.duplicated
    }

    /// Clients heard.
    pub fn clients(&self) -> u64 {
        self.clients.len() as u64
    }

    /// Messages expected that have not come; `None` without an expectation. With more clients than expected
    /// it can reach 0 before [`Ledger::is_complete`].
    pub fn missing(&self) -> Option<u64> {
        let expected = |expect: Expectation| expect.messages.saturating_mul(expect.clients);
        self.expect.map(|expect| expected(expect).saturating_sub(self.received_new))
    }

    /// Whether all messages of as many clients as expected have come. Never without an expectation.
    pub fn is_complete(&self) -> bool {
        self.expect.is_some_and(|expect| expect.messages == 0 || self.complete >= expect.clients)
    }

    /// The account of every client heard, in the order of their ids, `c-2` before `c-10`. Nothing is missing
    /// where nothing was expected.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard_of(|_| self.expect.map(|expect| expect.messages))
    }

    /// The same where `sent` says how many messages each client sent: `None` for a client that is not known.
    pub fn heard_of(&self, sent: impl Fn(&str) -> Option<u64>) -> Vec<Heard> {
        let mut clients: Vec<_> = self.clients.iter().collect();
        clients.sort_by_cached_key(|(id, _)| match numbered(id) {
            Some((prefix, index)) => (prefix.to_owned(), Some(index)),
            None => ((*id).clone(), None),
        });
        let mut room = Ledger::MISSING;
        let account = |(id, client): (&String, &Client)| {
            let expected = sent(id);
            let missing: Vec<u64> = client.numbers.missing(expected.unwrap_or(0)).take(room).collect();
            room -= missing.len();
            Heard {
                client_id: id.clone(),
                expected,
                actual: client.numbers.count(),
                duplicate: client.duplicates,
                duplicate_ids: client.duplicate_ids.clone(),
                missing,
            }
        };
        clients.into_iter().map(account).collect()
    }

    /// Clients expected and never heard: their ids and how many they are. Ids follow when all that were heard
    /// are `<prefix>-<i>` with one prefix and i below the number expected; there are at most
    /// [`Ledger::CLIENTS`] of them.
    pub fn never_seen(&self) -> (Vec<String>, u64) {
        let expected = self.expect.map_or(0, |expect| expect.clients);
        let count = expected.saturating_sub(self.clients());
        if count == 0 {
            return (Vec::new(), 0);
        }
        let ids = self.clients.keys().map(|id| numbered(id).filter(|&(_, index)| index < expected));
        let Some(mut ids) = ids.collect::<Option<Vec<_>>>() else { return (Vec::new(), count) };
        ids.sort_unstable();
        match ids.first() {
            Some(&(prefix, _)) if ids.iter().all(|&(other, _)| other == prefix) => {
                let mut heard = ids.iter().map(|&(_, index)| index).peekable();
                let absent = (0..expected).filter(|&index| heard.next_if_eq(&index).is_none());
                let absent = absent.take(Ledger::CLIENTS as usize);
                (absent.map(|index| format!("{prefix}-{index}")).collect(), count)
            }
            _ => (Vec::new(), count),
        }
    }
}

impl Client {
    #[cold]
    fn duplicate(&mut self, number: u64) {
        self.duplicates += 1;
        if let Err(place) = self.duplicate_ids.binary_search(&number)
            && self.duplicate_ids.len() < Ledger::DUPLICATE_IDS
        {
            self.duplicate_ids.insert(place, number);
        }
    }
}

/// The parts of `<prefix>-<i>`, where i is written as numbers are: no sign, no zeros before it.
fn numbered(id: &str) -> Option<(&str, u64)> {
    let (prefix, digits) = id.rsplit_once('-')?;
    let plain = digits == "0" || !digits.starts_with(['0', '+']);
    digits.parse().ok().filter(|_| plain).map(|index| (prefix, index))
}
