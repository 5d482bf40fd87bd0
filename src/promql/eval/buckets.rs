//! `histogram_quantile`, `histogram_quantiles`, `histogram_fraction` on classic buckets.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Labels, is_absent, parse_float};
use crate::promql::annotate::{self, Extent, Level, Note};
use crate::promql::functions::{Bucket, Repair, bucket_fraction, bucket_quantile};
use crate::promql::parser::{FunctionId, Pos, parse_literal_number};
use crate::promql::plan::Call;
use crate::promql::result::QueryError;

use super::block::Dropped;
use super::memo::{LABELS_BYTES, Learned, Recipe, SharedLabels, Task};
use super::split::Rows;
use super::{Block, Eval, Grid, merge_rows, refuse_histograms};

/// What a bucket costs at a step, in the samples of [`Rows::work`].
const BUCKET_WORK: usize = 8;

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

/// One column of results: its value for a group's buckets at a step, and what had to be repaired.
type Ask<'a> = dyn Fn(&mut Vec<Bucket>, usize) -> (f64, Option<Repair>) + Sync + 'a;

/// Group, step and what was repaired there.
type Repaired = (usize, usize, Repair);

/// What a thread keeps from group to group.
#[derive(Default)]
struct Worker {
    buckets: Vec<Bucket>,
    repaired: Vec<Repaired>,
}

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
        let ask = |buckets: &mut Vec<Bucket>, step: usize| (bucket_fraction(lower[step], upper[step], buckets), None);
        self.per_group(&block, &layout, &layout.labels, &ask).map(|(block, _)| block)
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
        let ask = |buckets: &mut Vec<Bucket>, step: usize| bucket_quantile(q[step], buckets);
        let (out, repaired) = self.per_group(block, layout, labels, &ask)?;
        for (group, step, repair) in repaired {
            let at = grid.at(step);
            let extent = Extent {
                from_ms: at,
                to_ms: at,
                min_bucket: repair.min_bucket,
                max_bucket: repair.max_bucket,
                max_diff: repair.max_diff,
                samples: 1,
            };
            let text = annotate::forced_monotonicity(layout.labels[group].metric_name());
            self.notes.add(Note { level: Level::Info, text, pos, extent: Some(extent) });
        }
        Ok(out)
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
        ask: &Ask<'_>,
    ) -> Result<(Block, Vec<Repaired>), QueryError> {
        let steps = block.steps;
        let budget = &self.budget;
        let fill = |worker: &mut Worker, groups: Range<usize>, cells: &mut [f64]| {
            for (group, cells) in groups.clone().zip(cells.chunks_exact_mut(steps.max(1))) {
                worker.group(block, layout.places(group), group, cells, ask);
            }
            budget.check()
        };
        let rows = Rows { rows: layout.ends.len(), steps, work: layout.buckets.len() * steps * BUCKET_WORK };
        let (cells, workers) = rows.collect(Worker::default, fill)?;
        let mut repaired: Vec<_> = workers.into_iter().flat_map(|worker| worker.repaired).collect();
        repaired.sort_by_key(|(group, step, _)| (*group, *step));
        Ok((Block::floats(Arc::clone(labels), Dropped::All, steps, cells), repaired))
    }
}

impl Worker {
    /// One group at all steps.
    fn group(&mut self, block: &Block, places: &[Place], group: usize, cells: &mut [f64], ask: &Ask<'_>) {
        for (step, cell) in cells.iter_mut().enumerate() {
            let present =
                places.iter().map(|place| (place.upper, block.cells[place.row as usize * block.steps + step]));
            self.buckets.clear();
            self.buckets
                .extend(present.filter(|(_, count)| !is_absent(*count)).map(|(upper, count)| Bucket { upper, count }));
            if !self.buckets.is_empty() {
                let (value, repair) = ask(&mut self.buckets, step);
                *cell = value;
                self.repaired.extend(repair.map(|repair| (group, step, repair)));
            }
        }
    }
}

impl Layout {
    /// The buckets of a group.
    fn places(&self, group: usize) -> &[Place] {
        let from = group.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.buckets[from..self.ends[group] as usize]
    }

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

/// A float as OpenMetrics writes it in labels: whole numbers with `.0`, and zero without a sign.
fn openmetrics_float(value: f64) -> String {
    if value == 0.0 {
        return "0.0".to_owned();
    }
    let text = annotate::go_float(value);
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == '-');
    if plain { format!("{text}.0") } else { text }
}
