//! The ring itself: head, catalog and file behind one handle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

use parking_lot::{Mutex, RwLock};

use crate::clock::Clock;
use crate::model::{Batch, Intern, Irregular, Timestamp};

use super::cache::IndexCache;
use super::catalog::{Catalog, cost, millis};
use super::config::{Config, Durability, RingCounters, RingStats, StateTable};
use super::head::{Head, Limits};
use super::read::Resolutions;
use super::replay;
use super::seal::Sealer;
use super::store::{Retire, StateChange, StateKey, Store};
use super::{Progress, StorageError};

/// Rows that may wait in memory while the disk fails; beyond that they are given up and counted.
const MAX_PENDING_BYTES: usize = 64 << 20;
/// Bytes of the tail from which on a commit with fsync takes it over before its time.
const MAX_TAIL_BYTES: u64 = 64 << 20;

/// Key and value of a small table.
pub type StatePair = (Vec<u8>, Vec<u8>);

/// The store of recent history: appends, queries, seals, forgets. Cheap to share by `Arc`; all methods take `&self`.
///
/// ```
/// use std::sync::Arc;
/// use watchfire::clock::{Clock, ManualClock};
/// use watchfire::model::{Batch, GroupId, Intern, Labels, Matcher, SeriesKey, SeriesRef};
/// use watchfire::storage::{Config, Querier, Ring, SelectRequest, Stop};
///
/// struct One;
/// impl Intern for One {
///     fn intern(&self, _: SeriesKey<'_>) -> Option<SeriesRef> { Some(SeriesRef(1)) }
///     fn release(&self, _: &[SeriesRef]) {}
///     fn labels(&self, _: SeriesRef) -> Option<Labels> { Some(Labels::from_pairs(&[("__name__", "up")])) }
/// }
///
/// let clock = Clock::Manual(ManualClock::new(10_000));
/// let ring = Ring::in_memory(Config::default(), clock, Arc::new(One))?;
/// let mut tick = Batch::new(GroupId(1), 9_000);
/// tick.floats.push((SeriesRef(1), 1.0));
/// ring.append(&tick)?;
/// let request = SelectRequest {
///     matchers: vec![Matcher::equal("__name__", "up")], start: 0, end: 10_000, last_only: true, max_samples: 100,
///     stop: Stop::never(),
/// };
/// assert_eq!(ring.select(&request)?.labels[0].to_string(), "up");
/// # Ok::<(), watchfire::storage::StorageError>(())
/// ```
pub struct Ring {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    intern: Arc<dyn Intern>,
    pub(crate) inner: RwLock<Inner>,
    pub(crate) store: Store,
    pub(crate) sealer: Mutex<Sealer>,
    pub(crate) cache: IndexCache,
    pub(crate) resolutions: Resolutions,
    counters: Arc<RingCounters>,
    /// Changes of the small tables since the last commit.
    state: Mutex<BTreeMap<StateKey, Option<Vec<u8>>>>,
    /// When rows were written last, for relaxed durability.
    last_write: AtomicI64,
    pub(crate) degraded: AtomicBool,
    /// Why the file failed last.
    failure: Mutex<Option<String>>,
    /// What is in the file is not known in memory: it could not be opened at the start, or another has its name now.
    pub(crate) detached: AtomicBool,
    /// When the file was last tried again while degraded.
    pub(crate) last_retry: AtomicI64,
    /// When selections that nobody asks for any more were forgotten last.
    pub(crate) last_aged: AtomicI64,
    replayed_rows: u64,
    /// Bytes of rows written since the last seal, and the most that one window took.
    pub(crate) row_bytes: AtomicU64,
    pub(crate) row_bytes_peak: AtomicU64,
}

/// What a file says of itself when it is opened.
pub(crate) struct Contents {
    pub(crate) catalog: Catalog,
    /// Damaged records of the directory.
    pub(crate) damaged: u64,
}

impl Contents {
    pub(crate) fn read(store: &Store, config: &Config) -> Result<Self, StorageError> {
        store.set_window(window_ms(config))?;
        let (metas, damaged) = store.directory()?;
        let mut catalog = Catalog::new(metas);
        catalog.raw_from = store.raw_from()?.unwrap_or(Timestamp::MIN);
        // Numbers start anew when no segment is left: the last series table must not be taken for a new one.
        let orphans: Vec<u32> = store.epochs()?.into_iter().filter(|epoch| !catalog.has_epoch(*epoch)).collect();
        if !orphans.is_empty() {
            store.retire(&Retire { epochs: orphans, ..Retire::default() })?;
        }
        Ok(Self { catalog, damaged })
    }
}

