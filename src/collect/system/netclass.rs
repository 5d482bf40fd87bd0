//! Properties of network interfaces, from `/sys/class/net`. Slow to change, so read on a slower slot than the rest.

use std::io;
use std::path::{Path, PathBuf};

use super::bytes::{hex, label, signed, words};
use super::filter::Filter;
use super::link_watch::LinkWatch;
use super::netdev::MAX_INTERFACES;
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::read_once;
use crate::collect::catalogue::{counter, gauge};
use crate::collect::emit::{Emit, Slot, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

const DEVICE: &[&str] = &["device"];
const MAX: u32 = MAX_INTERFACES as u32;

macro_rules! property {
    ($kind:ident $name:literal $unit:literal) => {
        $kind(concat!("node_network_", $name), $unit, concat!("Network device property: ", $name), DEVICE, MAX)
    };
}

/// The first two come from several files, the others from one each.
pub(super) static FAMILIES: [FamilyDesc; 19] = [
    gauge("node_network_up", "", "Value is 1 if operstate is 'up', 0 otherwise.", DEVICE, MAX),
    gauge(
        "node_network_info",
        "",
        "Non-numeric data from /sys/class/net/<iface>, value is always 1.",
        &["device", "address", "broadcast", "duplex", "operstate", "ifalias"],
        MAX,
    ),
    property!(gauge "address_assign_type" ""),
    property!(gauge "carrier" ""),
    property!(counter "carrier_changes_total" ""),
    property!(counter "carrier_up_changes_total" ""),
    property!(counter "carrier_down_changes_total" ""),
    property!(gauge "device_id" ""),
    property!(gauge "dormant" ""),
    property!(gauge "flags" ""),
    property!(gauge "iface_id" ""),
    property!(gauge "iface_link" ""),
    property!(gauge "iface_link_mode" ""),
    property!(gauge "mtu_bytes" "bytes"),
    property!(gauge "name_assign_type" ""),
    property!(gauge "net_dev_group" ""),
    property!(gauge "speed_bytes" "bytes"),
    property!(gauge "transmit_queue_length" ""),
    property!(gauge "protocol_type" ""),
];

/// Files of the families from the third on.
const FILES: [&str; 17] = [
    "addr_assign_type",
    "carrier",
    "carrier_changes",
    "carrier_up_count",
    "carrier_down_count",
    "dev_id",
    "dormant",
    "flags",
    "ifindex",
    "iflink",
    "link_mode",
    "mtu",
    "name_assign_type",
    "netdev_group",
    "speed",
    "tx_queue_len",
    "type",
];
/// Readings between two that look into the files although no change was told: a few properties change silently (the group), and
/// files may be of another network than ours.
const QUIET_READINGS: u32 = 11;
const INFO: [&str; 5] = ["address", "broadcast", "duplex", "operstate", "ifalias"];
/// The place of `node_network_info` among the families.
const INFO_SLOT: usize = 1;

/// The collector.
pub(super) struct NetClass {
    root: PathBuf,
    filter: Filter,
    buffer: Vec<u8>,
    watch: LinkWatch,
    /// Readings until the files are looked into whatever was told.
    quiet: u32,
    /// The interfaces of the last look.
    names: Vec<Vec<u8>>,
    interfaces: Table<Facts>,
}

/// What the files of an interface said.
#[derive(Debug, Default)]
struct Facts {
    /// What `node_network_info` said last: its series ends when a label changes.
    labels: [Vec<u8>; 5],
    /// Not known without a state.
    is_up: Option<bool>,
    numbers: [Option<f64>; FILES.len()],
}

impl NetClass {
    pub(super) fn new(roots: &Roots, filter: Filter) -> Self {
        Self {
            root: roots.sys.join("class/net"),
            filter,
            buffer: Vec::new(),
            watch: LinkWatch::new(roots),
            quiet: 0,
            names: Vec::new(),
            interfaces: Table::new(FAMILIES.len(), MAX_INTERFACES),
        }
    }

    /// Looks into the files of all interfaces.
    fn look(&mut self, emit: &Emit<'_>, trouble: &mut Trouble) -> io::Result<()> {
        self.names.clear();
        for entry in std::fs::read_dir(&self.root)?.flatten() {
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            let folder = entry.path();
            // `bonding_masters` is a file among the folders.
            if !self.filter.shows(name) || !folder.is_dir() {
                continue;
            }
            let Some(row) = self.interfaces.row(name, Facts::default) else {
                trouble.note(|| format!("more than {MAX_INTERFACES} interfaces"));
                continue;
            };
            let mut info = row.slots.get_mut(INFO_SLOT).map(std::mem::take).unwrap_or_default();
            if row.state.read(&folder, &mut self.buffer) {
                emit.release(&[std::mem::take(&mut info)]);
            }
            if let Some(slot) = row.slots.get_mut(INFO_SLOT) {
                *slot = info;
            }
            self.names.push(name.to_vec());
        }
        Ok(())
    }
}

impl Facts {
    /// Reads the files again. Whether a label has changed.
    fn read(&mut self, folder: &Path, buffer: &mut Vec<u8>) -> bool {
        let mut changed = false;
        for (known, file) in self.labels.iter_mut().zip(INFO) {
            let value = read_once(&folder.join(file), buffer).unwrap_or_default().trim_ascii();
            if known.as_slice() != value {
                known.clear();
                known.extend_from_slice(value);
                changed = true;
            }
        }
        let [_, _, _, operstate, _] = &self.labels;
        self.is_up = (!operstate.is_empty()).then(|| operstate.as_slice() == b"up");
        for (number, file) in self.numbers.iter_mut().zip(FILES) {
            *number = read_once(&folder.join(file), buffer).ok().and_then(|bytes| property(file, bytes));
        }
        changed
    }

    fn emit(&self, name: &[u8], slots: &mut [Slot], emit: &mut Emit<'_>) {
        let device = label(name);
        let [up, info, numbers @ ..] = slots else { return };
        let [up_desc, info_desc, number_descs @ ..] = &FAMILIES;
        if info.is_due() {
            let [address, broadcast, duplex, operstate, ifalias] = self.labels.each_ref().map(|value| label(value));
            emit.put(info, info_desc, &[&device, &address, &broadcast, &duplex, &operstate, &ifalias], 1.0);
        } else {
            emit.put(info, info_desc, &[""; 6], 1.0);
        }
        emit.put_opt(up, up_desc, &[&device], self.is_up.map(|is_up| if is_up { 1.0 } else { 0.0 }));
        for ((slot, desc), number) in numbers.iter_mut().zip(number_descs).zip(self.numbers) {
            emit.put_opt(slot, desc, &[&device], number);
        }
    }
}

impl Collector for NetClass {
    fn name(&self) -> &'static str {
        "netclass"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        // Asked first, and always: what changes from here on is told the next time.
        if self.watch.has_changed() || self.quiet == 0 {
            if let Err(error) = self.look(&emit, &mut trouble) {
                self.quiet = 0;
                self.interfaces.end_tick(&emit);
                return unread("netclass", &self.root, &error);
            }
            // One that was left out is to be told at each reading.
            self.quiet = if trouble.is_clear() { QUIET_READINGS } else { 0 };
        } else {
            self.quiet -= 1;
        }
        for name in &self.names {
            if let Some(row) = self.interfaces.row(name, Facts::default) {
                row.state.emit(name, &mut row.slots, &mut emit);
            }
        }
        self.interfaces.end_tick(&emit);
        Ok(trouble.reading())
    }
}

