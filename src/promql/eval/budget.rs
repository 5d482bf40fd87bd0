//! What a query may use up: wall time, samples held, somebody's patience.
//!
//! What is held follows the stack of nodes: while a node is computed, everything that its operands gave counts; when it
//! is done, its own result counts instead of what it needed on the way ([`Budget::settle`]).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::model::format_duration;
use crate::promql::engine::CancelToken;
use crate::promql::result::{QueryError, QueryStats, RollupUse};
use crate::storage::Stop;

use super::Block;

/// Work units between two looks at the clock.
const CHECK_EVERY: u32 = 4096;

/// How long a query may take, and who said so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// What counts: the request's own timeout if it is shorter than the engine's.
    pub(crate) allowed: Duration,
    /// `--query.timeout`.
    pub(crate) configured: Duration,
}

impl Patience {
    pub(crate) fn new(wanted: Option<Duration>, configured: Duration) -> Self {
        Self { allowed: wanted.map_or(configured, |wanted| wanted.min(configured)), configured }
    }
}

impl fmt::Display for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = format_duration(self.configured);
        if self.allowed < self.configured {
            write!(f, "the request's timeout of {} is over (--query.timeout is {limit})", short(self.allowed))
        } else {
            write!(f, "the limit of {limit} is over (--query.timeout)")
        }
    }
}

/// Requests may state fractions of a millisecond.
fn short(duration: Duration) -> String {
    if duration < Duration::from_millis(1) { format!("{duration:?}") } else { format_duration(duration) }
}

/// Counts what one query uses.
#[derive(Debug)]
pub(crate) struct Budget {
    watch: Stopwatch,
    patience: Patience,
    cancel: Option<CancelToken>,
    max_samples: usize,
    held: usize,
    peak: usize,
    tally: Tally,
    rolled: BTreeMap<RollupUse, u64>,
    until_check: u32,
}

/// Samples read.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    total: u64,
    /// The same by step of the query, where somebody asks for it.
    steps: Option<Vec<u64>>,
}

impl Budget {
    pub(crate) fn new(watch: Stopwatch, patience: Patience, cancel: Option<CancelToken>, max_samples: usize) -> Self {
        let (tally, rolled) = (Tally::default(), BTreeMap::new());
        Self { watch, patience, cancel, max_samples, held: 0, peak: 0, tally, rolled, until_check: 0 }
    }

    /// From now on samples are counted for each of so many steps.
    pub(crate) fn count_steps(&mut self, steps: usize) {
        self.tally.steps = Some(vec![0; steps]);
    }

    /// What asks storage to stop: the time is over or the client has gone.
    pub(crate) fn stop(&self) -> Stop {
        let (watch, allowed, cancel) = (self.watch, self.patience.allowed, self.cancel.clone());
        Stop::when(move || cancel.as_ref().is_some_and(CancelToken::is_cancelled) || watch.elapsed() > allowed)
    }

    /// Why storage stopped.
    pub(crate) fn stopped(&self) -> QueryError {
        self.check().err().unwrap_or_else(|| QueryError::Canceled("expression evaluation".to_owned()))
    }

    /// Counts work; looks at the clock and the client now and then.
    ///
    /// # Errors
    /// When the time is over or the client has gone.
    #[inline]
    pub(crate) fn work(&mut self, units: usize) -> Result<(), QueryError> {
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        if self.until_check > units {
            self.until_check -= units;
            return Ok(());
        }
        self.until_check = CHECK_EVERY;
        self.check()
    }

