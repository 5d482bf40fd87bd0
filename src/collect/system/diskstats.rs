//! Block devices, from `/proc/diskstats`; what udev knows of them comes from `/run/udev/data`.

use regex::bytes::Regex;

use super::bytes::{label, lines, number, words};
use super::report::{Trouble, unread};
use super::roots::Roots;
use super::source::Source;
use crate::collect::catalogue::{counter, gauge};
use crate::collect::emit::{Emit, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

/// Devices that are watched at most.
const MAX_DISKS: usize = 1024;
/// The kernel's sector in these counters, whatever the device's own is.
const SECTOR: f64 = 512.0;
/// The kernel counts milliseconds.
const MS: f64 = 1e-3;
const DEVICE: &[&str] = &["device"];
const MAX: u32 = MAX_DISKS as u32;

/// Families in the order of the columns of the file, `node_disk_info` after them.
pub(super) static FAMILIES: [FamilyDesc; 18] = [
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
];
const FACTORS: [f64; 17] = [1.0, 1.0, SECTOR, MS, 1.0, 1.0, SECTOR, MS, 1.0, MS, MS, 1.0, 1.0, 1.0, MS, 1.0, MS];
/// Columns that every kernel has; later ones came with 4.18 (discards) and 5.5 (flushes).
const OLDEST_COLUMNS: usize = 11;

/// What udev calls the labels of `node_disk_info`, from `model` on.
const UDEV: [&str; 5] = ["ID_MODEL", "ID_PATH", "ID_REVISION", "ID_SERIAL_SHORT", "ID_WWN"];

/// The collector.
pub(super) struct DiskStats {
    source: Source,
    roots: Roots,
    exclude: Regex,
    /// Whether the name is one that we leave out, decided once a device.
    devices: Table<bool>,
}

impl DiskStats {
    pub(super) fn new(roots: &Roots, exclude: Regex) -> Self {
        let source = Source::new(roots.proc.join("diskstats"));
        Self { source, roots: roots.clone(), exclude, devices: Table::new(FAMILIES.len(), MAX_DISKS) }
    }
}

impl Collector for DiskStats {
    fn name(&self) -> &'static str {
        "diskstats"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        if let Err(error) = self.source.read() {
            return unread("diskstats", self.source.path(), &error);
        }
        let (path, bytes) = self.source.last();
        for line in lines(bytes) {
            let mut fields = words(line);
            let (Some(major), Some(minor), Some(name)) = (fields.next(), fields.next(), fields.next()) else {
                trouble.bad_line(path, line, "a device");
                continue;
            };
            let exclude = &self.exclude;
            let Some(row) = self.devices.row(name, || exclude.is_match(name)) else {
                trouble.note(|| format!("{}: more than {MAX_DISKS} devices", path.display()));
                continue;
            };
            if row.state {
                continue;
            }
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
            if let (Some(slot), Some(desc)) = (row.slots.last_mut(), FAMILIES.last()) {
                let (major, minor) = (label(major), label(minor));
                let fresh = slot.is_due();
                let [model, by_path, revision, serial, wwn] =
                    if fresh { udev(&self.roots, &major, &minor) } else { Default::default() };
                emit.put(slot, desc, &[&device, &major, &minor, &model, &by_path, &revision, &serial, &wwn], 1.0);
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

/// Properties that udev's database has of a device; empty where there is none.
fn udev(roots: &Roots, major: &str, minor: &str) -> [String; 5] {
    let path = roots.on_rootfs(&format!("/run/udev/data/b{major}:{minor}"));
    let data = std::fs::read_to_string(path).unwrap_or_default();
    UDEV.map(|name| {
        let property = |line: &str| line.strip_prefix("E:")?.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
        data.lines().find_map(property).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::DiskStats;
    use crate::collect::Reading;
    use crate::collect::system::{Roots, SystemConfig};
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn old_and_new_kernels_excluded_and_bad_lines() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::under(root.path());
        let mut disks = DiskStats::new(&roots, SystemConfig::default().disk_exclude);
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
}
