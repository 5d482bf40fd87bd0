//! The numbers of one cgroup and how its files tell them. Files and units: the kernel's `cgroup-v2` and `cgroup-v1`
//! documentation.

use super::layout::{Controller, Version};
use crate::collect::system::bytes::{lines, number, signed, words};
use crate::collect::system::proc_stat::user_hz;

/// Values with one series a cgroup, in the order of their families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    CpuUsage,
    CpuUser,
    CpuSystem,
    CpuPeriods,
    CpuThrottledPeriods,
    CpuThrottled,
    CpuQuota,
    CpuPeriod,
    CpuLimit,
    CpuShares,
    CpuWeight,
    MemoryUsage,
    MemoryWorkingSet,
    MemoryRss,
    MemoryCache,
    MemoryMapped,
    MemoryKernel,
    MemorySwap,
    MemoryPeak,
    MemoryFailures,
    MemoryLimit,
    MemoryHigh,
    MemoryReservation,
    SwapLimit,
    OomKills,
    CpuWaiting,
    CpuStalled,
    MemoryWaiting,
    MemoryStalled,
    IoWaiting,
    IoStalled,
    Threads,
    ThreadsLimit,
}

/// How many [`Measure`]s there are.
pub(super) const MEASURES: usize = Measure::ThreadsLimit as usize + 1;

/// Names of [`Values::events`].
pub(super) const EVENTS: [&str; 5] = ["low", "high", "max", "oom", "oom_kill"];

/// Names of [`Values::faults`], as cAdvisor has them.
pub(super) const FAULTS: [&str; 2] = ["pgfault", "pgmajfault"];

/// Devices of one cgroup at most.
const MAX_DEVICES: usize = 16;

/// What memory limits without a limit read as in v1: the most pages that a long can count.
const NO_LIMIT: u64 = 1 << 62;

/// Bytes and operations of one block device.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Io {
    /// Major and minor number.
    pub(super) device: (u32, u32),
    /// Bytes read, bytes written, reads, writes.
    pub(super) counts: [Option<f64>; 4],
}

/// The numbers of one cgroup. What its files do not tell is `None`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Values {
    all: [Option<f64>; MEASURES],
    pub(super) events: [Option<f64>; 5],
    pub(super) faults: [Option<f64>; 2],
    pub(super) io: Vec<Io>,
    inactive_file: Option<f64>,
}

impl Default for Values {
    fn default() -> Self {
        Self { all: [None; MEASURES], events: [None; 5], faults: [None; 2], io: Vec::new(), inactive_file: None }
    }
}

impl Values {
    pub(super) fn get(&self, measure: Measure) -> Option<f64> {
        self.all.get(measure as usize).copied().flatten()
    }

    fn set(&mut self, measure: Measure, value: Option<f64>) {
        if let Some(place) = self.all.get_mut(measure as usize) {
            *place = value;
        }
    }

    /// All values in the order of [`Measure`].
    pub(super) fn all(&self) -> &[Option<f64>; MEASURES] {
        &self.all
    }

    /// Values that follow from several files.
    pub(super) fn derive(&mut self) {
        let usage = self.get(Measure::MemoryUsage);
        let working = usage.zip(self.inactive_file).map(|(usage, inactive)| (usage - inactive).max(0.0));
        self.set(Measure::MemoryWorkingSet, working);
        let limit = self.get(Measure::CpuQuota).zip(self.get(Measure::CpuPeriod));
        self.set(Measure::CpuLimit, limit.filter(|(_, period)| *period > 0.0).map(|(quota, period)| quota / period));
    }
}

/// Takes a file's numbers; `false` when it is not what the kernel writes.
type Parse = fn(&[u8], &mut Values) -> bool;

/// One file of a cgroup.
pub(super) struct Reader {
    pub(super) controller: Controller,
    pub(super) version: Version,
    pub(super) file: &'static str,
    /// Whether it is read at every tick; the others change slowly or cost more.
    pub(super) fast: bool,
    pub(super) parse: Parse,
}

const fn reader(controller: Controller, version: Version, file: &'static str, fast: bool, parse: Parse) -> Reader {
    Reader { controller, version, file, fast, parse }
}

