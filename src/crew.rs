//! The clients of one worker, sans-IO.

mod connection;
mod link;

pub use connection::{Connection, Credentials, Will};
pub use link::Link;

#[cfg(test)]
pub(crate) mod sim;
