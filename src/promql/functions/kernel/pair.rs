//! `irate` and `idelta`: the change between a window's last two samples.

use crate::model::Timestamp;

use super::Bounds;

#[derive(Debug)]
pub(super) struct Pair {
    is_rate: bool,
    /// The last sample (0: there are no two) and the seconds since the one before it.
    steps: Vec<(u32, f64)>,
}

impl Pair {
    pub(super) fn new(bounds: &Bounds, times: &[Timestamp], is_rate: bool) -> Self {
        let mut steps = vec![(0, 0.0); bounds.lo.len()];
        for (step, lo, hi) in bounds.windows().filter(|(_, lo, hi)| hi - lo > 1) {
            debug_assert!(lo < hi - 1);
            steps[step] = ((hi - 1) as u32, (times[hi - 1] - times[hi - 2]) as f64 / 1000.0);
        }
        Self { is_rate, steps }
    }

    pub(super) fn row(&self, values: &[f64], out: &mut [f64]) {
        for ((last, seconds), cell) in self.steps.iter().zip(out).filter(|((last, _), _)| *last > 0) {
            let (before, now) = (values[*last as usize - 1], values[*last as usize]);
            *cell = match self.is_rate {
                true => (if now < before { now } else { now - before }) / seconds,
                false => now - before,
            };
        }
    }
}
