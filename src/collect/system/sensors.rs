//! Thermal zones and cooling devices, from `/sys/class/thermal`.

use std::path::{Path, PathBuf};

use super::bytes::{label, number, signed, words};
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::read_once;
use crate::collect::catalogue::gauge;
use crate::collect::emit::{Emit, Slot, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// Zones and cooling devices that are watched at most.
const MAX_SENSORS: usize = 1024;
const MAX: u32 = MAX_SENSORS as u32;
/// Time between two looks at the type of a device.
const REREAD_MS: i64 = 30_000;

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
    /// The type of each zone or cooling device, and when it was read: another driver may take the number over.
    devices: Table<(String, Option<Timestamp>)>,
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

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) => {
                self.devices.end_tick(&emit);
                return unread("thermal_zone", &self.root, &error);
            }
        };
        let [temperature, current, maximum] = &THERMAL;
        for entry in entries.flatten() {
            let (folder, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let Some(row) = self.devices.row(name.as_bytes(), Default::default) else {
                trouble.note(|| format!("more than {MAX_SENSORS} thermal devices"));
                continue;
            };
            let is_fresh = |at: Timestamp| (0..REREAD_MS).contains(&now.saturating_sub(at));
            if !row.state.1.is_some_and(is_fresh) {
                let kind = read_name(&folder.join("type")).unwrap_or_default();
                if kind != row.state.0 {
                    emit.release(&row.slots);
                    row.slots.fill(Slot::New);
                }
                row.state = (kind, Some(now));
            }
            let ((kind, _), [first, second]) = (&row.state, row.slots.as_mut_slice()) else { continue };
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
    let zones = std::fs::read_dir(roots.sys.join("class/thermal")).into_iter().flatten().flatten();
    let is_zone = |name: &str| name.strip_prefix("thermal_zone").is_some_and(|n| number(n.as_bytes()).is_some());
    let zones = zones.filter(|entry| is_zone(&entry.file_name().to_string_lossy())).count();
    super::hwmon::temperatures(roots) + zones
}

#[cfg(test)]
mod tests {
    use super::ThermalZone;
    use crate::collect::system::Roots;
    use crate::collect::testing::{Interner, collect, put};

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
