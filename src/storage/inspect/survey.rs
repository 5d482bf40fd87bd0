//! What takes the room of a ring: tiers, metrics, labels, churn.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::model::{Labels, Matcher, Timestamp};
use crate::storage::catalog::cost;
use crate::storage::ring::Ring;
use crate::storage::rollup::Tier;
use crate::storage::{Querier, SelectRequest, Stop, StorageError};

use super::segment::take_apart;

/// What one tier of the ring takes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TierSize {
    /// `raw`: samples as they came; else the length of a rollup's bucket: `1m`, `1h`, `1d`.
    pub tier: String,
    /// Segments.
    pub segments: u64,
    /// Samples in them; of rollups, buckets.
    pub samples: u64,
    /// Bytes of value columns.
    pub column_bytes: u64,
    /// Bytes of timestamp columns.
    pub time_bytes: u64,
    /// Bytes of indexes.
    pub index_bytes: u64,
    /// Bytes of the series tables.
    pub series_bytes: u64,
    /// Bytes of the pages that all of it takes in the file.
    pub page_bytes: u64,
}

impl TierSize {
    /// Bytes of pages for each sample; `None` without any sample.
    pub fn bytes_per_sample(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.page_bytes as f64 / self.samples as f64)
    }
}

/// What the series of one metric take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricSize {
    /// The metric's name.
    pub name: String,
    /// Series.
    pub series: u64,
    /// Samples, those that are not sealed yet included.
    pub samples: u64,
    /// Bytes of its value columns.
    pub bytes: u64,
}

/// A label, or a label with a value, and a count of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelCount {
    /// `name`, or `name=value`.
    pub label: String,
    /// How much of it.
    pub count: u64,
}

/// What is in a ring, largest first everywhere.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Survey {
    /// First sample.
    pub min_time: Option<Timestamp>,
    /// Last sample.
    pub max_time: Option<Timestamp>,
    /// Bytes of the file's allocated blocks.
    pub file_bytes: u64,
    /// Series that match.
    pub series: u64,
    /// Samples that are not sealed yet.
    pub open_samples: u64,
    /// Exemplars in segments.
    pub exemplars: u64,
    /// Bytes of their columns, which the pages of raw samples include.
    pub exemplar_bytes: u64,
    /// Raw samples, then the rollups from the finest on; those that there are.
    pub tiers: Vec<TierSize>,
    /// Metrics by the bytes that they take.
    pub metrics: Vec<MetricSize>,
    /// Labels by how many different values they have.
    pub cardinality: Vec<LabelCount>,
    /// Labels by the bytes of their different values.
    pub value_bytes: Vec<LabelCount>,
    /// Pairs by the series that have them.
    pub pairs: Vec<LabelCount>,
    /// Pairs by churn: for each series the part of the ring's time during which it was not there, summed up.
    pub churn_pairs: Vec<LabelCount>,
    /// Labels by churn.
    pub churn_labels: Vec<LabelCount>,
    /// Columns that could not be read.
    pub damaged: u64,
}

/// One series over all segments.
#[derive(Debug, Default)]
struct Life {
    first: Timestamp,
    last: Timestamp,
    samples: u64,
    bytes: u64,
}

impl Ring {
    /// Reads everything and says what takes the room. Only series that match all `matchers` count among metrics and
    /// labels; each list has `limit` entries at most. Memory grows with the series, not with the samples.
    ///
    /// # Errors
    /// When the database failed.
    pub fn survey(&self, matchers: &[Matcher], limit: usize) -> Result<Survey, StorageError> {
        let stats = self.stats();
        let mut survey = Survey {
            min_time: stats.oldest,
            max_time: stats.newest,
            file_bytes: stats.disk_bytes,
            ..Survey::default()
        };
        let mut lives: FxHashMap<Labels, Life> = FxHashMap::default();
        self.survey_segments(matchers, &mut survey, &mut lives)?;
        self.survey_head(matchers, &mut survey, &mut lives)?;
        survey.series = lives.len() as u64;
        rank(&lives, &mut survey, limit);
        Ok(survey)
    }

    fn survey_segments(
        &self,
        matchers: &[Matcher],
        survey: &mut Survey,
        lives: &mut FxHashMap<Labels, Life>,
    ) -> Result<(), StorageError> {
        let inner = self.inner.read();
        let mut segments = inner.catalog.segments().to_vec();
        segments.extend(inner.catalog.rolled.iter().cloned());
        drop(inner);
        segments.sort_by_key(|s| (s.tier, s.epoch, s.id));
        let mut table: (Option<u32>, Vec<Option<Labels>>) = (None, Vec::new());
        let mut known: Vec<u32> = Vec::new();
        survey.tiers.push(TierSize { tier: "raw".to_owned(), ..TierSize::default() });
        for meta in &segments {
            let name = meta.tier.map_or("raw", Tier::name);
            if survey.tiers.last().is_none_or(|tier| tier.tier != name) {
                survey.tiers.push(TierSize { tier: name.to_owned(), ..TierSize::default() });
            }
            let Some(tier) = survey.tiers.last_mut() else { continue };
            if table.0 != Some(meta.epoch) {
                let blocks = self.store.raw_series(meta.epoch)?;
                // A table counts where it is met first.
                if !known.contains(&meta.epoch) {
                    known.push(meta.epoch);
                    tier.series_bytes += blocks.iter().map(|(_, block)| block.len() as u64).sum::<u64>();
                }
                table = (Some(meta.epoch), self.store.series(meta.epoch)?.0);
            }
            let facts = take_apart(&self.store, meta)?;
            survey.damaged += facts.problems.len() as u64;
            for (_, bytes, count) in &facts.exemplars {
                survey.exemplars += count;
                survey.exemplar_bytes += bytes;
            }
            tier.segments += 1;
            tier.samples += meta.samples;
            tier.time_bytes += facts.time_bytes;
            tier.index_bytes += facts.index_bytes;
            tier.page_bytes += cost(meta);
            for column in facts.columns {
                tier.column_bytes += column.bytes;
                let Some(Some(labels)) = table.1.get(column.id as usize) else { continue };
                // What rollups have of a series has been counted as samples, or is gone as such.
                if meta.tier.is_none() && matchers.iter().all(|m| m.matches(labels.get(&m.name))) {
                    live(lives, labels, (column.first, column.last), column.samples, column.bytes);
                }
            }
        }
        Ok(())
    }

