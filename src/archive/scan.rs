//! All samples of a ring, series by series, in pieces of bounded size.

use crate::model::{Labels, Matcher, Timestamp, Value, is_absent};
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

/// Takes samples of a series.
pub type Each<'a, E> = dyn FnMut(&Labels, &[Sample]) -> Result<(), E> + 'a;

/// One series as it is written: the labels it gets, and the series of the ring that it is made of.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) labels: Labels,
    pub(super) sources: Vec<Labels>,
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
    let units: Vec<Unit> =
        series_of(ring, &range)?.into_iter().map(|labels| Unit { sources: vec![labels.clone()], labels }).collect();
    walk(ring, &range, &units, each)
}

/// The same for units, which must come sorted by metric name.
pub(super) fn walk<E: From<StorageError>>(
    ring: &Ring,
    range: &Range<'_>,
    units: &[Unit],
    each: &mut Each<'_, E>,
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
                let samples = unit_samples(ring, unit, (chunk.from, chunk.to))?;
                if !samples.is_empty() {
                    each(&unit.labels, &samples)?;
                }
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
    each: &mut Each<'_, E>,
) -> Result<(), E> {
    let name = metric.first().map_or("", |unit| unit.labels.metric_name());
    let found = select(ring, vec![Matcher::equal(crate::model::METRIC_NAME, name)], (range.from, range.to))?;
    for unit in metric {
        let members = unit.sources.iter().filter_map(|labels| {
            let at = found.binary_search_by(|series| series.labels.cmp(labels)).ok()?;
            Some(samples(&found[at]))
        });
        let samples = merge(members.collect());
        if !samples.is_empty() {
            each(&unit.labels, &samples)?;
        }
    }
    Ok(())
}

fn unit_samples(ring: &Ring, unit: &Unit, bounds: (Timestamp, Timestamp)) -> Result<Vec<Sample>, StorageError> {
    let mut members = Vec::with_capacity(unit.sources.len());
    for labels in &unit.sources {
        let matchers = labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
        // Series with more labels match too.
        let found = select(ring, matchers, bounds)?.into_iter().find(|series| series.labels == *labels);
        members.extend(found.map(|series| samples(&series)));
    }
    Ok(merge(members))
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
/// value; histograms of a fold are dropped.
fn merge(mut members: Vec<Vec<Sample>>) -> Vec<Sample> {
    if members.len() < 2 {
        return members.pop().unwrap_or_default();
    }
    let mut all: Vec<(Timestamp, f64)> = members
        .into_iter()
        .flatten()
        .filter_map(|sample| sample.value.as_float().map(|value| (sample.ts, value)))
        .collect();
    all.sort_by_key(|(ts, _)| *ts);
    let sum = |tick: &[(Timestamp, f64)]| {
        let live: Vec<f64> = tick.iter().map(|(_, v)| *v).filter(|v| !crate::model::is_stale(*v)).collect();
        let value = if live.is_empty() { crate::model::stale_marker() } else { live.iter().sum() };
        Sample { ts: tick[0].0, start_ts: 0, value: Value::Float(value) }
    };
    all.chunk_by(|a, b| a.0 == b.0).map(sum).collect()
}
