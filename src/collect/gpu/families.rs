//! The families of GPUs, and how each value is taken from a reading.

use super::reading::GpuReading;
use crate::collect::catalogue::{counter, gauge, info};
use crate::model::FamilyDesc;

/// GPUs that are watched at most.
pub(super) const MAX_GPUS: usize = 64;
/// Series of process groups on one machine.
pub(super) const MAX_GROUP_ROWS: usize = 1024;
/// MIG devices on one machine: seven a GPU.
pub(super) const MAX_MIG_ROWS: usize = 448;
/// NVLinks on one machine: eighteen a GPU.
pub(super) const MAX_LINK_ROWS: usize = 1152;

const GPU: &[&str] = &["gpu", "uuid"];
const MAX: u32 = MAX_GPUS as u32;

/// A family with one value a GPU.
#[derive(Clone, Copy)]
pub(super) struct Plain {
    pub(super) desc: FamilyDesc,
    pub(super) value: fn(&GpuReading) -> Option<f64>,
}

const fn plain(desc: FamilyDesc, value: fn(&GpuReading) -> Option<f64>) -> Plain {
    Plain { desc, value }
}

const fn ratio(name: &'static str, help: &'static str, value: fn(&GpuReading) -> Option<f64>) -> Plain {
    plain(gauge(name, "ratio", help, GPU, MAX), value)
}

const fn bytes(name: &'static str, help: &'static str, value: fn(&GpuReading) -> Option<f64>) -> Plain {
    plain(gauge(name, "bytes", help, GPU, MAX), value)
}

const fn celsius(name: &'static str, help: &'static str, value: fn(&GpuReading) -> Option<f64>) -> Plain {
    plain(gauge(name, "celsius", help, GPU, MAX), value)
}

const fn watts(name: &'static str, help: &'static str, value: fn(&GpuReading) -> Option<f64>) -> Plain {
    plain(gauge(name, "watts", help, GPU, MAX), value)
}

const fn number(name: &'static str, help: &'static str, value: fn(&GpuReading) -> Option<f64>) -> Plain {
    plain(gauge(name, "", help, GPU, MAX), value)
}

const fn total(
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    value: fn(&GpuReading) -> Option<f64>,
) -> Plain {
    plain(counter(name, unit, help, GPU, MAX), value)
}

/// A yes or no as a number.
pub(super) fn flag(value: Option<bool>) -> Option<f64> {
    value.map(|value| f64::from(u8::from(value)))
}

pub(super) const PLAIN_COUNT: usize = 49;

