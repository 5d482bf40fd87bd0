//! NVIDIA's management library, loaded at run time: without it everything else works, and the reason is told.

use std::ffi::{OsStr, OsString};

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, PerformanceState, TemperatureSensor};
use nvml_wrapper::enums::device::{SampleValue, UsedGpuMemory};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id::NVML_FI_DEV_MEMORY_TEMP;
use nvml_wrapper::{Device, Nvml, cuda_driver_version_major, cuda_driver_version_minor};

use super::reading::{GpuError, GpuIdentity, GpuProcess, GpuReading, GpuSource};
use crate::model::Timestamp;

/// Names of the library, in the order in which they are tried: drivers install the first, toolkits the second.
const LIBRARIES: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];

/// Time until a missing driver is looked for again.
const RETRY_MS: i64 = 30_000;

/// GPUs of the largest machine that is watched.
const MAX_GPUS: u32 = 64;

/// The library, or when and why it could not be used.
pub struct NvmlSource {
    libraries: Vec<OsString>,
    state: State,
}

enum State {
    New,
    Ready { nvml: Box<Nvml>, driver_version: String, cuda_version: String },
    Missing { since: Timestamp, reason: GpuError },
}

impl Default for NvmlSource {
    fn default() -> Self {
        Self::from_libraries(LIBRARIES.iter().map(OsString::from).collect())
    }
}

impl NvmlSource {
    /// Tries these files instead of the usual names.
    pub fn from_libraries(libraries: Vec<OsString>) -> Self {
        Self { libraries, state: State::New }
    }

    fn open(&self) -> State {
        let mut reason = String::from("no library to load");
        for library in &self.libraries {
            match Nvml::builder().lib_path(OsStr::new(library)).init() {
                Ok(nvml) => {
                    let driver_version = nvml.sys_driver_version().unwrap_or_default();
                    let cuda = nvml.sys_cuda_driver_version().ok();
                    let cuda_version = cuda.map_or(String::new(), |version| {
                        format!("{}.{}", cuda_driver_version_major(version), cuda_driver_version_minor(version))
                    });
                    return State::Ready { nvml: Box::new(nvml), driver_version, cuda_version };
                }
                // The first name tells best: the second is only there with a toolkit.
                Err(error) if reason.starts_with("no library to load") || !is_load_error(&error) => {
                    reason = format!("{}: {error}", library.display());
                }
                Err(_) => {}
            }
        }
        State::Missing { since: 0, reason: GpuError::Unavailable(format!("no NVIDIA driver: {reason}")) }
    }

    fn lost(&mut self, now: Timestamp, reason: GpuError) -> GpuError {
        self.state = State::Missing { since: now, reason: reason.clone() };
        reason
    }
}

impl GpuSource for NvmlSource {
    fn read(&mut self, now: Timestamp) -> Result<Vec<GpuReading>, GpuError> {
        let again = match &self.state {
            State::New => true,
            State::Missing { since, .. } => now - since >= RETRY_MS || now < *since,
            State::Ready { .. } => false,
        };
        if again {
            self.state = self.open();
        }
        let result = match &mut self.state {
            State::Missing { since, reason } => {
                if again {
                    *since = now;
                }
                return Err(reason.clone());
            }
            State::New => return Err(GpuError::Unavailable("not opened".into())),
            State::Ready { nvml, driver_version, cuda_version } => read_all(nvml, driver_version, cuda_version),
        };
        // A driver that was unloaded answers nothing ever again: it is opened anew, later.
        result.map_err(|reason| self.lost(now, reason))
    }
}

fn is_load_error(error: &NvmlError) -> bool {
    matches!(error, NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound)
}

