//! All collectors on the synthetic machine, whole and damaged: nothing panics, and no collector stops another.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::{SLOW_COLLECTORS, WELL_WITHOUT};
use super::{Roots, SystemConfig};
use crate::collect::testing::{Interner, Page, page};
use crate::collect::{CollectError, Collector, Reading};
use crate::model::{Batch, GroupId, Timestamp};

#[path = "../../../tests/it/support/tree.rs"]
mod tree;

/// Collectors whose values move by themselves.
const MOVING: [&str; 3] = ["time", "timex", "filesystem"];

/// The machine, and one set of collectors that lives through everything.
struct Machine {
    root: tempfile::TempDir,
    files: Vec<(PathBuf, String)>,
}

type Pages = BTreeMap<&'static str, Page>;

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        tree::unpack(root.path());
        let mut files = Vec::new();
        walk(root.path(), &mut files);
        files.sort();
        let files = files.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect();
        Self { root, files }
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let mut config = SystemConfig { roots: Roots::under(self.root.path()), ..SystemConfig::default() };
        config.options.cpu_info.info = true;
        super::linux(&config, &Arc::default())
    }

    fn restore(&self) {
        for (path, text) in &self.files {
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            }
            std::fs::write(path, text).unwrap();
        }
    }
}

/// Files below a folder; links lead to files that are found anyway.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => walk(&entry.path(), files),
            kind if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
}

fn collect(collector: &mut dyn Collector, intern: &Interner, now: Timestamp) -> (Page, Result<Reading, CollectError>) {
    let mut batch = Batch::new(GroupId(0), now);
    let name = collector.name();
    let result = catch_unwind(AssertUnwindSafe(|| collector.collect(now, intern, &mut batch)));
    (page(intern, &batch), result.unwrap_or_else(|_| panic!("{name} panicked")))
}

/// One tick of all; every value that is shown is a number.
fn tick(collectors: &mut [Box<dyn Collector>], intern: &Interner, now: Timestamp) -> Pages {
    let one = |collector: &mut Box<dyn Collector>| {
        let page = collect(&mut **collector, intern, now).0;
        assert!(page.values().all(|value| value.is_finite()), "{}: {page:?}", collector.name());
        (collector.name(), page)
    };
    collectors.iter_mut().map(one).collect()
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }
}

/// Replaces each run of digits.
fn with_numbers(text: &str, number: &str) -> String {
    let mut out = String::new();
    let mut in_number = false;
    for c in text.chars() {
        if c.is_ascii_digit() {
            if !in_number {
                out.push_str(number);
            }
            in_number = true;
        } else {
            in_number = false;
            out.push(c);
        }
    }
    out
}

#[test]
fn everything_is_read_and_then_nothing_is_interned() {
    let machine = Machine::new();
    let intern = Interner::default();
    let mut collectors = machine.collectors();
    let names: Vec<&str> = collectors.iter().map(|collector| collector.name()).collect();
    assert!(SLOW_COLLECTORS.iter().chain(&WELL_WITHOUT).all(|name| names.contains(name)));
    for collector in &mut collectors {
        let (page, result) = collect(&mut **collector, &intern, 1_000);
        match (collector.name(), result) {
            (_, Ok(Reading::Complete)) => assert!(!page.is_empty(), "{}", collector.name()),
            // The first needs a mount, the second asks the kernel, the third has trees of its own.
            ("selinux" | "timex" | "cgroup", _) => {}
            (name, result) => panic!("{name}: {result:?}"),
        }
    }
    let count = intern.count();
    for now in [2_000, 3_000, 40_000] {
        tick(&mut collectors, &intern, now);
    }
    assert_eq!((intern.count(), intern.released()), (count, 0));
    assert!(count > 1_000, "only {count} series");
}

