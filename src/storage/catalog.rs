//! Which segments there are, and which series their ids mean.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::model::{Labels, Timestamp};

use super::config::Config;
use super::head::{SeriesTable, Sid};
use super::rollup::{Spans, Tier};
use super::schema::EPOCH_SEGMENTS;
use super::segment::{SegmentMeta, allocated_bytes};
use super::store::Retire;

/// Bytes that redb takes for itself and for its small tables.
pub(crate) const FIXED_BYTES: u64 = 1 << 20;

/// This part of the file stays free: segments of many sizes leave holes between them until the file is compacted (a month of
/// raw segments and rollups in 8 MB: up to 3 %).
const SCATTERED: u64 = 20;

/// Series by id; a damaged block of the table leaves holes.
pub(crate) type Ids = Arc<Vec<Option<Sid>>>;

/// The series of one generation of segments.
#[derive(Debug, Default)]
pub(crate) struct Epoch {
    /// Series by id; `None` while the table has not been read.
    ids: Option<Ids>,
    by_sid: FxHashMap<Sid, u32>,
    /// Segments that are left.
    segments: u32,
    /// Ids that are on disk.
    persisted: u32,
    /// Whether a query wanted the series since [`Catalog::unload`] looked.
    asked: AtomicBool,
}

impl Epoch {
    /// Gives up the series, as if the table had not been read.
    fn let_go(&mut self, table: &mut SeriesTable) {
        self.by_sid = FxHashMap::default();
        for sid in self.ids.take().iter().flat_map(|ids| ids.iter().flatten()) {
            if let Some(series) = table.get_mut(*sid) {
                series.uses -= 1;
            }
            table.release_if_unused(*sid);
        }
    }
}

/// The directory in memory.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// Ascending by window: where two have a sample of the same time, the later one's counts.
    segments: Vec<Arc<SegmentMeta>>,
    pub(crate) rolled: Spans,
    /// Raw samples before this are gone: retention took them.
    pub(crate) raw_from: Timestamp,
    epochs: BTreeMap<u32, Epoch>,
    next_segment: u64,
}

impl Catalog {
    pub(crate) fn new(metas: Vec<SegmentMeta>) -> Self {
        let mut catalog = Self { next_segment: 1, raw_from: Timestamp::MIN, ..Self::default() };
        for meta in metas {
            catalog.epochs.entry(meta.epoch).or_default().segments += 1;
            catalog.next_segment = catalog.next_segment.max(meta.id + 1);
            match meta.tier {
                None => catalog.segments.push(Arc::new(meta)),
                // One a span: what was made anew has taken the place of the older in the same transaction.
                Some(tier) => catalog.rolled.insert(tier, Arc::new(meta)),
            }
        }
        catalog.segments.sort_by_key(|s| (s.window, s.id));
        catalog
    }

    /// Takes up the directory of another file; series that only the old one named are given up.
    pub(crate) fn replace(&mut self, other: Self, table: &mut SeriesTable) {
        self.epochs.values_mut().for_each(|epoch| epoch.let_go(table));
        table.touch_all();
        // Numbers go on, so that nobody takes a new segment for an old one.
        let next_segment = self.next_segment.max(other.next_segment);
        *self = Self { next_segment, ..other };
    }

    pub(crate) fn segments(&self) -> &[Arc<SegmentMeta>] {
        &self.segments
    }

    /// The end of the newest sealed window.
    pub(crate) fn sealed_until(&self) -> Timestamp {
        self.segments.iter().map(|s| s.window_end).max().unwrap_or(Timestamp::MIN)
    }

    /// Segments of windows before `floor` that may hold samples within the bounds.
    pub(crate) fn overlapping(&self, floor: Timestamp, start: Timestamp, end: Timestamp) -> Vec<Arc<SegmentMeta>> {
        self.segments.iter().filter(|s| s.window < floor && s.overlaps(start, end)).cloned().collect()
    }

    /// Segments that may have exemplars within the bounds.
    pub(crate) fn with_exemplars(&self, start: Timestamp, end: Timestamp) -> Vec<Arc<SegmentMeta>> {
        let within = |s: &&Arc<SegmentMeta>| s.exemplars.is_some_and(|span| span.first <= end && start <= span.last);
        self.segments.iter().filter(within).cloned().collect()
    }

    /// The series by id, if the table has been read.
    pub(crate) fn ids(&self, epoch: u32) -> Option<Ids> {
        let epoch = self.epochs.get(&epoch)?;
        epoch.asked.store(true, Relaxed);
        epoch.ids.clone()
    }