/// The number of one file; an interface that is down has no carrier and no speed (EINVAL, or -1).
fn property(file: &str, bytes: &[u8]) -> Option<f64> {
    let word = words(bytes).next()?;
    let value = hex(word).map(|value| value as f64).or_else(|| signed(word).map(|value| value as f64))?;
    match file {
        "speed" if value < 0.0 => None,
        // Megabits to bytes a second.
        "speed" => Some(value * 1e6 / 8.0),
        _ => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::NetClass;
    use crate::collect::system::Roots;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn properties_of_an_interface() {
        let root = tempfile::tempdir().unwrap();
        let intern = Interner::default();
        let mut net = NetClass::new(&Roots::under(root.path()), Default::default());
        assert!(matches!(collect(&mut net, &intern, 0).1, Ok(crate::collect::Reading::Unavailable(_))));
        let eth0 = "sys/class/net/eth0";
        for (file, text) in
            [("operstate", "up\n"), ("address", "02:fc\n"), ("flags", "0x1003\n"), ("speed", "10000\n"), ("mtu", "x\n")]
        {
            put(root.path(), &format!("{eth0}/{file}"), text);
        }
        put(root.path(), "sys/class/net/bonding_masters", "");
        let (page, _) = collect(&mut net, &intern, 0);
        let found: Vec<(&str, f64)> = page.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let info = r#"node_network_info{address="02:fc", device="eth0", operstate="up"}"#;
        let expected = [
            (r#"node_network_flags{device="eth0"}"#, 4099.0),
            (info, 1.0),
            (r#"node_network_speed_bytes{device="eth0"}"#, 1.25e9),
            (r#"node_network_up{device="eth0"}"#, 1.0),
        ];
        assert_eq!(found, expected);
        put(root.path(), &format!("{eth0}/operstate"), "down\n");
        put(root.path(), &format!("{eth0}/speed"), "-1\n");
        let (page, _) = collect(&mut net, &intern, 0);
        assert_eq!(page[r#"node_network_up{device="eth0"}"#], 0.0);
        assert!(!page.contains_key(info) && page.len() == 3 && intern.released() == 1);
        std::fs::remove_file(root.path().join(eth0).join("operstate")).unwrap();
        let (page, _) = collect(&mut net, &intern, 0);
        assert!(page.keys().all(|series| !series.starts_with("node_network_up")), "not known is not down");
        std::fs::remove_dir_all(root.path().join(eth0)).unwrap();
        assert!(collect(&mut net, &intern, 0).0.is_empty(), "an interface that has gone");
    }

    #[test]
    fn what_nobody_changed_is_told_from_memory() {
        let intern = Interner::default();
        let mut net = NetClass::new(&Roots::default(), Default::default());
        let (first, result) = collect(&mut net, &intern, 0);
        if !matches!(result, Ok(crate::collect::Reading::Complete)) {
            eprintln!("SKIPPED: {result:?}");
            return;
        }
        // Somebody may change an interface in between, which only means that the files are read.
        for quiet in 0..2 * super::QUIET_READINGS {
            let (page, _) = collect(&mut net, &intern, 0);
            assert_eq!(page.keys().collect::<Vec<_>>(), first.keys().collect::<Vec<_>>(), "{quiet}");
        }
    }
}
