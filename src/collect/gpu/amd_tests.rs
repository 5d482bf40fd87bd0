//! AMD's part over synthetic sysfs trees.

use std::path::Path;

use super::{AmdSource, GpuConfig, GpuError, GpuSource, Gpus};
use crate::collect::system::Roots;
use crate::collect::testing::{Interner, collect, put};

fn card(root: &Path, number: u32, files: &[(&str, &str)]) {
    for (file, text) in files {
        put(root, &format!("sys/class/drm/card{number}/device/{file}"), text);
    }
}

const WHOLE: &[(&str, &str)] = &[
    ("vendor", "0x1002\n"),
    ("uevent", "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:03:00.0\n"),
    ("unique_id", "7d1c0f2e3a4b5c6d\n"),
    ("product_name", "Radeon Test\n"),
    ("vbios_version", "113-TEST\n"),
    ("gpu_busy_percent", "55\n"),
    ("mem_busy_percent", "20\n"),
    ("mem_info_vram_total", "17163091968\n"),
    ("mem_info_vram_used", "4294967296\n"),
    ("mem_info_vis_vram_total", "268435456\n"),
    ("mem_info_vis_vram_used", "1048576\n"),
    ("mem_info_gtt_total", "8000000000\n"),
    ("mem_info_gtt_used", "1000000\n"),
    ("pp_dpm_sclk", "0: 500Mhz\n1: 1800Mhz *\n2: 2500Mhz\n"),
    ("pp_dpm_mclk", "0: 96Mhz *\n1: 1000Mhz\n"),
    ("current_link_speed", "16.0 GT/s PCIe\n"),
    ("current_link_width", "8\n"),
    ("max_link_speed", "32.0 GT/s PCIe\n"),
    ("max_link_width", "16\n"),
    ("pcie_replay_count", "4\n"),
    ("ras/umc_err_count", "ue: 1\nce: 2\n"),
    ("hwmon/hwmon3/power1_average", "123000000\n"),
    ("hwmon/hwmon3/power1_cap", "220000000\n"),
    ("hwmon/hwmon3/power1_cap_default", "230000000\n"),
    ("hwmon/hwmon3/power1_cap_min", "0\n"),
    ("hwmon/hwmon3/power1_cap_max", "250000000\n"),
    ("hwmon/hwmon3/in0_input", "875\n"),
    ("hwmon/hwmon3/fan1_input", "1200\n"),
    ("hwmon/hwmon3/pwm1", "51\n"),
    ("hwmon/hwmon3/temp1_label", "edge\n"),
    ("hwmon/hwmon3/temp1_input", "51000\n"),
    ("hwmon/hwmon3/temp1_crit", "100000\n"),
    ("hwmon/hwmon3/temp1_emergency", "105000\n"),
    ("hwmon/hwmon3/temp2_label", "junction\n"),
    ("hwmon/hwmon3/temp2_input", "66000\n"),
    ("hwmon/hwmon3/temp3_label", "mem\n"),
    ("hwmon/hwmon3/temp3_input", "-2000\n"),
    ("hwmon/hwmon3/temp3_crit", "99000\n"),
];

