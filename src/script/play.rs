//! A script that is being played: which of its rules hold now.

use super::{Decision, On, Per, Rule, Service, is_client};
use crate::clock::{Nanos, SECOND};
use crate::seed::{Draw, Purpose};
use std::collections::HashMap;

/// What chance is for: a rule's stream of decisions, and each of them.
const STREAM: Purpose = Purpose::named("script stream");
const DECISION: Purpose = Purpose::named("script decision");

/// Whom something happens to.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Client id, from CONNECT on.
    pub client: Option<&'a str>,
    /// Any number that no other connection has or had.
    pub connection: u64,
}

/// The rules, with what they have counted.
#[derive(Debug)]
pub struct Play {
    seed: u64,
    rules: Vec<Counted>,
}

#[derive(Debug)]
struct Counted {
    rule: Rule,
    /// By what is counted together.
    counts: HashMap<u64, Count>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Count {
    happened: u64,
    held: u64,
}

impl Play {
    /// Nothing has happened yet.
    pub fn new(seed: u64, rules: Vec<Rule>) -> Play {
        let counted = |rule| Counted { rule, counts: HashMap::new() };
        Play { seed, rules: rules.into_iter().map(counted).collect() }
    }

    /// `on` has happened to `who`: adds what is done about it.
    pub fn decide(&mut self, on: On, who: Who<'_>, decision: &mut Decision) {
        for (number, counted) in self.rules.iter_mut().enumerate() {
            let rule = &counted.rule;
            if !rule.on.covers(on) || !is_client(rule.client.as_deref(), who.client) {
                continue;
            }
            let key = match rule.per {
                Per::All => 0,
                Per::Client => Purpose::named(who.client.unwrap_or_default()).number(),
                Per::Connection => who.connection,
            };
            let count = counted.counts.entry(key).or_default();
            if let Some(mut draw) = holds(rule, count, self.seed, number as u32, key) {
                decision.add(&rule.act, &mut draw);
            }
        }
    }
}

/// Counts what happened, and whether the rule holds; then what chance there is in its act.
fn holds(rule: &Rule, count: &mut Count, seed: u64, number: u32, key: u64) -> Option<Draw> {
    let place = count.happened;
    count.happened += 1;
    let behind = (place + 1).checked_sub(rule.skip).filter(|behind| *behind > 0)?;
    if behind % rule.every != 0 || count.held >= rule.times {
        return None;
    }
    let stream = Draw::of(seed, STREAM, number, key).bits();
    let mut draw = Draw::of(stream, DECISION, 0, place);
    if rule.chance < 1.0 && draw.unit() >= rule.chance {
        return None;
    }
    count.held += 1;
    Some(draw)
}

/// A token bucket, as the time at which it will be full again (the generic cell rate algorithm).
#[derive(Debug)]
pub struct Bucket {
    /// Nanoseconds for one token.
    each: f64,
    /// Nanoseconds for all but one of those that it holds.
    room: f64,
    full_at: f64,
}

impl Bucket {
    /// A full one.
    pub fn new(service: Service) -> Bucket {
        let each = SECOND as f64 / service.per_s;
        Bucket { each, room: each * service.burst.saturating_sub(1) as f64, full_at: 0.0 }
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Nanos) -> bool {
        let there = self.next() <= now;
        if there {
            self.full_at = self.full_at.max(now as f64) + self.each;
        }
        there
    }

    /// From when on there is a token.
    pub fn next(&self) -> Nanos {
        (self.full_at - self.room).max(0.0) as Nanos
    }
}