/// A file, and the collectors that may say something else when it is damaged.
const DAMAGED: [(&str, &[&str]); 32] = [
    ("proc/stat", &["cpu", "stat"]),
    ("proc/loadavg", &["loadavg"]),
    ("proc/meminfo", &["meminfo"]),
    ("proc/vmstat", &["vmstat"]),
    ("proc/diskstats", &["diskstats"]),
    ("proc/schedstat", &["schedstat"]),
    ("proc/mdstat", &["mdadm"]),
    ("proc/1/mounts", &["filesystem"]),
    ("proc/net/dev", &["netdev"]),
    ("proc/net/arp", &["arp"]),
    ("proc/net/snmp", &["netstat"]),
    ("proc/net/snmp6", &["netstat"]),
    ("proc/net/sockstat", &["sockstat"]),
    ("proc/net/softnet_stat", &["softnet"]),
    ("proc/net/udp", &["udp_queues"]),
    ("proc/net/ip_vs", &["ipvs"]),
    ("proc/net/ip_vs_stats", &["ipvs"]),
    ("proc/net/rpc/nfs", &["nfs"]),
    ("proc/net/rpc/nfsd", &["nfsd"]),
    ("proc/net/stat/nf_conntrack", &["conntrack"]),
    ("proc/spl/kstat/zfs/arcstats", &["zfs"]),
    ("proc/spl/kstat/zfs/pool1/io", &["zfs"]),
    ("proc/pressure/io", &["pressure"]),
    ("sys/fs/xfs/sda1/stats/stats", &["xfs"]),
    ("sys/class/infiniband/mlx4_0/ports/1/rate", &["infiniband"]),
    ("sys/class/power_supply/BAT0/capacity", &["powersupplyclass"]),
    ("sys/class/nvme/nvme0/model", &["nvme"]),
    ("sys/class/net/bond0/bonding/slaves", &["bonding"]),
    ("sys/class/net/eth0/mtu", &["netclass"]),
    ("sys/devices/system/edac/mc/mc0/ce_count", &["edac"]),
    ("sys/devices/platform/coretemp.0/hwmon/hwmon0/temp1_input", &["hwmon"]),
    ("rootfs/etc/os-release", &["os"]),
];

#[test]
fn a_damaged_file_costs_its_own_collector_only() {
    let machine = Machine::new();
    let whole = tick(&mut machine.collectors(), &Interner::default(), 1_000);
    for (file, allowed) in DAMAGED {
        let path = machine.root.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        let half = text.get(..text.len() / 2).unwrap_or_default();
        for damage in [b"\xff\x00\xfe garbage\n\n: :\n".as_slice(), half.as_bytes()] {
            std::fs::write(&path, damage).unwrap();
            let found = tick(&mut machine.collectors(), &Interner::default(), 1_000);
            for (name, page) in &found {
                let free = allowed.contains(name) || MOVING.contains(name);
                assert!(free || whole.get(name) == Some(page), "{file} changed {name}");
            }
        }
        std::fs::write(&path, &text).unwrap();
    }
}

#[test]
fn numbers_beyond_all_bounds_and_counters_that_wrap() {
    let machine = Machine::new();
    let intern = Interner::default();
    let mut living = machine.collectors();
    let whole = tick(&mut living, &intern, 1_000);
    let numbers =
        ["18446744073709551615", "0", "99999999999999999999999999", "-1", "4294967296", "1e400", "0x", "1.2.3"];
    for (round, number) in (1..).zip(numbers) {
        for (path, text) in &machine.files {
            std::fs::write(path, with_numbers(text, number)).unwrap();
        }
        tick(&mut living, &intern, 1_000 + 40_000 * round);
        tick(&mut machine.collectors(), &Interner::default(), 1_000);
    }
    machine.restore();
    tick(&mut living, &intern, 1_000_000);
    let healed = tick(&mut living, &intern, 1_040_000);
    for (name, page) in &whole {
        let lost: Vec<&String> = page.keys().filter(|series| !healed[name].contains_key(*series)).collect();
        assert!(lost.is_empty(), "{name} lost {lost:?}");
    }
}

