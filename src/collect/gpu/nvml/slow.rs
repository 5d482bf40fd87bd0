//! What rarely changes, and what takes long.

use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::{ClockId, EccCounter, MemoryError, PcieUtilCounter, TemperatureThreshold};
use nvml_wrapper::sys_exports::field_id::{
    NVML_FI_DEV_REMAPPED_COR, NVML_FI_DEV_REMAPPED_FAILURE, NVML_FI_DEV_REMAPPED_PENDING, NVML_FI_DEV_REMAPPED_UNC,
    NVML_FI_DEV_RETIRED_DBE, NVML_FI_DEV_RETIRED_PENDING, NVML_FI_DEV_RETIRED_SBE,
};

use super::device::{CLOCK_KINDS, hertz, watts};
use super::links;
use super::raw::Raw;
use crate::collect::gpu::reading::{GpuIdentity, GpuReading};

/// Temperatures in the order of [`GpuReading::temperature_limits_celsius`].
const LIMITS: [TemperatureThreshold; 4] = [
    TemperatureThreshold::Shutdown,
    TemperatureThreshold::Slowdown,
    TemperatureThreshold::MemoryMax,
    TemperatureThreshold::GpuMax,
];

/// A reading in which only what rarely changes is filled.
pub(super) fn read(device: &Device<'_>, identity: GpuIdentity, raw: Option<&Raw>) -> GpuReading {
    let constraints = device.power_management_limit_constraints().ok();
    let mut reading = GpuReading {
        identity,
        temperature_limits_celsius: LIMITS.map(|limit| device.temperature_threshold(limit).ok().map(f64::from)),
        power_requested_limit_watts: device.power_management_limit().ok().map(watts),
        power_default_limit_watts: device.power_management_limit_default().ok().map(watts),
        power_min_limit_watts: constraints.as_ref().map(|limits| watts(limits.min_limit)),
        power_max_limit_watts: constraints.as_ref().map(|limits| watts(limits.max_limit)),
        pcie_link_max_generation: device.max_pcie_link_gen().ok().map(f64::from),
        pcie_link_max_width: device.max_pcie_link_width().ok().map(f64::from),
        ecc_enabled: device.is_ecc_enabled().ok().map(|mode| mode.currently_enabled),
        ecc_aggregate: [MemoryError::Corrected, MemoryError::Uncorrected]
            .map(|kind| device.total_ecc_errors(kind, EccCounter::Aggregate).ok().map(|count| count as f64)),
        max_clocks_hertz: CLOCK_KINDS.map(|clock| device.max_clock_info(clock).ok().map(hertz)),
        application_clocks_hertz: CLOCK_KINDS.map(|clock| device.clock(clock, ClockId::TargetAppClock).ok().map(hertz)),
        compute_mode: device.compute_mode().ok().map(|mode| f64::from(mode.as_c())),
        persistence_mode: device.is_in_persistent_mode().ok(),
        mig_enabled: device.mig_mode().ok().map(|mode| mode.current == 1),
        ..GpuReading::default()
    };
    if let Some(raw) = raw {
        fields(device, raw, &mut reading);
        reading.nvlinks = links::read(device, raw);
    }
    reading
}

fn fields(device: &Device<'_>, raw: &Raw, reading: &mut GpuReading) {
    let wanted = [
        NVML_FI_DEV_RETIRED_SBE,
        NVML_FI_DEV_RETIRED_DBE,
        NVML_FI_DEV_RETIRED_PENDING,
        NVML_FI_DEV_REMAPPED_COR,
        NVML_FI_DEV_REMAPPED_UNC,
        NVML_FI_DEV_REMAPPED_PENDING,
        NVML_FI_DEV_REMAPPED_FAILURE,
    ];
    let [single, double, pages_pending, corrected, uncorrected, rows_pending, failed, ..] =
        raw.fields(device, &wanted.map(|id| (id, 0)));
    let is_set = |value: Option<f64>| value.map(|value| value != 0.0);
    reading.retired_pages = [single, double];
    reading.retired_pages_pending = is_set(pages_pending);
    reading.remapped_rows = [corrected, uncorrected];
    reading.row_remap_pending = is_set(rows_pending);
    reading.row_remap_failed = is_set(failed);
}

/// Bytes a second sent and received: the driver measures for 20 ms each.
pub(super) fn pcie_rates(device: &Device<'_>) -> (Option<f64>, Option<f64>) {
    // In KB a second, taken as 1,000 bytes.
    let rate = |counter| device.pcie_throughput(counter).ok().map(|kb| f64::from(kb) * 1e3);
    (rate(PcieUtilCounter::Send), rate(PcieUtilCounter::Receive))
}
