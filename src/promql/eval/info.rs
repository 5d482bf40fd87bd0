//! `info(base, {data})`: labels of info series are added to the series that they describe.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{Labels, METRIC_NAME, MatchOp, Matcher, Timestamp};
use crate::promql::parser::RangeMode;
use crate::promql::plan::{Info, Selector};
use crate::promql::result::QueryError;
use crate::storage::Selection;

use super::bands::{RowRoom, bands};
use super::block::Dropped;
use super::selector::{RawSample, RawValue};
use super::{Block, Eval, Grid, merge_rows};

/// The labels by which info series know what they describe.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// Info series of one name and identity, and at each step the one that speaks.
struct Speakers<'a> {
    identity: Labels,
    /// The series and the time of its sample, at each step.
    at: Vec<Option<(&'a Labels, Timestamp)>>,
}

impl Eval<'_> {
    pub(super) fn info(&mut self, info: &Info, grid: Grid) -> Result<Block, QueryError> {
        let base = self.eval_vector(&info.base, grid)?;
        let names: Vec<&Matcher> = info.matchers.iter().filter(|m| m.name == METRIC_NAME).collect();
        let data: Vec<&Matcher> = info.matchers.iter().filter(|m| m.name != METRIC_NAME).collect();
        let named = names.iter().any(|matcher| is_positive(matcher));
        let is_info = |labels: &Labels| named && names.iter().all(|matcher| matcher.matches(labels.metric_name()));
        let Some(selector) = info_selector(info, &names, &base, is_info)? else {
            return self.enrich(&base, &[], &data, is_info, grid);
        };
        let found = self.select(&selector, grid, self.settings.lookback, 0, false)?;
        let speakers = self.speakers(&found, &selector, grid)?;
        self.enrich(&base, &speakers, &data, is_info, grid)
    }

    /// Of the info series with one name and identity, the one with the newest sample speaks.
    fn speakers<'s>(
        &mut self,
        selection: &'s Selection,
        selector: &Selector,
        grid: Grid,
    ) -> Result<Vec<Speakers<'s>>, QueryError> {
        let mut index: FxHashMap<(String, Labels), usize> = FxHashMap::default();
        let mut all: Vec<Speakers<'s>> = Vec::new();
        for (row, samples) in in_row_order(selection) {
            let labels = &selection.labels[row as usize];
            let (name, identity) = (labels.metric_name().to_owned(), labels.only(&IDENTIFYING));
            let at = *index.entry((name.clone(), identity.clone())).or_insert_with(|| {
                all.push(Speakers { identity, at: vec![None; grid.len] });
                all.len() - 1
            });
            self.budget.room_for(all.len(), grid.len)?;
            self.budget.work(samples.len() + grid.len)?;
            for step in 0..grid.len {
                let reference = selector.reference(grid.at(step));
                let newest = samples.partition_point(|sample| sample.ts <= reference).checked_sub(1);
                let Some(sample) = newest.map(|i| samples[i]) else { continue };
                if sample.ts <= reference - self.settings.lookback || sample.value.is_stale() {
                    continue;
                }
                if matches!(sample.value, RawValue::Histogram(_)) {
                    let text = format!("this should be an info metric, with float samples: {}", labels.braced());
                    return Err(QueryError::Execution(text));
                }
                all[at].offer(step, labels, sample.ts)?;
            }
        }
        Ok(all)
    }

    fn enrich(
        &mut self,
        base: &Block,
        speakers: &[Speakers<'_>],
        data: &[&Matcher],
        is_info: impl Fn(&Labels) -> bool,
        grid: Grid,
    ) -> Result<Block, QueryError> {
        let wanted: FxHashSet<&str> = data.iter().map(|matcher| matcher.name.as_str()).collect();
        let silent_ok = data.iter().all(|matcher| matcher.matches_empty());
        let mut labels: Vec<Labels> = Vec::new();
        let mut dropped: Vec<bool> = Vec::new();
        let mut picked: Vec<(usize, usize, usize)> = Vec::new();
        for row in 0..base.rows() {
            self.budget.work(grid.len * (speakers.len() + 1))?;
            let own = &base.labels[row];
            let identity = own.only(&IDENTIFYING);
            let about: Vec<&Speakers<'_>> = speakers.iter().filter(|s| s.identity == identity).collect();
            let mut known: FxHashMap<Labels, usize> = FxHashMap::default();
            for step in (0..grid.len).filter(|step| base.has(row, *step)) {
                let enriched = if is_info(own) {
                    Some(own.clone())
                } else {
                    let speaking: Vec<&Labels> =
                        about.iter().filter_map(|s| s.at[step].map(|(labels, _)| labels)).collect();
                    if speaking.is_empty() && !silent_ok { None } else { Some(with_data(own, &speaking, &wanted)?) }
                };
                let Some(enriched) = enriched else { continue };
                let out = *known.entry(enriched.clone()).or_insert_with(|| {
                    labels.push(enriched);
                    dropped.push(base.dropped.get(row));
                    labels.len() - 1
                });
                picked.push((out, row, step));
            }
        }
        let mut block = Block::holes(Arc::new(labels), Dropped::from_rows(dropped), grid.len);
        for (out, row, step) in picked {
            block.cells[out * grid.len + step] = base.row(row)[step];
            if let Some(histogram) = base.histogram(row, step) {
                block.set_histogram(out, step, Arc::clone(histogram));
            }
        }
        merge_rows(block)
    }
}