fn read_all(nvml: &Nvml, driver_version: &str, cuda_version: &str) -> Result<Vec<GpuReading>, GpuError> {
    let count = nvml.device_count().map_err(|error| GpuError::Failed(format!("count of GPUs: {error}")))?;
    if count == 0 {
        return Err(GpuError::Unavailable("the NVIDIA driver knows no GPU".into()));
    }
    let mut failed = None;
    let mut readings = Vec::new();
    for index in 0..count.min(MAX_GPUS) {
        let device = nvml.device_by_index(index).and_then(|device| Ok((device.uuid()?, device)));
        match device {
            Ok((uuid, device)) => {
                let identity = GpuIdentity {
                    index,
                    uuid,
                    name: device.name().unwrap_or_default(),
                    driver_version: driver_version.to_owned(),
                    cuda_version: cuda_version.to_owned(),
                    pci_bus_id: device.pci_info().map(|pci| pci.bus_id).unwrap_or_default(),
                };
                readings.push(read_device(&device, identity));
            }
            // One GPU that fell off the bus does not hide the others.
            Err(error) => failed = Some(format!("GPU {index}: {error}")),
        }
    }
    match failed {
        Some(reason) if readings.is_empty() => Err(GpuError::Failed(reason)),
        _ => Ok(readings),
    }
}

fn read_device(device: &Device<'_>, identity: GpuIdentity) -> GpuReading {
    let percent = |value: u32| f64::from(value) / 100.0;
    let milli = |value: u32| f64::from(value) / 1e3;
    let megahertz = |clock: Clock| device.clock_info(clock).ok().map(|mhz| f64::from(mhz) * 1e6);
    let ecc = |kind: MemoryError| device.total_ecc_errors(kind, EccCounter::Volatile).ok().map(|count| count as f64);
    let utilization = device.utilization_rates().ok();
    let memory = device.memory_info().ok();
    GpuReading {
        identity,
        utilization_ratio: utilization.as_ref().map(|rates| percent(rates.gpu)),
        memory_utilization_ratio: utilization.as_ref().map(|rates| percent(rates.memory)),
        encoder_utilization_ratio: device.encoder_utilization().ok().map(|info| percent(info.utilization)),
        decoder_utilization_ratio: device.decoder_utilization().ok().map(|info| percent(info.utilization)),
        memory_total_bytes: memory.as_ref().map(|memory| memory.total as f64),
        memory_used_bytes: memory.as_ref().map(|memory| memory.used as f64),
        memory_free_bytes: memory.as_ref().map(|memory| memory.free as f64),
        temperature_celsius: device.temperature(TemperatureSensor::Gpu).ok().map(f64::from),
        memory_temperature_celsius: memory_temperature(device),
        power_watts: device.power_usage().ok().map(milli),
        power_limit_watts: device.enforced_power_limit().ok().map(milli),
        energy_joules: device.total_energy_consumption().ok().map(|mj| mj as f64 / 1e3),
        fan_ratio: device.fan_speed(0).ok().map(percent),
        pcie_link_generation: device.current_pcie_link_gen().ok().map(f64::from),
        pcie_link_width: device.current_pcie_link_width().ok().map(f64::from),
        pcie_replays: device.pcie_replay_counter().ok().map(f64::from),
        performance_state: device.performance_state().ok().and_then(performance_state),
        ecc_corrected: ecc(MemoryError::Corrected),
        ecc_uncorrected: ecc(MemoryError::Uncorrected),
        clocks_hertz: [Clock::Graphics, Clock::SM, Clock::Memory, Clock::Video].map(megahertz),
        throttled: device.current_throttle_reasons().ok().map(throttled),
        processes: processes(device),
    }
}

fn memory_temperature(device: &Device<'_>) -> Option<f64> {
    let values = device.field_values_for(&[FieldId(NVML_FI_DEV_MEMORY_TEMP)]).ok()?;
    let celsius = match values.into_iter().next()?.ok()?.value.ok()? {
        SampleValue::U32(value) => f64::from(value),
        SampleValue::U64(value) => value as f64,
        SampleValue::I64(value) => value as f64,
        SampleValue::F64(value) => value,
    };
    // Cards without the sensor answer 0.
    (celsius > 0.0).then_some(celsius)
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
    for process in compute.into_iter().chain(graphics).flatten() {
        let memory_bytes = match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes as f64),
            UsedGpuMemory::Unavailable => None,
        };
        match found.iter_mut().find(|known| known.pid == process.pid) {
            Some(known) => known.memory_bytes = known.memory_bytes.or(memory_bytes),
            None => found.push(GpuProcess { pid: process.pid, memory_bytes }),
        }
    }
    Some(found)
}
