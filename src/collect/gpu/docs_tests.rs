//! `docs/metrics.md` says what is published: the table of aliases is made from the code, every family is named.

use parking_lot::Mutex;

use super::{FAMILIES, alias_table};
use crate::collect::catalogue;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
const BEGIN: &str = "<!-- aliases of GPUs, made by WATCHFIRE_GOLDENS=write cargo test --lib gpu::docs -->\n";
const END: &str = "<!-- end of aliases -->\n";

fn table() -> String {
    let mut table = String::from("| name | is | times |\n|---|---|---|\n");
    for (name, own, factor) in alias_table() {
        let times = match factor {
            0.0 if own == "gpu_info" => "its label `gpu`".to_owned(),
            0.0 => "one bit a reason".to_owned(),
            1.0 => "1".to_owned(),
            factor if factor < 1e-3 => format!("1 / {}", (1.0 / factor).round()),
            factor => factor.to_string(),
        };
        table.push_str(&format!("| `{name}` | `{own}` | {times} |\n"));
    }
    table
}

const SOURCES_BEGIN: &str = "<!-- sources of GPUs, made by WATCHFIRE_GOLDENS=write cargo test --lib gpu::docs -->\n";
const SOURCES_END: &str = "<!-- end of sources -->\n";

/// Where each family comes from: functions of NVML (`nvmlDeviceGet` left out; `field` and a number for values by field), and
/// files of amdgpu.
const SOURCES: &[(&str, &str, &str)] = &[
    ("gpu_utilization_ratio", "UtilizationRates", "gpu_busy_percent"),
    ("gpu_memory_utilization_ratio", "UtilizationRates", "mem_busy_percent"),
    ("gpu_encoder_utilization_ratio", "EncoderUtilization", ""),
    ("gpu_decoder_utilization_ratio", "DecoderUtilization", ""),
    ("gpu_encoder_sessions", "EncoderStats", ""),
    ("gpu_memory_total_bytes", "MemoryInfo", "mem_info_vram_total"),
    ("gpu_memory_used_bytes", "MemoryInfo", "mem_info_vram_used"),
    ("gpu_memory_free_bytes", "MemoryInfo", "mem_info_vram_total mem_info_vram_used"),
    ("gpu_memory_reserved_bytes", "MemoryInfo_v2", ""),
    ("gpu_memory_unified", "MemoryInfo", "mem_info_vram_total"),
    ("gpu_shared_memory_total_bytes", "", "mem_info_gtt_total"),
    ("gpu_shared_memory_used_bytes", "", "mem_info_gtt_used"),
    ("gpu_bar1_total_bytes", "BAR1MemoryInfo", "mem_info_vis_vram_total"),
    ("gpu_bar1_used_bytes", "BAR1MemoryInfo", "mem_info_vis_vram_used"),
    ("gpu_bar1_free_bytes", "BAR1MemoryInfo", "mem_info_vis_vram_total mem_info_vis_vram_used"),
    ("gpu_temperature_celsius", "Temperature TemperatureV", "temp1_input"),
    ("gpu_memory_temperature_celsius", "field 82", "temp3_input"),
    ("gpu_hotspot_temperature_celsius", "", "temp2_input"),
    ("gpu_power_watts", "PowerUsage", "power1_average power1_input"),
    ("gpu_power_limit_watts", "EnforcedPowerLimit", "power1_cap"),
    ("gpu_power_requested_limit_watts", "PowerManagementLimit", "power1_cap"),
    ("gpu_power_default_limit_watts", "PowerManagementDefaultLimit", "power1_cap_default"),
    ("gpu_power_min_limit_watts", "PowerManagementLimitConstraints", "power1_cap_min"),
    ("gpu_power_max_limit_watts", "PowerManagementLimitConstraints", "power1_cap_max"),
    ("gpu_voltage_volts", "", "in0_input"),
    ("gpu_energy_joules_total", "TotalEnergyConsumption", "energy1_input"),
    ("gpu_fan_ratio", "FanSpeed_v2 FanSpeed", "pwm1"),
    ("gpu_fan_rpm", "FanSpeedRPM", "fan1_input"),
    ("gpu_pcie_link_generation", "CurrPcieLinkGeneration", "current_link_speed"),
    ("gpu_pcie_link_width", "CurrPcieLinkWidth", "current_link_width"),
    ("gpu_pcie_link_max_generation", "MaxPcieLinkGeneration", "max_link_speed"),
    ("gpu_pcie_link_max_width", "MaxPcieLinkWidth", "max_link_width"),
    ("gpu_pcie_replays_total", "PcieReplayCounter", "pcie_replay_count"),
    ("gpu_pcie_transmitted_bytes_total", "field 197", ""),
    ("gpu_pcie_received_bytes_total", "field 198", ""),
    ("gpu_pcie_transmit_bytes_per_second", "PcieThroughput", ""),
    ("gpu_pcie_receive_bytes_per_second", "PcieThroughput", ""),
    ("gpu_performance_state", "PerformanceState PowerState", ""),
    ("gpu_ecc_enabled", "EccMode", ""),
    ("gpu_retired_pages_pending", "field 31", ""),
    ("gpu_row_remap_pending", "field 144", ""),
    ("gpu_row_remap_failed", "field 145", ""),
    ("gpu_compute_mode", "ComputeMode", ""),
    ("gpu_persistence_mode", "PersistenceMode", ""),
    ("gpu_mig_enabled", "MigMode", ""),
    ("gpu_mig_devices", "MaxMigDeviceCount MigDeviceHandleByIndex", ""),
    ("gpu_xid_errors_total", "nvmlDeviceRegisterEvents nvmlEventSetWait_v2", ""),
    ("gpu_xid_last_code", "nvmlDeviceRegisterEvents nvmlEventSetWait_v2", ""),
    ("gpu_processes", "ComputeRunningProcesses_v3 GraphicsRunningProcesses_v3 MPSComputeRunningProcesses_v3", ""),
    ("gpu_clock_hertz", "ClockInfo", "pp_dpm_sclk pp_dpm_mclk pp_dpm_vclk freq1_input freq2_input"),
    ("gpu_clock_max_hertz", "MaxClockInfo", "pp_dpm_sclk pp_dpm_mclk pp_dpm_vclk"),
    ("gpu_clock_application_hertz", "Clock ApplicationsClock", ""),
    ("gpu_throttle_active", "CurrentClocksEventReasons CurrentClocksThrottleReasons", ""),
    ("gpu_ecc_errors_total", "TotalEccErrors", "ras/umc_err_count"),
    ("gpu_ecc_lifetime_errors_total", "TotalEccErrors", ""),
    ("gpu_retired_pages", "field 29 field 30", ""),
    ("gpu_remapped_rows", "field 142 field 143", ""),
    ("gpu_temperature_limit_celsius", "TemperatureThreshold", "temp1_crit temp1_emergency temp3_crit"),
    (
        "gpu_info",
        "Name UUID PciInfo_v3 VbiosVersion nvmlSystemGetDriverVersion nvmlSystemGetNVMLVersion nvmlSystemGetCudaDriverVersion_v2",
        "product_name unique_id uevent vbios_version",
    ),
    (
        "gpu_process_memory_bytes",
        "ComputeRunningProcesses_v3 GraphicsRunningProcesses_v3 MPSComputeRunningProcesses_v3",
        "",
    ),
    ("gpu_process_utilization_ratio", "ProcessUtilization", ""),
    (
        "worker_group_gpu_memory_bytes",
        "ComputeRunningProcesses_v3 GraphicsRunningProcesses_v3 MPSComputeRunningProcesses_v3",
        "",
    ),
    ("gpu_mig_memory_total_bytes", "MemoryInfo", ""),
    ("gpu_mig_memory_used_bytes", "MemoryInfo", ""),
    ("gpu_mig_memory_free_bytes", "MemoryInfo", ""),
    ("gpu_mig_multiprocessors", "Attributes_v2", ""),
    ("gpu_mig_utilization_ratio", "UtilizationRates", ""),
    ("gpu_nvlink_up", "NvLinkState", ""),
    ("gpu_nvlink_transmitted_bytes_total", "field 138 field 202", ""),
    ("gpu_nvlink_received_bytes_total", "field 139 field 204", ""),
    ("gpu_nvlink_errors_total", "NvLinkErrorCounter field 161 field 162 field 163", ""),
];

