//! Temperatures, fans, voltages, currents, power and the rest that hardware sensors tell (`/sys/class/hwmon`).
//!
//! Files are called `temp2_crit`: a kind, a number and a property. Which kinds have which unit is in the kernel's
//! `Documentation/hwmon/sysfs-interface`; names of families are node_exporter's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bytes::{decimal, label};
use super::class::{Class, Named, Scan};
use super::filter::Filter;
use super::roots::Roots;
use super::source::read_once;
use crate::collect::catalogue::{counter, gauge};
use crate::model::{Family, FamilyDesc, MetricKind};

/// Sensors that are watched at most.
const MAX: u32 = 1024;
const SENSOR: &[&str] = &["chip", "sensor"];

macro_rules! sensors {
    ($($name:literal $unit:literal $help:literal),* $(,)?) => {
        [$(gauge(concat!("node_hwmon_", $name), $unit, $help, SENSOR, MAX)),*]
    };
}

/// What common chips have; others are published as their files are called.
pub(super) static FAMILIES: [FamilyDesc; 40] = sensors![
    "temp_celsius" "celsius" "Hardware monitor for temperature (input)",
    "temp_max_celsius" "celsius" "Hardware monitor for temperature (max)",
    "temp_min_celsius" "celsius" "Hardware monitor for temperature (min)",
    "temp_crit_celsius" "celsius" "Hardware monitor for temperature (crit)",
    "temp_crit_alarm_celsius" "celsius" "Hardware monitor for temperature (crit_alarm)",
    "temp_emergency_celsius" "celsius" "Hardware monitor for temperature (emergency)",
    "temp_alarm" "" "Hardware sensor alarm status (temp)",
    "temp_fault" "" "Hardware sensor fault status (temp)",
    "temp_beep_enabled" "" "Hardware monitor sensor has beeping enabled",
    "temp_type" "" "Hardware monitor temp element type",
    "fan_rpm" "" "Hardware monitor for fan revolutions per minute (input)",
    "fan_min_rpm" "" "Hardware monitor for fan revolutions per minute (min)",
    "fan_max_rpm" "" "Hardware monitor for fan revolutions per minute (max)",
    "fan_target_rpm" "" "Hardware monitor for fan revolutions per minute (target)",
    "fan_alarm" "" "Hardware sensor alarm status (fan)",
    "fan_fault" "" "Hardware sensor fault status (fan)",
    "fan_div" "" "Hardware monitor fan element div",
    "fan_pulses" "" "Hardware monitor fan element pulses",
    "in_volts" "volts" "Hardware monitor for voltage (input)",
    "in_min_volts" "volts" "Hardware monitor for voltage (min)",
    "in_max_volts" "volts" "Hardware monitor for voltage (max)",
    "in_alarm" "" "Hardware sensor alarm status (in)",
    "in_beep_enabled" "" "Hardware monitor sensor has beeping enabled",
    "cpu_vid_volts" "volts" "Hardware monitor for voltage (vid)",
    "curr_amps" "" "Hardware monitor for current (input)",
    "curr_max_amps" "" "Hardware monitor for current (max)",
    "power_watt" "" "Hardware monitor for power usage in watts (input)",
    "power_average_watt" "" "Hardware monitor for power usage in watts (average)",
    "power_cap_watt" "" "Hardware monitor for power usage in watts (cap)",
    "power_max_watt" "" "Hardware monitor for power usage in watts (max)",
    "power_accuracy" "" "Hardware monitor power meter accuracy, as a ratio",
    "power_average_interval_seconds" "seconds" "Hardware monitor power usage update interval (average_interval)",
    "humidity" "" "Hardware monitor for humidity, as a ratio (multiply with 100.0 to get the humidity as a percentage) (input)",
    "intrusion_alarm" "" "Hardware sensor alarm status (intrusion)",
    "pwm" "" "Hardware monitor pwm element ",
    "pwm_enable" "" "Hardware monitor pwm element enable",
    "beep_enabled" "" "Hardware beep enabled",
    "voltage_regulator_version" "" "Hardware voltage regulator",
    "update_interval_seconds" "seconds" "Hardware monitor update interval",
    "freq_freq_mhz" "" "Hardware monitor for frequency in MHz",
];

pub(super) static FACTS: [FamilyDesc; 3] = [
    gauge("node_hwmon_chip_names", "", "Annotation metric for human-readable chip names", &["chip", "chip_name"], MAX),
    gauge("node_hwmon_sensor_label", "", "Label for given chip and sensor", &["chip", "sensor", "label"], MAX),
    counter("node_hwmon_energy_joule_total", "", "Hardware monitor for joules used so far (input)", SENSOR, MAX),
];

/// Kinds of sensors, the longer names first: files of other names are not sensors.
const KINDS: [&str; 14] = [
    "update_interval",
    "beep_enable",
    "intrusion",
    "humidity",
    "energy",
    "power",
    "temp",
    "curr",
    "freq",
    "fan",
    "pwm",
    "cpu",
    "vrm",
    "in",
];

