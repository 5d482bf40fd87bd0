//! Rolling windows over what a machine does: the last second, ten seconds and five minutes of CPU, memory, GPU, network, disk,
//! tokens and the page's frames, each as mean, largest value, median and 95th percentile.
//!
//! [`Windows`] looks at batches on their way ([`Tap`] hands them on unchanged) and at fast samples where there are any, so
//! nothing is read twice. Values are weighted with the time that they stand for: five minutes of which ten seconds were
//! sampled at 10 Hz are still five minutes. Quantiles are exact: each window is kept sorted, a sample costs one search and
//! one move of memory. [`WindowsCollector`] makes `watchfire_window` of it once a tick, which rules can ask like any series.

mod collector;
mod rolling;
mod signals;
mod state;
mod tap;

pub(super) use collector::FAMILIES;

pub use collector::WindowsCollector;
pub use rolling::{SPANS, Stats};
pub use signals::SIGNALS;
pub use state::{BadFrames, MAX_FRAMES, Windows};
pub use tap::Tap;

#[cfg(test)]
mod tests;
