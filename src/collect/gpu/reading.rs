//! What one GPU says at one time, in base units, and where such readings come from.

/// Which GPU it is. Facts that it does not tell are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct GpuIdentity {
    /// Its number on this machine; may belong to another GPU after a restart.
    pub index: u32,
    /// Its name for ever, `GPU-…`.
    pub uuid: String,
    /// Product name.
    pub name: String,
    /// Version of the driver.
    pub driver_version: String,
    /// Newest CUDA that the driver supports, `12.4`.
    pub cuda_version: String,
    /// Place on the PCI bus.
    pub pci_bus_id: String,
}

/// Memory that one process holds on a GPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GpuProcess {
    /// Its pid as the driver sees it.
    pub pid: u32,
    /// Bytes of GPU memory, where the driver knows.
    pub memory_bytes: Option<f64>,
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
    /// Memory, in bytes.
    pub memory_total_bytes: Option<f64>,
    /// Memory in use, in bytes.
    pub memory_used_bytes: Option<f64>,
    /// Memory that is free, in bytes.
    pub memory_free_bytes: Option<f64>,
    /// Temperature of the chip.
    pub temperature_celsius: Option<f64>,
    /// Temperature of the memory.
    pub memory_temperature_celsius: Option<f64>,
    /// Power draw.
    pub power_watts: Option<f64>,
    /// Power limit that is enforced.
    pub power_limit_watts: Option<f64>,
    /// Energy since the driver was loaded.
    pub energy_joules: Option<f64>,
    /// Fan speed as a share of its maximum, 0 to 1.
    pub fan_ratio: Option<f64>,
    /// Generation of the PCIe link as it runs now.
    pub pcie_link_generation: Option<f64>,
    /// Lanes of the PCIe link as it runs now.
    pub pcie_link_width: Option<f64>,
    /// PCIe packets that had to be sent again.
    pub pcie_replays: Option<f64>,
    /// Performance state, 0 is the fastest.
    pub performance_state: Option<f64>,
    /// Memory errors that were corrected since the driver was loaded.
    pub ecc_corrected: Option<f64>,
    /// Memory errors that were not corrected since the driver was loaded.
    pub ecc_uncorrected: Option<f64>,
    /// Clocks in the order of [`CLOCKS`], in hertz.
    pub clocks_hertz: [Option<f64>; 4],
    /// Whether the clocks are held down, for each of [`THROTTLE_REASONS`].
    pub throttled: Option<[bool; 9]>,
    /// Processes that use the GPU; `None` when the driver does not tell.
    pub processes: Option<Vec<GpuProcess>>,
}

/// Clocks of [`GpuReading::clocks_hertz`].
pub const CLOCKS: [&str; 4] = ["graphics", "sm", "memory", "video"];

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
    fn read(&mut self, now: crate::model::Timestamp) -> Result<Vec<GpuReading>, GpuError>;
}