    /// The epoch that the next segment belongs to.
    pub(crate) fn current_epoch(&self) -> u32 {
        u32::try_from(self.next_segment.saturating_sub(1) / u64::from(EPOCH_SEGMENTS)).unwrap_or(u32::MAX)
    }

    /// Has new segments go with the next series table: in one that is damaged their series would get numbers that are taken.
    pub(crate) fn leave_epoch(&mut self, epoch: u32) {
        if self.current_epoch() == epoch {
            self.next_segment = (u64::from(epoch) + 1) * u64::from(EPOCH_SEGMENTS) + 1;
        }
    }

    /// Whether any segment uses a series table.
    pub(crate) fn has_epoch(&self, epoch: u32) -> bool {
        self.epochs.contains_key(&epoch)
    }

    /// Whether a series table is in memory; one that does not exist yet is.
    pub(crate) fn is_loaded(&self, epoch: u32) -> bool {
        self.epochs.get(&epoch).is_none_or(|e| e.ids.is_some())
    }

    /// Takes a series table that was read.
    pub(crate) fn load(&mut self, epoch: u32, labels: Vec<Option<Labels>>, table: &mut SeriesTable) {
        let Some(entry) = self.epochs.get_mut(&epoch).filter(|e| e.ids.is_none()) else { return };
        let sids: Vec<Option<Sid>> = labels.iter().map(|l| l.as_ref().map(|l| table.intern(l))).collect();
        entry.persisted = sids.len() as u32;
        for (id, sid) in sids.iter().enumerate() {
            let Some(sid) = *sid else { continue };
            entry.by_sid.insert(sid, id as u32);
            if let Some(series) = table.get_mut(sid) {
                series.uses += 1;
            }
        }
        entry.ids = Some(Arc::new(sids));
    }

    /// Gives up the series tables that no query asked for since the last call: they are read again when one does. Rollups of ten
    /// years have thousands of them. What is under way must not count on their series.
    pub(crate) fn unload(&mut self, table: &mut SeriesTable) {
        let current = self.current_epoch();
        for (_, epoch) in self.epochs.iter_mut().filter(|(number, _)| **number != current) {
            let whole = epoch.ids.as_ref().is_some_and(|ids| ids.len() == epoch.persisted as usize);
            if epoch.asked.swap(false, Relaxed) || !whole {
                continue;
            }
            epoch.let_go(table);
        }
    }

    /// Numbers a series in the current epoch, whose table must be loaded.
    pub(crate) fn id_for(&mut self, epoch: u32, sid: Sid, table: &mut SeriesTable) -> u32 {
        let entry = self.epochs.entry(epoch).or_default();
        if let Some(id) = entry.by_sid.get(&sid) {
            return *id;
        }
        let ids = Arc::make_mut(entry.ids.get_or_insert_default());
        let id = ids.len() as u32;
        ids.push(Some(sid));
        entry.by_sid.insert(sid, id);
        if let Some(series) = table.get_mut(sid) {
            series.uses += 1;
        }
        id
    }

    /// Label sets that the series table on disk lacks, and the id of the first.
    pub(crate) fn unwritten(&self, epoch: u32, table: &SeriesTable) -> (u32, Vec<Labels>) {
        let Some(entry) = self.epochs.get(&epoch) else { return (0, Vec::new()) };
        let ids = entry.ids.as_ref().map_or(&[][..], |ids| ids);
        let labels =
            |sid: &Option<Sid>| sid.and_then(|sid| table.get(sid)).map_or_else(Labels::empty, |s| s.labels.clone());
        (entry.persisted, ids.iter().skip(entry.persisted as usize).map(labels).collect())
    }

    /// The number of the next segment.
    pub(crate) fn next_segment(&self) -> u64 {
        self.next_segment
    }

    /// Takes up a segment that is on disk now, with the ids that went with it.
    pub(crate) fn push(&mut self, meta: SegmentMeta, new_ids: u32) {
        let epoch = self.epochs.entry(meta.epoch).or_default();
        epoch.segments += 1;
        epoch.persisted += new_ids;
        epoch.ids.get_or_insert_default();
        self.insert(meta);
    }

    fn insert(&mut self, meta: SegmentMeta) {
        self.next_segment = meta.id + 1;
        if let Some(tier) = meta.tier {
            self.rolled.insert(tier, Arc::new(meta));
            return;
        }
        let at = self.segments.partition_point(|s| (s.window, s.id) < (meta.window, meta.id));
        self.segments.insert(at, Arc::new(meta));
    }

