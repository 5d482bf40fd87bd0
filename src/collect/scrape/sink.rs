//! From lines of a page to samples of a batch.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::assemble::{Assembly, Offered};
use super::cache::{Entry, Found, SeriesCache};
use super::config::ScrapeConfig;
use super::metadata::MetadataStore;
use super::series::SeriesRules;
use super::started;
use super::target::Target;
use crate::exposition::{ExemplarText, Meta, SampleLine, Sink, parse_series};
use crate::model::{
    Batch, Exemplar, Intern, Irregular, IrregularSample, Labels, MetricKind, SeriesRef, Timestamp, Value,
};
use crate::wire::limit_buckets;

/// Bytes of a series that a problem names.
const MAX_NAMED: usize = 200;

/// Takes one page over.
pub(super) struct PageSink<'s> {
    pub(super) target: &'s Target,
    pub(super) cache: &'s mut SeriesCache,
    pub(super) metadata: &'s mut MetadataStore,
    pub(super) intern: &'s dyn Intern,
    pub(super) batch: &'s mut Batch,
    pub(super) irregular: &'s mut Vec<Irregular>,
    /// Samples that were read, and those whose labels were good: what Prometheus counts after relabeling.
    pub(super) samples: usize,
    pub(super) kept: usize,
    pub(super) duplicates: u64,
    pub(super) refused: u64,
    /// Timestamps before one that the series had, and those too far ahead.
    pub(super) out_of_order: u64,
    pub(super) out_of_bounds: u64,
    /// The first histogram with more buckets than its job allows.
    pub(super) over_buckets: Option<String>,
    /// The last timestamp that a page may state.
    pub(super) latest: Timestamp,
    /// The type that the page stated last.
    pub(super) kind: MetricKind,
    /// Where lines of a classic histogram become one sample, if the job asks for that.
    pub(super) assembly: Option<Box<Assembly>>,
}

/// A sample of any format.
pub(super) struct PageSample<'p> {
    pub(super) series: &'p str,
    pub(super) value: Value,
    pub(super) ts: Option<Timestamp>,
    pub(super) start_ts: Option<Timestamp>,
    pub(super) exemplars: &'p [ExemplarText<'p>],
}

impl<'a> Sink<'a> for PageSink<'_> {
    fn sample(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        if self.assembly.is_some() && self.assemble(&sample)? {
            return Ok(());
        }
        let SampleLine { series, value, ts, exemplar } = sample;
        self.take(PageSample { series, value: value.into(), ts, start_ts: None, exemplars: exemplar.as_slice() })
    }

    fn expected(&self) -> Option<&str> {
        self.cache.expected()
    }

    /// When the lines before, of the same metric, began to count; and a series like any other, as in Prometheus.
    fn created(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        // Lines past the limit are not in the order: a walk would go over the same ones again and again.
        if !self.is_full()
            && let Some((name, labels)) = started::split(sample.series)
            && let Some(start) = started::milliseconds(sample.value)
        {
            let lines = self.cache.latest().take_while(|(line, _)| started::is_part(line, name, labels));
            self.batch.start_ts.extend(lines.filter_map(|(_, series)| series).map(|series| (series, start)));
            if let Some(assembly) = &mut self.assembly {
                assembly.created(sample.series, start);
            }
        }
        self.sample(sample)
    }

    fn meta(&mut self, name: &'a str, meta: Meta<'a>) {
        if let Meta::Kind(kind) = meta {
            self.kind = kind;
            if let Some(assembly) = &mut self.assembly {
                assembly.family(name, kind);
            }
        }
        self.metadata.note(name, meta);
    }
}

