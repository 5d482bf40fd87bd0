//! What one GPU says at one time, in base units, and where such readings come from.

use super::fast::FastReading;
use crate::model::Timestamp;

/// Whose driver tells about a GPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// NVIDIA, through NVML.
    #[default]
    Nvidia,
    /// AMD, through sysfs.
    Amd,
}

impl Vendor {
    /// The word in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nvidia => "nvidia",
            Self::Amd => "amd",
        }
    }
}

/// Which GPU it is. Facts that it does not tell are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct GpuIdentity {
    /// Whose driver tells about it.
    pub vendor: Vendor,
    /// Its number on this machine; may belong to another GPU after a restart.
    pub index: u32,
    /// Its name for ever, `GPU-…`.
    pub uuid: String,
    /// Product name.
    pub name: String,
    /// Version of the driver.
    pub driver_version: String,
    /// Version of the driver's management library.
    pub nvml_version: String,
    /// Newest CUDA that the driver supports, `12.4`.
    pub cuda_version: String,
    /// Place on the PCI bus.
    pub pci_bus_id: String,
    /// Version of its firmware.
    pub vbios_version: String,
}

impl GpuIdentity {
    /// Value of the label `gpu`: NVIDIA's number, or the name under `/sys/class/drm` for AMD, so that the two never
    /// meet on one machine.
    pub fn label(&self) -> String {
        match self.vendor {
            Vendor::Nvidia => self.index.to_string(),
            Vendor::Amd => format!("card{}", self.index),
        }
    }
}

/// What one process does on a GPU.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GpuProcess {
    /// Its pid as the driver sees it.
    pub pid: u32,
    /// Bytes of GPU memory, where the driver knows.
    pub memory_bytes: Option<f64>,
    /// Share of the GPU's time in which its kernels ran, 0 to 1, where the driver knows.
    pub utilization_ratio: Option<f64>,
}

/// One MIG device: a part of a GPU that is used as a GPU of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MigReading {
    /// Number of the GPU instance.
    pub gpu_instance: Option<u32>,
    /// Number of the compute instance in it.
    pub compute_instance: Option<u32>,
    /// Its name for ever, `MIG-…`.
    pub uuid: String,
    /// Its kind, `1g.10gb`.
    pub profile: String,
    /// Share of the last sample period in which a kernel ran, 0 to 1; of drivers that tell it of parts.
    pub utilization_ratio: Option<f64>,
    /// Memory, in bytes.
    pub memory_total_bytes: Option<f64>,
    /// Memory in use, in bytes.
    pub memory_used_bytes: Option<f64>,
    /// Memory that is free, in bytes.
    pub memory_free_bytes: Option<f64>,
    /// Streaming multiprocessors.
    pub multiprocessors: Option<f64>,
}

/// One NVLink.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct NvLinkReading {
    /// Its number on the GPU.
    pub link: u32,
    /// Whether it is up.
    pub up: Option<bool>,
    /// Errors since the driver was loaded, for each of [`NVLINK_ERRORS`].
    pub errors: [Option<f64>; 4],
    /// Bytes of data that were sent.
    pub transmitted_bytes: Option<f64>,
    /// Bytes of data that were received.
    pub received_bytes: Option<f64>,
}

/// Critical errors that the driver reported since watchfire watches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct XidReading {
    /// How many.
    pub count: u64,
    /// The last one's code, and when it came.
    pub last: Option<(u64, Timestamp)>,
}