use Controller::{Cpu, CpuAcct, Io as Blocks, Memory, Pids, Pressure};
use Version::{V1, V2};

/// Every file that is read.
pub(super) static READERS: &[Reader] = &[
    reader(Cpu, V2, "cpu.stat", true, cpu_stat_v2),
    reader(Cpu, V2, "cpu.max", false, cpu_max),
    reader(Cpu, V2, "cpu.weight", false, cpu_weight),
    reader(CpuAcct, V1, "cpuacct.usage", true, cpuacct_usage),
    reader(CpuAcct, V1, "cpuacct.stat", true, cpuacct_stat),
    reader(Cpu, V1, "cpu.stat", true, cpu_stat_v1),
    reader(Cpu, V1, "cpu.cfs_quota_us", false, cfs_quota),
    reader(Cpu, V1, "cpu.cfs_period_us", false, |b, v| single(b, v, Measure::CpuPeriod, 1.0)),
    reader(Cpu, V1, "cpu.shares", false, |b, v| single(b, v, Measure::CpuShares, 1.0)),
    reader(Memory, V2, "memory.current", true, |b, v| single(b, v, Measure::MemoryUsage, 1.0)),
    reader(Memory, V2, "memory.stat", false, memory_stat_v2),
    reader(Memory, V2, "memory.events", true, memory_events),
    reader(Memory, V2, "memory.swap.current", false, |b, v| single(b, v, Measure::MemorySwap, 1.0)),
    reader(Memory, V2, "memory.peak", false, |b, v| single(b, v, Measure::MemoryPeak, 1.0)),
    reader(Memory, V2, "memory.max", false, |b, v| limit(b, v, Measure::MemoryLimit)),
    reader(Memory, V2, "memory.high", false, |b, v| limit(b, v, Measure::MemoryHigh)),
    reader(Memory, V2, "memory.low", false, reservation),
    reader(Memory, V2, "memory.swap.max", false, |b, v| limit(b, v, Measure::SwapLimit)),
    reader(Memory, V1, "memory.usage_in_bytes", true, |b, v| single(b, v, Measure::MemoryUsage, 1.0)),
    reader(Memory, V1, "memory.stat", false, memory_stat_v1),
    reader(Memory, V1, "memory.oom_control", true, oom_control),
    reader(Memory, V1, "memory.failcnt", false, |b, v| single(b, v, Measure::MemoryFailures, 1.0)),
    reader(Memory, V1, "memory.max_usage_in_bytes", false, |b, v| single(b, v, Measure::MemoryPeak, 1.0)),
    reader(Memory, V1, "memory.kmem.usage_in_bytes", false, |b, v| single(b, v, Measure::MemoryKernel, 1.0)),
    reader(Memory, V1, "memory.limit_in_bytes", false, |b, v| limit(b, v, Measure::MemoryLimit)),
    reader(Memory, V1, "memory.soft_limit_in_bytes", false, |b, v| limit(b, v, Measure::MemoryReservation)),
    reader(Memory, V1, "memory.memsw.limit_in_bytes", false, |b, v| limit(b, v, Measure::SwapLimit)),
    reader(Pressure, V2, "cpu.pressure", false, |b, v| pressure(b, v, Measure::CpuWaiting, Measure::CpuStalled)),
    reader(Pressure, V2, "memory.pressure", false, |b, v| {
        pressure(b, v, Measure::MemoryWaiting, Measure::MemoryStalled)
    }),
    reader(Pressure, V2, "io.pressure", false, |b, v| pressure(b, v, Measure::IoWaiting, Measure::IoStalled)),
    reader(Blocks, V2, "io.stat", false, io_stat),
    reader(Blocks, V1, "blkio.throttle.io_service_bytes_recursive", false, |b, v| blkio(b, v, 0)),
    reader(Blocks, V1, "blkio.throttle.io_serviced_recursive", false, |b, v| blkio(b, v, 2)),
    reader(Pids, V2, "pids.current", false, |b, v| single(b, v, Measure::Threads, 1.0)),
    reader(Pids, V2, "pids.max", false, |b, v| limit(b, v, Measure::ThreadsLimit)),
    reader(Pids, V1, "pids.current", false, |b, v| single(b, v, Measure::Threads, 1.0)),
    reader(Pids, V1, "pids.max", false, |b, v| limit(b, v, Measure::ThreadsLimit)),
];

