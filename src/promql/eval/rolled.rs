//! Functions of ranges, and selectors, that rollups answer: exactly where their windows end between buckets, nearly where
//! raw samples are gone.
//!
//! The buckets' aspects come from storage as samples at the ends of the buckets, so that the kernels of windows work on them as
//! on any others: the largest value of a window is the largest of its buckets' largest ones.

use std::ops::Range;
use std::sync::Arc;

use crate::model::{Timestamp, absent, is_absent};
use crate::promql::annotate;
use crate::promql::functions::Shape;
use crate::promql::parser::{FunctionId, Pos, RangeMode};
use crate::promql::plan::{Selector, Source, Window};
use crate::promql::result::{QueryError, RollupUse};
use crate::storage::{Aspect, RollupRequest, Rollups, Selection, StorageError, Tier};

use super::bands::bands;
use super::budget::too_many_samples;
use super::selector::compacted;
use super::target::Target;
use super::{Block, Dropped, Eval, Grid, seconds};

/// An instant query takes rollups where raw samples are there too only for ranges from here on.
const LONG_RANGE_MS: i64 = 86_400_000;

/// How some of the steps are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Raw,
    Exact(Tier),
    /// Windows are moved to where this tier's buckets end.
    Nearest(Tier),
}

/// What is read of buckets, and where the query says so.
struct Want<'a> {
    selector: &'a Selector,
    aspects: &'static [Aspect],
    pos: Pos,
}

/// Works out some of the steps: of buckets, one selection an aspect, or where there are none, of samples.
type Answer<'f, E> = &'f dyn Fn(&mut E, Grid, Option<(Windows, Vec<Selection>)>) -> Result<Block, QueryError>;

/// Steps and how they are answered, in order.
type Ways = Vec<(Range<usize>, Way)>;

/// Windows that end at `ends`, `range` milliseconds long, and how they are read.
struct Windows {
    ends: Vec<Timestamp>,
    range: i64,
}

