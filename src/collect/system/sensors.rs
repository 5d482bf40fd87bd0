//! Temperatures, fans, voltages and power of hardware sensors (`/sys/class/hwmon`), thermal zones and cooling devices
//! (`/sys/class/thermal`).

use std::path::{Path, PathBuf};

use super::bytes::{label, number, signed, words};
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::{Source, read_once};
use crate::collect::catalogue::gauge;
use crate::collect::emit::{Emit, Slot, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// Sensors that are watched at most.
const MAX_SENSORS: usize = 1024;
/// Ticks between two looks for chips that came or went.
const RESCAN_TICKS: u32 = 30;
const SENSOR: &[&str] = &["chip", "sensor"];
const MAX: u32 = MAX_SENSORS as u32;

pub(super) static HWMON: [FamilyDesc; 9] = [
    gauge("node_hwmon_temp_celsius", "celsius", "Hardware monitor for temperature (input)", SENSOR, MAX),
    gauge("node_hwmon_temp_max_celsius", "celsius", "Hardware monitor for temperature (max)", SENSOR, MAX),
    gauge("node_hwmon_temp_crit_celsius", "celsius", "Hardware monitor for temperature (crit)", SENSOR, MAX),
    gauge(
        "node_hwmon_temp_crit_alarm_celsius",
        "celsius",
        "Hardware monitor for temperature (crit_alarm)",
        SENSOR,
        MAX,
    ),
    gauge("node_hwmon_fan_rpm", "", "Hardware monitor for fan revolutions per minute (input)", SENSOR, MAX),
    gauge("node_hwmon_in_volts", "volts", "Hardware monitor for voltage (input)", SENSOR, MAX),
    gauge("node_hwmon_power_average_watt", "", "Hardware monitor for power usage in watts (average)", SENSOR, MAX),
    gauge("node_hwmon_chip_names", "", "Annotation metric for human-readable chip names", &["chip", "chip_name"], MAX),
    gauge("node_hwmon_sensor_label", "", "Label for given chip and sensor", &["chip", "sensor", "label"], MAX),
];

/// Start and end of a file's name, the family that it fills and how many of the kernel's units make one of ours.
const KINDS: [(&str, &str, usize, f64); 7] = [
    ("temp", "_input", 0, 1000.0),
    ("temp", "_max", 1, 1000.0),
    ("temp", "_crit", 2, 1000.0),
    ("temp", "_crit_alarm", 3, 1000.0),
    ("fan", "_input", 4, 1.0),
    ("in", "_input", 5, 1000.0),
    ("power", "_average", 6, 1e6),
];
const CHIP_NAME: usize = 7;
const SENSOR_LABEL: usize = 8;

/// One series: a file that is read again, or a constant.
struct Sensor {
    source: Option<Source>,
    family: usize,
    divisor: f64,
    labels: Vec<String>,
    slot: Slot,
}

/// The collector of `/sys/class/hwmon`.
pub(super) struct HwMon {
    root: PathBuf,
    sensors: Vec<Sensor>,
    ticks: u32,
}

impl HwMon {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { root: roots.sys.join("class/hwmon"), sensors: Vec::new(), ticks: 0 }
    }
}

impl Collector for HwMon {
    fn name(&self) -> &'static str {
        "hwmon"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        if self.ticks.is_multiple_of(RESCAN_TICKS) {
            let found = scan(&self.root);
            match found {
                Ok(found) => adopt(&mut self.sensors, found, &emit),
                Err(error) => return unread("hwmon", &self.root, &error),
            }
        }
        self.ticks = self.ticks.wrapping_add(1);
        for sensor in &mut self.sensors {
            let value = match &mut sensor.source {
                None => Some(1.0),
                Some(source) => match source.read() {
                    Ok(bytes) => words(bytes).next().and_then(signed).map(|value| value as f64 / sensor.divisor),
                    Err(error) => {
                        trouble.note(|| format!("{}: {error}", source.path().display()));
                        None
                    }
                },
            };
            let Some(desc) = HWMON.get(sensor.family) else { continue };
            let mut labels = [""; 3];
            labels.iter_mut().zip(&sensor.labels).for_each(|(to, from)| *to = from);
            emit.put_opt(&mut sensor.slot, desc, labels.get(..desc.labels.len()).unwrap_or_default(), value);
        }
        Ok(trouble.reading())
    }
}

