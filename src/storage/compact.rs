//! Maintenance, last part: a file that has become much larger than what is in it gives the room back.
//!
//! A ring in its steady state never needs it: pages that retention frees take what is sealed next. It pays after the ring has become
//! smaller for good, as when somebody lowers `retention.size`: redb never moves a page by itself, and one page at the end keeps the file long.

use std::sync::atomic::Ordering::Relaxed;

use crate::model::Timestamp;

use super::catalog::{FIXED_BYTES, cost};
use super::ring::Ring;
use super::{Progress, StorageError};

/// Time between two compactions: while one runs queries of old data wait, 4 ms for each MB in use.
const EVERY_MS: i64 = 3_600_000;
/// Less than this is not worth the wait.
const LEAST_GAIN: u64 = 8 << 20;
/// The same for a file that is larger than it may be.
const LEAST_GAIN_ABOVE_LIMIT: u64 = 1 << 20;

/// What the last compaction taught.
#[derive(Debug, Default)]
pub(crate) struct Compactor {
    last: Option<Timestamp>,
    /// Bytes that it left above what we had thought to be in use.
    slack: u64,
}

/// Compacts the file when that pays, and when the last time is an hour ago. Nothing else of maintenance may be under way.
pub(crate) fn compact(ring: &Ring, compactor: &mut Compactor, now: Timestamp) -> Result<Progress, StorageError> {
    let waits = compactor.last.is_some_and(|last| (0..EVERY_MS).contains(&(now - last)));
    let blocks = ring.store.disk_bytes();
    if waits || blocks == 0 {
        return Ok(Progress::Idle);
    }
    let inner = ring.inner.read();
    let (mut largest, mut segments) = (0, 0);
    for segment in inner.catalog.segments().iter().chain(inner.catalog.rolled.iter()) {
        largest = largest.max(cost(segment));
        segments += cost(segment);
    }
    let known = segments + FIXED_BYTES + ring.row_reserve();
    drop(inner);
    if !pays(blocks, known + compactor.slack, ring.config.retention_size_bytes.saturating_add(largest)) {
        return Ok(Progress::Idle);
    }
    compactor.last = Some(now);
    ring.store.compact().inspect_err(|error| ring.degrade(now, error))?;
    compactor.slack = ring.store.disk_bytes().saturating_sub(known);
    ring.counters().compactions.fetch_add(1, Relaxed);
    Ok(Progress::Idle)
}

/// Whether a file of so many bytes of blocks, of which so many are in use, is to be compacted; `limit` is how large it may be.
fn pays(blocks: u64, used: u64, limit: u64) -> bool {
    let gain = blocks.saturating_sub(used);
    gain > LEAST_GAIN.max(used / 4) || blocks > limit && gain > LEAST_GAIN_ABOVE_LIMIT
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::pays;
    use crate::storage::testing::{Bench, Random, everything};
    use crate::storage::verify;

    #[test]
    fn compacting_pays_where_much_is_free() {
        let mb = |n: u64| n << 20;
        for (blocks, used, limit, expected) in [
            (60, 15, 1024, true),
            (60, 47, 1024, true),
            (60, 53, 1024, false),
            (1000, 900, 1024, false),
            (12, 10, 8, true),
            (12, 12, 8, false),
            (8, 0, 1024, false),
        ] {
            assert_eq!(pays(mb(blocks), mb(used), mb(limit)), expected, "{blocks} MB, {used} in use, at most {limit}");
        }
    }

    /// So many windows of ten ticks of 600 noisy series: 50 KB each.
    fn fill(bench: &Bench, windows: std::ops::Range<i64>) {
        let mut random = Random::new(windows.start as u64);
        for window in windows {
            for tick in 0..10 {
                let samples: Vec<(u64, f64)> = (0..600).map(|i| (i, random.unit())).collect();
                bench.tick(window * 10_000 + tick * 1000, &samples);
            }
            bench.ring().commit().unwrap();
            bench.maintain(window * 10_000 + 11_500);
        }
    }

    #[test]
    fn a_lowered_limit_gives_the_room_back() {
        let mut bench = Bench::new();
        bench.config.retention_size_bytes = 6 << 20;
        bench.kill_and_open();
        fill(&bench, 0..110);
        let before = bench.ring().stats();
        assert!(before.disk_bytes > 4 << 20, "{before:?}");
        assert_eq!(bench.ring().counters().compactions.load(Relaxed), 0, "a ring that turns over needs none");
        bench.config.retention_size_bytes = 3 << 20;
        bench.kill_and_open();
        fill(&bench, 110..112);
        let after = bench.ring().stats();
        assert_eq!(bench.ring().counters().compactions.load(Relaxed), 1);
        let segment = after.segment_page_bytes / after.segments as u64;
        assert!(after.disk_bytes <= (3 << 20) + segment, "{after:?}");
        let all = everything(bench.ring());
        fill(&bench, 112..122);
        assert_eq!(bench.ring().counters().compactions.load(Relaxed), 1, "once is enough");
        assert!(bench.ring().stats().disk_bytes <= (3 << 20) + segment, "{:?}", bench.ring().stats());
        let kept = everything(bench.ring());
        let oldest = kept.iter().map(|sample| sample.1).min().unwrap();
        let shared = all.iter().filter(|sample| sample.1 >= oldest);
        assert!(shared.eq(kept.iter().filter(|sample| sample.1 < 1_120_000)), "nothing else went");
        bench.ring = None;
        assert_eq!(verify(&bench.config.path, &mut |_, _| {}).unwrap().findings, []);
    }

    #[test]
    fn ticks_go_on_while_the_file_is_compacted() {
        let bench = Bench::new();
        fill(&bench, 0..5);
        let ring = bench.ring();
        std::thread::scope(|scope| {
            let commits = || ring.counters().commits.load(Relaxed);
            let compacting = scope.spawn(|| ring.store.compact().unwrap());
            for n in 0..2000 {
                bench.tick(60_000 + n, &[(1, n as f64)]);
                let (busy, before) = (ring.store.is_compacting(), commits());
                ring.commit().unwrap();
                assert!(commits() > before || busy || ring.store.is_compacting(), "tick {n}");
            }
            compacting.join().unwrap();
        });
        ring.commit().unwrap();
        assert_eq!(ring.stats().pending_rows, 0);
    }
}
