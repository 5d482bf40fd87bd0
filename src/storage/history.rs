//! Old samples that come all at once: they become segments of their own, past head and rows.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{IrregularSample, Labels, Timestamp};

use super::catalog::{Keep, cost, millis};
use super::head::{WindowData, is_same};
use super::ring::Ring;
use super::segment::{ExemplarInput, SegmentWriter, SliceInput, sort_exemplars};
use super::store::{Retire, SealChange};
use super::{Column, ExemplarSeries, SelectRequest, Stop, StorageError};

/// What became of samples that were brought in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inserted {
    /// Samples that are in the ring now and were not before.
    pub samples: u64,
    /// Samples whose time was taken in the ring; what was there stays.
    pub duplicates: u64,
    /// Exemplars that are in the ring now and were not before.
    pub exemplars: u64,
}

impl Ring {
    /// Bytes of pages that all segments take: what `retention.size` is compared with.
    pub fn segment_page_bytes(&self) -> u64 {
        self.inner.read().catalog.segments().iter().map(|s| cost(s)).sum()
    }

    /// Brings samples of one window (or a part of one) in as a segment. The samples of each series must ascend in time.
    /// Nothing is retired: the next maintenance does that, by time and by size. A sample whose time is taken is
    /// left out. Memory holds the window's samples, and those that the ring has at the same time.
    ///
    /// # Errors
    /// When the database failed; nothing of the window is in the ring then.
    pub fn insert_history(&self, series: Vec<(Labels, Vec<IrregularSample>)>) -> Result<Inserted, StorageError> {
        self.insert_history_with(series, Vec::new())
    }

    /// The same with exemplars, each series once; those that the ring has are left out without a count.
    ///
    /// # Errors
    /// As [`Ring::insert_history`].
    pub fn insert_history_with(
        &self,
        mut series: Vec<(Labels, Vec<IrregularSample>)>,
        mut exemplars: Vec<ExemplarSeries>,
    ) -> Result<Inserted, StorageError> {
        let mut done = Inserted { duplicates: self.drop_known(&mut series)?, ..Inserted::default() };
        self.drop_known_exemplars(&mut exemplars)?;
        series.retain(|(_, samples)| !samples.is_empty());
        if series.is_empty() && exemplars.is_empty() {
            return Ok(done);
        }
        let _sealer = self.sealer.lock();
        let epoch = self.load_current_epoch()?;
        let mut guard = self.inner.write();
        let inner = &mut *guard;
        let mut data = WindowData::default();
        let mut ids = FxHashMap::default();
        for (labels, samples) in series {
            let sid = inner.head.series.intern(&labels);
            ids.insert(sid, inner.catalog.id_for(epoch, sid, &mut inner.head.series));
            data.irregular.push((sid, samples));
        }
        data.irregular.sort_by_key(|(sid, _)| *sid);
        for ExemplarSeries { labels, exemplars } in exemplars {
            let sid = inner.head.series.intern(&labels);
            ids.insert(sid, inner.catalog.id_for(epoch, sid, &mut inner.head.series));
            done.exemplars += exemplars.len() as u64;
            data.exemplars.push((sid, exemplars));
        }
        drop(guard);
        let exemplars = std::mem::take(&mut data.exemplars);
        let exemplars = ExemplarInput::of_window(exemplars, |sid| ids.get(&sid).copied());
        let slices = SliceInput::of_window(data, |sid| ids.get(&sid).copied());
        let mut writer = SegmentWriter::new(slices, exemplars);
        // Samples in memory have no damage: only columns of other segments do.
        while writer.step().unwrap_or(false) {}
        let Some(finished) = writer.finish() else { return Ok(done) };
        let store = self.store.writer();
        let inner = self.inner.read();
        let window = self.window_for_history(&inner.head, finished.min_ts);
        let meta = finished.meta(inner.catalog.next_segment(), window, epoch, ids.len() as u32);
        let (first_id, labels) = inner.catalog.unwritten(epoch, &inner.head.series);
        drop(inner);
        let retire = Retire::default();
        let (stream, rows_before) = (finished.stream.as_slice(), Timestamp::MIN);
        self.store.seal(&SealChange {
            meta: &meta,
            stream,
            series: (first_id, &labels),
            rows_before,
            retire: &retire,
        })?;
        done.samples = finished.samples;
        let mut guard = self.inner.write();
        let inner = &mut *guard;
        inner.catalog.push(meta, labels.len() as u32);
        // Nothing open lies before this, so queries must look into the segments.
        let sealed = inner.catalog.sealed_until();
        inner.head.sealing = inner.head.sealing.max(sealed);
        inner.head.floor = inner.head.floor.max(sealed);
        drop(guard);
        drop(store);
        Ok(done)
    }

