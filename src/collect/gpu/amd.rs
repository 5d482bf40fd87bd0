//! AMD's GPUs, from the files of the amdgpu driver in sysfs.
//!
//! Names and units of the files: the kernel's `gpu/amdgpu` documentation. A card that sleeps is not read: a look would
//! wake it up.

use std::path::PathBuf;

use super::reading::{GpuError, GpuIdentity, GpuReading, GpuReadings, GpuSource, Vendor};
use crate::collect::system::Roots;
use crate::collect::system::bytes::{label, lines, number, signed, words};
use crate::collect::system::source::read_once;
use crate::model::Timestamp;

/// AMD's number on the PCI bus.
const VENDOR: &[u8] = b"0x1002";

/// Time until cards are looked for again.
const RESCAN_MS: i64 = 10_000;

/// Cards that are watched at most.
const MAX_CARDS: usize = 32;
/// Entries of a folder that are looked at.
const MAX_ENTRIES: usize = 1024;
/// Letters of a name or version that are kept.
const MAX_TEXT: usize = 128;

/// More than any card has, and than any sensor measures: a file that says more is broken.
const MAX_BYTES: f64 = (1u64 << 50) as f64;
const MAX_WATTS: f64 = 100_000.0;
const MAX_HERTZ: f64 = 100e9;
const MAX_VOLTS: f64 = 100.0;
const MAX_RPM: f64 = 1e6;
const MAX_LANES: f64 = 64.0;
const CELSIUS: std::ops::RangeInclusive<f64> = -100.0..=300.0;

/// The cards, found again now and then.
pub struct AmdSource {
    drm: PathBuf,
    driver_version: PathBuf,
    cards: Vec<Card>,
    scanned_at: Option<Timestamp>,
    buffer: Vec<u8>,
}

struct Card {
    device: PathBuf,
    hwmon: Option<PathBuf>,
    identity: GpuIdentity,
}

impl AmdSource {
    /// A source over the sysfs of `roots`.
    pub fn new(roots: &Roots) -> Self {
        Self {
            drm: roots.sys.join("class/drm"),
            driver_version: roots.sys.join("module/amdgpu/version"),
            cards: Vec::new(),
            scanned_at: None,
            buffer: Vec::new(),
        }
    }

    fn scan(&mut self) {
        self.cards.clear();
        let mut files = Files { folder: PathBuf::new(), buffer: std::mem::take(&mut self.buffer) };
        for entry in std::fs::read_dir(&self.drm).into_iter().flatten().take(MAX_ENTRIES).flatten() {
            let name = entry.file_name();
            let index = name.as_encoded_bytes().strip_prefix(b"card").and_then(number);
            let Some(index) = index.and_then(|index| u32::try_from(index).ok()) else { continue };
            files.folder = entry.path().join("device");
            if files.bytes("vendor") != Some(VENDOR) || self.cards.len() >= MAX_CARDS {
                continue;
            }
            let driver_version = read_once(&self.driver_version, &mut files.buffer).map(shown).unwrap_or_default();
            self.cards.push(Card::new(&mut files, index, driver_version));
        }
        self.buffer = files.buffer;
        self.cards.sort_by_key(|card| card.identity.index);
        // Two that call themselves the same are told apart by their places.
        let mut known = std::collections::BTreeSet::new();
        for card in &mut self.cards {
            if !known.insert(card.identity.uuid.clone()) {
                card.identity.uuid = format!("{}-card{}", card.identity.uuid, card.identity.index);
            }
        }
    }
}

impl GpuSource for AmdSource {
    fn read(&mut self, now: Timestamp) -> Result<GpuReadings, GpuError> {
        if !self.scanned_at.is_some_and(|at| (0..RESCAN_MS).contains(&(now - at))) {
            self.scan();
            self.scanned_at = Some(now);
        }
        if self.cards.is_empty() {
            return Err(GpuError::Unavailable(format!("no AMD GPU in {}", self.drm.display())));
        }
        let buffer = &mut self.buffer;
        let gpus: Vec<GpuReading> = self.cards.iter().filter_map(|card| card.read(buffer)).collect();
        if gpus.len() < self.cards.len() {
            // One that is gone is looked for in the next tick, at its new place.
            self.scanned_at = None;
        }
        Ok(gpus.into())
    }
}

/// Small files of one folder.
struct Files {
    folder: PathBuf,
    buffer: Vec<u8>,
}

impl Files {
    fn bytes(&mut self, name: &str) -> Option<&[u8]> {
        read_once(&self.folder.join(name), &mut self.buffer).ok().map(|bytes| bytes.trim_ascii())
    }

    fn text(&mut self, name: &str) -> String {
        self.bytes(name).map(shown).unwrap_or_default()
    }

    /// A count, however large.
    fn number(&mut self, name: &str) -> Option<f64> {
        self.bytes(name).and_then(number).filter(|value| *value != u64::MAX).map(|value| value as f64)
    }