    /// The oldest small segments that may become one: neighbours with one series table, in one span of the grid that memory
    /// does not have any more, with at most `bytes` of streams together.
    pub(crate) fn mergeable(&self, span: i64, floor: Timestamp, bytes: u64, skip: &[u64]) -> Vec<Arc<SegmentMeta>> {
        let place = |s: &SegmentMeta| {
            let span_of = s.window.div_euclid(span);
            let inside = s.window_end <= (span_of + 1).saturating_mul(span).min(floor) && !skip.contains(&s.id);
            inside.then_some((span_of, s.epoch))
        };
        let complete = |s: &SegmentMeta| (s.window.div_euclid(span) + 1).saturating_mul(span) <= floor;
        let mut found: Vec<Arc<SegmentMeta>> = Vec::new();
        let mut sum = 0;
        for segment in self.segments.iter().filter(|s| complete(s)) {
            let joins = place(segment).is_some()
                && sum + segment.stream_len <= bytes
                && found.last().is_none_or(|last| place(last) == place(segment));
            if !joins {
                if found.len() > 1 {
                    return found;
                }
                found.clear();
                sum = 0;
            }
            if place(segment).is_some() && segment.stream_len <= bytes {
                sum += segment.stream_len;
                found.push(Arc::clone(segment));
            }
        }
        if found.len() > 1 { found } else { Vec::new() }
    }

    /// Puts a segment in the place of those that were merged into it; all have the same series table.
    pub(crate) fn merge(&mut self, sources: &[Arc<SegmentMeta>], meta: SegmentMeta) {
        self.segments.retain(|s| sources.iter().all(|source| source.id != s.id));
        if let Some(epoch) = self.epochs.get_mut(&meta.epoch) {
            epoch.segments = (epoch.segments + 1).saturating_sub(sources.len() as u32);
        }
        self.insert(meta);
    }

    /// What must go so that `coming` bytes more fit: oldest first, by size, and everything that is past its time. A tier of
    /// rollups that has more than its share gives first, then the raw samples do.
    pub(crate) fn due(&self, coming: u64, reserve: u64, keep: &Keep) -> Retire {
        let budget = keep.budget(reserve);
        let mut raw: Vec<&Arc<SegmentMeta>> = self.segments.iter().collect();
        // Imported history has later numbers than what came after it.
        raw.sort_by_key(|s| (s.max_ts, s.id));
        let mut queues = vec![Queue::new(raw, keep.oldest, 0, self.rolled_until(Some(Tier::Minute), keep))];
        for tier in Tier::ALL {
            let (share, oldest) = (share(budget, tier), keep.oldest_rolled[tier as usize]);
            let rolled = self.rolled_until(tier.coarser(), keep);
            queues.push(Queue::new(self.rolled.all(tier).collect(), oldest, share, rolled));
        }
        let mut retire = Retire::default();
        let mut left: BTreeMap<u32, u32> = self.epochs.iter().map(|(n, e)| (*n, e.segments)).collect();
        loop {
            let used = coming + queues.iter().map(|queue| queue.bytes).sum::<u64>();
            let expired = queues.iter_mut().find(|queue| queue.expired());
            let gone = match expired {
                Some(queue) => queue.pop(),
                None if used <= budget => break,
                None => {
                    let over = queues.iter().skip(1).position(|queue| queue.bytes > queue.share && queue.is_rolled());
                    let fullest = over.map_or(0, |tier| tier + 1);
                    let any = queues.iter().position(|queue| !queue.waiting.is_empty());
                    let at = if queues[fullest].waiting.is_empty() { any } else { Some(fullest) };
                    at.and_then(|at| queues[at].pop())
                }
            };
            let Some(segment) = gone else { break };
            retire.segments.push(segment.id);
            if segment.tier.is_none() {
                retire.raw_from = retire.raw_from.max(Some(segment.max_ts.saturating_add(1)));
            }
            if let Some(count) = left.get_mut(&segment.epoch) {
                *count -= 1;
            }
        }
        let current = self.current_epoch();
        retire.epochs = left.into_iter().filter(|(n, count)| *count == 0 && *n != current).map(|(n, _)| n).collect();
        retire
    }

    /// What ends up to here is in `tier` already, or never will be.
    fn rolled_until(&self, tier: Option<Tier>, keep: &Keep) -> Timestamp {
        match tier.filter(|tier| keep.rolls[*tier as usize]) {
            Some(tier) => self.rolled.until(tier).unwrap_or(Timestamp::MIN),
            None => Timestamp::MAX,
        }
    }