/// Length of a window in milliseconds.
fn window_ms(config: &Config) -> i64 {
    millis(config.window).max(1000)
}

/// What the one lock guards.
pub(crate) struct Inner {
    pub(crate) head: Head,
    pub(crate) catalog: Catalog,
}

impl Ring {
    /// Opens the ring in `config.path` and replays what was not sealed. On a full disk it begins in memory, says so in
    /// its stats, and takes the file up when there is room.
    ///
    /// # Errors
    /// When the directory cannot be written, another process has it, the file is damaged, or a newer watchfire wrote it.
    pub fn open(config: Config, clock: Clock, intern: Arc<dyn Intern>) -> Result<Self, StorageError> {
        let store = Store::in_dir(&config.path, config.cache_bytes);
        Self::with_store(config, clock, intern, store)
    }

    /// A ring that ends with the process: for demos and tests. Everything else is as with a file.
    ///
    /// # Errors
    /// None that is expected.
    pub fn in_memory(config: Config, clock: Clock, intern: Arc<dyn Intern>) -> Result<Self, StorageError> {
        // Tests and demos bring timestamps of their own.
        let config = Config { max_ahead: None, ..config };
        Self::with_store(config, clock, intern, Store::in_memory())
    }

    pub(crate) fn with_store(
        config: Config,
        clock: Clock,
        intern: Arc<dyn Intern>,
        store: Store,
    ) -> Result<Self, StorageError> {
        match store.reopen().and_then(|()| Contents::read(&store, &config)) {
            Ok(contents) => Self::begin(config, clock, intern, store, Some(contents)),
            Err(error @ StorageError::Full { .. }) => {
                let ring = Self::begin(config, clock, intern, store, None)?;
                ring.detached.store(true, Relaxed);
                ring.degrade(ring.clock.now(), &error);
                Ok(ring)
            }
            Err(error) => Err(error),
        }
    }

    fn begin(
        config: Config,
        clock: Clock,
        intern: Arc<dyn Intern>,
        store: Store,
        contents: Option<Contents>,
    ) -> Result<Self, StorageError> {
        let counters = Arc::new(RingCounters::default());
        let mut head = Head::new(window_ms(&config));
        let mut replayed_rows = 0;
        let catalog = match contents {
            Some(Contents { catalog, damaged }) => {
                counters.damaged.fetch_add(damaged, Relaxed);
                (head.sealing, head.floor) = (catalog.sealed_until(), catalog.sealed_until());
                replayed_rows = replay::replay(&store, &store.writer(), &mut head, replay::Scope::All, &counters)?;
                catalog
            }
            None => Catalog::new(Vec::new()),
        };
        Ok(Self {
            last_write: AtomicI64::new(clock.now()),
            last_retry: AtomicI64::new(0),
            last_aged: AtomicI64::new(0),
            config,
            clock,
            intern,
            inner: RwLock::new(Inner { head, catalog }),
            store,
            sealer: Mutex::new(Sealer::default()),
            cache: IndexCache::default(),
            resolutions: Resolutions::default(),
            counters,
            state: Mutex::new(BTreeMap::new()),
            degraded: AtomicBool::new(false),
            failure: Mutex::new(None),
            detached: AtomicBool::new(false),
            replayed_rows,
            row_bytes: AtomicU64::new(0),
            row_bytes_peak: AtomicU64::new(0),
        })
    }

    /// Takes one tick: it can be queried at once and is durable after the next [`Ring::commit`].
    ///
    /// A tick at or before its group's newest becomes irregular samples; a sample whose time is taken is dropped and
    /// counted when it differs, as Prometheus does.
    ///
    /// # Errors
    /// None today; the door keeps room for a refusal.
    pub fn append(&self, batch: &Batch) -> Result<(), StorageError> {
        let limits = self.limits();
        self.inner.write().head.append(batch, &*self.intern, limits, &self.counters);
        Ok(())
    }