/// A file that is one number.
fn single(bytes: &[u8], values: &mut Values, measure: Measure, factor: f64) -> bool {
    let value = number(bytes.trim_ascii()).map(|value| value as f64 * factor);
    values.set(measure, value);
    value.is_some()
}

/// A limit: a number, or `max`.
pub(super) fn parse_limit(bytes: &[u8]) -> Result<Option<f64>, ()> {
    match bytes.trim_ascii() {
        b"max" => Ok(None),
        word => number(word).map(|value| (value < NO_LIMIT).then_some(value as f64)).ok_or(()),
    }
}

fn limit(bytes: &[u8], values: &mut Values, measure: Measure) -> bool {
    let limit = parse_limit(bytes);
    values.set(measure, limit.unwrap_or_default());
    limit.is_ok()
}

/// A protection of 0 bytes is none.
fn reservation(bytes: &[u8], values: &mut Values) -> bool {
    let parsed = parse_limit(bytes);
    values.set(Measure::MemoryReservation, parsed.unwrap_or_default().filter(|bytes| *bytes > 0.0));
    parsed.is_ok()
}

/// Quota and period in microseconds of `cpu.max`: `max 100000`, `50000 100000`.
pub(super) fn parse_cpu_max(bytes: &[u8]) -> Option<(Option<f64>, f64)> {
    let mut parts = words(bytes);
    let quota = parse_limit(parts.next()?).ok()?;
    Some((quota, number(parts.next()?).filter(|period| *period > 0)? as f64))
}

fn cpu_max(bytes: &[u8], values: &mut Values) -> bool {
    let parsed = parse_cpu_max(bytes);
    values.set(Measure::CpuQuota, parsed.and_then(|(quota, _)| quota));
    values.set(Measure::CpuPeriod, parsed.map(|(_, period)| period));
    parsed.is_some()
}

/// The quota of v1; below zero there is none.
fn cfs_quota(bytes: &[u8], values: &mut Values) -> bool {
    let quota = signed(bytes.trim_ascii());
    values.set(Measure::CpuQuota, quota.filter(|quota| *quota > 0).map(|quota| quota as f64));
    quota.is_some()
}

/// The weight of v2, and the shares of v1 that mean the same: 1 to 10,000 are spread over 2 to 262,144.
fn cpu_weight(bytes: &[u8], values: &mut Values) -> bool {
    let weight = number(bytes.trim_ascii()).filter(|weight| (1..=10_000).contains(weight)).map(|weight| weight as f64);
    values.set(Measure::CpuWeight, weight);
    values.set(Measure::CpuShares, weight.map(|weight| (2.0 + (weight - 1.0) * 262_142.0 / 9_999.0).floor()));
    weight.is_some()
}

/// The number behind a key: `nr_periods 12`.
fn keyed(bytes: &[u8], key: &[u8]) -> Option<f64> {
    let line = lines(bytes).find_map(|line| line.strip_prefix(key)?.strip_prefix(b" "))?;
    number(line.trim_ascii()).map(|value| value as f64)
}

fn take(bytes: &[u8], values: &mut Values, wanted: &[(&str, Measure, f64)]) {
    for (key, measure, factor) in wanted {
        values.set(*measure, keyed(bytes, key.as_bytes()).map(|value| value * factor));
    }
}

fn cpu_stat_v2(bytes: &[u8], values: &mut Values) -> bool {
    let wanted = [
        ("usage_usec", Measure::CpuUsage, 1e-6),
        ("user_usec", Measure::CpuUser, 1e-6),
        ("system_usec", Measure::CpuSystem, 1e-6),
        ("nr_periods", Measure::CpuPeriods, 1.0),
        ("nr_throttled", Measure::CpuThrottledPeriods, 1.0),
        ("throttled_usec", Measure::CpuThrottled, 1e-6),
    ];
    take(bytes, values, &wanted);
    values.get(Measure::CpuUsage).is_some()
}