/// Takes a new list over; sensors that stay keep their series and their open files.
fn adopt(known: &mut Vec<Sensor>, found: Vec<Sensor>, emit: &Emit<'_>) {
    let mut old = std::mem::replace(known, found);
    for sensor in known.iter_mut() {
        let same = |other: &Sensor| other.family == sensor.family && other.labels == sensor.labels;
        if let Some(index) = old.iter().position(same) {
            *sensor = old.swap_remove(index);
        }
    }
    let gone: Vec<Slot> = old.iter().map(|sensor| sensor.slot).collect();
    emit.release(&gone);
}

fn scan(root: &Path) -> std::io::Result<Vec<Sensor>> {
    let mut sensors = Vec::new();
    let mut chips: Vec<PathBuf> = std::fs::read_dir(root)?.flatten().map(|entry| entry.path()).collect();
    chips.sort();
    for folder in chips {
        let chip = chip_name(&folder);
        if let Some(name) = read_name(&folder.join("name")) {
            sensors.push(constant(CHIP_NAME, vec![chip.clone(), name]));
        }
        // Old drivers keep the files in the device's folder.
        let folder = if folder.join("name").exists() { folder } else { folder.join("device") };
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        sensors.extend(files.into_iter().filter_map(|file| sensor(&chip, file)));
        if sensors.len() >= MAX_SENSORS {
            sensors.truncate(MAX_SENSORS);
            break;
        }
    }
    Ok(sensors)
}

fn constant(family: usize, labels: Vec<String>) -> Sensor {
    Sensor { source: None, family, divisor: 1.0, labels, slot: Slot::New }
}

fn sensor(chip: &str, file: PathBuf) -> Option<Sensor> {
    let name = file.file_name()?.to_str()?;
    let (sensor, _) = name.split_once('_')?;
    let item = name.get(sensor.len()..)?;
    if item == "_label" && KINDS.iter().any(|(start, ..)| is_numbered(sensor, start)) {
        return Some(constant(SENSOR_LABEL, vec![chip.to_owned(), sensor.to_owned(), read_name(&file)?]));
    }
    let (_, _, family, divisor) = KINDS.iter().find(|(start, end, ..)| is_numbered(sensor, start) && item == *end)?;
    let labels = vec![chip.to_owned(), sensor.to_owned()];
    Some(Sensor { source: Some(Source::new(file)), family: *family, divisor: *divisor, labels, slot: Slot::New })
}

fn is_numbered(sensor: &str, start: &str) -> bool {
    sensor.strip_prefix(start).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
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
    let bytes = read_once(path, &mut buffer).ok()?.trim_ascii();
    (!bytes.is_empty()).then(|| label(bytes).into_owned())
}

const COOLING: &[&str] = &["name", "type"];
pub(super) static THERMAL: [FamilyDesc; 3] = [
    gauge("node_thermal_zone_temp", "", "Zone temperature in Celsius", &["zone", "type"], MAX),
    gauge("node_cooling_device_cur_state", "", "Current throttle state of the cooling device", COOLING, MAX),
    gauge("node_cooling_device_max_state", "", "Maximum throttle state of the cooling device", COOLING, MAX),
];

/// The collector of `/sys/class/thermal`.
pub(super) struct ThermalZone {
    root: PathBuf,
    buffer: Vec<u8>,
    /// The type of each zone or cooling device.
    devices: Table<String>,
}

impl ThermalZone {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { root: roots.sys.join("class/thermal"), buffer: Vec::new(), devices: Table::new(2, MAX_SENSORS) }
    }
}