    /// What rows and memory have beyond the segments.
    fn survey_head(
        &self,
        matchers: &[Matcher],
        survey: &mut Survey,
        lives: &mut FxHashMap<Labels, Life>,
    ) -> Result<(), StorageError> {
        let start = self.inner.read().catalog.sealed_until();
        let request = SelectRequest {
            matchers: matchers.to_vec(),
            start,
            end: Timestamp::MAX,
            last_only: false,
            max_samples: usize::MAX,
            stop: Stop::never(),
        };
        for series in self.select(&request)?.into_series() {
            let mut samples = 0;
            let (mut first, mut last) = (Timestamp::MAX, Timestamp::MIN);
            for run in &series.runs {
                let (mut times, mut values) = (Vec::new(), Vec::new());
                run.floats_into(&mut times, &mut values);
                samples += if times.is_empty() { run.to - run.from } else { times.len() } as u64;
                first = first.min(run.times[run.from]);
                last = last.max(run.times[run.to - 1]);
            }
            survey.open_samples += samples;
            live(lives, &series.labels, (first, last), samples, 0);
        }
        Ok(())
    }
}

fn live(
    lives: &mut FxHashMap<Labels, Life>,
    labels: &Labels,
    (first, last): (Timestamp, Timestamp),
    samples: u64,
    bytes: u64,
) {
    let new = || Life { first, last, ..Life::default() };
    let life = lives.entry(labels.clone()).or_insert_with(new);
    life.first = life.first.min(first);
    life.last = life.last.max(last);
    life.samples += samples;
    life.bytes += bytes;
}

/// Puts metrics and labels in order.
fn rank(lives: &FxHashMap<Labels, Life>, survey: &mut Survey, limit: usize) {
    let span = survey.min_time.zip(survey.max_time).map_or(0, |(min, max)| max - min).max(1) as f64;
    let mut metrics: BTreeMap<&str, MetricSize> = BTreeMap::new();
    let mut pairs: FxHashMap<(&str, &str), (u64, f64)> = FxHashMap::default();
    let mut churn: FxHashMap<&str, f64> = FxHashMap::default();
    for (labels, life) in lives {
        let away = (1.0 - (life.last - life.first) as f64 / span).clamp(0.0, 1.0);
        let metric = metrics.entry(labels.metric_name()).or_default();
        metric.series += 1;
        metric.samples += life.samples;
        metric.bytes += life.bytes;
        for (name, value) in labels.iter() {
            let pair = pairs.entry((name, value)).or_default();
            pair.0 += 1;
            pair.1 += away;
            *churn.entry(name).or_default() += away;
        }
    }
    let mut values: FxHashMap<&str, (u64, u64)> = FxHashMap::default();
    for (name, value) in pairs.keys() {
        let entry = values.entry(name).or_default();
        entry.0 += 1;
        entry.1 += value.len() as u64;
    }
    let named = |(name, metric): (&str, MetricSize)| MetricSize { name: name.to_owned(), ..metric };
    survey.metrics = metrics.into_iter().map(named).collect();
    survey.metrics.sort_by(|a, b| (b.bytes, b.samples).cmp(&(a.bytes, a.samples)).then_with(|| a.name.cmp(&b.name)));
    survey.metrics.truncate(limit);
    let pair = |(name, value): &(&str, &str)| format!("{name}={value}");
    survey.cardinality = top(values.iter().map(|(name, v)| ((*name).to_owned(), v.0)), limit);
    survey.value_bytes = top(values.iter().map(|(name, v)| ((*name).to_owned(), v.1)), limit);
    survey.pairs = top(pairs.iter().map(|(key, v)| (pair(key), v.0)), limit);
    survey.churn_pairs = top(pairs.iter().map(|(key, v)| (pair(key), v.1 as u64)), limit);
    survey.churn_labels = top(churn.iter().map(|(name, v)| ((*name).to_owned(), *v as u64)), limit);
}

fn top(counts: impl Iterator<Item = (String, u64)>, limit: usize) -> Vec<LabelCount> {
    let mut all: Vec<LabelCount> =
        counts.filter(|(_, count)| *count > 0).map(|(label, count)| LabelCount { label, count }).collect();
    all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.label.cmp(&b.label)));
    all.truncate(limit);
    all
}
