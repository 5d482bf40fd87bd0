//! Operands of aggregations over ranges that are never a block: each row is computed and folded into its group at once.

use std::sync::Arc;

use crate::model::{Labels, Timestamp, is_absent};
use crate::promql::annotate;
use crate::promql::parser::{FunctionId, RangeMode};
use crate::promql::plan::{Aggregate, Kind, Selector, Source, Window};
use crate::promql::result::QueryError;
use crate::storage::Selection;

use super::bands::bands;
use super::block::Dropped;
use super::fold::Fold;
use super::grouping::{Grouping, Groups};
use super::selector::Pick;
use super::target::Target;
use super::window::{Input, dropped_by, is_counter_name, is_quick, only_name, shape_of};
use super::{Block, Eval, Grid};

/// What an aggregation works on.
pub(super) enum Operand {
    Block(Arc<Block>),
    /// One row a group already.
    Folded(Block),
}

impl Eval<'_> {
    /// The operand of an aggregation; folded when it is a window function or a selector of plain floats.
    pub(super) fn operand(&mut self, aggregate: &Aggregate, grid: Grid) -> Result<Operand, QueryError> {
        let node = &aggregate.expr;
        let folds = grid.len > 1 && !node.invariant && Fold::does(aggregate.op);
        match &node.kind {
            Kind::Window(window) if folds && !self.window_may_roll(window, grid) => {
                self.window_operand(aggregate, window, grid)
            }
            Kind::Vector(selector) if folds && selector.mode != RangeMode::Smoothed => {
                if self.may_roll(selector, self.settings.lookback, grid) {
                    return self.eval_vector(node, grid).map(Operand::Block);
                }
                self.selector_operand(aggregate, selector, grid)
            }
            _ => self.eval_vector(node, grid).map(Operand::Block),
        }
    }

    fn window_may_roll(&self, window: &Window, grid: Grid) -> bool {
        match &window.source {
            Source::Selector { selector, range, .. } => self.may_roll(selector, *range, grid),
            Source::Subquery { .. } => false,
        }
    }

    fn window_operand(&mut self, aggregate: &Aggregate, window: &Window, grid: Grid) -> Result<Operand, QueryError> {
        self.budget.work(64)?;
        self.budget.room_for(1, grid.len)?;
        let before = self.budget.held();
        let input = self.window_input(window, grid)?;
        if let Some(block) = self.fold_window(aggregate, window, &input, grid)? {
            self.budget.settle(before, input.series.labels.len() * grid.len, || 0)?;
            return Ok(Operand::Folded(block));
        }
        let block = self.window_block(window, &input, grid)?;
        self.budget.settle(before, block.cells.len(), || block.samples())?;
        Ok(Operand::Block(Arc::new(block)))
    }

    fn fold_window(
        &mut self,
        aggregate: &Aggregate,
        window: &Window,
        Input { args, series }: &Input,
        grid: Grid,
    ) -> Result<Option<Block>, QueryError> {
        let name = only_name(&window.source);
        // Who is called like what matters when nobody says so.
        let remarks = matches!(window.func.id, FunctionId::Rate | FunctionId::Increase);
        let dropped = dropped_by(window, series);
        if matches!(dropped, Dropped::Some(_)) || (remarks && name.is_none()) || !self.fits(&series.labels, grid) {
            return Ok(None);
        }
        let (shape, bands) = (shape_of(window, args, grid), series.data.bands());
        if !bands.iter().all(|band| is_quick(window, &shape, band)) {
            return Ok(None);
        }
        let groups = groups_of(aggregate, self, &series.labels);
        let mut fold = Fold::new(aggregate.op, &groups, grid.len);
        self.window_rows(&shape, &bands, series.labels.len(), Target::Fold(&mut fold))?;
        let Some(cells) = fold.finish() else { return Ok(None) };
        if let Some(name) = name.filter(|name| remarks && !is_counter_name(name))
            && cells.iter().any(|cell| !is_absent(*cell))
        {
            self.notes.info(window.source.pos(), annotate::maybe_no_counter(name));
        }
        Ok(Some(Block::floats(Arc::clone(&groups.labels), dropped, grid.len, cells)))
    }

    fn selector_operand(
        &mut self,
        aggregate: &Aggregate,
        selector: &Selector,
        grid: Grid,
    ) -> Result<Operand, QueryError> {
        self.budget.work(64)?;
        self.budget.room_for(1, grid.len)?;
        let before = self.budget.held();
        let selection = self.instant_selection(selector, grid)?;
        if let Some(block) = self.fold_selector(aggregate, selector, &selection, grid)? {
            self.budget.settle(before, selection.labels.len() * grid.len, || 0)?;
            return Ok(Operand::Folded(block));
        }
        let block = self.instant_samples(selector, Pick::Value, selection, grid)?;
        self.budget.settle(before, block.cells.len(), || block.samples())?;
        Ok(Operand::Block(Arc::new(block)))
    }

    fn fold_selector(
        &mut self,
        aggregate: &Aggregate,
        selector: &Selector,
        selection: &Selection,
        grid: Grid,
    ) -> Result<Option<Block>, QueryError> {
        let bands = bands(selection);
        if self.budget.counts_steps() || !self.fits(&selection.labels, grid) || !bands.iter().all(|band| band.plain) {
            return Ok(None);
        }
        let groups = groups_of(aggregate, self, &selection.labels);
        let mut fold = Fold::new(aggregate.op, &groups, grid.len);
        let references: Vec<Timestamp> = grid.times().map(|ts| selector.reference(ts)).collect();
        let samples = self.gather(
            &bands,
            (&references, self.settings.lookback),
            selection.labels.len(),
            Target::Fold(&mut fold),
        )?;
        let Some(cells) = fold.finish() else { return Ok(None) };
        self.budget.read_steps(samples, None);
        Ok(Some(Block::floats(Arc::clone(&groups.labels), Dropped::None, grid.len, cells)))
    }

    /// Whether the operand could be held as a block: a limit must not depend on how it is computed.
    fn fits(&self, labels: &[Labels], grid: Grid) -> bool {
        self.budget.room_for(labels.len().saturating_mul(2), grid.len).is_ok()
    }
}

fn groups_of(aggregate: &Aggregate, eval: &Eval<'_>, labels: &Arc<Vec<Labels>>) -> Arc<Groups> {
    Grouping { names: &aggregate.grouping, without: aggregate.without }.recall(eval.memo, labels)
}
