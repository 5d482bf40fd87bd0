//! NVIDIA's part against a library that the test builds: `tests/fixtures/nvml_stub.c`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Aliases, GpuConfig, GpuError, GpuReadings, GpuSource, Gpus, NvmlSource};
use crate::clock::Stopwatch;
use crate::collect::testing::{Interner, Page, collect};
use crate::collect::{CollectError, Reading};
use crate::model::Timestamp;

/// The library in a folder of its own: a copy has its own state.
struct Stub {
    folder: tempfile::TempDir,
    gpus: Gpus,
    intern: Interner,
    now: Timestamp,
}

impl Stub {
    /// `None`, and said so, without a C compiler.
    fn build(aliases: &[Aliases]) -> Option<Self> {
        Self::build_as(&[], aliases)
    }

    /// As [`Stub::build`], of another age: see the library's text.
    fn build_as(age: &[&str], aliases: &[Aliases]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        if !build_library(&folder.path().join("libnvidia-ml.so.1"), age) {
            eprintln!("SKIPPED: no C compiler for the stub library");
            return None;
        }
        std::fs::create_dir(folder.path().join("proc")).unwrap();
        std::fs::write(folder.path().join("proc/meminfo"), "MemTotal: 1000 kB\nMemAvailable: 400 kB\n").unwrap();
        let config = GpuConfig {
            aliases: aliases.to_vec(),
            nvml_libraries: vec![folder.path().join("libnvidia-ml.so.1").into()],
            roots: crate::collect::system::Roots::under(folder.path()),
        };
        let mut gpus = Gpus::new(None, &config);
        gpus.set_deadline(Duration::from_secs(20));
        Some(Self { folder, gpus, intern: Interner::default(), now: 0 })
    }

    fn control(&self, words: &str) {
        std::fs::write(self.folder.path().join("libnvidia-ml.so.1.ctl"), words).unwrap();
    }

    /// How often the library noted this call.
    fn calls(&self, name: &str) -> usize {
        let noted = std::fs::read_to_string(self.folder.path().join("libnvidia-ml.so.1.calls")).unwrap_or_default();
        noted.lines().filter(|line| *line == name).count()
    }

    fn tick(&mut self) -> (Page, Result<Reading, CollectError>) {
        self.now += 1000;
        collect(&mut self.gpus, &self.intern, self.now)
    }

    /// Ticks until the page is as wanted.
    fn tick_until(&mut self, what: &str, wanted: impl Fn(&Page) -> bool) -> Page {
        for _ in 0..5000 {
            let (page, _) = self.tick();
            if wanted(&page) {
                return page;
            }
            // The threads of the stub need a moment; the clock of the ticks is made up.
            std::thread::yield_now();
        }
        panic!("{what} never came");
    }
}

fn build_library(library: &Path, age: &[&str]) -> bool {
    let code = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nvml_stub.c");
    let built = Command::new("cc").args(age).args(["-shared", "-fPIC", "-o"]).arg(library).arg(code).status();
    built.is_ok_and(|status| status.success())
}