/// What [`WHOLE`] amounts to.
const EXPECTED: &[&str] = &[
    "gpu_bar1_free_bytes 267386880",
    "gpu_bar1_total_bytes 268435456",
    "gpu_bar1_used_bytes 1048576",
    "gpu_clock_hertz clock=graphics 1800000000",
    "gpu_clock_hertz clock=memory 96000000",
    "gpu_clock_max_hertz clock=graphics 2500000000",
    "gpu_clock_max_hertz clock=memory 1000000000",
    "gpu_ecc_errors_total type=corrected 2",
    "gpu_ecc_errors_total type=uncorrected 1",
    "gpu_fan_ratio 0.2",
    "gpu_fan_rpm 1200",
    "gpu_hotspot_temperature_celsius 66",
    "gpu_info name=Radeon Test pci_bus_id=0000:03:00.0 vbios_version=113-TEST vendor=amd 1",
    "gpu_memory_free_bytes 12868124672",
    "gpu_memory_temperature_celsius -2",
    "gpu_memory_total_bytes 17163091968",
    "gpu_memory_unified 0",
    "gpu_memory_used_bytes 4294967296",
    "gpu_memory_utilization_ratio 0.2",
    "gpu_pcie_link_generation 4",
    "gpu_pcie_link_max_generation 5",
    "gpu_pcie_link_max_width 16",
    "gpu_pcie_link_width 8",
    "gpu_pcie_replays_total 4",
    "gpu_power_default_limit_watts 230",
    "gpu_power_limit_watts 220",
    "gpu_power_max_limit_watts 250",
    "gpu_power_min_limit_watts 0",
    "gpu_power_requested_limit_watts 220",
    "gpu_power_watts 123",
    "gpu_shared_memory_total_bytes 8000000000",
    "gpu_shared_memory_used_bytes 1000000",
    "gpu_temperature_celsius 51",
    "gpu_temperature_limit_celsius limit=memory_max 99",
    "gpu_temperature_limit_celsius limit=shutdown 105",
    "gpu_temperature_limit_celsius limit=slowdown 100",
    "gpu_utilization_ratio 0.55",
    "gpu_voltage_volts 0.875",
];

#[test]
fn a_whole_card_beside_others() {
    let root = tempfile::tempdir().unwrap();
    card(root.path(), 1, WHOLE);
    card(root.path(), 0, &[("vendor", "0x8086\n"), ("gpu_busy_percent", "99\n")]);
    // A connector, not a card.
    put(root.path(), "sys/class/drm/card1-DP-1/status", "connected\n");
    let config = GpuConfig {
        nvml_libraries: vec![root.path().join("none.so").into()],
        roots: Roots::under(root.path()),
        ..GpuConfig::default()
    };
    let mut gpus = Gpus::new(None, &config);
    gpus.set_deadline(std::time::Duration::from_secs(20));
    let (page, result) = collect(&mut gpus, &Interner::default(), 1_000);
    assert_eq!(result.unwrap(), crate::collect::Reading::Complete, "a machine without NVIDIA misses nothing");
    let mut found: Vec<String> = page
        .iter()
        .map(|(name, value)| {
            let (name, labels) = name.trim_end_matches('}').split_once('{').unwrap();
            assert!(labels.contains("gpu=\"card1\"") && labels.contains("uuid=\"AMD-7d1c0f2e3a4b5c6d\""), "{labels}");
            let others = labels.split(", ").filter(|label| !label.starts_with("gpu=") && !label.starts_with("uuid="));
            let text = std::iter::once(name.to_owned()).chain(others.map(|label| label.replace('"', "")));
            format!("{} {value}", text.collect::<Vec<_>>().join(" "))
        })
        .collect();
    found.sort();
    assert_eq!(found, EXPECTED);
}

#[test]
fn sleeping_missing_and_hostile_cards() {
    let root = tempfile::tempdir().unwrap();
    let mut source = AmdSource::new(&Roots::under(root.path()));
    assert!(matches!(source.read(0), Err(GpuError::Unavailable(text)) if text.contains("no AMD GPU")));
    card(root.path(), 0, WHOLE);
    card(root.path(), 0, &[("power/runtime_status", "suspended\n")]);
    card(
        root.path(),
        1,
        &[
            ("vendor", "0x1002\n"),
            ("uevent", "PCI_SLOT_NAME=0000:04:00.0\n"),
            ("gpu_busy_percent", "101\n"),
            ("mem_info_vram_total", "99999999999999999999\n"),
            ("mem_info_vram_used", "-1\n"),
            ("pp_dpm_sclk", "\u{0}\n0: Mhz *\n1: xMhz\n2: 5Ghz *\n: \n*\n"),
            ("current_link_speed", "Unknown\n"),
            ("current_link_width", "0\n"),
            ("ras/umc_err_count", "ue\nce: x\n"),
            ("hwmon/hwmon0/pwm1", "999\n"),
            ("hwmon/hwmon0/temp1_input", "hot\n"),
            ("hwmon/hwmon0/freq1_input", "700000000\n"),
        ],
    );
    assert!(source.read(5_000).is_err(), "looked for again later");
    let gpus = source.read(10_000).unwrap().gpus;
    assert_eq!(gpus.len(), 2);
    let (asleep, hostile) = (&gpus[0], &gpus[1]);
    assert_eq!((asleep.utilization_ratio, asleep.power_watts), (None, None), "a look would wake it up");
    assert_eq!(hostile.identity.uuid, "AMD-0000:04:00.0");
    assert_eq!(hostile.clocks_hertz, [Some(7e8), None, None, None]);
    let mut expected = super::GpuReading { identity: hostile.identity.clone(), ..super::GpuReading::default() };
    expected.clocks_hertz = hostile.clocks_hertz;
    assert_eq!(*hostile, expected, "nothing else is believed");

    std::fs::remove_dir_all(root.path().join("sys/class/drm/card1")).unwrap();
    assert_eq!(source.read(11_000).unwrap().gpus.len(), 1, "one went away, the other goes on");
    std::fs::remove_dir_all(root.path().join("sys/class/drm")).unwrap();
    assert_eq!(source.read(12_000).unwrap_or_default().gpus.len(), 0);
    assert!(source.read(13_000).is_err());
}