/// One reading. What the GPU does not support is `None`, never 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GpuReading {
    /// Which GPU.
    pub identity: GpuIdentity,
    /// Share of the last sample period in which a kernel ran, 0 to 1.
    pub utilization_ratio: Option<f64>,
    /// Share of the last sample period in which memory was read or written, 0 to 1.
    pub memory_utilization_ratio: Option<f64>,
    /// Use of the video encoder, 0 to 1.
    pub encoder_utilization_ratio: Option<f64>,
    /// Use of the video decoder, 0 to 1.
    pub decoder_utilization_ratio: Option<f64>,
    /// Sessions of the video encoder.
    pub encoder_sessions: Option<f64>,
    /// Memory, in bytes; the machine's where it is shared.
    pub memory_total_bytes: Option<f64>,
    /// Memory in use, in bytes.
    pub memory_used_bytes: Option<f64>,
    /// Memory that is free, in bytes.
    pub memory_free_bytes: Option<f64>,
    /// Memory that the driver keeps for itself, in bytes.
    pub memory_reserved_bytes: Option<f64>,
    /// Whether the GPU uses the machine's memory.
    pub memory_unified: Option<bool>,
    /// Memory of the machine that the GPU may map (AMD's GTT), in bytes.
    pub shared_total_bytes: Option<f64>,
    /// Memory of the machine that the GPU has mapped (AMD's GTT), in bytes.
    pub shared_used_bytes: Option<f64>,
    /// Window of PCIe addresses, in bytes.
    pub bar1_total_bytes: Option<f64>,
    /// Part of that window that is in use, in bytes.
    pub bar1_used_bytes: Option<f64>,
    /// Part of that window that is free, in bytes.
    pub bar1_free_bytes: Option<f64>,
    /// Temperature of the chip.
    pub temperature_celsius: Option<f64>,
    /// Temperature of the memory.
    pub memory_temperature_celsius: Option<f64>,
    /// Temperature of the hottest place (AMD's junction).
    pub hotspot_temperature_celsius: Option<f64>,
    /// Temperatures at which something happens, for each of [`TEMPERATURE_LIMITS`].
    pub temperature_limits_celsius: [Option<f64>; 4],
    /// Power draw.
    pub power_watts: Option<f64>,
    /// Power limit that is enforced.
    pub power_limit_watts: Option<f64>,
    /// Power limit that was asked for.
    pub power_requested_limit_watts: Option<f64>,
    /// Power limit after the driver was loaded.
    pub power_default_limit_watts: Option<f64>,
    /// Least power limit that can be set.
    pub power_min_limit_watts: Option<f64>,
    /// Highest power limit that can be set.
    pub power_max_limit_watts: Option<f64>,
    /// Voltage of the chip.
    pub voltage_volts: Option<f64>,
    /// Energy since the driver was loaded.
    pub energy_joules: Option<f64>,
    /// Speed of the first fan as a share of its maximum, 0 to 1.
    pub fan_ratio: Option<f64>,
    /// Speed of the first fan in turns a minute.
    pub fan_rpm: Option<f64>,
    /// Generation of the PCIe link as it runs now.
    pub pcie_link_generation: Option<f64>,
    /// Lanes of the PCIe link as it runs now.
    pub pcie_link_width: Option<f64>,
    /// Highest generation of the PCIe link.
    pub pcie_link_max_generation: Option<f64>,
    /// Most lanes of the PCIe link.
    pub pcie_link_max_width: Option<f64>,
    /// PCIe packets that had to be sent again.
    pub pcie_replays: Option<f64>,
    /// Bytes that the GPU sent over PCIe.
    pub pcie_transmitted_bytes: Option<f64>,
    /// Bytes that the GPU received over PCIe.
    pub pcie_received_bytes: Option<f64>,
    /// Bytes a second that the GPU sent over PCIe in 20 ms.
    pub pcie_transmit_rate: Option<f64>,
    /// Bytes a second that the GPU received over PCIe in 20 ms.
    pub pcie_receive_rate: Option<f64>,
    /// Performance state, 0 is the fastest.
    pub performance_state: Option<f64>,
    /// Whether memory errors are corrected.
    pub ecc_enabled: Option<bool>,
    /// Memory errors since the driver was loaded, for each of [`ECC`].
    pub ecc_volatile: [Option<f64>; 2],
    /// Memory errors in the GPU's life, for each of [`ECC`].
    pub ecc_aggregate: [Option<f64>; 2],
    /// Pages that were taken out of use, for each of [`RETIREMENT_CAUSES`].
    pub retired_pages: [Option<f64>; 2],
    /// Whether pages wait for a restart to be taken out of use.
    pub retired_pages_pending: Option<bool>,
    /// Rows of memory that were replaced by spare ones, for each of [`ECC`].
    pub remapped_rows: [Option<f64>; 2],
    /// Whether rows wait for a reset to be replaced.
    pub row_remap_pending: Option<bool>,
    /// Whether a row could not be replaced.
    pub row_remap_failed: Option<bool>,
    /// Clocks in the order of [`CLOCKS`], in hertz.
    pub clocks_hertz: [Option<f64>; 4],
    /// Highest clocks in the order of [`CLOCKS`], in hertz.
    pub max_clocks_hertz: [Option<f64>; 4],
    /// Clocks that applications asked for, in the order of [`CLOCKS`], in hertz.
    pub application_clocks_hertz: [Option<f64>; 4],
    /// Whether the clocks are held down, for each of [`THROTTLE_REASONS`].
    pub throttled: Option<[bool; 9]>,
    /// Who may compute: 0 everybody, 1 one thread, 2 nobody, 3 one process.
    pub compute_mode: Option<f64>,
    /// Whether the driver stays loaded without a user.
    pub persistence_mode: Option<bool>,
    /// Whether the GPU is divided.
    pub mig_enabled: Option<bool>,
    /// How many parts it has; `None` when the driver does not tell.
    pub mig_devices: Option<f64>,
    /// Its parts.
    pub mig: Vec<MigReading>,
    /// Its NVLinks.
    pub nvlinks: Vec<NvLinkReading>,
    /// Critical errors; `None` when the driver does not report any.
    pub xid: Option<XidReading>,
    /// Whether it did not answer: then only who it is and its critical errors are told.
    pub is_lost: bool,
    /// Processes that use the GPU; `None` when the driver does not tell.
    pub processes: Option<Vec<GpuProcess>>,
}

