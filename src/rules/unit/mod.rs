//! Unit tests of rules: promtool's test files, run against the real engine over a store in memory.
//!
//! Input series are written as time goes on; every group is evaluated at each multiple of the evaluation interval, and
//! alerts and queries are compared with what the file expects.

mod file;
mod run;
mod store;

#[cfg(test)]
mod tests;

pub use file::{AlertCase, ExpectedAlert, QueryCase, UnitFile, UnitTest};
pub use run::{UnitOutcome, UnitReport, run_file};
