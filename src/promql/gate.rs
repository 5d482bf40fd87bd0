//! Admits a bounded number of queries at once.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock::Stopwatch;

use super::result::QueryError;

/// A counting gate. Waiting is bounded by each query's own time.
#[derive(Debug)]
pub(crate) struct Gate {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A place inside; leaving gives it back.
#[derive(Debug)]
pub(crate) struct Place<'a>(&'a Gate);

impl Gate {
    pub(crate) fn new(places: usize) -> Self {
        Self { free: Mutex::new(places.max(1)), freed: Condvar::new() }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// [`QueryError::Timeout`] when none was free in time.
    pub(crate) fn enter(&self, patience: Duration) -> Result<Place<'_>, QueryError> {
        let watch = Stopwatch::start();
        let mut free = self.free.lock();
        while *free == 0 {
            let left = patience.saturating_sub(watch.elapsed());
            if left.is_zero() {
                return Err(QueryError::Timeout("query queue".to_owned()));
            }
            self.freed.wait_for(&mut free, left);
        }
        *free -= 1;
        Ok(Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.free.lock() += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::Gate;
    use std::time::Duration;

    #[test]
    fn refuses_when_full_and_admits_again() {
        let gate = Gate::new(1);
        let place = gate.enter(Duration::ZERO).expect("free");
        assert!(gate.enter(Duration::from_millis(1)).is_err());
        drop(place);
        assert!(gate.enter(Duration::ZERO).is_ok());
    }
}
