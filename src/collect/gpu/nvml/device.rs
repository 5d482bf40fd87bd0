//! What changes from second to second.

use std::path::Path;

use nvml_wrapper::Device;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, PerformanceState, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::sys_exports::field_id::{
    NVML_FI_DEV_MEMORY_TEMP, NVML_FI_DEV_PCIE_COUNT_RX_BYTES, NVML_FI_DEV_PCIE_COUNT_TX_BYTES,
};

use super::raw::Raw;
use super::{Known, links, mig};
use crate::collect::gpu::fast::FastReading;
use crate::collect::gpu::reading::{GpuProcess, GpuReading};
use crate::collect::system::bytes::{lines, number, words};
use crate::model::Timestamp;

/// The clocks in the order of [`GpuReading::clocks_hertz`].
pub(super) const CLOCK_KINDS: [Clock; 4] = [Clock::Graphics, Clock::SM, Clock::Memory, Clock::Video];

/// Processes of one GPU that are listed at most.
const MAX_PROCESSES: usize = 1024;

pub(super) fn percent(value: u32) -> f64 {
    f64::from(value) / 100.0
}

pub(super) fn watts(milliwatts: u32) -> f64 {
    f64::from(milliwatts) / 1e3
}

pub(super) fn hertz(megahertz: u32) -> f64 {
    f64::from(megahertz) * 1e6
}

/// Reads a device into a copy of what is known of it.
///
/// # Errors
/// When the device is gone.
pub(super) fn read(
    device: &Device<'_>,
    known: &mut Known,
    raw: Option<&Raw>,
    meminfo: &Path,
) -> Result<GpuReading, NvmlError> {
    let mut reading = known.template.clone();
    match device.utilization_rates() {
        Ok(rates) => {
            reading.utilization_ratio = Some(percent(rates.gpu));
            reading.memory_utilization_ratio = Some(percent(rates.memory));
        }
        Err(NvmlError::GpuLost) => return Err(NvmlError::GpuLost),
        Err(_) => {}
    }
    memory(device, &mut reading, meminfo);
    reading.encoder_utilization_ratio = device.encoder_utilization().ok().map(|info| percent(info.utilization));
    reading.decoder_utilization_ratio = device.decoder_utilization().ok().map(|info| percent(info.utilization));
    reading.encoder_sessions = device.encoder_stats().ok().map(|stats| f64::from(stats.session_count));
    if let Ok(bar1) = device.bar1_memory_info() {
        reading.bar1_total_bytes = Some(bar1.total as f64);
        reading.bar1_used_bytes = Some(bar1.used as f64);
        reading.bar1_free_bytes = Some(bar1.free as f64);
    }
    reading.temperature_celsius = device.temperature(TemperatureSensor::Gpu).ok().map(f64::from);
    reading.power_watts = device.power_usage().ok().map(watts);
    reading.power_limit_watts = device.enforced_power_limit().ok().map(watts);
    reading.energy_joules = device.total_energy_consumption().ok().map(|mj| mj as f64 / 1e3);
    reading.fan_ratio = device.fan_speed(0).ok().map(percent);
    reading.fan_rpm = device.fan_speed_rpm(0).ok().map(f64::from);
    reading.pcie_link_generation = device.current_pcie_link_gen().ok().map(f64::from);
    reading.pcie_link_width = device.current_pcie_link_width().ok().map(f64::from);
    reading.pcie_replays = device.pcie_replay_counter().ok().map(f64::from);
    reading.performance_state = device.performance_state().ok().and_then(performance_state);
    reading.ecc_volatile = [MemoryError::Corrected, MemoryError::Uncorrected]
        .map(|kind| device.total_ecc_errors(kind, EccCounter::Volatile).ok().map(|count| count as f64));
    reading.clocks_hertz = CLOCK_KINDS.map(|clock| device.clock_info(clock).ok().map(hertz));
    reading.throttled = device.current_throttle_reasons().ok().map(throttled);
    if let Some(raw) = raw {
        fields(device, raw, &mut reading);
        links::read_bytes(device, raw, &mut reading.nvlinks);
        if reading.mig_enabled == Some(true) {
            reading.mig = mig::read(device, raw);
        }
    }
    reading.processes = processes(device);
    if let Some(processes) = &mut reading.processes {
        utilizations(device, processes, &mut known.samples_seen);
    }
    // Whether the next idle time has to measure what a counter would tell.
    known.template.pcie_transmitted_bytes = reading.pcie_transmitted_bytes;
    Ok(reading)
}

