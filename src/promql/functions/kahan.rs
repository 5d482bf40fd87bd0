//! Compensated summation.

/// A running sum after Kahan and Neumaier: what rounding loses is kept apart and added at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct KahanSum {
    pub(crate) sum: f64,
    pub(crate) lost: f64,
}

impl KahanSum {
    pub(crate) fn new(first: f64) -> Self {
        Self { sum: first, lost: 0.0 }
    }

    /// Adds one value.
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        if sum.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.lost += (self.sum - sum) + value;
        } else {
            self.lost += (value - sum) + self.sum;
        }
        self.sum = sum;
    }

    /// The sum.
    #[inline]
    pub(crate) fn total(self) -> f64 {
        self.sum + self.lost
    }
}

/// A running mean: the sum as long as it does not overflow, incremental afterwards.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mean {
    state: KahanSum,
    count: f64,
    incremental: bool,
}

impl Mean {
    pub(crate) fn new(first: f64) -> Self {
        Self { state: KahanSum::new(first), count: 1.0, incremental: false }
    }

    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let mut next = self.state;
            next.add(value);
            if !next.sum.is_infinite() {
                self.state = next;
                return;
            }
            self.incremental = true;
            self.state.sum /= self.count - 1.0;
            self.state.lost /= self.count - 1.0;
        }
        let kept = (self.count - 1.0) / self.count;
        self.state.sum *= kept;
        self.state.lost *= kept;
        self.state.add(value / self.count);
    }

    pub(crate) fn value(self) -> f64 {
        if self.incremental { self.state.total() } else { self.state.sum / self.count + self.state.lost / self.count }
    }
}

#[cfg(test)]
mod tests {
    use super::{KahanSum, Mean};

    #[test]
    fn keeps_what_rounding_loses() {
        let mut sum = KahanSum::default();
        [1.0, 1e100, 1.0, -1e100].into_iter().for_each(|value| sum.add(value));
        assert_eq!(sum.total(), 2.0);
        let mut mean = Mean::new(f64::MAX);
        mean.add(f64::MAX);
        assert_eq!(mean.value(), f64::MAX);
    }
}
