//! Admits a bounded number of queries at once.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock::Stopwatch;

use super::engine::CancelToken;
use super::result::QueryError;

/// How often a query that waits looks whether its client is still there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A counting gate. Waiting is bounded by each query's own time, and ends when its client goes.
#[derive(Debug)]
pub(crate) struct Gate {
    places: usize,
    free: Mutex<usize>,
    freed: Condvar,
}

/// A place inside; leaving gives it back.
#[derive(Debug)]
pub(crate) struct Place<'a>(&'a Gate);

impl Gate {
    pub(crate) fn new(places: usize) -> Self {
        let places = places.max(1);
        Self { places, free: Mutex::new(places), freed: Condvar::new() }
    }

    /// Waits for a place until `watch` shows `patience`.
    ///
    /// # Errors
    /// [`QueryError::Timeout`] when none was free in time, [`QueryError::Canceled`] when the client has gone.
    pub(crate) fn enter(
        &self,
        watch: Stopwatch,
        patience: Duration,
        cancel: Option<&CancelToken>,
    ) -> Result<Place<'_>, QueryError> {
        let mut free = self.free.lock();
        while *free == 0 {
            if cancel.is_some_and(CancelToken::is_cancelled) {
                return Err(QueryError::Canceled("query queue".to_owned()));
            }
            let left = patience.saturating_sub(watch.elapsed());
            if left.is_zero() {
                return Err(queue_full(self.places));
            }
            let slice = if cancel.is_some() { left.min(LOOK_EVERY) } else { left };
            self.freed.wait_for(&mut free, slice);
        }
        *free -= 1;
        Ok(Place(self))
    }
}

/// No place became free in time.
pub(crate) fn queue_full(places: usize) -> QueryError {
    QueryError::Timeout(format!(
        "query queue: no place became free in time, {places} queries run at once (--query.max-concurrency)"
    ))
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.free.lock() += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::{CancelToken, Gate, QueryError};
    use crate::clock::Stopwatch;
    use std::time::Duration;

    #[test]
    fn refuses_when_full_and_admits_again() {
        let gate = Gate::new(1);
        let now = Duration::ZERO;
        let enter = |patience, cancel| gate.enter(Stopwatch::start(), patience, cancel);
        let place = enter(now, None).expect("free");
        let refusal = enter(Duration::from_millis(1), None).expect_err("full");
        assert!(refusal.to_string().contains("1 queries run at once (--query.max-concurrency)"), "{refusal}");
        let gone = CancelToken::new();
        gone.cancel();
        let refusal = enter(Duration::from_secs(60), Some(&gone)).expect_err("full");
        assert!(matches!(refusal, QueryError::Canceled(_)), "{refusal}");
        drop(place);
        assert!(enter(now, None).is_ok());
    }

    #[test]
    fn a_waiting_client_that_goes_frees_its_thread() {
        let gate = Gate::new(1);
        let place = gate.enter(Stopwatch::start(), Duration::ZERO, None).expect("free");
        let token = CancelToken::new();
        let refused = std::thread::scope(|scope| {
            let waits = scope.spawn(|| gate.enter(Stopwatch::start(), Duration::from_secs(600), Some(&token)).err());
            token.cancel();
            waits.join().expect("no panic")
        });
        assert!(matches!(refused, Some(QueryError::Canceled(_))));
        drop(place);
    }
}
