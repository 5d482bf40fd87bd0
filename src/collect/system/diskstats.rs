//! Block devices, from `/proc/diskstats`; what udev knows of them comes from `/run/udev/data`.

use std::collections::HashMap;

use super::bytes::{label, lines, number, words};
use super::filter::Filter;
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::{Source, read_once};
use crate::collect::catalogue::{counter, gauge};
use crate::collect::emit::{Emit, Slot, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// Devices that are watched at most.
const MAX_DISKS: usize = 1024;
/// Time between two looks into udev's database.
const REREAD_MS: i64 = 30_000;
/// The kernel's sector in these counters, whatever the device's own is.
const SECTOR: f64 = 512.0;
/// The kernel counts milliseconds.
const MS: f64 = 1e-3;
const DEVICE: &[&str] = &["device"];
const MAX: u32 = MAX_DISKS as u32;

/// Families in the order of the columns of the file, then facts.
pub(super) static FAMILIES: [FamilyDesc; 23] = [
    counter("node_disk_reads_completed_total", "", "The total number of reads completed successfully.", DEVICE, MAX),
    counter("node_disk_reads_merged_total", "", "The total number of reads merged.", DEVICE, MAX),
    counter("node_disk_read_bytes_total", "bytes", "The total number of bytes read successfully.", DEVICE, MAX),
    counter(
        "node_disk_read_time_seconds_total",
        "seconds",
        "The total number of seconds spent by all reads.",
        DEVICE,
        MAX,
    ),
    counter("node_disk_writes_completed_total", "", "The total number of writes completed successfully.", DEVICE, MAX),
    counter("node_disk_writes_merged_total", "", "The number of writes merged.", DEVICE, MAX),
    counter("node_disk_written_bytes_total", "bytes", "The total number of bytes written successfully.", DEVICE, MAX),
    counter(
        "node_disk_write_time_seconds_total",
        "seconds",
        "This is the total number of seconds spent by all writes.",
        DEVICE,
        MAX,
    ),
    gauge("node_disk_io_now", "", "The number of I/Os currently in progress.", DEVICE, MAX),
    counter("node_disk_io_time_seconds_total", "seconds", "Total seconds spent doing I/Os.", DEVICE, MAX),
    counter(
        "node_disk_io_time_weighted_seconds_total",
        "seconds",
        "The weighted # of seconds spent doing I/Os.",
        DEVICE,
        MAX,
    ),
    counter(
        "node_disk_discards_completed_total",
        "",
        "The total number of discards completed successfully.",
        DEVICE,
        MAX,
    ),
    counter("node_disk_discards_merged_total", "", "The total number of discards merged.", DEVICE, MAX),
    counter(
        "node_disk_discarded_sectors_total",
        "",
        "The total number of sectors discarded successfully.",
        DEVICE,
        MAX,
    ),
    counter(
        "node_disk_discard_time_seconds_total",
        "seconds",
        "This is the total number of seconds spent by all discards.",
        DEVICE,
        MAX,
    ),
    counter(
        "node_disk_flush_requests_total",
        "",
        "The total number of flush requests completed successfully",
        DEVICE,
        MAX,
    ),
    counter(
        "node_disk_flush_requests_time_seconds_total",
        "seconds",
        "This is the total number of seconds spent by all flush requests.",
        DEVICE,
        MAX,
    ),
    gauge(
        "node_disk_info",
        "",
        "Info of /sys/block/<block_device>.",
        &["device", "major", "minor", "model", "path", "revision", "serial", "wwn"],
        MAX,
    ),
    gauge(
        "node_disk_filesystem_info",
        "",
        "The file system on a disk; always 1.",
        &["device", "type", "usage", "uuid", "version"],
        MAX,
    ),
    gauge(
        "node_disk_device_mapper_info",
        "",
        "What the device mapper knows of a disk; always 1.",
        &["device", "name", "uuid", "vg_name", "lv_name", "lv_layer"],
        MAX,
    ),
    gauge("node_disk_ata_write_cache", "", "Whether an ATA disk has a write cache.", DEVICE, MAX),
    gauge("node_disk_ata_write_cache_enabled", "", "Whether an ATA disk's write cache is on.", DEVICE, MAX),
    gauge("node_disk_ata_rotation_rate_rpm", "", "Turns a minute of an ATA disk, 0 for an SSD.", DEVICE, MAX),
];
const FACTORS: [f64; 17] = [1.0, 1.0, SECTOR, MS, 1.0, 1.0, SECTOR, MS, 1.0, MS, MS, 1.0, 1.0, 1.0, MS, 1.0, MS];
/// Columns that every kernel has; later ones came with 4.18 (discards) and 5.5 (flushes).
const OLDEST_COLUMNS: usize = 11;

/// Place of `node_disk_info` among the families; the other facts follow.
const INFO: usize = 17;
const FILE_SYSTEM: usize = 18;
const MAPPER: usize = 19;
/// What udev calls the labels of `node_disk_info` from `model` on, and those of the next two.
const UDEV_INFO: [&str; 5] = ["ID_MODEL", "ID_PATH", "ID_REVISION", "ID_SERIAL_SHORT", "ID_WWN"];
const UDEV_FILE_SYSTEM: [&str; 4] = ["ID_FS_TYPE", "ID_FS_USAGE", "ID_FS_UUID", "ID_FS_VERSION"];
const UDEV_MAPPER: [&str; 5] = ["DM_NAME", "DM_UUID", "DM_VG_NAME", "DM_LV_NAME", "DM_LV_LAYER"];
/// Numbers of ATA disks, in the order of the last families.
const UDEV_ATA: [&str; 3] = ["ID_ATA_WRITE_CACHE", "ID_ATA_WRITE_CACHE_ENABLED", "ID_ATA_ROTATION_RATE_RPM"];

/// A fact of a disk: the place of its family, labels behind the device, value.
type Fact = (usize, Vec<String>, f64);

/// What is known about a disk, and since when. udev writes it after the kernel lists the disk, and again after `mkfs`.
#[derive(Default)]
struct Known {
    major: Vec<u8>,
    minor: Vec<u8>,
    read_at: Option<Timestamp>,
    facts: Vec<Fact>,
}

/// The collector.
pub(super) struct DiskStats {
    source: Source,
    roots: Roots,
    filter: Filter,
    /// What udev knows of the device; `None` when it is not shown.
    devices: Table<Option<Known>>,
    buffer: Vec<u8>,
}

impl DiskStats {
    pub(super) fn new(roots: &Roots, filter: Filter) -> Self {
        let source = Source::new(roots.proc.join("diskstats"));
        Self {
            source,
            roots: roots.clone(),
            filter,
            devices: Table::new(FAMILIES.len(), MAX_DISKS),
            buffer: Vec::new(),
        }
    }
}

impl Collector for DiskStats {
    fn name(&self) -> &'static str {
        "diskstats"
    }

    fn collect(&mut self, now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        if let Err(error) = self.source.read() {
            self.devices.end_tick(&emit);
            return unread("diskstats", self.source.path(), &error);
        }
        let (path, bytes) = self.source.last();
        for line in lines(bytes) {
            let mut fields = words(line);
            let (Some(major), Some(minor), Some(name)) = (fields.next(), fields.next(), fields.next()) else {
                trouble.bad_line(path, line, "a device");
                continue;
            };
            let filter = &self.filter;
            let Some(row) = self.devices.row(name, || filter.shows(name).then(Known::default)) else {
                trouble.note(|| format!("{}: more than {MAX_DISKS} devices", path.display()));
                continue;
            };
            let Some(known) = &mut row.state else { continue };
            let Some((columns, count)) = columns(fields) else {
                trouble.bad_line(path, line, "counters of a device");
                continue;
            };
            let device = label(name);
            for (((slot, desc), column), factor) in
                row.slots.iter_mut().zip(&FAMILIES).zip(columns).take(count).zip(FACTORS)
            {
                emit.put(slot, desc, &[&device], column as f64 * factor);
            }
            if known.is_due(now, major, minor) {
                known.learn(facts(&self.roots, major, minor, &mut self.buffer), &mut row.slots, &emit);
            }
            for (place, labels, value) in &known.facts {
                let (Some(slot), Some(desc)) = (row.slots.get_mut(*place), FAMILIES.get(*place)) else { continue };
                let mut all = [""; 8];
                let texts = std::iter::once(&*device).chain(labels.iter().map(String::as_str));
                all.iter_mut().zip(texts).for_each(|(to, from)| *to = from);
                emit.put(slot, desc, all.get(..desc.labels.len()).unwrap_or_default(), *value);
            }
        }
        self.devices.end_tick(&emit);
        Ok(trouble.reading())
    }
}