#[test]
fn cards_without_numbers_and_files_of_any_content() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..4 {
        card(root.path(), number, &[("vendor", "0x1002\n"), ("gpu_busy_percent", "5\n")]);
    }
    let place = ("uevent", "PCI_SLOT_NAME=0000:03:00.0\n");
    card(root.path(), 0, &[("unique_id", "0000000000000000\n"), place]);
    card(root.path(), 1, &[("unique_id", "0\n")]);
    card(root.path(), 2, &[("unique_id", "abc\n")]);
    card(root.path(), 3, &[("unique_id", "abc\n")]);
    let long = "x".repeat(100_000);
    card(root.path(), 2, &[("product_name", &long), ("vbios_version", "a\u{1}b\u{7f}\n")]);
    let mut source = AmdSource::new(&Roots::under(root.path()));
    let names = |source: &mut AmdSource, now| -> Vec<String> {
        source.read(now).unwrap().gpus.into_iter().map(|gpu| gpu.identity.uuid).collect()
    };
    assert_eq!(names(&mut source, 0), ["AMD-0000:03:00.0", "AMD-card1", "AMD-abc", "AMD-abc-card3"]);
    let third = source.read(1_000).unwrap().gpus.remove(2).identity;
    assert_eq!((third.name.len(), third.vbios_version.as_str()), (128, "ab"));

    // Every file in turn says what no card does; the card and its other values stay.
    card(root.path(), 1, WHOLE);
    let whole = source.read(20_000).unwrap().gpus.remove(1);
    for (file, text) in WHOLE.iter().filter(|(file, _)| *file != "vendor") {
        let path = root.path().join(format!("sys/class/drm/card1/device/{file}"));
        for content in [&b"18446744073709551615\n"[..], b"-9223372036854775808\n", b"\xff\xfe\0", b"", b"1e9\n"] {
            std::fs::write(&path, content).unwrap();
            let found = source.read(21_000).unwrap().gpus.remove(1);
            assert_eq!(found.identity, whole.identity, "{file}");
            for bytes in [found.memory_total_bytes, found.memory_used_bytes, found.shared_used_bytes] {
                assert!(bytes.is_none_or(|bytes| bytes < 1e12), "{file}");
            }
            assert!(found.power_watts.is_none_or(|watts| watts == 123.0), "{file}");
            assert!(found.temperature_celsius.is_none_or(|celsius| celsius == 51.0), "{file}");
            assert!(found.fan_rpm.is_none_or(|rpm| rpm == 1200.0), "{file}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(source.read(21_000).unwrap().gpus.len(), 4, "{file}");
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(source.read(22_000).unwrap().gpus.remove(1), whole);
    // A counter that starts anew is told as it is.
    card(root.path(), 1, &[("pcie_replay_count", "0\n"), ("hwmon/hwmon3/energy1_input", "18446744073709551614\n")]);
    let found = source.read(23_000).unwrap().gpus.remove(1);
    assert_eq!((found.pcie_replays, found.energy_joules), (Some(0.0), Some(u64::MAX as f64 / 1e6)));
}