/// Families with one value a GPU.
pub(super) const PLAIN: [Plain; PLAIN_COUNT] = [
    ratio("gpu_utilization_ratio", "Share of the driver's sample period in which a kernel ran.", |gpu| {
        gpu.utilization_ratio
    }),
    ratio(
        "gpu_memory_utilization_ratio",
        "Share of the driver's sample period in which memory was read or written.",
        |gpu| gpu.memory_utilization_ratio,
    ),
    ratio("gpu_encoder_utilization_ratio", "Use of the video encoder.", |gpu| gpu.encoder_utilization_ratio),
    ratio("gpu_decoder_utilization_ratio", "Use of the video decoder.", |gpu| gpu.decoder_utilization_ratio),
    number("gpu_encoder_sessions", "Sessions of the video encoder.", |gpu| gpu.encoder_sessions),
    bytes("gpu_memory_total_bytes", "Memory of the GPU; the machine's where gpu_memory_unified is 1.", |gpu| {
        gpu.memory_total_bytes
    }),
    bytes("gpu_memory_used_bytes", "Memory of the GPU that is in use.", |gpu| gpu.memory_used_bytes),
    bytes("gpu_memory_free_bytes", "Memory of the GPU that is free.", |gpu| gpu.memory_free_bytes),
    bytes("gpu_memory_reserved_bytes", "Memory of the GPU that its driver and firmware keep.", |gpu| {
        gpu.memory_reserved_bytes
    }),
    number("gpu_memory_unified", "Whether the GPU uses the machine's memory.", |gpu| flag(gpu.memory_unified)),
    bytes("gpu_shared_memory_total_bytes", "Memory of the machine that the GPU may map: AMD's GTT.", |gpu| {
        gpu.shared_total_bytes
    }),
    bytes("gpu_shared_memory_used_bytes", "Memory of the machine that the GPU has mapped: AMD's GTT.", |gpu| {
        gpu.shared_used_bytes
    }),
    bytes("gpu_bar1_total_bytes", "Window of PCIe addresses through which others reach the GPU's memory.", |gpu| {
        gpu.bar1_total_bytes
    }),
    bytes("gpu_bar1_used_bytes", "Part of the window of PCIe addresses that is in use.", |gpu| gpu.bar1_used_bytes),
    bytes("gpu_bar1_free_bytes", "Part of the window of PCIe addresses that is free.", |gpu| gpu.bar1_free_bytes),
    celsius("gpu_temperature_celsius", "Temperature of the chip.", |gpu| gpu.temperature_celsius),
    celsius("gpu_memory_temperature_celsius", "Temperature of the memory.", |gpu| gpu.memory_temperature_celsius),
    celsius("gpu_hotspot_temperature_celsius", "Temperature of the hottest place: AMD's junction.", |gpu| {
        gpu.hotspot_temperature_celsius
    }),
    watts("gpu_power_watts", "Power draw.", |gpu| gpu.power_watts),
    watts("gpu_power_limit_watts", "Power limit that is enforced.", |gpu| gpu.power_limit_watts),
    watts("gpu_power_requested_limit_watts", "Power limit that was asked for.", |gpu| gpu.power_requested_limit_watts),
    watts("gpu_power_default_limit_watts", "Power limit after the driver was loaded.", |gpu| {
        gpu.power_default_limit_watts
    }),
    watts("gpu_power_min_limit_watts", "Least power limit that can be set.", |gpu| gpu.power_min_limit_watts),
    watts("gpu_power_max_limit_watts", "Highest power limit that can be set.", |gpu| gpu.power_max_limit_watts),
    plain(gauge("gpu_voltage_volts", "volts", "Voltage of the chip.", GPU, MAX), |gpu| gpu.voltage_volts),
    total("gpu_energy_joules_total", "joules", "Energy since the driver was loaded.", |gpu| gpu.energy_joules),
    ratio("gpu_fan_ratio", "Speed of the first fan as a share of its maximum.", |gpu| gpu.fan_ratio),
    number("gpu_fan_rpm", "Speed of the first fan in turns a minute.", |gpu| gpu.fan_rpm),
    number("gpu_pcie_link_generation", "Generation of the PCIe link as it runs now.", |gpu| gpu.pcie_link_generation),
    number("gpu_pcie_link_width", "Lanes of the PCIe link as it runs now.", |gpu| gpu.pcie_link_width),
    number("gpu_pcie_link_max_generation", "Highest generation that GPU and machine share.", |gpu| {
        gpu.pcie_link_max_generation
    }),
    number("gpu_pcie_link_max_width", "Most lanes that GPU and machine share.", |gpu| gpu.pcie_link_max_width),
    total("gpu_pcie_replays_total", "", "PCIe packets that had to be sent again.", |gpu| gpu.pcie_replays),
    total("gpu_pcie_transmitted_bytes_total", "bytes", "Bytes that the GPU sent over PCIe.", |gpu| {
        gpu.pcie_transmitted_bytes
    }),
    total("gpu_pcie_received_bytes_total", "bytes", "Bytes that the GPU received over PCIe.", |gpu| {
        gpu.pcie_received_bytes
    }),
    number(
        "gpu_pcie_transmit_bytes_per_second",
        "Bytes a second that the GPU sent over PCIe, measured over 20 ms by drivers without a counter.",
        |gpu| gpu.pcie_transmit_rate,
    ),
    number(
        "gpu_pcie_receive_bytes_per_second",
        "Bytes a second that the GPU received over PCIe, measured over 20 ms by drivers without a counter.",
        |gpu| gpu.pcie_receive_rate,
    ),
    number("gpu_performance_state", "Performance state from 0, the fastest, to 15.", |gpu| gpu.performance_state),
    number("gpu_ecc_enabled", "Whether memory errors are found and corrected.", |gpu| flag(gpu.ecc_enabled)),
    number("gpu_retired_pages_pending", "Whether pages wait for a restart to be taken out of use.", |gpu| {
        flag(gpu.retired_pages_pending)
    }),
    number("gpu_row_remap_pending", "Whether rows of memory wait for a reset to be replaced.", |gpu| {
        flag(gpu.row_remap_pending)
    }),
    number("gpu_row_remap_failed", "Whether a row of memory could not be replaced.", |gpu| flag(gpu.row_remap_failed)),
    number("gpu_compute_mode", "Who may compute: 0 everybody, 1 one thread, 2 nobody, 3 one process.", |gpu| {
        gpu.compute_mode
    }),
    number("gpu_persistence_mode", "Whether the driver stays loaded without a user.", |gpu| flag(gpu.persistence_mode)),
    number("gpu_mig_enabled", "Whether the GPU is divided into MIG devices.", |gpu| flag(gpu.mig_enabled)),
    number("gpu_mig_devices", "MIG devices of the GPU.", |gpu| gpu.mig_devices),
    total("gpu_xid_errors_total", "", "Critical errors that the driver reported since watchfire watches.", |gpu| {
        gpu.xid.map(|xid| xid.count as f64)
    }),
    number("gpu_xid_last_code", "NVIDIA's number of the last critical error; absent before the first.", |gpu| {
        Some(gpu.xid?.last?.0 as f64)
    }),
    number("gpu_processes", "Processes that use the GPU.", |gpu| {
        gpu.processes.as_ref().map(|processes| processes.len() as f64)
    }),
];

