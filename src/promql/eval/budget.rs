//! What a query may use up: wall time, samples held, somebody's patience.

use std::time::Duration;

use crate::clock::Stopwatch;
use crate::promql::engine::CancelToken;
use crate::promql::result::{QueryError, QueryStats};

/// Work units between two looks at the clock.
const CHECK_EVERY: u32 = 4096;

/// Counts what one query uses.
#[derive(Debug)]
pub(crate) struct Budget {
    watch: Stopwatch,
    timeout: Duration,
    cancel: Option<CancelToken>,
    max_samples: usize,
    held: usize,
    peak: usize,
    total: u64,
    until_check: u32,
}

impl Budget {
    pub(crate) fn new(watch: Stopwatch, timeout: Duration, cancel: Option<CancelToken>, max_samples: usize) -> Self {
        Self { watch, timeout, cancel, max_samples, held: 0, peak: 0, total: 0, until_check: 0 }
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

    fn check(&self) -> Result<(), QueryError> {
        if self.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Err(QueryError::Canceled("expression evaluation".to_owned()));
        }
        if self.watch.elapsed() > self.timeout {
            return Err(QueryError::Timeout("expression evaluation".to_owned()));
        }
        Ok(())
    }

    /// Looks at samples that are in memory for a moment.
    ///
    /// # Errors
    /// As [`Budget::hold`].
    #[inline]
    pub(crate) fn touch(&mut self, samples: usize) -> Result<(), QueryError> {
        let now = self.held + samples;
        self.peak = self.peak.max(now);
        self.total += samples as u64;
        if now > self.max_samples { Err(too_many_samples()) } else { Ok(()) }
    }

    /// Takes samples into memory.
    ///
    /// # Errors
    /// When they are too many together with those already there.
    pub(crate) fn hold(&mut self, samples: usize) -> Result<(), QueryError> {
        self.held += samples;
        self.peak = self.peak.max(self.held);
        if self.held > self.max_samples { Err(too_many_samples()) } else { Ok(()) }
    }

    /// Whether a block of so many cells may be made. Holes take room too, but they are no samples: twice the limit.
    ///
    /// # Errors
    /// As [`Budget::hold`].
    pub(crate) fn room_for(&self, rows: usize, steps: usize) -> Result<(), QueryError> {
        let fits = rows.checked_mul(steps).is_some_and(|cells| cells / 2 <= self.max_samples);
        if fits { Ok(()) } else { Err(too_many_samples()) }
    }

    /// Lets samples go.
    pub(crate) fn release(&mut self, samples: usize) {
        self.held = self.held.saturating_sub(samples);
    }

    /// Counts samples that were read.
    pub(crate) fn read(&mut self, samples: u64) {
        self.total += samples;
    }

    pub(crate) fn held(&self) -> usize {
        self.held
    }

    pub(crate) fn stats(&self) -> QueryStats {
        QueryStats { total_samples: self.total, peak_samples: self.peak as u64, elapsed: self.watch.elapsed() }
    }
}

/// Prometheus' text for the sample limit.
pub(crate) fn too_many_samples() -> QueryError {
    QueryError::Execution("query processing would load too many samples into memory in query execution".to_owned())
}

#[cfg(test)]
mod tests {
    use super::Budget;
    use crate::clock::Stopwatch;
    use crate::promql::engine::CancelToken;
    use crate::promql::result::QueryError;
    use std::time::Duration;

    #[test]
    fn says_what_is_used_up() {
        let mut budget = Budget::new(Stopwatch::start(), Duration::ZERO, None, 2);
        assert!(matches!(budget.work(1), Err(QueryError::Timeout(_))));
        assert!(budget.hold(2).is_ok());
        assert!(matches!(budget.hold(1), Err(QueryError::Execution(_))));
        assert!(budget.room_for(2, 2).is_ok() && budget.room_for(3, 2).is_err());
        assert!(budget.room_for(usize::MAX, 2).is_err());
        let token = CancelToken::new();
        token.cancel();
        let mut budget = Budget::new(Stopwatch::start(), Duration::from_secs(9), Some(token), 2);
        assert!(matches!(budget.work(1), Err(QueryError::Canceled(_))));
    }
}