fn cpu_stat_v1(bytes: &[u8], values: &mut Values) -> bool {
    let wanted = [
        ("nr_periods", Measure::CpuPeriods, 1.0),
        ("nr_throttled", Measure::CpuThrottledPeriods, 1.0),
        ("throttled_time", Measure::CpuThrottled, 1e-9),
    ];
    take(bytes, values, &wanted);
    values.get(Measure::CpuPeriods).is_some()
}

fn cpuacct_usage(bytes: &[u8], values: &mut Values) -> bool {
    single(bytes, values, Measure::CpuUsage, 1e-9)
}

fn cpuacct_stat(bytes: &[u8], values: &mut Values) -> bool {
    let tick = 1.0 / user_hz();
    take(bytes, values, &[("user", Measure::CpuUser, tick), ("system", Measure::CpuSystem, tick)]);
    values.get(Measure::CpuUser).is_some()
}

fn memory_stat_v2(bytes: &[u8], values: &mut Values) -> bool {
    let wanted = [
        ("anon", Measure::MemoryRss, 1.0),
        ("file", Measure::MemoryCache, 1.0),
        ("file_mapped", Measure::MemoryMapped, 1.0),
        ("kernel", Measure::MemoryKernel, 1.0),
    ];
    take(bytes, values, &wanted);
    values.inactive_file = keyed(bytes, b"inactive_file");
    values.faults = FAULTS.map(|key| keyed(bytes, key.as_bytes()));
    values.get(Measure::MemoryRss).is_some()
}

fn memory_stat_v1(bytes: &[u8], values: &mut Values) -> bool {
    let wanted = [
        ("total_rss", Measure::MemoryRss, 1.0),
        ("total_cache", Measure::MemoryCache, 1.0),
        ("total_mapped_file", Measure::MemoryMapped, 1.0),
        ("total_swap", Measure::MemorySwap, 1.0),
    ];
    take(bytes, values, &wanted);
    // Kernels that do not sum up the cgroups below have the own numbers only.
    for (key, measure) in [("rss", Measure::MemoryRss), ("cache", Measure::MemoryCache)] {
        if values.get(measure).is_none() {
            take(bytes, values, &[(key, measure, 1.0)]);
        }
    }
    let of = |total: &[u8], own: &[u8]| keyed(bytes, total).or_else(|| keyed(bytes, own));
    values.inactive_file = of(b"total_inactive_file", b"inactive_file");
    values.faults = [of(b"total_pgfault", b"pgfault"), of(b"total_pgmajfault", b"pgmajfault")];
    values.get(Measure::MemoryRss).is_some()
}

fn memory_events(bytes: &[u8], values: &mut Values) -> bool {
    values.events = EVENTS.map(|key| keyed(bytes, key.as_bytes()));
    let [_, _, max, _, kills] = values.events;
    values.set(Measure::MemoryFailures, max);
    values.set(Measure::OomKills, kills);
    max.is_some()
}

/// Kernels before 4.13 have no line for kills.
fn oom_control(bytes: &[u8], values: &mut Values) -> bool {
    let kills = keyed(bytes, b"oom_kill");
    values.set(Measure::OomKills, kills);
    values.events = [None, None, None, None, kills];
    keyed(bytes, b"under_oom").is_some()
}

fn pressure(bytes: &[u8], values: &mut Values, some: Measure, full: Measure) -> bool {
    let stalled = |start: &[u8]| {
        let line = lines(bytes).find_map(|line| line.strip_prefix(start))?;
        words(line).find_map(|word| word.strip_prefix(b"total=")).and_then(number).map(|us| us as f64 / 1e6)
    };
    values.set(some, stalled(b"some "));
    values.set(full, stalled(b"full "));
    values.get(some).is_some()
}

fn device(word: &[u8]) -> Option<(u32, u32)> {
    let colon = word.iter().position(|byte| *byte == b':')?;
    let part = |bytes: &[u8]| number(bytes).and_then(|value| u32::try_from(value).ok());
    Some((part(word.get(..colon)?)?, part(word.get(colon + 1..)?)?))
}