/// Clocks of [`GpuReading::clocks_hertz`].
pub const CLOCKS: [&str; 4] = ["graphics", "sm", "memory", "video"];

/// Kinds of memory errors.
pub const ECC: [&str; 2] = ["corrected", "uncorrected"];

/// Why pages were taken out of use.
pub const RETIREMENT_CAUSES: [&str; 2] = ["single_bit_ecc", "double_bit_ecc"];

/// Limits of [`GpuReading::temperature_limits_celsius`].
pub const TEMPERATURE_LIMITS: [&str; 4] = ["shutdown", "slowdown", "memory_max", "gpu_max"];

/// Errors of [`NvLinkReading::errors`].
pub const NVLINK_ERRORS: [&str; 4] = ["replay", "recovery", "crc_flit", "crc_data"];

/// Reasons of [`GpuReading::throttled`].
pub const THROTTLE_REASONS: [&str; 9] = [
    "gpu_idle",
    "applications_clocks",
    "sw_power_cap",
    "hw_slowdown",
    "sync_boost",
    "sw_thermal",
    "hw_thermal",
    "hw_power_brake",
    "display_clock",
];

/// All GPUs of a source at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GpuReadings {
    /// The GPUs that answered.
    pub gpus: Vec<GpuReading>,
    /// What did not answer, and why.
    pub trouble: Option<String>,
}

impl From<Vec<GpuReading>> for GpuReadings {
    fn from(gpus: Vec<GpuReading>) -> Self {
        Self { gpus, trouble: None }
    }
}

/// Why there is no reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// This machine has no GPU that could be read, and what would be needed.
    #[error("{0}")]
    Unavailable(String),
    /// There is one, and reading it failed.
    #[error("{0}")]
    Failed(String),
}

/// Where readings come from: the driver's library, or a test. Called on a thread of its own; it may block.
pub trait GpuSource: Send {
    /// Reads all GPUs at `now` (milliseconds; the source decides when to look for a missing driver again).
    ///
    /// # Errors
    /// [`GpuError`] when there is no GPU, or none could be read.
    fn read(&mut self, now: Timestamp) -> Result<GpuReadings, GpuError>;

    /// Reads only what changes between two ticks; nothing while there is no GPU. May be called ten times a second.
    fn read_fast(&mut self, now: Timestamp) -> Vec<FastReading> {
        let gpus = self.read(now).unwrap_or_default().gpus;
        gpus.iter().map(|gpu| FastReading::of(gpu, now)).collect()
    }

    /// Called after [`GpuSource::read`] was answered: time for calls that take long.
    fn idle(&mut self, _now: Timestamp) {}
}
