//! The daemon as a whole, as the HTTP edge sees it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::watch;

use crate::collect::worker::ProcessQuery;
use crate::collect::{CollectorView, Outcome};
use crate::http::{Daemon, RuntimeFacts, SnapshotError, StorageFacts};
use crate::model::{Timestamp, format_duration};
use crate::storage::Ring;

use super::collecting::Collecting;
use super::reload::Reloader;
use super::up::Views;

/// Collectors that have been silent for so long, and for ten intervals, hang.
const STUCK_MS: i64 = 30_000;

/// Health, reload and facts.
pub(super) struct DaemonPort {
    pub(super) reloader: Arc<Reloader>,
    pub(super) ring: Arc<Ring>,
    pub(super) views: Views,
    pub(super) collecting: Arc<Collecting>,
    pub(super) started_at: Timestamp,
    pub(super) quit: watch::Sender<bool>,
    /// Held while a snapshot is taken.
    pub(super) snapshots: Mutex<()>,
}

/// Time and chance, as Prometheus names its snapshots: `20260102T030405Z-0123456789abcdef`.
fn snapshot_name(now: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(now).unwrap_or_default();
    let chance = RandomState::new().hash_one(now);
    format!("{}-{chance:016x}", time.strftime("%Y%m%dT%H%M%SZ"))
}

impl Daemon for DaemonPort {
    fn ready(&self) -> Result<(), String> {
        if let Some(seconds) = self.stuck_seconds() {
            return Err(format!(
                "no collector has come to an end for {seconds} s: a read of one of them is not answered"
            ));
        }
        match self.ring.failure() {
            Some(why) => Err(format!("{why}; samples are kept in memory only until the disk takes them again")),
            None => Ok(()),
        }
    }

    fn reload(&self) -> Result<(), String> {
        self.reloader.reload()
    }

    fn quit(&self) {
        self.quit.send_replace(true);
    }

    fn snapshot(&self) -> Result<String, SnapshotError> {
        if self.reloader.settings.demo.is_some() {
            return Err(SnapshotError::NoDirectory);
        }
        let _alone = self.snapshots.try_lock().ok_or(SnapshotError::Busy)?;
        let name = snapshot_name(self.reloader.clock.now());
        let dir = self.reloader.settings.storage_dir().join("snapshots").join(&name);
        let info = self.ring.snapshot(&dir)?;
        tracing::info!(dir = %dir.display(), segments = info.segments, samples = info.samples, "a snapshot was taken");
        Ok(name)
    }

    fn config_yaml(&self) -> String {
        self.reloader.config_yaml()
    }

    fn flags(&self) -> Vec<(String, String)> {
        self.reloader.settings.flags.clone()
    }

    fn runtime(&self) -> RuntimeFacts {
        let config = self.reloader.config.read();
        let ring = &config.storage.ring;
        let (reload_ok, config_at) = self.reloader.own.last_reload();
        RuntimeFacts {
            started_at: self.started_at,
            reload_ok,
            config_at,
            retention: format!("{} or {}MB", format_duration(ring.retention_time), ring.retention_size_bytes >> 20),
        }
    }

    fn storage(&self) -> StorageFacts {
        let stats = self.ring.stats();
        StorageFacts {
            min_time: stats.oldest,
            max_time: stats.newest,
            segments: stats.segments as u64,
            corruptions: self.ring.counters().damaged.load(Ordering::Relaxed),
            replay_total: stats.replayed_rows,
            replay_done: stats.replayed_rows,
        }
    }

    fn doctor(&self) -> serde_json::Value {
        let found = super::banner::detected(&self.reloader.settings);
        json!({
            "detected": found.iter().map(|item| json!({
                "what": item.what, "present": item.present, "detail": item.detail,
            })).collect::<Vec<_>>(),
            "discovery": self.reloader.scraper.pools().iter().filter(|pool| !pool.problems.is_empty()).map(|pool| json!({
                "job": pool.job, "problems": pool.problems,
            })).collect::<Vec<_>>(),
            "storage": self.reloader.settings.storage_dir().display().to_string(),
            "url": self.reloader.url,
        })
    }

    fn watched_files(&self) -> Option<u64> {
        let (stated, discovered) = (&self.reloader.watched_files, &self.reloader.discovery_files);
        let textfiles = crate::collect::textfile::watched_files() as u64;
        Some(stated.load(Ordering::Relaxed) + discovered.load(Ordering::Relaxed) + textfiles)
    }

    fn processes(&self, query: &ProcessQuery) -> serde_json::Value {
        let now = self.reloader.clock.now();
        let processes = self.collecting.workers().map(|handle| handle.heaviest(query, now)).unwrap_or_default();
        super::processes_json(&processes)
    }

    fn collectors(&self) -> serde_json::Value {
        let mut list = Vec::new();
        if let Some(views) = self.views.get() {
            views(&mut |view| list.push(collector(view)));
        }
        list.into()
    }
}

impl DaemonPort {
    /// How long no collector has come to an end, if that is far longer than it should be.
    fn stuck_seconds(&self) -> Option<i64> {
        let (mut newest, mut interval_ms) = (None, i64::MAX);
        self.views.get()?(&mut |view| {
            newest = newest.max(view.last_slot);
            interval_ms = interval_ms.min(view.interval_ms);
        });
        let silent_ms = self.reloader.clock.now().saturating_sub(newest?);
        (silent_ms > STUCK_MS.max(interval_ms.saturating_mul(10))).then_some(silent_ms / 1000)
    }
}

fn collector(view: &CollectorView) -> serde_json::Value {
    let (outcome, reason) = match &view.outcome {
        Outcome::Pending => ("pending", None),
        Outcome::Complete => ("complete", None),
        Outcome::Degraded(reason) => ("degraded", Some(reason)),
        Outcome::Unavailable(reason) => ("unavailable", Some(reason)),
        Outcome::Failed(reason) => ("failed", Some(reason)),
    };
    json!({
        "name": view.name,
        "source": &*view.source,
        "interval_ms": view.interval_ms,
        "last_slot_ms": view.last_slot,
        "duration_seconds": view.duration.as_secs_f64(),
        "outcome": outcome,
        "reason": reason,
        "samples": view.samples,
        "ticks": view.ticks,
        "failures": view.failures,
        "missed": view.missed,
    })
}
