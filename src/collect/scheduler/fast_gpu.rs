//! GPUs between two ticks: the few values that change so fast, asked of the drivers' own threads, never waited for.

use std::time::Duration;

use super::fast::FastJob;
use crate::collect::catalogue::find;
use crate::collect::emit::{Emit, Table};
use crate::collect::gpu::{FastReading, GpuHandle};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// How a value is taken from a reading.
type Value = fn(&FastReading) -> Option<f64>;

/// Families that the ring's collector has too, with their values here.
const FAMILIES: [(&str, Value); 5] = [
    ("gpu_utilization_ratio", |gpu| gpu.utilization_ratio),
    ("gpu_memory_utilization_ratio", |gpu| gpu.memory_utilization_ratio),
    ("gpu_memory_used_bytes", |gpu| gpu.memory_used_bytes),
    ("gpu_power_watts", |gpu| gpu.power_watts),
    ("gpu_temperature_celsius", |gpu| gpu.temperature_celsius),
];
/// GPUs that are watched at most.
const MAX_GPUS: usize = 64;

/// The collector. Its values are those of the question before: a slot asks and takes what was answered meanwhile, so they are
/// at most one slot old; a driver that does not answer gives none.
struct FastGpus {
    handle: GpuHandle,
    families: Vec<(&'static FamilyDesc, Value)>,
    /// Of each GPU, when its last values were asked for.
    gpus: Table<Timestamp>,
}

/// The job of a machine's GPUs, which the ring reads `every` so often.
pub fn fast_gpu_job(handle: GpuHandle, every: Duration) -> FastJob {
    let families: Vec<_> = FAMILIES.into_iter().filter_map(|(name, value)| Some((find(name)?, value))).collect();
    let gpus = Table::new(families.len(), MAX_GPUS);
    FastJob { every, collector: Box::new(FastGpus { handle, families, gpus }) }
}

impl Collector for FastGpus {
    fn name(&self) -> &'static str {
        "gpu"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("gpu", intern, out);
        for reading in self.handle.sample(now) {
            let Some(row) = self.gpus.row(reading.uuid.as_bytes(), || Timestamp::MIN) else { continue };
            // What was taken already, or asked before a rest, is not of this moment.
            if std::mem::replace(&mut row.state, reading.at) == reading.at || now - reading.at > 1000 {
                continue;
            }
            for (slot, (desc, value)) in row.slots.iter_mut().zip(&self.families) {
                emit.put_opt(slot, desc, &[&reading.gpu, &reading.uuid], value(&reading));
            }
        }
        self.gpus.end_tick(&emit);
        Ok(Reading::Complete)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::fast_gpu_job;
    use crate::collect::gpu::{GpuError, GpuIdentity, GpuReading, GpuReadings, GpuSource, Gpus};
    use crate::collect::testing::{Interner, collect};
    use crate::model::Timestamp;

    /// A GPU whose load is the tenths of the second.
    struct Moving;

    impl GpuSource for Moving {
        fn read(&mut self, now: Timestamp) -> Result<GpuReadings, GpuError> {
            let identity = GpuIdentity { uuid: "GPU-x".to_owned(), ..GpuIdentity::default() };
            let load = Some((now % 1000) as f64 / 1000.0);
            let gpu = GpuReading { identity, utilization_ratio: load, ..GpuReading::default() };
            Ok(GpuReadings { gpus: vec![gpu], ..GpuReadings::default() })
        }
    }

    #[test]
    fn a_slot_gives_what_the_one_before_asked_for() {
        let intern = Interner::default();
        let mut gpus = Gpus::with_source(None, || Box::new(Moving));
        let mut fast = fast_gpu_job(gpus.handle(), Duration::from_secs(1)).collector;
        assert!(collect(&mut *fast, &intern, 900).0.is_empty(), "nobody has looked for GPUs yet");
        let (page, _) = collect(&mut gpus, &intern, 1_000);
        assert_eq!(page[r#"gpu_utilization_ratio{gpu="0", uuid="GPU-x"}"#], 0.0);
        // The driver's thread answers when it does; until then there is nothing new.
        let mut found = Vec::new();
        for slot in (1_100..200_000).step_by(100) {
            let (page, _) = collect(&mut *fast, &intern, slot);
            found.extend(page.get(r#"gpu_utilization_ratio{gpu="0", uuid="GPU-x"}"#).map(|load| (slot, *load)));
            if found.len() > 2 {
                break;
            }
            std::thread::yield_now();
        }
        assert!(found.len() > 2, "the thread never answered");
        assert!(found.iter().all(|(_, load)| (0.0..1.0).contains(load)), "{found:?}");
        let (page, _) = collect(&mut *fast, &intern, 900_000);
        assert!(page.is_empty(), "what was asked before a rest is not of this moment");
    }
}
