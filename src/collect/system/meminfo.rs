//! Memory, from `/proc/meminfo`: every field that the kernel writes, under node_exporter's names.

use std::sync::Arc;

use super::bytes::{label, lines, number, words};
use super::report::{Trouble, garbage, unread};
use super::roots::Roots;
use super::source::Source;
use super::usage::Usage;
use crate::collect::catalogue::gauge;
use crate::collect::emit::{Emit, Table};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, Family, FamilyDesc, Intern, MetricKind, Timestamp};

/// Fields that one file may have; Linux 6.18 has 57.
const MAX_FIELDS: usize = 256;

/// One declared field: `bytes!(Active_anon)`.
macro_rules! fields {
    ($($field:literal $unit:literal),* $(,)?) => {
        [$(gauge(concat!("node_memory_", $field), $unit, concat!("Memory information field ", $field, "."), &[], 1)),*]
    };
}

pub(super) static FAMILIES: [FamilyDesc; 62] = fields![
    "MemTotal_bytes" "bytes", "MemFree_bytes" "bytes", "MemAvailable_bytes" "bytes", "Buffers_bytes" "bytes",
    "Cached_bytes" "bytes", "SwapCached_bytes" "bytes", "Active_bytes" "bytes", "Inactive_bytes" "bytes",
    "Active_anon_bytes" "bytes", "Inactive_anon_bytes" "bytes", "Active_file_bytes" "bytes",
    "Inactive_file_bytes" "bytes", "Unevictable_bytes" "bytes", "Mlocked_bytes" "bytes", "SwapTotal_bytes" "bytes",
    "SwapFree_bytes" "bytes", "Zswap_bytes" "bytes", "Zswapped_bytes" "bytes", "Dirty_bytes" "bytes",
    "Writeback_bytes" "bytes", "AnonPages_bytes" "bytes", "Mapped_bytes" "bytes", "Shmem_bytes" "bytes",
    "KReclaimable_bytes" "bytes", "Slab_bytes" "bytes", "SReclaimable_bytes" "bytes", "SUnreclaim_bytes" "bytes",
    "KernelStack_bytes" "bytes", "PageTables_bytes" "bytes", "SecPageTables_bytes" "bytes", "NFS_Unstable_bytes" "bytes",
    "Bounce_bytes" "bytes", "WritebackTmp_bytes" "bytes", "CommitLimit_bytes" "bytes", "Committed_AS_bytes" "bytes",
    "VmallocTotal_bytes" "bytes", "VmallocUsed_bytes" "bytes", "VmallocChunk_bytes" "bytes", "Percpu_bytes" "bytes",
    "EarlyMemtestBad_bytes" "bytes", "HardwareCorrupted_bytes" "bytes", "AnonHugePages_bytes" "bytes",
    "ShmemHugePages_bytes" "bytes", "ShmemPmdMapped_bytes" "bytes", "FileHugePages_bytes" "bytes",
    "FilePmdMapped_bytes" "bytes", "CmaTotal_bytes" "bytes", "CmaFree_bytes" "bytes", "Unaccepted_bytes" "bytes",
    "Balloon_bytes" "bytes", "ShadowCallStack_bytes" "bytes", "GPUActive_bytes" "bytes", "GPUReclaim_bytes" "bytes",
    "HugePages_Total" "", "HugePages_Free" "", "HugePages_Rsvd" "", "HugePages_Surp" "", "Hugepagesize_bytes" "bytes",
    "Hugetlb_bytes" "bytes", "DirectMap4k_bytes" "bytes", "DirectMap2M_bytes" "bytes", "DirectMap1G_bytes" "bytes",
];

/// The collector.
pub(super) struct MemInfo {
    source: Source,
    fields: Table,
    usage: Arc<Usage>,
}

impl MemInfo {
    pub(super) fn new(roots: &Roots, usage: Arc<Usage>) -> Self {
        Self { source: Source::new(roots.proc.join("meminfo")), fields: Table::new(1, MAX_FIELDS), usage }
    }
}