/// What the stub says of GPU 0, as series without the labels that all have.
const FIRST: &[(&str, f64)] = &[
    ("gpu_bar1_free_bytes", 600.0),
    ("gpu_bar1_total_bytes", 1000.0),
    ("gpu_bar1_used_bytes", 400.0),
    ("gpu_clock_application_hertz clock=graphics", 1.5e9),
    ("gpu_clock_application_hertz clock=memory", 1.7e9),
    ("gpu_clock_application_hertz clock=sm", 1.6e9),
    ("gpu_clock_hertz clock=graphics", 1.0e9),
    ("gpu_clock_hertz clock=memory", 1.2e9),
    ("gpu_clock_hertz clock=sm", 1.1e9),
    ("gpu_clock_hertz clock=video", 1.3e9),
    ("gpu_clock_max_hertz clock=graphics", 2.0e9),
    ("gpu_clock_max_hertz clock=memory", 2.2e9),
    ("gpu_clock_max_hertz clock=sm", 2.1e9),
    ("gpu_clock_max_hertz clock=video", 2.3e9),
    ("gpu_compute_mode", 3.0),
    ("gpu_decoder_utilization_ratio", 0.22),
    ("gpu_ecc_enabled", 1.0),
    ("gpu_ecc_errors_total type=corrected", 10.0),
    ("gpu_ecc_errors_total type=uncorrected", 1.0),
    ("gpu_ecc_lifetime_errors_total type=corrected", 110.0),
    ("gpu_ecc_lifetime_errors_total type=uncorrected", 101.0),
    ("gpu_encoder_sessions", 2.0),
    ("gpu_encoder_utilization_ratio", 0.21),
    ("gpu_energy_joules_total", 5000.0),
    ("gpu_fan_ratio", 0.42),
    ("gpu_fan_rpm", 1800.0),
    (
        "gpu_info cuda_version=12.4 driver_version=570.86.10 name=Stub 9000 nvml_version=12.570.86 \
         pci_bus_id=00000000:01:00.0 vbios_version=96.00.74.00.01 vendor=nvidia",
        1.0,
    ),
    ("gpu_memory_free_bytes", 60.0 * 1073741824.0),
    ("gpu_memory_reserved_bytes", 536870912.0),
    ("gpu_memory_temperature_celsius", 71.0),
    ("gpu_memory_total_bytes", 80.0 * 1073741824.0),
    ("gpu_memory_unified", 0.0),
    ("gpu_memory_used_bytes", 20.0 * 1073741824.0),
    ("gpu_memory_utilization_ratio", 0.12),
    ("gpu_mig_devices", 0.0),
    ("gpu_mig_enabled", 0.0),
    ("gpu_nvlink_errors_total link=0 type=crc_flit", 2.0),
    ("gpu_nvlink_errors_total link=0 type=recovery", 1.0),
    ("gpu_nvlink_errors_total link=0 type=replay", 0.0),
    ("gpu_nvlink_errors_total link=1 type=crc_flit", 12.0),
    ("gpu_nvlink_errors_total link=1 type=recovery", 11.0),
    ("gpu_nvlink_errors_total link=1 type=replay", 10.0),
    ("gpu_nvlink_received_bytes_total link=0", 2000.0 * 1024.0),
    ("gpu_nvlink_transmitted_bytes_total link=0", 1000.0 * 1024.0),
    ("gpu_nvlink_up link=0", 1.0),
    ("gpu_nvlink_up link=1", 0.0),
    ("gpu_pcie_link_generation", 4.0),
    ("gpu_pcie_link_max_generation", 5.0),
    ("gpu_pcie_link_max_width", 16.0),
    ("gpu_pcie_link_width", 8.0),
    ("gpu_pcie_received_bytes_total", 6e9),
    ("gpu_pcie_replays_total", 7.0),
    ("gpu_pcie_transmitted_bytes_total", 5e9),
    ("gpu_performance_state", 2.0),
    ("gpu_persistence_mode", 1.0),
    ("gpu_power_default_limit_watts", 500.0),
    ("gpu_power_limit_watts", 400.0),
    ("gpu_power_max_limit_watts", 600.0),
    ("gpu_power_min_limit_watts", 100.0),
    ("gpu_power_requested_limit_watts", 450.0),
    ("gpu_power_watts", 123.456),
    ("gpu_process_utilization_ratio group=other", 0.25),
    ("gpu_processes", 3.0),
    ("gpu_remapped_rows type=corrected", 5.0),
    ("gpu_remapped_rows type=uncorrected", 6.0),
    ("gpu_retired_pages cause=double_bit_ecc", 1.0),
    ("gpu_retired_pages cause=single_bit_ecc", 3.0),
    ("gpu_retired_pages_pending", 0.0),
    ("gpu_row_remap_failed", 0.0),
    ("gpu_row_remap_pending", 1.0),
    ("gpu_temperature_celsius", 64.0),
    ("gpu_temperature_limit_celsius limit=gpu_max", 87.0),
    ("gpu_temperature_limit_celsius limit=memory_max", 105.0),
    ("gpu_temperature_limit_celsius limit=shutdown", 95.0),
    ("gpu_temperature_limit_celsius limit=slowdown", 90.0),
    ("gpu_throttle_active reason=applications_clocks", 0.0),
    ("gpu_throttle_active reason=display_clock", 0.0),
    ("gpu_throttle_active reason=gpu_idle", 0.0),
    ("gpu_throttle_active reason=hw_power_brake", 0.0),
    ("gpu_throttle_active reason=hw_slowdown", 0.0),
    ("gpu_throttle_active reason=hw_thermal", 1.0),
    ("gpu_throttle_active reason=sw_power_cap", 1.0),
    ("gpu_throttle_active reason=sw_thermal", 0.0),
    ("gpu_throttle_active reason=sync_boost", 0.0),
    ("gpu_utilization_ratio", 0.37),
];