    /// Retires segments whose samples are older than `oldest`, and the oldest ones until the others take at most `size_bytes`. Returns how
    /// many samples went. Only for a ring that nobody appends to: maintenance does it else.
    ///
    /// # Errors
    /// When the database failed; nothing is retired then.
    pub fn apply_retention(&self, size_bytes: u64, oldest: Timestamp) -> Result<u64, StorageError> {
        let _sealer = self.sealer.lock();
        let writer = self.store.writer();
        let inner = self.inner.read();
        let retire = inner.catalog.due(0, 0, &Keep::since(oldest, size_bytes));
        let gone = inner.catalog.segments().iter().filter(|s| retire.segments.contains(&s.id)).map(|s| s.samples).sum();
        drop(inner);
        if !retire.segments.is_empty() {
            self.store.retire(&retire)?;
            let mut inner = self.inner.write();
            let inner = &mut *inner;
            inner.catalog.remove(&retire, &mut inner.head.series);
        }
        drop(writer);
        Ok(gone)
    }

    /// A window before everything that is still open in rows: what a segment covers is not replayed.
    fn window_for_history(&self, head: &super::head::Head, ts: Timestamp) -> (Timestamp, Timestamp) {
        let length = millis(self.config.window).max(1000);
        let newest = head.window_of(self.clock.now());
        let open = head.first_open_window().unwrap_or(Timestamp::MAX);
        let window = head.window_of(ts).min(newest);
        if window.saturating_add(length) <= open {
            return (window, window.saturating_add(length));
        }
        (open.saturating_sub(length), open)
    }

    /// Sorts exemplars, and takes out those that the ring has.
    fn drop_known_exemplars(&self, series: &mut Vec<ExemplarSeries>) -> Result<(), StorageError> {
        let all = || series.iter().flat_map(|series| series.exemplars.iter().map(|(ts, _)| *ts));
        let (Some(start), Some(end)) = (all().min(), all().max()) else {
            series.clear();
            return Ok(());
        };
        let known = self.exemplars_of(&[], start, end, usize::MAX)?;
        let known: FxHashMap<Labels, _> = known.into_iter().map(|known| (known.labels, known.exemplars)).collect();
        for ExemplarSeries { labels, exemplars } in series.iter_mut() {
            exemplars.iter_mut().for_each(|(ts, exemplar)| exemplar.ts = Some(*ts));
            sort_exemplars(exemplars);
            let Some(known) = known.get(labels) else { continue };
            exemplars.retain(|(ts, exemplar)| {
                let from = known.partition_point(|(at, _)| at < ts);
                let same_time = known[from..].iter().take_while(|(at, _)| at == ts);
                !same_time.into_iter().any(|(_, known)| is_same(known, exemplar))
            });
        }
        series.retain(|series| !series.exemplars.is_empty());
        Ok(())
    }

