//! All samples of a ring, series by series, in pieces of bounded size.

use rustc_hash::FxHashMap;

use crate::model::{Exemplar, Labels, Matcher, Timestamp, Value, is_absent};
use crate::storage::{Column, Querier, Ring, SelectRequest, SelectedSeries, Stop, StorageError};

/// Samples that are read at once: some 100 MB.
const BUDGET: u64 = 2_000_000;
/// What is not sealed yet spans a few windows at most.
const OPEN_SAMPLES: u64 = 2_000;

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When it was taken.
    pub ts: Timestamp,
    /// When its counter started, 0 if unknown.
    pub start_ts: Timestamp,
    /// Its value.
    pub value: Value,
}

/// An exemplar with its time.
pub(super) type Stamped = (Timestamp, Exemplar);

/// Takes samples of a series.
pub type Each<'a, E> = dyn FnMut(&Labels, &[Sample]) -> Result<(), E> + 'a;

/// One series as it is written: the labels it gets, and the series of the ring that it is made of.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) labels: Labels,
    pub(super) sources: Vec<Labels>,
    /// It is a group that is too small to be shown, of one member perhaps.
    pub(super) folded: bool,
}

/// What is read.
#[derive(Debug, Clone)]
pub(super) struct Range<'a> {
    /// Selections; a series that several match comes once. None means everything.
    pub(super) selectors: &'a [Vec<Matcher>],
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// The series of a range, sorted by metric name and labels.
pub(super) fn series_of(ring: &Ring, range: &Range<'_>) -> Result<Vec<Labels>, StorageError> {
    let everything = [Vec::new()];
    let selectors = if range.selectors.is_empty() { &everything[..] } else { range.selectors };
    let mut all = Vec::new();
    for matchers in selectors {
        all.extend(ring.series(matchers, range.from, range.to)?);
        all.extend(ring.series_with_exemplars(matchers, range.from, range.to)?);
    }
    all.sort_by(|a: &Labels, b| a.metric_name().cmp(b.metric_name()).then_with(|| a.cmp(b)));
    all.dedup();
    Ok(all)
}

/// Hands every series of the range with its samples, ascending in time, to `each`; one series may come in several calls.
///
/// # Errors
/// When the store or `each` failed.
pub fn for_each_series<E: From<StorageError>>(
    ring: &Ring,
    selectors: &[Vec<Matcher>],
    (from, to): (Timestamp, Timestamp),
    each: &mut Each<'_, E>,
) -> Result<(), E> {
    let range = Range { selectors, from, to };
    let units: Vec<Unit> = series_of(ring, &range)?
        .into_iter()
        .map(|labels| Unit { sources: vec![labels.clone()], labels, folded: false })
        .collect();
    let samples_only = &mut |unit: &Unit, found: Found| match found.samples.as_slice() {
        [] => Ok(()),
        samples => each(&unit.labels, samples),
    };
    walk(ring, &range, &units, samples_only)
}

/// What a unit has within a stretch of time, ascending.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) samples: Vec<Sample>,
    pub(super) exemplars: Vec<Stamped>,
    /// What a folded group does not show: histograms cannot be added up here, and an exemplar is of one member.
    pub(super) hidden_histograms: u64,
    pub(super) hidden_exemplars: u64,
}

/// Takes what a unit has.
pub(super) type EachUnit<'a, E> = dyn FnMut(&Unit, Found) -> Result<(), E> + 'a;

/// The same for units, which must come sorted by metric name, and with exemplars.
pub(super) fn walk<E: From<StorageError>>(
    ring: &Ring,
    range: &Range<'_>,
    units: &[Unit],
    each: &mut EachUnit<'_, E>,
) -> Result<(), E> {
    let chunks = chunks(ring, range);
    let per_series: u64 = chunks.iter().map(|chunk| chunk.samples).sum::<u64>().max(1);
    for metric in units.chunk_by(|a, b| a.labels.metric_name() == b.labels.metric_name()) {
        let sources: usize = metric.iter().map(|unit| unit.sources.len()).sum();
        if per_series.saturating_mul(sources as u64) <= BUDGET {
            small_metric(ring, range, metric, each)?;
            continue;
        }
        for unit in metric {
            for chunk in &chunks {
                each(unit, unit_samples(ring, unit, (chunk.from, chunk.to))?)?;
            }
        }
    }
    Ok(())
}

/// A stretch of time that holds about as many samples of one series as may be read at once.
struct Chunk {
    from: Timestamp,
    to: Timestamp,
    samples: u64,
}

/// Cuts the range where segments begin.
fn chunks(ring: &Ring, range: &Range<'_>) -> Vec<Chunk> {
    let mut segments = ring.segments();
    segments.retain(|s| s.tier.is_none() && s.min_time <= range.to && s.max_time >= range.from);
    segments.sort_by_key(|s| s.min_time);
    let mut chunks = vec![Chunk { from: range.from, to: range.to, samples: OPEN_SAMPLES }];
    for segment in segments {
        let samples = segment.samples / segment.series.max(1);
        if let Some(last) = chunks.last_mut() {
            if last.samples + samples > BUDGET && segment.min_time > last.from {
                last.to = segment.min_time - 1;
                chunks.push(Chunk { from: segment.min_time, to: range.to, samples });
            } else {
                last.samples += samples;
            }
        }
    }
    chunks
}

