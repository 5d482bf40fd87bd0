//! What changes from second to second.

use std::path::Path;

use super::abi::{ECC_VOLATILE, SENSOR_GPU, Temperature, field, version};
use super::handle::{Device, MAX_PROCESSES};
use super::library::NvmlError;
use super::{Known, links, mig, processes, units};
use crate::collect::gpu::fast::FastReading;
use crate::collect::gpu::reading::{GpuProcess, GpuReading, THROTTLE_REASONS};
use crate::collect::system::bytes::{lines, number, words};
use crate::model::Timestamp;

/// NVML's numbers of the clocks in the order of [`GpuReading::clocks_hertz`].
pub(super) const CLOCK_KINDS: [u32; 4] = [0, 1, 2, 3];

/// NVML's numbers of kinds of memory errors: corrected, uncorrected.
pub(super) const ECC_KINDS: [u32; 2] = [0, 1];

/// Slowest state of performance.
const LAST_STATE: u32 = 15;

/// How far the driver's clock may be ahead of the machine's. One that is further ahead is the machine's from before it
/// was set back.
const MAX_AHEAD_US: u64 = 60_000_000;

/// Reads a device into a copy of what is known of it.
///
/// # Errors
/// When the device or the driver is gone.
pub(super) fn read(
    device: &Device<'_>,
    known: &mut Known,
    meminfo: &Path,
    now: Timestamp,
) -> Result<GpuReading, NvmlError> {
    let functions = &device.library().functions;
    let mut reading = known.template.clone();
    core(device, &mut reading, meminfo)?;
    let busy = |pair: Option<(u32, u32)>| pair.and_then(|(percent, _)| units::percent(percent));
    reading.encoder_utilization_ratio = busy(device.pair(functions.encoder));
    reading.decoder_utilization_ratio = busy(device.pair(functions.decoder));
    reading.encoder_sessions = device.encoder_sessions().and_then(units::known);
    if let Some(bar1) = device.get(functions.bar1) {
        reading.bar1_total_bytes = units::bytes(bar1.total);
        reading.bar1_used_bytes = units::bytes(bar1.used);
        reading.bar1_free_bytes = units::bytes(bar1.free);
    }
    reading.power_limit_watts = device.get(functions.power_limit).and_then(units::watts);
    reading.energy_joules = device.get(functions.energy).and_then(units::known_long).map(|mj| mj / 1e3);
    (reading.fan_ratio, reading.fan_rpm) = fan(device);
    reading.pcie_link_generation = device.get(functions.pcie_generation).and_then(units::pcie);
    reading.pcie_link_width = device.get(functions.pcie_width).and_then(units::pcie);
    reading.pcie_replays = device.get(functions.pcie_replays).and_then(units::known);
    reading.performance_state =
        device.get(functions.performance_state).and_then(|state| units::up_to(state, LAST_STATE));
    reading.ecc_volatile =
        ECC_KINDS.map(|kind| device.get_of_two(functions.ecc_errors, kind, ECC_VOLATILE).and_then(units::known_long));
    reading.clocks_hertz = CLOCK_KINDS.map(|clock| device.get_of(functions.clock, clock).and_then(units::hertz));
    reading.throttled = device.get(functions.throttle_reasons).and_then(throttled);
    fields(device, &mut reading);
    links::read_bytes(device, &mut reading.nvlinks);
    let mut parts = Vec::new();
    match reading.mig_enabled {
        Some(true) => {
            if let Some(found) = mig::read(device) {
                (reading.mig, parts) = found;
                reading.mig_devices = Some(parts.len() as f64);
            }
        }
        Some(false) => reading.mig_devices = Some(0.0),
        None => {}
    }
    reading.processes = processes::read(device, &parts);
    if let Some(processes) = &mut reading.processes {
        utilizations(device, processes, &mut known.samples_seen, now);
    }
    known.keep_pcie(&reading);
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
    core(device, &mut reading, meminfo).ok()?;
    Some(FastReading::of(&reading, now))
}

/// Utilisation, memory, temperature and power: what every GPU has some of, so a GPU that is gone is known by them.
fn core(device: &Device<'_>, reading: &mut GpuReading, meminfo: &Path) -> Result<(), NvmlError> {
    let functions = &device.library().functions;
    let utilization = device.ask(functions.utilization);
    match &utilization {
        Ok(rates) => {
            reading.utilization_ratio = units::percent(rates.gpu);
            reading.memory_utilization_ratio = units::percent(rates.memory);
        }
        Err(error) if error.is_end_of_gpu() => return Err(*error),
        Err(_) => {}
    }
    let memory = memory(device, reading, meminfo);
    let temperature = device.ask_of(functions.temperature, SENSOR_GPU);
    reading.temperature_celsius = match &temperature {
        // Drivers that leave out what has been superseded.
        Err(error) if error.is_of_the_form() => {
            let asked = Temperature { version: version(size_of::<Temperature>(), 1), sensor: SENSOR_GPU, celsius: 0 };
            let celsius = device.fill(functions.temperature_later, asked).map(|answer| answer.celsius);
            celsius.and_then(|celsius| u32::try_from(celsius).ok())
        }
        answer => answer.ok(),
    }
    .and_then(units::celsius);
    let power = device.ask(functions.power);
    reading.power_watts = power.ok().and_then(units::watts);
    let answers = [utilization.map(drop), memory, temperature.map(drop), power.map(drop)];
    let end = answers.iter().find_map(|answer| answer.err().filter(|error| error.is_end_of_gpu()));
    match end {
        Some(error) if answers.iter().all(Result::is_err) => Err(error),
        _ => Ok(()),
    }
}

