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
}
