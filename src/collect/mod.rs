//! Collectors and their scheduler: what is read from this machine and from the targets that it knows.

mod collector;
pub mod llm;
pub mod scrape;

pub use collector::{CollectError, Collector, Reading};