fn columns<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Option<([u64; 17], usize)> {
    let mut columns = [0; 17];
    let mut count = 0;
    for (column, field) in columns.iter_mut().zip(fields) {
        *column = number(field)?;
        count += 1;
    }
    (count >= OLDEST_COLUMNS).then_some((columns, count))
}

impl Known {
    /// Whether udev's database is to be read: now and then, and when another disk has the name.
    fn is_due(&mut self, now: Timestamp, major: &[u8], minor: &[u8]) -> bool {
        let is_fresh = |at: Timestamp| (0..REREAD_MS).contains(&now.saturating_sub(at));
        if self.major == major && self.minor == minor && self.read_at.is_some_and(is_fresh) {
            return false;
        }
        (self.major, self.minor, self.read_at) = (major.to_vec(), minor.to_vec(), Some(now));
        true
    }

    /// Takes new facts over; series whose labels are others now end.
    fn learn(&mut self, fresh: Vec<Fact>, slots: &mut [Slot], emit: &Emit<'_>) {
        for (place, slot) in slots.iter_mut().enumerate().skip(INFO) {
            let labels = |facts: &[Fact]| facts.iter().find(|fact| fact.0 == place).map(|fact| fact.1.clone());
            if labels(&self.facts) != labels(&fresh) {
                emit.release(&[std::mem::take(slot)]);
            }
        }
        self.facts = fresh;
    }
}