    /// Takes out samples whose time is taken, and says how many they were.
    fn drop_known(&self, series: &mut [(Labels, Vec<IrregularSample>)]) -> Result<u64, StorageError> {
        let all = || series.iter().flat_map(|(_, samples)| samples.iter().map(|s| s.ts));
        let (Some(start), Some(end)) = (all().min(), all().max()) else { return Ok(0) };
        let (matchers, stop) = (Vec::new(), Stop::never());
        let request = SelectRequest { matchers, start, end, last_only: false, max_samples: usize::MAX, stop };
        let mut known: FxHashMap<Labels, FxHashSet<Timestamp>> = FxHashMap::default();
        for found in self.select_raw(&request)?.into_series() {
            let times = known.entry(found.labels).or_default();
            for run in &found.runs {
                let is_there = |i: usize| match &run.values {
                    Column::Floats(values) => !crate::model::is_absent(values[i]),
                    Column::Histograms(values) => values[i].is_some(),
                };
                times.extend((run.from..run.to).filter(|i| is_there(*i)).map(|i| run.times[i]));
            }
        }
        let mut duplicates = 0;
        for (labels, samples) in series {
            let Some(times) = known.get(labels) else { continue };
            let before = samples.len();
            samples.retain(|sample| !times.contains(&sample.ts));
            duplicates += (before - samples.len()) as u64;
        }
        Ok(duplicates)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{IrregularSample, Value};
    use crate::storage::testing::{Bench, labels};
    use crate::storage::verify;

    fn samples(from: i64, to: i64) -> Vec<IrregularSample> {
        (from..to).map(|n| IrregularSample { ts: n * 1000, start_ts: 0, value: Value::Float(n as f64) }).collect()
    }

    #[test]
    fn history_goes_beside_what_is_there_and_survives() {
        let mut bench = Bench::new();
        for n in 100..130 {
            bench.clock.set(n * 1000);
            bench.tick(n * 1000, &[(0, n as f64)]);
            bench.ring().commit().unwrap();
            bench.maintain(n * 1000);
        }
        // Older than anything, in sealed windows, in the open one; some of it is there already.
        for (from, to, kept) in [(10, 20, 10), (98, 105, 2), (120, 132, 2)] {
            let done = bench.ring().insert_history(vec![(labels(0), samples(from, to))]).unwrap();
            assert_eq!((done.samples, done.duplicates), (kept, (to - from) as u64 - kept), "{from}..{to}");
        }
        assert_eq!(bench.ring().insert_history(vec![(labels(7), samples(101, 103))]).unwrap().samples, 2);
        let expected = |all: &str| {
            let zero: Vec<i64> = (10..20).chain(98..132).collect();
            let words = zero.iter().map(|n| format!("0@{}={n}", n * 1000));
            let seven = [101, 102].map(|n| format!("7@{}={n}", n * 1000));
            assert_eq!(all, words.chain(seven).collect::<Vec<_>>().join(" "));
        };
        expected(&bench.dump(0, 1 << 40));
        bench.kill_and_open();
        expected(&bench.dump(0, 1 << 40));
        // The daemon goes on, and seals what was open.
        bench.tick(140_000, &[(0, 140.0)]);
        bench.ring().commit().unwrap();
        bench.maintain(160_000);
        bench.kill_and_open();
        assert!(bench.dump(0, 1 << 40).contains("0@140000=140"));
        bench.ring = None;
        assert_eq!(verify(&bench.config.path, &mut |_, _| {}).unwrap().findings, []);
    }

    #[test]
    fn retention_can_be_applied_at_once() {
        let bench = Bench::new();
        bench.clock.set(500_000);
        for from in [10, 40, 70] {
            bench.ring().insert_history(vec![(labels(0), samples(from, from + 5))]).unwrap();
        }
        assert_eq!(bench.ring().apply_retention(u64::MAX, 44_000).unwrap(), 5);
        assert_eq!(bench.ring().apply_retention(u64::MAX, 44_000).unwrap(), 0);
        assert!(bench.dump(0, 1 << 40).starts_with("0@40000=40 "));
        assert_eq!((bench.ring().apply_retention(0, 0).unwrap(), bench.dump(0, 1 << 40).as_str()), (10, ""));
    }

    #[test]
    fn the_oldest_samples_go_first_whenever_they_came() {
        let mut bench = Bench::new();
        bench.config.retention_time = std::time::Duration::from_secs(100);
        bench.ring = None;
        bench.open();
        for n in 100..130 {
            bench.clock.set(n * 1000);
            bench.tick(n * 1000, &[(0, n as f64)]);
            bench.ring().commit().unwrap();
            bench.maintain(n * 1000);
        }
        bench.ring().insert_history(vec![(labels(0), samples(40, 50))]).unwrap();
        assert!(bench.dump(0, 1 << 40).contains("0@40000="));
        bench.maintain(160_000);
        let left = bench.dump(0, 1 << 40);
        assert!(!left.contains("0@40000=") && left.contains("0@100000="), "{left}");
    }
}