/// `field 82` is one source, and so is each other word.
fn words_of(sources: &str) -> Vec<String> {
    let joined = sources.replace("field ", "field\u{a0}");
    joined.split(' ').filter(|word| !word.is_empty()).map(|word| word.replace('\u{a0}', " ")).collect()
}

fn nvml_name(word: &str) -> String {
    if word.starts_with("nvml") || word.starts_with("field") { word.to_owned() } else { format!("nvmlDeviceGet{word}") }
}

fn sources() -> String {
    let mut table = String::from(
        "| name | unit | NVML (`nvmlDeviceGet…`, or field) | amdgpu | dcgm-exporter | nvidia_gpu_exporter |\n|---|---|---|---|---|---|\n",
    );
    for desc in FAMILIES.iter().copied().flatten() {
        let (_, nvml, amd) = SOURCES
            .iter()
            .find(|(name, ..)| *name == desc.name)
            .unwrap_or_else(|| panic!("no source of {}", desc.name));
        let of = |start: &str| -> Vec<String> {
            let own = |own: &str| own.split('{').next() == Some(desc.name);
            alias_table()
                .filter(|(name, of, _)| own(of) && name.starts_with(start))
                .map(|(name, ..)| name.to_owned())
                .collect()
        };
        let shown = |words: Vec<String>| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" ");
        let columns =
            [shown(words_of(nvml)), shown(words_of(amd)), shown(of("DCGM_FI_")), shown(of("nvidia_smi_"))].join(" | ");
        let unit = if desc.unit.is_empty() { "1" } else { desc.unit };
        table.push_str(&format!("| `{}` | {unit} | {columns} |\n", desc.name));
    }
    table
}