#[test]
fn random_damage_never_panics_and_heals() {
    let machine = Machine::new();
    let intern = Interner::default();
    let mut living = machine.collectors();
    let whole = tick(&mut living, &intern, 1_000);
    let mut dice = Dice(20);
    for round in 1..=12 {
        for (path, text) in &machine.files {
            if dice.below(5) > 0 {
                continue;
            }
            let bytes = text.as_bytes();
            match dice.below(6) {
                0 => std::fs::write(path, bytes.get(..dice.below(bytes.len() + 1)).unwrap_or_default()).unwrap(),
                1 => {
                    let noise: Vec<u8> = (0..dice.below(300)).map(|_| dice.below(256) as u8).collect();
                    std::fs::write(path, noise).unwrap();
                }
                2 => {
                    let mut bytes = bytes.to_vec();
                    for _ in 0..=dice.below(8) {
                        let at = dice.below(bytes.len());
                        let noise = dice.below(256) as u8;
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte = noise;
                        }
                    }
                    std::fs::write(path, bytes).unwrap();
                }
                3 => std::fs::remove_file(path).unwrap(),
                4 => {
                    std::fs::remove_file(path).unwrap();
                    std::fs::create_dir(path).unwrap();
                }
                _ => std::fs::write(path, bytes.repeat(1 + dice.below(20))).unwrap(),
            }
        }
        tick(&mut living, &intern, 1_000 + 40_000 * round);
        tick(&mut machine.collectors(), &Interner::default(), 1_000);
        machine.restore();
    }
    tick(&mut living, &intern, 2_000_000);
    let healed = tick(&mut living, &intern, 2_040_000);
    for (name, page) in &whole {
        let lost: Vec<&String> = page.keys().filter(|series| !healed[name].contains_key(*series)).collect();
        assert!(lost.is_empty(), "{name} lost {lost:?}");
    }
}

/// Files whose content is remembered between ticks, beside those of [`DAMAGED`].
const REMEMBERED: [&str; 10] = [
    "proc/cpuinfo",
    "proc/spl/kstat/zfs/pool1/objset-1",
    "proc/spl/kstat/zfs/pool1/state",
    "rootfs/run/udev/data/b8:0",
    "sys/class/hwmon/hwmon1/name",
    "sys/class/net/eth0/operstate",
    "sys/class/net/bond0/lower_eth1/bonding_slave/mii_status",
    "sys/class/thermal/thermal_zone0/type",
    "sys/devices/system/clocksource/clocksource0/current_clocksource",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
];

/// A file that goes, becomes a folder or is replaced: the next look says what a collector would say that starts now.
#[test]
fn nothing_of_the_past_is_shown() {
    let machine = Machine::new();
    let intern = Interner::default();
    let mut living = machine.collectors();
    let mut now = 1_000;
    tick(&mut living, &intern, now);
    for file in DAMAGED.iter().map(|(file, _)| *file).chain(REMEMBERED) {
        let path = machine.root.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        let fresh = path.with_extension("fresh");
        for damage in ["removed", "a folder", "replaced"] {
            std::fs::remove_file(&path).unwrap();
            match damage {
                "a folder" => std::fs::create_dir(&path).unwrap(),
                "replaced" => {
                    let text = with_numbers(&text, "7").replace("up", "down").replace("ONLINE", "DEGRADED");
                    std::fs::write(&fresh, text).unwrap();
                    std::fs::rename(&fresh, &path).unwrap();
                }
                _ => {}
            }
            now += 40_000;
            let lives = tick(&mut living, &intern, now);
            let starts = tick(&mut machine.collectors(), &Interner::default(), now);
            for (name, page) in &starts {
                assert!(MOVING.contains(name) || lives.get(name) == Some(page), "{file} {damage}: {name}");
            }
            if path.is_dir() {
                std::fs::remove_dir(&path).unwrap();
            }
            std::fs::write(&path, &text).unwrap();
        }
    }
}
