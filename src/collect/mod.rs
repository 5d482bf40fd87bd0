//! Collectors and their scheduler: what is read from this machine and from the targets that it knows.

mod collector;

pub use collector::{CollectError, Collector, Reading};
