//! Systems without `/proc`: what sysinfo knows of memory, load, networks, disks and temperatures, under the same names.
//! It knows CPU use but no CPU counters, so `node_cpu_seconds_total` is absent there.

use std::sync::Arc;

use sysinfo::{Components, Disks, Networks, System};

use super::report::Trouble;
use super::{Usage, filesystem, hwmon, meminfo, netdev, simple};
use crate::collect::emit::{Emit, Slot, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// Interfaces, disks and sensors that are watched at most, of each.
const MAX_DEVICES: usize = 256;
/// How many of the statistics of `/proc/net/dev` sysinfo knows.
const NET_VALUES: [&str; 6] = [
    "node_network_receive_bytes_total",
    "node_network_receive_packets_total",
    "node_network_receive_errs_total",
    "node_network_transmit_bytes_total",
    "node_network_transmit_packets_total",
    "node_network_transmit_errs_total",
];
const MEMORY: [&str; 5] = [
    "node_memory_MemTotal_bytes",
    "node_memory_MemFree_bytes",
    "node_memory_MemAvailable_bytes",
    "node_memory_SwapTotal_bytes",
    "node_memory_SwapFree_bytes",
];

/// The collector. A part of sysinfo that this system lacks is the error that it gave.
pub(super) struct SysInfo {
    system: Result<System, String>,
    networks: Result<Networks, String>,
    disks: Result<Disks, String>,
    components: Result<Components, String>,
    usage: Arc<Usage>,
    memory: [Slot; 5],
    load: [Slot; 3],
    interfaces: Table,
    mounts: Table,
    sensors: Table,
}

impl SysInfo {
    pub(super) fn new(usage: Arc<Usage>) -> Self {
        Self {
            system: System::new().map_err(text),
            networks: Networks::new().map_err(text),
            disks: Disks::new().map_err(text),
            components: Components::new().map_err(text),
            usage,
            memory: [Slot::New; 5],
            load: [Slot::New; 3],
            interfaces: Table::new(NET_VALUES.len(), MAX_DEVICES),
            mounts: Table::new(2, MAX_DEVICES),
            sensors: Table::new(1, MAX_DEVICES),
        }
    }

    fn machine(&mut self, emit: &mut Emit<'_>) -> Result<(), String> {
        let system = self.system.as_mut().map_err(|error| error.clone())?;
        system.refresh_memory();
        system.refresh_cpu_usage();
        let values = [
            system.total_memory(),
            system.free_memory(),
            system.available_memory(),
            system.total_swap(),
            system.free_swap(),
        ];
        for ((slot, name), value) in self.memory.iter_mut().zip(MEMORY).zip(values) {
            if let Some(desc) = declared(&meminfo::FAMILIES, name) {
                emit.put(slot, desc, &[], value as f64);
            }
        }
        self.usage.update(|snapshot| {
            let [total, _, available, swap_total, swap_free] = values.map(|value| Some(value as f64));
            (snapshot.memory_total_bytes, snapshot.memory_available_bytes) = (total, available);
            (snapshot.swap_total_bytes, snapshot.swap_free_bytes) = (swap_total, swap_free);
            snapshot.cpu_ratio = Some(f64::from(system.global_cpu_usage()) / 100.0);
        });
        let load = System::load_average().map_err(text)?;
        self.usage.update(|snapshot| snapshot.load1 = Some(load.one));
        for ((slot, desc), value) in self.load.iter_mut().zip(&simple::LOADAVG).zip([load.one, load.five, load.fifteen])
        {
            emit.put(slot, desc, &[], value);
        }
        Ok(())
    }

    fn networks(&mut self, emit: &mut Emit<'_>) -> Result<(), String> {
        let networks = self.networks.as_mut().map_err(|error| error.clone())?;
        networks.refresh(true);
        for (name, data) in networks.iter() {
            let name = name.to_string_lossy();
            let Some(row) = self.interfaces.row(name.as_bytes(), || ()) else { continue };
            let values = [
                data.total_received(),
                data.total_packets_received(),
                data.total_errors_on_received(),
                data.total_transmitted(),
                data.total_packets_transmitted(),
                data.total_errors_on_transmitted(),
            ];
            for ((slot, family), value) in row.slots.iter_mut().zip(NET_VALUES).zip(values) {
                if let Some(desc) = declared(&netdev::FAMILIES, family) {
                    emit.put(slot, desc, &[&name], value as f64);
                }
            }
        }
        self.interfaces.end_tick(emit);
        Ok(())
    }

    fn disks(&mut self, emit: &mut Emit<'_>) -> Result<(), String> {
        let disks = self.disks.as_mut().map_err(|error| error.clone())?;
        disks.refresh(true);
        for disk in disks.iter() {
            let (device, point) = (disk.name().to_string_lossy(), disk.mount_point().to_string_lossy());
            let Some(row) = self.mounts.row(point.as_bytes(), || ()) else { continue };
            let kind = disk.file_system().to_string_lossy();
            let families = ["node_filesystem_size_bytes", "node_filesystem_avail_bytes"];
            let values = [disk.total_space(), disk.available_space()];
            for ((slot, family), value) in row.slots.iter_mut().zip(families).zip(values) {
                if let Some(desc) = declared(&filesystem::FAMILIES, family) {
                    emit.put(slot, desc, &[&device, &point, &kind], value as f64);
                }
            }
        }
        self.mounts.end_tick(emit);
        Ok(())
    }

    fn temperatures(&mut self, emit: &mut Emit<'_>) -> Result<(), String> {
        let components = self.components.as_mut().map_err(|error| error.clone())?;
        components.refresh(true);
        for component in components.iter() {
            let Some(row) = self.sensors.row(component.label().as_bytes(), || ()) else { continue };
            let ([temperature, ..], [slot]) = (&hwmon::FAMILIES, row.slots.as_mut_slice()) else { continue };
            let celsius = component.temperature().map(f64::from).filter(|celsius| celsius.is_finite());
            emit.put_opt(slot, temperature, &["sysinfo", component.label()], celsius);
        }
        self.sensors.end_tick(emit);
        Ok(())
    }
}

impl Collector for SysInfo {
    fn name(&self) -> &'static str {
        "sysinfo"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        let parts = [Self::machine, Self::networks, Self::disks, Self::temperatures];
        for part in parts {
            if let Err(error) = part(self, &mut emit) {
                trouble.note(|| format!("sysinfo: {error}"));
            }
        }
        Ok(trouble.reading())
    }
}

fn text(error: sysinfo::Error) -> String {
    error.to_string()
}

fn declared(families: &'static [FamilyDesc], name: &str) -> Option<&'static FamilyDesc> {
    families.iter().find(|desc| desc.name == name)
}

#[cfg(test)]
mod tests {
    use super::SysInfo;
    use crate::collect::testing::{Interner, collect};

    #[test]
    fn memory_is_there_without_proc() {
        let intern = Interner::default();
        let mut info = SysInfo::new(Default::default());
        let (page, result) = collect(&mut info, &intern, 0);
        assert!(result.is_ok() && page["node_memory_MemTotal_bytes"] > 1e6);
        let interned = intern.count();
        assert!(collect(&mut info, &intern, 1).1.is_ok());
        assert_eq!(intern.count(), interned);
    }
}
