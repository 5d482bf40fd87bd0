use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::layout::Layout;
use super::{CgroupConfig, CgroupPattern, Cgroups};
use crate::clock::Stopwatch;
use crate::collect::Reading;
use crate::collect::system::Roots;
use crate::collect::testing::{Interner, Page, collect, put};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A synthetic machine and the collector over it.
struct Machine {
    folder: tempfile::TempDir,
    cgroups: Cgroups,
    intern: Interner,
    now: i64,
}

impl Machine {
    fn new(mounts: &[(&str, &str, &str)], own: &str, config: &CgroupConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let line = |(root, point, rest): &(&str, &str, &str)| format!("30 20 0:1 {root} {point} rw - {rest}\n");
        put(folder.path(), "proc/self/mountinfo", &mounts.iter().map(line).collect::<String>());
        put(folder.path(), "proc/self/cgroup", own);
        let mut cgroups = Cgroups::new(&Roots::under(folder.path()), config);
        // A deleted file of a disk can still be read through a handle; one of a cgroup cannot.
        cgroups.keep_open(0);
        Self { folder, cgroups, intern: Interner::default(), now: 0 }
    }

    fn put(&self, path: &str, text: &str) {
        put(self.folder.path(), &format!("sys/fs/cgroup/{path}"), text);
    }

    fn remove(&self, path: &str) {
        std::fs::remove_dir_all(self.folder.path().join("sys/fs/cgroup").join(path)).unwrap();
    }

    fn tick(&mut self) -> (Page, Reading) {
        self.now += 1000;
        let (page, result) = collect(&mut self.cgroups, &self.intern, self.now);
        (page, result.unwrap())
    }
}

const V2: &[(&str, &str, &str)] = &[("/", "/sys/fs/cgroup", "cgroup2 cgroup2 rw")];
const V1: &[(&str, &str, &str)] = &[
    ("/", "/sys/fs/cgroup/cpu,cpuacct", "cgroup cgroup rw,cpu,cpuacct"),
    ("/", "/sys/fs/cgroup/memory", "cgroup cgroup rw,memory"),
    ("/", "/sys/fs/cgroup/pids", "cgroup cgroup rw,pids"),
    ("/", "/sys/fs/cgroup/blkio", "cgroup cgroup rw,blkio"),
    ("/", "/sys/fs/cgroup/cpuset", "cgroup cgroup rw,cpuset"),
    ("/", "/sys/fs/cgroup/systemd", "cgroup cgroup rw,xattr,name=systemd"),
];

fn fill_v2(machine: &Machine, path: &str) {
    for (file, text) in [
        (
            "cpu.stat",
            "usage_usec 5000000\nuser_usec 3000000\nsystem_usec 2000000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 250000\n",
        ),
        ("cpu.max", "150000 100000\n"),
        ("cpu.weight", "100\n"),
        ("memory.current", "1000\n"),
        ("memory.stat", "anon 300\nfile 600\nkernel 50\nfile_mapped 20\ninactive_file 400\npgfault 9\npgmajfault 2\n"),
        ("memory.events", "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\n"),
        ("memory.swap.current", "70\n"),
        ("memory.peak", "1200\n"),
        ("memory.max", "2000\n"),
        ("memory.high", "1800\n"),
        ("memory.low", "100\n"),
        ("memory.swap.max", "max\n"),
        ("cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\nfull avg10=0 total=500000\n"),
        ("memory.pressure", "some avg10=0.00 total=2000000\nfull avg10=0 total=1500000\n"),
        ("io.pressure", "some avg10=0.00 total=3000000\nfull avg10=0 total=2500000\n"),
        ("io.stat", "8:0 rbytes=11 wbytes=12 rios=13 wios=14 dbytes=0 dios=0\n"),
        ("pids.current", "6\n"),
        ("pids.max", "60\n"),
    ] {
        machine.put(&format!("{path}/{file}"), text);
    }
}