/// The collector.
pub(super) fn hwmon(roots: &Roots, chips: Filter) -> Class {
    let place = roots.sys.join("class/hwmon");
    Class::new("hwmon", place.clone(), move |scan| {
        for name in scan.try_entries(&place)? {
            let folder = place.join(&name);
            let chip = chip_name(&folder);
            if chips.shows(chip.as_bytes()) {
                look(scan, &folder, &chip);
            }
        }
        Ok(())
    })
}

fn look(scan: &mut Scan<'_>, folder: &Path, chip: &str) {
    let name = read_name(&folder.join("name")).map(|name| clean(&name));
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        scan.constant(Named::Declared(&FACTS[0]), vec![chip.to_owned(), name], 1.0);
    }
    // Old drivers keep the files in the device's folder.
    let mut seen = Vec::new();
    for folder in [folder.join("device"), folder.to_owned()] {
        for file in scan.entries(&folder) {
            if !seen.contains(&file)
                && let Some(sensor) = Sensor::parse(&file)
            {
                sensor.add(scan, chip, folder.join(&file));
                seen.push(file);
            }
        }
    }
}

/// A file's name, taken apart.
struct Sensor<'f> {
    kind: &'static str,
    /// Kind and number: `temp2`.
    name: String,
    /// As the file's name has it.
    plain: &'f str,
    property: &'f str,
}

impl<'f> Sensor<'f> {
    fn parse(file: &'f str) -> Option<Self> {
        let kind = KINDS.into_iter().find(|kind| file.starts_with(kind))?;
        let rest = file.get(kind.len()..)?;
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, property) = rest.split_at_checked(digits)?;
        let property = match property.strip_prefix('_') {
            // Without a number, `in_x` is another word, not a sensor.
            Some(property) if !number.is_empty() && !property.is_empty() => property,
            None if property.is_empty() => "",
            _ => return None,
        };
        let plain = file.get(..kind.len() + digits)?;
        let number = match number.trim_start_matches('0') {
            "" => "0",
            number => number,
        };
        Some(Self { kind, name: format!("{kind}{number}"), plain, property })
    }

    fn add(&self, scan: &mut Scan<'_>, chip: &str, file: PathBuf) {
        if self.property == "label" {
            if let Some(text) = read_name(&file) {
                scan.constant(Named::Declared(&FACTS[1]), vec![chip.to_owned(), self.name.clone(), text], 1.0);
            }
            return;
        }
        let (name, factor) = self.family(&file);
        let mut sensor = self.name.clone();
        if self.kind == "freq" && self.property == "input" {
            // Frequencies are known by their label only.
            let Some(label) = read_name(&file.with_file_name(format!("{}_label", self.plain))) else { return };
            sensor = clean(&label);
        }
        let name = format!("node_hwmon_{name}");
        let declared = FAMILIES.iter().chain(&FACTS).find(|desc| desc.name == name);
        let named = declared.map_or_else(|| Named::Found(Arc::new(unlisted(&name)), SENSOR), Named::Declared);
        let parse = if self.kind == "beep_enable" { is_on } else { decimal };
        scan.parsed(named, &[chip, &sensor], file, (parse, factor), true);
    }

    /// Name without prefix, and what makes base units of the kernel's.
    fn family(&self, file: &Path) -> (String, f64) {
        let (kind, property) = (self.kind, self.property);
        match (kind, property) {
            ("beep_enable", _) => return ("beep_enabled".to_owned(), 1.0),
            ("vrm", _) => return ("voltage_regulator_version".to_owned(), 1.0),
            ("update_interval", _) => return ("update_interval_seconds".to_owned(), 1e-3),
            _ => {}
        }
        let base = match property {
            "" => kind.to_owned(),
            // The input is the sensor's value, unless there is a file of the plain name too.
            "input" if !file.with_file_name(self.plain).exists() => kind.to_owned(),
            property => format!("{kind}_{}", clean(property)),
        };
        match (kind, property) {
            (_, "fault" | "alarm") => (base, 1.0),
            (_, "beep") => (format!("{base}_enabled"), 1.0),
            ("in" | "cpu", _) => (format!("{base}_volts"), 1e-3),
            ("temp", property) if property != "type" => (format!("{base}_celsius"), 1e-3),
            ("curr", _) => (format!("{base}_amps"), 1e-3),
            ("energy", _) => (format!("{base}_joule_total"), 1e-6),
            ("power", "accuracy") | ("humidity", _) => (base, 1e-6),
            ("power", "average_interval" | "average_interval_min" | "average_interval_max") => {
                (format!("{base}_seconds"), 1e-3)
            }
            ("power", _) => (format!("{base}_watt"), 1e-6),
            ("fan", "input" | "min" | "max" | "target") => (format!("{base}_rpm"), 1.0),
            ("freq", "input") => (format!("{base}_freq_mhz"), 1e-6),
            _ => (base, 1.0),
        }
    }
}

/// Whether a switch is on: no other number means so.
fn is_on(bytes: &[u8]) -> Option<f64> {
    decimal(bytes).map(|value| if value == 1.0 { 1.0 } else { 0.0 })
}