impl Eval<'_> {
    /// A function of a range by rollups, for the steps that they can or must answer; `None`: none of them.
    pub(super) fn rolled_window(&mut self, window: &Window, grid: Grid) -> Result<Option<Block>, QueryError> {
        let Some((selector, aspects)) = rollable(window) else { return Ok(None) };
        let Some(plan) = self.ways(selector, window.source.range(), grid) else { return Ok(None) };
        let want = Want { selector, aspects, pos: window.source.pos() };
        let whole = self.by_parts(&want, plan, grid, &|eval, part, rolled| match rolled {
            None => eval.window_of_samples(window, part),
            Some((windows, selections)) => {
                let block = eval.by_buckets(window, part, &windows, &selections)?;
                eval.remark_on_names(window, &block);
                Ok(compacted(block))
            }
        });
        whole.map(Some)
    }

    /// An instant selector by rollups; `None`: raw samples have all of it.
    pub(super) fn rolled_selector(
        &mut self,
        selector: &Selector,
        pos: Pos,
        grid: Grid,
    ) -> Result<Option<Block>, QueryError> {
        let Some(plan) = self.ways(selector, self.settings.lookback, grid) else { return Ok(None) };
        let want = Want { selector, aspects: &[Aspect::Newest], pos };
        let whole = self.by_parts(&want, plan, grid, &|eval, part, rolled| match rolled {
            None => eval.selector_of_samples(selector, pos, part),
            Some((windows, selections)) => eval.newest_of_buckets(&windows, &selections, part),
        });
        whole.map(Some)
    }

    /// Answers each part of the steps its way, and puts the parts together.
    fn by_parts(
        &mut self,
        want: &Want<'_>,
        (info, windows, ways): (Rollups, Windows, Ways),
        grid: Grid,
        answer: Answer<'_, Self>,
    ) -> Result<Block, QueryError> {
        let mut whole: Option<Block> = None;
        for (steps, way) in ways {
            let (part, first) = (grid.part(steps.clone()), steps.start);
            let counted = self.budget.count_part(part.len);
            let rolled = match way {
                Way::Raw => None,
                Way::Exact(tier) => self.aspects(want, windows.part(steps), tier, Some(&info))?,
                Way::Nearest(tier) => self.aspects(want, windows.moved(steps, tier), tier, None)?,
            };
            if let Some((_, selections)) = &rolled {
                self.remark_on_rollups(way, &info, selections, want.pos);
            }
            let block = answer(self, part, rolled)?;
            self.budget.count_whole(counted, first);
            whole = Some(match whole {
                None => block,
                Some(before) => before.beside(block),
            });
        }
        Ok(whole.unwrap_or_else(|| Block::empty(grid.len)))
    }

    /// The newest value of each window of buckets.
    fn newest_of_buckets(
        &mut self,
        windows: &Windows,
        selections: &[Selection],
        grid: Grid,
    ) -> Result<Block, QueryError> {
        let Some(selection) = selections.first() else { return Ok(Block::empty(grid.len)) };
        let (mut cells, rows) = (Vec::new(), selection.labels.len());
        self.budget.room_for(rows, grid.len)?;
        let target = Target::Cells(&mut cells);
        let samples = self.gather(&bands(selection), (&windows.ends, windows.range), rows, target)?;
        let block = Block::floats(Arc::clone(&selection.labels), Dropped::None, grid.len, cells);
        match self.budget.counts_steps() {
            true => self.budget.read_block(&block),
            false => self.budget.read_steps(samples, None),
        }
        Ok(compacted(block))
    }

    /// Whether rollups answer any of the steps: then nobody may read raw samples alone.
    pub(super) fn may_roll(&self, selector: &Selector, range: i64, grid: Grid) -> bool {
        self.ways(selector, range, grid).is_some()
    }

    /// Which steps are answered how; `None`: all by raw samples.
    fn ways(&self, selector: &Selector, range: i64, grid: Grid) -> Option<(Rollups, Windows, Ways)> {
        let info = self.querier.rollups()?;
        let windows = Windows { ends: grid.times().map(|ts| selector.reference(ts)).collect(), range };
        let ways = ways(&info, &windows)?;
        Some((info, windows, ways))
    }

    /// Reads aspects of buckets. Exact answers need series of floats without start timestamps, as long as raw samples are
    /// there instead.
    fn aspects(
        &mut self,
        want: &Want<'_>,
        windows: Windows,
        tier: Tier,
        exact: Option<&Rollups>,
    ) -> Result<Option<(Windows, Vec<Selection>)>, QueryError> {
        let (Some(first), Some(last)) = (windows.ends.first(), windows.ends.last()) else { return Ok(None) };
        let request = RollupRequest {
            matchers: want.selector.matchers.clone(),
            after: first.saturating_sub(windows.range),
            until: *last,
            tier,
            aspects: want.aspects.to_vec(),
            max_samples: self.settings.max_samples.saturating_sub(self.budget.held()),
            stop: self.budget.stop(),
        };
        let raw_has_it = exact.is_some_and(|info| request.after >= info.raw_from);
        let rolled = match self.querier.select_rollups(&request) {
            // Where there are as few samples as buckets, raw ones have one aspect only.
            Err(StorageError::TooManySamples) if raw_has_it => return Ok(None),
            Err(StorageError::TooManySamples) => return Err(too_many_samples()),
            Err(StorageError::Stopped) => return Err(self.budget.stopped()),
            Err(other) => return Err(QueryError::Storage(other.to_string())),
            Ok(rolled) => rolled,
        };
        let Some(rolled) = rolled.filter(|rolled| !(rolled.has_more && raw_has_it)) else { return Ok(None) };
        let pieces = rolled.selections.iter().flat_map(|selection| &selection.pieces);
        let places: usize = pieces.map(|piece| piece.times.len() * piece.rows.len()).sum();
        self.budget.hold(places.min(request.max_samples))?;
        self.budget.rolled(RollupUse { tier, exact: exact.is_some() });
        Ok(Some((windows, rolled.selections)))
    }

    fn remark_on_rollups(&mut self, way: Way, info: &Rollups, selections: &[Selection], pos: Pos) {
        let any = selections.iter().any(|selection| !selection.pieces.is_empty());
        if let (Way::Nearest(tier), true) = (way, any) {
            self.notes.info(pos, annotate::raw_is_gone(info.raw_from, tier));
        }
    }

    /// The function's value of windows of buckets.
    fn by_buckets(
        &mut self,
        window: &Window,
        grid: Grid,
        windows: &Windows,
        selections: &[Selection],
    ) -> Result<Block, QueryError> {
        use FunctionId as F;
        let id = window.func.id;
        let Some(first) = selections.first() else { return Ok(Block::empty(grid.len)) };
        self.budget.room_for(first.labels.len().saturating_mul(selections.len()), grid.len)?;
        let mut parts = Vec::with_capacity(selections.len());
        for (selection, func) in selections.iter().zip(kernels(id)) {
            // A bucket counts as one sample, however many of its aspects are read.
            let counted = (!parts.is_empty()).then(|| self.budget.count_apart());
            let part = self.kernel_over(*func, selection, windows, grid);
            if let Some(counted) = counted {
                self.budget.count_on(counted);
            }
            parts.push(part?);
        }
        let cells = match (id, parts.as_mut_slice()) {
            (F::AvgOverTime, [sum, count]) => {
                sum.iter_mut()
                    .zip(count)
                    .for_each(|(sum, count)| *sum = if is_absent(*count) { absent() } else { *sum / *count });
                std::mem::take(sum)
            }
            (F::PresentOverTime, [last]) => {
                last.iter_mut().filter(|cell| !is_absent(**cell)).for_each(|cell| *cell = 1.0);
                std::mem::take(last)
            }
            (F::TsOfFirstOverTime | F::TsOfLastOverTime, [times]) => {
                times.iter_mut().filter(|cell| !is_absent(**cell)).for_each(|cell| *cell = seconds(*cell as i64));
                std::mem::take(times)
            }
            (F::Rate | F::Increase | F::Delta, parts) => changes(id, window.source.range(), windows, parts, grid.len),
            (_, [only]) => std::mem::take(only),
            _ => return Err(super::unexpected("rollups")),
        };
        let keeps_name = matches!(id, F::LastOverTime | F::FirstOverTime);
        let dropped = if keeps_name { Dropped::None } else { Dropped::All };
        Ok(Block::floats(Arc::clone(&first.labels), dropped, grid.len, cells))
    }

    fn kernel_over(
        &mut self,
        func: FunctionId,
        selection: &Selection,
        windows: &Windows,
        grid: Grid,
    ) -> Result<Vec<f64>, QueryError> {
        let steps = grid.times().collect();
        let shape = Shape { func, ends: windows.ends.clone(), steps, range: windows.range, arg: None };
        let mut cells = Vec::new();
        self.window_rows(&shape, &bands(selection), selection.labels.len(), Target::Cells(&mut cells))?;
        Ok(cells)
    }
}

