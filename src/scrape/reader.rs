//! The thread that looks, and whoever is told.

use super::account::Account;
use super::http::Endpoints;
use super::sys::{Sys, Topics};
use super::{Look, PATIENCE, Selector, Source};
use crate::cpu;
use crate::record::{BrokerMetrics, BrokerSeries, MetricsSource, Phase};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a reader looks, beside where phases begin.
const EVERY: Duration = Duration::from_secs(1);

/// What is to be known of the broker.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// Endpoints that are asked,
    pub urls: Vec<String>,
    /// and for which series.
    pub series: Vec<Selector>,
    /// The broker itself,
    pub sys: Option<Sys>,
    /// and which topics of `$SYS`.
    pub topics: Vec<Selector>,
}

/// Looks at what others tell of the broker, as long as it lives.
pub struct Reader {
    shared: Arc<Shared>,
    addresses: Vec<String>,
    names: Vec<Arc<str>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    account: Account,
    over: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A state is whole between any two of its changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done`, for as long as one look may take.
    fn wait(&self, patience: Duration, done: impl Fn(&State) -> bool) {
        let waited = self.changed.wait_timeout_while(self.state(), patience, |state| !done(state));
        drop(waited);
    }
}

impl Reader {
    /// Begins to look wherever something is asked, and has done so once, or tried to, when it is answered.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn open(asked: &Asked) -> io::Result<Vec<Reader>> {
        let mut readers = Vec::new();
        if !asked.urls.is_empty() {
            let source = Box::new(Endpoints::new(&asked.urls, &asked.series));
            let patience = PATIENCE * asked.urls.len() as u32;
            readers.push(Reader::of(source, asked.urls.clone(), &asked.series, patience)?);
        }
        if let Some(sys) = &asked.sys {
            let source = Box::new(Topics::new(sys, &asked.topics));
            // A connection, and what is kept.
            readers.push(Reader::of(source, vec!["$SYS".to_owned()], &asked.topics, PATIENCE * 2)?);
        }
        Ok(readers)
    }

    pub(super) fn of(
        source: Box<dyn Source>,
        addresses: Vec<String>,
        names: &[Selector],
        patience: Duration,
    ) -> io::Result<Reader> {
        let state = State { account: Account::new(names.len()), over: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let common = shared.clone();
        thread::Builder::new().name("scrape".into()).spawn(move || {
            cpu::stand_back();
            look(&common, source);
        })?;
        shared.wait(patience, |state| state.account.looks > 0);
        let names = names.iter().map(|name| name.to_string().into()).collect();
        Ok(Reader { shared, addresses, names })
    }

    /// A phase begins.
    pub fn enter(&self, phase: Phase) {
        self.shared.state().account.enter(phase);
        self.shared.changed.notify_all();
    }

    /// What was told last, by the names of the series.
    pub fn latest(&self) -> Vec<(Arc<str>, Option<f64>)> {
        self.names.iter().cloned().zip(self.shared.state().account.latest.iter().copied()).collect()
    }

    /// The run is over: has the last phase end here, and waits for as long as a look takes.
    pub fn finish(&self) {
        let begun = {
            let account = &mut self.shared.state().account;
            account.begun += 1;
            account.begun
        };
        self.shared.changed.notify_all();
        self.shared.wait(PATIENCE, |state| state.account.reached >= begun);
    }

    /// What was told since this was asked last.
    pub fn tell(&self) -> BrokerMetrics {
        let account = &mut self.shared.state().account;
        let phases = account.take();
        let series = self.names.iter().zip(phases).enumerate().map(|(at, (name, phases))| BrokerSeries {
            name: name.to_string(),
            kind: account.kinds[at],
            before: account.before[at],
            phases,
            per_message: None,
            per_connection: None,
        });
        let source = MetricsSource {
            addresses: self.addresses.clone(),
            looks: account.looks,
            failures: account.failures,
            error: account.error.clone(),
            note: account.note.clone(),
        };
        BrokerMetrics { series: series.collect(), sources: vec![source] }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // A look that is under way ends in its own time.
        self.shared.state().over = true;
        self.shared.changed.notify_all();
    }
}

fn look(shared: &Shared, mut source: Box<dyn Source>) {
    let mut begun = 0;
    loop {
        let next = Instant::now() + EVERY;
        let look: Look = source.look();
        let mut state = shared.state();
        state.account.note = source.note();
        state.account.add(begun, look);
        shared.changed.notify_all();
        loop {
            let left = next.saturating_duration_since(Instant::now());
            if state.over {
                return;
            }
            if left.is_zero() || state.account.begun > begun {
                break;
            }
            state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        begun = state.account.begun;
    }
}