impl Collector for ThermalZone {
    fn name(&self) -> &'static str {
        "thermal_zone"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) => return unread("thermal_zone", &self.root, &error),
        };
        let [temperature, current, maximum] = &THERMAL;
        for entry in entries.flatten() {
            let (folder, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let kind = || read_name(&folder.join("type")).unwrap_or_default();
            let Some(row) = self.devices.row(name.as_bytes(), kind) else {
                trouble.note(|| format!("more than {MAX_SENSORS} thermal devices"));
                continue;
            };
            let (kind, [first, second]) = (&row.state, row.slots.as_mut_slice()) else { continue };
            let buffer = &mut self.buffer;
            let mut read = |file: &str| {
                let bytes = read_once(&folder.join(file), buffer).ok()?;
                signed(words(bytes).next()?).map(|value| value as f64)
            };
            if let Some(zone) = name.strip_prefix("thermal_zone") {
                let value = read("temp").map(|value| value / 1000.0);
                emit.put_opt(first, temperature, &[zone, kind], value);
            } else if let Some(device) = name.strip_prefix("cooling_device") {
                emit.put_opt(first, current, &[device, kind], read("cur_state"));
                emit.put_opt(second, maximum, &[device, kind], read("max_state"));
            }
        }
        self.devices.end_tick(&emit);
        Ok(trouble.reading())
    }
}

/// How many temperature sensors and thermal zones there are, for the start banner.
pub(super) fn count(roots: &Roots) -> usize {
    let sensors = scan(&roots.sys.join("class/hwmon")).unwrap_or_default();
    let zones = std::fs::read_dir(roots.sys.join("class/thermal")).into_iter().flatten().flatten();
    let is_zone = |name: &str| name.strip_prefix("thermal_zone").is_some_and(|n| number(n.as_bytes()).is_some());
    let zones = zones.filter(|entry| is_zone(&entry.file_name().to_string_lossy())).count();
    sensors.iter().filter(|sensor| sensor.family == 0).count() + zones
}

#[cfg(test)]
mod tests {
    use super::{HwMon, ThermalZone, count};
    use crate::collect::system::Roots;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn sensors_by_chip() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::under(root.path());
        let intern = Interner::default();
        let mut hwmon = HwMon::new(&roots);
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
        ] {
            put(root.path(), &format!("{chip}/{file}"), text);
        }
        let (page, result) = collect(&mut hwmon, &intern, 0);
        assert!(result.is_ok());
        let found: Vec<String> = page.iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(
            found,
            [
                r#"node_hwmon_chip_names{chip="k10temp", chip_name="k10temp"} 1"#,
                r#"node_hwmon_fan_rpm{chip="k10temp", sensor="fan2"} 900"#,
                r#"node_hwmon_power_average_watt{chip="k10temp", sensor="power1"} 2.5"#,
                r#"node_hwmon_sensor_label{chip="k10temp", label="Tctl", sensor="temp1"} 1"#,
                r#"node_hwmon_temp_celsius{chip="k10temp", sensor="temp1"} 45.5"#,
                r#"node_hwmon_temp_crit_celsius{chip="k10temp", sensor="temp1"} -1"#,
            ]
        );
        assert_eq!(count(&roots), 1);
    }

    #[test]
    fn zones_and_fans() {
        let root = tempfile::tempdir().unwrap();
        let base = "sys/class/thermal";
        put(root.path(), &format!("{base}/thermal_zone0/type"), "acpitz\n");
        put(root.path(), &format!("{base}/thermal_zone0/temp"), "27800\n");
        put(root.path(), &format!("{base}/cooling_device1/type"), "Processor\n");
        put(root.path(), &format!("{base}/cooling_device1/cur_state"), "0\n");
        let (page, _) = collect(&mut ThermalZone::new(&Roots::under(root.path())), &Interner::default(), 0);
        let found: Vec<String> = page.iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(
            found,
            [
                r#"node_cooling_device_cur_state{name="1", type="Processor"} 0"#,
                r#"node_thermal_zone_temp{type="acpitz", zone="0"} 27.8"#,
            ]
        );
    }
}