    /// Looks at the clock and the client.
    ///
    /// # Errors
    /// As [`Budget::work`].
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Err(QueryError::Canceled("expression evaluation".to_owned()));
        }
        if self.watch.elapsed() > self.patience.allowed {
            return Err(QueryError::Timeout(format!("expression evaluation: {}", self.patience)));
        }
        Ok(())
    }

    /// Looks at samples that are in memory for a moment.
    ///
    /// # Errors
    /// As [`Budget::hold`].
    #[inline]
    pub(crate) fn touch(&mut self, step: usize, samples: usize) -> Result<(), QueryError> {
        self.read(step, samples as u64);
        self.peak(samples)
    }

    /// As [`Budget::touch`] of samples that are counted elsewhere.
    ///
    /// # Errors
    /// As [`Budget::hold`].
    #[inline]
    pub(crate) fn peak(&mut self, samples: usize) -> Result<(), QueryError> {
        let now = self.held.saturating_add(samples);
        self.peak = self.peak.max(now);
        if now > self.max_samples { Err(self.too_many(now)) } else { Ok(()) }
    }

    /// Takes samples into memory, until the node that is being computed is done.
    ///
    /// # Errors
    /// When they are too many together with those already there.
    pub(crate) fn hold(&mut self, samples: usize) -> Result<(), QueryError> {
        self.held = self.held.saturating_add(samples);
        self.peak = self.peak.max(self.held);
        if self.held > self.max_samples { Err(self.too_many(self.held)) } else { Ok(()) }
    }

    /// A node is done: of what came after `before` samples were held, only its result of `cells` places stays, of which
    /// `samples()` hold something. They are counted only when it matters.
    ///
    /// # Errors
    /// As [`Budget::hold`].
    pub(crate) fn settle(
        &mut self,
        before: usize,
        cells: usize,
        samples: impl FnOnce() -> usize,
    ) -> Result<(), QueryError> {
        self.held = before;
        let fits = before.saturating_add(cells) <= self.max_samples;
        self.hold(if fits { cells } else { samples() })
    }

    /// Whether a block of so many cells may be made beside what is held. Holes take room too, but they are no samples:
    /// each cell counts half.
    ///
    /// # Errors
    /// As [`Budget::hold`].
    pub(crate) fn room_for(&self, rows: usize, steps: usize) -> Result<(), QueryError> {
        let cells = rows.saturating_mul(steps);
        let fits = self.held.saturating_add(cells / 2) <= self.max_samples;
        if fits { Ok(()) } else { Err(self.too_many(self.held.saturating_add(cells))) }
    }

    /// Counts samples that were read for a step.
    #[inline]
    pub(crate) fn read(&mut self, step: usize, samples: u64) {
        self.tally.total += samples;
        if let Some(at_step) = self.tally.steps.as_mut().and_then(|steps| steps.get_mut(step)) {
            *at_step += samples;
        }
    }

    /// Counts samples that were read, and those of each step where that is known.
    pub(crate) fn read_steps(&mut self, samples: u64, by_step: Option<&[u64]>) {
        self.tally.total += samples;
        if let (Some(steps), Some(by_step)) = (&mut self.tally.steps, by_step) {
            steps.iter_mut().zip(by_step).for_each(|(at_step, samples)| *at_step += samples);
        }
    }

    /// Counts the samples of a selector's block.
    pub(crate) fn read_block(&mut self, block: &Block) {
        if !self.counts_steps() {
            return self.read_steps(block.samples() as u64, None);
        }
        for row in 0..block.rows() {
            (0..block.steps).filter(|step| block.has(row, *step)).for_each(|step| self.read(step, 1));
        }
    }

    /// Counts, for each of so many steps, what was read once for all.
    pub(crate) fn read_every_step(&mut self, steps: usize, samples: u64) {
        self.tally.total += samples * steps as u64;
        self.tally.steps.iter_mut().flatten().for_each(|at_step| *at_step += samples);
    }

    pub(crate) fn counts_steps(&self) -> bool {
        self.tally.steps.is_some()
    }

    /// Starts to count from 0, for a part of the query that has steps of its own.
    pub(crate) fn count_apart(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Goes on counting as before the part, and says what the part read.
    pub(crate) fn count_on(&mut self, outer: Tally) -> u64 {
        std::mem::replace(&mut self.tally, outer).total
    }

    /// Starts to count for some of the steps only, so many.
    pub(crate) fn count_part(&mut self, steps: usize) -> Tally {
        let part = Tally { total: 0, steps: self.tally.steps.as_ref().map(|_| vec![0; steps]) };
        std::mem::replace(&mut self.tally, part)
    }

    /// Adds what those steps read, of which the first is the query's step `first`.
    pub(crate) fn count_whole(&mut self, whole: Tally, first: usize) {
        let part = std::mem::replace(&mut self.tally, whole);
        self.tally.total += part.total;
        if let (Some(steps), Some(part)) = (&mut self.tally.steps, part.steps) {
            steps.iter_mut().skip(first).zip(part).for_each(|(at_step, samples)| *at_step += samples);
        }
    }

    /// Notes that rollups answer a selector.
    pub(crate) fn rolled(&mut self, rollups: RollupUse) {
        *self.rolled.entry(rollups).or_default() += 1;
    }

    pub(crate) fn held(&self) -> usize {
        self.held
    }

    pub(crate) fn stats(&self) -> QueryStats {
        QueryStats {
            total_samples: self.tally.total,
            samples_per_step: self.tally.steps.clone().unwrap_or_default(),
            peak_samples: self.peak as u64,
            rollups: self.rolled.iter().map(|(rollups, selectors)| (*rollups, *selectors)).collect(),
            elapsed: self.watch.elapsed(),
            ..QueryStats::default()
        }
    }

    #[cold]
    fn too_many(&self, wanted: usize) -> QueryError {
        QueryError::TooManySamples { wanted: Some(wanted), limit: self.max_samples }
    }
}

