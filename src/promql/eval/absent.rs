//! `absent` and `absent_over_time`: one where there is nothing.

use std::sync::Arc;

use crate::model::{Labels, absent};
use crate::promql::plan::{Node, Window};
use crate::promql::result::QueryError;

use super::block::Dropped;
use super::samples::{RangeSeries, Scratch};
use super::window::reach;
use super::{Block, Eval, Grid};

impl Eval<'_> {
    pub(super) fn absent(&mut self, arg: &Node, labels: &Labels, grid: Grid) -> Result<Block, QueryError> {
        let block = self.eval_vector(arg, grid)?;
        let mut seen = vec![false; grid.len];
        for row in 0..block.rows() {
            seen.iter_mut().enumerate().for_each(|(step, seen)| *seen |= block.has(row, step));
        }
        Ok(ones_where_not(&seen, labels))
    }

    pub(super) fn absent_over_time(
        &mut self,
        window: &Window,
        series: &RangeSeries,
        grid: Grid,
    ) -> Result<Block, QueryError> {
        let mut seen = vec![false; grid.len];
        let mut scratch = Scratch::default();
        let (back, _) = reach(window.source.mode(), self.settings.lookback);
        let bounds: Vec<(i64, i64)> = grid
            .times()
            .map(|ts| window.source.reference(ts))
            .map(|end| (end.saturating_sub(window.source.range()).saturating_sub(back), end))
            .collect();
        for band in series.data.bands() {
            let mut reader = band.reader();
            for row in band.rows.iter() {
                // Mostly the first row is there at every step.
                if seen.iter().all(|seen| *seen) {
                    break;
                }
                reader.seek(*row);
                let samples = reader.samples(&mut scratch);
                self.budget.work(samples.times.len() + grid.len)?;
                for (seen, (start, end)) in seen.iter_mut().zip(&bounds).filter(|(seen, _)| !**seen) {
                    let within =
                        |times: &[i64]| times.partition_point(|ts| ts <= end) > times.partition_point(|ts| ts <= start);
                    *seen = within(samples.times) || within(samples.histogram_times);
                }
            }
        }
        Ok(ones_where_not(&seen, &window.absent))
    }
}

fn ones_where_not(seen: &[bool], labels: &Labels) -> Block {
    let cells: Vec<f64> = seen.iter().map(|seen| if *seen { absent() } else { 1.0 }).collect();
    Block::floats(Arc::new(vec![labels.clone()]), Dropped::None, seen.len(), cells).without_empty_rows()
}