    /// Whether another segment of a tier would be too much for its share: its oldest would go for it.
    pub(crate) fn has_its_share(&self, tier: Tier, reserve: u64, keep: &Keep) -> bool {
        let (bytes, largest) =
            self.rolled.all(tier).map(|s| cost(s)).fold((0, 0), |(sum, most), c| (sum + c, most.max(c)));
        bytes + largest > share(keep.budget(reserve), tier)
    }

    /// Forgets what retention took from the disk.
    pub(crate) fn remove(&mut self, retire: &Retire, table: &mut SeriesTable) {
        self.raw_from = self.raw_from.max(retire.raw_from.unwrap_or(Timestamp::MIN));
        let raw: Vec<_> = self.segments.extract_if(.., |s| retire.segments.contains(&s.id)).collect();
        let rolled = retire.segments.iter().filter_map(|id| self.rolled.remove(*id));
        for segment in raw.into_iter().chain(rolled) {
            if let Some(epoch) = self.epochs.get_mut(&segment.epoch) {
                epoch.segments -= 1;
            }
        }
        for number in &retire.epochs {
            if let Some(mut epoch) = self.epochs.remove(number) {
                epoch.let_go(table);
            }
        }
    }
}

/// What retention keeps.
#[derive(Debug, Clone)]
pub(crate) struct Keep {
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Raw samples before this go.
    pub(crate) oldest: Timestamp,
    /// By tier: buckets before this go.
    oldest_rolled: [Timestamp; Tier::ALL.len()],
    /// By tier: whether it is made.
    rolls: [bool; Tier::ALL.len()],
}

impl Keep {
    /// Raw samples since a time, and a file with at most so many bytes; no rollups go for their time.
    pub(crate) fn since(oldest: Timestamp, bytes: u64) -> Self {
        let (oldest_rolled, rolls) = ([Timestamp::MIN; Tier::ALL.len()], [false; Tier::ALL.len()]);
        Self { bytes, oldest, oldest_rolled, rolls }
    }

    pub(crate) fn of(config: &Config, now: Timestamp) -> Self {
        let before = |age: Duration| now.saturating_sub(millis(age));
        Self {
            bytes: config.retention_size_bytes,
            oldest: before(config.retention_time),
            oldest_rolled: Tier::ALL.map(|tier| before(config.rollups[tier as usize])),
            rolls: config.rollups.map(|time| !time.is_zero()),
        }
    }

    /// What segments may take; `reserve` is for rows.
    fn budget(&self, reserve: u64) -> u64 {
        self.bytes.saturating_sub(FIXED_BYTES + reserve + self.bytes / SCATTERED)
    }

    /// The same by time alone.
    pub(crate) fn by_time(self) -> Self {
        Self { bytes: u64::MAX, ..self }
    }

    /// Buckets of a tier before this are not worth making.
    pub(crate) fn oldest_of(&self, tier: Tier) -> Timestamp {
        self.oldest_rolled[tier as usize]
    }
}

/// What a tier may take of a budget.
fn share(budget: u64, tier: Tier) -> u64 {
    budget / 100 * tier.share()
}

/// Segments of one kind that wait for their end, the next to go last.
struct Queue<'a> {
    waiting: Vec<&'a Arc<SegmentMeta>>,
    bytes: u64,
    oldest: Timestamp,
    share: u64,
    /// What is newer is not in the next coarser tier yet: it goes for the size of the ring alone.
    rolled: Timestamp,
}

impl<'a> Queue<'a> {
    /// `by_age` begins with the oldest.
    fn new(mut by_age: Vec<&'a Arc<SegmentMeta>>, oldest: Timestamp, share: u64, rolled: Timestamp) -> Self {
        by_age.reverse();
        let bytes = by_age.iter().map(|s| cost(s)).sum();
        Self { waiting: by_age, bytes, oldest, share, rolled }
    }

    fn expired(&self) -> bool {
        self.waiting.last().is_some_and(|s| s.max_ts < self.oldest) && self.is_rolled()
    }

    /// Whether the next coarser tier has the segment that is the next to go.
    fn is_rolled(&self) -> bool {
        self.waiting.last().is_some_and(|s| s.max_ts <= self.rolled)
    }

    fn pop(&mut self) -> Option<&'a Arc<SegmentMeta>> {
        let segment = self.waiting.pop()?;
        self.bytes = self.bytes.saturating_sub(cost(segment));
        Some(segment)
    }
}

/// Bytes of pages that a segment takes, its share of the trees and of the series table included.
pub(crate) fn cost(segment: &SegmentMeta) -> u64 {
    let pages = allocated_bytes(segment.stream_len as usize);
    pages + pages / 50 + 256 + u64::from(segment.series) * 64 / u64::from(EPOCH_SEGMENTS)
}

/// A duration in milliseconds.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