/// The fast part; `None` when the device is gone.
pub(super) fn read_fast(
    device: &Device<'_>,
    template: &GpuReading,
    meminfo: &Path,
    now: Timestamp,
) -> Option<FastReading> {
    let mut reading = GpuReading { identity: template.identity.clone(), ..GpuReading::default() };
    match device.utilization_rates() {
        Ok(rates) => {
            reading.utilization_ratio = Some(percent(rates.gpu));
            reading.memory_utilization_ratio = Some(percent(rates.memory));
        }
        Err(NvmlError::GpuLost) => return None,
        Err(_) => {}
    }
    memory(device, &mut reading, meminfo);
    reading.power_watts = device.power_usage().ok().map(watts);
    reading.temperature_celsius = device.temperature(TemperatureSensor::Gpu).ok().map(f64::from);
    Some(FastReading::of(&reading, now))
}

/// Memory of the device. Where the driver says that there is no such thing, the device uses the machine's.
fn memory(device: &Device<'_>, reading: &mut GpuReading, meminfo: &Path) {
    match device.memory_info() {
        Ok(memory) => {
            reading.memory_total_bytes = Some(memory.total as f64);
            reading.memory_used_bytes = Some(memory.used as f64);
            reading.memory_free_bytes = Some(memory.free as f64);
            reading.memory_reserved_bytes = Some(memory.reserved as f64);
            reading.memory_unified = Some(false);
        }
        Err(NvmlError::NotSupported) => {
            reading.memory_unified = Some(true);
            if let Some((total, available)) = machine_memory(meminfo) {
                reading.memory_total_bytes = Some(total);
                reading.memory_used_bytes = Some((total - available).max(0.0));
                reading.memory_free_bytes = Some(available);
            }
        }
        Err(_) => {}
    }
}

/// Total and available memory of the machine, in bytes.
fn machine_memory(meminfo: &Path) -> Option<(f64, f64)> {
    let mut buffer = Vec::new();
    let text = crate::collect::system::source::read_once(meminfo, &mut buffer).ok()?;
    let field = |name: &[u8]| {
        let line = lines(text).find_map(|line| line.strip_prefix(name))?;
        number(words(line).next()?).map(|kib| kib as f64 * 1024.0)
    };
    Some((field(b"MemTotal:")?, field(b"MemAvailable:")?))
}

fn fields(device: &Device<'_>, raw: &Raw, reading: &mut GpuReading) {
    let wanted = [NVML_FI_DEV_MEMORY_TEMP, NVML_FI_DEV_PCIE_COUNT_TX_BYTES, NVML_FI_DEV_PCIE_COUNT_RX_BYTES];
    let [memory_temperature, transmitted, received, ..] = raw.fields(device, &wanted.map(|id| (id, 0)));
    // Cards without the sensor answer 0.
    reading.memory_temperature_celsius = memory_temperature.filter(|celsius| *celsius > 0.0);
    reading.pcie_transmitted_bytes = transmitted;
    reading.pcie_received_bytes = received;
}

fn performance_state(state: PerformanceState) -> Option<f64> {
    let number = state.as_c();
    (number <= 15).then(|| f64::from(number))
}

fn throttled(reasons: ThrottleReasons) -> [bool; 9] {
    [
        ThrottleReasons::GPU_IDLE,
        ThrottleReasons::APPLICATIONS_CLOCKS_SETTING,
        ThrottleReasons::SW_POWER_CAP,
        ThrottleReasons::HW_SLOWDOWN,
        ThrottleReasons::SYNC_BOOST,
        ThrottleReasons::SW_THERMAL_SLOWDOWN,
        ThrottleReasons::HW_THERMAL_SLOWDOWN,
        ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN,
        ThrottleReasons::DISPLAY_CLOCK_SETTING,
    ]
    .map(|reason| reasons.contains(reason))
}

/// Compute and graphics processes; one that is both is listed once.
fn processes(device: &Device<'_>) -> Option<Vec<GpuProcess>> {
    let compute = device.running_compute_processes();
    let graphics = device.running_graphics_processes();
    if compute.is_err() && graphics.is_err() {
        return None;
    }
    let mut found: Vec<GpuProcess> = Vec::new();
    for process in compute.into_iter().chain(graphics).flatten().take(MAX_PROCESSES) {
        let memory_bytes = match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes as f64),
            UsedGpuMemory::Unavailable => None,
        };
        match found.iter_mut().find(|known| known.pid == process.pid) {
            Some(known) => known.memory_bytes = known.memory_bytes.or(memory_bytes),
            None => found.push(GpuProcess { pid: process.pid, memory_bytes, utilization_ratio: None }),
        }
    }
    Some(found)
}

/// The newest utilisation of each process since the last reading; a process without a sample did nothing or is unknown.
fn utilizations(device: &Device<'_>, processes: &mut [GpuProcess], seen: &mut u64) {
    let Ok(mut samples) = device.process_utilization_stats(*seen) else { return };
    samples.truncate(MAX_PROCESSES);
    samples.sort_by_key(|sample| sample.timestamp);
    for sample in samples.iter().filter(|sample| sample.sm_util <= 100) {
        *seen = (*seen).max(sample.timestamp);
        if let Some(process) = processes.iter_mut().find(|process| process.pid == sample.pid) {
            process.utilization_ratio = Some(percent(sample.sm_util));
        }
    }
}
