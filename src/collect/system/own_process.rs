//! watchfire itself: `process_*` as client libraries publish them, from `/proc/self`.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::boot_time::BootTime;
use super::bytes::{lines, number, words};
use super::proc_stat::user_hz;
use super::report::{Trouble, garbage, unread};
use super::roots::Roots;
use super::source::Source;
use crate::collect::catalogue::{counter, gauge};
use crate::collect::emit::{Emit, Slot};
use crate::collect::proc_pid::{PidStat, page_bytes};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, FamilyDesc, Intern, Timestamp};

pub(super) static FAMILIES: [FamilyDesc; 8] = [
    counter("process_cpu_seconds_total", "seconds", "Total user and system CPU time spent in seconds.", &[], 1),
    gauge("process_resident_memory_bytes", "bytes", "Resident memory size in bytes.", &[], 1),
    gauge("process_virtual_memory_bytes", "bytes", "Virtual memory size in bytes.", &[], 1),
    gauge("process_virtual_memory_max_bytes", "bytes", "Maximum amount of virtual memory available in bytes.", &[], 1),
    gauge("process_threads", "", "Number of OS threads of the process.", &[], 1),
    gauge("process_open_fds", "", "Number of open file descriptors.", &[], 1),
    gauge("process_max_fds", "", "Maximum number of open file descriptors.", &[], 1),
    gauge("process_start_time_seconds", "seconds", "Start time of the process since unix epoch in seconds.", &[], 1),
];

/// Somebody else may change the limits, which hardly ever happens: they are read again after so many ticks.
const LIMIT_TICKS: u32 = 10;

/// The collector. It reads `/proc/self` even where the roots of the others point to a host: this is about us.
pub(super) struct OwnProcess {
    folder: PathBuf,
    stat: Source,
    limits: Source,
    /// The last that was read of the limits, and the ticks until they are read again.
    limit_values: [Option<f64>; 2],
    limit_ticks: u32,
    boot: BootTime,
    slots: [Slot; 8],
}

impl OwnProcess {
    pub(super) fn new(roots: &Roots) -> Self {
        let own = roots.proc.join("self");
        Self {
            stat: Source::new(own.join("stat")),
            limits: Source::new(own.join("limits")),
            folder: own.join("fd"),
            limit_values: [None; 2],
            limit_ticks: 0,
            boot: BootTime::new(roots),
            slots: [Slot::New; 8],
        }
    }
}

impl Collector for OwnProcess {
    fn name(&self) -> &'static str {
        "process"
    }

    fn collect(&mut self, _now: Timestamp, intern: &dyn Intern, out: &mut Batch) -> Result<Reading, CollectError> {
        let mut emit = Emit::new("watchfire", intern, out);
        let mut trouble = Trouble::default();
        if self.limit_ticks == 0 {
            match self.limits.read() {
                Ok(bytes) => {
                    self.limit_values = [limit(bytes, b"Max address space"), limit(bytes, b"Max open files")];
                    self.limit_ticks = LIMIT_TICKS;
                }
                Err(error) => {
                    self.limit_values = [None; 2];
                    trouble.note(|| format!("limits: {error}"));
                }
            }
        }
        self.limit_ticks = self.limit_ticks.saturating_sub(1);
        let descriptors = count_entries(&self.folder);
        let boot = self.boot.seconds();
        let [most_memory, most_files] = self.limit_values;
        if let Err(error) = self.stat.read() {
            return unread("process", self.stat.path(), &error);
        }
        let (path, bytes) = self.stat.last();
        let Some(stat) = PidStat::parse(bytes) else { return Err(garbage("process", path, "a line of proc(5)")) };
        let hz = user_hz();
        let values = [
            Some((stat.user_ticks.saturating_add(stat.system_ticks)) as f64 / hz),
            Some(stat.resident_pages as f64 * page_bytes()),
            Some(stat.virtual_bytes as f64),
            most_memory,
            Some(stat.threads as f64),
            descriptors,
            most_files,
            boot.map(|boot| boot + stat.start_ticks as f64 / hz),
        ];
        for ((slot, desc), value) in self.slots.iter_mut().zip(&FAMILIES).zip(values) {
            emit.put_opt(slot, desc, &[], value);
        }
        Ok(trouble.reading())
    }
}

