//! Smooth quantities that are pure functions of (seed, time): sums of slow sines, with their integrals in closed form,
//! so that a counter's rate is exactly the curve that a chart shows.

use std::f64::consts::TAU;

/// Longest and shortest period in seconds: slow enough to be smooth at 1 Hz, quick enough to be seen to move.
const PERIODS: [f64; 3] = [311.0, 97.0, 41.0];
/// Shares of the swing; they add up to 1, so that the wave stays within `base ± swing`.
const SHARES: [f64; 3] = [0.5, 0.3, 0.2];

/// `base` with a swing around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wave {
    base: f64,
    swing: f64,
    phases: [f64; 3],
}

impl Wave {
    /// The wave number `which` of a seed.
    pub(super) fn new(seed: u64, which: u64, base: f64, swing: f64) -> Self {
        let phase = |part: u64| unit(seed ^ which.wrapping_mul(0x9e37_79b9) ^ (part << 48)) * TAU;
        Self { base, swing, phases: [phase(1), phase(2), phase(3)] }
    }

    /// The value `t` seconds after the start.
    pub(super) fn at(&self, t: f64) -> f64 {
        let sines = PERIODS.iter().zip(SHARES).zip(self.phases);
        self.base
            + self.swing * sines.map(|((period, share), phase)| share * (TAU * t / period + phase).sin()).sum::<f64>()
    }

    /// The integral from 0 to `t`; it never falls while `swing ≤ base`.
    pub(super) fn sum(&self, t: f64) -> f64 {
        let part = |period: f64, share: f64, phase: f64| {
            share * period / TAU * (phase.cos() - (TAU * t / period + phase).cos())
        };
        let parts =
            PERIODS.iter().zip(SHARES).zip(self.phases).map(|((period, share), phase)| part(*period, share, phase));
        self.base * t + self.swing * parts.sum::<f64>()
    }
}

/// A number in [0, 1) from a number (splitmix64).
fn unit(seed: u64) -> f64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as f64 / (u64::MAX as f64 + 1.0)
}

#[cfg(test)]
mod tests {
    use super::Wave;

    #[test]
    fn the_integral_is_the_area_under_the_curve() {
        let wave = Wave::new(7, 3, 10.0, 10.0);
        let mut area = 0.0;
        for step in 0..60_000 {
            let t = f64::from(step) / 100.0;
            assert!((0.0..=20.0).contains(&wave.at(t)));
            area += wave.at(t + 0.005) / 100.0;
        }
        assert!((wave.sum(600.0) - area).abs() < 1e-3, "{} {area}", wave.sum(600.0));
        assert_eq!(wave.sum(0.0), 0.0);
    }
}
