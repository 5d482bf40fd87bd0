//! What rarely changes, and what takes long.

use super::abi::{CLOCK_APPLICATION_TARGET, ECC_AGGREGATE, field};
use super::device::{CLOCK_KINDS, ECC_KINDS};
use super::handle::Device;
use super::{links, units};
use crate::collect::gpu::reading::{GpuIdentity, GpuReading};

/// NVML's numbers of thresholds in the order of [`GpuReading::temperature_limits_celsius`].
const LIMITS: [u32; 4] = [0, 1, 2, 3];

/// Modes of computing that there are.
const LAST_COMPUTE_MODE: u32 = 3;

/// A reading in which only what rarely changes is filled.
pub(super) fn read(device: &Device<'_>, identity: GpuIdentity) -> GpuReading {
    let functions = &device.library().functions;
    let limits = device.pair(functions.power_limits);
    let application_clock = |clock| {
        let target = device.get_of_two(functions.clock_by_id, clock, CLOCK_APPLICATION_TARGET);
        target.or_else(|| device.get_of(functions.application_clock, clock)).and_then(units::hertz)
    };
    let mut reading = GpuReading {
        identity,
        temperature_limits_celsius: LIMITS
            .map(|limit| device.get_of(functions.temperature_threshold, limit).and_then(units::celsius)),
        power_requested_limit_watts: device.get(functions.power_requested_limit).and_then(units::watts),
        power_default_limit_watts: device.get(functions.power_default_limit).and_then(units::watts),
        power_min_limit_watts: limits.and_then(|(least, _)| units::watts(least)),
        power_max_limit_watts: limits.and_then(|(_, most)| units::watts(most)),
        pcie_link_max_generation: device.get(functions.pcie_max_generation).and_then(units::pcie),
        pcie_link_max_width: device.get(functions.pcie_max_width).and_then(units::pcie),
        ecc_enabled: device.pair(functions.ecc_mode).and_then(|(current, _)| units::switch(current)),
        ecc_aggregate: ECC_KINDS
            .map(|kind| device.get_of_two(functions.ecc_errors, kind, ECC_AGGREGATE).and_then(units::known_long)),
        max_clocks_hertz: CLOCK_KINDS.map(|clock| device.get_of(functions.max_clock, clock).and_then(units::hertz)),
        application_clocks_hertz: CLOCK_KINDS.map(application_clock),
        compute_mode: device.get(functions.compute_mode).and_then(|mode| units::up_to(mode, LAST_COMPUTE_MODE)),
        persistence_mode: device.get(functions.persistence_mode).and_then(units::switch),
        mig_enabled: device.pair(functions.mig_mode).and_then(|(current, _)| units::switch(current)),
        ..GpuReading::default()
    };
    fields(device, &mut reading);
    reading.nvlinks = links::read(device);
    reading
}

fn fields(device: &Device<'_>, reading: &mut GpuReading) {
    let wanted = [
        field::RETIRED_SBE,
        field::RETIRED_DBE,
        field::RETIRED_PENDING,
        field::REMAPPED_CORRECTED,
        field::REMAPPED_UNCORRECTED,
        field::REMAPPED_PENDING,
        field::REMAPPED_FAILURE,
    ];
    let [single, double, pages_pending, corrected, uncorrected, rows_pending, failed, ..] =
        device.fields(&wanted.map(|id| (id, 0)));
    let is_set = |value: Option<f64>| value.map(|value| value != 0.0);
    reading.retired_pages = [single, double];
    reading.retired_pages_pending = is_set(pages_pending);
    reading.remapped_rows = [corrected, uncorrected];
    reading.row_remap_pending = is_set(rows_pending);
    reading.row_remap_failed = is_set(failed);
}

/// Bytes a second sent and received where no counter tells: the driver measures for 20 ms each.
pub(super) fn pcie_rates(device: &Device<'_>, template: &mut GpuReading) {
    let function = device.library().functions.pcie_throughput;
    // In KB a second, taken as 1,000 bytes.
    let rate = |counter: u32| device.get_of(function, counter).and_then(units::known).map(|kb| kb * 1e3);
    let unless = |counted: Option<f64>, counter| if counted.is_some() { None } else { rate(counter) };
    template.pcie_transmit_rate = unless(template.pcie_transmitted_bytes, 0);
    template.pcie_receive_rate = unless(template.pcie_received_bytes, 1);
}