/// Whether a device is memory or a file (RAM disks, loops): what is below them is counted anyway.
fn is_virtual((major, _): (u32, u32)) -> bool {
    matches!(major, 1 | 7)
}

fn io_of(values: &mut Values, device: (u32, u32)) -> Option<&mut Io> {
    if let Some(place) = values.io.iter().position(|io| io.device == device) {
        return values.io.get_mut(place);
    }
    if values.io.len() >= MAX_DEVICES {
        return None;
    }
    values.io.push(Io { device, ..Io::default() });
    values.io.last_mut()
}

fn io_stat(bytes: &[u8], values: &mut Values) -> bool {
    values.io.clear();
    let mut understood = true;
    for line in lines(bytes) {
        let mut parts = words(line);
        let Some(device) = parts.next().and_then(device) else {
            understood = false;
            continue;
        };
        if is_virtual(device) {
            continue;
        }
        let Some(io) = io_of(values, device) else { continue };
        for part in parts {
            let keys: [&[u8]; 4] = [b"rbytes=", b"wbytes=", b"rios=", b"wios="];
            for (count, key) in io.counts.iter_mut().zip(keys) {
                if let Some(value) = part.strip_prefix(key) {
                    *count = number(value).map(|value| value as f64);
                }
            }
        }
    }
    understood
}

/// Lines `8:0 Read 123`; `at` is where in [`Io::counts`] this file's reads and writes go.
fn blkio(bytes: &[u8], values: &mut Values, at: usize) -> bool {
    for io in &mut values.io {
        io.counts.iter_mut().skip(at).take(2).for_each(|count| *count = None);
    }
    for line in lines(bytes) {
        let mut parts = words(line);
        let Some(device) = parts.next().and_then(device).filter(|device| !is_virtual(*device)) else { continue };
        let place = match parts.next() {
            Some(b"Read") => at,
            Some(b"Write") => at + 1,
            _ => continue,
        };
        let value = parts.next().and_then(number).map(|value| value as f64);
        if let Some(count) = io_of(values, device).and_then(|io| io.counts.get_mut(place)) {
            *count = value;
        }
    }
    values.io.retain(|io| io.counts.iter().any(Option::is_some));
    true
}

#[cfg(test)]
mod tests {
    use super::{Measure, READERS, Values, Version};

    fn parse(file: &str, version: Version, text: &[u8]) -> (bool, Values) {
        let reader = READERS.iter().find(|reader| reader.file == file && reader.version == version).unwrap();
        let mut values = Values::default();
        let understood = (reader.parse)(text, &mut values);
        values.derive();
        (understood, values)
    }

