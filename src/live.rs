//! A run while it is under way: its figures for who scrapes them, and as a screen.
//!
//! Everything here is made of the stage's [`Progress`](crate::stage::Progress), once a second, on threads that give
//! way to everybody else. Nothing of it touches a worker.

mod exposition;
mod screen;
mod server;
mod snapshot;

pub use screen::Screen;
pub use server::Exporter;