/// Entries of `/proc/PID/fd`; `None` when it may not be read.
pub(crate) fn count_entries(folder: &Path) -> Option<f64> {
    // One call instead of a listing: a sixth of the time for a process with few files, far less for one with many.
    if let Some(count) = std::fs::metadata(folder).ok().as_ref().and_then(count_of) {
        return Some(count as f64);
    }
    // The folder that is being read is itself an open file of ours, but not of others.
    let own = usize::from(folder.components().any(|part| part.as_os_str() == "self"));
    Some(std::fs::read_dir(folder).ok()?.flatten().count().saturating_sub(own) as f64)
}

/// Open files as the size of a folder `/proc/PID/fd` tells them; `None` where the kernel does not count.
pub(crate) fn count_of(folder: &Metadata) -> Option<u64> {
    (folder.dev() == counting_device()?).then(|| folder.size())
}

/// The device number of `/proc` where the size of a folder of open files is their number: Linux 6.2 and later.
fn counting_device() -> Option<u64> {
    static DEVICE: OnceLock<Option<u64>> = OnceLock::new();
    let device = || {
        // Three files at least are open, and a kernel that does not count says 0.
        let own = std::fs::metadata("/proc/self/fd").ok()?;
        let root = std::fs::metadata("/proc").ok()?;
        (own.size() > 0 && own.dev() == root.dev()).then(|| own.dev())
    };
    *DEVICE.get_or_init(device)
}

/// The soft limit of that name. "unlimited" reads as the largest number that the kernel could mean.
fn limit(bytes: &[u8], name: &[u8]) -> Option<f64> {
    let rest = lines(bytes).find_map(|line| line.strip_prefix(name))?;
    match words(rest).next()? {
        b"unlimited" => Some(u64::MAX as f64),
        word => number(word).map(|value| value as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::{OwnProcess, count_entries, counting_device};
    use crate::collect::Reading;
    use crate::collect::system::Roots;
    use crate::collect::testing::{Interner, collect, put};

    #[test]
    fn open_files_are_counted_the_same_either_way() {
        let me = std::path::PathBuf::from(format!("/proc/{}/fd", std::process::id()));
        if let (Some(_), Ok(metadata)) = (counting_device(), std::fs::metadata(&me)) {
            // Tests beside this one open and close files.
            let listed = || std::fs::read_dir(&me).unwrap().count() as f64;
            assert!((0..1000).any(|_| count_entries(&me) == Some(listed() - 1.0)), "{metadata:?}");
        }
        let root = tempfile::tempdir().unwrap();
        assert_eq!(count_entries(root.path()), Some(0.0));
        put(root.path(), "1", "");
        assert_eq!((count_entries(root.path()), count_entries(&root.path().join("2"))), (Some(1.0), None));
    }

    #[test]
    fn the_real_one_and_a_fake_one() {
        let (page, result) = collect(&mut OwnProcess::new(&Roots::default()), &Interner::default(), 0);
        if cfg!(target_os = "linux") {
            assert_eq!(result.unwrap(), Reading::Complete);
            assert_eq!(page.len(), 8);
            assert!(page["process_resident_memory_bytes"] > 1e6 && page["process_open_fds"] >= 3.0);
        }
        let root = tempfile::tempdir().unwrap();
        let mut own = OwnProcess::new(&Roots::under(root.path()));
        assert!(matches!(collect(&mut own, &Interner::default(), 0).1, Ok(Reading::Unavailable(_))));
        put(root.path(), "proc/self/stat", "7 (x) S 1 7 7 0 -1 0 0 0 0 0 50 60 0 0 20 0 3 0 900 8192 2 0");
        let (page, result) = collect(&mut own, &Interner::default(), 0);
        assert!(matches!(result, Ok(Reading::Degraded(_))), "no limits");
        assert_eq!(page.len(), 4);
        put(root.path(), "proc/stat", "btime 100\n");
        put(
            root.path(),
            "proc/self/limits",
            "Max open files            1024                 4096  files\nMax address space  unlimited unlimited bytes\n",
        );
        put(root.path(), "proc/self/fd/0", "");
        let (page, _) = collect(&mut own, &Interner::default(), 0);
        assert_eq!((page["process_start_time_seconds"], page["process_max_fds"]), (109.0, 1024.0));
    }
}
