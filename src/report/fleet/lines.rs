//! Lines of text under way.

use super::LISTED;
use crate::units;

/// Lines, each ending in a newline.
#[derive(Default)]
pub struct Lines(String);

impl Lines {
    /// Appends a line. Control characters become `?`: client ids and failures come from the network.
    pub fn line(&mut self, line: &str) {
        self.0.extend(line.chars().map(|c| if c.is_control() { '?' } else { c }));
        self.0.push('\n');
    }

    /// Says how many of `count` were not listed.
    pub fn more_of(&mut self, count: usize, what: &str) {
        if count > LISTED {
            let more = units::grouped((count - LISTED) as u64);
            self.line(&format!("... and {more} more {what}: all of them in --json"));
        }
    }

    pub fn into_text(self) -> String {
        self.0
    }
}

/// `1 client`, `2,000 clients`
pub fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", units::grouped(count), if count == 1 { "" } else { "s" })
}