/// A metric whose samples fit into memory is read at once.
fn small_metric<E: From<StorageError>>(
    ring: &Ring,
    range: &Range<'_>,
    metric: &[Unit],
    each: &mut EachUnit<'_, E>,
) -> Result<(), E> {
    let bounds = (range.from, range.to);
    let name = metric.first().map_or("", |unit| unit.labels.metric_name());
    let name = vec![Matcher::equal(crate::model::METRIC_NAME, name)];
    let mut exemplars = exemplars(ring, &name, bounds)?;
    let found = select(ring, name, bounds)?;
    for unit in metric {
        let member = |labels: &Labels| {
            let at = found.binary_search_by(|series| series.labels.cmp(labels)).ok();
            let samples = at.map(|at| samples(&found[at])).unwrap_or_default();
            (samples, exemplars.remove(labels).unwrap_or_default())
        };
        let found = merge(unit.sources.iter().map(member).collect(), unit.folded);
        each(unit, found)?;
    }
    Ok(())
}

fn unit_samples(ring: &Ring, unit: &Unit, bounds: (Timestamp, Timestamp)) -> Result<Found, StorageError> {
    let mut members = Vec::with_capacity(unit.sources.len());
    for labels in &unit.sources {
        let matchers: Vec<Matcher> = labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
        // Series with more labels match too.
        let exemplars = exemplars(ring, &matchers, bounds)?.remove(labels).unwrap_or_default();
        let found = select(ring, matchers, bounds)?.into_iter().find(|series| series.labels == *labels);
        members.push((found.map(|series| samples(&series)).unwrap_or_default(), exemplars));
    }
    Ok(merge(members, unit.folded))
}

/// Exemplars by series.
fn exemplars(
    ring: &Ring,
    matchers: &[Matcher],
    (start, end): (Timestamp, Timestamp),
) -> Result<FxHashMap<Labels, Vec<Stamped>>, StorageError> {
    let found = ring.exemplars_unbounded(matchers, start, end)?;
    Ok(found.into_iter().map(|series| (series.labels, series.exemplars)).collect())
}

fn select(
    ring: &Ring,
    matchers: Vec<Matcher>,
    (start, end): (Timestamp, Timestamp),
) -> Result<Vec<SelectedSeries>, StorageError> {
    let stop = Stop::never();
    let request = SelectRequest { matchers, start, end, last_only: false, max_samples: usize::MAX, stop };
    Ok(ring.select_raw(&request)?.into_series())
}

fn samples(series: &SelectedSeries) -> Vec<Sample> {
    let mut all = Vec::new();
    for run in &series.runs {
        for i in run.from..run.to {
            let value = match &run.values {
                Column::Floats(values) if is_absent(values[i]) => continue,
                Column::Floats(values) => Value::Float(values[i]),
                Column::Histograms(values) => match &values[i] {
                    Some(histogram) => Value::Histogram(histogram.clone()),
                    None => continue,
                },
            };
            let start_ts = run.start_times.as_ref().map_or(0, |starts| starts[i]);
            all.push(Sample { ts: run.times[i], start_ts, value });
        }
    }
    all
}

/// Several series become one: what they have at the same time is added up. A stale marker counts only where nobody has a
/// value; histograms and exemplars of a fold are hidden.
fn merge(mut members: Vec<(Vec<Sample>, Vec<Stamped>)>, folded: bool) -> Found {
    if members.len() < 2 {
        let (samples, exemplars) = members.pop().unwrap_or_default();
        if folded {
            return Found { samples, hidden_exemplars: exemplars.len() as u64, ..Found::default() };
        }
        return Found { samples, exemplars, ..Found::default() };
    }
    let mut found = Found::default();
    let mut all: Vec<(Timestamp, f64)> = Vec::new();
    for (samples, exemplars) in members {
        found.hidden_exemplars += exemplars.len() as u64;
        for sample in samples {
            match sample.value.as_float() {
                Some(value) => all.push((sample.ts, value)),
                None => found.hidden_histograms += 1,
            }
        }
    }
    all.sort_by_key(|(ts, _)| *ts);
    let sum = |tick: &[(Timestamp, f64)]| {
        let live: Vec<f64> = tick.iter().map(|(_, v)| *v).filter(|v| !crate::model::is_stale(*v)).collect();
        let value = if live.is_empty() { crate::model::stale_marker() } else { live.iter().sum() };
        Sample { ts: tick[0].0, start_ts: 0, value: Value::Float(value) }
    };
    found.samples = all.chunk_by(|a, b| a.0 == b.0).map(sum).collect();
    found
}