    /// A number that cannot be above `most`.
    fn up_to(&mut self, name: &str, most: f64) -> Option<f64> {
        self.number(name).filter(|value| *value <= most)
    }

    /// A value that may be below zero, in thousandths.
    fn milli(&mut self, name: &str) -> Option<f64> {
        self.bytes(name).and_then(signed).map(|value| value as f64 / 1e3)
    }

    fn celsius(&mut self, name: &str) -> Option<f64> {
        self.milli(name).filter(|celsius| CELSIUS.contains(celsius))
    }

    fn memory(&mut self, name: &str) -> Option<f64> {
        self.up_to(name, MAX_BYTES)
    }

    /// A part of a whole, never more than it.
    fn part(&mut self, name: &str, whole: Option<f64>) -> Option<f64> {
        self.memory(name).filter(|part| whole.is_none_or(|whole| *part <= whole))
    }

    fn watts(&mut self, name: &str) -> Option<f64> {
        self.number(name).map(|microwatts| microwatts / 1e6).filter(|watts| *watts <= MAX_WATTS)
    }

    fn lanes(&mut self, name: &str) -> Option<f64> {
        self.up_to(name, MAX_LANES).filter(|lanes| *lanes > 0.0)
    }

    fn percent(&mut self, name: &str) -> Option<f64> {
        self.number(name).filter(|percent| *percent <= 100.0).map(|percent| percent / 100.0)
    }

    /// The running clock and the highest one of a list of states: `1: 1800Mhz *`.
    fn clocks(&mut self, name: &str) -> (Option<f64>, Option<f64>) {
        let (mut current, mut highest) = (None, None);
        for line in self.bytes(name).into_iter().flat_map(lines) {
            let mut parts = words(line).skip(1);
            let Some(hertz) = parts.next().and_then(megahertz) else { continue };
            highest = Some(f64::max(hertz, highest.unwrap_or(0.0)));
            if parts.next() == Some(b"*") {
                current = Some(hertz);
            }
        }
        (current, highest)
    }
}

impl Card {
    fn new(files: &mut Files, index: u32, driver_version: String) -> Self {
        let pci_bus_id =
            files.bytes("uevent").and_then(|text| lines(text).find_map(|line| line.strip_prefix(b"PCI_SLOT_NAME=")));
        let pci_bus_id = pci_bus_id.map(shown).unwrap_or_default();
        let unique = files.text("unique_id");
        let unique = unique.trim_start_matches("0x");
        // Cards without a number of their own are known by their place; zero is no number.
        let has_number = unique.bytes().all(|byte| byte.is_ascii_hexdigit()) && unique.bytes().any(|byte| byte != b'0');
        let uuid = match (has_number, pci_bus_id.is_empty()) {
            (true, _) => format!("AMD-{unique}"),
            (false, false) => format!("AMD-{pci_bus_id}"),
            (false, true) => format!("AMD-card{index}"),
        };
        let identity = GpuIdentity {
            vendor: Vendor::Amd,
            index,
            uuid,
            name: files.text("product_name"),
            driver_version,
            vbios_version: files.text("vbios_version"),
            pci_bus_id,
            ..GpuIdentity::default()
        };
        let hwmon = std::fs::read_dir(files.folder.join("hwmon")).into_iter().flatten().take(MAX_ENTRIES).flatten();
        let hwmon = hwmon.map(|entry| entry.path()).min();
        Self { device: files.folder.clone(), hwmon, identity }
    }

    /// `None` when the card is gone.
    fn read(&self, buffer: &mut Vec<u8>) -> Option<GpuReading> {
        let mut files = Files { folder: self.device.clone(), buffer: std::mem::take(buffer) };
        let is_there = files.bytes("vendor") == Some(VENDOR);
        let mut reading = GpuReading { identity: self.identity.clone(), ..GpuReading::default() };
        if is_there && files.bytes("power/runtime_status") != Some(b"suspended") {
            fill(&mut files, &mut reading);
            if let Some(hwmon) = &self.hwmon {
                files.folder.clone_from(hwmon);
                fill_sensors(&mut files, &mut reading);
            }
        }
        *buffer = files.buffer;
        is_there.then_some(reading)
    }
}