/// Storage's refusal, which does not know the limit: the engine writes it in.
pub(crate) fn too_many_samples() -> QueryError {
    QueryError::TooManySamples { wanted: None, limit: 0 }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Patience};
    use crate::clock::Stopwatch;
    use crate::promql::engine::CancelToken;
    use crate::promql::result::QueryError;
    use std::time::Duration;

    fn budget(allowed: Duration, cancel: Option<CancelToken>, max_samples: usize) -> Budget {
        let patience = Patience::new(Some(allowed), Duration::from_secs(120));
        Budget::new(Stopwatch::start(), patience, cancel, max_samples)
    }

    #[test]
    fn says_what_is_used_up() {
        let mut late = budget(Duration::ZERO, None, 2);
        assert!(matches!(late.work(1), Err(QueryError::Timeout(_))));
        assert!(late.room_for(2, 2).is_ok() && late.room_for(3, 2).is_err());
        assert!(late.room_for(usize::MAX, 2).is_err());
        assert!(late.hold(2).is_ok() && late.room_for(1, 2).is_err());
        assert_eq!(late.hold(1), Err(QueryError::TooManySamples { wanted: Some(3), limit: 2 }));
        let token = CancelToken::new();
        token.cancel();
        let mut left = budget(Duration::from_secs(9), Some(token), 2);
        assert!(matches!(left.work(1), Err(QueryError::Canceled(_))));
    }

    #[test]
    fn a_result_takes_the_place_of_what_it_needed() {
        let mut budget = budget(Duration::from_secs(9), None, 10);
        budget.hold(3).expect("room");
        let before = budget.held();
        budget.hold(6).expect("room");
        budget.settle(before, 4, || unreachable!("cells fit")).expect("room");
        assert_eq!((budget.held(), budget.stats().peak_samples), (7, 9));
        budget.settle(before, 100, || 2).expect("mostly holes");
        assert_eq!(budget.held(), 5);
        assert!(budget.settle(before, 100, || 8).is_err());
    }

    #[test]
    fn names_whose_time_is_over() {
        for (wanted, expected) in [
            (None, "the limit of 2m is over (--query.timeout)"),
            (Some(600), "the limit of 2m is over (--query.timeout)"),
            (Some(5), "the request's timeout of 5s is over (--query.timeout is 2m)"),
        ] {
            let patience = Patience::new(wanted.map(Duration::from_secs), Duration::from_secs(120));
            assert_eq!(patience.to_string(), expected);
        }
    }
}