impl PageSink<'_> {
    /// Whether the page has more samples than its job allows.
    pub(super) fn over_limit(&self) -> bool {
        let limit = self.target.job.sample_limit;
        limit > 0 && self.kept > limit
    }

    /// Whether the page has as many samples as its job allows, or too large ones: further ones are counted only.
    fn is_full(&self) -> bool {
        let limit = self.target.job.sample_limit;
        self.over_buckets.is_some() || (limit > 0 && self.kept >= limit)
    }

    /// The page has no more lines.
    pub(super) fn end(&mut self) -> Result<(), String> {
        let whole = self.assembly.as_mut().and_then(|assembly| assembly.finish());
        whole.map_or(Ok(()), |whole| whole.give(|sample| self.take(sample)))
    }

    /// Puts a line of a classic histogram to those before it; says whether that is all that is to be done with it.
    fn assemble(&mut self, line: &SampleLine<'_>) -> Result<bool, String> {
        let Some(assembly) = &mut self.assembly else { return Ok(false) };
        let Offered { part, before } = assembly.offer(line);
        if let Some(before) = before {
            before.give(|sample| self.take(sample))?;
        }
        Ok(part && !self.target.job.always_classic_histograms)
    }

    /// Takes one sample over.
    pub(super) fn take(&mut self, sample: PageSample<'_>) -> Result<(), String> {
        let job = &self.target.job;
        let rules = SeriesRules { target: &self.target.labels, job, kind: self.kind };
        self.samples += 1;
        if self.is_full() {
            // The page is refused; it is read on only to say how many samples it has.
            self.kept += usize::from(!self.cache.would_drop(sample.series, rules)?);
            return Ok(());
        }
        let value = match limited(job, sample.value) {
            Ok(value) => value,
            Err(problem) => {
                if !self.cache.would_drop(sample.series, rules)? {
                    self.kept += 1;
                    let series = sample.series.get(..sample.series.floor_char_boundary(MAX_NAMED)).unwrap_or_default();
                    self.over_buckets = Some(format!("{problem}, {series} has more"));
                }
                return Ok(());
            }
        };
        let ts = sample.ts.filter(|_| job.honor_timestamps);
        let found = match self.cache.find(sample.series, ts.is_some(), rules, self.intern) {
            Ok(found) => found,
            Err(problem) => {
                self.samples -= usize::from(is_no_series(sample.series));
                return Err(problem);
            }
        };
        if matches!(found, Found::Dropped) {
            return Ok(());
        }
        self.kept += 1;
        let entry = match found {
            Found::Series(entry) => entry,
            Found::Duplicate => {
                self.duplicates += 1;
                return Ok(());
            }
            Found::Dropped => return Ok(()),
        };
        let Some(series) = entry.series else {
            self.refused += 1;
            return Ok(());
        };
        match ts {
            None => {
                entry.stated = None;
                match value {
                    Value::Float(value) => self.batch.floats.push((series, value)),
                    Value::Histogram(value) => self.batch.histograms.push((series, value)),
                }
                self.batch.start_ts.extend(sample.start_ts.map(|start| (series, start)));
            }
            // A page repeats its own timestamps until there is something new; what is older is out of order.
            Some(ts) if entry.stated.is_some_and(|stated| ts <= stated) => {
                self.out_of_order += u64::from(entry.stated != Some(ts));
            }
            Some(ts) if ts > self.latest => self.out_of_bounds += 1,
            Some(ts) => {
                entry.stated = Some(ts);
                let sample = IrregularSample { ts, start_ts: sample.start_ts.unwrap_or(0), value };
                match self.irregular.last_mut().filter(|last| last.series == series) {
                    Some(last) => last.samples.push(sample),
                    None => self.irregular.push(Irregular { series, samples: vec![sample] }),
                }
            }
        }
        // A sample has one exemplar as a rule; of several only the newest set is told from the one before.
        if !sample.exemplars.is_empty() {
            self.batch.exemplars.extend(new_exemplars(entry, series, sample.exemplars)?);
        }
        Ok(())
    }
}

/// Whether a line fails since it is of no form: Prometheus counts those whose labels contradict each other or are over a limit.
fn is_no_series(series: &str) -> bool {
    parse_series(series).is_err_and(|problem| !problem.starts_with("expected each label once"))
}

/// A native histogram within the limits of the job.
fn limited(job: &ScrapeConfig, value: Value) -> Result<Value, String> {
    let Value::Histogram(histogram) = &value else { return Ok(value) };
    let coarser = limit_buckets(histogram, job.histogram_schema, job.histogram_bucket_limit)?;
    Ok(coarser.map_or(value, |coarser| Value::Histogram(Arc::new(coarser))))
}

/// The exemplars, unless the page has shown the same ones before.
fn new_exemplars(
    entry: &mut Entry,
    series: SeriesRef,
    texts: &[ExemplarText<'_>],
) -> Result<Vec<(SeriesRef, Exemplar)>, String> {
    let mut hasher = rustc_hash::FxHasher::default();
    for text in texts {
        (text.labels, text.value.to_bits(), text.ts).hash(&mut hasher);
    }
    if std::mem::replace(&mut entry.exemplar, hasher.finish()) == hasher.finish() {
        return Ok(Vec::new());
    }
    let read = |text: &ExemplarText<'_>| {
        let named = format!("exemplar{}", text.labels);
        let parsed = parse_series(&named)?;
        let pairs: Vec<(&str, &str)> =
            parsed.labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        Ok((series, Exemplar { labels: Labels::from_pairs(&pairs), value: text.value, ts: text.ts }))
    };
    texts.iter().map(read).collect()
}
