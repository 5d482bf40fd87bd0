//! The GPUs of the demo, as a source of the real GPU collector: one that runs hot, one that comes and goes.

use super::story::{GIB, Story};
use crate::collect::gpu::{GpuError, GpuIdentity, GpuProcess, GpuReading, GpuReadings, GpuSource};
use crate::model::Timestamp;

const TOTAL_BYTES: f64 = 24.0 * GIB;

/// The source.
pub(super) struct DemoGpus(pub(super) Story);

impl GpuSource for DemoGpus {
    fn read(&mut self, now: Timestamp) -> Result<GpuReadings, GpuError> {
        let t = self.0.seconds(now);
        let first = gpu(self.0, t, 0, 1.0);
        let second = self.0.second_gpu(t).map(|load| gpu(self.0, t, 1, load));
        Ok(std::iter::once(first).chain(second).collect::<Vec<GpuReading>>().into())
    }
}

fn gpu(story: Story, t: f64, index: u32, load: f64) -> GpuReading {
    let wave = |which: u64, base: f64, swing: f64| story.wave(which + 20 * u64::from(index), base, swing);
    let used = 2.0 * GIB + load * wave(300, 17.0 * GIB, 2.0 * GIB).at(t);
    // The first stays above what the shipped alert calls hot.
    let degrees = if index == 0 { wave(301, 90.0, 1.5).at(t) } else { 41.0 + load * wave(301, 24.0, 6.0).at(t) };
    let active = load > 0.5;
    GpuReading {
        identity: GpuIdentity {
            index,
            uuid: format!("GPU-demo-{index}"),
            name: "Demo 4090".to_owned(),
            driver_version: "570.00".to_owned(),
            cuda_version: "12.8".to_owned(),
            pci_bus_id: format!("00000000:0{}:00.0", index + 1),
            ..GpuIdentity::default()
        },
        utilization_ratio: Some(load * wave(302, 0.72, 0.25).at(t)),
        memory_utilization_ratio: Some(load * wave(303, 0.45, 0.2).at(t)),
        memory_total_bytes: Some(TOTAL_BYTES),
        memory_used_bytes: Some(used),
        memory_free_bytes: Some(TOTAL_BYTES - used),
        temperature_celsius: Some(degrees),
        power_watts: Some(35.0 + load * wave(304, 280.0, 60.0).at(t)),
        power_limit_watts: Some(450.0),
        energy_joules: Some(1e8 + wave(304, 280.0, 60.0).sum(t)),
        fan_ratio: Some(0.3 + load * wave(305, 0.4, 0.15).at(t)),
        pcie_link_generation: Some(4.0),
        pcie_link_width: Some(16.0),
        performance_state: Some(if active { 2.0 } else { 8.0 }),
        clocks_hertz: [Some(1.0e9 + load * wave(306, 1.3e9, 0.2e9).at(t)), None, Some(10.5e9), None],
        throttled: Some([!active, false, false, false, false, index == 0, false, false, false]),
        processes: Some(vec![GpuProcess {
            pid: 4100 + 100 * index,
            memory_bytes: Some(used - GIB),
            utilization_ratio: None,
        }]),
        ..GpuReading::default()
    }
}