/// The selector and the aspects of buckets that the function is worked out of; `None`: it needs every sample.
fn rollable(window: &Window) -> Option<(&Selector, &'static [Aspect])> {
    use {Aspect as A, FunctionId as F};
    let Source::Selector { selector, .. } = &window.source else { return None };
    if selector.mode != RangeMode::Plain {
        return None;
    }
    let aspects: &[A] = match window.func.id {
        F::MinOverTime => &[A::Min],
        F::MaxOverTime => &[A::Max],
        F::SumOverTime => &[A::Sum],
        F::CountOverTime => &[A::Count],
        F::AvgOverTime => &[A::Sum, A::Count],
        F::FirstOverTime => &[A::First],
        F::LastOverTime | F::PresentOverTime => &[A::Last],
        F::TsOfFirstOverTime => &[A::FirstTime],
        F::TsOfLastOverTime => &[A::LastTime],
        F::Rate | F::Increase => &[A::First, A::Last, A::FirstTime, A::LastTime, A::Count, A::Lost, A::Entry],
        F::Delta => &[A::First, A::Last, A::FirstTime, A::LastTime, A::Count],
        _ => return None,
    };
    Some((selector, aspects))
}

/// What puts each aspect of a window's buckets together, in the order of [`rollable`].
fn kernels(id: FunctionId) -> &'static [FunctionId] {
    use FunctionId as F;
    match id {
        F::MinOverTime => &[F::MinOverTime],
        F::MaxOverTime => &[F::MaxOverTime],
        F::SumOverTime | F::CountOverTime => &[F::SumOverTime],
        F::AvgOverTime => &[F::SumOverTime, F::SumOverTime],
        F::FirstOverTime | F::TsOfFirstOverTime => &[F::FirstOverTime],
        F::Rate | F::Increase | F::Delta => &[
            F::FirstOverTime,
            F::LastOverTime,
            F::FirstOverTime,
            F::LastOverTime,
            F::SumOverTime,
            F::SumOverTime,
            F::FirstOverTime,
        ],
        _ => &[F::LastOverTime],
    }
}