/// Memory of the device. Where the driver says that there is no such thing, the device uses the machine's.
fn memory(device: &Device<'_>, reading: &mut GpuReading, meminfo: &Path) -> Result<(), NvmlError> {
    match device.memory() {
        Ok(memory) => {
            reading.memory_total_bytes = memory.total;
            reading.memory_used_bytes = memory.used;
            reading.memory_free_bytes = memory.free;
            reading.memory_reserved_bytes = memory.reserved;
            reading.memory_unified = Some(false);
            Ok(())
        }
        Err(NvmlError::NOT_SUPPORTED) => {
            reading.memory_unified = Some(true);
            if let Some((total, available)) = machine_memory(meminfo) {
                reading.memory_total_bytes = Some(total);
                reading.memory_used_bytes = Some((total - available).max(0.0));
                reading.memory_free_bytes = Some(available);
            }
            Err(NvmlError::NOT_SUPPORTED)
        }
        Err(error) => Err(error),
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

/// Share of the first fan's speed, and its turns a minute.
fn fan(device: &Device<'_>) -> (Option<f64>, Option<f64>) {
    let functions = &device.library().functions;
    let share = match device.ask_of(functions.fan_v2, 0) {
        Err(error) if error.is_of_the_form() => device.get(functions.fan),
        answer => answer.ok(),
    };
    let asked = super::abi::FanSpeed { version: version(size_of::<super::abi::FanSpeed>(), 1), fan: 0, speed: 0 };
    let turns = device.fill(functions.fan_rpm, asked).map(|fan| fan.speed);
    (share.and_then(units::fan_percent), turns.and_then(units::rpm))
}

fn fields(device: &Device<'_>, reading: &mut GpuReading) {
    let wanted = [field::MEMORY_TEMP, field::PCIE_TX_BYTES, field::PCIE_RX_BYTES];
    let [memory_temperature, transmitted, received, ..] = device.fields(&wanted.map(|id| (id, 0)));
    // Cards without the sensor answer 0.
    reading.memory_temperature_celsius =
        memory_temperature.filter(|celsius| *celsius > 0.0).and_then(|celsius| units::celsius(celsius as u32));
    reading.pcie_transmitted_bytes = transmitted;
    reading.pcie_received_bytes = received;
    // Measured when the counter did not answer: it does now.
    reading.pcie_transmit_rate = reading.pcie_transmit_rate.filter(|_| transmitted.is_none());
    reading.pcie_receive_rate = reading.pcie_receive_rate.filter(|_| received.is_none());
}

/// One bit for each of [`THROTTLE_REASONS`], in their order from the lowest; higher ones are unknown.
fn throttled(reasons: u64) -> Option<[bool; THROTTLE_REASONS.len()]> {
    (reasons != u64::MAX).then(|| std::array::from_fn(|bit| reasons >> bit & 1 == 1))
}

/// The newest utilisation of each process since the last reading; a process without a sample did nothing or is unknown.
///
/// The driver's times are the machine's in microseconds. Those from before the clock was set back must not hide what comes
/// after it: they count only while there are no others.
fn utilizations(device: &Device<'_>, processes: &mut [GpuProcess], seen: &mut u64, now: Timestamp) {
    let latest = u64::try_from(now).unwrap_or(0).saturating_mul(1000).saturating_add(MAX_AHEAD_US);
    if *seen > latest {
        *seen = 0;
    }
    let Some(mut samples) = device.process_samples(*seen) else { return };
    samples.truncate(MAX_PROCESSES);
    samples.sort_by_key(|sample| (sample.timestamp <= latest, sample.timestamp));
    for sample in &samples {
        let Some(ratio) = units::percent(sample.sm) else { continue };
        // The driver has no time for it.
        if sample.timestamp == u64::MAX {
            continue;
        }
        if sample.timestamp <= latest {
            *seen = (*seen).max(sample.timestamp);
        }
        if let Some(process) = processes.iter_mut().find(|process| process.pid == sample.pid) {
            process.utilization_ratio = Some(ratio);
        }
    }
}
