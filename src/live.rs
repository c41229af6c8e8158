//! A run while it is under way: its figures for who scrapes them, and as a screen.
//!
//! Everything here is made of the stage's [`Progress`](crate::stage::Progress), once a second, on threads that give
//! way to everybody else. Nothing of it touches a worker.

mod exposition;
mod screen;
mod server;
mod snapshot;

/// A bound while a run goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tick {
    /// The bound as it is printed.
    pub bound: String,
    /// What there is so far; `None` where that is not known yet.
    pub found: Option<String>,
    /// Whether that keeps it.
    pub holds: Option<bool>,
}

pub use screen::Screen;
pub use server::Exporter;