/// `rate`, `increase` and `delta` of windows whose first and last samples are known; the rules are those of
/// [`crate::promql::functions`] for samples. `range` is what was asked for, the windows may be longer.
fn changes(id: FunctionId, range: i64, windows: &Windows, parts: &mut [Vec<f64>], steps: usize) -> Vec<f64> {
    let [first, last, first_time, last_time, count, losses @ ..] = parts else { return Vec::new() };
    let mut out = vec![absent(); first.len()];
    for (at, cell) in out.iter_mut().enumerate() {
        if is_absent(count[at]) || count[at] < 2.0 {
            continue;
        }
        let end = windows.ends[at % steps];
        let mut value = last[at] - first[at];
        if let [lost, entry] = losses {
            value += lost[at] - entry[at];
        }
        let sampled = (last_time[at] - first_time[at]) / 1000.0;
        let average = sampled / (count[at] - 1.0);
        let mut to_start = (first_time[at] - (end - windows.range) as f64) / 1000.0;
        let mut to_end = (end as f64 - last_time[at]) / 1000.0;
        if to_start >= average * 1.1 {
            to_start = average / 2.0;
        }
        if to_end >= average * 1.1 {
            to_end = average / 2.0;
        }
        // A counter is never negative: do not extrapolate beyond the time at which it would have been zero.
        if !losses.is_empty() && value > 0.0 && first[at] >= 0.0 {
            to_start = to_start.min(sampled * (first[at] / value));
        }
        let per_second = value * ((sampled + to_start + to_end) / sampled) / (windows.range as f64 / 1000.0);
        *cell = if id == FunctionId::Rate { per_second } else { per_second * (range as f64 / 1000.0) };
    }
    out
}

impl Windows {
    fn part(&self, steps: Range<usize>) -> Self {
        Self { ends: self.ends[steps].to_vec(), range: self.range }
    }

    /// The windows with both ends where the tier's nearest buckets end.
    fn moved(&self, steps: Range<usize>, tier: Tier) -> Self {
        let bucket = tier.bucket_ms();
        let nearest = |ts: Timestamp| (ts.saturating_add(bucket / 2)).div_euclid(bucket).saturating_mul(bucket);
        let ends = self.ends[steps].iter().map(|end| nearest(*end)).collect();
        Self { ends, range: nearest(self.range).max(bucket) }
    }
}

/// The rules: the coarsest tier is exact whose bucket divides all ends of windows and their length; where samples that fine
/// are gone, the finest tier comes nearest that is still there.
fn ways(info: &Rollups, windows: &Windows) -> Option<Ways> {
    let (first, last) = (*windows.ends.first()?, *windows.ends.last()?);
    let (begin, steps) = (first.saturating_sub(windows.range), windows.ends.len());
    let divides = |tier: Tier| {
        let bucket = tier.bucket_ms();
        let second = windows.ends.get(1).copied().unwrap_or(first);
        [first, second, windows.range].into_iter().all(|ms| ms.rem_euclid(bucket) == 0)
    };
    let useful = steps > 1 || windows.range >= LONG_RANGE_MS || begin < info.raw_from;
    let exact = info.tiers.iter().rev().find(|(tier, from, until)| divides(*tier) && *until > begin && *from <= last);
    let exact = exact.filter(|_| useful).map(|(tier, ..)| *tier);
    // What is older than all that is fine enough is answered by something coarser, if there is anything.
    let fine = info.tiers.iter().filter(|(tier, ..)| exact.is_some_and(|exact| *tier <= exact));
    let from = fine.map(|(tier, from, _)| from.saturating_sub(tier.bucket_ms())).chain([info.raw_from]).min()?;
    let oldest = info.tiers.iter().map(|(_, first, _)| *first).min()?;
    let mut near = 0;
    if oldest < from && begin < from {
        near = windows.ends.partition_point(|end| end.saturating_sub(windows.range) < from);
    }
    let exact_way = exact.map_or(Way::Raw, Way::Exact);
    if near == 0 {
        return exact.map(|_| vec![(0..steps, exact_way)]);
    }
    let reaching = |(tier, from, _): &&(Tier, Timestamp, Timestamp)| from.saturating_sub(tier.bucket_ms()) <= begin;
    let finest = info.tiers.iter().find(reaching).or_else(|| info.tiers.iter().min_by_key(|(_, from, _)| *from));
    let nearest = Way::Nearest(finest?.0);
    Some(if near == steps { vec![(0..steps, nearest)] } else { vec![(0..near, nearest), (near..steps, exact_way)] })
}

