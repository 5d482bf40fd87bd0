//! Other exporters' names for the same values, for dashboards that exist: opt-in, NVIDIA only.

use super::collector::put_next;
use super::families::flag;
use super::reading::{GpuReading, Vendor};
use crate::collect::emit::{Emit, Slot};
use crate::model::{FamilyDesc, MetricKind};

const MIB: f64 = 1024.0 * 1024.0;
const MHZ: f64 = 1e6;
const MAX: u32 = super::families::MAX_GPUS as u32;

/// A set of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aliases {
    /// `DCGM_FI_*` as NVIDIA's dcgm-exporter names them, in its units.
    Dcgm,
    /// `nvidia_smi_*` as nvidia_gpu_exporter names them, in base units.
    NvidiaSmi,
}

impl Aliases {
    /// The words in configuration.
    pub const WORDS: [(&'static str, Self); 2] = [("dcgm", Self::Dcgm), ("nvidia_smi", Self::NvidiaSmi)];
}

/// One alias: which own family it repeats, and how the value is made.
#[derive(Clone, Copy)]
struct Alias {
    set: Aliases,
    desc: FamilyDesc,
    /// The own family that has the value, with its label where it has one more.
    own: &'static str,
    /// What the own value is multiplied with; 0 where it is put together of several.
    factor: f64,
    value: fn(&GpuReading) -> Option<f64>,
}

const DCGM: &[&str] = &["gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname"];
const SMI: &[&str] = &["uuid"];
/// Facts that its dashboards list the GPUs by; of what nvidia-smi says beyond them nothing is known here.
const SMI_FACTS: &[&str] = &["uuid", "name", "index", "driver_version", "cuda_version", "pci_bus_id", "vbios_version"];

const fn alias(
    set: Aliases,
    name: &'static str,
    own: &'static str,
    factor: f64,
    value: fn(&GpuReading) -> Option<f64>,
) -> Alias {
    let (labels, help) = match set {
        Aliases::Dcgm => (DCGM, "A name of dcgm-exporter for a value of gpu_*."),
        Aliases::NvidiaSmi => (SMI, "A name of nvidia_gpu_exporter for a value of gpu_*."),
    };
    let desc = FamilyDesc { name, kind: MetricKind::Gauge, unit: "", help, labels, max_series: MAX };
    Alias { set, desc, own, factor, value }
}

const fn dcgm(name: &'static str, own: &'static str, factor: f64, value: fn(&GpuReading) -> Option<f64>) -> Alias {
    alias(Aliases::Dcgm, name, own, factor, value)
}

/// A count that only grows. Its name has no `_total`, so formats that demand one call its type unknown.
const fn dcgm_count(
    name: &'static str,
    own: &'static str,
    factor: f64,
    value: fn(&GpuReading) -> Option<f64>,
) -> Alias {
    let mut alias = alias(Aliases::Dcgm, name, own, factor, value);
    alias.desc.kind = MetricKind::Unknown;
    alias
}

const fn smi(name: &'static str, own: &'static str, value: fn(&GpuReading) -> Option<f64>) -> Alias {
    alias(Aliases::NvidiaSmi, name, own, 1.0, value)
}

/// A count whose name ends as such names should.
const fn smi_count(name: &'static str, own: &'static str, value: fn(&GpuReading) -> Option<f64>) -> Alias {
    let mut alias = smi(name, own, value);
    alias.desc.kind = MetricKind::Counter;
    alias
}

const fn smi_facts(name: &'static str, own: &'static str) -> Alias {
    let mut alias = smi(name, own, |_| Some(1.0));
    alias.desc.labels = SMI_FACTS;
    alias
}

/// The reasons as NVML's bits, in whose order [`GpuReading::throttled`] is.
fn throttle_bits(gpu: &GpuReading) -> Option<f64> {
    let bits = gpu.throttled?.iter().enumerate().map(|(bit, active)| u32::from(*active) << bit).sum::<u32>();
    Some(f64::from(bits))
}

fn throttle(gpu: &GpuReading, reason: usize) -> Option<f64> {
    flag(gpu.throttled?.get(reason).copied())
}

/// Every alias. `docs/metrics.md` has this table; a test compares.
static ALIASES: &[Alias] = &[
    dcgm("DCGM_FI_DEV_GPU_UTIL", "gpu_utilization_ratio", 100.0, |g| g.utilization_ratio),
    dcgm("DCGM_FI_DEV_MEM_COPY_UTIL", "gpu_memory_utilization_ratio", 100.0, |g| g.memory_utilization_ratio),
    dcgm("DCGM_FI_DEV_ENC_UTIL", "gpu_encoder_utilization_ratio", 100.0, |g| g.encoder_utilization_ratio),
    dcgm("DCGM_FI_DEV_DEC_UTIL", "gpu_decoder_utilization_ratio", 100.0, |g| g.decoder_utilization_ratio),
    dcgm("DCGM_FI_DEV_FB_TOTAL", "gpu_memory_total_bytes", 1.0 / MIB, |g| g.memory_total_bytes),
    dcgm("DCGM_FI_DEV_FB_USED", "gpu_memory_used_bytes", 1.0 / MIB, |g| g.memory_used_bytes),
    dcgm("DCGM_FI_DEV_FB_FREE", "gpu_memory_free_bytes", 1.0 / MIB, |g| g.memory_free_bytes),
    dcgm("DCGM_FI_DEV_FB_RESERVED", "gpu_memory_reserved_bytes", 1.0 / MIB, |g| g.memory_reserved_bytes),
    dcgm("DCGM_FI_DEV_BAR1_TOTAL", "gpu_bar1_total_bytes", 1.0 / MIB, |g| g.bar1_total_bytes),
    dcgm("DCGM_FI_DEV_BAR1_USED", "gpu_bar1_used_bytes", 1.0 / MIB, |g| g.bar1_used_bytes),
    dcgm("DCGM_FI_DEV_BAR1_FREE", "gpu_bar1_free_bytes", 1.0 / MIB, |g| g.bar1_free_bytes),
    dcgm("DCGM_FI_DEV_GPU_TEMP", "gpu_temperature_celsius", 1.0, |g| g.temperature_celsius),
    dcgm("DCGM_FI_DEV_MEMORY_TEMP", "gpu_memory_temperature_celsius", 1.0, |g| g.memory_temperature_celsius),
    dcgm("DCGM_FI_DEV_SHUTDOWN_TEMP", "gpu_temperature_limit_celsius{limit=\"shutdown\"}", 1.0, |g| {
        g.temperature_limits_celsius[0]
    }),
    dcgm("DCGM_FI_DEV_SLOWDOWN_TEMP", "gpu_temperature_limit_celsius{limit=\"slowdown\"}", 1.0, |g| {
        g.temperature_limits_celsius[1]
    }),
    dcgm("DCGM_FI_DEV_POWER_USAGE", "gpu_power_watts", 1.0, |g| g.power_watts),
    dcgm("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "gpu_power_limit_watts", 1.0, |g| g.power_limit_watts),
    dcgm("DCGM_FI_DEV_POWER_MGMT_LIMIT", "gpu_power_requested_limit_watts", 1.0, |g| g.power_requested_limit_watts),
    dcgm("DCGM_FI_DEV_POWER_MGMT_LIMIT_DEF", "gpu_power_default_limit_watts", 1.0, |g| g.power_default_limit_watts),
    dcgm("DCGM_FI_DEV_POWER_MGMT_LIMIT_MIN", "gpu_power_min_limit_watts", 1.0, |g| g.power_min_limit_watts),
    dcgm("DCGM_FI_DEV_POWER_MGMT_LIMIT_MAX", "gpu_power_max_limit_watts", 1.0, |g| g.power_max_limit_watts),
    dcgm_count("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "gpu_energy_joules_total", 1e3, |g| g.energy_joules),
    dcgm("DCGM_FI_DEV_FAN_SPEED", "gpu_fan_ratio", 100.0, |g| g.fan_ratio),
    dcgm("DCGM_FI_DEV_SM_CLOCK", "gpu_clock_hertz{clock=\"sm\"}", 1.0 / MHZ, |g| g.clocks_hertz[1]),
    dcgm("DCGM_FI_DEV_MEM_CLOCK", "gpu_clock_hertz{clock=\"memory\"}", 1.0 / MHZ, |g| g.clocks_hertz[2]),
    dcgm("DCGM_FI_DEV_VIDEO_CLOCK", "gpu_clock_hertz{clock=\"video\"}", 1.0 / MHZ, |g| g.clocks_hertz[3]),
    dcgm("DCGM_FI_DEV_MAX_SM_CLOCK", "gpu_clock_max_hertz{clock=\"sm\"}", 1.0 / MHZ, |g| g.max_clocks_hertz[1]),
    dcgm("DCGM_FI_DEV_MAX_MEM_CLOCK", "gpu_clock_max_hertz{clock=\"memory\"}", 1.0 / MHZ, |g| g.max_clocks_hertz[2]),
    dcgm("DCGM_FI_DEV_APP_SM_CLOCK", "gpu_clock_application_hertz{clock=\"sm\"}", 1.0 / MHZ, |g| {
        g.application_clocks_hertz[1]
    }),
    dcgm("DCGM_FI_DEV_APP_MEM_CLOCK", "gpu_clock_application_hertz{clock=\"memory\"}", 1.0 / MHZ, |g| {
        g.application_clocks_hertz[2]
    }),
    dcgm("DCGM_FI_DEV_PSTATE", "gpu_performance_state", 1.0, |g| g.performance_state),
    dcgm("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", "gpu_throttle_active", 0.0, throttle_bits),
    dcgm("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "gpu_throttle_active", 0.0, throttle_bits),
    dcgm("DCGM_FI_DEV_PCIE_LINK_GEN", "gpu_pcie_link_generation", 1.0, |g| g.pcie_link_generation),
    dcgm("DCGM_FI_DEV_PCIE_LINK_WIDTH", "gpu_pcie_link_width", 1.0, |g| g.pcie_link_width),
    dcgm("DCGM_FI_DEV_PCIE_MAX_LINK_GEN", "gpu_pcie_link_max_generation", 1.0, |g| g.pcie_link_max_generation),
    dcgm("DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH", "gpu_pcie_link_max_width", 1.0, |g| g.pcie_link_max_width),
    dcgm_count("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "gpu_pcie_replays_total", 1.0, |g| g.pcie_replays),
    dcgm_count("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "gpu_ecc_errors_total{type=\"corrected\"}", 1.0, |g| g.ecc_volatile[0]),
    dcgm_count("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "gpu_ecc_errors_total{type=\"uncorrected\"}", 1.0, |g| {
        g.ecc_volatile[1]
    }),
    dcgm_count("DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", "gpu_ecc_lifetime_errors_total{type=\"corrected\"}", 1.0, |g| {
        g.ecc_aggregate[0]
    }),
    dcgm_count("DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", "gpu_ecc_lifetime_errors_total{type=\"uncorrected\"}", 1.0, |g| {
        g.ecc_aggregate[1]
    }),
    dcgm("DCGM_FI_DEV_RETIRED_SBE", "gpu_retired_pages{cause=\"single_bit_ecc\"}", 1.0, |g| g.retired_pages[0]),
    dcgm("DCGM_FI_DEV_RETIRED_DBE", "gpu_retired_pages{cause=\"double_bit_ecc\"}", 1.0, |g| g.retired_pages[1]),
    dcgm("DCGM_FI_DEV_RETIRED_PENDING", "gpu_retired_pages_pending", 1.0, |g| flag(g.retired_pages_pending)),
    dcgm("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "gpu_remapped_rows{type=\"corrected\"}", 1.0, |g| g.remapped_rows[0]),
    dcgm("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "gpu_remapped_rows{type=\"uncorrected\"}", 1.0, |g| {
        g.remapped_rows[1]
    }),
    dcgm("DCGM_FI_DEV_ROW_REMAP_PENDING", "gpu_row_remap_pending", 1.0, |g| flag(g.row_remap_pending)),
    dcgm("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gpu_row_remap_failed", 1.0, |g| flag(g.row_remap_failed)),
    dcgm("DCGM_FI_DEV_XID_ERRORS", "gpu_xid_last_code", 1.0, |g| {
        // dcgm-exporter says 0 before the first error.
        g.xid.map(|xid| xid.last.map_or(0.0, |(code, _)| code as f64))
    }),
    smi_facts("nvidia_smi_gpu_info", "gpu_info"),
    alias(Aliases::NvidiaSmi, "nvidia_smi_index", "gpu_info", 0.0, |g| Some(f64::from(g.identity.index))),
    smi("nvidia_smi_utilization_gpu_ratio", "gpu_utilization_ratio", |g| g.utilization_ratio),
    smi("nvidia_smi_utilization_memory_ratio", "gpu_memory_utilization_ratio", |g| g.memory_utilization_ratio),
    smi("nvidia_smi_utilization_encoder_ratio", "gpu_encoder_utilization_ratio", |g| g.encoder_utilization_ratio),
    smi("nvidia_smi_utilization_decoder_ratio", "gpu_decoder_utilization_ratio", |g| g.decoder_utilization_ratio),
    smi("nvidia_smi_encoder_stats_session_count", "gpu_encoder_sessions", |g| g.encoder_sessions),
    smi("nvidia_smi_memory_total_bytes", "gpu_memory_total_bytes", |g| g.memory_total_bytes),
    smi("nvidia_smi_memory_used_bytes", "gpu_memory_used_bytes", |g| g.memory_used_bytes),
    smi("nvidia_smi_memory_free_bytes", "gpu_memory_free_bytes", |g| g.memory_free_bytes),
    smi("nvidia_smi_memory_reserved_bytes", "gpu_memory_reserved_bytes", |g| g.memory_reserved_bytes),
    smi("nvidia_smi_temperature_gpu", "gpu_temperature_celsius", |g| g.temperature_celsius),
    smi("nvidia_smi_temperature_memory", "gpu_memory_temperature_celsius", |g| g.memory_temperature_celsius),
    smi("nvidia_smi_power_draw_watts", "gpu_power_watts", |g| g.power_watts),
    smi("nvidia_smi_enforced_power_limit_watts", "gpu_power_limit_watts", |g| g.power_limit_watts),
    smi("nvidia_smi_power_limit_watts", "gpu_power_requested_limit_watts", |g| g.power_requested_limit_watts),
    smi("nvidia_smi_power_default_limit_watts", "gpu_power_default_limit_watts", |g| g.power_default_limit_watts),
    smi("nvidia_smi_power_min_limit_watts", "gpu_power_min_limit_watts", |g| g.power_min_limit_watts),
    smi("nvidia_smi_power_max_limit_watts", "gpu_power_max_limit_watts", |g| g.power_max_limit_watts),
    smi("nvidia_smi_fan_speed_ratio", "gpu_fan_ratio", |g| g.fan_ratio),
    smi("nvidia_smi_pstate", "gpu_performance_state", |g| g.performance_state),
    smi("nvidia_smi_clocks_current_graphics_clock_hz", "gpu_clock_hertz{clock=\"graphics\"}", |g| g.clocks_hertz[0]),
    smi("nvidia_smi_clocks_current_sm_clock_hz", "gpu_clock_hertz{clock=\"sm\"}", |g| g.clocks_hertz[1]),
    smi("nvidia_smi_clocks_current_memory_clock_hz", "gpu_clock_hertz{clock=\"memory\"}", |g| g.clocks_hertz[2]),
    smi("nvidia_smi_clocks_current_video_clock_hz", "gpu_clock_hertz{clock=\"video\"}", |g| g.clocks_hertz[3]),
    smi("nvidia_smi_clocks_max_graphics_clock_hz", "gpu_clock_max_hertz{clock=\"graphics\"}", |g| {
        g.max_clocks_hertz[0]
    }),
    smi("nvidia_smi_clocks_max_sm_clock_hz", "gpu_clock_max_hertz{clock=\"sm\"}", |g| g.max_clocks_hertz[1]),
    smi("nvidia_smi_clocks_max_memory_clock_hz", "gpu_clock_max_hertz{clock=\"memory\"}", |g| g.max_clocks_hertz[2]),
    smi("nvidia_smi_clocks_throttle_reasons_gpu_idle", "gpu_throttle_active{reason=\"gpu_idle\"}", |g| throttle(g, 0)),
    smi(
        "nvidia_smi_clocks_throttle_reasons_applications_clocks_setting",
        "gpu_throttle_active{reason=\"applications_clocks\"}",
        |g| throttle(g, 1),
    ),
    smi("nvidia_smi_clocks_throttle_reasons_sw_power_cap", "gpu_throttle_active{reason=\"sw_power_cap\"}", |g| {
        throttle(g, 2)
    }),
    smi("nvidia_smi_clocks_throttle_reasons_hw_slowdown", "gpu_throttle_active{reason=\"hw_slowdown\"}", |g| {
        throttle(g, 3)
    }),
    smi("nvidia_smi_clocks_throttle_reasons_sync_boost", "gpu_throttle_active{reason=\"sync_boost\"}", |g| {
        throttle(g, 4)
    }),
    smi("nvidia_smi_clocks_throttle_reasons_sw_thermal_slowdown", "gpu_throttle_active{reason=\"sw_thermal\"}", |g| {
        throttle(g, 5)
    }),
    smi("nvidia_smi_clocks_throttle_reasons_hw_thermal_slowdown", "gpu_throttle_active{reason=\"hw_thermal\"}", |g| {
        throttle(g, 6)
    }),
    smi(
        "nvidia_smi_clocks_throttle_reasons_hw_power_brake_slowdown",
        "gpu_throttle_active{reason=\"hw_power_brake\"}",
        |g| throttle(g, 7),
    ),
    // Newer drivers say "event reasons" for the same.
    smi("nvidia_smi_clocks_event_reasons_gpu_idle", "gpu_throttle_active{reason=\"gpu_idle\"}", |g| throttle(g, 0)),
    smi(
        "nvidia_smi_clocks_event_reasons_applications_clocks_setting",
        "gpu_throttle_active{reason=\"applications_clocks\"}",
        |g| throttle(g, 1),
    ),
    smi("nvidia_smi_clocks_event_reasons_sw_power_cap", "gpu_throttle_active{reason=\"sw_power_cap\"}", |g| {
        throttle(g, 2)
    }),
    smi("nvidia_smi_clocks_event_reasons_hw_slowdown", "gpu_throttle_active{reason=\"hw_slowdown\"}", |g| {
        throttle(g, 3)
    }),
    smi("nvidia_smi_clocks_event_reasons_sync_boost", "gpu_throttle_active{reason=\"sync_boost\"}", |g| throttle(g, 4)),
    smi("nvidia_smi_clocks_event_reasons_sw_thermal_slowdown", "gpu_throttle_active{reason=\"sw_thermal\"}", |g| {
        throttle(g, 5)
    }),
    smi("nvidia_smi_clocks_event_reasons_hw_thermal_slowdown", "gpu_throttle_active{reason=\"hw_thermal\"}", |g| {
        throttle(g, 6)
    }),
    smi(
        "nvidia_smi_clocks_event_reasons_hw_power_brake_slowdown",
        "gpu_throttle_active{reason=\"hw_power_brake\"}",
        |g| throttle(g, 7),
    ),
    smi_count("nvidia_smi_energy_joules_total", "gpu_energy_joules_total", |g| g.energy_joules),
    smi("nvidia_smi_remapped_rows_correctable", "gpu_remapped_rows{type=\"corrected\"}", |g| g.remapped_rows[0]),
    smi("nvidia_smi_remapped_rows_uncorrectable", "gpu_remapped_rows{type=\"uncorrected\"}", |g| g.remapped_rows[1]),
    smi("nvidia_smi_remapped_rows_pending", "gpu_row_remap_pending", |g| flag(g.row_remap_pending)),
    smi("nvidia_smi_remapped_rows_failure", "gpu_row_remap_failed", |g| flag(g.row_remap_failed)),
    smi("nvidia_smi_ecc_mode_current", "gpu_ecc_enabled", |g| flag(g.ecc_enabled)),
    smi("nvidia_smi_mig_mode_current", "gpu_mig_enabled", |g| flag(g.mig_enabled)),
    smi("nvidia_smi_pcie_link_gen_current", "gpu_pcie_link_generation", |g| g.pcie_link_generation),
    smi("nvidia_smi_pcie_link_gen_max", "gpu_pcie_link_max_generation", |g| g.pcie_link_max_generation),
    smi("nvidia_smi_pcie_link_width_current", "gpu_pcie_link_width", |g| g.pcie_link_width),
    smi("nvidia_smi_pcie_link_width_max", "gpu_pcie_link_max_width", |g| g.pcie_link_max_width),
    smi("nvidia_smi_compute_mode", "gpu_compute_mode", |g| g.compute_mode),
    smi("nvidia_smi_persistence_mode", "gpu_persistence_mode", |g| flag(g.persistence_mode)),
    smi("nvidia_smi_ecc_errors_corrected_volatile_total", "gpu_ecc_errors_total{type=\"corrected\"}", |g| {
        g.ecc_volatile[0]
    }),
    smi("nvidia_smi_ecc_errors_uncorrected_volatile_total", "gpu_ecc_errors_total{type=\"uncorrected\"}", |g| {
        g.ecc_volatile[1]
    }),
    smi("nvidia_smi_ecc_errors_corrected_aggregate_total", "gpu_ecc_lifetime_errors_total{type=\"corrected\"}", |g| {
        g.ecc_aggregate[0]
    }),
    smi(
        "nvidia_smi_ecc_errors_uncorrected_aggregate_total",
        "gpu_ecc_lifetime_errors_total{type=\"uncorrected\"}",
        |g| g.ecc_aggregate[1],
    ),
];

/// Every alias as (name, own series, factor); the factor is 0 where the value is put together of several.
pub fn alias_table() -> impl Iterator<Item = (&'static str, &'static str, f64)> {
    ALIASES.iter().map(|alias| (alias.desc.name, alias.own, alias.factor))
}

/// The aliases that are switched on.
pub(super) struct AliasSet {
    chosen: Vec<Alias>,
    hostname: String,
}

/// Labels of one GPU's aliases, made when its row is.
#[derive(Debug, Default)]
pub(super) struct AliasLabels {
    device: String,
    bare_uuid: String,
}

impl AliasLabels {
    pub(super) fn new(index: u32, uuid: &str) -> Self {
        let bare = uuid.strip_prefix("GPU-").unwrap_or(uuid);
        Self { device: format!("nvidia{index}"), bare_uuid: bare.to_ascii_lowercase() }
    }
}

impl AliasSet {
    pub(super) fn new(sets: &[Aliases]) -> Self {
        let chosen: Vec<Alias> = ALIASES.iter().filter(|alias| sets.contains(&alias.set)).copied().collect();
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self { chosen, hostname: hostname.trim().to_owned() }
    }

    pub(super) fn len(&self) -> usize {
        self.chosen.len()
    }

    /// Writes the aliases of one GPU; `number` is its label `gpu`.
    pub(super) fn emit<'s>(
        &self,
        emit: &mut Emit<'_>,
        slots: &mut impl Iterator<Item = &'s mut Slot>,
        gpu: &GpuReading,
        number: &str,
        labels: &AliasLabels,
    ) {
        let identity = &gpu.identity;
        if identity.vendor != Vendor::Nvidia {
            return;
        }
        let dcgm =
            [number, identity.uuid.as_str(), &identity.pci_bus_id, &labels.device, &identity.name, &self.hostname];
        let smi = [
            labels.bare_uuid.as_str(),
            &identity.name,
            number,
            &identity.driver_version,
            &identity.cuda_version,
            &identity.pci_bus_id,
            &identity.vbios_version,
        ];
        for alias in &self.chosen {
            let all: &[&str] = match alias.set {
                Aliases::Dcgm => &dcgm,
                Aliases::NvidiaSmi => &smi,
            };
            // The first label or all of them.
            let labels = all.get(..alias.desc.labels.len()).unwrap_or(all);
            let factor = if alias.factor == 0.0 { 1.0 } else { alias.factor };
            put_next(emit, slots, &alias.desc, labels, (alias.value)(gpu).map(|value| value * factor));
        }
    }
}
