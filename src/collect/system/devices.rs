//! Classes of sysfs that need little more than a list of files: NVMe, DMI, RAPL, Fibre Channel, tapes, watchdogs, CPU
//! frequencies, SELinux.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use regex::bytes::Regex;

use super::bytes::{decimal, decimal_or_hex};
use super::class::{Class, Named};
use super::edac::numbered;
use super::roots::Roots;
use crate::collect::catalogue::{counter, gauge};
use crate::model::{Family, FamilyDesc, MetricKind};

/// Devices of one kind that a machine has at most.
const MAX: u32 = 1024;

pub(super) static NVME: [FamilyDesc; 1] = [gauge(
    "node_nvme_info",
    "",
    "An NVMe controller's firmware, model, serial number and state; always 1.",
    &["device", "firmware_revision", "model", "serial", "state"],
    MAX,
)];

/// NVMe controllers.
pub(super) fn nvme(roots: &Roots) -> Class {
    let place = roots.sys.join("class/nvme");
    Class::new("nvme", place.clone(), move |scan| {
        let [info] = &NVME;
        for device in scan.try_entries(&place)? {
            let folder = place.join(&device);
            let files = ["firmware_rev", "model", "serial", "state"].into_iter().map(|file| folder.join(file));
            scan.facts(info, &[&device], files);
        }
        Ok(())
    })
}

const DMI_LABELS: [&str; 19] = [
    "bios_date",
    "bios_release",
    "bios_vendor",
    "bios_version",
    "board_name",
    "board_serial",
    "board_vendor",
    "board_version",
    "chassis_asset_tag",
    "chassis_serial",
    "chassis_vendor",
    "chassis_version",
    "product_family",
    "product_name",
    "product_serial",
    "product_sku",
    "product_uuid",
    "product_version",
    "system_vendor",
];

pub(super) static DMI: [FamilyDesc; 1] =
    [gauge("node_dmi_info", "", "What the firmware says about the machine; always 1.", &DMI_LABELS, 1)];

/// The machine as its firmware names it.
pub(super) fn dmi(roots: &Roots) -> Class {
    let place = roots.sys.join("class/dmi/id");
    Class::new("dmi", place.clone(), move |scan| {
        let [info] = &DMI;
        scan.try_entries(&place)?;
        let file = |label| place.join(if label == "system_vendor" { "sys_vendor" } else { label });
        scan.facts(info, &[], DMI_LABELS.into_iter().map(file));
        Ok(())
    })
}

const RAPL_LABELS: &[&str] = &["index", "path"];
pub(super) static RAPL: [FamilyDesc; 5] = [
    counter("node_rapl_package_joules_total", "joules", "Energy that a package used.", RAPL_LABELS, MAX),
    counter("node_rapl_core_joules_total", "joules", "Energy that the cores used.", RAPL_LABELS, MAX),
    counter("node_rapl_uncore_joules_total", "joules", "Energy that the rest of the package used.", RAPL_LABELS, MAX),
    counter("node_rapl_dram_joules_total", "joules", "Energy that the memory used.", RAPL_LABELS, MAX),
    counter("node_rapl_psys_joules_total", "joules", "Energy that the whole board used.", RAPL_LABELS, MAX),
];

/// Energy counters of power zones.
pub(super) fn rapl(roots: &Roots) -> Class {
    let place = roots.sys.join("class/powercap");
    Class::new("rapl", place.clone(), move |scan| {
        let mut named: HashMap<String, usize> = HashMap::new();
        for zone in scan.try_entries(&place)? {
            let folder = place.join(&zone);
            if !zone.contains(':') {
                continue;
            }
            let Some(name) = scan.text(&folder.join("name")) else { continue };
            // `package-1` has its number in its name; zones of one name are counted.
            let (kind, index) = match name.split_once('-') {
                Some((kind, index)) if index.parse::<u32>().is_ok() => (kind.to_owned(), index.to_owned()),
                _ => {
                    let count = named.entry(name.clone()).or_default();
                    *count += 1;
                    (name.clone(), (*count - 1).to_string())
                }
            };
            let family = Arc::new(Family {
                name: format!("node_rapl_{}_joules", identifier(&kind)).into(),
                kind: MetricKind::Counter,
                unit: "joules".into(),
                help: format!("Energy that zone {kind} used.").into(),
            });
            let path = folder.to_string_lossy().into_owned();
            let named = Named::Found(family, RAPL_LABELS);
            scan.parsed(named, &[&index, &path], folder.join("energy_uj"), (decimal, 1e-6), false);
        }
        Ok(())
    })
}

