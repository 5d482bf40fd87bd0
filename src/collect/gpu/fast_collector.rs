//! Fast values as a collector of the live view: the same series as the ring's, ten times a second.

use std::sync::Arc;

use super::collector::{GpuHandle, put_next};
use super::families::{MAX_GPUS, PLAIN};
use super::fast::FastReading;
use crate::collect::emit::{Emit, Slot, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// Age at which values of a driver that hangs are not shown any more.
const TOO_OLD_MS: i64 = 2000;

type Value = fn(&FastReading) -> Option<f64>;

/// The families, and how a fast reading tells their values.
const VALUES: [(&str, Value); 6] = [
    ("gpu_utilization_ratio", |gpu| gpu.utilization_ratio),
    ("gpu_memory_utilization_ratio", |gpu| gpu.memory_utilization_ratio),
    ("gpu_memory_used_bytes", |gpu| gpu.memory_used_bytes),
    ("gpu_memory_total_bytes", |gpu| gpu.memory_total_bytes),
    ("gpu_power_watts", |gpu| gpu.power_watts),
    ("gpu_temperature_celsius", |gpu| gpu.temperature_celsius),
];

/// Utilisation, memory, power and temperature between ticks. It asks the driver's thread and never waits: what it tells is
/// what was asked for the time before, a tenth of a second ago.
pub struct FastGpus {
    handle: GpuHandle,
    families: Vec<(&'static FamilyDesc, Value)>,
    gpus: Table<Shown>,
}

/// Under which number a GPU is shown, and how old its last values were.
struct Shown {
    gpu: Arc<str>,
    at: Timestamp,
}

impl FastGpus {
    /// Fast values of the GPUs behind `handle`.
    pub fn new(handle: GpuHandle) -> Self {
        let desc = |name| PLAIN.iter().find(|plain| plain.desc.name == name).map(|plain| &plain.desc);
        let families: Vec<_> = VALUES.iter().filter_map(|(name, value)| Some((desc(*name)?, *value))).collect();
        Self { handle, gpus: Table::new(families.len(), MAX_GPUS), families }
    }
}

impl Collector for FastGpus {
    fn name(&self) -> &'static str {
        "gpu"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("gpu", intern, out);
        for gpu in self.handle.sample(now) {
            let shown = || Shown { gpu: Arc::clone(&gpu.gpu), at: Timestamp::MIN };
            let Some(row) = self.gpus.row(gpu.uuid.as_bytes(), shown) else { continue };
            if row.state.gpu != gpu.gpu {
                emit.release(&row.slots);
                row.slots.fill(Slot::New);
                row.state.gpu = Arc::clone(&gpu.gpu);
            }
            if !is_news(gpu.at, row.state.at, now) {
                continue;
            }
            row.state.at = gpu.at;
            let mut slots = row.slots.iter_mut();
            for (desc, value) in &self.families {
                put_next(&mut emit, &mut slots, desc, &[&gpu.gpu, &gpu.uuid], value(&gpu));
            }
        }
        self.gpus.end_tick(&emit);
        Ok(Reading::Complete)
    }
}

/// Whether values asked for at `at` are worth showing: the same ones twice would look like two measurements, and old ones
/// like new.
fn is_news(at: Timestamp, shown: Timestamp, now: Timestamp) -> bool {
    at > shown && now.saturating_sub(at) <= TOO_OLD_MS
}

#[cfg(test)]
mod tests {
    #[test]
    fn values_are_shown_once_and_while_they_are_fresh() {
        for (at, shown, now, expected) in [
            (1_000, i64::MIN, 1_100, true),
            (1_000, 1_000, 1_100, false),
            (1_000, 900, 3_000, true),
            (1_000, 900, 3_001, false),
        ] {
            assert_eq!(super::is_news(at, shown, now), expected, "{at} {shown} {now}");
        }
    }
}
