//! From lines of a page to samples of a batch.

use std::hash::{Hash, Hasher};

use super::cache::{Entry, Found, SeriesCache};
use super::metadata::MetadataStore;
use super::target::Target;
use crate::exposition::{ExemplarText, Meta, SampleLine, Sink, parse_series};
use crate::model::{Batch, Exemplar, Intern, Irregular, IrregularSample, Labels, SeriesRef};

/// Takes one page over.
pub(super) struct PageSink<'s> {
    pub(super) target: &'s Target,
    pub(super) cache: &'s mut SeriesCache,
    pub(super) metadata: &'s mut MetadataStore,
    pub(super) intern: &'s dyn Intern,
    pub(super) batch: &'s mut Batch,
    pub(super) irregular: &'s mut Vec<Irregular>,
    pub(super) samples: usize,
    pub(super) duplicates: u64,
    pub(super) refused: u64,
}

impl<'a> Sink<'a> for PageSink<'_> {
    fn sample(&mut self, sample: SampleLine<'a>) -> Result<(), String> {
        let job = &self.target.job;
        self.samples += 1;
        if job.sample_limit > 0 && self.samples > job.sample_limit {
            return Err(format!("expected at most {} samples (sample_limit)", job.sample_limit));
        }
        let entry = match self.cache.find(sample.series, &self.target.labels, job.honor_labels, self.intern)? {
            Found::Series(entry) => entry,
            Found::Duplicate => {
                self.duplicates += 1;
                return Ok(());
            }
        };
        let Some(series) = entry.series else {
            self.refused += 1;
            return Ok(());
        };
        match sample.ts.filter(|_| job.honor_timestamps) {
            None => {
                entry.stated = None;
                self.batch.floats.push((series, sample.value));
            }
            // A page repeats its own timestamps until there is something new.
            Some(ts) if entry.stated == Some(ts) => {}
            Some(ts) => {
                entry.stated = Some(ts);
                let sample = IrregularSample { ts, start_ts: 0, value: sample.value.into() };
                self.irregular.push(Irregular { series, samples: vec![sample] });
            }
        }
        if let Some(text) = sample.exemplar {
            self.batch.exemplars.extend(new_exemplar(entry, series, text)?);
        }
        Ok(())
    }

    fn meta(&mut self, name: &'a str, meta: Meta<'a>) {
        self.metadata.note(name, meta);
    }
}

/// The exemplar, unless the page has shown it before.
fn new_exemplar(
    entry: &mut Entry,
    series: SeriesRef,
    text: ExemplarText<'_>,
) -> Result<Option<(SeriesRef, Exemplar)>, String> {
    let mut hasher = rustc_hash::FxHasher::default();
    (text.labels, text.value.to_bits(), text.ts).hash(&mut hasher);
    if std::mem::replace(&mut entry.exemplar, hasher.finish()) == hasher.finish() {
        return Ok(None);
    }
    let named = format!("exemplar{}", text.labels);
    let parsed = parse_series(&named)?;
    let pairs: Vec<(&str, &str)> = parsed.labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    Ok(Some((series, Exemplar { labels: Labels::from_pairs(&pairs), value: text.value, ts: text.ts })))
}