impl<'a> Speakers<'a> {
    fn offer(&mut self, step: usize, labels: &'a Labels, ts: Timestamp) -> Result<(), QueryError> {
        match self.at[step] {
            Some((_, newest)) if newest > ts => {}
            Some((existing, newest)) if newest == ts => {
                let (existing, new) = (existing.braced(), labels.braced());
                return Err(QueryError::Execution(format!(
                    "found duplicate series for info metric: existing {existing} @ {newest}, new {new} @ {ts}"
                )));
            }
            _ => self.at[step] = Some((labels, ts)),
        }
        Ok(())
    }
}

/// The samples of each row that has some. Which info series comes first decides which one an error names.
fn in_row_order(selection: &Selection) -> Vec<(u32, Vec<RawSample<'_>>)> {
    let mut rows = Vec::new();
    for band in bands(selection) {
        let mut reader = band.reader();
        for row in band.rows.iter() {
            reader.seek(*row);
            rows.push((*row, reader.raw(&mut RowRoom::default()).collect()));
        }
    }
    rows.sort_by_key(|(row, _)| *row);
    rows
}

fn is_positive(matcher: &Matcher) -> bool {
    matches!(matcher.op, MatchOp::Equal | MatchOp::Regex)
}

/// The selector of info series that may describe a base series; `None` when no base series can be described.
fn info_selector(
    info: &Info,
    names: &[&Matcher],
    base: &Block,
    is_info: impl Fn(&Labels) -> bool,
) -> Result<Option<Selector>, QueryError> {
    let mut matchers = Vec::new();
    for identifying in IDENTIFYING {
        let described = (0..base.rows())
            .filter(|row| base.has_any(*row))
            .map(|row| &base.labels[row])
            .filter(|labels| !is_info(labels));
        let values: FxHashSet<&str> =
            described.map(|labels| labels.get(identifying)).filter(|value| !value.is_empty()).collect();
        if values.is_empty() {
            continue;
        }
        let mut escaped: Vec<String> = values.into_iter().map(regex::escape).collect();
        escaped.sort();
        let matcher = Matcher::new(MatchOp::Regex, identifying, &escaped.join("|"));
        matchers.push(matcher.map_err(|error| QueryError::Execution(error.to_string()))?);
    }
    if matchers.is_empty() {
        return Ok(None);
    }
    if names.is_empty() {
        matchers.push(Matcher::equal(METRIC_NAME, "target_info"));
    } else if !names.iter().any(|matcher| is_positive(matcher)) {
        // Exclusions alone leave all that is called like an info metric.
        let any = Matcher::new(MatchOp::Regex, METRIC_NAME, ".+_info");
        matchers.push(any.map_err(|error| QueryError::Execution(error.to_string()))?);
    }
    matchers.extend(info.matchers.iter().cloned());
    Ok(Some(Selector { matchers, offset: info.offset, at: info.at, mode: RangeMode::Plain }))
}

/// `own` with the wanted labels of the info series; what the series has itself stays.
fn with_data(own: &Labels, speaking: &[&Labels], wanted: &FxHashSet<&str>) -> Result<Labels, QueryError> {
    let mut added: FxHashMap<&str, &str> = FxHashMap::default();
    let data = speaking.iter().flat_map(|labels| labels.iter());
    for (name, value) in data.filter(|(name, _)| *name != METRIC_NAME && (wanted.is_empty() || wanted.contains(name))) {
        if added.get(name).is_some_and(|there| *there != value) {
            return Err(QueryError::Execution(format!("conflicting label: {name}")));
        }
        if !own.contains(name) {
            added.insert(name, value);
        }
    }
    let pairs: Vec<(&str, &str)> = own.iter().chain(added).collect();
    Ok(Labels::from_pairs(&pairs))
}