    /// Takes samples that carry their own timestamps, in any order.
    ///
    /// # Errors
    /// None today; the door keeps room for a refusal.
    pub fn append_irregular(&self, irregular: &[Irregular]) -> Result<(), StorageError> {
        let limits = self.limits();
        let mut inner = self.inner.write();
        for series in irregular {
            inner.head.append_irregular(series, &*self.intern, limits, &self.counters);
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        let now = self.clock.now();
        Limits {
            oldest: now.saturating_sub(millis(self.config.retention_time)),
            newest: self.config.max_ahead.map_or(Timestamp::MAX, |ahead| now.saturating_add(millis(ahead))),
            exemplars: self.config.max_exemplars,
        }
    }

    /// Makes everything that was appended durable, in one transaction. Call it about once a second, where blocking is fine.
    ///
    /// With relaxed durability it waits for the disk only every `relaxed_interval`: a commit between is as durable as the kernel. While the file is compacted rows wait for the next call.
    ///
    /// # Errors
    /// When the disk failed: the rows stay in memory, the ring goes on without the file and says so in its stats,
    /// and [`Ring::maintain`] tries the file again.
    pub fn commit(&self) -> Result<(), StorageError> {
        let now = self.clock.now();
        let (degraded, compacting) = (self.degraded.load(Relaxed), self.store.is_compacting());
        let early = (0..millis(self.config.relaxed_interval)).contains(&(now - self.last_write.load(Relaxed)))
            && self.inner.read().head.log.bytes() < MAX_PENDING_BYTES / 2
            && self.store.tail_bytes() < MAX_TAIL_BYTES;
        let relaxed = self.config.durability == Durability::Relaxed && (early || compacting);
        let handed = relaxed && !degraded && self.spill();
        if !handed && !degraded && !compacting {
            return self.write_pending(now);
        }
        self.bound_pending();
        Ok(())
    }

    /// Hands rows and state to the kernel, without fsync. Says whether it took them: else they wait for the next commit with
    /// fsync.
    fn spill(&self) -> bool {
        // Until the rows are in the tail, nobody else may take them from the log.
        let writer = self.store.writer();
        let (records, mark) = self.inner.write().head.log.spill();
        let state: Vec<StateChange> = self.state.lock().clone().into_iter().collect();
        if records.is_empty() && state.is_empty() {
            return true;
        }
        let done = self.store.spill(&writer, &records, &state);
        match done {
            Ok(true) => self.counters.commits.fetch_add(1, Relaxed),
            Ok(false) => 0,
            Err(_) => self.counters.commit_errors.fetch_add(1, Relaxed),
        };
        let handed = done.is_ok_and(|there_is_one| there_is_one);
        if !handed {
            self.inner.write().head.log.unspill(mark);
        }
        handed
    }

    /// Writes rows and state now.
    pub(crate) fn write_pending(&self, now: Timestamp) -> Result<(), StorageError> {
        let mut writer = self.store.writer();
        let records = self.inner.write().head.log.take();
        let state: Vec<StateChange> = self.state.lock().clone().into_iter().collect();
        if records.is_empty() && state.is_empty() {
            return Ok(());
        }
        match self.store.commit(&mut writer, &records, &state) {
            Ok(()) => {
                // What changed meanwhile stays for the next commit.
                let mut pending = self.state.lock();
                for (key, value) in &state {
                    if pending.get(key) == Some(value) {
                        pending.remove(key);
                    }
                }
                let bytes: usize = records.iter().map(|r| r.rows.len()).sum();
                self.row_bytes.fetch_add(bytes as u64, Relaxed);
                self.last_write.store(now, Relaxed);
                self.counters.commits.fetch_add(1, Relaxed);
                Ok(())
            }
            Err(error) => {
                // The failed commit may be on disk all the same: full rows are right either way.
                let mut inner = self.inner.write();
                inner.head.log.give_back(records);
                inner.head.reset_rows();
                drop(inner);
                self.counters.commit_errors.fetch_add(1, Relaxed);
                self.degrade(now, &error);
                Err(error)
            }
        }
    }

    /// Goes on without the file.
    pub(crate) fn degrade(&self, now: Timestamp, why: &StorageError) {
        *self.failure.lock() = Some(why.to_string());
        self.degraded.store(true, Relaxed);
        self.last_retry.store(now, Relaxed);
    }

    /// Gives rows up rather than grow without end; the next row of each group will be full again.
    fn bound_pending(&self) {
        let mut inner = self.inner.write();
        if inner.head.log.bytes() > MAX_PENDING_BYTES {
            self.counters.rows_lost.fetch_add(inner.head.log.rows() as u64, Relaxed);
            inner.head.log.take();
            inner.head.reset_rows();
        }
    }

    /// Does one slice (20 ms at most, one transaction apart) of what is due at `now`: sealing, retention, recovery
    /// of a failed file. Meant for a thread of its own; call again at once on [`Progress::More`], else in a second or so.
    ///
    /// # Errors
    /// When the disk failed; nothing is lost, the same work is tried again later.
    pub fn maintain(&self, now: Timestamp) -> Result<Progress, StorageError> {
        super::seal::maintain(self, now)
    }

    /// Commits, whatever the durability, and closes the file.
    ///
    /// # Errors
    /// When the last commit failed.
    pub fn shutdown(&self) -> Result<(), StorageError> {
        let result = self.write_pending(self.clock.now());
        self.store.close();
        result
    }

    /// Counters that grow for as long as the process lives.
    pub fn counters(&self) -> Arc<RingCounters> {
        self.counters.clone()
    }

    /// The state at this moment.
    pub fn stats(&self) -> RingStats {
        let inner = self.inner.read();
        let (head_oldest, newest, head_bytes) = inner.head.extent();
        let segments = inner.catalog.segments();
        let oldest = segments.iter().map(|s| s.min_ts).chain(head_oldest).min();
        RingStats {
            head_series: inner.head.series.len(),
            head_bytes,
            segments: segments.len(),
            segment_samples: segments.iter().map(|s| s.samples).sum(),
            segment_bytes: segments.iter().map(|s| s.stream_len).sum(),
            segment_page_bytes: segments.iter().map(|s| cost(s)).sum(),
            rollup_segments: inner.catalog.rolled.iter().count(),
            rollup_page_bytes: inner.catalog.rolled.iter().map(|s| cost(s)).sum(),
            disk_bytes: self.store.disk_bytes(),
            oldest,
            newest: segments.iter().map(|s| s.max_ts).chain(newest).max(),
            pending_rows: inner.head.log.rows(),
            pending_bytes: inner.head.log.bytes(),
            replayed_rows: self.replayed_rows,
            degraded: self.degraded.load(Relaxed),
        }
    }

    /// Sets a value of a small table; durable after the next commit.
    pub fn state_put(&self, table: StateTable, key: &[u8], value: &[u8]) {
        self.state.lock().insert((table as u8, key.to_vec()), Some(value.to_vec()));
    }

    /// Removes a value of a small table; durable after the next commit.
    pub fn state_delete(&self, table: StateTable, key: &[u8]) {
        self.state.lock().insert((table as u8, key.to_vec()), None);
    }

    /// A value of a small table.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn state_get(&self, table: StateTable, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        if let Some(pending) = self.state.lock().get(&(table as u8, key.to_vec())) {
            return Ok(pending.clone());
        }
        match self.store.state_get(table as u8, key) {
            // Without the file, memory answers alone.
            Err(_) if self.is_degraded() => Ok(None),
            found => found,
        }
    }

    /// All pairs of a small table, ascending by key.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn state_scan(&self, table: StateTable) -> Result<Vec<StatePair>, StorageError> {
        let pending = self.state.lock().clone();
        let stored = match self.store.state_scan(table as u8) {
            Err(_) if self.is_degraded() => Vec::new(),
            found => found?,
        };
        let mut pairs: BTreeMap<Vec<u8>, Vec<u8>> = stored.into_iter().collect();
        for ((found, key), value) in pending {
            if found != table as u8 {
                continue;
            }
            match value {
                Some(value) => pairs.insert(key, value),
                None => pairs.remove(&key),
            };
        }
        Ok(pairs.into_iter().collect())
    }

    /// Whether the disk failed and samples are kept in memory only.
    pub fn is_degraded(&self) -> bool {
        self.degraded.load(Relaxed)
    }

    /// Why samples are kept in memory only, while they are.
    pub fn failure(&self) -> Option<String> {
        self.is_degraded().then(|| self.failure.lock().clone()).flatten()
    }

    /// Bytes that rows may take in the file: two windows of them are there at times.
    pub(crate) fn row_reserve(&self) -> u64 {
        2 * self.row_bytes_peak.load(Relaxed)
    }

    pub(crate) fn count_damage(&self, records: u64) {
        self.counters.damaged.fetch_add(records, Relaxed);
    }
}