/// Compares a table with the one in the documentation, or writes it there.
fn check_table(begin: &str, end: &str, table: &str) {
    static DOCUMENT: Mutex<()> = Mutex::new(());
    let _guard = DOCUMENT.lock();
    let docs = std::fs::read_to_string(DOCS).unwrap();
    let (before, rest) = docs.split_once(begin).expect("the begin of the table");
    let (found, after) = rest.split_once(end).expect("the end of the table");
    if std::env::var_os("WATCHFIRE_GOLDENS").is_some_and(|value| value == "write") {
        std::fs::write(DOCS, format!("{before}{begin}{table}{end}{after}")).unwrap();
        return;
    }
    assert!(found == table, "the table changed: WATCHFIRE_GOLDENS=write cargo test --lib gpu::docs");
}

#[test]
fn the_tables_are_the_code_s() {
    check_table(BEGIN, END, &table());
    check_table(SOURCES_BEGIN, SOURCES_END, &sources());
}

#[test]
fn sources_are_what_is_called_and_read() {
    let interface = include_str!("nvml/abi.rs");
    let files = include_str!("amd.rs");
    for (family, nvml, amd) in SOURCES {
        assert!(FAMILIES.iter().copied().flatten().any(|desc| desc.name == *family), "{family} is not published");
        for word in words_of(nvml) {
            let called = match word.strip_prefix("field ") {
                Some(number) => interface.contains(&format!("u32 = {number};")),
                None => interface.contains(&format!("\"{}\"", nvml_name(&word))),
            };
            assert!(called, "{family}: {word} is not asked for");
        }
        for file in words_of(amd) {
            assert!(files.contains(&format!("\"{file}\"")), "{family}: {file} is not read");
        }
    }
}

#[test]
fn every_family_of_gpus_and_cgroups_is_named() {
    let docs = std::fs::read_to_string(DOCS).unwrap();
    let cgroups = catalogue::all().filter(|desc| desc.name.starts_with("container_"));
    for desc in FAMILIES.iter().copied().flatten().chain(cgroups) {
        assert!(docs.contains(&format!("`{}`", desc.name)), "docs/metrics.md lacks {}", desc.name);
    }
}
