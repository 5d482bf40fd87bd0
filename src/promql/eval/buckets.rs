//! `histogram_quantile`, `histogram_quantiles`, `histogram_fraction` on classic buckets.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Labels, is_absent, parse_float};
use crate::promql::annotate::{self, Extent, Level, Note};
use crate::promql::functions::{Bucket, bucket_fraction, bucket_quantile};
use crate::promql::parser::{FunctionId, Pos, parse_literal_number};
use crate::promql::plan::Call;
use crate::promql::result::QueryError;

use super::block::Dropped;
use super::memo::{LABELS_BYTES, Learned, Recipe, SharedLabels, Task};
use super::{Block, Eval, Grid, merge_rows, refuse_histograms};

/// Which rows are buckets, and of what.
struct Layout {
    /// All buckets, group by group, in the order of their bounds.
    buckets: Vec<Place>,
    /// Where each group's buckets end.
    ends: Vec<u32>,
    /// Labels of each group: those of its buckets but for `le`.
    labels: SharedLabels,
    /// Rows whose `le` is no number.
    malformed: Vec<u32>,
}

/// Upper bound and row of a bucket.
#[derive(Clone, Copy)]
struct Place {
    upper: f64,
    row: u32,
}

/// Labels for one of several quantiles.
struct Marked(SharedLabels);

/// One column of results: its value for a group's buckets at a step. The group comes with its labels.
type Ask<'a> = dyn FnMut(&mut Eval<'_>, &Labels, &mut Vec<Bucket>, usize) -> f64 + 'a;

impl Eval<'_> {
    pub(super) fn bucket_function(&mut self, call: &Call, grid: Grid) -> Result<Block, QueryError> {
        match call.func.id {
            FunctionId::HistogramFraction => self.histogram_fraction(call, grid),
            FunctionId::HistogramQuantiles => self.histogram_quantiles(call, grid),
            _ => self.histogram_quantile(call, grid),
        }
    }

    fn histogram_fraction(&mut self, call: &Call, grid: Grid) -> Result<Block, QueryError> {
        let (lower, upper) = (self.scalar_arg(call, 0, grid)?, self.scalar_arg(call, 1, grid)?);
        let block = self.vector_arg(call, 2, grid)?;
        let layout = self.layout(&block, call.args[2].pos, call.func.name)?;
        let mut ask = |_: &mut Eval<'_>, _: &Labels, buckets: &mut Vec<Bucket>, step: usize| {
            bucket_fraction(lower[step], upper[step], buckets)
        };
        self.per_group(&block, &layout, &layout.labels, &mut ask)
    }

    fn histogram_quantile(&mut self, call: &Call, grid: Grid) -> Result<Block, QueryError> {
        let q = self.scalar_arg(call, 0, grid)?;
        self.check_quantiles(&q, call.args[0].pos);
        let block = self.vector_arg(call, 1, grid)?;
        let pos = call.args[1].pos;
        let layout = self.layout(&block, pos, call.func.name)?;
        self.quantiles_of(&block, &layout, &layout.labels, &q, pos, grid)
    }

    fn histogram_quantiles(&mut self, call: &Call, grid: Grid) -> Result<Block, QueryError> {
        let block = self.vector_arg(call, 0, grid)?;
        let label = super::call::text(&call.args[1])?;
        let mut columns = Vec::new();
        for arg in &call.args[2..] {
            let q = self.eval_scalar(arg, grid)?;
            self.check_quantiles(&q, arg.pos);
            columns.push(q);
        }
        let pos = call.args[0].pos;
        let layout = self.layout(&block, pos, call.func.name)?;
        let mut all = Block::empty(grid.len);
        for q in &columns {
            // A quantile that changes over time has a series of its own for each of its values.
            let mut values = q.clone();
            values.sort_by(f64::total_cmp);
            values.dedup_by(|a, b| a.to_bits() == b.to_bits());
            for value in values {
                let text = openmetrics_float(value);
                let recipe = Recipe::new(Task::Mark).text(&label).text(&text);
                let marked = self.memo.recall(recipe, &[&layout.labels], || {
                    Marked(Arc::new(layout.labels.iter().map(|labels| labels.with(&label, &text)).collect()))
                });
                self.budget.room_for(all.rows() + marked.0.len(), grid.len)?;
                let asked: Vec<f64> = vec![value; grid.len];
                let mut part = self.quantiles_of(&block, &layout, &marked.0, &asked, pos, grid)?;
                for step in (0..grid.len).filter(|step| q[*step].to_bits() != value.to_bits()) {
                    (0..part.rows()).for_each(|row| part.clear(row, step));
                }
                all = append(all, part);
            }
        }
        // With one label for two quantiles of one group the results collide.
        merge_rows(all)
    }

    fn quantiles_of(
        &mut self,
        block: &Block,
        layout: &Layout,
        labels: &SharedLabels,
        q: &[f64],
        pos: Pos,
        grid: Grid,
    ) -> Result<Block, QueryError> {
        let mut ask = |eval: &mut Eval<'_>, group: &Labels, buckets: &mut Vec<Bucket>, step: usize| {
            let (value, repair) = bucket_quantile(q[step], buckets);
            if let Some(repair) = repair {
                let at = grid.at(step);
                let extent = Extent {
                    from_ms: at,
                    to_ms: at,
                    min_bucket: repair.min_bucket,
                    max_bucket: repair.max_bucket,
                    max_diff: repair.max_diff,
                    samples: 1,
                };
                let text = annotate::forced_monotonicity(group.metric_name());
                eval.notes.add(Note { level: Level::Info, text, pos, extent: Some(extent) });
            }
            value
        };
        self.per_group(block, layout, labels, &mut ask)
    }

    fn check_quantiles(&mut self, q: &[f64], pos: Pos) {
        for q in q.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
            self.notes.warn(pos, annotate::invalid_quantile(*q));
        }
    }

    fn layout(&mut self, block: &Block, pos: Pos, name: &str) -> Result<Arc<Layout>, QueryError> {
        refuse_histograms(block, name)?;
        let layout = self.memo.recall(Recipe::new(Task::Buckets), &[&block.labels], || Layout::of(&block.labels));
        for row in layout.malformed.iter().map(|row| *row as usize).filter(|row| block.has_any(*row)) {
            let labels = &block.labels[row];
            self.notes.warn(pos, annotate::bad_bucket_label(labels.metric_name(), labels.get("le")));
        }
        Ok(layout)
    }

    fn per_group(
        &mut self,
        block: &Block,
        layout: &Layout,
        labels: &SharedLabels,
        ask: &mut Ask<'_>,
    ) -> Result<Block, QueryError> {
        let steps = block.steps;
        let mut out = Block::holes(Arc::clone(labels), Dropped::All, steps);
        let mut buckets = Vec::new();
        let mut from = 0;
        for (group, end) in layout.ends.iter().enumerate() {
            let places = &layout.buckets[from..*end as usize];
            from = *end as usize;
            self.budget.work(places.len() * steps)?;
            for step in 0..steps {
                buckets.clear();
                let present = places.iter().map(|place| (place.upper, block.cells[place.row as usize * steps + step]));
                buckets.extend(
                    present.filter(|(_, count)| !is_absent(*count)).map(|(upper, count)| Bucket { upper, count }),
                );
                if !buckets.is_empty() {
                    out.cells[group * steps + step] = ask(self, &layout.labels[group], &mut buckets, step);
                }
            }
        }
        Ok(out)
    }
}