impl Collector for MemInfo {
    fn name(&self) -> &'static str {
        "meminfo"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("node", intern, out);
        let mut trouble = Trouble::default();
        let mut seen = [None; 4];
        let mut read = false;
        if let Err(error) = self.source.read() {
            self.fields.end_tick(&emit);
            return unread("meminfo", self.source.path(), &error);
        }
        let (path, bytes) = self.source.last();
        for line in lines(bytes) {
            let Some((key, value, unit)) = field(line) else {
                trouble.bad_line(path, line, "`Name: number kB`");
                continue;
            };
            read = true;
            let Some(row) = self.fields.row(key, || ()) else {
                trouble.note(|| format!("{}: more than {MAX_FIELDS} fields", path.display()));
                continue;
            };
            for slot in &mut row.slots {
                emit.put_family(slot, || family(key, unit), value);
            }
            note(&mut seen, key, value);
        }
        self.fields.end_tick(&emit);
        if !read {
            return Err(garbage("meminfo", path, "lines `Name: number kB`"));
        }
        let [total, available, swap_total, swap_free] = seen;
        self.usage.update(|snapshot| {
            (snapshot.memory_total_bytes, snapshot.memory_available_bytes) = (total, available);
            (snapshot.swap_total_bytes, snapshot.swap_free_bytes) = (swap_total, swap_free);
        });
        Ok(trouble.reading())
    }
}

/// Key, value in base units, and whether it counts bytes.
fn field(line: &[u8]) -> Option<(&[u8], f64, bool)> {
    let mut fields = words(line);
    let key = fields.next()?.strip_suffix(b":")?;
    let value = number(fields.next()?)? as f64;
    match fields.next() {
        Some(b"kB") => Some((key, value * 1024.0, true)),
        None => Some((key, value, false)),
        Some(_) => None,
    }
}

fn note(seen: &mut [Option<f64>; 4], key: &[u8], value: f64) {
    let index = match key {
        b"MemTotal" => 0,
        b"MemAvailable" => 1,
        b"SwapTotal" => 2,
        b"SwapFree" => 3,
        _ => return,
    };
    seen[index] = Some(value);
}

/// `Active(anon)` in bytes becomes `node_memory_Active_anon_bytes`. Runs once a field.
fn family(key: &[u8], bytes: bool) -> Family {
    let mut field = label(key).replace('(', "_").replace(')', "");
    field.retain(|c| c.is_ascii_alphanumeric() || c == '_');
    if bytes {
        field.push_str("_bytes");
    }
    Family {
        name: format!("node_memory_{field}").into(),
        kind: MetricKind::Gauge,
        unit: if bytes { "bytes" } else { "" }.into(),
        help: format!("Memory information field {field}.").into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::MemInfo;
    use crate::collect::Reading;
    use crate::collect::system::Roots;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn fields_names_and_garbage() {
        let root = tempfile::tempdir().unwrap();
        let usage = Arc::default();
        let mut meminfo = MemInfo::new(&Roots::under(root.path()), Arc::clone(&usage));
        let intern = Interner::default();
        put(root.path(), "proc/meminfo", "MemTotal: 10 kB\nActive(anon): 2 kB\nHugePages_Total: 3\nFuture: 1 kB\n");
        let (page, result) = collect(&mut meminfo, &intern, 0);
        assert_eq!(result.unwrap(), Reading::Complete);
        let names: Vec<(&str, f64)> = page.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(
            names,
            [
                ("node_memory_Active_anon_bytes", 2048.0),
                ("node_memory_Future_bytes", 1024.0),
                ("node_memory_HugePages_Total", 3.0),
                ("node_memory_MemTotal_bytes", 10240.0)
            ]
        );
        assert_eq!(usage.snapshot().memory_total_bytes, Some(10240.0));
        assert_eq!(usage.snapshot().memory_available_bytes, None);
        put(root.path(), "proc/meminfo", "MemTotal: 10 kB\nrubbish\nMemFree: -1 kB\nActive: 1 MB\n");
        let (page, result) = collect(&mut meminfo, &intern, 0);
        assert!(
            matches!(result, Ok(Reading::Degraded(text)) if text.contains("rubbish") && text.ends_with("(and 2 more)"))
        );
        assert_eq!(page.len(), 1);
        put(root.path(), "proc/meminfo", "");
        assert!(collect(&mut meminfo, &intern, 0).1.is_err());
    }
}