/// Series of one GPU as in [`FIRST`], sorted; XID series apart, because their thread may not be there yet.
fn of(page: &Page, number: u32) -> Vec<(String, f64)> {
    let (gpu, uuid) = (format!("gpu=\"{number}\""), format!("uuid=\"GPU-stub-{number}\""));
    let mut found: Vec<(String, f64)> = page
        .iter()
        .filter(|(name, _)| name.contains(&uuid) && !name.starts_with("gpu_xid"))
        .map(|(name, value)| {
            let (name, labels) = name.trim_end_matches('}').split_once('{').unwrap();
            let others = labels.split(", ").filter(|label| *label != gpu && *label != uuid);
            let text = std::iter::once(name.to_owned()).chain(others.map(|label| label.replace('"', "")));
            (text.collect::<Vec<_>>().join(" "), *value)
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn what_is_published_is_what_the_library_says() {
    let Some(mut stub) = Stub::build(&[]) else { return };
    let (page, result) = stub.tick();
    assert_eq!(result.unwrap(), Reading::Complete);
    let expected: Vec<(String, f64)> = FIRST.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    assert_eq!(of(&page, 0), expected);
    let parts = "gpu_instance=7 mig_uuid=MIG-stub-a profile=1g.5gb";
    let gib = 1073741824.0;
    let second = of(&page, 1);
    for (name, value) in [
        ("gpu_mig_devices".to_owned(), 2.0),
        ("gpu_mig_enabled".to_owned(), 1.0),
        (format!("gpu_mig_memory_used_bytes compute_instance=0 {parts}"), 3.0 * gib),
        (format!("gpu_mig_memory_total_bytes compute_instance=0 {parts}"), 5.0 * gib),
        (format!("gpu_mig_memory_free_bytes compute_instance=0 {parts}"), 2.0 * gib),
        (format!("gpu_mig_multiprocessors compute_instance=0 {parts}"), 14.0),
        ("gpu_memory_used_bytes".to_owned(), 20.0 * gib),
        (format!("gpu_mig_utilization_ratio compute_instance=0 {parts}"), 0.47),
        // Process 400 is in both parts, and only they tell of it.
        ("gpu_process_memory_bytes group=other".to_owned(), 300.0),
        ("gpu_processes".to_owned(), 1.0),
    ] {
        assert!(second.contains(&(name.clone(), value)), "{name} {value} in {second:?}");
    }
    assert!(!second.iter().any(|(name, _)| name.starts_with("gpu_utilization") || name.starts_with("gpu_temp")));
    let third = stub.tick_until("the rate without a counter", |page| {
        page.keys().any(|name| name.starts_with("gpu_pcie_transmit_bytes_per_second"))
    });
    let expected = [
        "gpu_memory_free_bytes 409600",
        "gpu_memory_total_bytes 1024000",
        "gpu_memory_unified 1",
        "gpu_memory_used_bytes 614400",
        "gpu_memory_utilization_ratio 0.12",
        "gpu_pcie_receive_bytes_per_second 5000000",
        "gpu_pcie_transmit_bytes_per_second 3000000",
        "gpu_utilization_ratio 0.39",
    ];
    let third: Vec<String> = of(&third, 2).iter().map(|(name, value)| format!("{name} {value}")).collect();
    assert_eq!(
        third.iter().filter(|line| !line.starts_with("gpu_info")).collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
}

#[test]
fn later_nvlinks_tell_by_fields() {
    let Some(mut stub) = Stub::build(&[]) else { return };
    stub.control("fields");
    let page = stub.tick().0;
    let found: Vec<String> = of(&page, 0)
        .iter()
        .filter(|(name, _)| name.starts_with("gpu_nvlink"))
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let expected = [
        "gpu_nvlink_errors_total link=0 type=crc_flit 300",
        "gpu_nvlink_errors_total link=0 type=recovery 200",
        "gpu_nvlink_errors_total link=0 type=replay 100",
        "gpu_nvlink_received_bytes_total link=0 8000",
        "gpu_nvlink_transmitted_bytes_total link=0 7000",
        "gpu_nvlink_up link=0 1",
        "gpu_nvlink_up link=1 0",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_lost_gpu_a_lost_driver_and_garbage() {
    let Some(mut stub) = Stub::build(&[]) else { return };
    let whole = stub.tick().0;
    stub.control("lost=1");
    let (page, result) = stub.tick();
    assert!(matches!(result.unwrap(), Reading::Degraded(reason) if reason.starts_with("GPU 1: ")));
    assert!(of(&page, 1).is_empty() && of(&page, 0).len() == FIRST.len(), "one of three fell off the bus");

    stub.control("");
    let (page, result) = stub.tick();
    assert_eq!(result.unwrap(), Reading::Complete);
    assert_eq!(of(&page, 1), of(&whole, 1), "it is back");

    stub.control("fail");
    let (page, result) = stub.tick();
    assert!(page.is_empty() && result.unwrap_err().reason.contains("count of GPUs"));
    stub.control("");
    assert!(stub.tick().1.is_err(), "it is not asked again at once");
    stub.now += 4_000;
    assert_eq!(of(&stub.tick().0, 0).len(), FIRST.len(), "and asked again later");

    stub.control("none");
    for _ in 0..3 {
        assert!(matches!(stub.tick().1.unwrap(), Reading::Unavailable(reason) if reason.contains("knows no GPU")));
    }
    stub.control("");
    stub.now += 5_000;
    assert_eq!(of(&stub.tick().0, 0).len(), FIRST.len(), "one was plugged in");
}

#[test]
fn all_ones_and_other_garbage_are_absent() {
    let Some(mut stub) = Stub::build(&[]) else { return };
    stub.control("garbage");
    let mut page = Page::default();
    for _ in 0..25 {
        let (next, result) = stub.tick();
        assert_eq!(result.unwrap(), Reading::Complete);
        page = next;
    }
    // Who it is, switches, temperatures' places and processes are left; no value of a sensor or a counter.
    let names: Vec<String> =
        of(&page, 0).into_iter().map(|(name, _)| name).filter(|name| !name.starts_with("gpu_info")).collect();
    let expected = [
        "gpu_memory_free_bytes",
        "gpu_memory_reserved_bytes",
        "gpu_memory_unified",
        "gpu_mig_devices",
        "gpu_mig_enabled",
        "gpu_process_utilization_ratio group=other",
        "gpu_processes",
    ];
    assert_eq!(names, expected);
}

#[test]
fn old_libraries_and_such_that_have_little() {
    let gib = 1073741824.0;
    for age in [&["-DPLAIN"][..], &["-DPLAIN", "-DWIDE"]] {
        let Some(mut stub) = Stub::build_as(age, &[]) else { return };
        let (page, result) = stub.tick();
        assert_eq!(result.unwrap(), Reading::Complete);
        let mut expected: Vec<(String, f64)> = FIRST
            .iter()
            .filter(|(name, _)| *name != "gpu_memory_reserved_bytes")
            .map(|(name, value)| (name.replace("00000000:01", "0000:01"), *value))
            .collect();
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(of(&page, 0), expected, "{age:?}");
        let second = of(&page, 1);
        assert!(second.iter().any(|(name, value)| name.starts_with("gpu_mig_memory_used") && *value == 3.0 * gib));
        stub.tick_until("the watch", |page| page.keys().any(|name| name.starts_with("gpu_xid")));
    }
    let Some(mut stub) = Stub::build_as(&["-DLATER"], &[]) else { return };
    assert_eq!(of(&stub.tick().0, 0).len(), FIRST.len());
    let Some(mut stub) = Stub::build_as(&["-DBARE"], &[]) else { return };
    let (page, result) = stub.tick();
    assert_eq!(result.unwrap(), Reading::Complete);
    let names: Vec<_> = page.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let utilization = |gpu, value| format!("gpu_utilization_ratio{{gpu=\"{gpu}\", uuid=\"GPU-{gpu}\"}} {value}");
    assert!(names.contains(&utilization(0, 0.37)) && names.contains(&utilization(2, 0.39)), "{names:?}");
    assert!(page.keys().all(|name| {
        ["gpu_info", "gpu_utilization_ratio", "gpu_memory_utilization_ratio"]
            .iter()
            .any(|start| name.starts_with(start))
    }));
}

#[test]
fn one_error_is_no_end() {
    let Some(mut stub) = Stub::build(&[]) else { return };
    for error in [
        "error:nvmlDeviceGetCount_v2=999",
        "error:nvmlDeviceGetHandleByIndex_v2=10",
        "error:nvmlDeviceGetUUID=11",
        "error:nvmlDeviceGetUtilizationRates=15",
        "none",
    ] {
        stub.control("count=1");
        assert_eq!(of(&stub.tick().0, 0).len(), FIRST.len(), "before {error}");
        for _ in 0..2 {
            stub.control(&format!("count=1 {error}"));
            let (page, result) = stub.tick();
            assert!(page.is_empty() && !matches!(result, Ok(Reading::Complete)), "{error}");
            stub.control("count=1");
            let (page, result) = stub.tick();
            assert_eq!((of(&page, 0).len(), result.unwrap()), (FIRST.len(), Reading::Complete), "after {error}");
        }
    }
    // Three in a row are one: the library is loaded anew, after a while.
    stub.control("error:nvmlDeviceGetCount_v2=999");
    for _ in 0..3 {
        assert!(stub.tick().1.is_err());
    }
    stub.control("");
    assert!(stub.tick().1.is_err());
    stub.now += 5_000;
    assert_eq!(stub.tick().1.unwrap(), Reading::Complete);
    // A driver that was reloaded answers handles from memory and nothing else.
    stub.control("count=1 error:nvmlDeviceGetUtilizationRates=1");
    assert!(stub.tick().1.unwrap_err().reason.contains("not initialized"));
    stub.control("");
    assert!(stub.tick().1.is_err(), "it said so itself: once is enough");
    stub.now += 5_000;
    assert_eq!(stub.tick().1.unwrap(), Reading::Complete);
}

#[test]
fn an_error_of_a_call_is_the_absence_of_its_values() {
    let Some(mut stub) = Stub::build(&[]) else { return };
    let whole = of(&stub.tick().0, 0);
    for (function, code, gone) in [
        ("nvmlDeviceGetPowerUsage", 999, "gpu_power_watts"),
        ("nvmlDeviceGetTemperature", 15, "gpu_temperature_celsius"),
        ("nvmlDeviceGetMemoryInfo_v2", 4, "gpu_memory_total_bytes"),
        ("nvmlDeviceGetFanSpeed_v2", 3, "gpu_fan_ratio"),
        ("nvmlDeviceGetCurrentClocksEventReasons", 13, "gpu_throttle_active"),
        ("nvmlDeviceGetFieldValues", 2, "gpu_pcie_transmitted_bytes_total"),
    ] {
        stub.control(&format!("error:{function}={code}"));
        let (page, result) = stub.tick();
        assert_eq!(result.unwrap(), Reading::Complete, "{function}");
        let left = of(&page, 0);
        assert!(!left.iter().any(|(name, _)| name.starts_with(gone)), "{function}");
        assert!(left.len() < whole.len() && left.len() > whole.len() - 15, "{function}: {}", left.len());
    }
    stub.control("twins");
    let (page, result) = stub.tick();
    assert!(matches!(result.unwrap(), Reading::Degraded(text) if text.contains("same UUID")));
    assert_eq!(of(&page, 0), whole, "the second one is told of, not mixed in");
}

#[test]
fn what_a_counter_tells_is_not_measured() {
    let Some(mut stub) = Stub::build(&[]) else { return };
    let rate =
        |page: &Page, number| of(page, number).iter().any(|(name, _)| name.starts_with("gpu_pcie_transmit_bytes"));
    // What rarely changes is read again within that time.
    for _ in 0..16 {
        let page = stub.tick().0;
        assert!(!rate(&page, 0) && of(&page, 0).iter().any(|(name, _)| name == "gpu_pcie_transmitted_bytes_total"));
    }
    assert!(rate(&stub.tick().0, 2), "its counter is none");
    assert_eq!(stub.calls("measured"), 0);
    stub.control("error:nvmlDeviceGetFieldValues=2");
    stub.tick_until("the rate instead of the counter", |page| rate(page, 0));
    stub.control("");
    assert!(!rate(&stub.tick().0, 0), "the counter is back");
}

#[test]
fn a_dead_gpu_is_left_alone_for_a_while() {
    for word in ["none", "count=1 lost=0"] {
        let Some(mut stub) = Stub::build(&[]) else { return };
        stub.control(word);
        for _ in 0..60 {
            assert!(!matches!(stub.tick().1, Ok(Reading::Complete)), "{word}");
        }
        // Twice, and each time perhaps once more by who waits for critical errors.
        assert!((2..=4).contains(&stub.calls("init")), "{word}: {}", stub.calls("init"));
    }
}

#[test]
fn lists_of_processes_that_never_fit_or_are_cleared_first() {
    for age in [&[][..], &["-DPLAIN"], &["-DPLAIN", "-DWIDE"]] {
        let Some(mut stub) = Stub::build_as(age, &[]) else { return };
        let whole = of(&stub.tick().0, 0);
        stub.control("crowd");
        let (page, result) = stub.tick();
        assert_eq!(result.unwrap(), Reading::Complete, "{age:?}");
        let expected: Vec<_> = whole.iter().filter(|(name, _)| !name.starts_with("gpu_process")).cloned().collect();
        assert_eq!(of(&page, 0), expected, "{age:?}");
        stub.control("wipe");
        assert_eq!(of(&stub.tick().0, 0), whole, "{age:?}");
    }
}

#[test]
fn utilization_by_process_after_the_clock_was_set() {
    let Some(mut stub) = Stub::build(&[]) else { return };
    for (what, now, clock) in [
        ("in time", 7_200_000, 7_201_000_000_u64),
        ("an hour back", 3_600_000, 3_601_000_000),
        ("a sample of the future", 3_601_000, 9_000_000_000_000_000_000),
        ("after it", 3_602_000, 3_603_000_000),
    ] {
        stub.control(&format!("clock={clock}"));
        stub.now = now;
        let page = of(&stub.tick().0, 0);
        assert!(page.contains(&("gpu_process_utilization_ratio group=other".to_owned(), 0.25)), "{what}");
    }
    assert!(!stub.tick().0.keys().any(|name| name.starts_with("gpu_process_utilization")), "no new sample");
}

#[test]
fn the_xid_of_a_gpu_that_fell_off_the_bus() {
    let Some(mut stub) = Stub::build(&[]) else { return };
    let value = |page: &Page, name: &str| page.get(&format!("{name}{{gpu=\"0\", uuid=\"GPU-stub-0\"}}")).copied();
    for others in ["", " count=1"] {
        stub.control(others);
        let before = value(
            &stub.tick_until("the watch", |page| value(page, "gpu_xid_errors_total").is_some()),
            "gpu_xid_errors_total",
        );
        let code = 79.0 - others.len() as f64;
        stub.control(&format!("xid={code} lost=0{others}"));
        let page = stub.tick_until("the error", |page| value(page, "gpu_xid_last_code") == Some(code));
        assert_eq!(value(&page, "gpu_xid_errors_total"), before.map(|count| count + 1.0));
        assert_eq!(value(&page, "gpu_utilization_ratio"), None);
        assert_eq!(of(&page, 2).is_empty(), others == " count=1", "the others go on");
        let (page, result) = stub.tick();
        assert_eq!(result.is_err(), others == " count=1", "no GPU answered");
        assert_eq!(value(&page, "gpu_xid_last_code"), Some(code));
        assert!(stub.gpus.handle().last().iter().all(|gpu| gpu.identity.index != 0));
        stub.now += 300_000;
        assert_eq!(value(&stub.tick().0, "gpu_xid_last_code"), None, "not for ever");
        stub.now += 300_000;
    }
}

#[test]
fn a_gpu_that_the_kernel_lists_anew_is_found() {
    let Some(mut stub) = Stub::build(&[]) else { return };
    let listing = stub.folder.path().join("proc/driver/nvidia/gpus");
    let put = |name: &str| std::fs::create_dir_all(listing.join(name)).unwrap();
    put("0000:01:00.0");
    stub.control("count=1");
    assert!(of(&stub.tick().0, 1).is_empty());
    put("0000:02:00.0");
    stub.control("");
    stub.now += 10_000;
    assert!(stub.tick().1.unwrap_err().reason.contains("came or went"));
    stub.now += 5_000;
    assert_eq!(stub.tick().1.unwrap(), Reading::Complete);
}

#[test]
fn a_hung_call_is_reported_and_recovers() {
    for word in [
        "hang",
        "hang:nvmlInit_v2",
        "hang:nvmlDeviceGetCount_v2",
        "hang:nvmlDeviceGetHandleByIndex_v2",
        "hang:nvmlDeviceGetUUID",
        "hang:nvmlDeviceGetUtilizationRates",
        "hang:nvmlDeviceGetMemoryInfo_v2",
        "hang:nvmlDeviceGetFieldValues",
        "hang:nvmlDeviceGetComputeRunningProcesses_v3",
        "hang:nvmlDeviceGetMigMode",
        "hang:nvmlShutdown fail",
        "hang:nvmlEventSetCreate",
    ] {
        let Some(mut stub) = Stub::build(&[]) else { return };
        let is_in_tick = word != "hang:nvmlEventSetCreate";
        if word != "hang:nvmlInit_v2" {
            stub.tick().1.unwrap();
        }
        stub.control(word);
        stub.gpus.set_deadline(Duration::from_millis(1));
        // The words are read with the next count; from then on no such call returns.
        let mut reasons = Vec::new();
        for _ in 0..50 {
            let watch = Stopwatch::start();
            let (page, result) = stub.tick();
            assert!(watch.elapsed() < Duration::from_secs(5), "{word}");
            if let Err(error) = result {
                assert!(page.is_empty(), "{word}");
                reasons.push(error.reason);
            }
            // Fast questions pile up nowhere.
            stub.gpus.handle().sample(stub.now);
        }
        if is_in_tick {
            assert!(reasons.iter().any(|reason| reason.contains("has not answered for")), "{word}: {reasons:?}");
        }
        stub.control("");
        stub.gpus.set_deadline(Duration::from_secs(20));
        stub.tick_until(word, |page| !page.is_empty());
    }
}

#[test]
fn critical_errors_are_counted() {
    let Some(mut stub) = Stub::build(&[]) else { return };
    let value = |page: &Page, name: &str| page.get(&format!("{name}{{gpu=\"0\", uuid=\"GPU-stub-0\"}}")).copied();
    let page = stub.tick_until("the watch", |page| value(page, "gpu_xid_errors_total") == Some(0.0));
    assert_eq!(value(&page, "gpu_xid_last_code"), None, "absent before the first");
    for (count, code) in [(1.0, 79.0), (2.0, 31.0), (3.0, 999.0)] {
        stub.control(&format!("xid={code}"));
        let page = stub.tick_until("an error", |page| value(page, "gpu_xid_errors_total") == Some(count));
        assert_eq!(value(&page, "gpu_xid_last_code"), Some(code));
    }
    assert!(!stub.tick().0.keys().any(|name| name.starts_with("gpu_xid") && name.contains("GPU-stub-1")));
}

#[test]
fn a_missing_library_is_looked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let library: PathBuf = folder.path().join("libnvidia-ml.so.1");
    let mut source = NvmlSource::new(vec![library.clone().into()]);
    let unavailable = |answer: Result<GpuReadings, GpuError>| matches!(answer, Err(GpuError::Unavailable(text)) if text.starts_with("no NVIDIA driver: "));
    assert!(unavailable(source.read(1_000)) && source.read_fast(1_100).is_empty());
    if !build_library(&library, &[]) {
        eprintln!("SKIPPED: no C compiler for the stub library");
        return;
    }
    assert!(unavailable(source.read(30_999)), "not yet");
    assert_eq!(source.read(31_000).unwrap().gpus.len(), 3);
    let fast = source.read_fast(31_100);
    let values: Vec<_> = fast.iter().map(|gpu| (&*gpu.gpu, gpu.utilization_ratio, gpu.power_watts, gpu.at)).collect();
    assert_eq!(
        values,
        [("0", Some(0.37), Some(123.456), 31_100), ("1", None, None, 31_100), ("2", Some(0.39), None, 31_100)]
    );
}

#[test]
fn aliases_repeat_the_own_values() {
    let Some(mut stub) = Stub::build(&[Aliases::Dcgm, Aliases::NvidiaSmi]) else { return };
    let page = stub.tick_until("the watch", |page| page.keys().any(|name| name.starts_with("gpu_xid")));
    let names: BTreeSet<&str> = page.keys().filter_map(|name| name.split('{').next()).collect();
    for (name, own, factor) in super::alias_table() {
        assert!(names.contains(name), "{name} is not published");
        let (alias, _) = page
            .iter()
            .find(|(key, _)| {
                key.starts_with(&format!("{name}{{"))
                    && (key.contains("UUID=\"GPU-stub-0\"") || key.contains("uuid=\"stub-0\""))
            })
            .unwrap();
        let (family, label) = own.split_once('{').unwrap_or((own, ""));
        let own = page.iter().find(|(key, _)| {
            key.starts_with(&format!("{family}{{"))
                && key.contains("GPU-stub-0")
                && key.contains(label.trim_end_matches('}'))
        });
        if factor != 0.0 && name != "DCGM_FI_DEV_XID_ERRORS" {
            let expected = own.unwrap().1 * factor;
            assert!((page[alias] - expected).abs() <= expected.abs() * 1e-12, "{name}");
        }
    }
    assert_eq!(page[r#"nvidia_smi_index{uuid="stub-2"}"#], 2.0);
    let facts = page.keys().find(|key| key.starts_with("nvidia_smi_gpu_info{") && key.contains(r#"uuid="stub-0""#));
    for label in ["index=\"0\"", "name=\"Stub 9000\"", "pci_bus_id=\"00000000:01:00.0\"", "driver_version=\""] {
        assert!(facts.unwrap().contains(label), "{facts:?}");
    }
    let power = r#"DCGM_FI_DEV_POWER_USAGE{Hostname=""#;
    let (key, value) = page.iter().find(|(key, _)| key.starts_with(power) && key.contains("stub-0")).unwrap();
    assert_eq!(*value, 123.456);
    for label in ["device=\"nvidia0\"", "modelName=\"Stub 9000\"", "pci_bus_id=\"00000000:01:00.0\""] {
        assert!(key.contains(label), "{key}");
    }
}
