//! The door: a body of lines in, a report out, and a batch a tick.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use super::config::{EventCounters, EventsConfig};
use super::line::{self, Event};
use super::series::EventSeries;
use crate::model::{Batch, Family, GroupId, Intern, SeriesRef, Timestamp};

/// Refused lines that a report repeats; the rest is only counted.
const MAX_REPORTED: usize = 100;

/// A line that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Line number, from 1.
    pub line: usize,
    /// What was expected.
    pub error: String,
}

/// What became of a body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IngestReport {
    /// Lines that were taken.
    pub accepted: usize,
    /// The first lines that were refused, at most 100.
    pub rejected: Vec<Rejected>,
    /// How many lines were refused in all.
    pub rejected_total: usize,
    /// How many of them were good, but of a new series that a limit of series refused.
    pub over_limit: usize,
}

/// Why a line is refused.
enum Refused {
    Line(String),
    Limit(String),
}

#[derive(Default)]
struct State {
    families: FxHashMap<String, Family>,
    by_key: FxHashMap<String, usize>,
    series: Vec<Option<EventSeries>>,
    free: Vec<usize>,
    /// Series that events named since they were last shown between two ticks; no more than there are series.
    fresh: FxHashSet<usize>,
}

/// Takes events and adds them up.
pub struct Events {
    config: EventsConfig,
    intern: Arc<dyn Intern>,
    group: GroupId,
    state: Mutex<State>,
    counters: Arc<EventCounters>,
}

impl Events {
    /// Nothing has been pushed yet; ticks are of `group`.
    pub fn new(config: EventsConfig, intern: Arc<dyn Intern>, group: GroupId) -> Self {
        Self { config, intern, group, state: Mutex::default(), counters: Arc::default() }
    }

    /// Takes a body of JSON lines. Good lines are kept whatever the others are; empty lines are skipped.
    pub fn ingest(&self, body: &[u8], now: Timestamp) -> IngestReport {
        let mut report = IngestReport::default();
        let mut state = self.state.lock();
        for (at, line) in body.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let event = line::read(line, now, &self.config).map_err(Refused::Line);
            match event.and_then(|event| self.take(&mut state, &event, now)) {
                Ok(()) => report.accepted += 1,
                Err(why) => {
                    report.rejected_total += 1;
                    report.over_limit += usize::from(matches!(why, Refused::Limit(_)));
                    let (Refused::Line(error) | Refused::Limit(error)) = why;
                    if report.rejected.len() < MAX_REPORTED {
                        report.rejected.push(Rejected { line: at + 1, error });
                    }
                }
            }
        }
        self.counters.accepted.fetch_add(report.accepted as u64, Ordering::Relaxed);
        self.counters.rejected.fetch_add(report.rejected_total as u64, Ordering::Relaxed);
        self.counters.over_limit.fetch_add(report.over_limit as u64, Ordering::Relaxed);
        report
    }

    /// The totals as of `now`, for the pipeline. Series that no event named for long are left out and given back.
    pub fn tick(&self, now: Timestamp) -> Batch {
        let mut batch = Batch::new(self.group, now);
        let mut state = self.state.lock();
        self.expire(&mut state, now);
        for series in state.series.iter().flatten() {
            series.append(&mut batch.floats);
        }
        batch
    }

    /// The series that events named since the last call, as of `now`: for who follows between two ticks.
    pub fn fresh(&self, now: Timestamp) -> Batch {
        let mut batch = Batch::new(self.group, now);
        let state = &mut *self.state.lock();
        for index in state.fresh.drain() {
            if let Some(Some(series)) = state.series.get(index) {
                series.append(&mut batch.floats);
            }
        }
        batch
    }

    /// What was counted.
    pub fn counters(&self) -> Arc<EventCounters> {
        Arc::clone(&self.counters)
    }

    fn take(&self, state: &mut State, event: &Event<'_>, now: Timestamp) -> Result<(), Refused> {
        if let Some(known) = state.families.get(&event.family)
            && known.kind != event.kind
        {
            let (known, found) = (known.kind.as_str(), event.kind.as_str());
            return Err(Refused::Line(format!("expected {:?} to stay a {known}, found a {found}", event.family)));
        }
        let mut key = event.family.clone();
        for (name, value) in &event.labels {
            key.extend(["\0", name, "\0", value]);
        }
        let index = match state.by_key.get(&key) {
            Some(index) => *index,
            None => self.add(state, event, key)?,
        };
        if let Some(Some(series)) = state.series.get_mut(index) {
            series.take(event.value, event.ts, &self.config.buckets, now);
            state.fresh.insert(index);
        }
        Ok(())
    }

    fn add(&self, state: &mut State, event: &Event<'_>, key: String) -> Result<usize, Refused> {
        if state.by_key.len() >= self.config.max_series {
            let most = self.config.max_series;
            return Err(Refused::Limit(format!("expected at most {most} event series: use fewer label values")));
        }
        let help = if event.help.is_empty() { "Pushed as events." } else { event.help.as_ref() };
        let family = state.families.get(&event.family).cloned().unwrap_or_else(|| Family {
            name: event.family.clone().into(),
            kind: event.kind,
            unit: "".into(),
            help: help.to_owned().into(),
        });
        let labels: Vec<(&str, &str)> =
            event.labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        let series = EventSeries::new(&family, &labels, &self.config.buckets, &*self.intern)
            .map_err(|refusal| Refused::Limit(format!("{:?} was not taken: {refusal}", event.family)))?;
        state.families.entry(event.family.clone()).or_insert(family);
        let index = state.free.pop().unwrap_or_else(|| {
            state.series.push(None);
            state.series.len() - 1
        });
        state.series[index] = Some(series);
        state.by_key.insert(key, index);
        Ok(index)
    }

    fn expire(&self, state: &mut State, now: Timestamp) {
        let limit = now - i64::try_from(self.config.expire_after.as_millis()).unwrap_or(i64::MAX / 2);
        let mut gone: Vec<SeriesRef> = Vec::new();
        for (index, place) in state.series.iter_mut().enumerate() {
            if let Some(series) = place.take_if(|series| series.touched < limit) {
                gone.extend_from_slice(series.refs());
                state.free.push(index);
                self.counters.expired.fetch_add(1, Ordering::Relaxed);
            }
        }
        if !gone.is_empty() {
            let series = &state.series;
            state.by_key.retain(|_, index| series.get(*index).is_some_and(Option::is_some));
            let named: FxHashSet<&str> = state.by_key.keys().filter_map(|key| key.split('\0').next()).collect();
            state.families.retain(|name, _| named.contains(name.as_str()));
            self.intern.release(&gone);
        }
    }
}
