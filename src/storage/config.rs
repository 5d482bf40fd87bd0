//! How the ring is set up, and what it tells about itself.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::model::Timestamp;

#[cfg(doc)]
use super::Tier;

/// What a commit promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Every commit ends with fsync: neither SIGKILL nor a power cut costs a committed tick.
    #[default]
    Immediate,
    /// A commit only hands its rows to the kernel; every [`Config::relaxed_interval`] one ends with fsync. SIGKILL costs no committed
    /// tick, a power cut at most that much of the newest history. The file itself is never harmed.
    Relaxed,
}

/// Settings of the ring.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Directory of the ring; made when it is not there. The file in it is `ring.redb`.
    pub path: PathBuf,
    /// Most bytes that the file's blocks may take, give or take one segment.
    pub retention_size_bytes: u64,
    /// Samples older than this go.
    pub retention_time: Duration,
    /// How long the rollups of each [`Tier`] stay, from the finest on; zero: they are not made. A tier is made of the one
    /// before it.
    pub rollups: [Duration; 3],
    /// What a commit promises.
    pub durability: Durability,
    /// Longest time between two commits with fsync when durability is relaxed.
    pub relaxed_interval: Duration,
    /// Length of a window: what becomes one segment. At least a second.
    pub window: Duration,
    /// Segments of windows within such a span are merged into one when memory does not have them any more. Spans shorter
    /// than two windows, and longer than an eighth of the retention time, merge nothing.
    pub merged_span: Duration,
    /// How long a window stays open after its end, for samples that come late.
    pub seal_delay: Duration,
    /// How much recent time queries find uncompressed in memory.
    pub head_span: Duration,
    /// Samples further ahead of the clock than this are dropped; `None` takes them all.
    pub max_ahead: Option<Duration>,
    /// Most bytes that redb may cache.
    pub cache_bytes: usize,
    /// Exemplars that memory may hold, those of the last [`Config::head_span`] or so; what comes above it is dropped and
    /// counted. 0 takes none. As Prometheus' `storage.exemplars.max_exemplars`, but for those in segments.
    pub max_exemplars: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: PathBuf::from("data"),
            retention_size_bytes: 1 << 30,
            retention_time: Duration::from_secs(15 * 86_400),
            rollups: [90, 2 * 365, 10 * 365].map(|days| Duration::from_secs(days * 86_400)),
            durability: Durability::Immediate,
            relaxed_interval: Duration::from_secs(10),
            window: Duration::from_secs(600),
            merged_span: Duration::from_secs(3600),
            seal_delay: Duration::from_secs(15),
            head_span: Duration::from_secs(900),
            // As far as Prometheus lets a scraped timestamp run ahead.
            max_ahead: Some(Duration::from_secs(600)),
            cache_bytes: 4 << 20,
            max_exemplars: 100_000,
        }
    }
}

/// Small tables for other rooms: keys and values are theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum StateTable {
    /// Active alerts of the rules.
    Alerts = 1,
    /// Silences.
    Silences = 2,
    /// Acknowledgements.
    Acks = 3,
    /// Runs of the speed bench, and baselines.
    Bench = 4,
    /// Whatever the page keeps: layouts, notes.
    Page = 5,
    /// Runs of workers that tell about themselves.
    Runs = 6,
    /// What happened: the ends of workers.
    Events = 7,
}

/// What the ring lost or refused, since the process started.
#[derive(Debug, Default)]
pub struct RingCounters {
    /// Samples taken.
    pub samples: AtomicU64,
    /// Samples whose time was taken by another value of the same series.
    pub duplicates: AtomicU64,
    /// Samples that came after their group had moved on; they are kept.
    pub out_of_order: AtomicU64,
    /// Samples older than the retention time, dropped.
    pub too_old: AtomicU64,
    /// Samples too far ahead of the clock, dropped.
    pub too_far_ahead: AtomicU64,
    /// Samples of references that the series table does not know, dropped.
    pub unknown_series: AtomicU64,
    /// Samples refused because their group, or memory for irregular samples, is full.
    pub over_limit: AtomicU64,
    /// Exemplars taken.
    pub exemplars: AtomicU64,
    /// Exemplars older than the newest one of their series, dropped.
    pub exemplars_out_of_order: AtomicU64,
    /// Exemplars of series that bring too many, or for which memory has no room, dropped.
    pub exemplars_over_limit: AtomicU64,
    /// Exemplars with too long labels, too old or too far ahead, or of series that nobody knows, dropped.
    pub exemplars_refused: AtomicU64,
    /// Commits of rows.
    pub commits: AtomicU64,
    /// Commits that failed.
    pub commit_errors: AtomicU64,
    /// Rows that were given up while the disk was full.
    pub rows_lost: AtomicU64,
    /// Segments written.
    pub sealed: AtomicU64,
    /// Segments that were merged into larger ones.
    pub merged: AtomicU64,
    /// Segments of rollups written.
    pub rolled: AtomicU64,
    /// Segments that retention took.
    pub retired: AtomicU64,
    /// How often the file was compacted.
    pub compactions: AtomicU64,
    /// Damaged records that were skipped, each time one is met.
    pub damaged: AtomicU64,
}

/// The state of the ring at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RingStats {
    /// Series with samples in memory.
    pub head_series: usize,
    /// Approximate bytes of the samples in memory.
    pub head_bytes: usize,
    /// Sealed segments.
    pub segments: usize,
    /// Samples in sealed segments.
    pub segment_samples: u64,
    /// Bytes of sealed segments.
    pub segment_bytes: u64,
    /// Bytes of the pages that they take, their share of the series tables included.
    pub segment_page_bytes: u64,
    /// Segments of rollups.
    pub rollup_segments: usize,
    /// Bytes of the pages that they take.
    pub rollup_page_bytes: u64,
    /// Bytes that the file takes on disk (allocated blocks), 0 in memory.
    pub disk_bytes: u64,
    /// Oldest sample.
    pub oldest: Option<Timestamp>,
    /// Newest sample.
    pub newest: Option<Timestamp>,
    /// Write-ahead rows that wait for the next commit.
    pub pending_rows: usize,
    /// Bytes of those rows.
    pub pending_bytes: usize,
    /// Ticks found in write-ahead rows when the ring was opened.
    pub replayed_rows: u64,
    /// Whether the disk failed and samples are kept in memory only.
    pub degraded: bool,
}

/// How far one call of [`crate::storage::Ring::maintain`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More is due at once: call again soon.
    More,
    /// Nothing is due now.
    Idle,
}