impl Layout {
    fn of(rows: &[Labels]) -> Self {
        let mut index: FxHashMap<Labels, usize> = FxHashMap::default();
        let mut groups: Vec<Vec<Place>> = Vec::new();
        let (mut labels, mut malformed) = (Vec::new(), Vec::new());
        for (row, series) in rows.iter().enumerate() {
            let le = series.get("le");
            let Some(upper) = parse_float(le).or_else(|| parse_literal_number(le)) else {
                malformed.push(row as u32);
                continue;
            };
            let group = series.without(&["le"]);
            let at = *index.entry(group.clone()).or_insert_with(|| {
                labels.push(group);
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[at].push(Place { upper, row: row as u32 });
        }
        let mut buckets = Vec::with_capacity(rows.len());
        let mut ends = Vec::with_capacity(groups.len());
        for mut group in groups {
            group.sort_by(|a, b| a.upper.total_cmp(&b.upper));
            buckets.extend(group);
            ends.push(buckets.len() as u32);
        }
        Self { buckets, ends, labels: Arc::new(labels), malformed }
    }
}

impl Learned for Layout {
    fn bytes(&self) -> usize {
        self.buckets.len() * size_of::<Place>() + self.malformed.len() * 4 + self.labels.len() * LABELS_BYTES
    }
}

impl Learned for Marked {
    fn bytes(&self) -> usize {
        self.0.len() * LABELS_BYTES
    }
}

/// Both blocks, one below the other.
fn append(mut all: Block, more: Block) -> Block {
    let mut dropped: Vec<bool> = (0..all.rows()).map(|row| all.dropped.get(row)).collect();
    dropped.extend((0..more.rows()).map(|row| more.dropped.get(row)));
    let mut labels = Arc::unwrap_or_clone(all.labels);
    labels.extend(more.labels.iter().cloned());
    all.cells.extend_from_slice(&more.cells);
    Block::floats(Arc::new(labels), Dropped::from_rows(dropped), more.steps, all.cells)
}

/// A float as OpenMetrics writes it in labels: whole numbers with `.0`.
fn openmetrics_float(value: f64) -> String {
    let text = annotate::go_float(value);
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == '-');
    if plain { format!("{text}.0") } else { text }
}