#[cfg(test)]
mod tests {
    use super::{Way, Windows, ways};
    use crate::storage::{Rollups, Tier};

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;

    #[test]
    fn the_coarsest_exact_tier_or_the_finest_that_is_left() {
        // Raw for two days, minutes for ten, hours for a hundred.
        let tiers = vec![
            (Tier::Minute, 90 * DAY + MINUTE, 100 * DAY),
            (Tier::Hour, HOUR, 99 * DAY),
            (Tier::Day, DAY, 60 * DAY),
        ];
        let info = Rollups { raw_from: 98 * DAY, tiers };
        let ask = |from: i64, to: i64, step: i64, range: i64| {
            let ends = (0..).map(|n| from + n * step).take_while(|ts| *ts <= to).collect();
            ways(&info, &Windows { ends, range })
        };
        let (raw, minute, hour) = (Way::Raw, Tier::Minute, Tier::Hour);
        // Everything is there.
        assert_eq!(ask(99 * DAY + 1, 100 * DAY, 15_000, HOUR), None);
        assert_eq!(ask(99 * DAY, 100 * DAY, 15_000, HOUR), None);
        assert_eq!(ask(99 * DAY, 100 * DAY, MINUTE, 5 * MINUTE), Some(vec![(0..1441, Way::Exact(minute))]));
        assert_eq!(ask(95 * DAY, 96 * DAY, HOUR, HOUR), Some(vec![(0..25, Way::Exact(hour))]));
        assert_eq!(ask(95 * DAY, 96 * DAY, HOUR, 5 * MINUTE), Some(vec![(0..25, Way::Exact(minute))]));
        // An instant query does without rollups as long as it can.
        assert_eq!(ask(99 * DAY, 99 * DAY, 1, HOUR), None);
        assert_eq!(ask(98 * DAY, 98 * DAY, 1, DAY), Some(vec![(0..1, Way::Exact(hour))]));
        assert_eq!(ask(97 * DAY, 97 * DAY, 1, HOUR), Some(vec![(0..1, Way::Exact(hour))]));
        // Raw samples are gone, and the windows end anywhere.
        assert_eq!(ask(95 * DAY + 1, 96 * DAY, 15_000, HOUR), Some(vec![(0..5760, Way::Nearest(minute))]));
        let both = ask(98 * DAY - 30_000, 98 * DAY + 60_000, 15_000, 30_000);
        assert_eq!(both, Some(vec![(0..4, Way::Nearest(minute)), (4..7, raw)]));
        // Minutes are gone too.
        assert_eq!(ask(50 * DAY, 51 * DAY, 5 * MINUTE, 5 * MINUTE), Some(vec![(0..289, Way::Nearest(hour))]));
        let both = ask(90 * DAY, 90 * DAY + 10 * MINUTE, 5 * MINUTE, 5 * MINUTE);
        assert_eq!(both, Some(vec![(0..1, Way::Nearest(hour)), (1..3, Way::Exact(minute))]));
        // Days are exact for days.
        assert_eq!(ask(50 * DAY, 55 * DAY, DAY, 2 * DAY), Some(vec![(0..6, Way::Exact(Tier::Day))]));
    }
}