const fn descs() -> [FamilyDesc; PLAIN_COUNT] {
    let mut all = [PLAIN[0].desc; PLAIN_COUNT];
    let mut index = 0;
    while index < PLAIN_COUNT {
        all[index] = PLAIN[index].desc;
        index += 1;
    }
    all
}

static PLAIN_DESCS: [FamilyDesc; PLAIN_COUNT] = descs();

/// Families with one more label, of which a GPU has a fixed number of values.
pub(super) static LABELLED: [FamilyDesc; 9] = [
    gauge("gpu_clock_hertz", "hertz", "Clocks as they run now.", &["gpu", "uuid", "clock"], MAX * 4),
    gauge("gpu_clock_max_hertz", "hertz", "Highest clocks.", &["gpu", "uuid", "clock"], MAX * 4),
    gauge(
        "gpu_clock_application_hertz",
        "hertz",
        "Clocks that applications run at when nothing holds them down.",
        &["gpu", "uuid", "clock"],
        MAX * 4,
    ),
    gauge(
        "gpu_throttle_active",
        "",
        "Whether the clocks are held down for this reason now.",
        &["gpu", "uuid", "reason"],
        MAX * 9,
    ),
    counter(
        "gpu_ecc_errors_total",
        "",
        "Memory errors since the driver was loaded.",
        &["gpu", "uuid", "type"],
        MAX * 2,
    ),
    counter("gpu_ecc_lifetime_errors_total", "", "Memory errors in the GPU's life.", &["gpu", "uuid", "type"], MAX * 2),
    gauge("gpu_retired_pages", "", "Pages of memory taken out of use.", &["gpu", "uuid", "cause"], MAX * 2),
    gauge("gpu_remapped_rows", "", "Rows of memory replaced by spare ones.", &["gpu", "uuid", "type"], MAX * 2),
    gauge(
        "gpu_temperature_limit_celsius",
        "celsius",
        "Temperatures at which the GPU slows down or stops.",
        &["gpu", "uuid", "limit"],
        MAX * 4,
    ),
];