/// Series of one cgroup as `name labels value`, without the three labels that all have.
fn of(page: &Page, id: &str) -> Vec<String> {
    let wanted = format!("id=\"{id}\"");
    let found = page.iter().filter(|(name, _)| name.contains(&wanted)).map(|(name, value)| {
        let (name, labels) = name.trim_end_matches('}').split_once('{').unwrap();
        let others =
            labels.split(", ").filter(|label| !["id=", "kind=", "name="].iter().any(|start| label.starts_with(start)));
        let text: Vec<String> =
            std::iter::once(name.to_owned()).chain(others.map(|label| label.replace('"', ""))).collect();
        format!("{} {value}", text.join(" "))
    });
    let mut found: Vec<String> = found.collect();
    found.sort();
    found
}

/// What [`fill_v2`] amounts to.
const WHOLE_V2: &[&str] = &[
    "container_cpu_cfs_periods_total 10",
    "container_cpu_cfs_throttled_periods_total 4",
    "container_cpu_cfs_throttled_seconds_total 0.25",
    "container_cpu_system_seconds_total 2",
    "container_cpu_usage_seconds_total 5",
    "container_cpu_user_seconds_total 3",
    "container_fs_reads_bytes_total device=/dev/sda 11",
    "container_fs_reads_total device=/dev/sda 13",
    "container_fs_writes_bytes_total device=/dev/sda 12",
    "container_fs_writes_total device=/dev/sda 14",
    "container_memory_cache 600",
    "container_memory_events_total event=high 2",
    "container_memory_events_total event=low 1",
    "container_memory_events_total event=max 3",
    "container_memory_events_total event=oom 4",
    "container_memory_events_total event=oom_kill 5",
    "container_memory_failcnt 3",
    "container_memory_failures_total failure_type=pgfault scope=hierarchy 9",
    "container_memory_failures_total failure_type=pgmajfault scope=hierarchy 2",
    "container_memory_kernel_usage 50",
    "container_memory_mapped_file 20",
    "container_memory_max_usage_bytes 1200",
    "container_memory_rss 300",
    "container_memory_swap 70",
    "container_memory_usage_bytes 1000",
    "container_memory_working_set_bytes 600",
    "container_oom_events_total 5",
    "container_pressure_cpu_stalled_seconds_total 0.5",
    "container_pressure_cpu_waiting_seconds_total 1",
    "container_pressure_io_stalled_seconds_total 2.5",
    "container_pressure_io_waiting_seconds_total 3",
    "container_pressure_memory_stalled_seconds_total 1.5",
    "container_pressure_memory_waiting_seconds_total 2",
    "container_spec_cpu_limit_cores 1.5",
    "container_spec_cpu_period 100000",
    "container_spec_cpu_quota 150000",
    "container_spec_cpu_shares 2597",
    "container_spec_cpu_weight 100",
    "container_spec_memory_high_bytes 1800",
    "container_spec_memory_limit_bytes 2000",
    "container_spec_memory_reservation_limit_bytes 100",
    "container_threads 6",
    "container_threads_max 60",
];