/// What udev's database has of a device; without it, only its number is known.
fn facts(roots: &Roots, major: &[u8], minor: &[u8], buffer: &mut Vec<u8>) -> Vec<Fact> {
    let (major, minor) = (label(major), label(minor));
    let path = roots.on_rootfs(&format!("/run/udev/data/b{major}:{minor}"));
    let data = label(read_once(&path, buffer).unwrap_or_default());
    let known: HashMap<&str, &str> = data.lines().filter_map(|line| line.strip_prefix("E:")?.split_once('=')).collect();
    let texts = |names: &[&str]| -> Vec<String> {
        names.iter().map(|name| known.get(name).copied().unwrap_or_default().to_owned()).collect()
    };
    let mut info = vec![major.into_owned(), minor.into_owned()];
    info.extend(texts(&UDEV_INFO));
    let mut facts = vec![(INFO, info, 1.0)];
    if known.contains_key("ID_FS_USAGE") {
        facts.push((FILE_SYSTEM, texts(&UDEV_FILE_SYSTEM), 1.0));
    }
    if known.contains_key("DM_NAME") {
        facts.push((MAPPER, texts(&UDEV_MAPPER), 1.0));
    }
    if known.contains_key("ID_ATA") {
        let numbers = UDEV_ATA.iter().map(|name| number(known.get(name)?.as_bytes()));
        facts.extend(numbers.zip(MAPPER + 1..).filter_map(|(value, place)| Some((place, Vec::new(), value? as f64))));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::DiskStats;
    use crate::collect::Reading;
    use crate::collect::system::{Roots, SystemOptions};
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn old_and_new_kernels_excluded_and_bad_lines() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::under(root.path());
        let mut disks = DiskStats::new(&roots, SystemOptions::default().disks);
        let intern = Interner::default();
        put(root.path(), "rootfs/run/udev/data/b254:0", "S:x\nE:ID_MODEL=Fast\nE:ID_SERIAL=no\nE:ID_SERIAL_SHORT=7\n");
        put(
            root.path(),
            "proc/diskstats",
            " 254 0 vda 1 2 4 1000 5 6 8 2000 3 4000 5000 7 8 9 1 2 3\n 254 1 vda1 1 2 3 4 5 6 7 8 9 10 11\n 7 0 loop0 0\n 8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n",
        );
        let (page, result) = collect(&mut disks, &intern, 0);
        assert_eq!(result.unwrap(), Reading::Complete);
        assert_eq!(page.len(), 18 + 12);
        for (series, expected) in [
            (r#"node_disk_read_bytes_total{device="vda"}"#, 2048.0),
            (r#"node_disk_io_time_seconds_total{device="vda"}"#, 4.0),
            (r#"node_disk_flush_requests_time_seconds_total{device="vda"}"#, 0.003),
            (r#"node_disk_info{device="vda", major="254", minor="0", model="Fast", serial="7"}"#, 1.0),
            (r#"node_disk_io_time_weighted_seconds_total{device="sda"}"#, 0.011),
        ] {
            assert_eq!(page.get(series), Some(&expected), "{series}");
        }
        put(root.path(), "proc/diskstats", "8 0 sda 1 2 3\n8 0 sdb 1 2 3 4 5 x 7 8 9 10 11\n8\n");
        let (page, result) = collect(&mut disks, &intern, 0);
        assert!(page.is_empty() && matches!(result, Ok(Reading::Degraded(text)) if text.contains("and 2 more")));
    }

    #[test]
    fn facts_come_late_and_change() {
        let root = tempfile::tempdir().unwrap();
        let mut disks = DiskStats::new(&Roots::under(root.path()), SystemOptions::default().disks);
        let intern = Interner::default();
        let line = |minor| format!("8 {minor} sdb 1 2 3 4 5 6 7 8 9 10 11\n");
        let mut facts = |now| -> Vec<String> {
            let page = collect(&mut disks, &intern, now).0;
            page.into_keys().filter_map(|series| Some(series.split_once("_info")?.1.to_owned())).collect()
        };
        put(root.path(), "proc/diskstats", &line(0));
        assert_eq!(facts(0), [r#"{device="sdb", major="8", minor="0"}"#]);
        std::fs::create_dir_all(root.path().join("rootfs/run/udev/data")).unwrap();
        let udev = b"E:ID_MODEL=B\xffd\nE:ID_SERIAL_SHORT=1\nE:ID_FS_USAGE=filesystem\nE:ID_FS_UUID=u\n";
        std::fs::write(root.path().join("rootfs/run/udev/data/b8:0"), udev).unwrap();
        assert_eq!(facts(1_000).len(), 1, "not before it is time to look");
        let full = [
            r#"{device="sdb", usage="filesystem", uuid="u"}"#.to_owned(),
            "{device=\"sdb\", major=\"8\", minor=\"0\", model=\"B\u{fffd}d\", serial=\"1\"}".to_owned(),
        ];
        assert_eq!(facts(30_000), full);
        put(root.path(), "proc/diskstats", &line(16));
        assert_eq!(facts(31_000), [r#"{device="sdb", major="8", minor="16"}"#], "another disk under the same name");
        assert_eq!((intern.released(), intern.count()), (3, 11 + 4));
    }
}
