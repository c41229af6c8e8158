//! What the broker and others tell of it while a run goes on: chosen series of Prometheus endpoints, and topics of `$SYS`.
//!
//! A [`Reader`] looks once a second and where a phase begins, on a thread that gives way to everybody else. Whoever does
//! not answer costs a warning: no run waits for it or ends because of it.

mod account;
mod exposition;
mod http;
mod reader;
mod selector;
mod sys;
#[cfg(test)]
mod tests;

pub use reader::{Asked, Reader};
pub use selector::{Selector, SelectorError};
pub use sys::{Address, Sys, USUAL};

use crate::record::SeriesKind;
use std::time::Duration;

/// The longest that one of those who are asked may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// One look at all that is to be known.
#[derive(Clone, PartialEq, Debug, Default)]
struct Look {
    /// In the order of the names; `None` where it was not told.
    values: Vec<Option<Told>>,
    /// Why somebody did not answer.
    error: Option<String>,
}

/// The value of one series, or the sum of several.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Told {
    value: f64,
    kind: SeriesKind,
}

/// Where a [`Reader`] looks.
trait Source: Send {
    /// Looks, for no longer than a second or so.
    fn look(&mut self) -> Look;

    /// What the reader of the figures has to know.
    fn note(&self) -> Option<String> {
        None
    }
}