/// A family of one series without a type, which the kernel named: node_exporter states none.
pub(super) fn untyped_family(name: String, help: String) -> Family {
    Family { name: name.into(), kind: MetricKind::Unknown, unit: "".into(), help: help.into() }
}

/// A text as a part of a metric's name.
pub(super) fn identifier(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

const HOST: &[&str] = &["fc_host"];
macro_rules! fc {
    ($($name:literal $help:literal),* $(,)?) => {
        [$(counter(concat!("node_fibrechannel_", $name, "_total"), "", $help, HOST, MAX)),*]
    };
}

const FC_FACTS: [&str; 10] = [
    "speed",
    "port_state",
    "port_type",
    "port_id",
    "port_name",
    "fabric_name",
    "symbolic_name",
    "supported_classes",
    "supported_speeds",
    "dev_loss_tmo",
];
pub(super) static FC_INFO: [FamilyDesc; 1] = [gauge(
    "node_fibrechannel_info",
    "",
    "A Fibre Channel port's names, state and speeds; always 1.",
    &[
        "fc_host",
        "speed",
        "port_state",
        "port_type",
        "port_id",
        "port_name",
        "fabric_name",
        "symbolic_name",
        "supported_classes",
        "supported_speeds",
        "dev_loss_tmo",
    ],
    MAX,
)];
pub(super) static FC: [FamilyDesc; 14] = fc![
    "dumped_frames" "Frames that were thrown away.",
    "error_frames" "Frames with an error.",
    "fcp_packet_aborts" "Packets that were aborted.",
    "invalid_crc" "Frames with a wrong checksum.",
    "invalid_tx_words" "Words that were not valid.",
    "link_failure" "Times that the link failed.",
    "loss_of_signal" "Times that the signal was lost.",
    "loss_of_sync" "Times that synchronisation was lost.",
    "nos" "Not-operational sequences.",
    "rx_frames" "Frames received.",
    "rx_words" "Words received.",
    "seconds_since_last_reset" "Seconds since the counters were set back.",
    "tx_frames" "Frames sent.",
    "tx_words" "Words sent.",
];
const FC_FILES: [&str; 14] = [
    "dumped_frames",
    "error_frames",
    "fcp_packet_aborts",
    "invalid_crc_count",
    "invalid_tx_word_count",
    "link_failure_count",
    "loss_of_signal_count",
    "loss_of_sync_count",
    "nos_count",
    "rx_frames",
    "rx_words",
    "seconds_since_last_reset",
    "tx_frames",
    "tx_words",
];

/// Ports of Fibre Channel adapters.
pub(super) fn fibrechannel(roots: &Roots) -> Class {
    let place = roots.sys.join("class/fc_host");
    Class::new("fibrechannel", place.clone(), move |scan| {
        let [info] = &FC_INFO;
        for host in scan.try_entries(&place)? {
            let folder = place.join(&host);
            scan.facts_without("0x", info, &[&host], FC_FACTS.into_iter().map(|file| folder.join(file)));
            for (desc, file) in FC.iter().zip(FC_FILES) {
                let path = folder.join("statistics").join(file);
                scan.parsed(Named::Declared(desc), &[&host], path, (decimal_or_hex, 1.0), false);
            }
        }
        Ok(())
    })
}

const TAPE_DEVICE: &[&str] = &["device"];
/// The kernel counts nanoseconds.
const NS: f64 = 1e-9;
pub(super) static TAPE: [FamilyDesc; 10] = [
    gauge("node_tape_io_now", "", "Requests that run now.", TAPE_DEVICE, MAX),
    counter("node_tape_io_time_seconds_total", "seconds", "Time with at least one request.", TAPE_DEVICE, MAX),
    counter("node_tape_io_others_total", "", "Requests other than reads and writes.", TAPE_DEVICE, MAX),
    counter("node_tape_read_bytes_total", "bytes", "Bytes read.", TAPE_DEVICE, MAX),
    counter("node_tape_reads_completed_total", "", "Reads that came to an end.", TAPE_DEVICE, MAX),
    counter("node_tape_read_time_seconds_total", "seconds", "Time that reads took.", TAPE_DEVICE, MAX),
    counter("node_tape_residual_total", "", "Requests with a residue.", TAPE_DEVICE, MAX),
    counter("node_tape_written_bytes_total", "bytes", "Bytes written.", TAPE_DEVICE, MAX),
    counter("node_tape_writes_completed_total", "", "Writes that came to an end.", TAPE_DEVICE, MAX),
    counter("node_tape_write_time_seconds_total", "seconds", "Time that writes took.", TAPE_DEVICE, MAX),
];
const TAPE_FILES: [(&str, f64); 10] = [
    ("in_flight", 1.0),
    ("io_ns", NS),
    ("other_cnt", 1.0),
    ("read_byte_cnt", 1.0),
    ("read_cnt", 1.0),
    ("read_ns", NS),
    ("resid_cnt", 1.0),
    ("write_byte_cnt", 1.0),
    ("write_cnt", 1.0),
    ("write_ns", NS),
];

/// Tape drives; `st0` only, not its other modes (`nst0`, `st0a`).
pub(super) fn tapestats(roots: &Roots, ignored: Regex) -> Class {
    let place = roots.sys.join("class/scsi_tape");
    Class::new("tapestats", place.clone(), move |scan| {
        for device in scan.try_entries(&place)? {
            if numbered(&device, "st").is_none() || ignored.is_match(device.as_bytes()) {
                continue;
            }
            for (desc, (file, factor)) in TAPE.iter().zip(TAPE_FILES) {
                scan.number(desc, &[&device], place.join(&device).join("stats").join(file), factor);
            }
        }
        Ok(())
    })
}

const DOG: &[&str] = &["name"];
pub(super) static WATCHDOG: [FamilyDesc; 8] = [
    gauge("node_watchdog_bootstatus", "", "Why the machine started, as the watchdog's flags.", DOG, MAX),
    gauge("node_watchdog_fw_version", "", "Version of the watchdog's firmware.", DOG, MAX),
    gauge("node_watchdog_nowayout", "", "Whether the watchdog can no longer be stopped.", DOG, MAX),
    gauge("node_watchdog_timeleft_seconds", "seconds", "Time until the watchdog resets the machine.", DOG, MAX),
    gauge("node_watchdog_timeout_seconds", "seconds", "Time without a sign of life that it tolerates.", DOG, MAX),
    gauge("node_watchdog_pretimeout_seconds", "seconds", "Time between its warning and the reset.", DOG, MAX),
    gauge("node_watchdog_access_cs0", "", "Whether the machine started from its second firmware.", DOG, MAX),
    gauge(
        "node_watchdog_info",
        "",
        "What a watchdog is and how it stands; always 1.",
        &["name", "options", "identity", "state", "status", "pretimeout_governor"],
        MAX,
    ),
];
const DOG_FILES: [&str; 7] =
    ["bootstatus", "fw_version", "nowayout", "timeleft", "timeout", "pretimeout", "access_cs0"];
const DOG_FACTS: [&str; 5] = ["options", "identity", "state", "status", "pretimeout_governor"];

/// Watchdog devices.
pub(super) fn watchdog(roots: &Roots) -> Class {
    let place = roots.sys.join("class/watchdog");
    Class::new("watchdog", place.clone(), move |scan| {
        let [numbers @ .., info] = &WATCHDOG;
        for name in scan.try_entries(&place)? {
            let folder = place.join(&name);
            for (desc, file) in numbers.iter().zip(DOG_FILES) {
                scan.number(desc, &[&name], folder.join(file), 1.0);
            }
            scan.facts(info, &[&name], DOG_FACTS.into_iter().map(|file| folder.join(file)));
        }
        Ok(())
    })
}

const CPU: &[&str] = &["cpu"];
/// Cores of the largest machine.
const MAX_CPUS: u32 = 2048;
pub(super) static CPUFREQ: [FamilyDesc; 7] = [
    gauge("node_cpu_frequency_hertz", "hertz", "Frequency of a core, as the hardware says.", CPU, MAX_CPUS),
    gauge("node_cpu_frequency_min_hertz", "hertz", "Lowest frequency that the core can run at.", CPU, MAX_CPUS),
    gauge("node_cpu_frequency_max_hertz", "hertz", "Highest frequency that the core can run at.", CPU, MAX_CPUS),
    gauge("node_cpu_scaling_frequency_hertz", "hertz", "Frequency of a core, as the governor says.", CPU, MAX_CPUS),
    gauge("node_cpu_scaling_frequency_min_hertz", "hertz", "Lowest frequency of the governor.", CPU, MAX_CPUS),
    gauge("node_cpu_scaling_frequency_max_hertz", "hertz", "Highest frequency of the governor.", CPU, MAX_CPUS),
    gauge(
        "node_cpu_scaling_governor",
        "",
        "1 for the governor that a core has, 0 for the others that it could have.",
        &["cpu", "governor"],
        8 * MAX_CPUS,
    ),
];
const CPUFREQ_FILES: [&str; 6] = [
    "cpuinfo_cur_freq",
    "cpuinfo_min_freq",
    "cpuinfo_max_freq",
    "scaling_cur_freq",
    "scaling_min_freq",
    "scaling_max_freq",
];

/// Frequencies of cores.
pub(super) fn cpufreq(roots: &Roots) -> Class {
    let place = roots.sys.join("devices/system/cpu");
    Class::new("cpufreq", place.clone(), move |scan| {
        let [numbers @ .., governor] = &CPUFREQ;
        for name in scan.try_entries(&place)? {
            let Some(cpu) = numbered(&name, "cpu") else { continue };
            let folder = place.join(&name).join("cpufreq");
            for (desc, file) in numbers.iter().zip(CPUFREQ_FILES) {
                // Some drivers say `<unknown>`.
                scan.parsed(Named::Declared(desc), &[cpu], folder.join(file), (decimal, 1e3), true);
            }
            let current = scan.text(&folder.join("scaling_governor"));
            let known = scan.text(&folder.join("scaling_available_governors"));
            for each in known.as_deref().unwrap_or_default().split_whitespace() {
                let value = if current.as_deref() == Some(each) { 1.0 } else { 0.0 };
                scan.constant(Named::Declared(governor), vec![cpu.to_owned(), each.to_owned()], value);
            }
        }
        Ok(())
    })
}

pub(super) static SELINUX: [FamilyDesc; 3] = [
    gauge("node_selinux_enabled", "", "Whether SELinux is on.", &[], 1),
    gauge("node_selinux_config_mode", "", "Mode in SELinux' configuration file: 1 enforces, 0 permits.", &[], 1),
    gauge("node_selinux_current_mode", "", "Mode of SELinux now: 1 enforces, 0 permits.", &[], 1),
];

/// SELinux. Where it is off, only that is said.
pub(super) fn selinux(roots: &Roots) -> Class {
    let place = roots.sys.join("fs/selinux");
    let config = roots.on_rootfs("/etc/selinux/config");
    Class::new("selinux", place.clone(), move |scan| {
        let [enabled, configured, current] = &SELINUX;
        let enforce: PathBuf = place.join("enforce");
        let on = enforce.is_file();
        scan.constant(Named::Declared(enabled), Vec::new(), if on { 1.0 } else { 0.0 });
        if on {
            let mode = scan.text(&config).and_then(|text| selinux_mode(&text)).unwrap_or(-1.0);
            scan.constant(Named::Declared(configured), Vec::new(), mode);
            scan.number(current, &[], enforce, 1.0);
        }
        Ok(())
    })
}

/// `SELINUX=enforcing` in the configuration.
fn selinux_mode(text: &str) -> Option<f64> {
    match text.lines().find_map(|line| line.trim().strip_prefix("SELINUX="))?.trim() {
        "enforcing" => Some(1.0),
        "permissive" => Some(0.0),
        _ => Some(-1.0),
    }
}
