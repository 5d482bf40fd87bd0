//! What happens in the demo, and when: shared by its parts, so that they fit together.

use super::wave::Wave;

pub(super) const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
/// Memory of the machine that the demo shows.
pub(super) const MEMORY_BYTES: f64 = 64.0 * GIB;
/// Cores of that machine.
pub(super) const CORES: usize = 8;

/// The training worker leaks until the kernel kills it; then it starts again.
const LEAK_PERIOD: f64 = 480.0;
/// The first kill comes this soon, so that a visitor sees an alert fire within the first minute.
const FIRST_KILL: f64 = 25.0;
const LEAK_BYTES_PER_SECOND: f64 = 60.0 * 1024.0 * 1024.0;
const TRAINING_BYTES: f64 = 6.0 * GIB;

/// The second GPU is away for the last part of each period.
const GPU_PERIOD: f64 = 300.0;
const GPU_AWAY_FROM: f64 = 190.0;
/// Work on a GPU starts and ends over this time, not in one step.
const RAMP: f64 = 20.0;

/// The curves of one seed, and the story at a time `t` in seconds after the start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Story {
    pub(super) seed: u64,
    /// Start of the demo, in milliseconds since the epoch.
    pub(super) start_ms: i64,
}

impl Story {
    /// Seconds after the start.
    pub(super) fn seconds(&self, now: i64) -> f64 {
        (now - self.start_ms).max(0) as f64 / 1e3
    }

    /// The start, in seconds since the epoch.
    pub(super) fn start_seconds(&self) -> f64 {
        self.start_ms as f64 / 1e3
    }

    pub(super) fn wave(&self, which: u64, base: f64, swing: f64) -> Wave {
        Wave::new(self.seed, which, base, swing)
    }

    /// How often the leaking worker has been killed since the start.
    pub(super) fn kills(&self, t: f64) -> f64 {
        ((t - FIRST_KILL) / LEAK_PERIOD).floor() + 1.0
    }

    /// When the leaking worker that runs now started, in seconds after the start; negative for the first.
    pub(super) fn leaker_started(&self, t: f64) -> f64 {
        FIRST_KILL + (self.kills(t) - 1.0) * LEAK_PERIOD
    }

    /// Memory of the leaking worker.
    pub(super) fn leaked_bytes(&self, t: f64) -> f64 {
        TRAINING_BYTES + LEAK_BYTES_PER_SECOND * (t - self.leaker_started(t))
    }

    /// Whether the second GPU is there, and how busy it may be (0 to 1).
    pub(super) fn second_gpu(&self, t: f64) -> Option<f64> {
        let phase = t.rem_euclid(GPU_PERIOD);
        (phase < GPU_AWAY_FROM).then(|| (phase / RAMP).min((GPU_AWAY_FROM - phase) / RAMP).clamp(0.0, 1.0))
    }
}