    #[test]
    fn files_of_both_versions_hostile_ones_too() {
        use Measure::*;
        use Version::{V1, V2};
        type Case = (&'static str, Version, &'static [u8], bool, Measure, Option<f64>);
        let cases: &[Case] = &[
            ("cpu.stat", V2, b"usage_usec 1500000\nuser_usec 7\n", true, CpuUsage, Some(1.5)),
            ("cpu.stat", V2, b"usage_usec 18446744073709551615\n", true, CpuUsage, Some(18_446_744_073_709.55)),
            ("cpu.stat", V2, b"usage_usec -1\n", false, CpuUsage, None),
            ("cpu.stat", V2, b"\xff\xfe\0", false, CpuUsage, None),
            ("cpu.stat", V2, b"usage_usecs 5\n", false, CpuUsage, None),
            (
                "cpu.stat",
                V1,
                b"nr_periods 3\nnr_throttled 2\nthrottled_time 2500000000\n",
                true,
                CpuThrottled,
                Some(2.5),
            ),
            ("cpuacct.usage", V1, b"2000000000\n", true, CpuUsage, Some(2.0)),
            ("cpuacct.usage", V1, b"", false, CpuUsage, None),
            ("cpu.max", V2, b"150000 100000\n", true, CpuLimit, Some(1.5)),
            ("cpu.max", V2, b"max 100000\n", true, CpuLimit, None),
            ("cpu.max", V2, b"5 0\n", false, CpuLimit, None),
            ("cpu.max", V2, b"5\n", false, CpuQuota, None),
            ("cpu.cfs_quota_us", V1, b"-1\n", true, CpuQuota, None),
            ("cpu.cfs_quota_us", V1, b"x\n", false, CpuQuota, None),
            ("cpu.weight", V2, b"100\n", true, CpuShares, Some(2597.0)),
            ("cpu.weight", V2, b"1\n", true, CpuShares, Some(2.0)),
            ("cpu.weight", V2, b"0\n", false, CpuWeight, None),
            ("memory.max", V2, b"max\n", true, MemoryLimit, None),
            ("memory.max", V2, b"1024\n", true, MemoryLimit, Some(1024.0)),
            ("memory.max", V2, b"99999999999999999999999\n", false, MemoryLimit, None),
            ("memory.limit_in_bytes", V1, b"9223372036854771712\n", true, MemoryLimit, None),
            ("memory.stat", V1, b"cache 5\nrss 7\nhierarchical_memory_limit 9\n", true, MemoryRss, Some(7.0)),
            ("memory.stat", V1, b"rss 7\ntotal_rss 8\n", true, MemoryRss, Some(8.0)),
            ("memory.stat", V2, b"anon 3\n", true, MemoryCache, None),
            ("memory.stat", V2, b"", false, MemoryRss, None),
            ("cpu.pressure", V2, b"", false, CpuWaiting, None),
            ("memory.low", V2, b"0\n", true, MemoryReservation, None),
            ("memory.events", V2, b"low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\n", true, OomKills, Some(5.0)),
            ("memory.events", V2, b"", false, OomKills, None),
            ("memory.oom_control", V1, b"oom_kill_disable 0\nunder_oom 0\noom_kill 6\n", true, OomKills, Some(6.0)),
            ("memory.oom_control", V1, b"oom_kill_disable 0\nunder_oom 0\n", true, OomKills, None),
            ("cpu.pressure", V2, b"some avg10=0.00 total=3000000\nfull avg10=0 total=7\n", true, CpuWaiting, Some(3.0)),
            ("cpu.pressure", V2, b"some avg10=0.00\n", false, CpuWaiting, None),
            ("pids.max", V2, b"max\n", true, ThreadsLimit, None),
        ];
        for (file, version, text, understood, measure, expected) in cases {
            let (found, values) = parse(file, *version, text);
            let shown = String::from_utf8_lossy(text);
            assert_eq!((found, values.get(*measure)), (*understood, *expected), "{file} {shown:?}");
        }
    }

    #[test]
    fn the_working_set_is_never_negative() {
        for (usage, inactive, expected) in [("100", "30", Some(70.0)), ("100", "130", Some(0.0)), ("x", "1", None)] {
            let mut values = Values::default();
            for (file, text) in
                [("memory.current", usage.to_owned()), ("memory.stat", format!("inactive_file {inactive}\n"))]
            {
                let reader =
                    READERS.iter().find(|reader| reader.file == file && reader.version == Version::V2).unwrap();
                (reader.parse)(text.as_bytes(), &mut values);
            }
            values.derive();
            assert_eq!(values.get(Measure::MemoryWorkingSet), expected);
        }
    }

    #[test]
    fn devices() {
        let text = b"8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n7:0 rbytes=9\n259:1 rbytes=x\n8:16\nbad\n";
        let (understood, values) = parse("io.stat", Version::V2, text);
        assert!(!understood);
        let counts: Vec<_> = values.io.iter().map(|io| (io.device, io.counts)).collect();
        assert_eq!(
            counts,
            [((8, 0), [Some(1.0), Some(2.0), Some(3.0), Some(4.0)]), ((259, 1), [None; 4]), ((8, 16), [None; 4]),]
        );
        let many: String = (0..1000).map(|minor| format!("8:{minor} rbytes=1\n")).collect();
        assert_eq!(parse("io.stat", Version::V2, many.as_bytes()).1.io.len(), super::MAX_DEVICES);
        let (_, values) = parse(
            "blkio.throttle.io_service_bytes_recursive",
            Version::V1,
            b"8:0 Read 5\n8:0 Write 6\n8:0 Total 11\nTotal 11\n",
        );
        assert_eq!(values.io[0].counts, [Some(5.0), Some(6.0), None, None]);
    }
}