fn unlisted(name: &str) -> Family {
    let help = "A value of a hardware sensor that is not in the catalogue.";
    let (name, kind) = match name.strip_suffix("_total") {
        Some(name) => (name.to_owned(), MetricKind::Counter),
        None => (name.to_owned(), MetricKind::Gauge),
    };
    Family { name: name.into(), kind, unit: "".into(), help: help.into() }
}

/// How many temperatures there are.
pub(super) fn temperatures(roots: &Roots) -> usize {
    let chips = std::fs::read_dir(roots.sys.join("class/hwmon")).into_iter().flatten().flatten();
    let files = chips.flat_map(|chip| {
        let folders = [chip.path(), chip.path().join("device")];
        folders.into_iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten()
    });
    let is_temperature = |name: &str| Sensor::parse(name).is_some_and(|s| s.kind == "temp" && s.property == "input");
    files.filter(|file| is_temperature(&file.file_name().to_string_lossy())).count()
}

/// The chip as node_exporter names it: by the place of its device, else by its name, else by its number.
fn chip_name(folder: &Path) -> String {
    if let Ok(device) = std::fs::canonicalize(folder.join("device")) {
        let part = |path: Option<&Path>| path.and_then(Path::file_name).map(|name| clean(&name.to_string_lossy()));
        let (name, kind) = (part(Some(&device)), part(device.parent()));
        match (kind.unwrap_or_default().as_str(), name.unwrap_or_default().as_str()) {
            (_, "") => {}
            ("", name) => return name.to_owned(),
            (kind, name) => return format!("{kind}_{name}"),
        }
    }
    let by_name = read_name(&folder.join("name")).map(|name| clean(&name)).filter(|name| !name.is_empty());
    by_name.unwrap_or_else(|| clean(&folder.file_name().unwrap_or_default().to_string_lossy()))
}

fn clean(name: &str) -> String {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == ':' || c == '_';
    let lower = name.to_lowercase();
    lower.chars().map(|c| if valid(c) { c } else { '_' }).collect::<String>().trim_matches('_').to_owned()
}

fn read_name(path: &Path) -> Option<String> {
    let mut buffer = Vec::new();
    let bytes = read_once(path, &mut buffer).ok()?;
    // Blanks are a part of the name, as in node_exporter.
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    (!bytes.is_empty()).then(|| label(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::hwmon;
    use crate::collect::system::Roots;
    use crate::collect::system::sensors::count;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn sensors_by_chip() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::under(root.path());
        let intern = Interner::default();
        let mut hwmon = hwmon(&roots, Default::default());
        assert!(matches!(collect(&mut hwmon, &intern, 0).1, Ok(crate::collect::Reading::Unavailable(_))));
        let chip = "sys/class/hwmon/hwmon0";
        for (file, text) in [
            ("name", "k10temp\n"),
            ("temp1_input", "45500\n"),
            ("temp1_label", "Tctl\n"),
            ("temp1_crit", "-1000\n"),
            ("fan2_input", "900\n"),
            ("power1_average", "2500000\n"),
            ("in0_input", "rubbish\n"),
            ("tempx_input", "1\n"),
            ("beep_enable", "2\n"),
            ("fan3", "900\n"),
            ("fan3_input", "901\n"),
        ] {
            put(root.path(), &format!("{chip}/{file}"), text);
        }
        put(root.path(), "sys/class/hwmon/hwmon1/name", "BAT0\n");
        put(root.path(), "sys/class/hwmon/hwmon1/temp1_label", "Left side  \n");
        let (page, result) = collect(&mut hwmon, &intern, 0);
        assert!(result.is_ok());
        let found: Vec<String> = page.iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(
            found,
            [
                r#"node_hwmon_beep_enabled{chip="k10temp", sensor="beep_enable0"} 0"#,
                r#"node_hwmon_chip_names{chip="bat0", chip_name="bat0"} 1"#,
                r#"node_hwmon_chip_names{chip="k10temp", chip_name="k10temp"} 1"#,
                r#"node_hwmon_fan_input_rpm{chip="k10temp", sensor="fan3"} 901"#,
                r#"node_hwmon_fan_rpm{chip="k10temp", sensor="fan2"} 900"#,
                r#"node_hwmon_fan{chip="k10temp", sensor="fan3"} 900"#,
                r#"node_hwmon_power_average_watt{chip="k10temp", sensor="power1"} 2.5"#,
                r#"node_hwmon_sensor_label{chip="bat0", label="Left side  ", sensor="temp1"} 1"#,
                r#"node_hwmon_sensor_label{chip="k10temp", label="Tctl", sensor="temp1"} 1"#,
                r#"node_hwmon_temp_celsius{chip="k10temp", sensor="temp1"} 45.5"#,
                r#"node_hwmon_temp_crit_celsius{chip="k10temp", sensor="temp1"} -1"#,
            ]
        );
        assert_eq!(count(&roots), 1);
    }
}
