//! Finished runs in the formats of other programs.

mod benchmarks;
mod hgrm;
mod junit;
mod markdown;
mod series;
#[cfg(test)]
mod tests;

pub use benchmarks::{bencher, github_benchmark};
pub use hgrm::hgrm;
pub use junit::junit;
pub use markdown::markdown;
pub use series::csv as series_csv;
