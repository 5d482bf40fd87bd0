//! How the table is set up, and what it counts.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::limits::{MAX_FAMILY_SERIES, MAX_SERIES};

/// How the table labels what watchfire measures, and how much it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryConfig {
    /// The ring's `instance` label of own series: host:port.
    pub instance: String,
    /// Renames of own jobs, for example `("node", "machine")`.
    pub jobs: Vec<(String, String)>,
    /// The most series.
    pub limits: SeriesLimits,
    /// How long a series counts after the last source gave it back: as long as storage may have samples of it in memory.
    pub keep: Duration,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            instance: "localhost:9480".to_owned(),
            jobs: Vec::new(),
            limits: SeriesLimits::default(),
            // What the ring's own defaults keep in memory: a quarter of an hour and the window before it.
            keep: Duration::from_secs(25 * 60 + 15),
        }
    }
}

/// The most series that are alive at once: held by a source, or given back so lately that samples are in memory.
///
/// A family is what shares a metric name, as in Prometheus' TSDB and its `status/tsdb`: `_bucket`, `_sum` and `_count` of
/// a histogram are three. Pushed, recorded and scraped series do not say to which histogram they belong, and cutting
/// suffixes off would count strangers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesLimits {
    /// In all.
    pub series: u32,
    /// Of one metric name.
    pub series_per_family: u32,
}

impl Default for SeriesLimits {
    fn default() -> Self {
        Self { series: MAX_SERIES, series_per_family: MAX_FAMILY_SERIES }
    }
}

/// What the table counted since the start.
#[derive(Debug, Default)]
pub struct RegistryCounters {
    /// Series that got a reference.
    pub created: AtomicU64,
    /// Series that left the table.
    pub released: AtomicU64,
    /// Refusals because the table was full.
    pub refused_total_limit: AtomicU64,
    /// Refusals because the series' family was full.
    pub refused_family_limit: AtomicU64,
}

/// How full the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesCounts {
    /// Series that some source holds.
    pub held: u32,
    /// Series that nobody holds any more, but that count still because storage may have samples of them in memory.
    pub ending: u32,
    /// Families that were refused series and have not been below nine tenths of their limit since.
    pub full_families: u32,
    /// What is allowed.
    pub limits: SeriesLimits,
}