#[test]
fn version_2_whole() {
    let mut machine = Machine::new(V2, "0::/system.slice/a.service\n", &CgroupConfig::default());
    put(machine.folder.path(), "sys/dev/block/8:0/uevent", "MAJOR=8\nDEVNAME=sda\n");
    machine.put("cpu.stat", "usage_usec 7000000\n");
    machine.put("system.slice/cpu.stat", "usage_usec 6000000\n");
    machine.put("system.slice/cpu.max", "100000 100000\n");
    machine.put("system.slice/memory.max", "max\n");
    machine.put("system.slice/pids.max", "50\n");
    machine.put("system.slice/a.service/cpuset.cpus.effective", "0-2\n");
    fill_v2(&machine, "system.slice/a.service");
    fill_v2(&machine, &format!("system.slice/docker-{ID}.scope"));
    machine.put(&format!("system.slice/docker-{ID}.scope/init/cpu.stat"), "usage_usec 1\n");
    machine.put("system.slice/tmp.mount/cpu.stat", "usage_usec 1\n");
    let (page, reading) = machine.tick();
    assert_eq!(reading, Reading::Complete);
    assert_eq!(of(&page, "/system.slice/a.service"), WHOLE_V2);
    assert_eq!(of(&page, "/"), ["container_cpu_usage_seconds_total 7"]);
    let container = format!("/system.slice/docker-{ID}.scope");
    let info = format!("container_info container_id={ID} runtime=docker 1");
    let mut expected: Vec<&str> = WHOLE_V2.to_vec();
    expected.push(&info);
    expected.sort_unstable();
    assert_eq!(of(&page, &container), expected);
    let series =
        format!(r#"container_cpu_usage_seconds_total{{id="{container}", kind="container", name="0123456789ab"}}"#);
    assert_eq!(page[&series], 5.0);
    assert!(of(&page, &format!("{container}/init")).is_empty() && of(&page, "/system.slice/tmp.mount").is_empty());
    // The least along the own path.
    for (name, value) in [
        ("container_self_cpu_limit_cores", 1.0),
        ("container_self_cpuset_cpus", 3.0),
        ("container_self_memory_limit_bytes", 2000.0),
        ("container_self_memory_high_bytes", 1800.0),
        ("container_self_threads_max", 50.0),
        (r#"container_cgroups_watched{version="v2"}"#, 4.0),
        (r#"container_cgroups_left_out{version="v2"}"#, 0.0),
    ] {
        assert_eq!(page.get(name), Some(&value), "{name}");
    }
    // A known machine makes no series anew.
    let known = machine.intern.count();
    for _ in 0..30 {
        assert_eq!(machine.tick().0.len(), page.len());
    }
    assert_eq!(machine.intern.count(), known);
}

fn fill_v1(machine: &Machine, path: &str) {
    for (file, text) in [
        ("cpu,cpuacct/PATH/cpuacct.usage", "5000000000\n"),
        ("cpu,cpuacct/PATH/cpuacct.stat", "user 300\nsystem 200\n"),
        ("cpu,cpuacct/PATH/cpu.stat", "nr_periods 10\nnr_throttled 4\nthrottled_time 250000000\n"),
        ("cpu,cpuacct/PATH/cpu.cfs_quota_us", "50000\n"),
        ("cpu,cpuacct/PATH/cpu.cfs_period_us", "100000\n"),
        ("cpu,cpuacct/PATH/cpu.shares", "1024\n"),
        ("memory/PATH/memory.usage_in_bytes", "1000\n"),
        ("memory/PATH/memory.stat", "total_rss 300\ntotal_cache 600\ntotal_swap 70\ntotal_inactive_file 400\n"),
        ("memory/PATH/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"),
        ("memory/PATH/memory.failcnt", "3\n"),
        ("memory/PATH/memory.limit_in_bytes", "2000\n"),
        ("memory/PATH/memory.memsw.limit_in_bytes", "9223372036854771712\n"),
        ("pids/PATH/pids.current", "6\n"),
        ("pids/PATH/pids.max", "max\n"),
        ("blkio/PATH/blkio.throttle.io_service_bytes_recursive", "8:0 Read 11\n8:0 Write 12\nTotal 23\n"),
        ("blkio/PATH/blkio.throttle.io_serviced_recursive", "8:0 Read 13\n8:0 Write 14\nTotal 27\n"),
        ("cpuset/PATH/cpuset.cpus", "1,3\n"),
    ] {
        machine.put(&file.replace("PATH", path), text);
    }
}

/// What [`fill_v1`] amounts to.
const WHOLE_V1: &[&str] = &[
    "container_cpu_cfs_periods_total 10",
    "container_cpu_cfs_throttled_periods_total 4",
    "container_cpu_cfs_throttled_seconds_total 0.25",
    "container_cpu_system_seconds_total 2",
    "container_cpu_usage_seconds_total 5",
    "container_cpu_user_seconds_total 3",
    "container_fs_reads_bytes_total device=8:0 11",
    "container_fs_reads_total device=8:0 13",
    "container_fs_writes_bytes_total device=8:0 12",
    "container_fs_writes_total device=8:0 14",
    "container_memory_cache 600",
    "container_memory_events_total event=oom_kill 5",
    "container_memory_failcnt 3",
    "container_memory_rss 300",
    "container_memory_swap 70",
    "container_memory_usage_bytes 1000",
    "container_memory_working_set_bytes 600",
    "container_oom_events_total 5",
    "container_spec_cpu_limit_cores 0.5",
    "container_spec_cpu_period 100000",
    "container_spec_cpu_quota 50000",
    "container_spec_cpu_shares 1024",
    "container_spec_memory_limit_bytes 2000",
    "container_threads 6",
];

#[test]
fn version_1_and_hybrid() {
    let own =
        format!("4:memory:/docker/{ID}\n3:cpu,cpuacct:/docker/{ID}\n2:pids:/docker/{ID}\n5:cpuset:/docker/{ID}\n");
    let path = format!("docker/{ID}");
    let hybrid: Vec<_> = V1.iter().copied().chain([("/", "/sys/fs/cgroup/unified", "cgroup2 cgroup2 rw")]).collect();
    for (mounts, version) in [(V1, "v1"), (hybrid.as_slice(), "hybrid")] {
        let mut machine = Machine::new(mounts, &own, &CgroupConfig::default());
        fill_v1(&machine, &path);
        machine.put("memory/memory.limit_in_bytes", "1500\n");
        machine.put("systemd/system.slice/a.service/cgroup.procs", "1\n");
        if version == "hybrid" {
            machine.put(&format!("unified/{path}/cpu.pressure"), "some avg10=0 total=1000000\nfull avg10=0 total=0\n");
            // Of v2 only pressure is taken where a controller is mounted as v1.
            machine.put(&format!("unified/{path}/cpu.stat"), "usage_usec 99\n");
        }
        let (page, reading) = machine.tick();
        assert_eq!(reading, Reading::Complete, "{version}");
        let mut expected: Vec<String> = WHOLE_V1.iter().map(|line| (*line).to_owned()).collect();
        expected.push(format!("container_info container_id={ID} runtime=docker 1"));
        if version == "hybrid" {
            expected.push("container_pressure_cpu_stalled_seconds_total 0".into());
            expected.push("container_pressure_cpu_waiting_seconds_total 1".into());
        }
        expected.sort();
        assert_eq!(of(&page, &format!("/{path}")), expected, "{version}");
        for (name, value) in [
            ("container_self_cpu_limit_cores", Some(0.5)),
            ("container_self_cpuset_cpus", Some(2.0)),
            ("container_self_memory_limit_bytes", Some(1500.0)),
            ("container_self_threads_max", None),
        ] {
            assert_eq!(page.get(name).copied(), value, "{version} {name}");
        }
        // The root, the folder and the container; the service of systemd's hierarchy has no controller to tell of.
        let watched = format!("container_cgroups_watched{{version=\"{version}\"}}");
        assert_eq!(page[&watched], 3.0);
    }
}

#[test]
fn inside_a_container_the_mount_is_the_own_cgroup() {
    // Without a namespace of its own: the mount shows a part, and the own path is a whole one.
    let mounts = [("/docker/x", "/sys/fs/cgroup", "cgroup2 cgroup2 rw")];
    for own in ["0::/docker/x\n", "0::/\n", "0::/../y\n", "garbage\n", ""] {
        let mut machine = Machine::new(&mounts, own, &CgroupConfig::default());
        fill_v2(&machine, "");
        let (page, _) = machine.tick();
        assert_eq!(page.get("container_self_memory_limit_bytes"), Some(&2000.0), "{own:?}");
        assert_eq!(page.get("container_self_cpu_limit_cores"), Some(&1.5), "{own:?}");
    }
}

#[test]
fn the_least_limit_of_all_above_applies() {
    let limit = |machine: &mut Machine| machine.tick().0.get("container_self_memory_limit_bytes").copied();
    // v1 tells the least of all, also of those that are not to be seen.
    let own = "4:memory:/a/b\n";
    let mut machine = Machine::new(V1, own, &CgroupConfig::default());
    machine.put("memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
    machine.put("memory/a/b/memory.stat", "cache 1\nhierarchical_memory_limit 700\n");
    machine.put("memory/memory.limit_in_bytes", "900\n");
    assert_eq!(limit(&mut machine), Some(700.0));
    // v2: one level after the other; a cgroup that was removed under us still has those above it.
    for (own, expected) in
        [("0::/a/b/c\n", 300.0), ("0::/a/b/gone (deleted)\n", 400.0), ("0::/a\n", 500.0), ("0::/\n", 600.0)]
    {
        let mut machine = Machine::new(V2, own, &CgroupConfig::default());
        for (folder, bytes) in [("", 600), ("a/", 500), ("a/b/", 400), ("a/b/c/", 300)] {
            machine.put(&format!("{folder}memory.max"), &format!("{bytes}\n"));
        }
        assert_eq!(limit(&mut machine), Some(expected), "{own}");
    }
}

#[test]
fn files_stay_open_within_a_bound() {
    for (mounts, file) in [(V2, "cpu.stat"), (V1, "memory/memory.failcnt")] {
        let mut machine =
            Machine::new(mounts, "", &CgroupConfig { walk_interval: Duration::ZERO, ..CgroupConfig::default() });
        machine.cgroups = Cgroups::new(
            &Roots::under(machine.folder.path()),
            &CgroupConfig { walk_interval: Duration::ZERO, ..CgroupConfig::default() },
        );
        let (folder, file) = file.rsplit_once('/').unwrap_or(("", file));
        for round in 0..3 {
            for number in 0..80 {
                machine.put(&format!("{folder}/r{round}-{number}.service/{file}"), "usage_usec 1\n");
            }
            machine.tick();
            let open = machine.cgroups.open_files();
            assert!((190..=200).contains(&open), "{open} open files with {} cgroups", 80 * (round + 1));
        }
        // What ends makes room.
        for number in 0..80 {
            machine.remove(format!("{folder}/r0-{number}.service").trim_start_matches('/'));
        }
        machine.tick();
        machine.tick();
        assert!(machine.cgroups.open_files() <= 200);
    }
}

#[cfg(unix)]
#[test]
fn names_of_any_bytes_and_many_of_them() {
    use std::os::unix::ffi::OsStrExt;
    let config = CgroupConfig { limit: 100, depth: 100, ..CgroupConfig::default() };
    let mut machine = Machine::new(V2, "0::/\n", &config);
    let root = machine.folder.path().join("sys/fs/cgroup");
    let bad = root.join(std::ffi::OsStr::from_bytes(b"bad\xff\xfe.service"));
    std::fs::create_dir_all(&bad).unwrap();
    std::fs::write(bad.join("cpu.stat"), "usage_usec 1\n").unwrap();
    machine.put("a\"b\\c\n.service/cpu.stat", "usage_usec 1000000\n");
    let deep: String = (0..60).map(|level| format!("d{level}/")).collect();
    machine.put(&format!("{deep}cpu.stat"), "usage_usec 1\n");
    for number in 0..200 {
        std::fs::create_dir(root.join(format!("n{number}.service"))).unwrap();
    }
    let (page, reading) = machine.tick();
    assert!(matches!(reading, Reading::Degraded(text) if text.contains("no text")));
    assert!(
        page.keys().any(|name| name.contains("b\\") && name.starts_with("container_cpu_usage_seconds_total")),
        "odd, but text"
    );
    assert_eq!(page[r#"container_cgroups_watched{version="v2"}"#], 100.0);
    assert!(page[r#"container_cgroups_left_out{version="v2"}"#] >= 100.0);
}

#[test]
fn cgroups_come_and_vanish() {
    let mut machine = Machine::new(V2, "0::/\n", &CgroupConfig::default());
    fill_v2(&machine, "a.slice/b.service");
    assert_eq!(of(&machine.tick().0, "/a.slice/b.service").len(), WHOLE_V2.len());
    machine.remove("a.slice/b.service");
    let (page, reading) = machine.tick();
    assert!(of(&page, "/a.slice/b.service").is_empty(), "its series end in the tick that misses it");
    assert_eq!((reading, machine.intern.released()), (Reading::Complete, WHOLE_V2.len()));
    fill_v2(&machine, "a.slice/b.service");
    let back = (0..10).map(|_| machine.tick().0).find(|page| !of(page, "/a.slice/b.service").is_empty());
    assert_eq!(of(&back.unwrap(), "/a.slice/b.service").len(), WHOLE_V2.len(), "the next walk finds it again");

    // Half of it is gone when it is read: what is left is told, then nothing.
    std::fs::remove_file(machine.folder.path().join("sys/fs/cgroup/a.slice/b.service/memory.current")).unwrap();
    let page = machine.tick().0;
    let names = of(&page, "/a.slice/b.service");
    assert!(names.iter().any(|line| line.starts_with("container_cpu_usage")));
    assert!(!names.iter().any(|line| line.starts_with("container_memory_usage") || line.contains("working_set")));
    machine.remove("a.slice");
    assert!(of(&machine.tick().0, "/a.slice").is_empty());
    machine.remove("");
    for _ in 0..20 {
        machine.tick();
    }
}

#[test]
fn garbage_is_named_and_stops_nothing() {
    let mut machine = Machine::new(V2, "0::/\n", &CgroupConfig::default());
    fill_v2(&machine, "a.service");
    fill_v2(&machine, "b.service");
    for (file, text) in [
        ("cpu.stat", "\u{0}\u{1}usage_usec x\n"),
        ("memory.current", "99999999999999999999999999\n"),
        ("memory.stat", ""),
        ("io.stat", "no device\n"),
        ("cpu.max", "max\n"),
    ] {
        machine.put(&format!("a.service/{file}"), text);
    }
    let (page, reading) = machine.tick();
    assert!(
        matches!(reading, Reading::Degraded(text) if text.contains("/a.service/cpu.stat") && text.contains("more"))
    );
    assert_eq!(of(&page, "/b.service").len(), WHOLE_V2.len());
    let left = of(&page, "/a.service");
    assert!(left.len() > 20 && !left.iter().any(|line| line.starts_with("container_cpu_usage")), "{left:?}");
    // A counter that wraps or starts anew is told as it is.
    machine.put("b.service/cpu.stat", "usage_usec 0\n");
    assert!(of(&machine.tick().0, "/b.service").contains(&"container_cpu_usage_seconds_total 0".to_owned()));
}

#[test]
fn number_depth_and_patterns_are_bounds() {
    let pattern = |text: &str| Some(CgroupPattern(regex::Regex::new(text).unwrap()));
    let check = |config: CgroupConfig, watched: f64, left_out: f64| {
        let mut machine = Machine::new(V2, "0::/\n", &config);
        for slice in 0..3 {
            for service in 0..4 {
                machine.put(&format!("s{slice}.slice/t{service}.service/cpu.stat"), "usage_usec 1\n");
            }
        }
        let (page, reading) = machine.tick();
        assert_eq!(page[r#"container_cgroups_watched{version="v2"}"#], watched, "{config:?}");
        assert_eq!(page[r#"container_cgroups_left_out{version="v2"}"#], left_out, "{config:?}");
        assert_eq!(matches!(reading, Reading::Degraded(_)), left_out > 0.0, "{config:?}");
    };
    let usual = CgroupConfig::default;
    check(usual(), 16.0, 0.0);
    check(CgroupConfig { limit: 5, ..usual() }, 5.0, 11.0);
    check(CgroupConfig { limit: 0, ..usual() }, 0.0, 16.0);
    check(CgroupConfig { depth: 1, ..usual() }, 4.0, 12.0);
    check(CgroupConfig { include: pattern("^/s1"), ..usual() }, 5.0, 0.0);
    check(CgroupConfig { exclude: pattern("service$"), ..usual() }, 4.0, 0.0);
    check(CgroupConfig { include: pattern("^/s1"), exclude: pattern("t[01]"), ..usual() }, 3.0, 0.0);
}

#[test]
fn a_machine_without_cgroups_says_so() {
    for mounts in [&[][..], &[("/", "/sys/fs/cgroup", "tmpfs tmpfs rw")][..]] {
        let mut machine = Machine::new(mounts, "", &CgroupConfig::default());
        let (page, reading) = machine.tick();
        assert!(
            page.is_empty() && matches!(reading, Reading::Unavailable(text) if text.contains("no cgroup is mounted"))
        );
    }
}

/// Ends the child and takes the cgroups away, however the test ends.
struct Real {
    child: Option<Child>,
    folders: Vec<std::path::PathBuf>,
}

impl Real {
    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // A cgroup whose last process is just being buried is busy for a moment.
        let watch = Stopwatch::start();
        self.folders.retain(|folder| {
            while std::fs::remove_dir(folder).is_err() && folder.exists() && watch.elapsed() < Duration::from_secs(10) {
                std::thread::yield_now();
            }
            false
        });
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
fn a_real_cgroup_with_a_process_inside() {
    let roots = Roots::default();
    let Some(layout) = Layout::detect(&roots) else {
        eprintln!("SKIPPED: no cgroups on this machine");
        return;
    };
    let name = format!("watchfire-test-{}", std::process::id());
    let make = |point: &Path| std::fs::create_dir(point.join(&name)).ok().map(|()| point.join(&name));
    let folders: Vec<_> = layout.walked().into_iter().filter_map(make).collect();
    if folders.is_empty() {
        eprintln!("SKIPPED: this user may not make a cgroup");
        return;
    }
    let mut real = Real { child: None, folders };
    let busy = Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn();
    let child = real.child.insert(busy.unwrap());
    let moved = real
        .folders
        .iter()
        .filter(|folder| std::fs::write(folder.join("cgroup.procs"), child.id().to_string()).is_ok());
    if moved.count() == 0 {
        eprintln!("SKIPPED: this user may not move a process into a cgroup");
        return;
    }
    let config =
        CgroupConfig { include: Some(CgroupPattern(regex::Regex::new(&name).unwrap())), ..CgroupConfig::default() };
    let mut cgroups = Cgroups::new(&roots, &config);
    let (intern, watch, id) = (Interner::default(), Stopwatch::start(), format!("/{name}"));
    let mut now = 0;
    let mut tick = || {
        now += 1000;
        let (page, result) = collect(&mut cgroups, &intern, now);
        result.unwrap();
        page
    };
    let series = format!("container_cpu_usage_seconds_total{{id=\"{id}\", kind=\"other\", name=\"{name}\"}}");
    while !tick().get(&series).is_some_and(|seconds| *seconds > 0.01) {
        assert!(watch.elapsed() < Duration::from_secs(30), "the CPU time of {id} does not grow");
        std::thread::yield_now();
    }
    real.end();
    assert!(of(&tick(), &id).is_empty(), "it is gone, and so are its series");
}