/// How many series of [`LABELLED`] a GPU may have.
pub(super) const LABELLED_SLOTS: usize = 4 * 3 + 9 + 2 * 4 + 4;

/// Facts about a GPU.
pub(super) static INFO: [FamilyDesc; 1] = [info(
    "gpu_info",
    "Facts about the GPU.",
    &["gpu", "uuid", "vendor", "name", "driver_version", "nvml_version", "cuda_version", "pci_bus_id", "vbios_version"],
    MAX,
)];

const GROUP: &[&str] = &["gpu", "uuid", "group"];

/// What processes do, by worker group.
pub(super) static GROUPS: [FamilyDesc; 3] = [
    gauge(
        "gpu_process_memory_bytes",
        "bytes",
        "GPU memory that the processes of a worker group hold; group \"other\" is everybody else.",
        GROUP,
        MAX_GROUP_ROWS as u32,
    ),
    gauge(
        "gpu_process_utilization_ratio",
        "ratio",
        "Share of the GPU's time in which kernels of a worker group ran; group \"other\" is everybody else.",
        GROUP,
        MAX_GROUP_ROWS as u32,
    ),
    gauge(
        "worker_group_gpu_memory_bytes",
        "bytes",
        "GPU memory that the processes of the group hold, by GPU.",
        &["group", "gpu", "uuid"],
        MAX_GROUP_ROWS as u32,
    ),
];

const MIG_DEVICE: &[&str] = &["gpu", "uuid", "gpu_instance", "compute_instance", "mig_uuid", "profile"];
const MIG_MAX: u32 = MAX_MIG_ROWS as u32;

/// Values of MIG devices, in the order in which they are written.
pub(super) static MIG: [FamilyDesc; 5] = [
    gauge("gpu_mig_memory_total_bytes", "bytes", "Memory of the MIG device.", MIG_DEVICE, MIG_MAX),
    gauge("gpu_mig_memory_used_bytes", "bytes", "Memory of the MIG device that is in use.", MIG_DEVICE, MIG_MAX),
    gauge("gpu_mig_memory_free_bytes", "bytes", "Memory of the MIG device that is free.", MIG_DEVICE, MIG_MAX),
    gauge("gpu_mig_multiprocessors", "", "Streaming multiprocessors of the MIG device.", MIG_DEVICE, MIG_MAX),
    gauge(
        "gpu_mig_utilization_ratio",
        "ratio",
        "Share of the driver's sample period in which a kernel ran on the MIG device.",
        MIG_DEVICE,
        MIG_MAX,
    ),
];

const LINK: &[&str] = &["gpu", "uuid", "link"];
const LINK_MAX: u32 = MAX_LINK_ROWS as u32;

/// Values of NVLinks; the errors have four series a link.
pub(super) static NVLINK: [FamilyDesc; 4] = [
    gauge("gpu_nvlink_up", "", "Whether the NVLink is up.", LINK, LINK_MAX),
    counter(
        "gpu_nvlink_transmitted_bytes_total",
        "bytes",
        "Bytes of data that were sent over the NVLink.",
        LINK,
        LINK_MAX,
    ),
    counter(
        "gpu_nvlink_received_bytes_total",
        "bytes",
        "Bytes of data that were received over the NVLink.",
        LINK,
        LINK_MAX,
    ),
    counter(
        "gpu_nvlink_errors_total",
        "",
        "Errors of the NVLink since the driver was loaded.",
        &["gpu", "uuid", "link", "type"],
        LINK_MAX * 4,
    ),
];

pub(in crate::collect) static FAMILIES: &[&[FamilyDesc]] = &[&PLAIN_DESCS, &LABELLED, &INFO, &GROUPS, &MIG, &NVLINK];