fn fill(files: &mut Files, reading: &mut GpuReading) {
    reading.utilization_ratio = files.percent("gpu_busy_percent");
    reading.memory_utilization_ratio = files.percent("mem_busy_percent");
    let total = files.memory("mem_info_vram_total");
    let used = files.part("mem_info_vram_used", total);
    (reading.memory_total_bytes, reading.memory_used_bytes) = (total, used);
    reading.memory_free_bytes = total.zip(used).map(|(total, used)| (total - used).max(0.0));
    reading.memory_unified = total.map(|_| false);
    let visible = files.memory("mem_info_vis_vram_total");
    let visible_used = files.part("mem_info_vis_vram_used", visible);
    (reading.bar1_total_bytes, reading.bar1_used_bytes) = (visible, visible_used);
    reading.bar1_free_bytes = visible.zip(visible_used).map(|(total, used)| (total - used).max(0.0));
    reading.shared_total_bytes = files.memory("mem_info_gtt_total");
    reading.shared_used_bytes = files.part("mem_info_gtt_used", reading.shared_total_bytes);
    let (graphics, memory, video) =
        (files.clocks("pp_dpm_sclk"), files.clocks("pp_dpm_mclk"), files.clocks("pp_dpm_vclk"));
    reading.clocks_hertz = [graphics.0, None, memory.0, video.0];
    reading.max_clocks_hertz = [graphics.1, None, memory.1, video.1];
    reading.pcie_link_generation = files.bytes("current_link_speed").and_then(generation);
    reading.pcie_link_max_generation = files.bytes("max_link_speed").and_then(generation);
    reading.pcie_link_width = files.lanes("current_link_width");
    reading.pcie_link_max_width = files.lanes("max_link_width");
    reading.pcie_replays = files.number("pcie_replay_count");
    let errors = files.bytes("ras/umc_err_count").map(|counts| {
        let count = |name: &[u8]| lines(counts).find_map(|line| number(line.strip_prefix(name)?.trim_ascii()));
        [count(b"ce:"), count(b"ue:")].map(|count| count.map(|count| count as f64))
    });
    reading.ecc_volatile = errors.unwrap_or_default();
}

/// Sensors; temperatures are told apart by their labels.
fn fill_sensors(files: &mut Files, reading: &mut GpuReading) {
    // Newer cards tell power at this moment, older ones on average.
    reading.power_watts = files.watts("power1_average").or_else(|| files.watts("power1_input"));
    reading.power_limit_watts = files.watts("power1_cap");
    reading.power_requested_limit_watts = reading.power_limit_watts;
    reading.power_default_limit_watts = files.watts("power1_cap_default");
    reading.power_min_limit_watts = files.watts("power1_cap_min");
    reading.power_max_limit_watts = files.watts("power1_cap_max");
    reading.energy_joules = files.number("energy1_input").map(|microjoules| microjoules / 1e6);
    reading.voltage_volts = files.milli("in0_input").filter(|volts| (0.0..=MAX_VOLTS).contains(volts));
    reading.fan_rpm = files.up_to("fan1_input", MAX_RPM);
    reading.fan_ratio = files.up_to("pwm1", 255.0).map(|pwm| pwm / 255.0);
    let sensors = [
        ("temp1_label", "temp1_input", "temp1_crit", "temp1_emergency"),
        ("temp2_label", "temp2_input", "temp2_crit", "temp2_emergency"),
        ("temp3_label", "temp3_input", "temp3_crit", "temp3_emergency"),
    ];
    for (place, (label, input, critical, emergency)) in sensors.into_iter().enumerate() {
        let label = files.text(label);
        let celsius = files.celsius(input);
        match label.as_str() {
            "junction" => reading.hotspot_temperature_celsius = celsius,
            "mem" => {
                reading.memory_temperature_celsius = celsius;
                reading.temperature_limits_celsius[2] = files.celsius(critical);
            }
            // Old kernels have one sensor without a name: the edge.
            _ if label == "edge" || place == 0 => {
                reading.temperature_celsius = celsius;
                reading.temperature_limits_celsius[0] = files.celsius(emergency);
                reading.temperature_limits_celsius[1] = files.celsius(critical);
            }
            _ => {}
        }
    }
    // Cards whose list of states says nothing have their clocks here.
    for (clock, name) in [(0, "freq1_input"), (2, "freq2_input")] {
        let hertz = files.up_to(name, MAX_HERTZ);
        if let Some(place) = reading.clocks_hertz.get_mut(clock) {
            *place = place.or(hertz);
        }
    }
}

/// A name as it may stand in a label: bounded, bytes that are no text replaced, what cannot be shown left out.
fn shown(bytes: &[u8]) -> String {
    let text = label(bytes.trim_ascii());
    text.chars().filter(|letter| !letter.is_control()).take(MAX_TEXT).collect()
}

/// `1800Mhz` in hertz.
fn megahertz(word: &[u8]) -> Option<f64> {
    let digits = word.get(..word.len().checked_sub(3)?)?;
    let unit = word.get(digits.len()..)?;
    unit.eq_ignore_ascii_case(b"mhz")
        .then(|| number(digits))
        .flatten()
        .map(|mhz| mhz as f64 * 1e6)
        .filter(|hertz| *hertz <= MAX_HERTZ)
}

/// The generation of a PCIe link by its speed: `16.0 GT/s PCIe` is the fourth.
fn generation(speed: &[u8]) -> Option<f64> {
    let speeds: [(&[u8], f64); 6] =
        [(b"2.5", 1.0), (b"5.0", 2.0), (b"8.0", 3.0), (b"16.0", 4.0), (b"32.0", 5.0), (b"64.0", 6.0)];
    let word = words(speed).next()?;
    let word = if word == b"5" { b"5.0" } else { word };
    speeds.iter().find(|(known, _)| *known == word).map(|(_, generation)| *generation)
}
