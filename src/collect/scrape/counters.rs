//! What the scrapes count, over all targets.

use std::sync::atomic::AtomicU64;

/// Totals since the start.
#[derive(Debug, Default)]
pub struct ScrapeCounters {
    /// Scrapes that were made.
    pub scrapes: AtomicU64,
    /// Scrapes that failed: no answer, a bad page, a limit.
    pub failures: AtomicU64,
    /// Samples that were taken.
    pub samples: AtomicU64,
    /// Bytes of pages after decompression.
    pub bytes: AtomicU64,
    /// Slots that passed while the scrape before still ran.
    pub missed: AtomicU64,
    /// Samples that repeat a series of the same page.
    pub duplicates: AtomicU64,
    /// Samples that have no place in the series table.
    pub refused: AtomicU64,
    /// Samples with a timestamp of the page before one that their series had.
    pub out_of_order: AtomicU64,
    /// Samples with a timestamp of the page that is too far ahead of the clock.
    pub out_of_bounds: AtomicU64,
    /// Scrapes that failed because of a limit of their job.
    pub limited: AtomicU64,
    /// Files and answers with targets that could not be read, or were bad.
    pub discovery_failures: AtomicU64,
    /// Targets that could not be made of what was discovered, or that are too many in all.
    pub targets_refused: AtomicU64,
}
